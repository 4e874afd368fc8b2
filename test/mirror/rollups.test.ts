import { eq } from 'drizzle-orm'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { catchUp, refreshRollups } from '../../src/analytics/rollups.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { failures } from '../../src/database/schema.ts'
import { at, id } from '../analytics/history.ts'
import { type HistoryStage, openHistory } from '../analytics/stage.ts'

let stage: HistoryStage
let database: Database
beforeAll(async () => {
  stage = await openHistory()
  database = openDatabase(stage.url, { name: 'rollups test' })
  await generateHistory()
})
beforeEach(async () => {
  await refreshRollups(database.db)
})
afterAll(async () => {
  await database.close()
  await stage.close()
})

const pipeline = id('p', 90)
const BUILDS = 2_500

/** A pipeline with builds of 100 days, of two jobs each, whose days are made. */
async function generateHistory(): Promise<void> {
  await stage.sql`
    insert into buildkite.pipelines (id, organization_id, slug, name, default_branch, observed_at, first_seen_at, first_seen_via, changed_at)
    values (${pipeline}, ${id('o', 1)}, 'long', 'Long', 'main', now(), now(), 'rest', now())`
  await stage.sql`
    insert into buildkite.builds (id, organization_id, pipeline_id, number, state, branch, commit, created_at, finished_at,
      observed_at, first_seen_at, first_seen_via, changed_at)
    select md5('long' || n)::uuid, ${id('o', 1)}, ${pipeline}, n, 'passed', 'main', md5('commit' || n), t, t + interval '5 minutes', t, t, 'rest', t
    from (select n, timestamptz '2025-06-01 00:00Z' + n % 25 * interval '1 day' + n % 7 * interval '1 hour' as t
      from generate_series(1, ${BUILDS}::int) as n) as build`
  await stage.sql`
    insert into buildkite.jobs (id, build_id, type, name, state, started_at, finished_at, observed_at, first_seen_at, first_seen_via, changed_at)
    select md5(build.id::text || job)::uuid, build.id, 'script', 'test', 'passed', created_at, created_at + job * interval '2 days',
      created_at, created_at, 'rest', created_at
    from buildkite.builds as build cross join generate_series(1, 2) as job where pipeline_id = ${pipeline}`
}

const staleDays = async () => {
  const rows = await stage.sql<{ day: string }[]>`select distinct day::text as day from sync.stale_days order by 1`
  return rows.map(({ day }) => day)
}
/** The days on which builds of the pipeline ended, and its jobs if a rule may make deployments of them. */
const expectedDays = async () => {
  const rows = await stage.sql<{ day: string }[]>`
    select distinct (finished_at at time zone 'UTC')::date::text as day from (
      select finished_at from buildkite.builds where pipeline_id = ${pipeline}
      union all
      select job.finished_at from buildkite.jobs as job join buildkite.builds as build on build.id = job.build_id
      where pipeline_id = ${pipeline}
    ) as ended order by 1`
  return rows.map(({ day }) => day)
}
const known = () => database.db.select().from(failures).where(eq(failures.kind, 'rollup_day'))

