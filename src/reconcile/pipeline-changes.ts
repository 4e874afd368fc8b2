import { type SQL, sql } from 'drizzle-orm'
import { isOutage, type Transaction } from '../database/connection.ts'
import { clearFailure, failuresOf, isDue, recordFailure } from '../database/failures.ts'
import { builds, failures, jobs, pipeline_changes, pipeline_slugs, pipelines } from '../database/schema.ts'
import { inOneTransaction } from '../mirror/apply.ts'
import { changedNow } from '../mirror/table.ts'
import { DAY, MINUTE, monotonicBeside, SECOND } from '../time.ts'
import { presentOf, type ReconcileDeps, type Source } from './deps.ts'
import { LIST_LAG } from './watermark.ts'

/** Maximum builds per transaction; a batch that fails is retried with an eighth of them. */
const BATCH = 500
const BATCH_TIMEOUT = 10 * SECOND
/** A run ends after this time; the next list of pipelines continues. */
const RUN = 5 * SECOND

/** A pipeline that was created at most this long before it was first seen has the slug that it was created with. */
const CREATED_WITHIN = 15 * MINUTE

interface ChangedPipeline extends Record<string, unknown> {
  id: string
  slug: string
  deleted_at: string | null
  deleted_reason: string | null
  /** Null for an update that begins now. */
  after_number: string | null
}

/**
 * Updates builds after their pipeline was renamed, deleted, hidden or shown again, which no list of builds shows. Their addresses and
 * those of their jobs get the pipeline's slug. Builds of a pipeline that is gone are marked for the same reason, and unmarked when it is
 * back. Needs no requests. Works in batches, one for each pipeline in turn, for a few seconds.
 * @throws StoreError when the database is unavailable; any other failure is recorded in sync.failures and retried after a back-off.
 */
