import { sql } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { builds, deliveries, job_reads, pipelines } from '../../database/schema.ts'
import { HOUR, MINUTE, SECOND } from '../../runtime/time.ts'
import type { Source } from '../context.ts'
import { LIST_LAG } from '../progress/watermark.ts'
import { openStates } from './open-states.ts'
import { webhooksSince } from './webhook-progress.ts'

/** A build read from REST, with its number of jobs. */
export interface ShownBuild {
  readonly id: string
  /** How many jobs it included; undefined if it was read without jobs. */
  readonly jobs: number | undefined
}

/** A build whose jobs must be read. */
export interface UnreadBuild extends Record<string, unknown> {
  readonly id: string
  readonly number: string
  readonly slug: string | null
  readonly url: string | null
  readonly pipeline_id: string | null
  readonly created_at: string | null
}

/** An open build's jobs are read again after 6 s for each of them, at least 2 minutes and at most an hour. */
const PER_JOB = 6 * SECOND
const SHORTEST = 2 * MINUTE
/** The same if webhooks do not account for the jobs: at least once a minute for small builds. */
const PER_JOB_UNACCOUNTED = SECOND
const SHORTEST_UNACCOUNTED = 30 * SECOND
/** The jobs of larger open builds are read by the hourly cycle only. */
const LARGE = 400
/** Open builds with up to this many jobs in total may be listed with their jobs: about 4 MB. */
const WITH_LIST = 1_500
/** Without a webhook for this long, none is expected. */
const NO_WEBHOOKS = HOUR

/**
 * Records builds that were listed without their jobs, before they are merged. Their jobs are known as of the last read of the build.
 */
export async function expectJobs(db: Db, source: Source, ids: readonly string[], at: Date): Promise<void> {
  if (ids.length === 0) return
  await db.execute(sql`
    insert into ${job_reads} (build_id, organization_id, is_open, read_at, next_read_at)
    select shown.id, ${source.id}, true, build.verified_at - ${LIST_LAG} * interval '1 ms', ${at}
    from unnest(${sql.param(ids)}::uuid[]) as shown (id) left join ${builds} as build on build.id = shown.id
    on conflict (build_id) do nothing`)
}

/** Updates the records after a merge. Whether a build is open is taken from the merged row. */
export async function recordJobs(
  db: Db,
  source: Source,
  shown: readonly ShownBuild[],
  at: Date,
  via: 'list' | 'build',
): Promise<void> {
  if (shown.length === 0) return
  const read = shown.filter(({ jobs }) => jobs !== undefined)
  if (read.length > 0) {
    const readAt = via === 'list' ? new Date(at.getTime() - LIST_LAG) : at
    const rows = sql`unnest(${sql.param(read.map(({ id }) => id))}::uuid[], ${sql.param(read.map(({ jobs }) => jobs))}::integer[])`
    await db.execute(sql`
      with shown as (
        select shown.id, shown.jobs, build.state in (${openStates}) as is_open
        from ${rows} as shown (id, jobs) join ${builds} as build on build.id = shown.id
      ), complete as (
        delete from ${job_reads} using shown where build_id = shown.id and not shown.is_open
      )
      insert into ${job_reads} as known (build_id, organization_id, is_open, read_at, jobs, next_read_at)
      select id, ${source.id}, true, ${readAt}, jobs, ${at}::timestamptz + ${interval(sql`jobs`)} from shown where is_open
      on conflict (build_id) do update set is_open = true, read_at = greatest(known.read_at, excluded.read_at),
        jobs = excluded.jobs, next_read_at = excluded.next_read_at`)
  }
  const unread = shown.filter(({ jobs }) => jobs === undefined).map(({ id }) => id)
  if (unread.length > 0) {
    await db.execute(sql`
      update ${job_reads} set is_open = false, next_read_at = ${at}
      from ${builds} as build
      where build_id = any (${sql.param(unread)}::uuid[]) and build.id = build_id and is_open
        and coalesce(build.state not in (${openStates}), true)`)
  }
}

function interval(jobs: ReturnType<typeof sql>) {
  const ms = sql`least(${HOUR}, greatest(${SHORTEST}, ${jobs} * ${PER_JOB}))`
  return sql`${ms} * interval '1 ms'`
}

/** How a cycle reads the jobs of builds that were listed without them. */
export interface JobReadPlan {
  /** Whether the open builds are listed with their jobs, because many are due and all are small. */
  readonly withList: boolean
  /** Webhooks do not account for the jobs: none arrive, or some were lost. */
  readonly unaccounted: boolean
}

/** Decides, before the open builds are listed, whether to list them with their jobs. */
export async function planJobReads(db: Db, source: Source, now: Date, lost: boolean): Promise<JobReadPlan> {
  const unaccounted = lost || !(await receivesWebhooks(db, source, now))
  const { rows } = await db.execute<{ due: number; jobs: number }>(sql`
    select count(*) filter (where ${isDue(now, unaccounted)})::int as due, coalesce(sum(greatest(jobs, 10)), 0)::int as jobs
    from ${job_reads} where organization_id = ${source.id} and is_open`)
  const { due = 0, jobs = 0 } = rows[0] ?? {}
  return { withList: due > 2 && jobs <= WITH_LIST, unaccounted }
}

/** The builds whose jobs are due, finished ones first. Large open builds only if `large`. */
export async function dueJobReads(
  db: Db,
  source: Source,
  now: Date,
  { unaccounted, large, limit }: { unaccounted: boolean; large: boolean; limit: number },
): Promise<UnreadBuild[]> {
  const size = large ? sql`` : sql`and (not is_open or read_at is null or jobs <= ${LARGE})`
  const { rows } = await db.execute<UnreadBuild>(sql`
    select build.id, build.number, build.url, build.pipeline_id, build.created_at, pipeline.slug
    from ${job_reads} join ${builds} as build on build.id = build_id
    left join ${pipelines} as pipeline on pipeline.id = build.pipeline_id
    where job_reads.organization_id = ${source.id} and build.deleted_at is null and build.number is not null
      and (${isDue(now, unaccounted)}) ${size}
    order by is_open, next_read_at limit ${limit}`)
  return rows
}

/** Delays the next read of a build that could not be read. */
export async function postponeJobRead(db: Db, buildId: string, until: Date): Promise<void> {
  await db.execute(sql`update ${job_reads} set next_read_at = ${until} where build_id = ${buildId}`)
}

/**
 * Deletes the records of builds that were deleted from the mirror. One that is only marked as deleted may be shown again, and its jobs are
 * still unread then.
 */
export async function forgetJobReads(db: Db, source: Source): Promise<void> {
  await db.execute(sql`
    delete from ${job_reads} where organization_id = ${source.id}
      and not exists (select from ${builds} as build where build.id = build_id)`)
}

function isDue(now: Date, unaccounted: boolean) {
  if (!unaccounted) return sql`next_read_at <= ${now}`
  const pause = sql`greatest(${SHORTEST_UNACCOUNTED}, jobs * ${PER_JOB_UNACCOUNTED}) * interval '1 ms'`
  return sql`next_read_at <= ${now} or (is_open and next_read_at - ${interval(sql`jobs`)} + ${pause} <= ${now})`
}

/** Whether this organization's webhooks arrive: some did within the last hour, and some of its newest builds came by webhook. */
async function receivesWebhooks(db: Db, source: Source, now: Date): Promise<boolean> {
  const { rows } = await db.execute(sql`
    select 1 from ${deliveries} where received_at > ${new Date(now.getTime() - NO_WEBHOOKS)} limit 1`)
  return rows.length > 0 && (await webhooksSince(db, source.id, now.getTime())) !== undefined
}
