import { scaleBand, scaleLinear } from 'd3-scale'
import { line, stack } from 'd3-shape'
import { formatDuration, SECOND } from '../../runtime/time.ts'
import { count } from '../pages/format.ts'
import { html, type Markup } from '../pages/html.ts'

/** What a value is: this decides its ticks and its text. */
export type Unit = 'count' | 'seconds' | 'share' | 'minutes' | 'delay' | 'most'

/** One line, or one part of each bar. `shade` is its class in style.ts. A null is a day without a value. */
export interface Series {
  readonly name: string
  readonly shade: string
  readonly values: readonly (number | null)[]
}

export interface Chart {
  /** What it shows, for screen readers. */
  readonly title: string
  readonly unit: Unit
  /** The days, or the times of another kind of point, as text. */
  readonly days: readonly string[]
  /** What such a point is called, in the plural, and how it is shown; default days. */
  readonly points?: { readonly name: string; readonly label: (at: string) => string }
  readonly series: readonly Series[]
}

const HEIGHT = 176
const TOP = 12
const BOTTOM = 24
/** The width of the labels of the vertical axis. */
const GUTTER = 46
/** The inner width that lines are drawn in; the browser stretches it. */
const INNER = 1_000

/** Bars by day, with a part for each series. */
export function drawBars(chart: Chart): Markup {
  const { days, series } = chart
  const rows = days.map((_day, index) =>
    Object.fromEntries(series.map(({ name, values }) => [name, values[index] ?? 0])),
  )
  const parts = stack<Record<string, number>>().keys(series.map(({ name }) => name))(rows)
  const most = Math.max(0, ...parts.flatMap((part) => part.map(([, high]) => high)))
  const y = valueScale(chart.unit, most)
  const x = dayScale(days).paddingInner(0.22)
  const bars = parts.flatMap((part, place) =>
    part.flatMap(([low, high], index) => {
      const height = y.at(low) - y.at(high)
      if (!(height > 0)) return []
      const left = x(days[index] ?? '') ?? 0
      return [
        html`<rect class="${series[place]?.shade}" x="${percent(left)}" y="${y.at(high).toFixed(1)}" width="${percent(x.bandwidth())}" height="${height.toFixed(1)}"/>`,
      ]
    }),
  )
  return frameOf(chart, y, html`${bars}`)
}

/** A line by day for each series. */
export function drawLines(chart: Chart): Markup {
  const { days, series } = chart
  const most = Math.max(0, ...series.flatMap(({ values }) => values.map((value) => value ?? 0)))
  const y = valueScale(chart.unit, most)
  const x = dayScale(days)
  const pathOf = line<number | null>()
    .defined((value) => value !== null)
    .x((_value, index) => ((x(days[index] ?? '') ?? 0) + x.bandwidth() / 2) * INNER)
    .y((value) => y.at(value ?? 0))
  const paths = series.map(({ shade, values }) => html`<path class="line ${shade}" d="${pathOf([...values]) ?? ''}"/>`)
  const drawing = html`<svg viewBox="0 0 ${INNER} ${HEIGHT}" preserveAspectRatio="none" width="100%" height="${HEIGHT}">${paths}</svg>`
  // A line through one value has no length.
  const isAlone = (values: Series['values'], index: number) =>
    (values[index - 1] ?? null) === null && (values[index + 1] ?? null) === null
  const dots = series.flatMap(({ shade, values }) =>
    values.map(
      (value, index) =>
        value !== null &&
        isAlone(values, index) &&
        html`<circle class="${shade}" cx="${percent((x(days[index] ?? '') ?? 0) + x.bandwidth() / 2)}" cy="${y.at(value).toFixed(1)}" r="2"/>`,
    ),
  )
  return frameOf(chart, y, html`${drawing}${dots}`)
}

interface ValueScale {
  readonly at: (value: number) => number
  readonly ticks: readonly { readonly at: number; readonly text: string }[]
}

/** The vertical scale, from 0 to a round number of the unit in which the highest value is read. */
function valueScale(unit: Unit, most: number): ValueScale {
  const isTime = unit === 'seconds' || unit === 'delay'
  const step = isTime ? (most > 5_400 ? 3_600 : most > 90 ? 60 : 1) : 1
  const suffix = !isTime ? '' : step === 3_600 ? ' h' : step === 60 ? ' min' : ' s'
  const least = unit === 'share' ? 0.01 : isTime ? 1 : 4
  const scale = scaleLinear()
    .domain([0, Math.max(least, most / step)])
    .nice(4)
    .range([HEIGHT - BOTTOM, TOP])
  const text = (value: number) =>
    unit === 'share' ? `${Number((value * 100).toFixed(1))} %` : isTime ? `${value}${suffix}` : compact(value)
  return {
    at: (value) => scale(value / step),
    ticks: scale.ticks(4).map((value) => ({ at: scale(value), text: text(value) })),
  }
}

