import type { CatalogColumn, CatalogRelation, CatalogSchema } from '../../../database/catalog.ts'
import { count, some } from '../format.ts'
import { topBar } from '../header.ts'
import { html, type Markup } from '../html.ts'
import { page } from '../layout.ts'

/** How many results of a search are shown. */
const SHOWN = 100

/** A catalog, and whether it has the examples from the rows. */
export interface SchemaView {
  readonly catalog: readonly CatalogSchema[]
  readonly hasExamples: boolean
}

/** The first page of the schema explorer: the schemas with their tables and views. */
export function schemaIndex({ catalog }: SchemaView): Markup {
  const schemas = catalog.map(
    ({
      name,
      comment,
      relations,
    }) => html`<section class="card"><div class="head"><h2><a href="/schema/${name}">${name}</a></h2><p class="quiet small">${some(relations.length, 'table or view', 'tables and views')}</p></div>
<p>${comment}</p><ul class="chips">${relations.map((one) => html`<li><a href="${linkTo(name, one.name)}">${one.name}</a></li>`)}</ul></section>`,
  )
  return frame({ title: 'Schema', heading: 'Schema', q: '', body: html`${schemas}` })
}

/** One schema with its tables, views and functions. The relation `open` shows its columns. */
export function schemaOf(schema: CatalogSchema, open: string | undefined, hasExamples: boolean): Markup {
  const { name, comment, relations, functions } = schema
  const items = functions.map(
    (one) => html`<li><code class="break">${one.signature}</code><span>${one.comment}</span></li>`,
  )
  const body = html`<p>${comment}${!hasExamples && html` <span class="quiet">Examples are being read: reload the page.</span>`}</p>
<div class="card relations">${relations.map((one) => relationPart(name, one, open === one.name || relations.length === 1))}</div>
${items.length > 0 && html`<section class="card"><h2>Functions</h2><ul class="plain">${items}</ul></section>`}`
  return frame({ title: name, heading: name, q: '', body })
}

/** The tables, views and columns whose name or comment has the words of `q`. */
export function schemaSearch({ catalog }: SchemaView, q: string): Markup {
  const words = q.toLowerCase().split(/\s+/).filter(Boolean)
  const isHit = (...texts: readonly (string | null)[]) => {
    const text = texts.join(' ').toLowerCase()
    return words.every((word) => text.includes(word))
  }
  const hits = catalog.flatMap(({ name, relations }) =>
    relations.flatMap((relation) => {
      const link = linkTo(name, relation.name)
      const full = `${name}.${relation.name}`
      const own = isHit(full, relation.comment) ? [hitPart(link, full, relation.kind, relation.comment)] : []
      const columns = relation.columns
        .filter((column) => isHit(full, column.name, column.comment) && !isHit(full))
        .map((column) => hitPart(link, `${full}.${column.name}`, column.type, column.comment))
      return [...own, ...columns]
    }),
  )
  const shown = hits.slice(0, SHOWN)
  const body = html`<div class="card"><div class="head"><h2>${some(hits.length, 'result')}</h2>${hits.length > SHOWN && html`<p class="quiet small">the first ${count(SHOWN)}</p>`}</div>
${hits.length === 0 ? html`<p class="quiet">No table, view or column has all of these words in its name or comment.</p>` : html`<ul class="plain">${shown}</ul>`}</div>`
  return frame({ title: 'Schema', heading: `Search: ${q}`, q, body })
}

/** The page for a schema that does not exist. */
export function noSchema(name: string): Markup {
  const body = html`<p class="quiet break">There is no schema ${name}. <a href="/schema">All schemas</a></p>`
  return frame({ title: 'Schema', heading: 'No such schema', q: '', body })
}

function hitPart(link: string, name: string, type: string, comment: string | null): Markup {
  return html`<li><a class="break" href="${link}">${name}</a> <small class="quiet">${type}</small><span>${comment}</span></li>`
}

function linkTo(schema: string, relation: string): string {
  return `/schema/${schema}?${new URLSearchParams({ open: relation })}#${schema}.${relation}`
}

function frame({ title, heading, q, body }: { title: string; heading: string; q: string; body: Markup }): Markup {
  return page({
    title,
    body: html`${topBar('/schema')}
<main><div class="head title"><h1>${heading}</h1>
<form method="get" action="/schema" role="search" class="search"><label class="unseen" for="q">Search tables and columns</label><input type="search" id="q" name="q" value="${q}" maxlength="200" placeholder="Table, column or word"><button>Search</button></form></div>
${body}
<p class="quiet small">${heading !== 'Schema' && html`<a href="/schema">All schemas</a> · `}Everything as JSON: send <code>Accept: application/json</code> to <code>/schema</code>.</p></main>`,
  })
}

function relationPart(schema: string, { name, kind, comment, key, columns }: CatalogRelation, open: boolean): Markup {
  return html`<details id="${schema}.${name}"${open && html` open`}><summary><b class="break">${name}</b> <small class="quiet">${kind}, ${some(columns.length, 'column')}</small><span class="quiet">${comment}</span></summary>
<div class="scroll" tabindex="0" role="region" aria-label="Columns of ${name}"><table class="columns"><thead><tr><th scope="col">Column</th><th scope="col">Type</th><th scope="col">Meaning</th><th scope="col">Example</th></tr></thead><tbody>${columns.map((column) => columnRow(column, key.includes(column.name)))}</tbody></table></div></details>`
}

function columnRow({ name, type, comment, example }: CatalogColumn, isKey: boolean): Markup {
  return html`<tr><td class="what"><code>${name}</code>${isKey && html`<small>key</small>`}</td><td class="when">${type}</td><td class="break">${comment}</td><td class="break quiet">${example}</td></tr>`
}