export async function followPipelines(deps: ReconcileDeps, source: Source, signal?: AbortSignal): Promise<void> {
  const monotonic = monotonicBeside(deps.clock)
  const until = monotonic() + RUN
  await placeUnderReusedSlugs(deps, source)
  for (let updated = true; updated; ) {
    updated = false
    for (const pipeline of await changedPipelines(deps, source)) {
      signal?.throwIfAborted()
      if (await updateBatch(deps, source, pipeline)) updated = true
      if (monotonic() >= until) return
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
    select pipeline.id, pipeline.slug, pipeline.deleted_at, pipeline.deleted_reason,
      case when ${isOther} then null else done.after_number end as after_number
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

/** Updates one batch of a pipeline's builds. Returns false if it cannot be done now. */
async function updateBatch(
  { db, clock, log }: ReconcileDeps,
  source: Source,
  pipeline: ChangedPipeline,
): Promise<boolean> {
  const unit = {
    kind: 'pipeline_change',
    organizationId: source.id,
    subject: `builds of ${pipeline.slug} (${pipeline.id})`,
  } as const
  const failed = (await failuresOf(db, source.id, ['pipeline_change'])).find(({ subject }) => subject === unit.subject)
  if (failed && !isDue(failed.next_try_at, clock())) return false
  const size = Math.max(1, Math.floor(BATCH / 8 ** (failed?.tries ?? 0)))
  const work = (tx: Transaction) => updateBuilds(tx, pipeline, size, presentOf({ clock }, source))
  try {
    await inOneTransaction(db, `update the builds of ${pipeline.slug}`, work, BATCH_TIMEOUT)
  } catch (error) {
    if (isOutage(error)) throw error
    log.warn({ err: error, organization: source.slug, pipeline: pipeline.slug }, 'Could not update builds; will retry.')
    await recordFailure(db, unit, error, new Date(clock()))
    return false
  }
  if (failed) await clearFailure(db, unit)
  return true
}

async function updateBuilds(tx: Transaction, pipeline: ChangedPipeline, size: number, startedAt: Date): Promise<void> {
  const { id, slug, deleted_reason, after_number } = pipeline
  const { rows } = await tx.execute<{ id: string; number: string }>(sql`
    select id, number from ${builds} where pipeline_id = ${id} and number > ${after_number ?? -1} order by number limit ${size}`)
  const ids = sql`${sql.param(rows.map((row) => row.id))}::uuid[]`
  // Every merge locks rows in the order of their ids, builds before jobs.
  await tx.execute(sql`select 1 from ${builds} where id = any(${ids}) order by id for update`)
  await tx.execute(sql`select 1 from ${jobs} where build_id = any(${ids}) order by id for update`)
  await markBuilds(tx, pipeline, ids)
  await rewrite(tx, builds, slug, sql`held.id = any(${ids})`)
  await rewrite(tx, jobs, slug, sql`held.build_id = any(${ids})`)
  const last = rows.length < size ? null : (rows.at(-1)?.number ?? null)
  await tx.execute(sql`
    insert into ${pipeline_changes} as known (pipeline_id, slug, deleted_reason, started_at, after_number)
    values (${id}, ${slug}, ${deleted_reason}, ${startedAt}, ${last})
    on conflict (pipeline_id) do update set slug = excluded.slug, deleted_reason = excluded.deleted_reason,
      after_number = excluded.after_number,
      started_at = case when ${after_number === null} then excluded.started_at else known.started_at end`)
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

/** Writes the addresses that differ. */
async function rewrite(tx: Transaction, table: typeof builds | typeof jobs, slug: string, which: SQL): Promise<void> {
  const list = (parts: readonly SQL[]) => sql.join([...parts], sql`, `)
  const values = addressesOf(table, slug)
  const held = [...values.keys()].map((name) => sql`held.${sql.identifier(name)}`)
  const set = [...values].map(([name, value]) => sql`${sql.identifier(name)} = ${value}`)
  await tx.execute(sql`
    update ${table} as held set ${list(set)}, changed_at = ${changedNow}
    where ${which} and (${list(held)}) is distinct from (${list([...values.values()])})`)
}

/**
 * Marks builds of a pipeline that is gone, except those that were seen after it went: a webhook may show builds of a hidden pipeline.
 * Removes such marks if the pipeline is listed again.
 */
async function markBuilds(tx: Transaction, pipeline: ChangedPipeline, ids: SQL): Promise<void> {
  const isMarkedForPipeline = sql`deleted_reason in ('pipeline_not_listed', 'hidden')`
  if (pipeline.deleted_at === null) {
    await tx.execute(sql`
      update ${builds} set deleted_at = null, deleted_reason = null, changed_at = ${changedNow}
      where id = any(${ids}) and ${isMarkedForPipeline}`)
    return
  }
  const goneAt = sql`${pipeline.deleted_at}::timestamptz`
  const seenAt = sql`greatest(observed_at, verified_at)`
  const reason = pipeline.deleted_reason === 'hidden' ? 'hidden' : 'pipeline_not_listed'
  await tx.execute(sql`
    update ${builds} set deleted_at = coalesce(deleted_at, greatest(${goneAt}, ${seenAt})), deleted_reason = ${reason}, changed_at = ${changedNow}
    where id = any(${ids}) and deleted_reason is distinct from ${reason}
      and (${isMarkedForPipeline} or deleted_at is null and ${seenAt} <= ${goneAt} + ${LIST_LAG} * interval '1 ms')`)
}

/**
 * Moves builds to a pipeline that was created with the slug of another. Until a list of pipelines showed it, its builds were placed by
 * that slug. A slug names one pipeline at a time, so builds under the address that were created since are the new pipeline's. One that
 * was created long before it was listed may have been renamed; its own backfill places its builds.
 */
async function placeUnderReusedSlugs({ db, clock }: ReconcileDeps, source: Source): Promise<void> {
  const now = new Date(clock())
  for (let moved = BATCH; moved === BATCH; ) {
    moved = await inOneTransaction(db, 'move builds to a new pipeline', async (tx) => {
      const { rows } = await tx.execute<{ id: string; pipeline_id: string }>(sql`
        select build.id, young.id as pipeline_id
        from ${pipelines} as young
        join ${pipeline_slugs} as name on name.slug = young.slug and name.organization_slug = ${source.slug}
          and name.pipeline_id <> young.id
        join ${builds} as build on build.pipeline_id = name.pipeline_id and build.created_at >= young.created_at
          and split_part(split_part(build.url, '/pipelines/', 2), '/', 1) = young.slug
        where young.organization_id = ${source.id} and young.deleted_at is null and young.first_seen_at > ${new Date(now.getTime() - DAY)}
          and young.created_at > young.first_seen_at - ${CREATED_WITHIN} * interval '1 ms'
        order by build.id limit ${BATCH} for update of build`)
      const found = sql`unnest(${sql.param(rows.map(({ id }) => id))}::uuid[],
        ${sql.param(rows.map(({ pipeline_id }) => pipeline_id))}::uuid[]) as found (id, pipeline_id)`
      await tx.execute(sql`
        update ${builds} as build set pipeline_id = found.pipeline_id, changed_at = ${changedNow} from ${found} where build.id = found.id`)
      await tx.execute(sql`
        update ${failures} as failed set pipeline_id = found.pipeline_id from ${found} where failed.build_id = found.id`)
      return rows.length
    })
  }
}
