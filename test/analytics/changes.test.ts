import { sql as query } from 'drizzle-orm'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { followBackfill, refreshRollups } from '../../src/analytics/rollups.ts'
import { readCatalog } from '../../src/database/catalog.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { until } from '../support/until.ts'
import { at, id } from './history.ts'
import { expected, type HistoryStage, openHistory } from './stage.ts'

// What changes after the sums were made must reach them. Each test works on rows of its own.

let stage: HistoryStage
let database: Database
beforeAll(async () => {
  stage = await openHistory()
  database = openDatabase(stage.url, { name: 'changes test' })
})
afterAll(async () => {
  await database.close()
  await stage.close()
})

const says = async (query: string, rows: string) => expect(await stage.lines(query)).toBe(expected(rows))
const now = () => new Date().toISOString()
/** Once the days of changes of history are marked, too. */
const staleDays = async () => {
  for (;;) {
    const [marked] = await stage.sql<{ days: unknown }[]>`select sync.mark_stale_history() as days`
    if (!marked?.days) break
  }
  return (await stage.sql`select distinct day::text as day from sync.stale_days order by 1`).map(({ day }) =>
    String(day),
  )
}
const mark = (days: readonly string[]) =>
  stage.sql`insert into sync.stale_days (day) select unnest(${days}::text[])::date`

/** A build of the pipeline lib on its default branch, as its first webhook reports it. */
async function addBuild(number: number, fields: Record<string, unknown>): Promise<void> {
  const row = {
    id: id('b', number),
    organization_id: id('o', 1),
    pipeline_id: id('p', 3),
    number,
    branch: 'trunk',
    commit: `c${number}`,
    blocked: false,
    extra: {},
    observed_at: now(),
    first_seen_at: now(),
    first_seen_via: 'webhook',
    changed_at: now(),
    ...fields,
  }
  await stage.sql.unsafe(
    'insert into buildkite.builds select filled.* from json_populate_record(null::buildkite.builds, $1::text::json) as filled',
    [JSON.stringify(row)],
  )
}

async function addAttempt(number: number, state: string, started: string, finished: string): Promise<void> {
  await stage.sql`insert into buildkite.build_attempts (build_id, finished_at, started_at, state, blocked, observed_at, first_seen_at, first_seen_via, changed_at)
    values (${id('b', number)}, ${at(finished)}, ${at(started)}, ${state}, false, ${now()}, ${now()}, 'webhook', ${now()})`
}

async function addJob(number: number, build: number, fields: Record<string, unknown>): Promise<void> {
  const row = {
    id: id('j', number),
    build_id: id('b', build),
    type: 'script',
    name: 'test',
    state: 'passed',
    exit_status: 0,
    agent_query_rules: [],
    extra: {},
    observed_at: now(),
    first_seen_at: now(),
    first_seen_via: 'webhook',
    changed_at: now(),
    ...fields,
  }
  await stage.sql.unsafe(
    'insert into buildkite.jobs select filled.* from json_populate_record(null::buildkite.jobs, $1::text::json) as filled',
    [JSON.stringify(row)],
  )
}

test('of a job, of its build, of a rule; a job moved across midnight leaves its day', async () => {
  const { sql } = stage
  await sql`update buildkite.jobs set finished_at = ${at('04 23:59:59')}, changed_at = ${now()} where name = 'nightly'`
  await sql`update buildkite.builds set branch = 'renamed', changed_at = ${now()} where number = 30`
  await sql`update buildkite.builds set state = 'failed', changed_at = ${now()} where number = 29`
  await sql`update buildkite.pipelines set default_branch = 'x' where slug = 'lib'`
  await sql`update settings.deployment_rules set enabled = false where service is null`
  await stage.refresh()
  await says(
    `select extract(day from day)::int, run_seconds from analytics.jobs_daily where job = 'nightly'`,
    '4 | 599',
  )
  await says(`select branch, minutes from analytics.minutes_daily where day = '2026-03-06'`, 'renamed | 10')
  await says(`select finished, failed from analytics.build_results_daily where day = '2026-03-06'`, '3 | 1')
  await says(`select builds, red_builds from analytics.trunk_health_daily where day = '2026-03-06'`, '1 | 1')
  await says('select count(*) from analytics.deployments', '8')

  await sql`update buildkite.pipelines set default_branch = 'trunk' where slug = 'lib'`
  await sql`update settings.deployment_rules set enabled = true`
  await stage.refresh()
  await says('select count(*) from analytics.deployments', '17')
})

