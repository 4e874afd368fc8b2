import { and, asc, eq, isNull } from 'drizzle-orm'
import { reference_item_syncs, reference_syncs } from '../../database/reference-tables.ts'
import { pipelines } from '../../database/schema.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import { type Parent, type ReferenceList, referenceLists } from './resources.ts'

/** Agents have their own table and rules, because webhooks fill it too. */
export const agentList = { name: 'agents', scopes: ['read_agents'] } as const
export type AnyList = ReferenceList | typeof agentList

/**
 * The lists that are due, longest unread first. A list is due if it was last read more than `everyMs` ago, or if the lists of some of its
 * parents are.
 */
export async function dueLists(deps: ReconcileDeps, source: Source, everyMs: number): Promise<AnyList[]> {
  const known = await deps.db.select().from(reference_syncs).where(eq(reference_syncs.organization_id, source.id))
  const last = ({ name }: AnyList) => known.find((one) => one.name === name)?.updated_at.getTime() ?? 0
  const due: AnyList[] = []
  for (const list of [...referenceLists, agentList]) {
    const isOld = deps.clock() - last(list) >= everyMs
    const isRead = known.some(({ name, status }) => name === list.name && status === 'read')
    if (isOld || (isRead && 'table' in list && (await dueParents(deps, source, list, everyMs)).length > 0)) {
      due.push(list)
    }
  }
  return due.sort((one, other) => last(one) - last(other))
}

/** All parents of a kind of list that the mirror knows: the clusters, the teams, or the pipelines in scope. */
export async function parentsOf(
  { db, filter }: ReconcileDeps,
  source: Source,
  { parent }: ReferenceList,
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
  return table === pipelines ? named.filter(({ slug }) => filter.pipeline(slug)) : named
}

/** The parents whose list was not read within `everyMs`, longest unread first. */
export async function dueParents(
  deps: ReconcileDeps,
  source: Source,
  list: ReferenceList,
  everyMs: number,
): Promise<Parent[]> {
  const rows = await deps.db.select().from(reference_item_syncs).where(eq(reference_item_syncs.name, list.name))
  const reads = new Map(rows.map(({ subject_id, read_at }) => [subject_id, read_at.getTime()]))
  const last = ({ id }: Parent) => reads.get(id) ?? 0
  return (await parentsOf(deps, source, list))
    .filter((parent) => deps.clock() - last(parent) >= everyMs)
    .sort((one, other) => last(one) - last(other))
}
