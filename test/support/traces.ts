import { Redis } from 'ioredis'
import postgres from 'postgres'

/** Every row of every table and view of every schema but Postgres's own, as text, a line each with its table's name. */
export async function tracesInPostgres(url: string): Promise<string> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    const tables = await sql<{ name: string }[]>`
      select format('%I.%I', table_schema, table_name) as name from information_schema.tables
      where table_schema not in ('pg_catalog', 'information_schema') order by 1`
    const lines: string[] = []
    for (const { name } of tables) {
      const rows = await sql.unsafe<{ row: string }[]>(`select row_to_json(t)::text as row from ${name} t`)
      lines.push(...rows.map(({ row }) => `${name} ${row}`))
    }
    return lines.join('\n')
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** Every key and value of every database of a Redis, as text. */
export async function tracesInRedis(url: string): Promise<string> {
  const redis = new Redis(url, { maxRetriesPerRequest: 1 })
  try {
    const lines: string[] = []
    for await (const keys of redis.scanStream({ count: 1_000 })) {
      for (const key of keys) lines.push(`${key} ${JSON.stringify(await readKey(redis, String(key)))}`)
    }
    return lines.join('\n')
  } finally {
    redis.disconnect()
  }
}

async function readKey(redis: Redis, key: string): Promise<unknown> {
  const type = await redis.type(key)
  if (type === 'string') return redis.get(key)
  if (type === 'hash') return redis.hgetall(key)
  if (type === 'list') return redis.lrange(key, 0, -1)
  if (type === 'set') return redis.smembers(key)
  if (type === 'zset') return redis.zrange(key, 0, -1, 'WITHSCORES')
  if (type === 'stream') return redis.xrange(key, '-', '+')
  if (type === 'none') return null // it went while we looked
  throw new Error(`The key ${key} is of a type that nobody here can read: ${type}.`)
}