test('a deployment that ran again over midnight stands once, on its last day', async () => {
  const deployment = `select deployed_at, success, (select sum(deployments) from analytics.dora_weekly where week = '2026-04-27 00:00Z') from analytics.deployments where commit_sha = 'c60'`
  await addBuild(60, { state: 'failed', created_at: '2026-05-01T23:00:00Z', finished_at: '2026-05-01T23:30:00Z' })
  await stage.refresh()
  await says(deployment, '01 23:30:00 | false | 1')
  await stage.sql`update buildkite.builds set state = 'passed', finished_at = '2026-05-02T08:00:00Z', changed_at = ${now()} where number = 60`
  await stage.refresh()
  await says(deployment, '02 08:00:00 | true | 1')
})

test('a first finish that arrives after the last one counts as the first', async () => {
  const day = `select finished, first_failed, passed_on_retry, p50_seconds, first_p50_seconds from analytics.build_results_daily
    join analytics.pipeline_durations_daily using (day, pipeline_id) where day = '2026-03-20'`
  await addBuild(61, {
    state: 'passed',
    created_at: at('20 10:00:00'),
    started_at: at('20 10:20:00'),
    finished_at: at('20 10:30:00'),
  })
  await addAttempt(61, 'passed', '20 10:20:00', '20 10:30:00')
  await stage.refresh()
  await says(day, '1 | 0 | 0 | 600 | 600')
  await addAttempt(61, 'failed', '20 10:05:00', '20 10:10:00')
  expect(await staleDays()).toEqual(['2026-03-20'])
  await stage.refresh()
  await says(day, '1 | 1 | 1 | 900 | 300')
  await stage.sql`update buildkite.build_attempts set started_at = ${at('20 10:00:00')}, changed_at = ${now()} where finished_at = ${at('20 10:10:00')}`
  await stage.refresh()
  await says(day, '1 | 1 | 1 | 1200 | 600')
})

