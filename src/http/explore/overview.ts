import { count } from '../pages/format.ts'
import { html, type Markup } from '../pages/html.ts'
import { compact, drawSparkline, durationText, shareText } from './charts.ts'
import { type Completeness, card } from './figure.ts'
import { daysOf, isNarrowed, linkTo, pathOf, type Scope, type SortKey } from './filters.ts'
import { sortHead } from './frame.ts'
import { type FlakyLine, flakyJobs, type JobLine, jobsOf } from './queries/jobs.ts'
import { PIPELINES_SHOWN, type PipelineLine, pipelinesOf } from './queries/pipelines.ts'
import { type QueueLine, queuesOf } from './queries/queues.ts'
import { type ExploreParts, type Reading, read } from './query.ts'
import { hoursText } from './tiles.ts'

/** How many jobs each list has. */
const LISTED = 8

/** What the overview shows below its charts. */
export async function readLists(parts: ExploreParts, scope: Scope) {
  const [queues, slowest, failing, flaky, pipelines] = await Promise.all([
    read(parts, queuesOf(scope)),
    read(parts, jobsOf(scope, 'slowest', LISTED)),
    read(parts, jobsOf(scope, 'failing', LISTED)),
    read(parts, flakyJobs(scope, LISTED)),
    read(parts, pipelinesOf(scope)),
  ])
  return { queues, slowest, failing, flaky, pipelines }
}
export type Lists = Awaited<ReturnType<typeof readLists>>

/** The lists below the charts. */
export function listsOf(
  { queues, slowest, failing, flaky, pipelines }: Lists,
  scope: Scope,
  completeness: Completeness,
): Markup {
  const { branch } = scope.filters
  const note = branch === undefined ? undefined : 'of all branches'
  return html`<div class="charts three">
${jobCard('Slowest jobs', 'by mean, of at least 5 tries', ['p50', 'p90'], slowest, scope, completeness, note, (row) => [durationText(row.p50_seconds), durationText(row.p90_seconds)])}
${jobCard('Most failing jobs', 'hard failures', ['Failed', 'Rate'], failing, scope, completeness, note, (row) => [count(row.hard_failed), shareText(row.hard_failure_rate)])}
${jobCard('Flakiest jobs', 'passed when tried again', ['Flaky', 'Wasted'], flaky, scope, completeness, note, (row) => [count(row.flaky), hoursText(row.wasted_minutes ?? 0)])}
</div>
${queueCard(queues, scope, completeness)}
${pipelineCard(pipelines, scope, completeness)}`
}

function jobCard<Row extends JobLine | FlakyLine>(
  title: string,
  subtitle: string,
  heads: readonly string[],
  reading: Reading<Row>,
  scope: Scope,
  completeness: Completeness,
  note: string | undefined,
  cells: (row: Row) => readonly string[],
): Markup {
  const rows = reading.rows.map(
    (row) =>
      html`<tr><td class="name">${row.job}<small>${row.pipeline && html`<a href="${linkTo(pathOf(scope.organization, 'pipelines', row.pipeline), { days: scope.filters.days })}">${row.pipeline}</a>`}</small></td>${cells(row).map((cell) => html`<td class="n">${cell}</td>`)}</tr>`,
  )
  const content =
    rows.length === 0
      ? html`<p class="empty">None in this period.</p>`
      : html`<table class="list"><thead><tr><th scope="col">Job</th>${heads.map((one) => html`<th scope="col" class="n">${one}</th>`)}</tr></thead><tbody>${rows}</tbody></table>`
  return card(
    { title, subtitle: [subtitle, note].filter(Boolean).join(', '), readings: [reading], completeness },
    content,
  )
}

function queueCard(queues: Reading<QueueLine>, scope: Scope, completeness: Completeness): Markup {
  const severalClusters = new Set(queues.rows.map((row) => row.cluster)).size > 1
  const rows = queues.rows.map(
    (row) =>
      html`<tr><td class="name">${row.queue}${severalClusters && html`<small>${row.cluster ?? 'no cluster'}</small>`}</td><td class="n">${count(row.waiting ?? 0)}</td><td class="n">${(row.waiting ?? 0) > 0 ? durationText(row.oldest_wait_seconds) : '–'}</td><td class="n">${count(row.running ?? 0)}</td><td class="n wide">${count(row.agents_busy ?? 0)} of ${count((row.agents_busy ?? 0) + (row.agents_idle ?? 0))}</td><td class="n wide">${count(row.started)}</td><td class="n">${durationText(row.p50_seconds)}</td><td class="n">${durationText(row.p90_seconds)}</td></tr>`,
  )
  const heads = [
    ['Waiting now'],
    ['Oldest'],
    ['Running now'],
    ['Agents busy', 'wide'],
    [`Started in ${scope.period.days} days`, 'wide'],
    ['Wait p50'],
    ['Wait p90'],
  ]
  const content =
    rows.length === 0
      ? html`<p class="empty">No queue is known yet.</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Queues"><table class="list"><thead><tr><th scope="col">Queue</th>${heads.map(([head, shade]) => html`<th scope="col" class="n ${shade}">${head}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`
  return card(
    {
      title: 'Queues',
      subtitle: isNarrowed(scope) ? 'of the whole organization: queues belong to no pipeline' : undefined,
      readings: [queues],
      completeness,
    },
    content,
  )
}

function pipelineCard(pipelines: Reading<PipelineLine>, scope: Scope, completeness: Completeness): Markup {
  const { filters, organization, period } = scope
  const path = pathOf(organization)
  const days = daysOf(period)
  const rows = pipelines.rows.map((row) => {
    const link =
      row.pipeline &&
      linkTo(pathOf(organization, 'pipelines', row.pipeline), { days: filters.days, branch: filters.branch })
    const spark = days.map((day) => row.by_day[day] ?? 0)
    return html`<tr><td class="name">${link ? html`<a href="${link}">${row.name}</a>` : row.name}</td><td class="wide">${drawSparkline(spark, `${row.name}: ${Math.max(0, ...spark)} builds a day at most`)}</td><td class="n">${count(row.finished)}</td><td class="n">${shareText(row.failure_rate)}</td><td class="n">${durationText(row.p50_seconds)}</td><td class="n wide">${durationText(row.p90_seconds)}</td><td class="n wide">${row.minutes === null ? '–' : compact(Math.round(row.minutes))}</td></tr>`
  })
  const head = (key: SortKey, text: string, shade?: string) => sortHead(path, filters, '-builds', key, text, shade)
  const all = pipelines.rows[0]?.pipelines ?? 0
  const content =
    rows.length === 0
      ? html`<p class="empty">No build passed or failed in this period${isNarrowed(scope) && ' with these filters'}.</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Pipelines"><table class="list" id="table"><thead><tr>${head('name', 'Pipeline', '')}<th scope="col" class="wide">Builds a day</th>${head('builds', 'Builds')}${head('failed', 'Failed')}${head('p50', 'p50')}${head('p90', 'p90', 'n wide')}${head('minutes', 'Agent min', 'n wide')}</tr></thead><tbody>${rows}</tbody></table></div>
${all > PIPELINES_SHOWN && html`<p class="quiet small">The first ${PIPELINES_SHOWN} of ${count(all)}. Sort by another column, or choose a team or tag.</p>`}`
  return card(
    { title: 'Pipelines', subtitle: 'builds that passed or failed', readings: [pipelines], completeness },
    content,
  )
}