const dayScale = (days: readonly string[]) => scaleBand<string>().domain(days).range([0, 1])

const percent = (share: number) => `${(share * 100).toFixed(3)}%`

/** Texts keep their size, so only their places are shares of the width. */
function frameOf(chart: Chart, y: ValueScale, drawing: Markup): Markup {
  const { days, title, points = dayPoints } = chart
  const x = dayScale(days)
  const values = y.ticks.map(
    ({ at, text }) => html`<text x="${GUTTER - 8}" y="${(at + 4).toFixed(1)}" text-anchor="end">${text}</text>`,
  )
  const grid = y.ticks.map(({ at }) => html`<line x2="100%" y1="${at.toFixed(1)}" y2="${at.toFixed(1)}"/>`)
  const labels = dayTicks(days).map(
    (day) =>
      html`<text x="${percent((x(day) ?? 0) + x.bandwidth() / 2)}" y="${HEIGHT - 4}" text-anchor="middle">${points.label(day)}</text>`,
  )
  const tips = days.map(
    (day, index) =>
      html`<rect class="hit" x="${percent(x(day) ?? 0)}" width="${percent(x.bandwidth())}" height="${HEIGHT - BOTTOM}"><title>${points.label(day)}${tipOf(chart, index)}</title></rect>`,
  )
  return html`<div class="chart" role="img" aria-label="${title}. ${summaryOf(chart)}"><svg width="${GUTTER}" height="${HEIGHT}">${values}</svg><svg class="plot" height="${HEIGHT}"><g class="grid">${grid}</g>${drawing}${labels}${tips}</svg></div>`
}

/** The four or five days that get a label, at equal distances. A phone has room for no more. */
function dayTicks(days: readonly string[]): string[] {
  const every = Math.ceil(days.length / 4.5)
  return days.filter((_day, index) => index % every === Math.floor(every / 3))
}

function tipOf({ series, unit }: Chart, index: number): string {
  return series.map(({ name, values }) => `\n${name}: ${valueText(unit, values[index] ?? null)}`).join('')
}

/** The chart in words: what each series adds up to, or its range. */
function summaryOf({ series, unit, days, points = dayPoints }: Chart): string {
  const parts = series.map(({ name, values }) => {
    const known = values.filter((value): value is number => value !== null)
    if (known.length === 0) return `${name}: no values`
    if (unit === 'most') return `${name}: at most ${count(Math.max(...known))}`
    if (unit === 'count' || unit === 'minutes') return `${name}: ${count(known.reduce((sum, value) => sum + value, 0))}`
    return `${name}: ${valueText(unit, Math.min(...known))} to ${valueText(unit, Math.max(...known))}`
  })
  return `${days.length} ${points.name}. ${parts.join('; ')}.`
}

const dayPoints = { name: 'days', label: shortDay }

/** A value with its unit. */
export function valueText(unit: Unit, value: number | null): string {
  if (value === null) return '–'
  if (unit === 'delay') return value < 1 ? `${Math.round(value * 1_000)} ms` : durationText(value)
  if (unit === 'seconds') return durationText(value)
  if (unit === 'share') return shareText(value)
  return count(value)
}

/** 4m 10s; less than a second is 0s. */
export function durationText(seconds: number | null): string {
  if (seconds === null) return '–'
  return seconds < 0.5 ? '0s' : formatDuration(Math.max(1, Math.round(seconds)) * SECOND)
}

/** A share as a percentage, with a digit after the point below 10 %. */
export function shareText(share: number | null): string {
  if (share === null) return '–'
  const value = share * 100
  return `${value >= 9.95 || value === 0 ? Math.round(value) : value.toFixed(1)} %`
}

const short = new Intl.NumberFormat('en', { notation: 'compact', maximumFractionDigits: 1 })
/** 950, 1.2K, 3M. */
export const compact = (value: number) => short.format(value)

/** 27 Aug */
export function shortDay(day: string): string {
  return new Date(day).toLocaleDateString('en-GB', { day: 'numeric', month: 'short', timeZone: 'UTC' })
}

/** Small bars for a table's row; the numbers are beside it. */
export function drawSparkline(values: readonly number[], label: string): Markup {
  const most = Math.max(1, ...values)
  const bars = values.map((value, index) => {
    const height = value === 0 ? 0 : Math.max(1, (value / most) * 20)
    return html`<rect x="${index}" y="${(20 - height).toFixed(1)}" width="0.7" height="${height.toFixed(1)}"/>`
  })
  return html`<svg class="sparkline" viewBox="0 0 ${values.length} 20" preserveAspectRatio="none" role="img" aria-label="${label}"><title>${label}</title>${bars}</svg>`
}

/** What the shades of a chart mean. */
export function legendOf(series: readonly Pick<Series, 'name' | 'shade'>[]): Markup {
  return html`<ul class="legend">${series.map(({ name, shade }) => html`<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="${shade}" width="10" height="10"/></svg>${name}</li>`)}</ul>`
}
