import { sql } from 'drizzle-orm'
import { inject } from 'vitest'
import { mirroredEvents } from '../../src/buildkite/services.ts'
import { openDatabase } from '../../src/database/connection.ts'
import type { CheckConfig, Examination } from '../../src/diagnostics/run.ts'
import { checkOnce } from '../../src/diagnostics/scheduler.ts'
import { openQueues } from '../../src/queue/queues.ts'
import { openAccess } from '../../src/reconcile/access/access.ts'
import { type MirrorFilterConfig, mirrorFilter } from '../../src/runtime/scope.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import type { Service, Services } from '../../src/simulator/model/services.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { freeBudget, openScene, type Scene, silent } from './scene.ts'

export const secret = 'the-secret-of-the-webhook'

/** A set-up in which all is well, to plant faults in. */
export interface CheckStage {
  readonly scene: Scene
  /** None of the run's own, so that its settings may be spoilt; undefined where this run has no Redis. */
  readonly redis: RedisServer | undefined
  readonly services: Services
  /** The webhook service as it should be. */
  readonly service: Service
  /** What the next look goes by. */
  config: CheckConfig & MirrorFilterConfig
  /** Buildkite's clock is so far ahead of ours, in milliseconds. */
  skewMs: number
  /** Postgres as the next look reaches it. */
  databaseUrl: string
  sql(text: string): Promise<void>
  look(): Promise<Examination>
  close(): Promise<void>
}

/** A Redis for stages; undefined where this run has none. */
export const openCheckRedis = async () => (inject('redisUrl') ? startRedisServer() : undefined)

/** Sets the stage, with a Redis that outlives it. */
export async function openCheckStage(redis: RedisServer | undefined): Promise<CheckStage> {
  let stage: CheckStage | undefined
  const clock = { now: () => Date.now() + (stage?.skewMs ?? 0), pass: () => undefined }
  const scene = await openScene({ clock, pipelines: 2 })
  await scene.complete({ builds: 20, days: 3, jobs: 2 })
  const { truth } = scene.simulation
  const [organization] = truth.organizations
  if (!organization) throw new Error('The simulation has no organization.')
  const services = truth.servicesOf(organization)
  await scene.source.client.services.create(organization.slug, {
    url: 'https://mirror.example.com/webhooks/buildkite',
    token: secret,
    tokenMode: 'signature',
    events: mirroredEvents,
  })
  const [service] = services.all
  if (!service) throw new Error('No service was made.')
  stage = {
    scene,
    redis,
    services,
    service,
    config: {
      roles: new Set(['web', 'worker', 'reconciler']),
      apiTokens: [demoToken.token],
      apiUrl: scene.api.url,
      organizations: [],
      pipelinesInclude: [],
      pipelinesExclude: [],
      webhookSecrets: [secret],
      webhookAuth: 'signature',
      webhookToleranceMs: 300_000,
      databaseUrl: scene.url,
      dataDir: '/nowhere',
      redisUrl: redis?.url,
      reconcileIntervalMs: 60_000,
    },
    skewMs: 0,
    databaseUrl: scene.url,
    async sql(text) {
      await scene.database.db.execute(sql.raw(text))
    },
    look() {
      if (!stage) throw new Error('The stage is not open.')
      return look(stage)
    },
    close: () => scene.close(),
  }
  // The migrations turn it off for their own database; a copy of one does not bring the setting along.
  await stage.sql(`do $$ begin execute format('alter database %I set jit = off', current_database()); end $$`)
  return stage
}

/** One check by a service that has just started. */
async function look({ scene, config, databaseUrl }: CheckStage): Promise<Examination> {
  const filter = mirrorFilter(config)
  const reach = { ...config, apiUrl: scene.api.url, httpsProxy: undefined, noProxy: [] }
  const client = { backoffMs: 1 }
  const access = openAccess(reach, { budget: freeBudget, filter, log: silent, clock: Date.now, client })
  const database = openDatabase(databaseUrl, { name: 'checks test', connections: 2 })
  const queues = await openQueues({ redisUrl: config.redisUrl, databaseUrl: scene.url }, silent)
  try {
    return await checkOnce({
      config,
      database,
      queues,
      access: config.apiTokens.length > 0 ? access : undefined,
      filter,
      log: silent,
      clock: Date.now,
    })
  } finally {
    await access.close()
    await queues.close(2_000)
    await database.close()
  }
}
