import { eq, sql } from 'drizzle-orm'
import type { Db, Transaction } from '../../database/connection.ts'
import {
  builds,
  cycles,
  failures,
  pipeline_coverage,
  pipeline_slugs,
  pipelines,
  watermarks,
  windows,
} from '../../database/schema.ts'
import { changedNow } from '../../mirror/table.ts'
import { DAY, MINUTE } from '../../runtime/time.ts'
import { presentOf, type ReconcileDeps, type Source } from '../context.ts'
import { provenTo } from '../progress/claim.ts'
import { LIST_LAG, type Watermark } from '../progress/watermark.ts'

/** What a complete list of pipelines changed. */
export interface CoverageChange {
  /** Pipelines that are covered from this list on. They need their own backfill, except after the first list. */
  readonly listed: number
  /** Pipelines whose claim ends with the list before this one. */
  readonly unlisted: number
}

/**
 * A list of pipelines confirms the reads since the previous list only if that list is at most this old, because a pipeline may have been
 * hidden in between. docs/how-it-works/05-completeness.md assumes that this lasts at least 15 minutes. Lists are read every five minutes, so one may fail.
 */
const CONFIRMS_WITHIN = 12 * MINUTE

/** A complete list of pipelines, and when it was read, on Buildkite's clock. */
export interface PipelinesList {
  /** Ids of the pipelines to be mirrored. */
  readonly ids: readonly string[]
  /** The first request … */
  readonly from: Date
  /** … and the last answer. */
  readonly until: Date
}

/**
 * Applies a complete list of pipelines. A pipeline that is no longer in it keeps the claim that the previous list confirmed. A pipeline
 * that is new, or back after an interruption, is covered only by reads after builds lists show it. For the others the list confirms
 * what cycles have read. Returns undefined and changes nothing if a newer list was applied meanwhile.
 */
export async function takeInList(
  tx: Transaction,
  { filter, clock }: Pick<ReconcileDeps, 'filter' | 'clock'>,
  source: Source,
  list: PipelinesList,
): Promise<CoverageChange | undefined> {
  const now = new Date(clock())
  await tx.insert(watermarks).values({ organization_id: source.id, updated_at: now }).onConflictDoNothing()
  const [before] = await tx.select().from(watermarks).where(eq(watermarks.organization_id, source.id)).for('update')
  if (before?.pipelines_read_at && before.pipelines_read_at > list.from) return undefined
  const ids = sql`${sql.param(list.ids)}::uuid[]`
  const misplaced = await tookOtherSlug(tx, source)
  const gone = await tx.execute<{ count: number }>(sql`
    with claim as materialized (
      -- Once the pipeline is unlisted, its exceptions and unread jobs are dropped, so the claim must hold without them.
      select pipeline_id, complete_from, jobs_as_of as as_of from analytics.data_coverage
      where organization_id = ${source.id} and is_current and exceptions = 0
    ), gone as (
      update ${pipeline_coverage} as coverage set unlisted_at = ${list.from},
        covered_from = (select complete_from from claim where claim.pipeline_id = coverage.pipeline_id),
        covered_until = (select as_of from claim where claim.pipeline_id = coverage.pipeline_id)
      where organization_id = ${source.id} and unlisted_at is null
        and (pipeline_id <> all (${ids}) or pipeline_id = any (${sql.param(misplaced)}::uuid[]))
      returning pipeline_id
    ), unread as (
      delete from ${windows} using gone where ${windows.pipeline_id} = gone.pipeline_id
    )
    select count(*)::int as count from gone`)
  const added = await tx.execute(sql`
    insert into ${pipeline_coverage} as known (pipeline_id, organization_id, listed_since)
    select id, ${source.id}::uuid, ${listedSince(before, list)}::timestamptz from unnest(${ids}) as id
    on conflict (pipeline_id) do update set
      organization_id = excluded.organization_id, listed_since = excluded.listed_since,
      unlisted_at = null, covered_from = null, covered_until = null
    where known.unlisted_at is not null or known.organization_id <> excluded.organization_id`)
  if (doesConfirm(before, source, list)) await confirm(tx, source, list)
  else if (before?.pipelines_read_at) await forgetUnconfirmed(tx, source, before.pipelines_read_at, list)
  const listed = {
    pipelines_read_at: list.from,
    pipeline_filter: filter.patterns,
    pipelines_listed_by: source.client.fingerprint,
  }
  await tx
    .update(watermarks)
    .set({ ...listed, updated_at: now })
    .where(eq(watermarks.organization_id, source.id))
  return { listed: added.rowCount ?? 0, unlisted: gone.rows[0]?.count ?? 0 }
}

/**
 * The pipelines that were renamed, since they are covered, to a slug that another pipeline had. Builds lists name pipelines only by slug,
 * so their builds may have been placed in the other one meanwhile. They are covered only by reads from now on.
 */
