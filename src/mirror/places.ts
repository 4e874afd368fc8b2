import { and, asc, eq, inArray, isNull, type SQL, sql } from 'drizzle-orm'
import type { PgTable, PgUpdateSetSource } from 'drizzle-orm/pg-core'
import type { Transaction } from '../database/connection.ts'
import { agents, builds, organization_slugs, organizations, pipeline_slugs, pipelines } from '../database/schema.ts'
import type { Observations, OrganizationRow, PipelineRow } from './observation.ts'
import { changedNow } from './table.ts'

// Keys are Buildkite's ids, but most payloads have only the organization's slug in a URL, and lists without `pipeline` only the pipeline's.
// This file resolves slugs to ids, also later for rows that arrived before their organization or pipeline was known.

/** Fills `organization_id` of pipelines, builds and agents from the slug in their URL, where the organization is known. */
export async function resolveOrganizationIds(tx: Transaction, observed: Observations): Promise<void> {
  const placed = [...observed.pipelines, ...observed.builds, ...observed.agents].filter(
    ({ fields }) => !fields.organization_id,
  )
  const slugs = distinct(placed.map(({ place }) => place.organization))
  if (slugs.length === 0) return
  const rows = await tx
    .select({ id: organizations.id, slug: organizations.slug })
    .from(organizations)
    .where(inArray(organizations.slug, slugs))
    // An organization that our tokens no longer see may have lost its slug to another one; that one comes last and wins.
    .orderBy(sql`${organizations.deleted_at} nulls last`, organizations.observed_at)
  const ids = new Map(rows.map((row) => [row.slug, row.id]))
  for (const { fields, place } of placed) {
    const id = place.organization === undefined ? undefined : ids.get(place.organization)
    if (id) fields.organization_id = id
  }
}

/**
 * Fills `pipeline_id` of builds whose payload had no pipeline, from the slugs in their URL. A list that lags behind a rename shows the
 * pipeline's former slug. Such a slug resolves to the last pipeline that had it, unless a pipeline has it now.
 */
export async function resolvePipelineIds(tx: Transaction, observed: Observations): Promise<void> {
  const unresolved = observed.builds.filter(({ fields, place }) => !fields.pipeline_id && place.pipeline)
  const slugs = distinct(unresolved.map(({ place }) => place.pipeline))
  if (slugs.length === 0) return
  const rows = await tx
    .select({ id: pipelines.id, slug: pipelines.slug, organization_id: pipelines.organization_id })
    .from(pipelines)
    .where(and(inArray(pipelines.slug, slugs), isNull(pipelines.deleted_at)))
    .orderBy(pipelines.observed_at)
  const current = bySlug(rows)
  const keyOf = ({ fields, place }: (typeof unresolved)[number]) => `${fields.organization_id} ${place.pipeline}`
  const others = unresolved.filter((one) => !current.has(keyOf(one)))
  const earlier = bySlug(await placesBefore(tx, distinct(others.map(({ place }) => place.pipeline))))
  for (const one of unresolved) {
    const id = current.get(keyOf(one)) ?? earlier.get(keyOf(one))
    if (id) one.fields.pipeline_id = id
  }
}

/** Ids by organization and slug; if several have the same slug, the last one wins. */
function bySlug(rows: readonly { id: string; slug: string | null; organization_id: string | null }[]) {
  return new Map(rows.map(({ id, slug, organization_id }) => [`${organization_id} ${slug}`, id]))
}

/** Pipelines that once had one of the slugs; for each slug, the most recent one comes last. */
async function placesBefore(tx: Transaction, slugs: readonly string[]) {
  if (slugs.length === 0) return []
  return tx
    .select({ id: pipelines.id, slug: pipeline_slugs.slug, organization_id: pipelines.organization_id })
    .from(pipeline_slugs)
    .innerJoin(pipelines, eq(pipelines.id, pipeline_slugs.pipeline_id))
    .where(inArray(pipeline_slugs.slug, [...slugs]))
    .orderBy(pipeline_slugs.last_seen_at)
}

/** Postgres cannot index more than 2,704 bytes, including a uuid and a time. No real slug is nearly as long. */
const LONGEST_KEY = 2_600

/** Rows with a new slug: they were just added or renamed. */
export interface NewPlaces {
  organizations: readonly OrganizationRow[]
  pipelines: readonly PipelineRow[]
}

