import { count } from '../pages/format.ts'
import { html, type Markup } from '../pages/html.ts'
import { durationText, shareText } from './charts.ts'
import { type Change, type Completeness, changeOf, sourceOf, tile } from './figure.ts'
import { isNarrowed, type Scope } from './filters.ts'
import type { CostsOfDay } from './queries/costs.ts'
import type { Reading } from './query.ts'
import { ratio, type Trends } from './trends.ts'

/** The row of figures, each against the period before if that is complete. */
export function figuresOf(trends: Trends, scope: Scope, completeness: Completeness, isCompared: boolean): Markup {
  const changed: Change = (present, before, better, text) => changeOf(present, isCompared ? before : null, better, text)
  const { results, failures, durationSpans, recoveries, waitSpans, costs } = trends
  const readings = [results, durationSpans, recoveries, failures, waitSpans, costs]
  const tiles = [
    ...buildTiles(trends, scope, changed),
    recoveryTile(trends, scope, changed),
    failureTile(trends, scope, changed),
    waitTile(trends, scope, changed),
    ...costTiles(costs, scope, changed),
  ]
  return html`<div class="figures four">${tiles}</div>
<div class="under-figures">${sourceOf('these figures', readings, completeness)}</div>`
}

/** Rows of the period, and of the one before. */
const split = <Row extends { day: string }>(rows: readonly Row[], { period }: Scope) => ({
  present: rows.filter(({ day }) => day >= period.from),
  before: rows.filter(({ day }) => day < period.from),
})
const total = <Row>(rows: readonly Row[], value: (row: Row) => number) => rows.reduce((sum, row) => sum + value(row), 0)
const spansOf = <Row extends { is_present: boolean }>({ rows }: Reading<Row>) => ({
  present: rows.find((row) => row.is_present),
  before: rows.find((row) => !row.is_present),
})
const known = ({ refusal }: Reading<unknown>, text: string) => (refusal ? '–' : text)

function buildTiles({ results, durationSpans }: Trends, scope: Scope, changed: Change): Markup[] {
  const { present, before } = split(results.rows, scope)
  type Rows = typeof present
  const finished = (rows: Rows) => total(rows, (row) => row.passed + row.failed)
  const every = (rows: Rows) => finished(rows) + total(rows, (row) => row.canceled + row.skipped + row.blocked)
  const failed = (rows: Rows) =>
    ratio(
      total(rows, (row) => row.failed),
      finished(rows),
    )
  const retried = total(present, (row) => row.passed_on_retry)
  const spans = spansOf(durationSpans)
  const [p50, p50Before] = [spans.present?.p50_seconds ?? null, spans.before?.p50_seconds ?? null]
  const [p90, p90Before] = [spans.present?.p90_seconds ?? null, spans.before?.p90_seconds ?? null]
  return [
    tile({
      title: 'Builds',
      figure: known(results, count(every(present))),
      note: `${count(finished(present))} passed or failed`,
      change: changed(every(present), every(before), 'neither', count),
    }),
    tile({
      title: 'Builds that failed',
      figure: known(results, shareText(failed(present))),
      note: `${count(retried)} more passed on a retry`,
      change: changed(failed(present), failed(before), 'down', shareText),
    }),
    tile({
      title: 'Duration, p50',
      figure: known(durationSpans, durationText(p50)),
      note: html`p90 ${durationText(p90)} ${changed(p90, p90Before, 'down', durationText)}`,
      change: changed(p50, p50Before, 'down', durationText),
    }),
  ]
}

function recoveryTile({ recoveries }: Trends, { filters, pipelineId }: Scope, changed: Change): Markup {
  const title = 'Time to green, p50'
  if (filters.branch !== undefined) return tile({ title, figure: '–', note: 'not known by branch' })
  const { present, before } = spansOf(recoveries)
  const p50 = present?.p50_seconds ?? null
  const red = present?.still_red ?? 0
  return tile({
    title,
    figure: known(recoveries, durationText(p50)),
    note: `${pipelineId ? 'the default branch' : 'default branches'} broke ${count(present?.breaks ?? 0)} times${red > 0 ? `, ${count(red)} still red` : ''}`,
    change: changed(p50, before?.p50_seconds ?? null, 'down', durationText),
  })
}

