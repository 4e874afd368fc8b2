import { eq, type SQL, sql } from 'drizzle-orm'
import { type Db, isOutage, type Transaction, withStoreError } from '../database/connection.ts'
import { clearFailure, failuresOf, isDue, recordFailure, type Unit } from '../database/failures.ts'
import { agents, builds, organizations, pipeline_slugs, pipelines } from '../database/schema.ts'
import { type Clock, SECOND } from '../runtime/time.ts'
import { inOneTransaction } from './apply.ts'
import { escapeLike } from './places.ts'
import { changedNow } from './table.ts'

/** Maximum rows per transaction: a statement for 40,000 rows took 8 s and locked all of them meanwhile. */
const batchSize = 1_000
const batchTimeoutMs = 10 * SECOND
/** A batch that fails is retried in this many parts. */
const partsOfBatch = 8

/** A row without its organization or pipeline, and the missing id. */
interface Orphan {
  readonly id: string
  readonly parent: string
}

interface OrphanKind {
  /** Name of one row in `sync.failures`. */
  readonly name: 'pipeline' | 'agent' | 'build'
  readonly table: typeof pipelines | typeof builds | typeof agents
  readonly column: 'organization_id' | 'pipeline_id'
  /** Reads the rows after an id, ordered by id. */
  readonly next: (after: string) => SQL
}

/**
 * Fills in the organization and pipeline ids of rows that arrived before their organization or pipeline. Works in batches, each in a
 * transaction. A row that cannot be updated is recorded in `sync.failures`, skipped, and retried after a back-off.
 * @returns how many were updated. @throws StoreError when the database is unavailable.
 */
export async function fillMissingParents(db: Db, organizationId: string, clock: Clock): Promise<number> {
  return withStoreError('fill in the organization or pipeline of earlier rows', async () => {
    const [organization] = await db.select().from(organizations).where(eq(organizations.id, organizationId))
    if (!organization) return 0
    const known = await failuresOf(db, organizationId, ['orphans'])
    const dueAt = new Map(known.map(({ subject, next_try_at }) => [subject, next_try_at]))
    let adopted = 0
    for (const kind of kindsOf(organizationId, organization.slug ?? '')) {
      const parts: Adoption = { db, organizationId, clock, kind, dueAt }
      adopted += await adoptAll(parts)
    }
    return adopted
  })
}

function kindsOf(organizationId: string, slug: string): OrphanKind[] {
  const under = `${escapeLike(slug)}/%`
  const ofOrganization = (name: OrphanKind['name'], table: OrphanKind['table']): OrphanKind => ({
    name,
    table,
    column: 'organization_id',
    next: (after) => sql`
      select id, ${organizationId} as parent from ${table}
      where organization_id is null and id > ${after} and split_part(url, '/organizations/', 2) like ${under}
      order by id limit ${batchSize}`,
  })
  const ofPipelines: OrphanKind = {
    name: 'build',
    table: builds,
    column: 'pipeline_id',
    // If two pipelines have the same slug, the one seen last has it now. If none has it, the last one that had it.
    next: (after) => sql`
      select build.id, pipeline.id as parent from ${builds} as build
      join (
        select distinct on (slug) slug, id from (
          select slug, id, true as is_current, observed_at as seen_at from ${pipelines}
          where organization_id = ${organizationId} and deleted_at is null
          union all
          select earlier.slug, earlier.pipeline_id, false, earlier.last_seen_at from ${pipeline_slugs} as earlier
          join ${pipelines} as known on known.id = earlier.pipeline_id and known.organization_id = ${organizationId}
        ) as named order by slug, is_current desc, seen_at desc
      ) as pipeline on pipeline.slug = split_part(split_part(build.url, '/pipelines/', 2), '/', 1)
      where build.organization_id = ${organizationId} and build.pipeline_id is null and build.id > ${after}
      order by build.id limit ${batchSize}`,
  }
  return [
    ofOrganization('pipeline', pipelines),
    ofOrganization('agent', agents),
    ofOrganization('build', builds),
    ofPipelines,
  ]
}

interface Adoption {
  readonly db: Db
  readonly organizationId: string
  readonly clock: Clock
  readonly kind: OrphanKind
  /** Earlier failures by subject. */
  readonly dueAt: ReadonlyMap<string, Date>
}

async function adoptAll(parts: Adoption): Promise<number> {
  const { db, kind, dueAt, clock } = parts
  let adopted = 0
  let after = '00000000-0000-0000-0000-000000000000'
  for (;;) {
    const { rows } = await db.execute<Orphan & Record<string, unknown>>(kind.next(after))
    const last = rows.at(-1)
    if (!last) return adopted
    const due = rows.filter((orphan) => isDue(dueAt.get(unitOf(parts, orphan).subject), clock()))
    adopted += await adopt(parts, due)
    after = last.id
  }
}

/** Updates orphans in one transaction. If that fails, in parts, down to the single rows that cannot be updated. */
async function adopt(parts: Adoption, orphans: readonly Orphan[]): Promise<number> {
  const { db, kind, clock } = parts
  const [first] = orphans
  if (!first) return 0
  try {
    const work = (tx: Transaction) => writeParents(tx, kind, orphans)
    await inOneTransaction(db, `set the organization or pipeline of ${orphans.length} rows`, work, batchTimeoutMs)
  } catch (error) {
    if (isOutage(error)) throw error
    if (orphans.length === 1) {
      await recordFailure(db, unitOf(parts, first), error, new Date(clock()))
      return 0
    }
    let adopted = 0
    const size = Math.ceil(orphans.length / partsOfBatch)
    for (let start = 0; start < orphans.length; start += size) {
      adopted += await adopt(parts, orphans.slice(start, start + size))
    }
    return adopted
  }
  for (const orphan of orphans) {
    const unit = unitOf(parts, orphan)
    if (parts.dueAt.has(unit.subject)) await clearFailure(db, unit)
  }
  return orphans.length
}

function unitOf({ organizationId, kind: { name } }: Adoption, { id }: Orphan): Unit {
  return { kind: 'orphans', organizationId, subject: `${name} ${id}`, buildId: name === 'build' ? id : undefined }
}

/** Locks the rows in id order first, as every merge does. */
async function writeParents(tx: Transaction, { table, column }: OrphanKind, orphans: readonly Orphan[]): Promise<void> {
  const ids = sql`${sql.param(orphans.map(({ id }) => id))}::uuid[]`
  const parents = sql`${sql.param(orphans.map(({ parent }) => parent))}::uuid[]`
  const lacking = sql.identifier(column)
  await tx.execute(sql`select 1 from ${table} where id = any(${ids}) order by id for update`)
  await tx.execute(sql`
    update ${table} as orphan set ${lacking} = found.parent, changed_at = ${changedNow}
    from unnest(${ids}, ${parents}) as found (id, parent)
    where orphan.id = found.id and orphan.${lacking} is null`)
}
