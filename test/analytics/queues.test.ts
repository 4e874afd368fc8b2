import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { metrics } from '../../src/http/metrics/definitions.ts'
import { at, id } from './history.ts'
import { expected, type HistoryStage, openHistory } from './stage.ts'

// The rollups of queues and agents against the definitions, computed from all rows without any index or mark.

let stage: HistoryStage
beforeAll(async () => {
  stage = await openHistory()
  await stage.sql`insert into sync.watermarks (organization_id, watermark, updated_at)
    select id, ${at('20 00:00:00')}, now() from buildkite.organizations`
  await stage.sql`select sync.invalidate_all_days()`
  await stage.refresh()
})
afterAll(() => stage.close())

const says = async (query: string, rows: string) => expect(await stage.lines(query)).toBe(expected(rows))
let number = 900

/** A command job of a build that runs, in a queue of its own. */
async function addJob(fields: Record<string, unknown>, build: Record<string, unknown> = {}): Promise<string> {
  number += 1
  const seen = {
    extra: {},
    observed_at: at('09 00:00:00'),
    first_seen_at: at('09 00:00:00'),
    first_seen_via: 'webhook',
  }
  const changed_at = at('09 00:00:00')
  const add = (table: string, row: Record<string, unknown>) =>
    stage.sql.unsafe(
      `insert into ${table} select filled.* from json_populate_record(null::${table}, $1::text::json) as filled`,
      [JSON.stringify({ ...seen, changed_at, ...row })],
    )
  await add('buildkite.builds', {
    id: id('b', number),
    organization_id: id('o', 1),
    pipeline_id: id('p', 3),
    number,
    blocked: false,
    state: 'running',
    created_at: at('09 00:00:00'),
    ...build,
  })
  const queue = `queue=q${number}`
  await add('buildkite.jobs', {
    id: id('j', number),
    build_id: id('b', number),
    type: 'script',
    state: 'passed',
    agent_query_rules: [queue],
    ...fields,
  })
  return `q${number}`
}

const change = (fields: Record<string, unknown>) =>
  stage.sql`update buildkite.jobs set ${stage.sql(fields)}, changed_at = now() where id = ${id('j', number)}`

/** Every wait and run of every command job, by docs/analytics/definitions.md. */
const intervals = `
  select build.organization_id, job.cluster_id, coalesce(substring(rule from 7), queue.key, 'default') as queue, job.agent_id, part.*
  from buildkite.jobs as job join buildkite.builds as build on build.id = job.build_id
  left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
  left join lateral (select rule from unnest(job.agent_query_rules) as rule where rule like 'queue=%' limit 1) as rules on true
  cross join lateral (select coalesce(job.finished_at, job.expired_at, case
    when build.state in ('creating', 'scheduled', 'running', 'failing', 'canceling') and not build.blocked
      and build.deleted_at is null and job.deleted_at is null and job.state in ('scheduled', 'running', 'limited')
    then timestamptz '2026-03-20T00:00:00Z' end) as at) as ended
  cross join lateral (values ('wait', job.runnable_at, least(job.started_at, ended.at)), ('run', job.started_at, ended.at)) as part (kind, began, ended)
  where job.type = 'script' and ended.at is not null and part.began < part.ended and part.ended - part.began <= interval '366 days'`

const depths = `
  with intervals as (${intervals}),
  points as (
    select distinct organization_id, cluster_id, queue, point as at
    from intervals cross join lateral generate_series(
      date_trunc('hour', began, 'UTC'), ended - interval '1 microsecond', interval '1 hour') as hour
    cross join lateral generate_series(hour, hour + interval '55 minutes', interval '5 minutes') as point
    where hour < ended and point < '2026-03-20T00:00:00Z'
  )
  select points.at, organization_id, cluster_id, queue,
    count(*) filter (where kind = 'wait' and began <= points.at)::int as waiting,
    max(extract(epoch from points.at - began)::double precision) filter (where kind = 'wait' and began <= points.at) as oldest,
    count(*) filter (where kind = 'run' and began <= points.at)::int as running,
    max(level) filter (where kind = 'wait')::int as most_waiting, max(level) filter (where kind = 'run')::int as most_running
  from points
  left join lateral (
    select one.kind, one.began, (
      select count(*) from intervals as other
      where (other.organization_id, other.cluster_id, other.queue) is not distinct from (points.organization_id, points.cluster_id, points.queue)
        and other.kind = one.kind and other.began <= greatest(one.began, points.at) and other.ended > greatest(one.began, points.at)
    ) as level
    from intervals as one
    where (one.organization_id, one.cluster_id, one.queue) is not distinct from (points.organization_id, points.cluster_id, points.queue)
      and one.began < points.at + interval '5 minutes' and one.ended > points.at
  ) as here on true
  group by points.at, organization_id, cluster_id, queue`