describe('a change of what the sums join', () => {
  test('a queue that becomes known, and one that is renamed, take their jobs with them', async () => {
    const queues = `select queue from analytics.queue_waits_daily where day = '2026-03-21'
      union all select queue from analytics.minutes_daily where day = '2026-03-21'`
    await addBuild(62, { state: 'passed', created_at: at('21 10:00:00'), finished_at: at('21 10:30:00') })
    const times = {
      runnable_at: at('21 10:00:00'),
      started_at: at('21 10:00:00'),
      finished_at: at('21 10:10:00'),
    }
    await addJob(120, 62, { cluster_id: id('c', 1), cluster_queue_id: id('q', 9), ...times })
    await stage.refresh()
    await says(queues, 'default\ndefault')
    await stage.sql`insert into buildkite.cluster_queues (id, cluster_id, key, organization_id, created_at, first_seen_at, changed_at)
      values (${id('q', 9)}, ${id('c', 1)}, 'late', ${id('o', 1)}, ${at('19 00:00:00')}, ${now()}, ${now()})`
    // Nothing ran in it before it was made.
    expect((await staleDays())[0]).toBe('2026-03-20')
    await stage.refresh()
    await says(queues, 'late\nlate')
    await stage.sql`update buildkite.cluster_queues set description = 'still the same' where id = ${id('q', 9)}`
    expect(await staleDays()).toEqual([])
    await stage.sql`update buildkite.cluster_queues set key = 'renamed' where id = ${id('q', 9)}`
    await stage.refresh()
    await says(queues, 'renamed\nrenamed')
  })

  test('a pipeline that arrives after its builds, and then has another name, repository and slug', async () => {
    const deployment = `select source_name, repository, service from analytics.deployments where commit_sha = 'c63'`
    await addBuild(63, {
      pipeline_id: id('p', 9),
      state: 'passed',
      branch: 'main',
      created_at: at('22 10:00:00'),
      finished_at: at('22 10:30:00'),
    })
    await stage.sql`insert into settings.deployment_rules (pipeline) values ('late*')`
    await stage.refresh()
    await says(deployment, '')
    await stage.sql`insert into buildkite.pipelines (id, organization_id, slug, name, default_branch, repository, observed_at, first_seen_at, first_seen_via, changed_at)
      values (${id('p', 9)}, ${id('o', 1)}, 'late', 'Late', 'main', 'git@github.com:acme/late.git', ${now()}, ${now()}, 'rest', ${now()})`
    expect(await staleDays()).toEqual(['2026-03-22'])
    await stage.refresh()
    await says(deployment, 'Late | acme/late | late')
    await says(`select builds from analytics.trunk_health_daily where day = '2026-03-22'`, '1')
    await stage.sql`update buildkite.pipelines set name = 'Later', repository = 'https://ghp_SECRET@github.com/acme/later', slug = 'later' where slug = 'late'`
    await stage.refresh()
    await says(deployment, 'Later | acme/later | later')
    await stage.sql`update buildkite.pipelines set slug = 'gone' where slug = 'later'`
    await stage.refresh()
    await says(deployment, '')
  })

  test('an organization that is renamed comes under other rules', async () => {
    const staging = `select count(*) from analytics.deployments where environment = 'staging'`
    await stage.sql`update buildkite.organizations set slug = 'initech' where slug = 'globex'`
    await stage.refresh()
    await says(staging, '0')
    await stage.sql`update buildkite.organizations set slug = 'globex' where slug = 'initech'`
    await stage.refresh()
    await says(staging, '1')
  })

  test('a corrected commit, and a commit whose time becomes known', async () => {
    await addBuild(64, { state: 'passed', created_at: at('23 10:00:00'), finished_at: at('23 10:30:00') })
    await stage.refresh()
    await stage.sql`update buildkite.builds set commit = 'corrected', changed_at = ${now()} where number = 64`
    await stage.refresh()
    const commit = `select commit_sha, committed_at from analytics.deployments where deployed_at = '2026-03-23 10:30Z'`
    await says(commit, 'corrected | -')
    await addBuild(65, {
      state: 'passed',
      branch: 'x',
      commit: 'corrected',
      created_at: at('24 10:00:00'),
      author_date: at('23 09:00:00'),
    })
    await stage.refresh()
    await says(commit, 'corrected | 23 09:00:00')
  })

  test('a creation time that becomes known later', async () => {
    const hour = `select builds from analytics.webhook_loss where hour = '2026-03-25 10:00Z'`
    await addBuild(66, { state: 'running' })
    await stage.refresh()
    await says(hour, '')
    await stage.sql`update buildkite.builds set created_at = ${at('25 10:00:00')}, finished_at = ${at('26 10:00:00')}, state = 'passed', changed_at = ${now()} where number = 66`
    await stage.refresh()
    await says(hour, '1')
  })
})

