import { createHash } from 'node:crypto'
import pg from 'pg'
import { likeLibpq } from '../postgres-url.ts'
import { SECOND, withDeadline } from '../time.ts'

/** Where on Redis a deployment keeps its jobs. The hash tag keeps all its keys in one slot of a cluster. */
export interface Place {
  readonly prefix: string
  /** Whether the deployment's id is known. If not, the jobs at `prefix` are moved once it is. */
  readonly settled: boolean
  /** Other prefixes that may hold jobs of this deployment. */
  readonly sources: readonly string[]
}

/** The prefix of every deployment before version 0.2. */
export const SHARED_PREFIX = '{bk}'

const ANSWER_WITHIN_MS = 1.5 * SECOND

/**
 * The place of the deployment whose database is at `url`, by the id in `sync.deployment`. While Postgres is unavailable or the database is
 * empty, a place that only processes with the same host, port and database name use. Never rejects.
 */
export async function readPlace(url: string): Promise<Place> {
  const unknown = { prefix: addressPrefix(url), settled: false, sources: [] }
  if (!url) return unknown
  try {
    return (await placeByDatabase(url)) ?? unknown
  } catch {
    return unknown
  }
}

async function placeByDatabase(url: string): Promise<Place | undefined> {
  const client = new pg.Client({
    connectionString: likeLibpq(url),
    connectionTimeoutMillis: ANSWER_WITHIN_MS,
    query_timeout: ANSWER_WITHIN_MS,
    application_name: 'buildkite-mirror queue',
  })
  client.on('error', () => {}) // the query reports it
  try {
    await client.connect()
    const { rows } = await client.query<{ current: boolean; older: boolean }>(
      `select to_regclass('sync.deployment') is not null as current, to_regclass('sync.deliveries') is not null as older`,
    )
    // The version before works on this database, and its workers take what is here.
    if (!rows[0]?.current) return rows[0]?.older ? { prefix: SHARED_PREFIX, settled: false, sources: [] } : undefined
    const { rows: deployments } = await client.query<{ id: string; used_shared_queue: boolean }>(
      'select id, used_shared_queue from sync.deployment',
    )
    const [deployment] = deployments
    return deployment && settledPlace(url, deployment)
  } finally {
    await withDeadline(client.end(), 2 * SECOND, 'Closing a connection').catch(() => {})
  }
}

function settledPlace(url: string, { id, used_shared_queue }: { id: string; used_shared_queue: boolean }): Place {
  const shared = used_shared_queue ? [SHARED_PREFIX] : []
  return { prefix: `{bk:${id}}`, settled: true, sources: [addressPrefix(url), ...shared] }
}

function addressPrefix(url: string): string {
  const { hostname, port, pathname } = URL.canParse(url) ? new URL(url) : { hostname: '', port: '', pathname: url }
  const address = `${hostname}:${port || 5432}${pathname}`
  return `{bk@${createHash('sha256').update(address).digest('hex').slice(0, 16)}}`
}
