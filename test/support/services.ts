import { randomBytes } from 'node:crypto'
import { rm } from 'node:fs/promises'
import net from 'node:net'
import postgres from 'postgres'
import type { TestProject } from 'vitest/node'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { createLog } from '../../src/runtime/log.ts'
import { findChromium } from './chromium.ts'
import { superuserUrl } from './embedded-superuser.ts'
import { makeFolder } from './folder.ts'
import { findPgBouncer } from './pgbouncer.ts'
import { NoRedisServer, startRedisServer } from './redis-server.ts'
import { startSystemPostgres } from './system-postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** A superuser's URL, without database: databases are created and dropped through it. */
    postgresUrl: string
    /** A database migrated once for this run; each test database is a copy of it. */
    templateDatabase: string
    /** Empty where there is no Redis: the Redis leg is then left out, as the start of the run said. */
    redisUrl: string
  }
}

/** Something this run started, or found; `stop` leaves what it found alone. */
interface Service {
  url: string
  stop(): Promise<void>
}

/**
 * Finds or starts Postgres and Redis for the whole run; whatever is missing is said loudly. TEST_DATABASE_URL and
 * TEST_REDIS_URL name others; TEST_DATABASE_URL=embedded asks for the embedded PostgreSQL.
 */
export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const stops: (() => Promise<void>)[] = []
  // Each is stopped, even if others fail to stop; the first error is thrown.
  const tearDown = async () => {
    const errors: unknown[] = []
    for (const stop of stops.splice(0).reverse()) await stop().catch((error) => errors.push(error))
    if (errors.length > 0) throw errors[0]
  }
  try {
    const database = await findPostgres()
    stops.push(database.stop)
    const redis = await findRedis()
    if (redis) stops.push(redis.stop)
    lookForChromium()
    lookForPgBouncer()
    const template = `bkm_${Date.now()}_${randomBytes(4).toString('hex')}_template`
    stops.push(() => dropDatabases(database.url, template.replace('template', '%')))
    await createTemplate(database.url, template)
    project.provide('postgresUrl', database.url)
    project.provide('templateDatabase', template)
    project.provide('redisUrl', redis?.url ?? '')
  } catch (error) {
    await tearDown().catch(() => {})
    throw error
  }
  return tearDown
}

/**
 * The Postgres of TEST_DATABASE_URL, or one of this run's own from the system's programs, or the one that answers on 127.0.0.1:5432, or
 * an embedded one, started. What is started waits for the disk only if it is `durable`, as benchmarks need it.
 */
export async function findPostgres({ durable = false } = {}): Promise<Service> {
  const given = process.env.TEST_DATABASE_URL
  if (given === 'embedded') return startEmbeddedPostgres(durable)
  if (given) {
    const fault = await postgresFault(given)
    if (fault !== undefined) throw new Error(`TEST_DATABASE_URL is set, but cannot be used: ${fault}`)
    return { url: given, stop: async () => {} }
  }
  const own = durable ? undefined : await startSystemPostgres()
  if (own) return own
  const local = 'postgres://postgres@127.0.0.1:5432/postgres'
  if ((await postgresFault(local)) === undefined) return { url: local, stop: async () => {} }
  return startEmbeddedPostgres(durable)
}

async function startEmbeddedPostgres(durable: boolean): Promise<Service> {
  const { startEmbedded } = await import('../../src/database/embedded/embedded.ts')
  const folder = await makeFolder('bkm-postgres-')
  const embedded = await startEmbedded(folder, createLog('warn'))
  const url = await superuserUrl(folder, embedded.url)
  if (!durable) {
    const sql = postgres(url, { max: 1, onnotice: () => {} })
    for (const setting of ['fsync', 'full_page_writes']) await sql.unsafe(`alter system set ${setting} = off`)
    await sql`select pg_reload_conf()`
    await sql.end()
  }
  return {
    url,
    async stop() {
      await embedded.stop(10_000)
      await rm(folder, { recursive: true, force: true })
    },
  }
}

