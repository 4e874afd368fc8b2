import { type SQL, sql } from 'drizzle-orm'
import { asStoreError, isOutage, type Transaction } from '../../database/connection.ts'
import { clearFailure } from '../../database/failures.ts'
import { builds, failures, jobs, pipeline_changes, pipeline_slugs, pipelines } from '../../database/schema.ts'
import { changedNow } from '../../mirror/table.ts'
import { DAY, MINUTE, monotonicBeside, SECOND } from '../../runtime/time.ts'
import { presentOf, type ReconcileDeps, type Source } from '../context.ts'
import { LIST_LAG } from '../progress/watermark.ts'
import { type Run, recordBatchFailure, runBatch, unitOf } from './batches.ts'

/** A batch also ends when it has this many jobs per build of its maximum, because some builds have thousands. */
const JOBS_PER_BUILD = 10
/** A run ends after this time; the next list of pipelines continues. */
const RUN = 5 * SECOND

/** A pipeline that was created at most this long before it was first seen has the slug that it was created with. */
const CREATED_WITHIN = 15 * MINUTE

interface ChangedPipeline extends Record<string, unknown> {
  id: string
  slug: string
  deleted_at: string | null
  deleted_reason: string | null
  /** Whether it had another slug. If not, its jobs already have the right addresses. */
  was_renamed: boolean
  /** Null for an update that begins now. */
  after_number: string | null
  /** Its row in `pipeline_changes`, to notice that another run updates the same pipeline. */
  known_started_at: string | null
  known_after_number: string | null
}

/**
 * Updates builds after their pipeline was renamed, deleted, hidden or shown again, which no list of builds shows. Their addresses and
 * those of their jobs get the pipeline's slug. Builds of a pipeline that is gone are marked for the same reason, and unmarked when it is
 * back. Needs no requests. Works in batches, one for each pipeline in turn, for at most about `runMs`.
 * @throws StoreError when the database is unavailable, or the signal's reason. Any other failure is recorded in sync.failures and
 * retried after a back-off.
 */
export async function followPipelines(
  deps: ReconcileDeps,
  source: Source,
  signal?: AbortSignal,
  runMs: number = RUN,
): Promise<void> {
  const monotonic = monotonicBeside(deps.clock)
  const startedAt = new Date(deps.clock())
  const until = monotonic() + runMs
  const sizes = deps.batchSizes ?? new Map<string, number>()
  const run: Run = { deps, source, signal, startedAt, sizes, isOver: () => monotonic() >= until }
  const unit = unitOf(source, `builds of ${source.slug}`)
  try {
    await placeUnderReusedSlugs(run)
    await updateChanged(run)
  } catch (error) {
    signal?.throwIfAborted()
    const failure = asStoreError(error, `update builds of ${source.slug} after a list of pipelines`)
    if (isOutage(failure)) throw failure
    await recordBatchFailure(run, unit, failure)
    return
  }
  await clearFailure(deps.db, unit)
}

async function updateChanged(run: Run): Promise<void> {
  for (let updated = true; updated; ) {
    updated = false
    for (const pipeline of await changedPipelines(run.deps, run.source)) {
      const startedAt = presentOf(run.deps, run.source)
      const work = (tx: Transaction, size: number) => updateBuilds(tx, pipeline, size, startedAt)
      if ((await runBatch(run, `builds of ${pipeline.slug} (${pipeline.id})`, work)) !== undefined) updated = true
      if (run.isOver()) return
    }
  }
}

/** The pipelines whose builds do not match them yet. A change counts from when lists show it. */
async function changedPipelines({ db, clock }: ReconcileDeps, source: Source): Promise<ChangedPipeline[]> {
  const now = presentOf({ clock }, source)
  const settled = sql`greatest(names.since, pipeline.deleted_at) + ${LIST_LAG} * interval '1 ms'`
  const isOther = sql`(done.slug, done.deleted_reason) is distinct from (pipeline.slug, pipeline.deleted_reason)`
  const isEarly = sql`done.started_at < ${settled}`
  const { rows } = await db.execute<ChangedPipeline>(sql`
    select pipeline.id, pipeline.slug, pipeline.deleted_at, pipeline.deleted_reason, names.number > 1 as was_renamed,
      case when ${isOther} then null else done.after_number end as after_number,
      done.started_at as known_started_at, done.after_number as known_after_number
    from ${pipelines} as pipeline
    left join ${pipeline_changes} as done on done.pipeline_id = pipeline.id
    cross join lateral (
      select count(*) as number, max(last_seen_at) filter (where name.slug = pipeline.slug) as since
      from ${pipeline_slugs} as name where name.pipeline_id = pipeline.id
    ) as names
    where pipeline.organization_id = ${source.id} and pipeline.slug is not null
      and case when done.pipeline_id is null then names.number > 1 or pipeline.deleted_at is not null
        else ${isOther} or done.after_number is not null or (${isEarly} and ${settled} <= ${now}) end
    order by done.started_at nulls first, pipeline.id`)
  return rows
}

