import { randomBytes } from 'node:crypto'
import postgres from 'postgres'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { findPostgres } from '../support/services.ts'

/** The stores that the benchmarks use: the Postgres at hand or the embedded one, and a Redis of their own. */
export interface Stores {
  readonly redis: RedisServer
  /** Postgres's version and the settings that a figure depends on. */
  readonly postgres: string
  /** A database with the schema in it, and nothing else; `like` copies another one instead. */
  create(like?: string): Promise<string>
  drop(url: string): Promise<void>
  /** The database `name` if it is there. */
  find(name: string): Promise<string | undefined>
  /** Gives a database a lasting name. */
  keep(url: string, name: string): Promise<string>
  stop(): Promise<void>
}

export async function openStores(): Promise<Stores> {
  const server = await findPostgres({ durable: true })
  const redis = await startRedisServer()
  const sql = postgres(server.url, { max: 1, onnotice: () => {} })
  const prefix = `bkb_${Date.now()}_${randomBytes(3).toString('hex')}`
  const urlOf = (name: string) => Object.assign(new URL(server.url), { pathname: `/${name}` }).href
  const nameOf = (url: string) => new URL(url).pathname.slice(1)
  let count = 0
  let template: string | undefined
  const make = async (like?: string) => {
    count += 1
    const name = `${prefix}_${count}`
    await sql.unsafe(`create database ${name} ${like ? `template ${nameOf(like)}` : 'template template0'}`)
    return urlOf(name)
  }
  return {
    redis,
    postgres: await described(sql),
    async create(like) {
      if (like) return make(like)
      if (!template) {
        template = await make()
        await migrate(template)
      }
      return make(template)
    },
    drop: async (url) => void (await sql.unsafe(`drop database if exists ${nameOf(url)} with (force)`)),
    async find(name) {
      const found = await sql`select from pg_database where datname = ${name}`
      return found.length > 0 ? urlOf(name) : undefined
    },
    async keep(url, name) {
      await sql.unsafe(`alter database ${nameOf(url)} rename to ${name}`)
      return urlOf(name)
    },
    async stop() {
      const left = await sql<{ datname: string }[]>`select datname from pg_database where datname like ${`${prefix}%`}`
      for (const { datname } of left) await sql.unsafe(`drop database if exists ${datname} with (force)`)
      await sql.end({ timeout: 1 })
      await redis.stop()
      await server.stop()
    },
  }
}

async function described(sql: postgres.Sql): Promise<string> {
  const settings = await sql<{ name: string; value: string }[]>`
    select name, current_setting(name) as value
    from unnest(array['server_version', 'fsync', 'synchronous_commit', 'shared_buffers', 'jit']) as name`
  const [version, ...others] = settings.map(({ name, value }) =>
    name === 'server_version' ? value : `${name} ${value}`,
  )
  return `Postgres ${version} with ${others.join(', ')} (off for the questions)`
}

/** Measures on a database of its own, with the schema in it and nothing else. */
export async function onFresh(stores: Stores, measure: (url: string) => Promise<number>): Promise<number> {
  const url = await stores.create()
  try {
    return await measure(url)
  } finally {
    await stores.drop(url)
  }
}
