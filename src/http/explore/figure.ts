import { html, type Markup } from '../pages/html.ts'
import { type Chart, drawBars, drawLines, legendOf, valueText } from './charts.ts'
import type { Reading } from './query.ts'

/** How complete the data of a page is: a short text beside each chart, which links to the sentence at the top. */
export interface Completeness {
  readonly short: string
  readonly sentence: Markup
  readonly isWhole: boolean
}

interface CardOptions {
  readonly title: string
  readonly subtitle?: Markup | string | undefined
  /** Every statement whose numbers the card shows. */
  readonly readings: readonly Reading<unknown>[]
  readonly completeness: Completeness
  readonly wide?: boolean
}

/** A card with its title, its content or why there is none, how complete its data is, and its SQL. */
export function card(
  { title, subtitle, readings, completeness, wide }: CardOptions,
  content: Markup,
  numbers?: Markup,
): Markup {
  const refusal = readings.find((one) => one.refusal !== undefined)?.refusal
  return html`<section class="card ${wide && 'across'}"><div class="head"><h2>${title}</h2>${subtitle && html`<p class="quiet small">${subtitle}</p>`}</div>
${refusal ? html`<p class="refusal">${refusal}</p>` : content}
${sourceOf(title, readings, completeness, numbers)}</section>`
}

/** The end of a card: how complete its data is, and the SQL to paste into psql. */
export function sourceOf(
  title: string,
  readings: readonly Reading<unknown>[],
  { short, isWhole }: Completeness,
  numbers?: Markup,
): Markup {
  const text = readings.map((one) => `${one.text};`).join('\n\n')
  const summary = numbers ? 'SQL and numbers' : 'SQL'
  return html`<div class="source"><a class="${isWhole ? 'quiet' : 'mark warn'}" href="#completeness">${short}</a>
<details><summary>${summary}<span class="unseen"> of ${title}</span></summary>${numbers}<pre tabindex="0" aria-label="SQL of ${title}"><code>${text}</code></pre></details></div>`
}

interface ChartOptions extends CardOptions {
  readonly kind: 'bars' | 'lines'
}

/** A chart in a card. Without any value there is a sentence instead. */
export function chartCard(options: ChartOptions, chart: Omit<Chart, 'title'>): Markup {
  const whole = { ...chart, title: options.title }
  const isEmpty = chart.series.every(({ values }) =>
    values.every((value) => value === null || (options.kind === 'bars' && value === 0)),
  )
  const drawing = options.kind === 'bars' ? drawBars(whole) : drawLines(whole)
  const shown = chart.series.filter(({ values }) => values.some((value) => value !== null && value !== 0))
  const content = isEmpty ? html`<p class="empty">Nothing in this period.</p>` : html`${legendOf(shown)}${drawing}`
  return card(options, content, isEmpty ? undefined : numbersOf(whole))
}

/** The numbers of a chart as a table: its text alternative. */
function numbersOf({ days, series, unit, title }: Chart): Markup {
  const rows = days.map(
    (day, index) =>
      html`<tr><th scope="row">${day}</th>${series.map(({ values }) => html`<td class="n">${valueText(unit, values[index] ?? null)}</td>`)}</tr>`,
  )
  return html`<div class="numbers" tabindex="0" role="region" aria-label="Numbers of ${title}"><table><thead><tr><th scope="col">Day</th>${series.map(({ name }) => html`<th scope="col" class="n">${name}</th>`)}</tr></thead><tbody>${rows}</tbody></table></div>`
}

interface TileOptions {
  readonly title: string
  readonly figure: Markup | string
  readonly note?: Markup | string | undefined
  readonly change?: Markup | undefined
}

/** One figure of the row at the top. */
export function tile({ title, figure, note, change }: TileOptions): Markup {
  return html`<div class="figure"><h2>${title}</h2><b>${figure} ${change}</b><p>${note}</p></div>`
}

/** How a value differs from the period before; `better` is the good direction. Undefined if one of the two is not known. */
export type Change = (
  present: number | null,
  before: number | null,
  better: 'up' | 'down' | 'neither',
  text: (value: number) => string,
) => Markup | undefined

/** An arrow and the difference. The tooltip says what the value was. */
export const changeOf: Change = (present, before, better, text) => {
  if (present === null || before === null || before === 0) return undefined
  const share = Math.round(Math.abs(present / before - 1) * 100)
  const isUp = present > before
  const tone = better === 'neither' || share === 0 ? 'quiet' : isUp === (better === 'up') ? 'good' : 'bad'
  const words =
    share === 0
      ? 'as before'
      : html`<span aria-hidden="true">${isUp ? '↑' : '↓'}</span><span class="unseen">${isUp ? 'up' : 'down'}</span> ${Math.min(999, share)} %`
  return html`<small class="change ${tone}" title="${text(before)} in the period before">${words}</small>`
}
