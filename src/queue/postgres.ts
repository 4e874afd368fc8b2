import { createPostgresBackend, withBackend } from 'bullmq'
import pg from 'pg'
import { likeLibpq } from '../postgres-url.ts'
import { SECOND, withDeadline } from '../time.ts'
import { type Engine, workerOptions } from './engine.ts'

const schema = 'bullmq'
const { Queue, Worker } = withBackend(createPostgresBackend)

/**
 * BullMQ takes connections from its pool without listening for their errors; one lost there would end the process. The query under
 * way fails all the same, and says it.
 */
class CalmClient extends pg.Client {
  constructor(options?: string | pg.ClientConfig) {
    super(options)
    this.on('error', () => {})
  }
}

const throughPooler =
  'The queue in Postgres needs direct connections: DATABASE_URL leads through a pooler such as PgBouncer, or has options of its own, ' +
  'and what the queue needs does not pass (search_path and LISTEN). ' +
  'Set REDIS_URL to keep the queue in Redis, or DATABASE_URL to the address of Postgres itself.'

/** BullMQ on Postgres, in a schema of its own. Needs direct connections: LISTEN and the pinned search_path do not pass PgBouncer. */
export function postgresEngine(url: string): Engine {
  const connection = {
    connectionString: likeLibpq(url),
    schema,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    // Releases the jobs that a frozen process's transaction has locked.
    idle_in_transaction_session_timeout: 30_000,
    application_name: 'buildkite-mirror queue',
    Client: CalmClient,
  }
  let isPooled = false
  return {
    backend: 'postgres',
    async prepare() {
      isPooled = !(await keepsSearchPath({ ...connection, query_timeout: 5_000 }))
      if (isPooled) throw new Error(throughPooler)
      // BullMQ takes an advisory lock for its migrations, so any number of processes may get here at once.
      const backend = createPostgresBackend('deliveries', { connection: { ...connection, max: 1, migrate: true } })
      backend.on('error', () => {}) // the promise below says it
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
      if (!queue) throw new Error('The queue could not be opened yet.')
      await queue.getJobCounts('active')
      return []
    },
    // Its own words say which; see asStoreError.
    outOfReach: () => (isPooled ? throughPooler : undefined),
    close: () => {},
  }
}

/**
 * Whether a connection has the search_path that it asked for, as BullMQ's do. PgBouncer refuses it, or drops it where it is told to
 * ignore `options`: then nothing of BullMQ's would be found.
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
