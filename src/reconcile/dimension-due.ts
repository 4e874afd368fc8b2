import { and, asc, eq, isNull } from 'drizzle-orm'
import { dimensions, list_reads } from '../database/dimensions.ts'
import { pipelines } from '../database/schema.ts'
import type { ReconcileDeps, Source } from './deps.ts'
import { type DimensionList, dimensionLists, type Parent } from './dimension-lists.ts'

/** Agents have a table that webhooks fill too, with rules of its own. */
export const agentList = { name: 'agents', scopes: ['read_agents'] } as const
export type AnyList = DimensionList | typeof agentList

/**
 * The lists that are to be read now, the one longest unread first: those last read more than `everyMs` ago, and those of which there is
 * one for each of something, where some are.
 */
export async function dueLists(deps: ReconcileDeps, source: Source, everyMs: number): Promise<AnyList[]> {
  const known = await deps.db.select().from(dimensions).where(eq(dimensions.organization_id, source.id))
  const last = ({ name }: AnyList) => known.find((one) => one.name === name)?.updated_at.getTime() ?? 0
  const due: AnyList[] = []
  for (const list of [...dimensionLists, agentList]) {
    const isOld = deps.clock() - last(list) >= everyMs
    const isRead = known.some(({ name, status }) => name === list.name && status === 'read')
    if (isOld || (isRead && 'table' in list && (await dueParents(deps, source, list, everyMs)).length > 0)) {
      due.push(list)
    }
  }
  return due.sort((one, other) => last(one) - last(other))
}

/** Everything that a kind of list belongs to, as the mirror knows it: the clusters, the teams, or the pipelines in scope. */
export async function parentsOf(
  { db, scope }: ReconcileDeps,
  source: Source,
  { parent }: DimensionList,
): Promise<Parent[]> {
  if (!parent) return []
  const { table } = parent
  const slug = table === pipelines ? pipelines.slug : table.id
  const rows = await db
    .select({ id: table.id, slug })
    .from(table)
    .where(and(eq(table.organization_id, source.id), isNull(table.deleted_at)))
    .orderBy(asc(table.id))
  const named = rows.flatMap(({ id, slug }) => (slug === null ? [] : [{ id, slug }]))
  return table === pipelines ? named.filter(({ slug }) => scope.pipeline(slug)) : named
}

/** Those of them whose list was not asked for within `everyMs`, the one longest unread first. */
export async function dueParents(
  deps: ReconcileDeps,
  source: Source,
  list: DimensionList,
  everyMs: number,
): Promise<Parent[]> {
  const rows = await deps.db.select().from(list_reads).where(eq(list_reads.name, list.name))
  const reads = new Map(rows.map(({ subject_id, read_at }) => [subject_id, read_at.getTime()]))
  const last = ({ id }: Parent) => reads.get(id) ?? 0
  return (await parentsOf(deps, source, list))
    .filter((parent) => deps.clock() - last(parent) >= everyMs)
    .sort((one, other) => last(one) - last(other))
}
