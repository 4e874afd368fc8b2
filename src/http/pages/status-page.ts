import { checkLabels, isCheckName } from '../../diagnostics/finding.ts'
import type { Issue } from '../../reconcile/issue.ts'
import type { Status } from '../status/status.ts'
import { claimOf, summaryOf } from '../status/summary.ts'
import { ratePerMinute } from '../status/webhook-throughput.ts'
import { dayPiece } from './day-charts.ts'
import { failingPiece } from './failing-work.ts'
import { ago, count, moment, roughly, some } from './format.ts'
import { topBar } from './header.ts'
import { html, type Markup } from './html.ts'
import { page } from './layout.ts'
import { coveragePiece, cyclesPiece, nameOf, organizationForms } from './organization.ts'
import { drawShare } from './svg.ts'

/** What the page shows in addition to the status. */
export interface PageOptions {
  /** The result of the action that redirected here. */
  readonly notice?: Notice | undefined
  /** Whether there is a session to sign out of. */
  readonly signedIn: boolean
  /** Whether to show the buttons of actions. */
  readonly mayAct: boolean
}

export interface Notice {
  readonly text: string
  readonly bad?: boolean
}

/** The status page. Everything in it that changes is a piece of {@link livePieces}. */
export function statusPage(status: Status, { notice, signedIn, mayAct }: PageOptions): Markup {
  const pieces = livePieces(status, mayAct)
  const piece = (id: string, classes = '') =>
    html`<section class="${classes}" data-live="${id}">${pieces.get(id)}</section>`
  const organizations = (status.organizations ?? []).map(
    (one) => html`<article class="card" aria-label="Organization ${nameOf(one)}">
<div data-live="coverage ${one.id}">${pieces.get(`coverage ${one.id}`)}</div>
${mayAct && organizationForms(one, status.read_at)}
<div data-live="cycles ${one.id}">${pieces.get(`cycles ${one.id}`)}</div>
</article>`,
  )
  return page({
    title: 'Status',
    live: true,
    body: html`${topBar(
      '/',
      html`${signedIn && html`<form method="post" action="/sign-out"><button class="link">Sign out</button></form>`}
<p id="live">As of ${moment(status.read_at)}. Reload for newer figures.</p>`,
    )}
<main>
${notice && html`<p class="notice ${notice.bad && 'bad'}" role="status">${notice.text}</p>`}
${piece('health')}
${piece('figures')}
${piece('day', 'card')}
${organizations}
${piece('asked')}
${piece('failing')}
${piece('failed')}
<div class="pair">${piece('drift', 'card')}<div>${piece('check', 'card')}${piece('budgets', 'card')}</div></div>
<footer data-live="process">${pieces.get('process')}</footer>
</main>`,
  })
}

/** The live parts of the page, by their ids. */
export function livePieces(status: Status, mayAct: boolean): Map<string, Markup> {
  const now = status.read_at
  return new Map([
    ['health', healthPiece(status)],
    ['figures', figuresPiece(status)],
    ['day', dayPiece(status)],
    ...(status.organizations ?? []).flatMap((one): [string, Markup][] => [
      [`coverage ${one.id}`, coveragePiece(one, now, mayAct)],
      [`cycles ${one.id}`, cyclesPiece(one, now)],
    ]),
    ['asked', askedPiece(status)],
    ['failing', failingPiece(status)],
    ['failed', failedPiece(status, mayAct)],
    ['drift', driftPiece(status)],
    ['check', checkPiece(status)],
    ['budgets', budgetsPiece(status)],
    ['process', processPiece(status)],
  ])
}

function healthPiece(status: Status): Markup {
  const { tone, sentence, subtitle, reasons } = summaryOf(status)
  const items = reasons.map(
    (reason) =>
      html`<li class="${reason.tone}">${reason.text}${reason.remedy && html`<span>${reason.remedy}</span>`}</li>`,
  )
  return html`<div class="hero"><span class="lamp ${tone}" aria-hidden="true"></span><div><h1>${sentence}</h1>
${subtitle && html`<p class="subtitle">${subtitle}</p>`}
${items.length > 0 && html`<ul class="reasons">${items}</ul>`}</div></div>`
}

function figuresPiece(status: Status): Markup {
  const { flow, deliveries, queue, budgets, webhooks, read_at } = status
  const waiting = Object.values(queue.depth ?? {}).reduce((sum, one) => sum + one.waiting, 0)
  const active = Object.values(queue.depth ?? {}).reduce((sum, one) => sum + one.active, 0)
  const tightest = (budgets ?? []).map((one) => ({ ...one, left: Math.max(0, one.allowed - one.used) }))
  const least = tightest.sort((a, b) => a.left / a.allowed - b.left / b.allowed)[0]
  return html`<div class="figures">
${verifiedTile(status)}
${tile(
  'Webhooks',
  flow ? html`${rate(ratePerMinute(flow))} <small>a minute</small>` : '–',
  deliveries?.last_received_at
    ? html`mean of 5 minutes; last one ${ago(deliveries.last_received_at, read_at)}`
    : webhooks.on
      ? 'none yet'
      : 'off',
)}
${tile('Webhook-to-row delay', flow?.lag_seconds ? seconds(flow.lag_seconds.median) : '–', flow?.lag_seconds ? `median of the last hour; 95 % within ${seconds(flow.lag_seconds.p95)}` : 'no webhook in the last hour')}
${tile('Jobs waiting', queue.depth ? count(waiting) : '–', queue.depth ? `${count(active)} active, ${some(deliveries?.pending ?? 0, 'delivery', 'deliveries')} to apply` : 'the queue does not answer')}
${tile(
  'API calls left',
  least ? html`${count(least.left)} <small>of ${count(least.allowed)}</small>` : '–',
  least
    ? `this minute, ${scopeName(
        least.scope,
        tightest.map(({ scope }) => scope),
      )}`
    : 'no calls yet',
)}
</div>`
}

