import postgres from 'postgres'
import { twoMoreCycles } from '../support/cycles.ts'
import { differences } from '../support/differences.ts'
import { until } from '../support/until.ts'
import type { Stage } from './stage.ts'

/** What a run has shown: nothing in `faults` means that every promise was kept. */
export interface Verdict {
  readonly webhooks: { sent: number; accepted: number; answers: Readonly<Record<string, number>> }
  readonly cycles: number
  /** From the end of all faults until two cycles were done and the mirror was looked at, in milliseconds. */
  readonly recoveredMs: number
  readonly faults: readonly string[]
}

/** Live counters of pipelines come only from the list of pipelines, which is read every five minutes. */
const omit = {
  columns: {
    pipelines: [
      'scheduled_builds_count',
      'running_builds_count',
      'scheduled_jobs_count',
      'running_jobs_count',
      'waiting_jobs_count',
    ],
  },
}

/** A healthy service has noticed that its stores are back after this long: breakers rest for 3 s, a frozen connection counts as lost after more. */
const GRACE = 10_000
/** Schedules that a flushed Redis forgot come back within a minute, and so does a backfill whose process was killed. */
const PATIENCE = 150_000

/** Waits for two cycles after `liftedAt`, and says what is wrong then. `sick` are the times at which a store was not well. */
export async function judge(
  stage: Stage,
  liftedAt: number,
  sick: readonly { from: number; to: number }[],
): Promise<Verdict> {
  const sql = postgres(stage.databaseUrl, { max: 2, onnotice: () => {} })
  const faults: string[] = [...stage.crashes]
  try {
    const pending = async () => (await sql`select 1 from sync.deliveries where status = 'pending' limit 1`).length
    await attempt(faults, 'every delivery in the inbox is applied', async () => (await pending()) === 0)
    await twoMoreCycles(sql, PATIENCE).catch((error: unknown) => faults.push(String(error)))
    await attempt(faults, 'the history is read', async () => historyRead(sql))
    faults.push(...(await differences(stage.databaseUrl, stage.simulation.truth, omit, 5)))
    // Deliveries that came while Postgres was unavailable may still be in the queue.
    await until(async () => (await lostDeliveries(sql, stage)).length === 0, 'all are kept', 60_000).catch(() => {})
    faults.push(...(await lostDeliveries(sql, stage)), ...(await overlappingCycles(sql)))
    faults.push(...refusals(stage, sick), ...accidents(stage), ...stage.crashes.slice(faults.length))
    const [row] = await sql<{ count: string }[]>`select count(*) from sync.cycles where kind in ('hot', 'warm')`
    const { sent, accepted, answers } = stage.webhooks.stats
    const cycles = Number(row?.count)
    return { webhooks: { sent, accepted, answers }, cycles, recoveredMs: Date.now() - liftedAt, faults }
  } finally {
    await sql.end({ timeout: 1 })
  }
}

async function attempt(faults: string[], what: string, condition: () => Promise<boolean>): Promise<void> {
  await until(condition, what, PATIENCE).catch((error: unknown) => faults.push(String(error)))
}

async function historyRead(sql: postgres.Sql): Promise<boolean> {
  const [row] = await sql<{ done: boolean }[]>`
    select min(w.created_from) <= min(m.backfill_from) and bool_and(w.status = 'done') as done
    from sync.watermarks m join sync.windows w using (organization_id)`
  return row?.done === true
}

/** Promise 1: every webhook answered with 2xx is in the inbox, and is applied. */
async function lostDeliveries(sql: postgres.Sql, stage: Stage): Promise<string[]> {
  const { webhooks } = stage
  const rows = await sql<{ request_id: string; status: string }[]>`select request_id, status from sync.deliveries`
  const statusOf = new Map(rows.map(({ request_id, status }) => [request_id, status]))
  const accepted = webhooks.log.filter(({ status }) => status >= 200 && status < 300)
  // One that says the very same as another of its second is that other.
  const bodies = new Set(accepted.filter(({ request_id }) => statusOf.has(request_id)).map(({ body }) => body))
  const lost = accepted.filter(({ request_id, body }) => !statusOf.has(request_id) && !bodies.has(body))
  const failed = rows.filter(({ status }) => status === 'failed')
  return [
    ...(lost.length > 0
      ? [`${lost.length} accepted deliveries are lost, the first a ${lost[0]?.event}; ${await queued(stage)}`]
      : []),
    ...(failed.length > 0 ? [`${failed.length} deliveries failed`] : []),
  ]
}

/** What still waits in the queue, as the service says: then it is late, not lost. */
async function queued({ members }: Stage): Promise<string> {
  const status = await members[0]?.service?.status().catch(() => undefined)
  return `the queue: ${JSON.stringify(status?.queue ?? 'unknown')}`
}

/** Cycles of one kind that were at work at the same time; those that failed had lost their lock. */
async function overlappingCycles(sql: postgres.Sql): Promise<string[]> {
  const rows = await sql<{ kind: string; started_at: Date }[]>`
    select a.kind, a.started_at from sync.cycles a join sync.cycles b
      on a.organization_id = b.organization_id and a.kind = b.kind and a.id < b.id
      and a.started_at < b.finished_at and b.started_at < a.finished_at
    where a.kind in ('hot', 'warm') and a.error is null and b.error is null`
  return rows.map(({ kind, started_at }) => `Two ${kind} cycles ran at once at ${started_at.toISOString()}`)
}

/** Answers of 5xx while every store was well: a webhook refused for our own convenience. */
function refusals({ webhooks }: Stage, sick: readonly { from: number; to: number }[]): string[] {
  const excused = (at: number) => sick.some(({ from, to }) => at >= from && at <= to + GRACE)
  const refused = webhooks.log.filter(({ status, answered_at }) => status >= 500 && !excused(answered_at))
  return refused.length > 0
    ? [`${refused.length} webhooks were answered ${refused[0]?.status} by a healthy service`]
    : []
}

function accidents(stage: Stage): string[] {
  const lines = stage.output().split('\n')
  return lines.filter((line) => /unhandled|uncaught|TypeError|RangeError|ReferenceError/i.test(line)).slice(0, 3)
}