/** Updates one batch of a pipeline's builds. Returns whether it was the last one. */
async function updateBuilds(
  tx: Transaction,
  pipeline: ChangedPipeline,
  size: number,
  startedAt: Date,
): Promise<boolean> {
  const { id, slug, deleted_reason, after_number, was_renamed } = pipeline
  const last = await endOfBatch(tx, pipeline, size)
  const upTo = last === null ? sql`` : sql`and number <= ${last}`
  const { rows } = await tx.execute<{ id: string }>(sql`
    select id from ${builds} where pipeline_id = ${id} and number > ${after_number ?? -1} ${upTo}`)
  const ids = sql`${sql.param(rows.map((row) => row.id))}::uuid[]`
  const marks = marksFor(pipeline)
  const changedBuilds = sql`held.id = any(${ids}) and ${hasOtherAddress(builds, slug)}`
  const changedJobs = sql`held.build_id = any(${ids}) and ${hasOtherAddress(jobs, slug)}`
  const markedBuilds = sql`held.id = any(${ids}) and ${marks.which}`
  // Every merge locks rows in the order of their ids, builds before jobs.
  await lock(tx, builds, sql`(${changedBuilds}) or (${markedBuilds})`)
  if (was_renamed) await lock(tx, jobs, changedJobs)
  await tx.execute(sql`update ${builds} as held set ${marks.set}, changed_at = ${changedNow} where ${markedBuilds}`)
  await rewrite(tx, builds, slug, changedBuilds)
  if (was_renamed) await rewrite(tx, jobs, slug, changedJobs)
  // If another run wrote the row meanwhile, its progress counts, and this batch is repeated.
  await tx.execute(sql`
    insert into ${pipeline_changes} as known (pipeline_id, slug, deleted_reason, started_at, after_number)
    values (${id}, ${slug}, ${deleted_reason}, ${startedAt}, ${last})
    on conflict (pipeline_id) do update set slug = excluded.slug, deleted_reason = excluded.deleted_reason,
      after_number = excluded.after_number,
      started_at = case when ${after_number === null} then excluded.started_at else known.started_at end
    where known.started_at = ${pipeline.known_started_at}::timestamptz
      and known.after_number is not distinct from ${pipeline.known_after_number}::bigint`)
  return last === null
}

/** The number of a batch's last build; null if the batch reaches the pipeline's last one. Does not count jobs beyond the batch. */
async function endOfBatch(
  tx: Transaction,
  { id, after_number, was_renamed }: ChangedPipeline,
  size: number,
): Promise<string | null> {
  const jobsOfNext = was_renamed
    ? sql`(select count(*) from ${builds} as build join ${jobs} as job on job.build_id = build.id
        where build.pipeline_id = ${id} and build.number = next.number)`
    : sql`0`
  const isFull = sql`chosen.builds >= ${size} or chosen.jobs >= ${size * JOBS_PER_BUILD}`
  const { rows } = await tx.execute<{ number: string }>(sql`
    with recursive chosen (number, builds, jobs) as (
      select ${after_number ?? -1}::bigint, 0, 0::bigint
      union all
      select next.number, chosen.builds + 1, chosen.jobs + ${jobsOfNext}
      from chosen cross join lateral (
        select build.number::bigint as number from ${builds} as build
        where build.pipeline_id = ${id} and build.number > chosen.number order by build.number limit 1
      ) as next
      where not (${isFull})
    )
    select number from chosen where ${isFull}`)
  return rows[0]?.number ?? null
}

/** Locks the rows that a batch changes, and no others, because a delivery for a locked build waits. */
async function lock(tx: Transaction, table: typeof builds | typeof jobs, which: SQL): Promise<void> {
  await tx.execute(sql`
    select count(*) from (select 1 from ${table} as held where ${which} order by held.id for update) as locked`)
}

/** The columns of builds and jobs that hold addresses under their pipeline, with their values under a slug. */
function addressesOf(table: typeof builds | typeof jobs, slug: string): Map<string, SQL> {
  const name = encodeURIComponent(slug)
  const inRest = (column: string) =>
    sql`regexp_replace(held.${sql.identifier(column)}, '/pipelines/[^/?#]+/builds/', ${`/pipelines/${name}/builds/`})`
  // A trigger job has the address of the triggered build, which may be another pipeline's. The others end in # and their id.
  const end = table === jobs ? '(/builds/[0-9]+#)' : '(/builds/)'
  const pattern = `^(https?://[^/?#]+/[^/?#]+/)[^/?#]+${end}`
  const rest = table === jobs ? ['build_url', 'log_url', 'raw_log_url', 'artifacts_url', 'unblock_url'] : ['url']
  return new Map([
    ...rest.map((column) => [column, inRest(column)] as const),
    ['web_url', sql`regexp_replace(held.web_url, ${pattern}, ${`\\1${name}\\2`})`],
  ])
}

