import { eq, inArray, type SQL, sql } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { builds, cycles, deliveries, failures, job_reads, pipelines, watermarks } from '../../database/schema.ts'
import { MINUTE } from '../../runtime/time.ts'
import type { TimeRange } from './time-range.ts'
import { LIST_LAG, type Watermark } from './watermark.ts'

/** What is claimed to be complete: a summary of analytics.data_coverage over all listed pipelines. */
export interface Claim {
  /** Builds are as Buildkite had them at this time or newer; null while nothing is claimed. */
  readonly as_of: Date | null
  /** The same for jobs. */
  readonly jobs_as_of: Date | null
  /** When the list of pipelines was last read completely. A pipeline that appeared later is not part of the claim. */
  readonly pipelines_listed_at: Date | null
  readonly pipelines: number
  /** Pipelines that are complete up to `as_of`, regardless of where their history begins. */
  readonly pipelines_current: number
  /** Pipelines whose whole wanted history is complete. */
  readonly pipelines_complete: number
  /** Known unconfirmed builds, and ranges that cannot be listed. */
  readonly exceptions: number
}

/** The claim of an organization, and the history that it covers. */
export interface ClaimedHistory extends Claim {
  /** The oldest `created_at` from which on every listed pipeline is complete up to `as_of`; null while one is not. */
  readonly covered_from: Date | null
  /** Ranges of `created_at` in which every listed pipeline is complete, oldest first. */
  readonly ranges: readonly TimeRange[]
}

/**
 * SQL for the time up to which the cycles that ended by `until` prove what they read; null if there are none. It is two minutes before
 * the last cycle after which a second one has read everything again. One cycle is not enough: if its list of finished builds lags more
 * than that of open ones, a build that finished just before is in neither. After a first cycle, the backfill reads everything.
 */
export function provenTo(organizationId: string, until: Date): SQL {
  const lag = sql`${LIST_LAG} * interval '1 ms'`
  return sql`(
    with ended as (
      select watermark_from, watermark_to, read_until from ${cycles} as cycle
      join ${watermarks} as mark using (organization_id)
      where organization_id = ${organizationId} and kind in ('hot', 'warm')
        and read_until <= ${until}
        -- started_at only narrows the search, because it has an index. It is on our clock, which may be off by some hours.
        and started_at >= coalesce(mark.confirmed_to, '-infinity') - interval '1 day'
    )
    select max(watermark_to) - ${lag} from ended
    where watermark_from is null or read_until <= (select max(watermark_to) from ended) - ${lag})`
}

/**
 * A claim is late when it is older than this, in milliseconds. It waits for two cycles that are two minutes apart, and then for a list
 * of pipelines, which is read every five minutes and may fail once.
 */
export function claimLateAfter(intervalMs: number): number {
  return 15 * MINUTE + 5 * intervalMs
}

/**
 * Up to when cycles have read everything once. A claim waits for more: see {@link provenTo} and the list of pipelines. Undefined before
 * the first cycle. Until the list of pipelines is read, only the watermark counts.
 */
export function readOnceTo(mark: Watermark | undefined): Date | undefined {
  if (!mark?.watermark) return undefined
  const listed = mark.pipelines_read_at?.getTime() ?? Number.POSITIVE_INFINITY
  return new Date(Math.min(mark.watermark.getTime() - LIST_LAG, listed))
}

type ClaimRow = Record<'covered_from' | 'as_of' | 'jobs_as_of' | 'pipelines_listed_at', string | null> &
  Record<'pipelines' | 'pipelines_current' | 'pipelines_complete' | 'exceptions', number> & {
    ranges: { from: string; to: string }[]
  }

