import { html, type Markup } from '../pages/html.ts'
import type { Series } from './charts.ts'
import { type Completeness, chartCard } from './figure.ts'
import { daysOf, isNarrowed, type Scope } from './filters.ts'
import { durationsByDay, durationsOfPeriods, greenByDay, recoveriesOfPeriods, resultsByDay } from './queries/builds.ts'
import { costsByDay } from './queries/costs.ts'
import { failuresByDay } from './queries/jobs.ts'
import { waitsByDay, waitsOfPeriods } from './queries/queues.ts'
import { type ExploreParts, read } from './query.ts'

/** What the figures and charts of an organization or a pipeline show. */
export async function readTrends(parts: ExploreParts, scope: Scope) {
  const [results, durations, durationSpans, failures, waits, waitSpans, green, recoveries, costs] = await Promise.all([
    read(parts, resultsByDay(scope)),
    read(parts, durationsByDay(scope)),
    read(parts, durationsOfPeriods(scope)),
    read(parts, failuresByDay(scope)),
    read(parts, waitsByDay(scope)),
    read(parts, waitsOfPeriods(scope)),
    read(parts, greenByDay(scope)),
    read(parts, recoveriesOfPeriods(scope)),
    read(parts, costsByDay(scope)),
  ])
  return { results, durations, durationSpans, failures, waits, waitSpans, green, recoveries, costs }
}
export type Trends = Awaited<ReturnType<typeof readTrends>>

/** `part` of `whole`; null without a whole. */
export const ratio = (part: number, whole: number) => (whole === 0 ? null : part / whole)

/** The charts. Those that no view has by branch are left out if a branch is chosen. */
export function chartsOf(trends: Trends, scope: Scope, completeness: Completeness): Markup {
  const byBranch = scope.filters.branch !== undefined
  const drawn = [resultChart, durationChart, ...(byBranch ? [] : [greenChart, failureChart]), waitChart, minuteChart]
  const note = byBranch && html`<p class="small quiet">Rates of jobs and of green builds are not known by branch.</p>`
  return html`${note}<div class="charts">${drawn.map((draw) => draw(trends, scope, completeness))}</div>`
}

type ChartOf = (trends: Trends, scope: Scope, completeness: Completeness) => Markup

const resultChart: ChartOf = ({ results }, scope, completeness) => {
  const kinds = [
    ['passed', 'Passed'],
    ['failed', 'Failed'],
    ['blocked', 'Waiting at a gate'],
    ['canceled', 'Canceled'],
    ['skipped', 'Skipped'],
  ] as const
  const series = kinds.map(([shade, name]) => seriesOf(scope, results.rows, name, shade, (row) => row[shade]))
  return chartCard(
    { kind: 'bars', title: 'Builds a day', subtitle: 'by result', readings: [results], completeness },
    { unit: 'count', days: daysOf(scope.period), series },
  )
}

const durationChart: ChartOf = ({ durations }, scope, completeness) =>
  chartCard(
    {
      kind: 'lines',
      title: 'Duration of builds',
      subtitle: 'running time, without pauses',
      readings: [durations],
      completeness,
    },
    { unit: 'seconds', days: daysOf(scope.period), series: percentiles(scope, durations.rows) },
  )

const greenChart: ChartOf = ({ green }, scope, completeness) => {
  const share = seriesOf(scope, green.rows, 'Green', 'green', (row) => ratio(row.builds - row.red_builds, row.builds))
  return chartCard(
    {
      kind: 'lines',
      title: scope.pipelineId ? 'Green builds of the default branch' : 'Green builds of default branches',
      subtitle: 'share of passed and failed',
      readings: [green],
      completeness,
    },
    { unit: 'share', days: daysOf(scope.period), series: [share] },
  )
}

const failureChart: ChartOf = ({ failures }, scope, completeness) => {
  const kinds = [
    ['Hard', 'hard', 'hard_failed'],
    ['Soft', 'third', 'soft_failed'],
    ['Infrastructure', 'first', 'infra_failed'],
  ] as const
  const series = kinds.map(([name, shade, part]) =>
    seriesOf(scope, failures.rows, name, shade, (row) => ratio(row[part], row.tries - row.canceled)),
  )
  return chartCard(
    { kind: 'lines', title: 'Jobs that failed', subtitle: 'share of tries', readings: [failures], completeness },
    { unit: 'share', days: daysOf(scope.period), series },
  )
}

const waitChart: ChartOf = ({ waits }, scope, completeness) =>
  chartCard(
    {
      kind: 'lines',
      title: 'Wait for an agent',
      subtitle: isNarrowed(scope) ? 'all queues: they belong to no pipeline' : 'all queues',
      readings: [waits],
      completeness,
    },
    { unit: 'seconds', days: daysOf(scope.period), series: percentiles(scope, waits.rows) },
  )

const minuteChart: ChartOf = ({ costs }, scope, completeness) => {
  const sums = new Map<string, { day: string; used: number; wasted: number }>()
  for (const { day, minutes, minutes_wasted } of costs.rows) {
    const { used, wasted } = sums.get(day) ?? { used: 0, wasted: 0 }
    sums.set(day, { day, used: used + minutes - minutes_wasted, wasted: wasted + minutes_wasted })
  }
  const rows = [...sums.values()]
  const series = [
    seriesOf(scope, rows, 'Used', 'used', (row) => row.used),
    seriesOf(scope, rows, 'Wasted', 'wasted', (row) => row.wasted),
  ]
  return chartCard(
    {
      kind: 'bars',
      title: 'Agent minutes a day',
      subtitle: 'wasted: lost, canceled, retried or rebuilt',
      readings: [costs],
      completeness,
    },
    { unit: 'minutes', days: daysOf(scope.period), series },
  )
}

interface PercentilesOfDay {
  readonly day: string
  readonly p50_seconds: number | null
  readonly p90_seconds: number | null
}

function percentiles(scope: Scope, rows: readonly PercentilesOfDay[]): Series[] {
  return [
    seriesOf(scope, rows, 'p50', 'first', (row) => row.p50_seconds),
    seriesOf(scope, rows, 'p90', 'second', (row) => row.p90_seconds),
  ]
}

/** A value for each day of the period; null for a day without a row. */
function seriesOf<Row extends { day: string }>(
  { period }: Scope,
  rows: readonly Row[],
  name: string,
  shade: string,
  value: (row: Row) => number | null,
): Series {
  const byDay = new Map(rows.map((row) => [row.day, row]))
  const values = daysOf(period).map((day) => {
    const row = byDay.get(day)
    return row ? value(row) : null
  })
  return { name, shade, values }
}
