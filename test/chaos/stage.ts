import postgres from 'postgres'
import { type Api, demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import type { Webhooks } from '../../src/simulator/webhooks/webhooks.ts'
import type { OwnPostgres } from '../support/own-postgres.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { wildMix } from '../support/wild-mix.ts'
import type { Plan } from './plan.ts'

/** One process of the service, and what became of it. */
export interface Member {
  readonly roles: string
  service: ServiceProcess | undefined
  starting: Promise<ServiceProcess> | undefined
  /** Whether its end is our doing; any other end is a fault of the service. */
  expected: boolean
  /** The last signal that it was sent. */
  signal: NodeJS.Signals | undefined
}

/** How a process ended: its exit code, or the signal's name; how long it took; and whether it had ever listened. */
export interface Ended {
  readonly code: number | string
  readonly ms: number
  readonly listened: boolean
  /** Whether it was killed while it was about to end. */
  readonly killed: boolean
}

/** Everything that one run needs, running. */
export interface Stage {
  readonly plan: Plan
  readonly postgres: OwnPostgres
  /** The mirror's database, past the proxy. */
  readonly databaseUrl: string
  readonly toPostgres: TcpProxy
  readonly redis: RedisServer | undefined
  readonly toRedis: TcpProxy | undefined
  readonly simulation: Simulation
  readonly api: Api
  readonly webhooks: Webhooks
  readonly members: Member[]
  /** Ends that nobody caused, a line each. */
  readonly crashes: string[]
  /** Starts a process unless it runs; with `ready`, waits until it can do its work. */
  start(member: Member, ready?: boolean): Promise<void>
  /** Ends a process by a signal; undefined when it does not run. */
  end(member: Member, signal: NodeJS.Signals): Promise<Ended | undefined>
  /** Everything that every process has written. */
  output(): string
  close(): Promise<void>
}

const secret = 'the-secret-of-chaos'
let databases = 0

export async function setStage(plan: Plan, pg: OwnPostgres): Promise<Stage> {
  const name = `chaos_${process.pid}_${++databases}`
  await asAdmin(pg.url, `create database ${name}`)
  const databaseUrl = withDatabase(pg.url, name)
  const toPostgres = await startTcpProxy(databaseUrl, 5432)
  const redis = plan.queue === 'redis' ? await startRedisServer() : undefined
  const toRedis = redis && (await startTcpProxy(redis.url, 6379))
  const clock = { now: () => Date.now() + plan.skew, pass: () => undefined }
  const simulation = createSimulation({ seed: plan.seed, clock, mix: wildMix, pipelines: 3 })
  simulation.writeHistory({ builds: 40, days: 5 })
  const api = await simulation.startApi()
  const members: Member[] = plan.processes.map((roles) => ({
    roles,
    service: undefined,
    starting: undefined,
    expected: false,
    signal: undefined,
  }))
  const settings = {
    DATABASE_URL: toPostgres.url,
    ...(toRedis ? { REDIS_URL: toRedis.url } : {}),
    BUILDKITE_API_URL: api.url,
    BUILDKITE_API_TOKEN: demoToken.token,
    WEBHOOK_SECRET: secret,
    WEBHOOK_TOLERANCE: '10m',
    RECONCILE_INTERVAL: '1s',
    API_BUDGET_SHARE: '1',
    BACKFILL_DAYS: '10',
  }
  const crashes: string[] = []
  const outputs: (() => string)[] = []
  let turn = 0
  const nextUrl = () => {
    const receivers = members.filter(({ roles, service }) => roles.includes('web') && service)
    const member = receivers[turn++ % Math.max(1, receivers.length)]
    return `${member?.service?.publicUrl ?? 'http://127.0.0.1:9'}/webhooks/buildkite`
  }
  const webhooks = simulation.startWebhooks({ url: nextUrl, secret, concurrency: 16 })
  webhooks.keep = true

  return {
    plan,
    postgres: pg,
    databaseUrl,
    toPostgres,
    redis,
    toRedis,
    simulation,
    api,
    webhooks,
    members,
    crashes,
    async start(member, ready = false) {
      if (member.service || member.starting) return
      member.starting = startService({ ...settings, ROLES: member.roles }, ready)
      const service = await member.starting
      member.starting = undefined
      member.service = service
      member.signal = undefined
      member.expected = false
      outputs.push(service.output)
      service.process.once('exit', (code, signal) => {
        if (member.service !== service) return
        if (!member.expected) crashes.push(`A process ended by itself with ${code ?? signal}.`)
        member.service = undefined
      })
    },
    async end(member, signal) {
      await member.starting
      const { service } = member
      // A second SIGTERM would mean: at once.
      if (!service || member.signal === signal) return undefined
      member.expected = true
      member.signal = signal
      const begun = Date.now()
      const code = await service.stop(signal)
      return {
        code,
        ms: Date.now() - begun,
        listened: service.output().includes('listener is up'),
        killed: code === 'SIGKILL' && signal !== 'SIGKILL',
      }
    },
    output: () => outputs.map((output) => output()).join('\n'),
    async close() {
      await simulation.stop()
      for (const { service } of members) await service?.stop('SIGKILL')
      redis?.thaw()
      await toRedis?.close()
      await redis?.stop()
      await toPostgres.close()
      await asAdmin(pg.url, `drop database if exists ${name} with (force)`).catch(() => {})
    },
  }
}

function withDatabase(url: string, name: string): string {
  const target = new URL(url)
  target.pathname = `/${name}`
  return target.href
}

async function asAdmin(url: string, query: string): Promise<void> {
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  try {
    await sql.unsafe(query)
  } finally {
    await sql.end({ timeout: 1 })
  }
}
