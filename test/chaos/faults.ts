import type { Fault as ApiFault } from '../../src/simulator/api/api.ts'
import type { Fault } from './plan.ts'
import type { Ended, Stage } from './stage.ts'

/** Lets a fault begin, and returns how to end it. */
export async function begin(stage: Stage, fault: Fault): Promise<() => Promise<unknown> | unknown> {
  const { redis, toRedis, toPostgres, webhooks } = stage
  const nothing = () => {}
  const member = stage.members[fault.target]
  switch (fault.kind) {
    case 'service killed':
      if (!member?.service) return nothing
      await stage.end(member, 'SIGKILL')
      return () => stage.start(member)
    case 'rolling restart':
      await rollingRestart(stage)
      return nothing
    case 'redis frozen':
      redis?.freeze()
      return () => redis?.thaw()
    case 'redis killed':
      await redis?.kill()
      return () => redis?.start()
    case 'redis flushed':
      // It may be frozen or dead just now: then there is nothing to do.
      await Promise.race([redis?.flush().catch(nothing), new Promise((resolve) => setTimeout(resolve, 500))])
      return nothing
    case 'redis cut off':
      await toRedis?.cut()
      return () => toRedis?.restore()
    case 'redis half-open':
      toRedis?.hang()
      return () => toRedis?.restore()
    case 'postgres crashed':
      await stage.postgres.crash().catch(nothing)
      return nothing
    case 'postgres cut off':
      await toPostgres.cut()
      return () => toPostgres.restore()
    case 'postgres half-open':
      toPostgres.hang()
      return () => toPostgres.restore()
    case 'api in html':
      return apiFault(stage, { kind: 'html', status: 502 })
    case 'api cut':
      return apiFault(stage, { kind: 'cut' })
    case 'api hanging':
      return apiFault(stage, { kind: 'hang' })
    case 'api slow':
      return apiFault(stage, { kind: 'delay', ms: 700 })
    case 'api limit of the organization':
      return apiFault(stage, { kind: 'limit', scope: 'rest', reset: 1 })
    case 'api limit of the user':
      return apiFault(stage, { kind: 'limit', scope: 'rest_user', reset: 1 })
    case 'webhooks dropped':
      webhooks.drop = 0.5
      return () => (webhooks.drop = 0)
    case 'webhook outage':
      webhooks.drop = 1
      return () => (webhooks.drop = 0)
    case 'webhooks doubled':
      webhooks.twice = 0.5
      return () => (webhooks.twice = 0)
    case 'webhooks late':
      webhooks.late = 0.5
      return () => (webhooks.late = 0)
    default:
      return fault.kind satisfies never
  }
}

function apiFault({ api }: Stage, fault: ApiFault): () => void {
  api.beforeAnswer = () => fault
  return () => {
    api.beforeAnswer = undefined
  }
}

/** As an orchestrator does it: each process gets SIGTERM, and its successor starts when it is gone. */
async function rollingRestart(stage: Stage): Promise<void> {
  for (const member of stage.members) {
    const ended = await stage.end(member, 'SIGTERM')
    if (ended && !isOrderly(ended)) {
      stage.crashes.push(`On SIGTERM a process ended with ${ended.code} after ${ended.ms} ms.`)
    }
    if (ended) await stage.start(member)
  }
}

/** The service's own deadline is 25 s; a busy machine may need a moment to start timers and to reap. */
const SIGTERM_WITHIN = 28_000

/** Whether a process ended as it should on SIGTERM. One that had hardly begun may simply die of it: it had accepted nothing. */
export function isOrderly({ code, ms, listened, killed }: Ended): boolean {
  return (code === 0 || killed || (code === 'SIGTERM' && !listened)) && ms <= SIGTERM_WITHIN
}

/** Every fault has been ended; where two of a kind overlapped, the first end was one too few. */
export async function lift(stage: Stage): Promise<void> {
  stage.api.beforeAnswer = undefined
  Object.assign(stage.webhooks, { drop: 0, twice: 0, late: 0 })
  for (const member of stage.members) await stage.start(member)
}
