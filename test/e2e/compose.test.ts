import { type ChildProcess, execFile, spawn } from 'node:child_process'
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseEnv, promisify } from 'node:util'
import { Redis } from 'ioredis'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { sign } from '../../src/buildkite/signature.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { environmentOf, readCompose } from '../support/compose.ts'
import { freePort } from '../support/free-port.ts'
import { runCommand, type ServiceProcess, startService } from '../support/service.ts'
import { startSystemPostgres } from '../support/system-postgres.ts'
import { until } from '../support/until.ts'

const root = fileURLToPath(new URL('../../', import.meta.url))
const one = readCompose(join(root, 'docker-compose.yml')).services
const split = readCompose(join(root, 'docs/deploy/compose.split.yml')).services

/** What a user's .env holds, and where the stores are in place of the containers. */
let secrets: Record<string, string>
let server: NonNullable<Awaited<ReturnType<typeof startSystemPostgres>>>
let stores: { postgres: string; redis: string }
let redis: ChildProcess
let simulation: Simulation
let folder: string

const service = (services: typeof one, name: string) => {
  const found = services[name]
  if (!found) throw new Error(`There is no service ${name}.`)
  return found
}
/** The environment of a service, with the stores of this test. */
function settingsOf(services: typeof one, name: string): Record<string, string> {
  const settings = environmentOf(service(services, name), secrets)
  const here = (url: string) => url.replace('postgres:5432', stores.postgres).replace('redis:6379', stores.redis)
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [key, here(value)]))
}
const asUser = (user: string, password: string | undefined, database = 'buildkite') =>
  postgres(`postgres://${user}:${password}@${stores.postgres}/${database}`, { max: 1, onnotice: () => {} })

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'bkm-compose-'))
  const [, command] =
    /^# {3}(\(umask 077; .*) > \.env\)$/m.exec(await readFile(join(root, '.env.example'), 'utf8')) ?? []
  const { stdout } = await promisify(execFile)('sh', ['-c', `${command})`], { cwd: root })
  simulation = createSimulation({ seed: 7, stepMs: [1, 5] })
  const api = await simulation.startApi()
  simulation.writeHistory({ builds: 50, days: 3 })
  const given = { BUILDKITE_API_TOKEN: demoToken.token, BUILDKITE_API_URL: api.url, WEBHOOK_SECRET: 'a'.repeat(32) }
  secrets = {
    ...(parseEnv(stdout) as Record<string, string>),
    ...given,
    RECONCILE_INTERVAL: '1s',
    API_BUDGET_SHARE: '1',
  }
  await startPostgres()
  await startRedis()
})
afterAll(async () => {
  await simulation?.stop()
  redis?.kill('SIGKILL')
  await server?.stop()
  await rm(folder, { recursive: true, force: true })
})

/** A server that asks for passwords over TCP, as the image of Postgres does, with the database that the image creates. */
async function startPostgres(): Promise<void> {
  const started = await startSystemPostgres()
  if (!started) throw new Error('There is no PostgreSQL to start. Install it: apt-get install postgresql.')
  server = started
  stores = { postgres: new URL(server.url).host, redis: '' }
  const admin = postgres(server.url, { max: 1, onnotice: () => {} })
  await admin`create database buildkite`
  await admin.unsafe(`alter role postgres password '${secrets.POSTGRES_PASSWORD}'`)
  const [row] = await admin<{ hba_file: string }[]>`show hba_file`
  await writeFile(row?.hba_file ?? '', 'local all all trust\nhost all all all scram-sha-256\n')
  await admin`select pg_reload_conf()`
  const [socket] = await admin<{ unix_socket_directories: string }[]>`show unix_socket_directories`
  await admin.end()
  const env = {
    ...environmentOf(service(one, 'postgres'), secrets),
    PATH: process.env.PATH ?? '',
    PGHOST: socket?.unix_socket_directories ?? '',
    PGPORT: new URL(server.url).port,
  }
  const run = () => promisify(execFile)('sh', [join(root, 'docs/deploy/postgres/roles.sh')], { env })
  // Twice, as somebody who changes passwords does.
  for (const { stdout, stderr } of [await run(), await run()]) expect(stdout + stderr).toBe('')
}

async function startRedis(): Promise<void> {
  const { command } = service(one, 'redis')
  const port = await freePort()
  stores.redis = `127.0.0.1:${port}`
  const script = command[2]
    ?.replaceAll('$$', '$')
    .replace('redis-server -', `redis-server - --port ${port} --dir ${folder}`)
  const env = { ...environmentOf(service(one, 'redis'), secrets), PATH: process.env.PATH ?? '' }
  redis = spawn('sh', ['-c', script ?? ''], { env, stdio: 'ignore' })
  await until(async () => (await pingRedis(secrets.REDIS_PASSWORD)) === 'PONG', 'Redis answers', 10_000)
}

