import type { FastifyReply } from 'fastify'
import { ago, day, some } from '../pages/format.ts'
import { topBar } from '../pages/header.ts'
import { html, type Markup } from '../pages/html.ts'
import { page } from '../pages/layout.ts'
import { sendPage } from '../pages/send.ts'
import { shortDay } from './charts.ts'
import type { Completeness } from './figure.ts'
import { type Filters, linkTo, type Period, pathOf, type Scope } from './filters.ts'
import type { Coverage } from './queries/coverage.ts'
import type { PipelineChoice } from './queries/pipelines.ts'
import type { Reading } from './query.ts'
import { exploreStyle } from './style.ts'

interface ExplorePage {
  readonly title: string
  readonly heading: Markup | string
  readonly subtitle?: Markup | string | undefined
  /** Links to the pages above this one. */
  readonly crumbs?: readonly (readonly [text: string, link: string])[]
  /** The organization that the search box searches. */
  readonly organization?: string | undefined
  readonly q?: string | undefined
  readonly body: Markup
}

/** Sends a page under /explore. */
export function sendExplorePage(
  reply: FastifyReply,
  { title, heading, subtitle, crumbs = [], organization, q, body }: ExplorePage,
): FastifyReply {
  const path = crumbs.map(([text, link]) => html`<li><a href="${link}">${text}</a></li>`)
  const markup = html`${topBar('/explore')}
<main>
<div class="title"><div>${path.length > 0 && html`<nav aria-label="Above this page"><ol class="crumbs">${path}</ol></nav>`}<h1>${heading}</h1>${subtitle && html`<p>${subtitle}</p>`}</div>
${organization !== undefined && finder(organization, q)}</div>
${body}
</main>`
  return sendPage(reply, page({ title, body: markup, moreStyle: exploreStyle }), exploreStyle)
}

function finder(organization: string, q = ''): Markup {
  return html`<form class="finder" method="get" action="${pathOf(organization, 'search')}" role="search"><label class="unseen" for="q">Search builds</label><input type="search" id="q" name="q" value="${q}" maxlength="300" placeholder="Search builds"><button>Search</button></form>`
}

/** The days to choose from, each a link. */
export function spanLinks(path: string, filters: Filters): Markup {
  const links = [7, 30, 90].map(
    (days) =>
      html`<a href="${linkTo(path, { ...filters, days })}"${filters.days === days && html` aria-current="true"`}>${days} days</a>`,
  )
  return html`<div class="spans" role="group" aria-label="Days">${links}</div>`
}

/** The form of the filters. On the page of a pipeline only the branch can be chosen. */
export function filterForm(path: string, { filters, pipelineId }: Scope, choices: readonly PipelineChoice[]): Markup {
  const { days, sort, pipeline, team, tag, branch } = filters
  const distinct = (values: readonly string[]) => [...new Set(values)].sort()
  const selects = pipelineId
    ? []
    : [
        selectOf('pipeline', 'Pipeline', distinct(choices.map((one) => one.pipeline)), pipeline),
        selectOf('team', 'Team', distinct(choices.flatMap((one) => one.teams)), team),
        selectOf('tag', 'Tag', distinct(choices.flatMap((one) => one.tags)), tag),
      ]
  const branches = distinct(choices.flatMap((one) => one.default_branch ?? []))
  const isFiltered = [pipeline, team, tag, branch].some((value) => value !== undefined)
  return html`<form class="filters" method="get" action="${path}">${spanLinks(path, filters)}
${days !== 30 && html`<input type="hidden" name="days" value="${days}">`}${sort && html`<input type="hidden" name="sort" value="${sort}">`}
${selects}
<div><label for="branch">Branch</label><input id="branch" name="branch" value="${branch}" list="branches" placeholder="All" autocomplete="off"><datalist id="branches">${branches.map((one) => html`<option value="${one}"></option>`)}</datalist></div>
<div><button>Apply</button> ${isFiltered && html`<a href="${linkTo(path, { days, sort })}">Clear</a>`}</div></form>`
}

function selectOf(name: string, label: string, values: readonly string[], chosen: string | undefined): Markup | false {
  if (values.length === 0 && chosen === undefined) return false
  const known = chosen === undefined || values.includes(chosen) ? values : [chosen, ...values]
  const options = known.map((value) => html`<option${value === chosen && html` selected`}>${value}</option>`)
  return html`<div><label for="${name}">${label}</label><select id="${name}" name="${name}"><option value="">All</option>${options}</select></div>`
}

/** How complete the data of a period is, in words. */
export function completenessOf(
  coverage: Reading<Coverage>,
  stale: Reading<{ days: number; stale: number }>,
  period: Period,
  now: Date,
): Completeness {
  const known = coverage.rows[0]
  const waiting = stale.rows[0]?.stale ?? 0
  if (!known || coverage.refusal || stale.refusal)
    return said('Completeness unknown', html`How complete this is could not be read in time.`)
  const { pipelines, pipelines_current, complete_from, as_of, jobs_as_of, exceptions } = known
  const computing = waiting > 0 && html` The totals of ${some(waiting, 'day')} are being computed and may change.`
  if (!as_of || !jobs_as_of || pipelines_current === 0 || !complete_from) {
    return said(
      'Not yet complete',
      html`No pipeline is known to be complete yet: see <a href="/">the status page</a>.${computing}`,
    )
  }
  const age = html`as of ${ago(as_of, now)}, jobs as of ${ago(jobs_as_of, now)}`
  const some_missing = exceptions > 0 && html` ${some(exceptions, 'exception')}: see <a href="/">the status page</a>.`
  if (pipelines_current < pipelines) {
    return said(
      `${pipelines_current} of ${pipelines} pipelines complete`,
      html`${pipelines_current} of ${some(pipelines, 'pipeline')} are complete, ${age}; the others are being read.${some_missing}${computing}`,
    )
  }
  const from = complete_from.toISOString().slice(0, 10)
  const sentence = html`Every build created since ${day(complete_from)} is here, ${age}.${some_missing}${computing}`
  if (from > period.from) return said(`Complete from ${shortDay(from)}`, sentence)
  if (waiting > 0) return said(`${some(waiting, 'day')} being computed`, sentence)
  return exceptions > 0 ? said(some(exceptions, 'exception'), sentence) : { short: 'Complete', sentence, isWhole: true }
}

const said = (short: string, sentence: Markup): Completeness => ({ short, sentence, isWhole: false })

/** Whether the period before is complete too, so that a comparison says something. */
export function isComparable(coverage: Reading<Coverage>, { before }: Period): boolean {
  const from = coverage.rows[0]?.complete_from
  return from !== undefined && from !== null && from.toISOString().slice(0, 10) <= before
}

/** The sentence that every chart's note links to. */
export function completenessNote({ sentence, isWhole }: Completeness, period: Period, isCompared: boolean): Markup {
  const comparison = isCompared
    ? html`Changes compare with the ${period.days} days before, ${shortDay(period.before)} to ${dayBefore(period.from)}.`
    : html`There is no comparison: the ${period.days} days before are not complete.`
  return html`<p id="completeness" class="small quiet"><span class="${!isWhole && 'mark warn'}">${sentence}</span> <span>Days are UTC, and today is not over. ${comparison}</span></p>`
}

const dayBefore = (text: string) => shortDay(new Date(Date.parse(text) - 86_400_000).toISOString())

/** A link to another site, only if it is one. */
export function outside(url: string | null, text: Markup | string): Markup | string {
  return url !== null && /^https?:\/\//.test(url) ? html`<a href="${url}" rel="noreferrer">${text}</a>` : text
}