/** Both ways, so that nothing is missing and nothing is extra. */
async function compareDepths(): Promise<void> {
  const held = `select at, organization_id, cluster_id, queue, waiting, oldest_wait_seconds, running, most_waiting, most_running from analytics.queue_depths`
  const computed = `select at, organization_id, cluster_id, queue, waiting, oldest, running, coalesce(most_waiting, 0), coalesce(most_running, 0) from (${depths}) as computed`
  expect(await stage.lines(`(${held}) except (${computed}) order by 1, 4 limit 5`)).toBe('')
  expect(await stage.lines(`(${computed}) except (${held}) order by 1, 4 limit 5`)).toBe('')
}

const agentHours = `
  with jobs as (${intervals}),
  hours as (select generate_series(date_trunc('hour', (select min(created_at) from buildkite.builds), 'UTC'), '2026-03-19T23:00:00Z', interval '1 hour') as hour),
  connections as (
    select agent_id, connected_at as began, coalesce(least(ended_at, lead(connected_at) over (partition by agent_id order by connected_at)),
      '2026-03-20T00:00:00Z') as ended
    from buildkite.agent_connections
  ),
  spent as (
    select hour, agent_id, sum(connected) as connected, sum(busy) as busy from (
      select hour, agent_id, extract(epoch from least(ended, hour + interval '1 hour') - greatest(began, hour)) as connected, 0 as busy
      from hours join connections on began < hour + interval '1 hour' and ended > hour
      union all
      select hour, agent_id, 0, extract(epoch from least(ended, hour + interval '1 hour') - greatest(began, hour))
      from hours join jobs on began < hour + interval '1 hour' and ended > hour and kind = 'run' and agent_id is not null
    ) as parts (hour, agent_id, connected, busy) group by 1, 2
  )
  select hour, organization_id, cluster_id, queue, count(*)::int as agents, sum(connected)::double precision as connected_seconds,
    sum(busy)::double precision as busy_seconds, sum(greatest(connected - busy, 0))::double precision as idle_seconds
  from spent join analytics.agents on agents.id = spent.agent_id group by 1, 2, 3, 4`

async function compareAgents(): Promise<void> {
  const held = `select hour, organization_id, cluster_id, queue, agents, connected_seconds, busy_seconds, idle_seconds from analytics.agents_hourly`
  expect(await stage.lines(`(${held}) except (${agentHours}) order by 1, 4 limit 5`)).toBe('')
  expect(await stage.lines(`(${agentHours}) except (${held}) order by 1, 4 limit 5`)).toBe('')
}

