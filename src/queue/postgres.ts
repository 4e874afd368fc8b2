import { createPostgresBackend, withBackend } from 'bullmq'
import pg from 'pg'
import { StoreError } from '../runtime/errors.ts'
import { postgresOptions, tlsFault } from '../runtime/store-url.ts'
import { SECOND, withDeadline } from '../runtime/time.ts'
import { type Engine, type Outage, workerOptions } from './engine.ts'

const schema = 'bullmq'
const { Queue, Worker } = withBackend(createPostgresBackend)

/**
 * BullMQ does not listen for errors of idle connections in its pool, so a lost one would end the process. The running query still
 * fails and reports the error.
 */
class CalmClient extends pg.Client {
  constructor(options?: string | pg.ClientConfig) {
    super(options)
    this.on('error', () => {})
  }
}

const throughPooler = {
  fact:
    'The queue in Postgres needs direct connections, because it uses search_path and LISTEN. ' +
    'DATABASE_URL leads through a pooler such as PgBouncer, or has its own options, and these do not work.',
  remedy: 'Set REDIS_URL to keep the queue in Redis, or DATABASE_URL to the address of Postgres itself.',
}

/** BullMQ on Postgres, in its own schema. Needs direct connections: LISTEN and a fixed search_path do not work through PgBouncer. */
export function postgresEngine(url: string): Engine {
  const connection = {
    ...postgresOptions(url),
    schema,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    // Releases jobs that a transaction of a frozen process has locked.
    idle_in_transaction_session_timeout: 30_000,
    application_name: 'buildkite-mirror queue',
    Client: CalmClient,
  }
  // Why the queue could not be prepared, if that is known.
  let outage: Outage | undefined
  return {
    backend: 'postgres',
    async prepare() {
      const isPooled = await keepsSearchPath({ ...connection, query_timeout: 5_000 }).then(
        (keeps) => !keeps,
        (error) => {
          outage = tlsFault('Postgres', error)
          throw error
        },
      )
      outage = isPooled ? throughPooler : undefined
      if (isPooled) throw new StoreError('permanent', throughPooler.fact, { remedy: throughPooler.remedy })
      // BullMQ takes an advisory lock for its migrations, so any number of processes may get here at once.
      const backend = createPostgresBackend('deliveries', { connection: { ...connection, max: 1, migrate: true } })
      backend.on('error', () => {}) // the promise below rejects with it
      try {
        await backend.waitUntilReady()
      } finally {
        await backend.close()
      }
    },
    openQueue(name, _prefix, onError) {
      const producer = { ...connection, max: 2, connectionTimeoutMillis: 1_500, query_timeout: 1_500 }
      const queue = new Queue(name, { connection: producer })
      queue.on('error', onError)
      return queue
    },
    openWorker(name, _prefix, processor, settings, onError) {
      const { concurrency, backoff } = settings
      const worker = new Worker<unknown, void>(name, processor, {
        ...workerOptions,
        connection: { ...connection, max: Math.min(concurrency + 1, 4), query_timeout: 30_000 },
        concurrency,
        settings: { backoffStrategy: backoff },
      })
      worker.on('error', onError)
      return worker
    },
    async check(queue) {
      if (!queue) throw new Error('The queue is not open yet.')
      await queue.getJobCounts('active')
      return []
    },
    // Other errors name their cause themselves; see asStoreError.
    outOfReach: (error) => outage ?? tlsFault('Postgres', error),
    close: () => {},
  }
}

/**
 * Whether a connection has the search_path that it asked for, as BullMQ's connections do. PgBouncer refuses it, or drops it if it is
 * configured to ignore `options`. BullMQ would then not find its tables.
 */
async function keepsSearchPath(config: pg.ClientConfig): Promise<boolean> {
  const client = new CalmClient({ ...config, options: `-c search_path=${schema}` })
  try {
    await client.connect()
    const { rows } = await client.query<{ path: string }>("select current_setting('search_path') as path")
    return rows[0]?.path.split(',')[0]?.replaceAll('"', '') === schema
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '08P01' && error.message.includes('startup parameter'))
      return false
    throw error
  } finally {
    await withDeadline(client.end(), 2 * SECOND, 'Closing a connection').catch(() => {})
  }
}