function failureTile({ failures }: Trends, scope: Scope, changed: Change): Markup {
  const title = 'Jobs that failed'
  if (scope.filters.branch !== undefined) return tile({ title, figure: '–', note: 'not known by branch' })
  const { present, before } = split(failures.rows, scope)
  const rate = (rows: typeof present, part: 'hard_failed' | 'soft_failed' | 'infra_failed') =>
    ratio(
      total(rows, (row) => row[part]),
      total(rows, (row) => row.tries - row.canceled),
    )
  return tile({
    title,
    figure: known(failures, shareText(rate(present, 'hard_failed'))),
    note: `soft ${shareText(rate(present, 'soft_failed'))}, infrastructure ${shareText(rate(present, 'infra_failed'))}`,
    change: changed(rate(present, 'hard_failed'), rate(before, 'hard_failed'), 'down', shareText),
  })
}

function waitTile({ waitSpans }: Trends, scope: Scope, changed: Change): Markup {
  const { present, before } = spansOf(waitSpans)
  const p90 = present?.p90_seconds ?? null
  return tile({
    title: 'Wait for an agent, p90',
    figure: known(waitSpans, durationText(p90)),
    note: `p50 ${durationText(present?.p50_seconds ?? null)}${isNarrowed(scope) ? ', all queues' : ''}`,
    change: changed(p90, before?.p90_seconds ?? null, 'down', durationText),
  })
}

function costTiles(costs: Reading<CostsOfDay>, scope: Scope, changed: Change): Markup[] {
  const { present, before } = split(costs.rows, scope)
  const minutes = (rows: readonly CostsOfDay[]) => total(rows, (row) => row.minutes)
  const wasted = total(present, (row) => row.minutes_wasted)
  const time = tile({
    title: 'Agent time',
    figure: known(costs, hoursText(minutes(present))),
    note: `${shareText(ratio(wasted, minutes(present)))} wasted`,
    change: changed(minutes(present), minutes(before), 'neither', hoursText),
  })
  const [main, ...others] = [...byCurrency(present)].sort((a, b) => b[1] - a[1])
  if (!main) {
    const note = html`set rates in <code>settings.queue_rates</code>`
    return [time, tile({ title: 'Cost', figure: '–', note })]
  }
  const [currency, cost] = main
  const unpriced = minutes(present.filter((row) => row.currency === null))
  const rest = others.map(([name, sum]) => `and ${moneyText(sum, name)}`).join(' ')
  const price = tile({
    title: 'Cost',
    figure: known(costs, moneyText(cost, currency)),
    note: rest || (unpriced >= 1 ? `${hoursText(unpriced)} have no rate` : 'agent time at your rates'),
    change: changed(cost, byCurrency(before).get(currency) ?? null, 'neither', (value) => moneyText(value, currency)),
  })
  return [time, price]
}

function byCurrency(rows: readonly CostsOfDay[]): Map<string, number> {
  const sums = new Map<string, number>()
  for (const { currency, cost } of rows) {
    if (currency !== null) sums.set(currency, (sums.get(currency) ?? 0) + (cost ?? 0))
  }
  return sums
}

/** Minutes as hours. */
export const hoursText = (minutes: number) => (minutes < 90 ? `${Math.round(minutes)} min` : `${count(minutes / 60)} h`)

/** Money with its currency. */
export function moneyText(value: number, currency: string): string {
  const digits = value < 100 ? 2 : 0
  if (!/^[A-Z]{3}$/.test(currency)) return `${value.toFixed(digits)} ${currency}`
  const fraction = { minimumFractionDigits: digits, maximumFractionDigits: digits }
  return new Intl.NumberFormat('en', { style: 'currency', currency, ...fraction }).format(value)
}