function verifiedTile(status: Status): Markup {
  const { as_of, jobs_as_of, pipelines, pipelines_current } = claimOf(status)
  const age = (at: Date) => roughly(Math.max(0, status.read_at.getTime() - at.getTime()))
  if (!as_of || !jobs_as_of || pipelines_current === 0) return tile('Builds verified up to', '–', 'nothing yet')
  const isWhole = pipelines_current === pipelines
  const subtitle = isWhole
    ? `jobs up to ${age(jobs_as_of)} ago`
    : `${count(pipelines_current)} of ${count(pipelines)} pipelines`
  return tile('Builds verified up to', html`${age(as_of)} <small>ago</small>`, subtitle)
}

function tile(title: string, figure: Markup | string, subtitle: Markup | string): Markup {
  return html`<div class="figure"><h2>${title}</h2><b>${figure}</b><p>${subtitle}</p></div>`
}

function rate(perMinute: number): string {
  return perMinute > 0 && perMinute < 10 ? perMinute.toFixed(1) : count(perMinute)
}

function seconds(value: number): string {
  return value < 10 ? `${value.toFixed(value < 1 ? 2 : 1)} s` : roughly(value * 1_000)
}

function askedPiece({ asked, organizations }: Status): Markup {
  if (!asked || asked.length === 0) return html``
  const slugs = new Map((organizations ?? []).map((one) => [one.id, nameOf(one)]))
  const items = asked.map(({ job, active }) => {
    const span = job.from && job.to ? ` ${job.from.slice(0, 10)} to ${job.to.slice(0, 10)}` : ''
    const of = job.organization ? ` of ${slugs.get(job.organization) ?? job.organization}` : ''
    const what = job.task === 'verify' ? 'Audit' : job.task === 'backfill' ? 'Backfill' : 'Sync'
    return html`<li>${what}${of}${span}: <b>${active ? 'running' : 'waiting'}</b></li>`
  })
  return html`<div class="card"><h2>Requested</h2><ul class="plain">${items}</ul></div>`
}

function failedPiece({ failed_deliveries, deliveries, read_at }: Status, mayAct: boolean): Markup {
  if (!failed_deliveries) return html``
  if (failed_deliveries.length === 0) {
    return html`<div class="card"><div class="head"><h2>Failed deliveries</h2><p class="quiet small">none</p></div></div>`
  }
  const rows = failed_deliveries.map(
    (
      one,
    ) => html`<tr><td class="nowrap when">${ago(one.received_at, read_at)}</td><td class="what"><a href="/deliveries/${one.id}">${one.event}</a></td><td class="break"><span class="clamp">${one.error}</span></td>
<td class="end">${
      one.replayable
        ? mayAct &&
          html`<form method="post" action="/actions/replay"><input type="hidden" name="id" value="${one.id}"><button data-key="replay-${one.id}">Replay<span class="unseen"> delivery ${one.id}</span></button></form>`
        : html`<span class="quiet">payload dropped</span>`
    }</td></tr>`,
  )
  const all = deliveries?.failed ?? failed_deliveries.length
  return html`<div class="card"><div class="head"><h2>Failed deliveries</h2>
${mayAct && html`<form method="post" action="/actions/replay"><input type="hidden" name="failed" value="all"><button class="main" data-key="replay-all">Replay all ${count(all)}</button></form>`}</div>
<div class="scroll" tabindex="0" role="region" aria-label="Failed deliveries"><table class="stack"><thead><tr><th scope="col">Received</th><th scope="col">Event</th><th scope="col">Error</th><th scope="col"><span class="unseen">Action</span></th></tr></thead><tbody>${rows}</tbody></table></div>
${all > rows.length && html`<p class="quiet small">The newest ${rows.length} of ${count(all)}; sync.deliveries has them all.</p>`}
<p class="small"><a href="/history/actions">Who replayed deliveries</a></p></div>`
}