/** What analytics.data_coverage claims for an organization. @throws the driver's error. */
export async function claimedHistory(db: Db, organizationId: string): Promise<ClaimedHistory> {
  const { rows } = await db.execute<ClaimRow>(sql`
    with pipeline as materialized (
      select pipeline_id, min(as_of) as as_of, min(jobs_as_of) as jobs_as_of,
        range_agg(tstzrange(complete_from, complete_to)) filter (where complete_from is not null) as ranges,
        max(complete_from) filter (where is_current) as current_from,
        coalesce(bool_or(is_current and complete_from <= wanted_from), false) as is_complete,
        max(exceptions) as exceptions
      from analytics.data_coverage where organization_id = ${organizationId} and is_listed
      group by pipeline_id
    ), shared as (
      select range_intersect_agg(coalesce(ranges, '{}'::tstzmultirange)) as ranges from pipeline
    ), unlistable as (
      -- The view adds these to every pipeline of the organization.
      select count(*) as count from ${failures} as failed where failed.organization_id = ${organizationId}
        and (failed.kind = 'builds_list' or (failed.kind = 'build' and failed.pipeline_id is null and not exists (
          select from ${pipelines} as known where known.organization_id = failed.organization_id
            and known.slug = failed.pipeline_slug and known.deleted_at is null)))
    )
    select
      case when count(pipeline_id) = count(current_from) then max(current_from) end as covered_from,
      min(as_of) as as_of, min(jobs_as_of) as jobs_as_of,
      (select pipelines_read_at from ${watermarks} where organization_id = ${organizationId}) as pipelines_listed_at,
      count(pipeline_id)::int as pipelines,
      count(current_from)::int as pipelines_current,
      count(*) filter (where is_complete)::int as pipelines_complete,
      coalesce(sum(exceptions - unlistable.count), 0)::int + unlistable.count::int as exceptions,
      coalesce((select json_agg(json_build_object('from', lower(part), 'to', upper(part)) order by part)
        from shared, unnest(shared.ranges) as part), '[]') as ranges
    from unlistable left join pipeline on true group by unlistable.count`)
  const [row] = rows
  if (!row) throw new RangeError('An aggregate without group by always returns a row.')
  const { covered_from, as_of, jobs_as_of, pipelines_listed_at, ranges, ...counts } = row
  return {
    ...counts,
    covered_from: timeOf(covered_from),
    as_of: timeOf(as_of),
    jobs_as_of: timeOf(jobs_as_of),
    pipelines_listed_at: timeOf(pipelines_listed_at),
    ranges: ranges.map(({ from, to }) => ({ from: new Date(from), to: new Date(to) })),
  }
}

function timeOf(text: string | null): Date | null {
  return text === null ? null : new Date(text)
}

/** The time of the claim for jobs, for builds whose jobs REST has not confirmed yet. Other jobs are as recent as their build. */
export async function jobClaims(db: Db, buildIds: readonly string[]): Promise<ReadonlyMap<string, Date>> {
  if (buildIds.length === 0) return new Map()
  const rows = await db
    .select({ build_id: job_reads.build_id, read_at: job_reads.read_at, created_at: builds.created_at })
    .from(job_reads)
    .leftJoin(builds, eq(builds.id, job_reads.build_id))
    .where(inArray(job_reads.build_id, [...buildIds]))
  return new Map(rows.map(({ build_id, read_at, created_at }) => [build_id, read_at ?? created_at ?? new Date(0)]))
}

/** How many pending deliveries are searched. With more, the workers are far behind, and only dates decide. */
const DELIVERIES_SEARCHED = 2_000

/** The builds that have a delivery that no worker has applied yet. */
export async function buildsWithDeliveries(db: Db, buildIds: readonly string[]): Promise<ReadonlySet<string>> {
  if (buildIds.length === 0) return new Set()
  const { rows } = await db.execute<{ id: string }>(sql`
    with waiting as materialized (
      select payload from ${deliveries} where status = 'pending' and payload is not null order by id limit ${DELIVERIES_SEARCHED}
    )
    select build.id from unnest(${sql.param([...buildIds])}::text[]) as build (id)
    where exists (select from waiting where position(build.id in waiting.payload) > 0)`)
  return new Set(rows.map(({ id }) => id))
}