describe('queue_depths', () => {
  test('of the history', async () => {
    await compareDepths()
    expect(Number((await stage.sql`select count(*)::int as n from analytics.queue_depths`)[0]?.n)).toBeGreaterThan(500)
  })

  test('a stuck queue: waiting for two days, then expired', async () => {
    const queue = await addJob({ state: 'expired', runnable_at: at('10 22:58:00'), expired_at: at('12 23:02:00') })
    await stage.refresh()
    await compareDepths()
    await says(
      `select count(*), sum(waiting), max(oldest_wait_seconds), sum(running) from analytics.queue_depths where queue = '${queue}'`,
      '600 | 577 | 172920 | 0',
    )
  })

  test('a job that ran for three days, read at its end', async () => {
    const queue = await addJob({
      runnable_at: at('10 22:00:00'),
      started_at: at('10 23:00:00'),
      finished_at: at('13 23:00:00'),
      agent_id: id('a', 1),
    })
    await stage.refresh()
    await compareDepths()
    await compareAgents()
    await says(
      `select sum(waiting), sum(running), max(most_running) from analytics.queue_depths where queue = '${queue}'`,
      '12 | 864 | 1',
    )
  })

  test('a job as webhooks report it: runnable, started, finished; then corrected, moved to another queue, deleted', async () => {
    const queue = await addJob({ state: 'scheduled', runnable_at: at('15 23:40:00') })
    await stage.refresh()
    await compareDepths()
    await says(
      `select count(*), sum(waiting) from analytics.queue_depths where queue = '${queue}'`,
      // Until the mirror last heard of the organization.
      '1164 | 1156',
    )
    for (const fields of [
      { state: 'running', started_at: at('16 00:20:00'), agent_id: id('a', 2) },
      { state: 'passed', finished_at: at('17 03:00:00') },
      { started_at: at('16 00:10:00') },
      { runnable_at: null },
      { runnable_at: at('14 23:00:00'), finished_at: at('18 01:00:00') },
      { agent_query_rules: ['queue=elsewhere'] },
      { deleted_at: at('19 00:00:00') },
    ]) {
      await change(fields)
      await stage.refresh()
      await compareDepths()
      await compareAgents()
    }
  })

  test('an open job counts as long as its build is open', async () => {
    const queue = await addJob({ state: 'scheduled', runnable_at: at('18 10:00:00') })
    const count = `select count(*) from analytics.queue_depths where queue = '${queue}'`
    await stage.refresh()
    await says(count, '456')
    await stage.sql`update buildkite.builds set state = 'canceled', changed_at = now() where id = ${id('b', number)}`
    await stage.refresh()
    await compareDepths()
    await says(count, '0')
  })

  test('times in reverse order, at the same moment, or more than 366 days apart count as nothing', async () => {
    for (const [runnable_at, started_at, finished_at] of [
      [at('11 10:00:00'), at('11 09:00:00'), at('11 08:00:00')],
      [at('11 12:00:00'), at('11 10:00:00'), at('11 14:30:00')],
      [at('11 10:00:00'), at('11 10:00:00'), at('11 10:00:00')],
      ['1970-01-01T00:00:00Z', at('11 10:00:00'), at('11 10:30:00')],
      [at('11 10:00:00'), '1901-12-13T20:45:52Z', at('11 10:30:00')],
    ]) {
      await addJob({ runnable_at, started_at, finished_at })
    }
    await stage.refresh()
    await compareDepths()
    await says('select count(*) from sync.stale_days', '0')
  })

  test('a clock that is set right is corrected on all days between', async () => {
    await addJob({ runnable_at: at('10 10:00:00'), started_at: '1970-01-01T00:00:00Z', finished_at: at('13 10:30:00') })
    await stage.refresh()
    await compareDepths()
    await change({ started_at: at('10 11:00:00') })
    await stage.refresh()
    await compareDepths()
    await change({ runnable_at: '1970-01-01T00:00:00Z' })
    await stage.refresh()
    await compareDepths()
  })

  test('time alone adds points while a job is open', async () => {
    const queue = await addJob({ state: 'scheduled', runnable_at: at('19 23:30:00') })
    await stage.sql`select sync.invalidate_days_of_open_work()`
    await stage.refresh()
    const points = `select count(*), sum(waiting) from analytics.queue_depths where queue = '${queue}'`
    await says(points, '12 | 6')
    const marks = async (to: string) => {
      await stage.sql`update sync.watermarks set watermark = ${to}`
      await stage.sql`select sync.invalidate_days_of_open_work()`
      return (await stage.sql`select distinct day::text as day from sync.stale_days order by 1`).map(({ day }) => day)
    }
    expect(await marks(at('20 00:04:00'))).toEqual([])
    expect(await marks(at('22 00:31:00'))).toEqual(['2026-03-20', '2026-03-21', '2026-03-22'])
    await stage.refresh()
    await says(points, `${12 + 48 * 12 + 7} | ${6 + 48 * 12 + 7}`)
    await change({ state: 'canceled', finished_at: at('20 01:00:00') })
    await stage.refresh()
    await says(points, '24 | 18')
    // Back to where the other tests expect it, which no mirror does.
    await stage.sql`update sync.watermarks set watermark = ${at('20 00:00:00')}`
    await stage.sql`select sync.invalidate_all_days()`
    await stage.refresh()
    await compareDepths()
  })
})

