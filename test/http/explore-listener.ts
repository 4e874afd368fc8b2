import type { FastifyInstance } from 'fastify'
import { type Database, type Db, openDatabase } from '../../src/database/connection.ts'
import { createMeters } from '../../src/http/metrics/registry.ts'
import { buildPrivateApp } from '../../src/http/private.ts'
import { runProbes } from '../../src/http/status/probes.ts'
import { readStatus } from '../../src/http/status/status.ts'
import { openQueues } from '../../src/queue/queues.ts'
import { createLog } from '../../src/runtime/log.ts'
import { everything, watchedOf } from './watched.ts'

export interface ExploreListener {
  readonly app: FastifyInstance
  /** Where /explore reads. */
  readonly database: Database
  close(): Promise<void>
}

interface Options {
  readonly clock?: () => number
  readonly timeoutMs?: number
  /** Where /explore reads; default: the database at the URL. */
  readonly db?: Db
  readonly tokens?: { readonly adminToken: string; readonly readerToken: string }
}

/** The private listener over a database, as the service builds it. */
export async function openExplore(url: string, { clock = Date.now, timeoutMs, db: other, tokens }: Options = {}) {
  const log = createLog('silent')
  const database = openDatabase(url, { name: 'explore test', connections: 4 })
  const queues = await openQueues({ redisUrl: undefined, databaseUrl: url }, log)
  const watched = watchedOf({ database, queues })
  const { db } = database
  const app = await buildPrivateApp({
    log,
    config: { adminToken: undefined, readerToken: undefined, ...tokens, trustProxy: [] },
    status: async () => readStatus(watched, await runProbes(watched)),
    meters: createMeters(),
    catalog: async () => [],
    actions: {
      db,
      queues,
      apply: { filter: everything, storeEnv: false, log },
      log,
      clock,
      closing: new AbortController().signal,
    },
    explore: { db: other ?? db, ...(timeoutMs === undefined ? {} : { timeoutMs }) },
    board: () => queues.board(),
  })
  const listener: ExploreListener = {
    app,
    database,
    async close() {
      await app.close()
      await queues.close(2_000)
      await database.close()
    },
  }
  return listener
}
