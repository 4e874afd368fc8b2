import { createPostgresBackend, LATEST_SCHEMA_VERSION, runMigrations, withBackend } from 'bullmq'
import pg from 'pg'
import { actAsOwner } from '../runtime/database-owner.ts'
import { messageOf, StoreError } from '../runtime/errors.ts'
import { postgresOptions, tlsFault } from '../runtime/store-url.ts'
import { SECOND, withDeadline } from '../runtime/time.ts'
import { type Engine, type Outage, type QueueName, queueNames, workerOptions } from './engine.ts'

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

const schemaMissing = {
  fact: 'Postgres does not have the schema bullmq of this version, which holds the queue.',
  remedy: 'Run buildkite-mirror migrate.',
}

function connectionTo(url: string) {
  return {
    ...postgresOptions(url),
    schema,
    keepAlive: true,
    connectionTimeoutMillis: 5_000,
    // Releases jobs that a transaction of a frozen process has locked.
    idle_in_transaction_session_timeout: 30_000,
    application_name: 'buildkite-mirror queue',
    Client: CalmClient,
  }
}

/**
 * Creates or updates the queue's schema, and grants the roles of processes its use. Several processes may run it at once. Does nothing
 * through a pooler, where the queue cannot be in Postgres.
 * @throws StoreError
 */
export async function migrateQueue(url: string): Promise<void> {
  try {
    await onDirect({ ...connectionTo(url), query_timeout: 60_000 }, async (client) => {
      await client.query(actAsOwner('session'))
      // BullMQ takes an advisory lock for its migrations.
      await runMigrations(client, schema)
      for (const name of queueNames) await client.query(createSequence(name))
      await client.query(grants)
    })
  } catch (error) {
    const { fact, remedy } = refusalOf(error) ?? { fact: `The schema ${schema} was not created: ${messageOf(error)}.` }
    throw new StoreError('permanent', fact, { remedy, cause: error })
  }
}

/** BullMQ creates the sequence of a queue's job ids at the first job, under this lock. Then the process would need the right to create. */
const createSequence = (queue: QueueName) => `
  do $$ begin
    perform pg_advisory_xact_lock(hashtext('bullmq:jidseq:${queue}'));
    execute format('create sequence if not exists ${schema}.%I', ${schema}.job_id_seq_name('${queue}'));
  end $$`

/** All processes add jobs, count them and show them, and BullMQ's functions run with the rights of the caller. */
const grants = `
  do $$ declare role text; begin
    for role in
      select rolname from pg_roles where rolname in ('buildkite_web', 'buildkite_worker', 'buildkite_reconciler')
    loop
      execute format('grant usage on schema bullmq to %I', role);
      execute format('grant select, insert, update, delete on all tables in schema bullmq to %I', role);
      execute format('revoke insert, update, delete on bullmq.migration from %I', role);
      execute format('grant usage, select on all sequences in schema bullmq to %I', role);
    end loop;
  end $$`

/**
 * BullMQ on Postgres, in its own schema. Needs direct connections: LISTEN and a fixed search_path do not work through PgBouncer. Creates
 * and updates the schema only if it `mayMigrate`.
 */
export function postgresEngine(url: string, mayMigrate: boolean): Engine {
  const connection = connectionTo(url)
  let outage: Outage | undefined
  return {
    backend: 'postgres',
    async prepare() {
      const current = await onDirect({ ...connection, query_timeout: 5_000 }, isCurrent).catch((error: unknown) => {
        outage = refusalOf(error)
        throw error
      })
      if (current === undefined) outage = throughPooler
      else outage = current || mayMigrate ? undefined : schemaMissing
      if (outage) throw new StoreError('permanent', outage.fact, { remedy: outage.remedy })
      if (!current) await migrateQueue(url)
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
    outOfReach: (error) => outage ?? refusalOf(error),
    close: () => {},
  }
}

/** Whether the schema has BullMQ's migrations, those of this version or of a later one. */
async function isCurrent(client: pg.Client): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>(
    `select to_regclass('${schema}.migration') is not null as there`,
  )
  if (!rows[0]?.there) return false
  const versions = await client.query<{ version: number }>(`select max(version) as version from ${schema}.migration`)
  return (versions.rows[0]?.version ?? 0) >= LATEST_SCHEMA_VERSION
}

/** The database user lacks a grant, which the message of Postgres names; or TLS fails. */
function refusalOf(error: unknown): Outage | undefined {
  if (!(error instanceof pg.DatabaseError) || error.code !== '42501') return tlsFault('Postgres', error)
  return {
    fact: `The queue in Postgres refuses the database user: ${error.message}.`,
    remedy:
      'Make it a member of the role of its process, then run buildkite-mirror migrate: see docs/operations/database-roles.md.',
  }
}

/**
 * Runs `work` on a connection that has the search_path that it asked for, as BullMQ's connections do. Undefined if it has not: PgBouncer
 * refuses it, or drops it if it is configured to ignore `options`. BullMQ would then not find its tables.
 */
async function onDirect<T>(config: pg.ClientConfig, work: (client: pg.Client) => Promise<T>): Promise<T | undefined> {
  const client = new CalmClient({ ...config, options: `-c search_path=${schema}` })
  try {
    await client.connect()
    const { rows } = await client.query<{ path: string }>("select current_setting('search_path') as path")
    if (rows[0]?.path.split(',')[0]?.replaceAll('"', '') !== schema) return undefined
    return await work(client)
  } catch (error) {
    if (error instanceof pg.DatabaseError && error.code === '08P01' && error.message.includes('startup parameter'))
      return undefined
    throw error
  } finally {
    await withDeadline(client.end(), 2 * SECOND, 'Closing a connection').catch(() => {})
  }
}
