import type { CatalogRelation, CatalogSchema } from '../../database/catalog.ts'
import { escaped as text } from './html.ts'

/** The schema explorer as one HTML page, without scripts and without requests to other hosts. */
export function schemaPage(catalog: readonly CatalogSchema[]): string {
  return `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>Schema · buildkite-mirror</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
table { border-collapse: collapse; width: 100% } td, th { border-top: 1px solid #8884; padding: .25rem .5rem; text-align: left; vertical-align: top }
code { font-size: .9em } .example { color: #777; overflow-wrap: anywhere } nav li { display: inline-block; margin-right: 1rem }
</style>
<h1>Schema</h1>
<p><a href="/">buildkite-mirror</a> · the same as JSON: send <code>Accept: application/json</code></p>
${catalog.map(contents).join('\n')}
${catalog.map(schemaPart).join('\n')}
</html>
`
}

function contents({ name, relations }: CatalogSchema): string {
  const items = relations.map(({ name: relation }) => `<li><a href="#${name}.${relation}">${text(relation)}</a></li>`)
  return `<nav><b>${text(name)}</b><ul>${items.join('')}</ul></nav>`
}

function schemaPart({ name, comment, relations, functions }: CatalogSchema): string {
  const items = functions.map((one) => `<li><code>${text(one.signature)}</code>: ${text(one.comment ?? '')}</li>`)
  return `<h2 id="${name}">${text(name)}</h2>
<p>${text(comment ?? '')}</p>
${relations.map((relation) => relationPart(name, relation)).join('\n')}
${items.length > 0 ? `<h3>Functions of ${text(name)}</h3><ul>${items.join('\n')}</ul>` : ''}`
}

function relationPart(schema: string, { name, kind, comment, key, columns }: CatalogRelation): string {
  const rows = columns.map(
    (column) =>
      `<tr><td><code>${text(column.name)}</code>${key.includes(column.name) ? ' (key)' : ''}</td><td>${text(column.type)}</td>` +
      `<td>${text(column.comment ?? '')}</td><td class="example">${text(column.example ?? '')}</td></tr>`,
  )
  return `<h3 id="${schema}.${name}">${text(schema)}.${text(name)} <small>${kind}</small></h3>
<p>${text(comment ?? '')}</p>
<table><tr><th>Column</th><th>Type</th><th>Meaning</th><th>Example</th></tr>
${rows.join('\n')}
</table>`
}