/** Addresses that differ from those under the slug. */
function hasOtherAddress(table: typeof builds | typeof jobs, slug: string): SQL {
  const values = addressesOf(table, slug)
  return sql`(${list(heldColumns(values))}) is distinct from (${list([...values.values()])})`
}

async function rewrite(tx: Transaction, table: typeof builds | typeof jobs, slug: string, which: SQL): Promise<void> {
  const set = [...addressesOf(table, slug)].map(([name, value]) => sql`${sql.identifier(name)} = ${value}`)
  await tx.execute(sql`update ${table} as held set ${list(set)}, changed_at = ${changedNow} where ${which}`)
}

function heldColumns(values: ReadonlyMap<string, SQL>): SQL[] {
  return [...values.keys()].map((name) => sql`held.${sql.identifier(name)}`)
}

function list(parts: readonly SQL[]): SQL {
  return sql.join([...parts], sql`, `)
}

const isMarkedForPipeline = sql`coalesce(held.deleted_reason in ('pipeline_not_listed', 'hidden'), false)`

/**
 * Marks builds of a pipeline that is gone, except those that were seen after it went: a webhook may show builds of a hidden pipeline.
 * Removes such marks if the pipeline is listed again.
 */
function marksFor(pipeline: ChangedPipeline): { which: SQL; set: SQL } {
  if (pipeline.deleted_at === null) {
    return { which: isMarkedForPipeline, set: sql`deleted_at = null, deleted_reason = null` }
  }
  const goneAt = sql`${pipeline.deleted_at}::timestamptz`
  const seenAt = sql`greatest(held.observed_at, held.verified_at)`
  const reason = pipeline.deleted_reason === 'hidden' ? 'hidden' : 'pipeline_not_listed'
  const isUnseen = sql`held.deleted_at is null and ${seenAt} <= ${goneAt} + ${LIST_LAG} * interval '1 ms'`
  return {
    which: sql`held.deleted_reason is distinct from ${reason} and (${isMarkedForPipeline} or ${isUnseen})`,
    set: sql`deleted_at = coalesce(held.deleted_at, greatest(${goneAt}, ${seenAt})), deleted_reason = ${reason}`,
  }
}

/**
 * Moves builds to a pipeline that was created with the slug of another. Until a list of pipelines showed it, its builds were placed by
 * that slug. A slug names one pipeline at a time, so builds under the address that were created since are the new pipeline's. One that
 * was created long before it was listed may have been renamed; its own backfill places its builds.
 */
async function placeUnderReusedSlugs(run: Run): Promise<void> {
  const { deps, source, startedAt } = run
  const { rows: all } = await deps.db.execute<{ id: string; slug: string }>(sql`
    select young.id, young.slug from ${pipelines} as young
    where young.organization_id = ${source.id} and young.deleted_at is null
      and young.first_seen_at > ${new Date(startedAt.getTime() - DAY)}
      and young.created_at > young.first_seen_at - ${CREATED_WITHIN} * interval '1 ms'
      and exists (select 1 from ${pipeline_slugs} as name
        where name.slug = young.slug and name.organization_slug = ${source.slug} and name.pipeline_id <> young.id)
    order by young.id`)
  for (const young of all) {
    const work = (tx: Transaction, size: number) => moveBuilds(tx, source, young.id, size)
    for (let isFull: boolean | undefined = true; isFull; ) {
      if (run.isOver()) return
      isFull = await runBatch(run, `builds created in ${young.slug} (${young.id})`, work)
    }
  }
}

/** Moves one batch to the new pipeline. Returns whether there may be more. */
async function moveBuilds(tx: Transaction, source: Source, id: string, size: number): Promise<boolean> {
  const { rows } = await tx.execute<{ id: string }>(sql`
    select build.id
    from ${pipelines} as young
    join ${pipeline_slugs} as name on name.slug = young.slug and name.organization_slug = ${source.slug}
      and name.pipeline_id <> young.id
    join ${builds} as build on build.pipeline_id = name.pipeline_id and build.created_at >= young.created_at
      and split_part(split_part(build.url, '/pipelines/', 2), '/', 1) = young.slug
    where young.id = ${id}
    order by build.id limit ${size} for update of build`)
  const ids = sql`${sql.param(rows.map((row) => row.id))}::uuid[]`
  // A mark for the other pipeline, which may be gone, does not apply to the new one.
  const kept = (column: string) =>
    sql`case when ${isMarkedForPipeline} then null else held.${sql.identifier(column)} end`
  await tx.execute(sql`
    update ${builds} as held set pipeline_id = ${id}, deleted_at = ${kept('deleted_at')}, deleted_reason = ${kept('deleted_reason')},
      changed_at = ${changedNow}
    where id = any(${ids})`)
  await tx.execute(sql`update ${failures} set pipeline_id = ${id} where build_id = any(${ids})`)
  return rows.length === size
}
