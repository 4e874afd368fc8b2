import { html, type Markup } from '../pages/html.ts'
import { buildsTable } from './builds-table.ts'
import { type Completeness, card } from './figure.ts'
import { linkTo, pathOf, type Scope } from './filters.ts'
import { spanLinks } from './frame.ts'
import type { BuildLine } from './queries/builds.ts'
import { FOUND_SHOWN, kindsOf, type SearchKind, search } from './queries/search.ts'
import { type ExploreParts, type Reading, read } from './query.ts'

type Found = { readonly kind: SearchKind; readonly reading: Reading<BuildLine> }

/** Searches everything that the text can be. */
export async function readSearch(parts: ExploreParts, scope: Scope): Promise<Found[]> {
  const text = scope.filters.q?.trim() ?? ''
  if (text === '') return []
  const kinds = kindsOf(text, scope.filters.by)
  return Promise.all(kinds.map(async (kind) => ({ kind, reading: await read(parts, search(scope, kind, text)) })))
}

const names: Readonly<Record<SearchKind, string>> = {
  number: 'Number',
  commit: 'Commit',
  branch: 'Branch',
  author: 'Author or creator',
  message: 'Message',
}

/** The results, a card for each kind that found something. */
export function searchBody(found: readonly Found[], scope: Scope, completeness: Completeness, now: Date): Markup {
  const { organization, filters } = scope
  const path = pathOf(organization, 'search')
  const text = filters.q?.trim() ?? ''
  const kinds = (['any', ...Object.keys(names)] as ('any' | SearchKind)[]).map(
    (by) =>
      html`<a href="${linkTo(path, { ...filters, by })}"${filters.by === by && html` aria-current="true"`}>${by === 'any' ? 'Everything' : by === 'author' ? 'Author' : names[by as SearchKind]}</a>`,
  )
  const cards = found
    .filter(({ reading }) => reading.rows.length > 0 || reading.refusal)
    .map(({ kind, reading }) =>
      card(
        {
          title: names[kind],
          subtitle: reading.rows.length === FOUND_SHOWN ? `the newest ${FOUND_SHOWN}` : undefined,
          readings: [reading],
          completeness,
        },
        buildsTable(organization, reading.rows, now, true),
      ),
    )
  const none =
    text === ''
      ? 'Type a build number, the first characters of a commit, a branch, a name or words of a message.'
      : `No build matches “${text}”.`
  return html`<div class="filters"><nav class="spans kinds" aria-label="Search in">${kinds}</nav>${spanLinks(path, filters)}</div>
<p class="small quiet">Numbers, commits (their first characters) and branches (whole names) are searched in all builds; authors and messages in those of the last ${filters.days} days.</p>
${cards.length > 0 ? cards : html`<section class="card"><p class="empty">${none}</p></section>`}`
}
