import { createPostgresBackend, withBackend } from 'bullmq'
import pg from 'pg'
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

/**
 * BullMQ on Postgres, in a schema of its own. Needs direct connections: LISTEN and the pinned search_path do not pass a
 * transaction-pooling PgBouncer.
 */
export function postgresEngine(url: string): Engine {
  const connection = {
    connectionString: url,
    schema,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    application_name: 'buildkite-mirror queue',
    Client: CalmClient,
  }
  return {
    backend: 'postgres',
    async prepare() {
      // BullMQ takes an advisory lock for its migrations, so any number of processes may get here at once.
      const backend = createPostgresBackend('deliveries', { connection: { ...connection, max: 1, migrate: true } })
      backend.on('error', () => {}) // the promise below says it
      try {
        await backend.waitUntilReady()
      } finally {
        await backend.close()
      }
    },
    openQueue(name, onError) {
      const producer = { ...connection, max: 2, connectionTimeoutMillis: 1_500, query_timeout: 1_500 }
      const queue = new Queue(name, { connection: producer })
      queue.on('error', onError)
      return queue
    },
    openWorker(name, processor, settings, onError) {
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
    outOfReach: () => undefined,
    close: () => {},
  }
}