describe('agents_hourly', () => {
  const connect = (agent: string, connected_at: string, ended_at: string | null) =>
    stage.sql`insert into buildkite.agent_connections (agent_id, connected_at, ended_at, observed_at, first_seen_at, first_seen_via, changed_at)
      values (${agent}, ${connected_at}, ${ended_at}, now(), now(), 'webhook', now())`

  test('connected, busy and idle, across hours and days', async () => {
    await connect(id('a', 1), '2024-01-01T00:00:00Z', at('01 09:00:00'))
    await connect(id('a', 1), at('02 09:30:00'), at('02 12:15:00'))
    await connect(id('a', 1), at('02 13:00:00'), null)
    await connect(id('a', 2), at('02 10:30:00'), at('02 10:40:00'))
    await stage.refresh()
    await compareAgents()
    await says(
      `select hour, agents, most_connected, connected_seconds, busy_seconds, idle_seconds from analytics.agents_hourly
       where queue = 'linux' and hour < '2026-03-02T13:00:00Z' order by hour`,
      `02 10:00:00 | 1 | 1 | 3600 | 600 | 3000
       02 11:00:00 | 1 | 1 | 3600 | 300 | 3300
       02 12:00:00 | 1 | 1 | 900 | 480 | 420`,
    )
  })

  test('a connection without a known end ends with the next one, and one that ends late is corrected', async () => {
    await connect(id('a', 2), at('03 10:00:00'), null)
    await stage.refresh()
    await compareAgents()
    await connect(id('a', 2), at('04 11:20:00'), at('04 11:50:00'))
    await stage.refresh()
    await compareAgents()
    await stage.sql`update buildkite.agent_connections set ended_at = ${at('03 23:10:00')}
      where agent_id = ${id('a', 2)} and connected_at = ${at('03 10:00:00')}`
    await stage.refresh()
    await compareAgents()
    await stage.sql`update buildkite.agents set queue = 'mac2', changed_at = now() where id = ${id('a', 2)}`
    await stage.refresh()
    await compareAgents()
  })

  test('begins with the first build, also if that is read later', async () => {
    await connect(id('a', 2), at('01 02:30:00'), at('01 20:00:00'))
    await stage.refresh()
    await compareAgents()
    await addJob({}, { created_at: at('01 05:00:00') })
    await stage.refresh()
    await compareAgents()
    await says(
      `select min(hour), sum(connected_seconds) from analytics.agents_hourly where hour < ${`'${at('02 00:00:00')}'`}`,
      '01 05:00:00 | 68400',
    )
  })

  test('the most agents at the same time', async () => {
    const agents = [11, 12, 13].map((one) => id('a', one))
    for (const agent of agents) {
      await stage.sql`insert into buildkite.agents (id, organization_id, name, queue, connection_state, cluster_url, observed_at, first_seen_at, first_seen_via, changed_at, extra)
        values (${agent}, ${id('o', 1)}, 'many', 'many', 'stopped', ${`https://api.buildkite.com/v2/organizations/acme/clusters/${id('c', 1)}`}, now(), now(), 'webhook', now(), '{}')`
    }
    await connect(agents[0] ?? '', at('05 10:00:00'), at('05 10:30:00'))
    await connect(agents[1] ?? '', at('05 10:20:00'), at('05 11:10:00'))
    await connect(agents[2] ?? '', at('05 10:30:00'), at('05 10:50:00'))
    await stage.refresh()
    await says(
      `select hour, cluster.name, agents, most_connected, connected_seconds from analytics.agents_hourly
       join buildkite.clusters as cluster on cluster.id = cluster_id where queue = 'many' order by hour`,
      `05 10:00:00 | Main | 3 | 2 | 5400
       05 11:00:00 | Main | 1 | 1 | 600`,
    )
  })
})

describe('queues_now', () => {
  test('shows what waits and runs, the agents, and listed queues without either', async () => {
    const queue = await addJob({ state: 'scheduled', runnable_at: at('19 23:00:00') })
    await says(
      `select organization, queue, waiting, oldest_wait_seconds, running, agents from analytics.queues_now where queue = '${queue}'`,
      `acme | ${queue} | 1 | 3600 | 0 | 0`,
    )
    await change({ state: 'running', started_at: at('19 23:30:00'), agent_id: id('a', 1) })
    await says(
      `select queue, waiting, oldest_wait_seconds, running from analytics.queues_now where queue = '${queue}'`,
      `${queue} | 0 | - | 1`,
    )
    await says(
      `select queue, agents, agents_busy, agents_idle from analytics.queues_now where queue = 'linux'`,
      'linux | 1 | 1 | 0',
    )
    await change({ state: 'passed', finished_at: at('19 23:40:00') })
    await says(
      `select cluster, queue, waiting, running, agents from analytics.queues_now where queue = 'arm' order by 1`,
      `Edge | arm | 0 | 0 | 0
       Main | arm | 0 | 0 | 0`,
    )
  })
})

