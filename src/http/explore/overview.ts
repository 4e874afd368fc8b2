import { count } from '../pages/format.ts'
import { html, type Markup } from '../pages/html.ts'
import { compact, drawSparkline, durationText, shareText } from './charts.ts'
import type { Completeness } from './figure.ts'
import { daysOf, isNarrowed, linkTo, pathOf, type Scope } from './filters.ts'
import { flakyJobs, type JobLine, jobsOf } from './queries/jobs.ts'
import { type PipelineLine, pipelinesOf } from './queries/pipelines.ts'
import { type QueueLine, queuesOf } from './queries/queues.ts'
import { type Reader, type Reading, read, readTotals } from './query.ts'
import { type Column, tableCard } from './tables.ts'
import { hoursText } from './tiles.ts'

/** How many jobs each list has. */
const LISTED = 8

/** What the overview shows below its charts. */
export async function readLists(parts: Reader, scope: Scope) {
  const [queues, slowest, failing, flaky, pipelines] = await Promise.all([
    read(parts, queuesOf(scope)),
    readTotals(parts, jobsOf(scope, 'slowest', LISTED)),
    readTotals(parts, jobsOf(scope, 'failing', LISTED)),
    readTotals(parts, flakyJobs(scope, LISTED)),
    readTotals(parts, pipelinesOf(scope)),
  ])
  return { queues, slowest, failing, flaky, pipelines }
}
export type Lists = Awaited<ReturnType<typeof readLists>>

/** The lists below the charts. */
export function listsOf(lists: Lists, scope: Scope, completeness: Completeness): Markup {
  return html`${jobCards(lists, scope, completeness)}${pipelineCard(lists.pipelines, scope, completeness)}${queueCard(lists.queues, scope, completeness)}`
}

function jobCards(
  { slowest, failing, flaky }: Lists,
  { organization, filters }: Scope,
  completeness: Completeness,
): Markup {
  const note = filters.branch === undefined ? '' : ', of all branches'
  const name: Column<Pick<JobLine, 'job' | 'pipeline'>> = {
    head: 'Job',
    shade: 'name',
    cell: ({ job, pipeline }) =>
      html`${job}${pipeline && html`<small><a href="${linkTo(pathOf(organization, 'pipelines', pipeline), { days: filters.days })}">${pipeline}</a></small>`}`,
  }
  const base = { completeness, empty: 'None in this period.' }
  return html`<div class="charts three">${tableCard({
    ...base,
    title: 'Slowest jobs',
    subtitle: `by mean${note}`,
    reading: slowest,
    columns: [
      name,
      { head: 'p50', shade: 'n', cell: ({ p50_seconds }) => durationText(p50_seconds) },
      { head: 'p90', shade: 'n', cell: ({ p90_seconds }) => durationText(p90_seconds) },
    ],
  })}${tableCard({
    ...base,
    title: 'Most failing jobs',
    subtitle: `hard failures${note}`,
    reading: failing,
    columns: [
      name,
      { head: 'Failed', shade: 'n', cell: ({ hard_failed }) => count(hard_failed) },
      { head: 'Rate', shade: 'n', cell: ({ hard_failure_rate }) => shareText(hard_failure_rate) },
    ],
  })}${tableCard({
    ...base,
    title: 'Flakiest jobs',
    subtitle: `passed on a retry${note}`,
    reading: flaky,
    columns: [
      name,
      { head: 'Flaky', shade: 'n', cell: (row) => count(row.flaky) },
      { head: 'Wasted', shade: 'n', cell: ({ wasted_minutes }) => hoursText(wasted_minutes ?? 0) },
    ],
  })}</div>`
}

function queueCard(reading: Reading<QueueLine>, scope: Scope, completeness: Completeness): Markup {
  const hasClusters = new Set(reading.rows.map(({ cluster }) => cluster)).size > 1
  const columns: Column<QueueLine>[] = [
    {
      head: 'Queue',
      shade: 'name',
      cell: ({ queue, cluster }) => html`${queue}${hasClusters && html`<small>${cluster ?? 'no cluster'}</small>`}`,
    },
    { head: 'Waiting now', shade: 'n', cell: ({ waiting }) => count(waiting ?? 0) },
    {
      head: 'Oldest',
      shade: 'n wide',
      cell: ({ waiting, oldest_wait_seconds }) => (waiting ? durationText(oldest_wait_seconds) : '–'),
    },
    { head: 'Running now', shade: 'n', cell: ({ running }) => count(running ?? 0) },
    {
      head: 'Agents busy',
      shade: 'n wide',
      cell: ({ agents_busy, agents_idle }) =>
        `${count(agents_busy ?? 0)} of ${count((agents_busy ?? 0) + (agents_idle ?? 0))}`,
    },
    { head: `Started in ${scope.period.days} days`, shade: 'n wide', cell: ({ started }) => count(started) },
    { head: 'Wait p50', shade: 'n wide', cell: ({ p50_seconds }) => durationText(p50_seconds) },
    { head: 'Wait p90', shade: 'n', cell: ({ p90_seconds }) => durationText(p90_seconds) },
  ]
  const subtitle = isNarrowed(scope) ? 'of the whole organization: queues belong to no pipeline' : undefined
  return tableCard({ title: 'Queues', subtitle, reading, columns, completeness, empty: 'No queue is known yet.' })
}

function pipelineCard(reading: Reading<PipelineLine>, scope: Scope, completeness: Completeness): Markup {
  const { filters, organization, period } = scope
  const days = daysOf(period)
  const linkOf = (slug: string) =>
    linkTo(pathOf(organization, 'pipelines', slug), { days: filters.days, branch: filters.branch })
  const spark = ({ name, by_day }: PipelineLine) => {
    const builds = days.map((day) => by_day[day] ?? 0)
    return drawSparkline(builds, `${name}: ${Math.max(0, ...builds)} builds a day at most`)
  }
  return tableCard({
    title: 'Pipelines',
    subtitle: 'builds that passed or failed',
    reading,
    completeness,
    empty: `No build passed or failed in this period${isNarrowed(scope) ? ' with these filters' : ''}.`,
    all: reading.rows[0]?.pipelines,
    sorting: { path: pathOf(organization), filters, fallback: '-builds' },
    columns: [
      {
        head: 'Pipeline',
        shade: 'name',
        sort: 'name',
        cell: ({ name, pipeline }) => (pipeline === null ? name : html`<a href="${linkOf(pipeline)}">${name}</a>`),
      },
      { head: 'Builds a day', shade: 'wide', cell: spark },
      { head: 'Builds', shade: 'n', sort: 'builds', cell: ({ finished }) => count(finished) },
      { head: 'Failed', shade: 'n', sort: 'failed', cell: ({ failure_rate }) => shareText(failure_rate) },
      { head: 'p50', shade: 'n', sort: 'p50', cell: ({ p50_seconds }) => durationText(p50_seconds) },
      { head: 'p90', shade: 'n wide', sort: 'p90', cell: ({ p90_seconds }) => durationText(p90_seconds) },
      {
        head: 'Agent min',
        shade: 'n wide',
        sort: 'minutes',
        cell: ({ minutes }) => (minutes === null ? '–' : compact(Math.round(minutes))),
      },
    ],
  })
}
