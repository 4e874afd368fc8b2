import { eq, type SQL, sql } from 'drizzle-orm'
import { slugsOf } from '../../buildkite/urls.ts'
import { backOff, dueAt } from '../../database/failures.ts'
import { builds, pipelines, unlisted_builds, watermarks } from '../../database/schema.ts'
import { BuildReader } from '../builds/build-reader.ts'
import type { PageReport } from '../builds/build-writer.ts'
import { BuildLocator } from '../builds/locate-build.ts'
import { OPEN_STATES, openStates } from '../builds/open-states.ts'
import type { Reading } from '../builds/unlistable.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import type { TimeRange } from '../progress/time-range.ts'
import { LIST_LAG } from '../progress/watermark.ts'

/** Selects builds of the mirror that the lists should have shown but did not. */
export interface UnlistedQuery {
  /** Only builds created before this: younger ones are in the created list, or will be soon. */
  readonly createdBefore: Date
  /** The cycle's start: builds that a webhook changed later are in the next cycle's lists. */
  readonly observedBefore: Date
  /** Builds in this cycle's lists. */
  readonly seen: ReadonlySet<string>
  /** Ranges that the backfill has not read yet; it will read their builds a hundred at a time. */
  readonly awaitingBackfill: readonly TimeRange[]
  /** How many builds to read at most; the others wait for the next cycle, longest overdue first. */
  readonly limit: number
}

interface UnlistedBuild extends Record<string, unknown> {
  id: string
  number: string
  url: string | null
  pipeline_id: string | null
  slug: string | null
  created_at: string | null
  reads: number
  is_recorded: boolean
  is_due: boolean
}

/** The cost and the results of reading unlisted builds. */
export interface UnlistedReport {
  readonly requests: number
  /** Builds requested. */
  readonly reads: number
  readonly pages: readonly PageReport[]
}

/** A number of reads that has reached the longest back-off. */
const NEVER_SOON = 20

/**
 * Reads individually the open or provisional builds of the mirror that were in no list of this cycle. Records a 404 on the build, and
 * retries a build that Buildkite cannot show at the moment. Neither delays the watermark.
 * @throws BuildkiteError when the token is refused; StoreError.
 */
export async function readUnlisted(
  { deps, source, writer, signal }: Reading,
  query: UnlistedQuery,
): Promise<UnlistedReport> {
  const locator = new BuildLocator(deps, source, 'absent', { refresh: true, signal })
  const reader = new BuildReader(deps, source, writer, locator)
  const pages: PageReport[] = []
  const unlisted = await findUnlisted(deps, source, query)
  await recordFound(deps, source, unlisted)
  for (const build of unlisted.filter(({ is_due }) => is_due).slice(0, query.limit)) {
    signal?.throwIfAborted()
    const slug = build.slug ?? slugsOf(build.url).pipeline
    if (slug === undefined || !deps.filter.pipeline(slug)) {
      // Out of scope. Without the back-off it would use up the limit in every cycle.
      await recordRead(deps, source, { ...build, reads: NEVER_SOON }, null, false)
      continue
    }
    const created_at = build.created_at === null ? null : new Date(build.created_at)
    const { status, page } = await reader.readKnown({ ...build, number: Number(build.number), created_at }, slug)
    if (page) pages.push(page)
    const state = page?.builds[0]?.state ?? ''
    const settled = page !== undefined && !OPEN_STATES.some((open) => open === state)
    await recordRead(deps, source, build, status, settled)
  }
  return { requests: locator.requests, reads: locator.reads, pages }
}

/** How many unlisted builds one cycle considers; there are few unless lists fail. */
const MOST = 2_000

async function findUnlisted(
  { db, clock }: ReconcileDeps,
  source: Source,
  query: UnlistedQuery,
): Promise<UnlistedBuild[]> {
  const created = sql`coalesce(b.created_at, b.first_seen_at)`
  const waiting: SQL[] = query.awaitingBackfill.map(
    ({ from, to }) =>
      sql`and not (${created} >= ${from.toISOString()}::timestamptz and ${created} < ${to.toISOString()}::timestamptz)`,
  )
  const { rows } = await db.execute<UnlistedBuild>(sql`
    select b.id, b.number, b.url, b.pipeline_id, b.created_at, p.slug, coalesce(a.reads, 0) as reads,
      a.build_id is not null as is_recorded, coalesce(${dueAt(sql`a.next_read_at`, new Date(clock()))}, true) as is_due
    from ${builds} b
    left join ${pipelines} p on p.id = b.pipeline_id
    left join ${unlisted_builds} a on a.build_id = b.id
    where b.organization_id = ${source.id} and b.deleted_at is null and b.number is not null
      and (b.state in (${openStates}) or b.verified_at is null or b.observed_at > b.verified_at)
      and ${created} < ${query.createdBefore.toISOString()}::timestamptz
      and b.observed_at < ${query.observedBefore.toISOString()}::timestamptz
      and b.id <> all (array(select json_array_elements_text(${JSON.stringify([...query.seen])}::json))::uuid[])
      ${sql.join(waiting, sql` `)}
    order by a.next_read_at nulls first, ${created} desc
    limit ${MOST}`)
  return rows
}

/**
 * Records every unlisted build, because its row is not confirmed. Deletes the records of builds that are no longer unlisted, except of those
 * whose 404 no list of pipelines has confirmed yet.
 */
async function recordFound(
  { db, clock }: ReconcileDeps,
  source: Source,
  unlisted: readonly UnlistedBuild[],
): Promise<void> {
  const now = new Date(clock())
  const found = unlisted.filter(({ is_recorded }) => !is_recorded)
  if (found.length > 0) {
    await db
      .insert(unlisted_builds)
      .values(
        found.map(({ id }) => ({ build_id: id, organization_id: source.id, last_read_at: now, next_read_at: now })),
      )
      .onConflictDoNothing()
  }
  if (unlisted.length === MOST) return
  const ids = sql`${sql.param(unlisted.map(({ id }) => id))}::uuid[]`
  await db.execute(sql`
    delete from ${unlisted_builds} where organization_id = ${source.id} and build_id <> all (${ids}) and not exists (
      select from ${builds} as build join ${watermarks} as mark on mark.organization_id = build.organization_id
      where build.id = build_id and build.deleted_reason in ('deleted', 'retention')
        and build.deleted_at > mark.pipelines_read_at - ${LIST_LAG} * interval '1 ms')`)
}

async function recordRead(
  { db, clock }: ReconcileDeps,
  source: Source,
  build: UnlistedBuild,
  status: number | null,
  settled: boolean,
): Promise<void> {
  if (settled) {
    await db.delete(unlisted_builds).where(eq(unlisted_builds.build_id, build.id))
    return
  }
  const reads = build.reads + 1
  const now = clock()
  const row = {
    organization_id: source.id,
    reads,
    last_read_at: new Date(now),
    next_read_at: new Date(now + backOff(reads)),
    last_status: status,
  }
  await db
    .insert(unlisted_builds)
    .values({ build_id: build.id, ...row })
    .onConflictDoUpdate({ target: unlisted_builds.build_id, set: row })
}