describe('a turn', () => {
  /** As a busy day does: whenever the sums of a day are made, it is marked again. */
  async function whileBusy(day: string, work: () => Promise<void>): Promise<void> {
    await stage.sql.unsafe(`
      create function public.busy() returns trigger language plpgsql as $$ begin insert into sync.stale_days (day) values ('${day}'); return null; end $$;
      create trigger busy after delete on analytics.queue_depths for each statement execute function public.busy()`)
    try {
      await work()
    } finally {
      await stage.sql`drop function public.busy cascade`
      await stage.refresh()
    }
  }

  test('makes each marked day once and then takes in people, though a day is marked again and again', async () => {
    await whileBusy('2026-03-31', async () => {
      await mark(['2026-03-02', '2026-03-09', '2026-03-31'])
      await stage.sql`update buildkite.builds set creator_id = ${id('u', 7)}, creator_name = 'Newcomer', creator_email = 'new@example.com', changed_at = ${now()} where number = 60`
      const stale = await staleDays()
      expect(await refreshRollups(database.db)).toEqual({ days: stale.length, users: 1, failed: 0 })
      expect(await staleDays()).toEqual(['2026-03-31'])
    })
  })

  test('ends for the loop of version 0.1.0, too', async () => {
    await whileBusy('2026-03-31', async () => {
      await mark(['2026-03-02', '2026-03-09', '2026-03-31'])
      let days = 0
      for (;;) {
        const { rows } = await database.db.execute<{ done: number }>(query`select sync.refresh_rollups() as done`)
        if (rows[0]?.done === 0) break
        days += 1
        expect(days).toBeLessThanOrEqual(3)
      }
      expect(await staleDays()).toEqual(['2026-03-31'])
    })
  })

  test('that has taken long enough has made the newest day and the one that waited longest', async () => {
    await mark(['2026-03-09'])
    await mark(['2026-03-02', '2026-03-17', '2026-03-16'])
    expect(await refreshRollups(database.db, undefined, 0)).toMatchObject({ days: 2 })
    expect(await staleDays()).toEqual(['2026-03-02', '2026-03-16'])
    await stage.refresh()
  })

  test('follows a backfill: days are made, each once, when it has passed the day before them whole', async () => {
    await mark(['2026-03-02', '2026-03-08', '2026-03-09', '2026-03-31'])
    const follower = followBackfill(database.db)
    follower.reached(new Date('2026-03-07T10:00:00Z'))
    await until(async () => (await staleDays()).length === 2, 'two days are made')
    expect(await staleDays()).toEqual(['2026-03-02', '2026-03-08'])
    await mark(['2026-03-09'])
    await until(async () => {
      follower.reached(new Date('2026-03-06T23:30:00Z'))
      return !(await staleDays()).includes('2026-03-08')
    }, 'the day before is made')
    expect(await staleDays()).toEqual(['2026-03-02', '2026-03-09'])
    follower.reached(new Date('2026-03-01T00:00:00Z'))
    await follower.stop()
    await stage.refresh()
  })

  test('that another process is at is left to it', async () => {
    await mark(['2026-03-02'])
    await stage.sql.begin(async (sql) => {
      await sql`select pg_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0))`
      expect(await refreshRollups(database.db)).toMatchObject({ days: 0 })
    })
    expect(await refreshRollups(database.db)).toMatchObject({ days: 1 })
  })

  test('rebuilds every day after sync.invalidate_all_days(), or each from a day on', async () => {
    await stage.sql`update analytics.minutes_daily set minutes = -1`
    await stage.sql`select sync.invalidate_all_days('2026-03-09')`
    await stage.refresh()
    await says(`select min(day), max(day) from analytics.minutes_daily where minutes = -1`, `02 00:00:00 | 06 00:00:00`)
    await stage.sql`select sync.invalidate_all_days()`
    await stage.refresh()
    await says('select count(*) from analytics.minutes_daily where minutes = -1', '0')
  })
})

