/** The style of the pages: light or dark as the system, one column on a phone, a contrast of at least 4.5. */
export const style = `
:root { color-scheme: light dark;
  --paper: #f4f5f2; --card: #fff; --ink: #1a2320; --soft: #56625c; --line: #dfe3de; --well: #eef0ec;
  --good: #13714f; --live: #2f8f9d; --warn: #8a5a00; --bad: #b3261e; --v0: #17805a; --reading: #d39b34; --second: #7d6bc4; --third: #c9792b; --good-1: #4d9b7e; --good-2: #93c4b0; --on: #fff }
@media (prefers-color-scheme: dark) { :root {
  --paper: #0d1211; --card: #141b19; --ink: #e7ece9; --soft: #9daaa4; --line: #26312d; --well: #1b2421;
  --good: #55c79d; --live: #58b6c4; --warn: #e3ae52; --bad: #ff8d84; --v0: #2f9f79; --reading: #c98f2d; --second: #a493ec; --third: #dd9450; --good-1: #26785c; --good-2: #1d5140; --on: #08120e } }
* { box-sizing: border-box }
body { margin: 0; overflow-wrap: break-word; background: var(--paper); color: var(--ink); font: 15px/1.5 system-ui, -apple-system, "Segoe UI", sans-serif; font-variant-numeric: tabular-nums; -webkit-text-size-adjust: 100% }
main, .top { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem }
main { padding-bottom: 4rem }
a { color: var(--good); text-underline-offset: .18em }
.top { display: flex; flex-wrap: wrap; gap: .4rem 1.1rem; align-items: baseline; padding-top: 1.1rem; padding-bottom: .9rem }
.top b { font-weight: 650; letter-spacing: -.01em; margin-right: auto }
.top nav { display: flex; flex-wrap: wrap; gap: .25rem 1.1rem }
.top nav a { color: var(--soft); text-decoration: none } .top nav a:hover { color: var(--ink); text-decoration: underline }
h1 { font-size: clamp(1.45rem, 1.1rem + 1.6vw, 2.05rem); line-height: 1.2; letter-spacing: -.022em; font-weight: 620; margin: 0; text-wrap: balance }
h2 { font-size: 1rem; font-weight: 650; margin: 0; letter-spacing: -.005em }
h3 { font-size: .82rem; font-weight: 600; color: var(--soft); margin: 1.3rem 0 .35rem }
p { margin: .35rem 0 } .quiet { color: var(--soft) } small, .small { font-size: .85rem }
.hero { display: grid; grid-template-columns: auto 1fr; gap: 0 .85rem; padding: 1.5rem 0 1.6rem }
.lamp { width: .85rem; height: .85rem; border-radius: 50%; margin-top: clamp(.46rem, .28rem + .72vw, .75rem); background: var(--good); box-shadow: 0 0 0 .3rem color-mix(in srgb, var(--good) 18%, transparent) }
.lamp.warn { background: var(--warn); box-shadow: 0 0 0 .3rem color-mix(in srgb, var(--warn) 20%, transparent) }
.lamp.bad { background: var(--bad); box-shadow: 0 0 0 .3rem color-mix(in srgb, var(--bad) 20%, transparent) }
.hero .subtitle { color: var(--soft); margin-top: .5rem }
.reasons { list-style: none; margin: .9rem 0 0; padding: 0; display: grid; gap: .55rem }
.reasons li { border-left: 3px solid var(--warn); padding: .1rem 0 .1rem .75rem } .reasons li.bad { border-color: var(--bad) }
.reasons span { color: var(--soft); display: block }
.card { background: var(--card); border: 1px solid var(--line); border-radius: .8rem; padding: 1.1rem 1.25rem 1.2rem; margin-bottom: 1rem; min-width: 0 }
.pair { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr)); gap: 0 1rem; align-items: start }
.head { display: flex; flex-wrap: wrap; gap: .35rem .8rem; align-items: center; justify-content: space-between }
.head .quiet { margin: 0 }
.figures { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 11rem), 1fr)); background: var(--card); border: 1px solid var(--line); border-radius: .8rem; margin-bottom: 1rem; overflow: hidden }
.figure { padding: .95rem 1.25rem 1rem; box-shadow: 1px 1px 0 var(--line); min-width: 0 }
.figure h2 { font-size: .82rem; font-weight: 500; color: var(--soft) }
.figure b { display: block; font-size: 1.65rem; font-weight: 560; letter-spacing: -.025em; line-height: 1.3 }
.figure b small { font-size: .85rem; font-weight: 400; color: var(--soft); letter-spacing: 0 }
.figure p { margin: 0; color: var(--soft); font-size: .85rem }
figure { margin: 0; min-width: 0 } figcaption { font-size: .88rem; font-weight: 550 } figcaption small { color: var(--soft); font-weight: 400; display: block }
.trio { display: grid; grid-template-columns: repeat(3, minmax(0, 1fr)); gap: 1rem 1.6rem; margin-top: .9rem }
.chart { display: flex; margin-top: .5rem } .chart > svg { flex: none; overflow: visible } .chart > .plot { flex: 1; min-width: 0; width: 0 } .chart text { font-size: 12px; fill: var(--soft) } .grid line { stroke: var(--line) }
.first { fill: var(--live); stroke: var(--live) } .second { fill: var(--second); stroke: var(--second) } .third { fill: var(--third); stroke: var(--third) } rect.first, rect.second, rect.third { stroke: none }
.line.line { fill: none; stroke-width: 2; vector-effect: non-scaling-stroke; stroke-linejoin: round; stroke-linecap: round } .hit { fill: transparent } .hit:hover { fill: color-mix(in srgb, var(--ink) 8%, transparent) }
.relations details { border-top: 1px solid var(--line); padding: .15rem 0 } .relations details:first-child { border: 0 } .relations summary { display: block; border: 0; padding: .4rem 0; font-weight: 400 } .relations summary b { font-weight: 600 } .relations summary::before { content: "▸"; color: var(--soft); display: inline-block; width: 1.1rem } .relations details[open] summary::before { content: "▾" } .relations summary > span { padding-left: 1.1rem } .relations summary > span { display: block; font-size: .88rem } .relations details[open] { padding-bottom: .8rem } .columns td:nth-child(2) { color: var(--soft) } .columns .break { min-width: 9rem } .chips a { color: inherit; text-decoration: none } .chips a:hover { text-decoration: underline } .search { display: flex; gap: .4rem; flex-wrap: wrap }
.title { padding: 1.2rem 0 1rem; overflow-wrap: anywhere } .tabs { display: flex; flex-wrap: wrap; gap: .3rem 1.2rem; margin-bottom: .9rem } .tabs a[aria-current], .top nav a[aria-current] { color: var(--ink); font-weight: 600; text-decoration: none }
pre { margin: .6rem 0 0; padding: .8rem .9rem; background: var(--well); border-radius: .5rem; overflow: auto; font-size: .8rem; line-height: 1.45; max-height: 32rem }
.strip { display: block; width: 100%; height: 2rem; border-radius: .35rem; margin-top: .9rem; background: var(--well) }
.v0 { fill: var(--v0) } .v1 { fill: var(--good-1) } .v2 { fill: var(--good-2) } .live { fill: var(--live) } .flawed { fill: var(--bad) } .partial { fill: color-mix(in srgb, var(--reading) 45%, var(--well)) } .reading { fill: var(--reading) } .unread, .ahead { fill: transparent }
.axis { display: flex; justify-content: space-between; color: var(--soft); font-size: .8rem; margin-top: .25rem }
.legend { display: flex; flex-wrap: wrap; gap: .1rem .95rem; color: var(--soft); font-size: .8rem; margin: .5rem 0 0; padding: 0; list-style: none }
.legend svg { width: .7rem; height: .7rem; border-radius: .18rem; background: var(--well); vertical-align: -.06rem; margin-right: .38rem; box-shadow: 0 0 0 1px var(--line) }
dl { display: grid; grid-template-columns: repeat(auto-fit, minmax(8.3rem, 1fr)); gap: .8rem 1.2rem; margin: 1.1rem 0 0 }
dt { color: var(--soft); font-size: .82rem } dd { margin: 0; font-weight: 500 } dd small { color: var(--soft); font-weight: 400; display: block; line-height: 1.35 }
.progress { display: flex; flex-wrap: wrap; align-items: center; gap: .4rem .9rem; margin-top: 1rem; padding: .65rem .85rem; background: var(--well); border-radius: .5rem }
.progress p { margin: 0; flex: 1 1 16rem }
.bar { display: block; width: 100%; height: .4rem; border-radius: .2rem; background: var(--well); margin-top: .3rem } .bar rect { fill: var(--good-1) } .bar .warn { fill: var(--warn) }
.actions { display: flex; flex-wrap: wrap; gap: .5rem .6rem; align-items: flex-start; margin-top: 1.1rem }
form { margin: 0 }
button { font: inherit; font-size: .9rem; font-weight: 550; color: var(--ink); background: var(--card); border: 1px solid color-mix(in srgb, var(--ink) 22%, var(--line)); border-radius: .45rem; padding: .36rem .8rem; cursor: pointer }
button:hover { background: var(--well) } button.main { color: var(--on); background: var(--good); border-color: transparent } button.main:hover { filter: brightness(1.08) }
button.link { border: 0; background: none; padding: 0; color: var(--soft); font-weight: 400; font-size: inherit } button.link:hover { color: var(--ink); text-decoration: underline }
:focus-visible { outline: 2px solid var(--live); outline-offset: 2px }
details > summary { cursor: pointer; list-style: none; font-size: .9rem; font-weight: 550; border: 1px solid color-mix(in srgb, var(--ink) 22%, var(--line)); border-radius: .45rem; padding: .36rem .8rem; display: inline-block }
summary::-webkit-details-marker { display: none } summary:hover { background: var(--well) }
details[open] { flex-basis: 100% } details form { display: flex; flex-wrap: wrap; gap: .6rem .8rem; align-items: end; margin-top: .7rem }
label { display: block; font-size: .82rem; color: var(--soft) }
input { font: inherit; color: var(--ink); background: var(--card); border: 1px solid color-mix(in srgb, var(--ink) 30%, var(--line)); border-radius: .45rem; padding: .34rem .6rem; max-width: 100% }
.scroll { overflow-x: auto; margin: .5rem -1.25rem 0; padding: 0 1.25rem }
table { border-collapse: collapse; width: 100%; font-size: .88rem }
th { text-align: left; font-weight: 500; color: var(--soft); font-size: .8rem; padding: .3rem .9rem .3rem 0; white-space: nowrap }
td { border-top: 1px solid var(--line); padding: .38rem .9rem .38rem 0; vertical-align: top } th:last-child, td:last-child { padding-right: 0 }
.n { text-align: right } td.nowrap, td.n { white-space: nowrap } .break { overflow-wrap: anywhere; min-width: 11rem } td.end { text-align: right } .under td { border: 0; padding-top: 0 }  td .quiet, td small { color: var(--soft) } td small { display: block }
.mark { font-weight: 600 } .mark.good, .good { color: var(--good) } .mark.warn { color: var(--warn) } .mark.bad, td .bad { color: var(--bad) }
.plain { list-style: none; margin: .6rem 0 0; padding: 0; display: grid; grid-template-columns: minmax(0, 1fr); gap: .65rem; overflow-wrap: anywhere } .plain + details { margin-top: .7rem }
.plain li { border-top: 1px solid var(--line); padding-top: .6rem } .plain li:first-child { border: 0; padding-top: 0 }
.plain span { display: block; color: var(--soft) }
.chips { display: flex; flex-wrap: wrap; gap: .35rem; margin: .3rem 0 0; padding: 0; list-style: none }
.chips li { font-size: .82rem; background: var(--well); border-radius: .4rem; padding: .12rem .5rem; color: var(--ink) } .chips li.off { color: var(--soft); background: none; box-shadow: inset 0 0 0 1px var(--line) }
.notice { background: color-mix(in srgb, var(--good) 12%, var(--card)); border: 1px solid color-mix(in srgb, var(--good) 35%, var(--line)); border-radius: .6rem; padding: .6rem .9rem; margin: .4rem 0 0 }
.notice.bad { background: color-mix(in srgb, var(--bad) 10%, var(--card)); border-color: color-mix(in srgb, var(--bad) 40%, var(--line)) }
#live { color: var(--soft); font-size: .85rem; margin: 0 } #live[data-state=on]::before { content: "●"; color: var(--good); margin-right: .35rem; animation: breathe 3s ease-in-out infinite }
#live[data-state=off] { color: var(--warn) }
@keyframes breathe { 50% { opacity: .35 } } @media (prefers-reduced-motion: reduce) { * { animation: none !important } }
footer { color: var(--soft); font-size: .85rem; padding: .6rem 0 0 } footer p { margin: .1rem 0 }
.narrow { max-width: 27rem; padding-top: 14vh } .sign-in { display: grid; gap: .5rem; margin: 1.4rem 0 1rem } .sign-in input { padding: .55rem .7rem } .sign-in button { justify-self: start; color: var(--on); background: var(--good); border-color: transparent; padding: .5rem 1.1rem; margin-top: .4rem }
code { font-size: .92em } .unseen { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); white-space: nowrap } button { position: relative }
@media (max-width: 56rem) { .trio { grid-template-columns: minmax(0, 1fr) } }
@media (max-width: 40rem) { main, .top { padding-left: .9rem; padding-right: .9rem } .wide { display: none } .card { padding: 1rem } .scroll { margin: .5rem -1rem 0; padding: 0 1rem } .figures { grid-template-columns: 1fr 1fr } .actions { gap: .4rem } button, details > summary { padding: .36rem .62rem; font-size: .86rem } .figure { padding: .8rem 1rem } .figure b { font-size: 1.35rem } .hero { padding: .9rem 0 1.2rem } .small { font-size: .82rem } dl { grid-template-columns: 1fr 1fr }
  table { font-size: .84rem } th { white-space: normal; vertical-align: bottom } th, td { padding-right: .55rem } .break { min-width: 0 }
  .clamp { display: -webkit-box; -webkit-box-orient: vertical; -webkit-line-clamp: 3; overflow: hidden }
  .stack, .stack tbody { display: block } .stack thead { position: absolute; clip-path: inset(50%); width: 1px; height: 1px; overflow: hidden }
  .stack tr { display: grid; grid-template-columns: 1fr auto; gap: .15rem .8rem; border-top: 1px solid var(--line); padding: .6rem 0 .7rem } .stack tr:first-child { border: 0 }
  .stack td { border: 0; padding: 0 } .stack .what { order: -2; font-weight: 550; overflow-wrap: anywhere } .stack .when { order: -1; color: var(--soft) } .stack .break { grid-column: 1 / -1 } .stack .end { text-align: left; margin-top: .3rem } }
`
