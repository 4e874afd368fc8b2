import { createHash, scryptSync } from 'node:crypto'
import pg from 'pg'
import { messageOf } from '../runtime/errors.ts'
import { postgresOptions, tlsFault } from '../runtime/store-url.ts'
import { SECOND, withDeadline } from '../runtime/time.ts'

/** Where a deployment stores its jobs on Redis. The braces keep all its keys in one slot of a cluster. */
export interface JobLocation {
  readonly prefix: string
  /** Whether the deployment's id is known. If not, the jobs at `prefix` are moved once it is. */
  readonly settled: boolean
  /** Whether `sync.deployment` holds this process's address, so that later processes find the jobs that it adds during an outage. */
  readonly recorded: boolean
  /** Other prefixes that may hold jobs of this deployment. */
  readonly sources: readonly string[]
}

export interface DeploymentConfig {
  readonly databaseUrl: string
  readonly webhookSecret?: string | undefined
}

interface DeploymentRow {
  readonly id: string
  readonly used_shared_queue: boolean
  readonly addresses: readonly string[]
}

/** The prefix of every deployment before version 0.2. */
export const SHARED_PREFIX = '{bk}'

/** The first read delays the start of a process that may receive webhooks; later reads delay nothing. */
const FIRST_ANSWER_WITHIN_MS = 1.5 * SECOND
const LATER_ANSWER_WITHIN_MS = 10 * SECOND

/**
 * Reads the location of a deployment by its id in `sync.deployment`. While the id cannot be read, the location is one that only
 * processes with the same address (see {@link addressHash}) use. The returned function never rejects; errors go to `onError`.
 */
export function locationReader(config: DeploymentConfig, onError: (error: Error) => void): () => Promise<JobLocation> {
  const address = addressHash(config)
  const unknown = { prefix: prefixAt(address), settled: false, recorded: false, sources: [] }
  let answerWithinMs = FIRST_ANSWER_WITHIN_MS
  return async () => {
    if (!config.databaseUrl) return unknown
    const ms = answerWithinMs
    answerWithinMs = LATER_ANSWER_WITHIN_MS
    try {
      return (
        (await withClient(config.databaseUrl, ms, (client) => locationByDatabase(client, address, onError))) ?? unknown
      )
    } catch (error) {
      onError(explained('The id of this deployment cannot be read from Postgres, and workers wait for it', error))
      return unknown
    }
  }
}

async function withClient<T>(url: string, answerWithinMs: number, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({
    ...postgresOptions(url),
    connectionTimeoutMillis: answerWithinMs,
    query_timeout: answerWithinMs,
    application_name: 'buildkite-mirror queue',
  })
  client.on('error', () => {}) // the query reports the error
  try {
    await client.connect()
    return await work(client)
  } finally {
    await withDeadline(client.end(), 2 * SECOND, 'Closing a connection').catch(() => {})
  }
}

async function locationByDatabase(
  client: pg.Client,
  address: string,
  onError: (error: Error) => void,
): Promise<JobLocation | undefined> {
  const { rows } = await client.query<{ current: boolean; older: boolean }>(
    `select to_regclass('sync.deployment') is not null as current, to_regclass('sync.deliveries') is not null as older`,
  )
  if (!rows[0]?.current) {
    // The previous version runs on this database, and its workers process jobs at this location.
    return rows[0]?.older ? { prefix: SHARED_PREFIX, settled: false, recorded: false, sources: [] } : undefined
  }
  const { rows: deployments } = await client.query<DeploymentRow>(
    'select id, used_shared_queue, addresses from sync.deployment',
  )
  const [deployment] = deployments
  if (!deployment) throw new Error(ROW_MISSING)
  const recorded = await recordAddress(client, deployment, address).catch((error) => {
    onError(explained('The address of this process cannot be recorded in sync.deployment', error))
    return false
  })
  const shared = deployment.used_shared_queue ? [SHARED_PREFIX] : []
  const addresses = new Set([address, ...deployment.addresses])
  return {
    prefix: `{bk:${deployment.id}}`,
    settled: true,
    recorded,
    sources: [...[...addresses].map(prefixAt), ...shared],
  }
}

async function recordAddress(client: pg.Client, { addresses }: DeploymentRow, address: string): Promise<boolean> {
  if (addresses.includes(address)) return true
  await client.query(
    'update sync.deployment set addresses = array_append(addresses, $1::text) where $1::text <> all (addresses)',
    [address],
  )
  return true
}

const ROW_MISSING =
  'sync.deployment has no row. Insert one with the id from the names of its keys in Redis ({bk:<id>}): ' +
  "insert into sync.deployment (id, used_shared_queue) values ('<id>', false). " +
  'Use true instead of false if a version before 0.2 ran on this database. If there are no such keys, omit the id'

const PRIVILEGE_MISSING =
  'Grant the missing privileges to the user of DATABASE_URL: ' +
  'grant usage on schema sync to <user>; grant select, update on sync.deployment to <user>'

function explained(what: string, cause: unknown): Error {
  const code = cause instanceof Error && 'code' in cause ? String(cause.code) : ''
  const remedy = code === '42501' ? ` ${PRIVILEGE_MISSING}.` : ''
  const tls = tlsFault('Postgres', cause)
  return new Error(`${what}: ${tls ? `${tls.fact} ${tls.remedy}` : `${messageOf(cause) || code}.${remedy}`}`, { cause })
}

function prefixAt(address: string): string {
  return `{bk@${address}}`
}

/**
 * A hash of `databaseUrl` without its password and TLS, and of the webhook secret. The secret is needed because two deployments in separate
 * networks may both call their database `postgres:5432/buildkite`. The hash is slow, because everyone with access to Redis or to
 * `sync.deployment` may try secrets against it.
 */
function addressHash({ databaseUrl, webhookSecret }: DeploymentConfig): string {
  const address = addressOf(databaseUrl)
  if (webhookSecret === undefined) return createHash('sha256').update(address).digest('hex').slice(0, 16)
  return scryptSync(webhookSecret, address, 8).toString('hex')
}

function addressOf(databaseUrl: string): string {
  if (!URL.canParse(databaseUrl)) return ''
  const { username, hostname, port, pathname, searchParams } = new URL(databaseUrl)
  for (const name of [...searchParams.keys()]) if (/^(password|ssl.*)$/.test(name)) searchParams.delete(name)
  searchParams.sort()
  return `${username}@${hostname}:${port || 5432}${pathname}?${searchParams}`
}
