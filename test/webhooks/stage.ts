import { randomUUID } from 'node:crypto'
import Fastify, { type FastifyInstance } from 'fastify'
import { sign } from '../../src/buildkite/signature.ts'
import { WEBHOOK_PATH } from '../../src/buildkite/webhook-path.ts'
import { type Database, openDatabase } from '../../src/database/connection.ts'
import { deliveries } from '../../src/database/schema.ts'
import { openQueues, type Queues, type RunningWorker } from '../../src/queue/queues.ts'
import { createLog } from '../../src/runtime/log.ts'
import { type MirrorFilterConfig, mirrorFilter } from '../../src/runtime/scope.ts'
import { type DeferredRetries, startDeferredRetries } from '../../src/webhooks/apply/deferred.ts'
import { type ApplyParts, deliveryHandler } from '../../src/webhooks/apply/process-deliveries.ts'
import { Inbox } from '../../src/webhooks/inbox/inbox.ts'
import type { ReceiverSettings } from '../../src/webhooks/receive/read-request.ts'
import { type ReceiverParts, webhookRoute } from '../../src/webhooks/receive/receive.ts'
import { type Sweeper, startSweeper } from '../../src/webhooks/sweeper.ts'
import { testRedisUrl } from '../support/redis.ts'

export const secret = 'the-secret-of-the-tests'
export const silent = createLog('silent')

/** The webhook path on real stores: its app, inbox, queue and, when asked for, its worker. */
export interface Stage {
  app: FastifyInstance
  database: Database
  queues: Queues
  /** Of the queue's keys. */
  prefix: string
  inbox: Inbox
  /** The values passed to `on`, totalled by name and labels. */
  counted: Map<string, number>
  work(scope?: Partial<MirrorFilterConfig>): RunningWorker
  /** Starts the sweeper, in a hurry. */
  sweep(): void
  /** Sends a signed delivery; `headers` are added, or taken away by `undefined`. */
  post(
    event: string,
    payload: unknown,
    headers?: Record<string, string | undefined>,
  ): Promise<{ status: number; headers: Record<string, unknown>; body: string; ms: number }>
  close(): Promise<void>
}

export interface StageOptions {
  backend: 'redis' | 'postgres'
  databaseUrl: string
  redisUrl?: string
  settings?: Partial<ReceiverSettings>
  clocks?: Pick<ReceiverParts, 'clock' | 'buildkiteNow'>
}

let stages = 0

export async function setStage(options: StageOptions): Promise<Stage> {
  stages += 1
  const database = openDatabase(options.databaseUrl, { name: 'test' })
  const prefix = `{stage-${process.pid}-${stages}-${randomUUID()}}`
  const queues = await openQueues(
    {
      redisUrl: options.backend === 'redis' ? (options.redisUrl ?? testRedisUrl()) : undefined,
      databaseUrl: options.databaseUrl,
      prefix,
    },
    silent,
  )
  const counted = new Map<string, number>()
  const record: NonNullable<ApplyParts['record']> = (what, count, labels) => {
    const name = [what, ...Object.values(labels ?? {})].join(' ')
    counted.set(name, (counted.get(name) ?? 0) + count)
  }
  const inbox = new Inbox({ db: database.db, queues, log: silent, record })
  const app = Fastify()
  const settings = {
    secrets: [secret],
    auth: 'signature',
    toleranceMs: 300_000,
    storeEnv: false,
    ...options.settings,
  } as const
  await app.register(webhookRoute, { ...settings, ...options.clocks, inbox, log: silent, record })
  await app.ready()
  const workers: RunningWorker[] = []
  const sweepers: Sweeper[] = []
  const retries: DeferredRetries[] = []
  return {
    app,
    database,
    queues,
    prefix,
    inbox,
    counted,
    work(scope = {}) {
      const parts: ApplyParts = {
        db: database.db,
        filter: mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [], ...scope }),
        storeEnv: false,
        log: silent,
        record,
      }
      const worker = queues.workDeliveries(deliveryHandler(parts), 4)
      workers.push(worker)
      retries.push(startDeferredRetries(parts, 100))
      return worker
    },
    sweep() {
      const parts = {
        db: database.db,
        queues,
        payloadRetentionDays: 7,
        deliveryRetentionDays: 365,
        log: silent,
        record,
        everyMs: 100,
      }
      sweepers.push(startSweeper(parts))
    },
    async post(event, payload, headers = {}) {
      const body = typeof payload === 'string' ? payload : JSON.stringify(payload)
      const all: Record<string, string | undefined> = {
        'content-type': 'application/json',
        'x-buildkite-event': event,
        'x-buildkite-signature': sign(body, secret, Date.now()),
        ...headers,
      }
      const sent = Object.fromEntries(Object.entries(all).filter((entry) => entry[1] !== undefined))
      const begun = Date.now()
      const answer = await app.inject({ method: 'POST', url: WEBHOOK_PATH, headers: sent, payload: body })
      return { status: answer.statusCode, headers: answer.headers, body: answer.body, ms: Date.now() - begun }
    },
    async close() {
      await app.close()
      await inbox.close(3_000)
      for (const sweeper of sweepers) await sweeper.stop(3_000)
      for (const retry of retries) await retry.stop(3_000)
      for (const worker of workers) await worker.close(2_000)
      await queues.close(2_000)
      await database.close(1_000)
    },
  }
}

/** The inbox as it stands. */
export function deliveriesOf(stage: Pick<Stage, 'database'>) {
  return stage.database.db.select().from(deliveries).orderBy(deliveries.id)
}

/** A webhook of a build, as small as one can be. */
export function buildPayload(
  changes: { id?: string; number?: number; state?: string; pipeline?: string; org?: string } = {},
) {
  const { id = randomUUID(), number = 1, state = 'running', pipeline = 'web', org = 'acme' } = changes
  const pipelineUrl = `https://api.buildkite.com/v2/organizations/${org}/pipelines/${pipeline}`
  return {
    event: `build.${state}`,
    build: {
      id,
      number,
      state,
      url: `${pipelineUrl}/builds/${number}`,
      created_at: '2026-01-01T00:00:00.000Z',
      message: 'm',
    },
    pipeline: { id: '0193aaaa-0000-4000-8000-000000000001', slug: pipeline, name: pipeline, url: pipelineUrl },
    sender: { id: '0193aaaa-0000-4000-8000-000000000002', name: 'S' },
  }
}
