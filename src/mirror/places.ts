import { and, asc, eq, inArray, isNull, type SQL, sql } from 'drizzle-orm'
import type { PgTable, PgUpdateSetSource } from 'drizzle-orm/pg-core'
import type { Transaction } from '../database/connection.ts'
import { agents, builds, organization_slugs, organizations, pipeline_slugs, pipelines } from '../database/schema.ts'
import type { Observations, OrganizationRow, PipelineRow } from './observation.ts'
import { changedNow } from './table.ts'

// Keys are Buildkite's ids, but most payloads name their organization, and lists without `pipeline` their pipeline, only by the slugs
// in a URL. Here slugs become ids; and what arrived before its organization or pipeline was known is given its id later.

/** Fills `organization_id` of pipelines, builds and agents from the slug in their URL, where the organization is known. */
export async function placeInOrganizations(tx: Transaction, observed: Observations): Promise<void> {
  const placed = [...observed.pipelines, ...observed.builds, ...observed.agents].filter(
    ({ draft }) => !draft.organization_id,
  )
  const slugs = distinct(placed.map(({ place }) => place.organization))
  if (slugs.length === 0) return
  const rows = await tx
    .select({ id: organizations.id, slug: organizations.slug })
    .from(organizations)
    .where(inArray(organizations.slug, slugs))
    // One that our tokens see no more may have lost its slug to another, which then comes last and wins.
    .orderBy(sql`${organizations.deleted_at} nulls last`, organizations.observed_at)
  const ids = new Map(rows.map((row) => [row.slug, row.id]))
  for (const { draft, place } of placed) {
    const id = place.organization === undefined ? undefined : ids.get(place.organization)
    if (id) draft.organization_id = id
  }
}

/**
 * Fills `pipeline_id` of builds whose payload held no pipeline, from the slugs in their URL. A list that lags behind a rename shows the
 * slug that a pipeline had before: it leads to the last one that had it, unless a pipeline has it now.
 */
export async function placeInPipelines(tx: Transaction, observed: Observations): Promise<void> {
  const homeless = observed.builds.filter(({ draft, place }) => !draft.pipeline_id && place.pipeline)
  const slugs = distinct(homeless.map(({ place }) => place.pipeline))
  if (slugs.length === 0) return
  const rows = await tx
    .select({ id: pipelines.id, slug: pipelines.slug, organization_id: pipelines.organization_id })
    .from(pipelines)
    .where(and(inArray(pipelines.slug, slugs), isNull(pipelines.deleted_at)))
    .orderBy(pipelines.observed_at)
  const current = bySlug(rows)
  const keyOf = ({ draft, place }: (typeof homeless)[number]) => `${draft.organization_id} ${place.pipeline}`
  const others = homeless.filter((one) => !current.has(keyOf(one)))
  const earlier = bySlug(await placesBefore(tx, distinct(others.map(({ place }) => place.pipeline))))
  for (const one of homeless) {
    const id = current.get(keyOf(one)) ?? earlier.get(keyOf(one))
    if (id) one.draft.pipeline_id = id
  }
}

/** Ids by organization and slug; of several with the same slug the last one counts. */
function bySlug(rows: readonly { id: string; slug: string | null; organization_id: string | null }[]) {
  return new Map(rows.map(({ id, slug, organization_id }) => [`${organization_id} ${slug}`, id]))
}

/** Pipelines that had one of the slugs, the last one of each last. */
async function placesBefore(tx: Transaction, slugs: readonly string[]) {
  if (slugs.length === 0) return []
  return tx
    .select({ id: pipelines.id, slug: pipeline_slugs.slug, organization_id: pipelines.organization_id })
    .from(pipeline_slugs)
    .innerJoin(pipelines, eq(pipelines.id, pipeline_slugs.pipeline_id))
    .where(inArray(pipeline_slugs.slug, [...slugs]))
    .orderBy(pipeline_slugs.last_seen_at)
}

/** Postgres refuses to index more than 2,704 bytes, a uuid and a time among them. No real slug comes near. */
const LONGEST_KEY = 2_600

/** Rows whose slug is new: just met, or renamed. */
export interface NewPlaces {
  organizations: readonly OrganizationRow[]
  pipelines: readonly PipelineRow[]
}

/** Keeps the history of slugs, so that an old URL still leads to the row it meant. */
export async function keepSlugs(tx: Transaction, fresh: NewPlaces, observed: Observations): Promise<void> {
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
  const places = new Map(observed.pipelines.map(({ draft, place }) => [draft.id, place]))
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

/** How many rows without organization or pipeline a merge handles. The others are left to {@link adoptOrphans}. */
const mergeLimit = 1_000

/** Gives rows that came before their organization its id. */
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

/** Gives builds that came before their pipeline its id. */
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

/** Limits the work of a merge: many orphans would hold up the deliveries behind it. */
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

/** Locks rows in the order of their ids, as every merge does, before it updates them: in the order of a scan they would deadlock. */
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