function driftPiece({ recent_drift, read_at }: Status): Markup {
  if (!recent_drift) return html`<h2>Drift</h2><p class="quiet">Could not be read.</p>`
  const rows = recent_drift.map((one) => {
    const build = one.number === null ? 'a build' : `${one.pipeline ?? 'build'} #${one.number}`
    const linked = one.web_url && /^https?:\/\//.test(one.web_url)
    const name = linked ? html`<a href="${one.web_url}" rel="noreferrer">${build}</a>` : build
    const columns = one.columns.length > 0 ? `: ${one.columns.join(', ')}` : ''
    const state = one.healed_at ? html`<span class="good">healed</span>` : html`<span class="mark warn">open</span>`
    return html`<li>${name} <span>${one.is_job ? 'job' : 'build'} ${one.kind}${columns} · ${one.found_by} ${ago(one.found_at, read_at)} · ${state}</span></li>`
  })
  return html`<div class="head"><h2>Drift</h2><p class="quiet small">${rows.length === 0 ? 'none found' : 'found last'}</p></div>
${
  rows.length === 0
    ? html`<p class="quiet">No comparison has found a difference between the mirror and Buildkite.</p>`
    : html`<ul class="plain">${rows}</ul>`
}`
}

function checkPiece({ findings, problems, read_at }: Status): Markup {
  const wrong = (findings ?? []).filter(({ result }) => result !== 'ok')
  const ok = (findings ?? []).length - wrong.length
  const checked = (findings ?? []).map(({ checked_at }) => checked_at).sort((a, b) => b.getTime() - a.getTime())[0]
  const items = wrong.map(
    (one) =>
      html`<li><span class="mark ${one.result === 'failed' ? 'bad' : 'warn'}">${one.name.replaceAll('_', ' ')}${one.subject && ` · ${one.subject}`}</span>${one.detail}<span>${one.remedy}</span></li>`,
  )
  const met = problems.map(problemItem)
  return html`<div class="head"><h2>Check</h2><p class="quiet small">${checked ? html`${ago(checked, read_at)}, ${count(ok)} ok` : 'not run yet'}</p></div>
${
  items.length + met.length === 0
    ? html`<p class="quiet">${checked ? 'Token, webhook, stores and clocks are ok.' : 'The service checks itself every hour.'}</p>`
    : html`<ul class="plain">${met}${items}</ul>`
}
${findings && findings.length > 0 && allChecks(findings)}`
}

/** Every result of the last check. */
function allChecks(findings: NonNullable<Status['findings']>): Markup {
  const rows = findings.map(
    ({ name, subject, result, detail }) =>
      html`<tr><td class="what">${isCheckName(name) ? checkLabels[name] : name}${subject && html`<small>${subject}</small>`}</td><td><span class="${result === 'ok' ? 'good' : `mark ${result === 'failed' ? 'bad' : 'warn'}`}">${result}</span></td><td class="break">${detail}</td></tr>`,
  )
  return html`<details data-key="checks"><summary>All checks (${findings.length})</summary><div class="scroll" tabindex="0" role="region" aria-label="All checks"><table><tbody>${rows}</tbody></table></div></details>`
}

function problemItem({ code, subject, message, remedy }: Issue): Markup {
  return html`<li><span class="mark ${code === 'expires_soon' ? 'warn' : 'bad'}">${subject ?? code.replaceAll('_', ' ')}</span>${message}<span>${remedy}</span></li>`
}

function budgetsPiece({ budgets, read_at }: Status): Markup {
  const scopes = (budgets ?? []).map(({ scope }) => scope)
  const items = (budgets ?? []).map(({ scope, allowed, used, limit, held_ms }) => {
    const held =
      held_ms > 0 && html`<span class="mark warn">held for ${roughly(held_ms)}, until the limit resets</span>`
    return html`<li>${scopeName(scope, scopes)} <span>${count(used)} of our ${count(allowed)} calls in the last minute; Buildkite allows ${count(limit)}</span>${held}${drawShare(used / Math.max(1, allowed), held_ms > 0 ? 'warn' : 'share')}</li>`
  })
  return html`<div class="head"><h2>Rate budget</h2><p class="quiet small">${moment(read_at).slice(11, 19)}</p></div>
${items.length === 0 ? html`<p class="quiet">No recent calls.</p>` : html`<ul class="plain">${items}</ul>`}`
}

/** A limit of Buildkite in words. The users of tokens have no names here, so several are numbered. */
function scopeName(scope: string, all: readonly string[]): string {
  const [kind, name = ''] = scope.split(':')
  if (kind === 'organization') return `organization ${name}`
  const users = all.filter((one) => one.startsWith('user:')).sort()
  return users.length > 1 ? `token user ${users.indexOf(scope) + 1}` : 'the token’s user'
}

function processPiece({ version, roles, uptime_seconds, database, queue }: Status): Markup {
  const depths = Object.entries(queue.depth ?? {}).map(
    ([name, one]) => `${name} ${count(one.waiting)} waiting, ${count(one.active)} active, ${count(one.failed)} failed`,
  )
  return html`<p>Version ${version} · ${roles.join(', ')} · up for ${roughly(uptime_seconds * 1_000)} · ${database.kind === 'embedded' ? 'embedded PostgreSQL' : 'PostgreSQL'} · queue on ${queue.backend === 'redis' ? 'Redis' : 'PostgreSQL'} · <a href="/status">this page as JSON</a></p>
<p>${depths.join(' · ')}</p>`
}