describe('a change of history', () => {
  test.each([
    ['a renamed pipeline', `update buildkite.pipelines set name = 'Longer' where slug = 'long'`],
    ['another default branch', `update buildkite.pipelines set default_branch = 'trunk' where slug = 'long'`],
    ['an organization with another slug', `update buildkite.organizations set slug = slug || 'x'`],
    [
      'a new queue',
      `insert into buildkite.cluster_queues (id, cluster_id, organization_id, key, first_seen_at, changed_at)
       values (gen_random_uuid(), gen_random_uuid(), '${id('o', 1)}', 'fresh', now(), now())`,
    ],
    ['another key of a queue', `update buildkite.cluster_queues set key = key || 'x'`],
    ['another rule', `update settings.deployment_rules set branch = branch`],
  ])('reads no builds and no jobs in its own transaction: %s', async (_what, change) => {
    const rows = () => stage.sql<{ rows: number; changes: number }[]>`
      select (select count(*)::int from sync.stale_history) as changes,
        (select sum(seq_tup_read + idx_tup_fetch + seq_scan + idx_scan)::int from pg_stat_xact_user_tables
          where relname in ('builds', 'jobs', 'minutes_daily', 'deployments')) as rows`
    await stage.sql`begin`
    const [before] = await rows()
    await stage.sql.unsafe(change)
    const [after] = await rows()
    await stage.sql`rollback`
    expect(before?.changes).toBe(0)
    expect(after).toEqual({ rows: before?.rows, changes: 1 })
  })

  test('becomes stale days in batches, each in its own transaction', async () => {
    await stage.sql`update buildkite.pipelines set name = 'Longer', repository = 'x/long' where id = ${pipeline}`
    const batches: number[] = []
    for (;;) {
      const [batch] = await stage.sql<{ days: string[] | null }[]>`select sync.mark_stale_history(600)::text[] as days`
      if (!batch?.days) break
      batches.push(batch.days.length)
    }
    expect(batches.length).toBeGreaterThan(BUILDS / 600)
    expect(await staleDays()).toEqual(await expectedDays())
    expect(await stage.sql`select * from sync.stale_history`).toHaveLength(0)
  })

  test('is processed day by day, between the regular runs', async () => {
    await stage.sql`update buildkite.pipelines set slug = 'longest' where id = ${pipeline}`
    const days = new Set<string>()
    let steps = 0
    while (await catchUp(database.db, days)) steps += 1
    expect(steps).toBeGreaterThanOrEqual((await expectedDays()).length)
    expect(await staleDays()).toEqual([])
  })
})

describe('a day that cannot be refreshed', () => {
  const bad = '2025-06-07'
  const others = ['2025-06-05', '2025-06-06', '2025-06-08']
  const mark = () => stage.sql`insert into sync.stale_days (day) select unnest(${[...others, bad]}::text[])::date`

  test('is recorded and skipped until it is due again, and its record is deleted when it succeeds', async () => {
    await stage.sql.unsafe(`
      create function public.refuse() returns trigger language plpgsql as $$ begin raise 'canary' using errcode = '57014'; end $$;
      create trigger refuse before delete on sync.stale_days for each row when (old.day = '${bad}') execute function public.refuse()`)
    await mark()
    expect(await refreshRollups(database.db)).toEqual({ days: others.length, users: 0, failed: 1 })
    expect(await staleDays()).toEqual([bad])
    expect(await known()).toMatchObject([{ subject: bad, code: '57014', tries: 1 }])
    // Not before it is due.
    await mark()
    expect(await refreshRollups(database.db)).toMatchObject({ days: others.length, failed: 0 })
    await database.db.update(failures).set({ next_try_at: new Date() })
    expect(await refreshRollups(database.db)).toMatchObject({ days: 0, failed: 1 })
    expect(await known()).toMatchObject([{ subject: bad, tries: 2 }])
    await stage.sql`drop function public.refuse cascade`
    await database.db.update(failures).set({ next_try_at: new Date() })
    expect(await refreshRollups(database.db)).toMatchObject({ days: 1, failed: 0 })
    expect(await known()).toEqual([])
  })

  test('does not block the refresh of users, and they do not block days', async () => {
    await stage.sql.unsafe(`
      create function public.refuse() returns trigger language plpgsql as $$ begin raise 'canary'; end $$;
      create trigger refuse before insert on sync.user_identities for each statement execute function public.refuse()`)
    await mark()
    expect(await refreshRollups(database.db)).toEqual({ days: others.length + 1, users: 0, failed: 1 })
    expect(await known()).toMatchObject([{ subject: 'buildkite.users', code: 'P0001' }])
    await stage.sql`drop function public.refuse cascade`
    await database.db.update(failures).set({ next_try_at: new Date() })
    expect(await refreshRollups(database.db)).toMatchObject({ failed: 0 })
    expect(await known()).toEqual([])
  })
})

test('a build in the distant past or future does not stop the refresh', async () => {
  await stage.sql`update buildkite.builds set created_at = ${at('01 00:00:00')} where number = 1 and pipeline_id = ${pipeline}`
  await stage.sql`update buildkite.pipelines set name = 'Other' where id = ${pipeline}`
  while (await catchUp(database.db, new Set()));
  expect(await stage.sql`select * from sync.stale_history`).toHaveLength(0)
})