describe('sync.count_jobs', () => {
  const counted = async () => Number((await stage.sql<{ n: number }[]>`select sync.count_jobs() as n`)[0]?.n)
  const ago = (seconds: number) => new Date(Date.now() - seconds * 1_000).toISOString()
  const totals = () =>
    stage.lines('select measure, sum(jobs), sum(seconds) from sync.job_histograms group by measure order by measure')
  beforeEach(async () => {
    await stage.sql`truncate sync.metric_queues, sync.job_counts, sync.counted_jobs`
    await stage.sql`delete from buildkite.jobs where started_at > now() - interval '1 day'`
  })

  test('counts a wait at its start and a run at its end, each once; not what was before the first call', async () => {
    const old = await addJob({ runnable_at: ago(100), started_at: ago(90), finished_at: ago(60), changed_at: ago(50) })
    expect(await counted()).toBe(0)
    const wide = await stage.sql<{ jobs: string }[]>`select jobs from sync.job_histograms where queue = ${old}`
    expect(wide).toEqual([])
    await stage.sql`update sync.metric_queues set since = ${ago(30)} where id = 0`
    await addJob({ state: 'running', runnable_at: ago(25), started_at: ago(20), changed_at: ago(0) })
    expect(await counted()).toBe(1)
    expect(await counted()).toBe(0)
    await change({ state: 'passed', finished_at: ago(5) })
    expect(await counted()).toBe(1)
    await change({ retried: true })
    expect(await counted()).toBe(0)
    expect(await totals()).toMatch(/^run \| 1 \| 15(\.\d+)?\nwait \| 1 \| 5(\.\d+)?$/)
  })

  test('has the buckets that the metrics declare', async () => {
    const [found] = await stage.sql<
      { body: string }[]
    >`select prosrc as body from pg_proc where oid = 'sync.count_jobs'::regproc`
    const bounds = /array\[([\d, ]+), double precision 'Infinity'\]/
      .exec(found?.body ?? '')?.[1]
      ?.split(', ')
      .map(Number)
    expect(bounds).toEqual(metrics.job_wait_seconds.buckets)
    expect(bounds).toEqual(metrics.job_run_seconds.buckets)
  })

  test('leaves out what a backfill brings: tries that ended more than an hour ago', async () => {
    await counted()
    await stage.sql`update sync.metric_queues set since = ${ago(90_000)} where id = 0`
    await addJob({ runnable_at: ago(8_000), started_at: ago(7_000), finished_at: ago(4_000), changed_at: ago(0) })
    expect(await counted()).toBe(0)
    await addJob({ runnable_at: ago(8_000), started_at: ago(7_000), finished_at: ago(3_000), changed_at: ago(0) })
    expect(await counted()).toBe(1)
  })

  test('two processes at the same time count each job once', async () => {
    await counted()
    await stage.sql`update sync.metric_queues set since = ${ago(60)} where id = 0`
    for (let n = 0; n < 5; n++)
      await addJob({ runnable_at: ago(30), started_at: ago(20), finished_at: ago(10), changed_at: ago(0) })
    const { default: postgres } = await import('postgres')
    const others = [1, 2, 3].map(() => postgres(stage.url, { max: 1 }))
    const results = await Promise.all(others.map((sql) => sql<{ n: number }[]>`select sync.count_jobs() as n`))
    await Promise.all(others.map((sql) => sql.end()))
    expect(results.reduce((sum, [row]) => sum + Number(row?.n), 0) + (await counted())).toBe(10)
  })

  test('gives at most 50 queues series of their own, for good; the others are counted together', async () => {
    await counted()
    await stage.sql`update sync.metric_queues set since = ${ago(60)} where id = 0`
    for (let n = 0; n < 55; n++)
      await addJob({ runnable_at: ago(30), started_at: ago(20), finished_at: ago(10), changed_at: ago(0) })
    expect(await counted()).toBe(110)
    const series = async () =>
      stage.sql<{ queue: string; jobs: string }[]>`
        select queue, sum(jobs) as jobs from sync.job_histograms where measure = 'run' group by queue order by queue`
    const first = await series()
    expect(first.length).toBe(51)
    expect(Number(first.find(({ queue }) => queue === 'other')?.jobs)).toBeGreaterThan(0)
    expect(first.reduce((sum, { jobs }) => sum + Number(jobs), 0)).toBe(55)
    // The busiest queue of all comes too late: no counter goes down.
    const late = await addJob({ runnable_at: ago(30), started_at: ago(20), finished_at: ago(10), changed_at: ago(0) })
    for (let n = 0; n < 3; n++)
      await addJob({
        agent_query_rules: [`queue=${late}`],
        runnable_at: ago(30),
        started_at: ago(20),
        finished_at: ago(10),
        changed_at: ago(0),
      })
    expect(await counted()).toBe(8)
    const then = new Map((await series()).map(({ queue, jobs }) => [queue, Number(jobs)]))
    expect(then.size).toBe(51)
    expect(then.has(late)).toBe(false)
    for (const { queue, jobs } of first) expect(then.get(queue)).toBeGreaterThanOrEqual(Number(jobs))
    expect((await stage.sql`select * from sync.queue_gauges`).length).toBeLessThanOrEqual(51)
  })
})