async function pingRedis(password: string | undefined): Promise<string> {
  const client = new Redis(`redis://${stores.redis}`, {
    lazyConnect: true,
    maxRetriesPerRequest: 0,
    ...(password === undefined ? {} : { password }),
  })
  client.on('error', () => {})
  return client
    .ping()
    .catch((error: unknown) => String(error))
    .finally(() => client.disconnect())
}

describe('the stores of docker-compose.yml', () => {
  const users = ['owner', 'service', 'web', 'worker', 'reconciler', 'reader']

  it('Redis refuses a client without the password, and shows it to nobody who lists processes', async () => {
    expect(await pingRedis(undefined)).toContain('NOAUTH')
    expect(await pingRedis('wrong')).toContain('WRONGPASS')
    const { stdout } = await promisify(execFile)('ps', ['-o', 'args=', '-p', String(redis.pid)])
    expect(stdout).toContain('redis-server')
    expect(stdout).not.toContain(secrets.REDIS_PASSWORD)
  })

  it('none of the users is a superuser or may create roles or databases, and each needs its own password', async () => {
    for (const user of users) {
      const password = secrets[`POSTGRES_${user.toUpperCase()}_PASSWORD`]
      const sql = asUser(`mirror_${user}`, password)
      const [row] = await sql`
        select rolsuper or rolcreaterole or rolcreatedb or rolreplication or rolbypassrls as is_mighty,
          has_database_privilege(current_database(), 'create') as may_create from pg_roles where rolname = current_user`
      expect([user, row]).toEqual([user, { is_mighty: false, may_create: user === 'owner' }])
      await expect(sql`create role intruder`).rejects.toMatchObject({ code: '42501' })
      await expect(sql`select pg_read_file('/etc/passwd')`).rejects.toMatchObject({ code: '42501' })
      await expect(sql`copy (select 1) to program 'id'`).rejects.toMatchObject({ code: '42501' })
      await sql.end()
      const other = asUser(`mirror_${user}`, secrets.POSTGRES_PASSWORD)
      await expect(other`select 1`).rejects.toMatchObject({ code: '28P01' })
      await other.end()
    }
  })

  it('a user who is not one of ours cannot connect', async () => {
    const admin = asUser('postgres', secrets.POSTGRES_PASSWORD)
    await admin`create role stranger login password 'stranger'`
    const sql = asUser('stranger', 'stranger')
    await expect(sql`select 1`).rejects.toMatchObject({ code: '42501' })
    await sql.end()
    await admin.end()
  })
})

describe('the processes of both compose files', () => {
  let running: ServiceProcess[] = []
  const start = async (services: typeof one, names: readonly string[]) => {
    running = await Promise.all(
      names.map((name) => startService({ ...settingsOf(services, name), ADMIN_HOST: '127.0.0.1' })),
    )
    return running
  }
  const stop = async () => {
    expect(await Promise.all(running.map((process) => process.stop()))).toEqual(running.map(() => 0))
    running = []
  }
  afterAll(async () => void (await Promise.all(running.map((process) => process.stop('SIGKILL')))))

  it.each([
    ['docker-compose.yml', one, ['mirror']],
    ['compose.split.yml', split, ['web', 'worker', 'reconciler']],
  ] as const)(
    '%s: migrate runs first, then webhooks and history arrive with its users',
    async (_file, services, names) => {
      const [, , ...args] = service(services, 'migrate').command
      expect(args).toEqual(['migrate', '--roles'])
      expect(await runCommand(args, settingsOf(services, 'migrate'))).toMatchObject({ code: 0 })
      const [receiver] = await start(services, names)
      const id = `0190ffff-0000-7000-8000-00000000000${names.length}`
      expect(await post(receiver?.publicUrl ?? '', id)).toBe(202)
      const reader = asUser('mirror_reader', secrets.POSTGRES_READER_PASSWORD)
      const has = (query: ReturnType<typeof reader>) => query.then((rows) => rows.length > 0)
      await until(() => has(reader`select from buildkite.builds where id = ${id}`), 'the webhook is applied', 60_000)
      await until(() => has(reader`select from sync.watermarks`), 'a cycle ended', 60_000)
      await expect(reader`select payload from sync.deliveries`).rejects.toMatchObject({ code: '42501' })
      await reader.end()
      expect(running.map((process) => process.output()).join('')).not.toMatch(/permission denied|"level":(50|60)/)
      await stop()
    },
  )
})

async function post(publicUrl: string, id: string): Promise<number> {
  const pipeline = {
    id: '0190ffff-0000-7000-8000-0000000000aa',
    slug: 'compose',
    url: 'https://api.buildkite.com/v2/organizations/acme/pipelines/compose',
  }
  const url = `${pipeline.url}/builds/1`
  const build = { id, url, number: 1, state: 'running', created_at: new Date().toISOString() }
  const body = JSON.stringify({ event: 'build.running', build, pipeline })
  const headers = {
    'content-type': 'application/json',
    'x-buildkite-event': 'build.running',
    'x-buildkite-signature': sign(body, secrets.WEBHOOK_SECRET ?? '', Date.now()),
  }
  return (await fetch(`${publicUrl}/webhooks/buildkite`, { method: 'POST', body, headers })).status
}
