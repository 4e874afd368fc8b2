import { type SQL, sql } from 'drizzle-orm'
import type { Scope } from '../filters.ts'
import { all, type Query } from '../query.ts'
import { type BuildLine, buildLine, buildLineColumns } from './builds.ts'

export const FOUND_SHOWN = 50

/** What a search looks at. Number, commit and branch have indexes; authors and messages are read, so only those of the period. */
export type SearchKind = 'number' | 'commit' | 'branch' | 'author' | 'message'

/** The kinds that a text can be. */
export function kindsOf(text: string, by: string): SearchKind[] {
  const possible: Record<SearchKind, boolean> = {
    number: /^#?\d{1,9}$/.test(text),
    commit: /^[0-9a-f]{4,64}$/i.test(text),
    branch: true,
    author: text.length >= 2,
    message: text.length >= 2,
  }
  return (Object.keys(possible) as SearchKind[]).filter((kind) => possible[kind] && (by === 'any' || by === kind))
}

/** The newest builds that match `text`. */
export function search(scope: Scope, kind: SearchKind, text: string): Query<BuildLine> {
  const { organizationId, filters, period } = scope
  const statement = sql`
select ${buildLineColumns}
from analytics.builds
where ${all(
    sql`organization_id = ${organizationId}::uuid`,
    matching(kind, text, organizationId),
    (kind === 'author' || kind === 'message') && sql`created_at >= ${period.from}::date at time zone 'UTC'`,
    filters.pipeline !== undefined && sql`pipeline = ${filters.pipeline}`,
  )}
order by created_at desc limit ${FOUND_SHOWN}`
  return { statement, row: buildLine }
}

function matching(kind: SearchKind, text: string, organizationId: string): SQL {
  const within = `%${text.replace(/[\\%_]/g, '\\$&')}%`
  switch (kind) {
    case 'number':
      return sql`build_number = ${Number(text.replace('#', ''))} and pipeline_id in (
  select id from analytics.pipelines where organization_id = ${organizationId}::uuid)`
    case 'commit': {
      // Every commit that begins so is before the prefix with a "g": this range uses the index in every collation.
      const start = text.toLowerCase()
      return sql`commit >= ${start} and commit < ${`${start}g`}`
    }
    case 'branch':
      return sql`branch = ${text}`
    case 'author':
      return sql`(author_name ilike ${within} or author_email ilike ${within} or creator_name ilike ${within} or creator_email ilike ${within})`
    case 'message':
      return sql`message ilike ${within}`
  }
}