async function tookOtherSlug(tx: Transaction, source: Source): Promise<string[]> {
  const { rows } = await tx.execute<{ id: string }>(sql`
    select pipeline.id from ${pipelines} as pipeline
    join ${pipeline_coverage} as coverage on coverage.pipeline_id = pipeline.id
    join ${pipeline_slugs} as own on own.pipeline_id = pipeline.id and own.slug = pipeline.slug
      and own.last_seen_at > coverage.listed_since
    where pipeline.organization_id = ${source.id} and pipeline.deleted_at is null and exists (
      select from ${pipeline_slugs} as other where other.organization_slug = own.organization_slug and other.slug = own.slug
        and other.pipeline_id <> own.pipeline_id)`)
  return rows.map(({ id }) => id)
}

/**
 * Whether the previous list was read by the same user, and shortly before. Thousands of pipelines can take many minutes to list: the
 * previous list is taken to have lasted as long as this one, and only the time between the two counts.
 */
function doesConfirm(before: Watermark | undefined, { client }: Source, { from, until }: PipelinesList): boolean {
  if (!before?.pipelines_read_at || before.pipelines_listed_by !== client.fingerprint) return false
  const tookMs = until.getTime() - from.getTime()
  return from.getTime() - before.pipelines_read_at.getTime() <= tookMs + CONFIRMS_WITHIN
}

/**
 * From when builds lists show a pipeline that is new in this list; they may lag behind it. After an organization's first list there is
 * no wait, because nothing was known of any pipeline before.
 */
function listedSince(before: Watermark | undefined, list: PipelinesList): Date {
  return before?.pipelines_read_at ? later(list.until, LIST_LAG) : list.from
}

/**
 * Moves the claim to what cycles had read while the listed pipelines were visible. The list may lag too: it may show the pipelines of
 * two minutes before.
 */
async function confirm(tx: Transaction, source: Source, { from }: PipelinesList): Promise<void> {
  await tx.execute(sql`
    update ${watermarks} set confirmed_to = greatest(confirmed_to, ${provenTo(source.id, later(from, -LIST_LAG))})
    where organization_id = ${source.id}`)
  await tx.execute(sql`
    delete from ${failures} where organization_id = ${source.id} and cleared_at <= ${later(from, -LIST_LAG)}`)
}

/**
 * The list of another user's token, or one that comes much later, does not show what was visible since the previous list. So everything
 * since then is read again: the watermark moves back to the claim, and windows that no list has confirmed are deleted.
 */
async function forgetUnconfirmed(
  tx: Transaction,
  source: Source,
  listedAt: Date,
  { until }: PipelinesList,
): Promise<void> {
  const seenUntil = later(listedAt, -LIST_LAG)
  await tx.execute(sql`
    update ${watermarks} set
      -- Builds lists may lag behind this list.
      counts_from = ${later(until, LIST_LAG)},
      watermark = least(watermark, coalesce(confirmed_to + ${LIST_LAG} * interval '1 ms', backfill_to)),
      warm_watermark = least(warm_watermark, coalesce(confirmed_to + ${LIST_LAG} * interval '1 ms', backfill_to))
    where organization_id = ${source.id}`)
  // These cycles may not have seen every pipeline: later lists must not confirm them.
  await tx.execute(sql`
    update ${cycles} set read_until = null where organization_id = ${source.id} and read_until > ${seenUntil}`)
  await tx.execute(sql`
    delete from ${windows} where organization_id = ${source.id} and pipeline_id is null
      and coalesce(first_verified_until > ${seenUntil}, true)`)
  await tx.execute(sql`
    update ${windows} set verified_at = first_verified_at, verified_until = first_verified_until
    where organization_id = ${source.id} and pipeline_id is null and verified_until > ${seenUntil}`)
  // A pipeline may have been hidden when its builds were not found.
  await tx.execute(sql`
    update ${failures} set cleared_at = null, next_try_at = last_failed_at where organization_id = ${source.id} and cleared_at is not null`)
  await tx.execute(sql`
    update ${builds} set deleted_at = null, deleted_reason = null, changed_at = ${changedNow}
    -- changed_at only narrows the search, because it has an index. It is on the clock of Postgres, which may be off by some hours.
    where organization_id = ${source.id} and changed_at > ${later(seenUntil, -DAY)} and deleted_at > ${seenUntil}
      and deleted_reason in ('deleted', 'retention')`)
}

/** Whether a list of pipelines read now would confirm windows that are not confirmed yet. */
export function isListDue({ db, clock }: Pick<ReconcileDeps, 'db' | 'clock'>, source: Source): Promise<boolean> {
  return hasUnconfirmed(db, source.id, later(presentOf({ clock }, source), -LIST_LAG))
}

/** Whether some windows were read that no list of pipelines has confirmed; with `until`, only windows read before it. */
export async function hasUnconfirmed(db: Db, organizationId: string, until?: Date): Promise<boolean> {
  const { rows } = await db.execute(sql`
    select 1 from ${windows} as part join ${watermarks} as mark using (organization_id)
    where organization_id = ${organizationId} and part.pipeline_id is null and part.status = 'done'
      and part.verified_until <= coalesce(${until ?? null}::timestamptz, 'infinity')
      and least(part.first_verified_until, part.verified_until) > mark.pipelines_read_at - ${LIST_LAG} * interval '1 ms'
    limit 1`)
  return rows.length > 0
}

function later(time: Date, ms: number): Date {
  return new Date(time.getTime() + ms)
}
