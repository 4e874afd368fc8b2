import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { asAdmin, createTestDatabase, type TestDatabase } from '../support/database.ts'
import { differences } from '../support/differences.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { runCommand, type ServiceProcess, startService } from '../support/service.ts'
import { until, untilProgress } from '../support/until.ts'

const secret = 'database-roles-secret-0123456789'
const processes = ['web', 'worker', 'reconciler'] as const
type Process = (typeof processes)[number]
const groups = ['owner', 'reader', ...processes] as const
/** How busy a pipeline is at the moment of the request; read again every five minutes. */
const liveCounters = ['scheduled_builds', 'running_builds', 'scheduled_jobs', 'running_jobs', 'waiting_jobs']

describe.each(testQueueBackends())('with a database role for each process, and the queue on %s', (backend) => {
  let database: TestDatabase
  let redis: RedisServer | undefined
  let simulation: Simulation
  let sql: postgres.Sql
  const services = new Map<Process, ServiceProcess>()
  const user = (group: string) => `bkm_${process.pid}_${backend}_${group}`
  const urlOf = (group: string) => {
    const url = new URL(database.url)
    url.username = user(group)
    return url.href
  }
  const queue = () => (redis ? { REDIS_URL: redis.url } : {})
  const service = (name: Process) => {
    const running = services.get(name)
    if (!running) throw new Error(`The ${name} does not run.`)
    return running
  }
  const command = (group: string, ...args: string[]) =>
    runCommand(args, {
      ...queue(),
      DATABASE_URL: urlOf(group),
      BUILDKITE_API_TOKEN: demoToken.token,
      BUILDKITE_API_URL: api.url,
      WEBHOOK_SECRET: secret,
      AUTO_MIGRATE: 'false',
    })
  let api: { url: string }

  beforeAll(async () => {
    if (backend === 'redis') redis = await startRedisServer()
    database = await createTestDatabase({ empty: true })
    sql = postgres(database.url, { max: 2, onnotice: () => {} })
    const { code, stderr } = await runCommand(['migrate', '--roles'], { ...queue(), DATABASE_URL: database.url })
    expect([code, stderr]).toEqual([0, ''])
    for (const group of groups) await sql.unsafe(`create role ${user(group)} login in role buildkite_${group}`)
    simulation = createSimulation({ seed: 7, stepMs: [1, 20], pipelines: 3 })
    simulation.writeHistory({ builds: 200, days: 40 })
    api = await simulation.startApi({ limits: {} })
    for (const name of processes) {
      services.set(
        name,
        await startService({
          ...queue(),
          DATABASE_URL: urlOf(name),
          ROLES: name,
          AUTO_MIGRATE: 'false',
          RECONCILE_INTERVAL: '1s',
          API_BUDGET_SHARE: '1',
          WEBHOOK_TOLERANCE: '1d',
          ...(name === 'worker' ? {} : { WEBHOOK_SECRET: secret }),
          ...(name === 'reconciler' ? { BUILDKITE_API_URL: api.url, BUILDKITE_API_TOKEN: demoToken.token } : {}),
        }),
      )
    }
  })
  afterAll(async () => {
    for (const running of services.values()) await running.stop()
    services.clear()
    await simulation?.stop()
    await sql?.end({ timeout: 1 })
    await database?.drop()
    await redis?.stop()
    await asAdmin(async (admin) => {
      for (const group of groups) await admin.unsafe(`drop role if exists ${user(group)}`)
    })
  })

  it('webhooks and REST together equal the truth', async () => {
    const url = `${service('web').publicUrl}/webhooks/buildkite`
    const webhooks = simulation.startWebhooks({ url, secret, drop: 0.3 })
    webhooks.ping()
    await simulation.play({ builds: 40 })
    await webhooks.settled()
    expect(webhooks.stats.answers).toEqual({ '202': webhooks.stats.sent })
    const pending = async () =>
      Number((await sql`select count(*) from sync.deliveries where status = 'pending'`)[0]?.count)
    await untilProgress(pending, 0, 'every delivery is applied')
    const isEqual = async () => {
      // Buildkite's clock goes on: a read within the second in which all came to its end would be no later than its webhooks.
      simulation.clock.pass(1_000)
      const columns = { pipelines: liveCounters.map((name) => `${name}_count`) }
      const found = await differences(database.url, simulation.truth, { columns })
      if (found.length === 0) return true
      throw new Error(
        `The mirror differs from the truth:\n${found.join('\n')}\n${processes.map((name) => service(name).output().slice(-3_000)).join('\n')}`,
      )
    }
    await until(isEqual, 'the mirror equals the truth', 45_000, 500)
    await until(
      async () => (await sql`select from sync.stale_days`).length === 0,
      'the rollups are refreshed',
      45_000,
      200,
    )
    expect((await sql`select from analytics.jobs_daily`).length).toBeGreaterThan(0)
  })

  it.each(processes)('the private listener of the %s shows all that it shows to an owner', async (name) => {
    const { privateUrl } = service(name)
    const status = await service(name).status()
    expect(JSON.stringify(status)).not.toMatch(/permission denied|42501/)
    expect(status.organizations).toHaveLength(1)
    expect(status.deliveries).not.toBeNull()
    // On a busy machine the page says of what could not be read in time that it is unknown.
    const pageOf = async () => {
      const page = await (await fetch(privateUrl)).text()
      expect(page).not.toContain('permission denied')
      return page.includes('acme')
    }
    await until(pageOf, 'the page shows the organization')
    const metrics = await (await fetch(`${privateUrl}/metrics`)).text()
    for (const gauge of ['deliveries_pending', 'api_budget_left', 'rollup_days_waiting'])
      expect(metrics).toMatch(new RegExp(`^buildkite_mirror_${gauge}(\\{| )`, 'm'))
    expect((await fetch(`${privateUrl}/schema`, { headers: { accept: 'application/json' } })).status).toBe(200)
    expect((await fetch(`${privateUrl}/queues`)).status).toBe(200)
  })

  it.each(['worker', 'reconciler'] as const)('the %s shows every page of /explore', async (name) => {
    const [build] = await sql<{ organization: string; pipeline: string; build_number: string }[]>`
      select organization, pipeline, build_number from analytics.builds order by created_at limit 1`
    const home = `/explore/${build?.organization}`
    const pipeline = `${home}/pipelines/${build?.pipeline}`
    const filters = ['', '?branch=main', '?team=everyone&tag=none']
    const pages = [pipeline, `${pipeline}/builds/${build?.build_number}`, `${home}/search?q=main`]
    for (const page of [...filters.map((one) => `${home}${one}`), ...pages]) {
      const answer = await fetch(`${service(name).privateUrl}${page}`)
      expect([page, answer.status]).toEqual([page, 200])
    }
  })

  it('the receiver, which may read no build, says where to look', async () => {
    const answer = await fetch(`${service('web').privateUrl}/explore`)
    expect([answer.status, await answer.text()]).toEqual([
      403,
      expect.stringContaining('on the private listener of a worker or of the reconciler'),
    ])
  })

  it.each(processes)('the actions of the %s work', async (name) => {
    const act = async (path: string, body: object) => {
      const headers = { 'content-type': 'application/json', accept: 'application/json' }
      const request = { method: 'POST', headers, body: JSON.stringify(body) }
      const response = await fetch(`${service(name).privateUrl}/actions/${path}`, request)
      return { status: response.status, body: await response.json() }
    }
    const [organization] = await sql<{ id: string }[]>`select id from buildkite.organizations`
    const of = { organization: organization?.id }
    for (const path of ['cycle', 'backfill/pause', 'backfill/resume'])
      expect(await act(path, of)).toMatchObject({ status: 200, body: { done: path } })
    const now = new Date()
    const range = { from: new Date(now.getTime() - 3_600_000).toISOString(), to: now.toISOString() }
    expect(await act('audit', { ...of, ...range })).toMatchObject({ status: 200 })
    await sql`update sync.deliveries set status = 'failed', failed_at = now()
      where id = (select max(id) from sync.deliveries where status = 'applied')`
    expect(await act('replay', { failed: 'all' })).toMatchObject({ status: 200, body: { done: 'replay' } })
    await until(
      async () =>
        (await sql`select from sync.deliveries where status <> 'applied' and status <> 'ignored'`).length === 0,
      'the delivery is replayed',
    )
  })

  it('commands work with the role of the process that does the same', async () => {
    // It would hold the leases that the commands need.
    expect(await service('reconciler').stop()).toBe(0)
    expect(await command('reconciler', 'verify', '--heal')).toMatchObject({ code: 0, stderr: '' })
    for (const name of ['reconcile', 'backfill']) expect(await command('reconciler', name)).toMatchObject({ code: 0 })
    expect(await command('worker', 'replay', '--since', '1h')).toMatchObject({ code: 0 })
    for (const group of [...processes, 'reader']) expect(await command(group, 'status')).toMatchObject({ code: 0 })
  })

  it('no process was refused anything', () => {
    for (const name of processes) expect(service(name).output()).not.toMatch(/permission denied|42501/)
  })

  it('none of them may do what it does not need', async () => {
    const refused = async (group: string, statement: string) => {
      const client = postgres(urlOf(group), { max: 1, onnotice: () => {} })
      try {
        await expect(client.unsafe(statement), `${group}: ${statement}`).rejects.toMatchObject({ code: '42501' })
      } finally {
        await client.end({ timeout: 1 })
      }
    }
    for (const group of ['web', 'reconciler', 'reader']) {
      await refused(group, 'select payload from sync.deliveries')
      await refused(group, 'delete from sync.deliveries')
    }
    for (const group of ['web', 'reader']) {
      for (const table of ['organizations', 'pipelines', 'builds', 'jobs', 'agents']) {
        await refused(group, `update buildkite.${table} set deleted_at = now()`)
        await refused(group, `delete from buildkite.${table}`)
      }
      await refused(group, 'delete from analytics.jobs_daily')
      await refused(group, 'update sync.watermarks set watermark = now()')
    }
    for (const what of ['jobs', 'users', 'members']) await refused('web', `select * from buildkite.${what}`)
    await refused('web', 'select author_email from buildkite.builds')
    await refused('worker', 'update sync.watermarks set watermark = now()')
    await refused('worker', 'update sync.leases set fence = 0')
    if (backend === 'postgres') await refused('reader', 'select data from bullmq.job')
    for (const group of groups) {
      await refused(group, "select pg_read_file('/etc/passwd')")
      await refused(group, 'create role mallory superuser')
      if (group === 'owner') continue
      await refused(group, 'alter table buildkite.builds add column mine int')
      await refused(group, 'create table sync.mine ()')
      await refused(group, 'create schema mine')
      await refused(group, 'drop view analytics.builds')
    }
  })

  it('only buildkite_owner owns anything', async () => {
    const owners = await sql<{ owner: string }[]>`
      select distinct relowner::regrole::text as owner from pg_class
      where relnamespace::regnamespace::text in ('analytics', 'buildkite', 'bullmq', 'drizzle', 'settings', 'sync')
      union select nspowner::regrole::text from pg_namespace where nspname in ('analytics', 'bullmq', 'drizzle', 'sync')
      union select proowner::regrole::text from pg_proc
      where pronamespace::regnamespace::text in ('analytics', 'bullmq', 'sync')`
    expect(owners.map(({ owner }) => owner)).toEqual(['buildkite_owner'])
    const members = await sql`select rolname from pg_roles where rolname ~ '^buildkite_' and (rolsuper or rolcanlogin)`
    expect([...members]).toEqual([])
  })
})
