import { ago } from '../pages/format.ts'
import { html, type Markup, type Part } from '../pages/html.ts'
import { durationText } from './charts.ts'
import { type CardOptions, card } from './figure.ts'
import { type Filters, linkTo, pathOf, type SortKey } from './filters.ts'
import type { BuildLine } from './queries/builds.ts'
import type { Reading } from './query.ts'

/** A column of a table. `name` is text that may wrap, `n` a number, `wide` is left out on a phone. */
export interface Column<Row> {
  readonly head: string
  readonly shade?: 'name' | 'nowrap' | 'n' | 'n wide' | 'wide'
  readonly sort?: SortKey
  readonly cell: (row: Row) => Part
}

/** How a table can be sorted: by links to the page at `path`. */
interface Sorting {
  readonly path: string
  readonly filters: Filters
  /** The order without a choice. */
  readonly fallback: string
}

interface TableOptions<Row> extends Omit<CardOptions, 'readings'> {
  readonly reading: Reading<Row>
  readonly columns: readonly Column<Row>[]
  /** What stands there without rows. */
  readonly empty: Part
  readonly sorting?: Sorting
  /** How many rows there are, if more than are shown. */
  readonly all?: number | undefined
  /** Whether a phone shows a block for each row: the column `name` below the others. */
  readonly isStacked?: boolean
}

/** A card with a table. */
export function tableCard<Row>({ reading, empty, sorting, all, isStacked, ...options }: TableOptions<Row>): Markup {
  const { title, columns } = options
  const { rows } = reading
  const more =
    all !== undefined &&
    all > rows.length &&
    html`<p class="quiet small">The first ${rows.length} of ${all}. Sort by another column or filter to see others.</p>`
  const content =
    rows.length === 0
      ? html`<p class="empty">${empty}</p>`
      : html`${tableOf(title, columns, rows, sorting, isStacked)}${more}`
  return card({ ...options, readings: [reading] }, content)
}

/** A table that scrolls sideways if it must. */
function tableOf<Row>(
  label: string,
  columns: readonly Column<Row>[],
  rows: readonly Row[],
  sorting?: Sorting,
  isStacked = false,
): Markup {
  const heads = columns.map(({ head, shade, sort }) => {
    const attributes = html`scope="col" class="${shade === 'name' ? '' : shade}"`
    return sorting && sort ? sortHead(head, sort, attributes, sorting) : html`<th ${attributes}>${head}</th>`
  })
  const lines = rows.map(
    (row) => html`<tr>${columns.map(({ shade, cell }) => html`<td class="${shade}">${cell(row)}</td>`)}</tr>`,
  )
  return html`<div class="scroll" tabindex="0" role="region" aria-label="${label}"><table class="list ${isStacked && 'stacked'}"${sorting && html` id="table"`}><thead><tr>${heads}</tr></thead><tbody>${lines}</tbody></table></div>`
}

/** A column head that sorts, and reverses if it is the order already. */
function sortHead(text: string, key: SortKey, attributes: Markup, { path, filters, fallback }: Sorting): Markup {
  const sort = filters.sort ?? fallback
  const isSorted = sort.replace('-', '') === key
  const isDown = sort.startsWith('-')
  const next = isSorted ? isDown : key === 'name'
  const order = isSorted && html` aria-sort="${isDown ? 'descending' : 'ascending'}"`
  const arrow = isSorted && html`<span aria-hidden="true"> ${isDown ? '↓' : '↑'}</span>`
  return html`<th ${attributes}${order}><a href="${linkTo(path, { ...filters, sort: next ? key : `-${key}` })}#table">${text}${arrow}</a></th>`
}

const open = new Set(['creating', 'scheduled', 'running', 'failing', 'canceling'])

/** The state of a build as a badge. */
export function badge(state: string | null): Markup {
  const shade = state === null ? '' : open.has(state) ? 'running' : state
  return html`<span class="state ${shade}">${(state ?? 'unknown').replaceAll('_', ' ')}</span>`
}

export const firstLine = (message: string | null) => (message ?? '').split('\n')[0] || 'no message'

/** The columns of a list of builds. */
export function buildColumns(organization: string, now: Date, showsPipeline: boolean): Column<BuildLine>[] {
  const name = ({ pipeline, build_number }: BuildLine) => html`${showsPipeline && `${pipeline} `}#${build_number}`
  return [
    {
      head: 'Build',
      shade: 'nowrap',
      cell: (one) =>
        html`${one.pipeline === null ? name(one) : html`<a href="${pathOf(organization, 'pipelines', one.pipeline, 'builds', one.build_number)}">${name(one)}</a>`}<small>${one.created_at && ago(one.created_at, now)}</small>`,
    },
    { head: 'State', cell: ({ state }) => badge(state) },
    {
      head: 'Message',
      shade: 'name',
      cell: ({ message, branch, commit, author_name }) =>
        html`${firstLine(message)}<small>${[branch, commit?.slice(0, 8), author_name].filter(Boolean).join(' · ')}</small>`,
    },
    { head: 'Duration', shade: 'n', cell: ({ run_seconds }) => durationText(run_seconds) },
  ]
}