/** Why `url` is no good for tests; undefined when it is. */
async function postgresFault(url: string): Promise<string | undefined> {
  const client = postgres(url, { max: 1, connect_timeout: 2, onnotice: () => {} })
  try {
    const [row] = await client<{ able: boolean }[]>`
      select rolsuper or rolcreatedb as able from pg_roles where rolname = current_user`
    return row?.able ? undefined : 'its user may not create databases.'
  } catch (error) {
    return error instanceof Error ? error.message : String(error)
  } finally {
    await client.end({ timeout: 1 })
  }
}

async function createTemplate(url: string, name: string): Promise<void> {
  const client = postgres(url, { max: 1, onnotice: () => {} })
  try {
    // Left by runs that were killed: names carry the time at which their run began.
    const old = await client<{ datname: string }[]>`select datname from pg_database where datname ~ '^bkm_[0-9]+_'`
    for (const { datname } of old) {
      const age = Date.now() - Number(datname.split('_')[1])
      if (age > 3 * 3_600_000) await client.unsafe(`drop database if exists ${datname} with (force)`).catch(() => {})
    }
    await client.unsafe(`create database ${name}`)
  } finally {
    await client.end({ timeout: 1 })
  }
  const target = new URL(url)
  target.pathname = `/${name}`
  await migrate(target.href)
}

async function dropDatabases(url: string, pattern: string): Promise<void> {
  const client = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const rows = await client<{ datname: string }[]>`select datname from pg_database where datname like ${pattern}`
    for (const { datname } of rows) await client.unsafe(`drop database if exists ${datname} with (force)`)
  } finally {
    await client.end({ timeout: 1 })
  }
}

async function findRedis(): Promise<Service | undefined> {
  const given = process.env.TEST_REDIS_URL
  if (given) {
    if (await redisAnswers(given)) return { url: given, stop: async () => {} }
    throw new Error('TEST_REDIS_URL is set, but no Redis answers there.')
  }
  // One of this run's own, because the service's keys bear the same names in every run.
  const started = await startRedis()
  if (started) return started
  const local = 'redis://127.0.0.1:6379'
  if (await redisAnswers(local)) return { url: local, stop: async () => {} }
  const advice =
    'No Redis answers at 127.0.0.1:6379 and there is no redis-server to start (apt-get install redis-server).'
  if (process.env.CI) throw new Error(advice)
  console.warn(`\n!!! ${advice}\n!!! The tests of the queue on Redis are LEFT OUT; the queue on Postgres is tested.\n`)
  return undefined
}

/** Says loudly when there is no browser to test the status page in. */
function lookForChromium(): void {
  if (findChromium()) return
  const advice = 'There is no Chromium here (apt-get install chromium; TEST_CHROMIUM names one elsewhere).'
  if (process.env.CI) throw new Error(advice)
  console.warn(`\n!!! ${advice}\n!!! The tests of the status page in a browser are LEFT OUT.\n`)
}

/** Says loudly when there is no pooler to try the service behind. */
function lookForPgBouncer(): void {
  if (findPgBouncer()) return
  const advice = 'There is no PgBouncer here (apt-get install pgbouncer).'
  if (process.env.CI) throw new Error(advice)
  console.warn(`\n!!! ${advice}\n!!! The tests of the service behind PgBouncer are LEFT OUT.\n`)
}

async function startRedis(): Promise<Service | undefined> {
  try {
    return await startRedisServer()
  } catch (error) {
    if (error instanceof NoRedisServer) return undefined
    throw error
  }
}

/** Whether a Redis speaks at `url`; one that asks for a password in TEST_REDIS_URL counts as speaking. */
function redisAnswers(url: string): Promise<boolean> {
  const { hostname, port } = new URL(url)
  return new Promise((resolve) => {
    const socket = net.connect({ host: hostname, port: Number(port || 6379) })
    const done = (answers: boolean) => {
      socket.destroy()
      resolve(answers)
    }
    socket.setTimeout(1_000, () => done(false))
    socket.once('error', () => done(false))
    socket.once('connect', () => socket.write('PING\r\n'))
    socket.once('data', (bytes) => done(/^(\+PONG|-NOAUTH)/.test(bytes.toString())))
  })
}