/** Saves the history of slugs, so that an old URL still resolves to its row. */
export async function saveSlugs(tx: Transaction, fresh: NewPlaces, observed: Observations): Promise<void> {
  for (const { id, slug, observed_at } of fresh.organizations) {
    if (!slug) continue
    await tx
      .insert(organization_slugs)
      .values({ organization_id: id, slug, first_seen_at: observed_at, last_seen_at: observed_at })
      .onConflictDoUpdate({
        target: [organization_slugs.organization_id, organization_slugs.slug],
        set: { last_seen_at: sql`greatest(${organization_slugs.last_seen_at}, excluded.last_seen_at)` },
      })
  }
  const places = new Map(observed.pipelines.map(({ fields, place }) => [fields.id, place]))
  for (const { id, slug, observed_at } of fresh.pipelines) {
    const organization_slug = places.get(id)?.organization
    if (!slug || !organization_slug || Buffer.byteLength(slug + organization_slug) > LONGEST_KEY) continue
    await tx
      .insert(pipeline_slugs)
      .values({ pipeline_id: id, organization_slug, slug, first_seen_at: observed_at, last_seen_at: observed_at })
      .onConflictDoUpdate({
        target: [pipeline_slugs.pipeline_id, pipeline_slugs.organization_slug, pipeline_slugs.slug],
        set: { last_seen_at: sql`greatest(${pipeline_slugs.last_seen_at}, excluded.last_seen_at)` },
      })
  }
}

/** How many rows without organization or pipeline a merge handles. {@link fillMissingParents} handles the others. */
const mergeLimit = 1_000

/** Sets the organization of rows that arrived before it. */
export async function adoptByOrganizations(tx: Transaction, fresh: readonly OrganizationRow[]): Promise<void> {
  for (const { id, slug } of fresh) {
    if (!slug) continue
    const set = { organization_id: id, changed_at: changedNow }
    for (const table of [pipelines, builds, agents]) {
      const orphans = isNull(table.organization_id)
      await updateInOrder(tx, table, set, and(orphans, amongFirst(tx, table, orphans), isUnder(table, slug)))
    }
  }
}

/** Sets the pipeline of builds that arrived before it. */
export async function adoptByPipelines(tx: Transaction, fresh: readonly PipelineRow[]): Promise<void> {
  for (const { id, slug, organization_id } of fresh) {
    if (!slug || !organization_id) continue
    const here = sql`split_part(${builds.url}, '/pipelines/', 2) like ${`${escapeLike(slug)}/%`}`
    const orphans = isNull(builds.pipeline_id)
    const ofOrganization = eq(builds.organization_id, organization_id)
    const set = { pipeline_id: id, changed_at: changedNow }
    await updateInOrder(tx, builds, set, and(orphans, amongFirst(tx, builds, orphans), ofOrganization, here))
  }
}

type Placed = typeof pipelines | typeof builds | typeof agents

/** Limits the work of a merge, because deliveries wait for it. */
function amongFirst(tx: Transaction, table: Placed, orphans: SQL): SQL {
  const first = tx
    .select({ id: table.id })
    .from(table as PgTable)
    .where(orphans)
    .orderBy(asc(table.id))
    .limit(mergeLimit)
  return inArray(table.id, first)
}

function isUnder(table: Placed, organizationSlug: string): SQL {
  return sql`split_part(${table.url}, '/organizations/', 2) like ${`${escapeLike(organizationSlug)}/%`}`
}

/** Locks rows in the order of their ids before it updates them, as every merge does. In the order of a scan they could deadlock. */
async function updateInOrder<Table extends Placed>(
  tx: Transaction,
  table: Table,
  set: PgUpdateSetSource<Table>,
  where: SQL | undefined,
): Promise<void> {
  const locked = tx.$with('locked').as(
    tx
      .select({ id: table.id })
      .from(table as PgTable)
      .where(where)
      .orderBy(asc(table.id))
      .for('update'),
  )
  await tx.with(locked).update(table).set(set).from(locked).where(eq(table.id, locked.id))
}

function distinct(values: readonly (string | undefined)[]): string[] {
  return [...new Set(values.filter((value) => value !== undefined))]
}

export function escapeLike(text: string): string {
  return text.replace(/[\\%_]/g, '\\$&')
}