test('a date beyond all reason breaks no view, and no mean', async () => {
  await addBuild(67, {
    state: 'passed',
    branch: 'x',
    created_at: at('27 10:00:00'),
    started_at: '0001-01-01T00:00:00Z',
    finished_at: at('27 10:00:00'),
  })
  await addAttempt(67, 'passed', '0001-01-01T00:00:00Z', '27 10:00:00')
  await addJob(121, 67, {
    started_at: '0001-01-01T00:00:00Z',
    finished_at: at('27 10:00:00'),
    runnable_at: at('27 09:00:00'),
  })
  await stage.refresh()
  await says(
    `select run.status, run.duration, job.duration from analytics.pipeline_runs as run join analytics.pipeline_jobs as job on job.pipeline_run_id = run.id
    where run.commit_sha = 'c67'`,
    'success | - | -',
  )
  await says(`select tries, mean_seconds, run_seconds from analytics.jobs_daily where day = '2026-03-27'`, '1 | - | 0')
  await says(`select tries, minutes from analytics.minutes_daily where day = '2026-03-27'`, '1 | 0')
  await says(
    `select count(*) from analytics.queue_waits_hourly where hour >= '2026-03-27 00:00Z' and hour < '2026-03-28 00:00Z'`,
    '0',
  )
  const relations = await stage.sql<{ name: string }[]>`
    select table_schema || '.' || table_name as name from information_schema.tables where table_schema in ('analytics', 'sync')`
  for (const { name } of relations) await stage.sql.unsafe(`select count(to_jsonb(every)) from ${name} as every`)
})

test('the catalog goes without examples where a view cannot be reckoned', async () => {
  await stage.sql`create view analytics.broken as select (number / 0)::integer as quotient from buildkite.builds`
  try {
    const analytics = (await readCatalog(database.db)).find(({ name }) => name === 'analytics')
    const broken = analytics?.relations.find(({ name }) => name === 'broken')
    expect(broken?.columns).toMatchObject([{ name: 'quotient', example: null }])
  } finally {
    await stage.sql`drop view analytics.broken`
  }
})

describe('marking days', () => {
  /** How often the table was read from end to end, as Postgres counts it. */
  const wholeReads = async (table: string) => {
    await stage.sql`select pg_stat_force_next_flush()`
    const [row] = await stage.sql<{ reads: number }[]>`
      select seq_scan::int as reads from pg_stat_user_tables where schemaname || '.' || relname = ${table}`
    return row?.reads
  }

  test('compiles nothing: a kind of plan turned off counts as dear enough for that, at every write', async () => {
    const settings = await stage.sql<{ name: string; jit: boolean }[]>`
      select oid::regprocedure::text as name, 'jit=off' = any(proconfig) as jit from pg_proc
      where pronamespace = 'sync'::regnamespace and array_to_string(proconfig, ' ') like '%enable_%'`
    expect(settings.length).toBeGreaterThan(3)
    expect(settings.filter(({ jit }) => !jit)).toEqual([])
  })

  test('finds jobs, builds and deployments by index however small the tables are, for they grow under plans once made', async () => {
    const tables = ['buildkite.jobs', 'buildkite.builds', 'analytics.deployments']
    // With statistics of their real size, every plan that is free to would read such small tables whole.
    await stage.sql`analyze buildkite.jobs, buildkite.builds, analytics.deployments`
    const before = await Promise.all(tables.map(wholeReads))
    await addBuild(9001, { created_at: at('05 10:00:00'), author_date: at('05 09:00:00'), rebuilt_from_id: id('b', 1) })
    // An upsert finds its row by the unique index whatever the statistics are.
    await stage.sql`
      insert into buildkite.builds as held (id, organization_id, extra, observed_at, first_seen_at, first_seen_via, changed_at)
      values (${id('b', 9001)}, ${id('o', 1)}, '{}', now(), now(), 'webhook', now())
      on conflict (id) do update set branch = 'other', commit = 'c2', changed_at = now()`
    await addAttempt(9001, 'passed', '05 10:00:00', '05 10:05:00')
    expect(await Promise.all(tables.map(wholeReads))).toEqual(before)
    await stage.sql`delete from buildkite.build_attempts where build_id = ${id('b', 9001)}`
    await stage.sql`delete from buildkite.builds where id = ${id('b', 9001)}`
  })
})
