import { sql } from 'drizzle-orm'
import { backfillAndDrift } from '../../coverage/coverage.ts'
import { failingByKind } from '../../coverage/failing-work.ts'
import type { Db } from '../../database/connection.ts'
import { budgetsLeft } from '../../reconcile/access/rate-limit-store.ts'
import { SECOND } from '../../runtime/time.ts'
import {
  type Answer,
  ask,
  lastReceived,
  oldestPending,
  pendingAndFailed,
  type Watched,
  watermarksBySlug,
} from '../status/probes.ts'
import { checkFindings } from '../status/recent-issues.ts'
import type { MetricName } from './definitions.ts'
import type { Meters } from './registry.ts'

/**
 * Sets the gauges at every scrape: stores, queue, inbox and completeness. `share` is API_BUDGET_SHARE. Each query reads only a few
 * rows or an index, whatever the mirror's size. Sources that do not answer within a second are left out.
 */
export function watchGauges(meters: Meters, watched: Watched, share = 1): void {
  const { database, queues, clock, scope } = watched
  /** Asks at each scrape and shows the answer. If there is none, shows none of `gauges`. */
  const watch = <T>(gauges: readonly MetricName[], question: () => Promise<T>, show: (value: T) => void) =>
    meters.onScrape(async () => {
      const answer: Answer<T> = await ask('The database', question)
      for (const gauge of gauges) meters.forget(gauge)
      if (answer.ok) show(answer.value)
    })
  const age = (time: Date) => Math.max(0, clock() - time.getTime()) / SECOND

  meters.onScrape(async () => {
    const up = await ask('The database', () => database.ping())
    meters.on('store_up', up.ok ? 1 : 0, { store: 'database' })
  })
  meters.onScrape(async () => {
    const depth = await ask('The queue', () => queues.depth())
    meters.on('store_up', depth.ok ? 1 : 0, { store: 'queue' })
    meters.forget('queue_jobs')
    if (!depth.ok) return
    for (const [queue, counts] of Object.entries(depth.value)) {
      for (const [state, n] of Object.entries(counts)) meters.on('queue_jobs', n, { queue, state })
    }
  })
  meters.onScrape(async () => {
    meters.on('reconcile_interval', watched.config.reconcileIntervalMs / SECOND)
    meters.forget('worker_idle')
    const progress = watched.workers.map((worker) => worker.lastProgressAt)
    if (progress.length > 0) meters.on('worker_idle', age(new Date(Math.min(...progress))))
    meters.forget('problems')
    for (const [code, n] of countBy(watched.problems().map((problem) => problem.code)))
      meters.on('problems', n, { code })
  })
  watch(
    ['pending', 'failed'],
    () => pendingAndFailed(database.db),
    ({ pending, failed }) => {
      meters.on('pending', pending)
      meters.on('failed', failed)
    },
  )
  watch(
    ['oldest_pending'],
    () => oldestPending(database.db),
    (oldest) => {
      meters.on('oldest_pending', oldest ? age(oldest) : 0)
    },
  )
  watch(
    ['last_received_age'],
    () => lastReceived(database.db),
    (last) => {
      if (last) meters.on('last_received_age', age(last))
    },
  )
  watch(
    ['watermark_age'],
    () => watermarksBySlug(database.db, scope),
    (marks) => {
      for (const { slug, watermark } of marks) meters.on('watermark_age', age(watermark), { organization: slug })
    },
  )
  watch(
    ['backfill_progress', 'drift_unhealed', 'claim_age', 'claim_exceptions', 'pipelines_listed', 'pipelines_complete'],
    () => backfillAndDrift(database.db, scope),
    (all) => {
      for (const { slug, progress, unhealed, claim } of all) {
        const of = { organization: slug }
        if (progress !== undefined) meters.on('backfill_progress', progress, of)
        meters.on('drift_unhealed', unhealed, of)
        if (claim.as_of) meters.on('claim_age', age(claim.as_of), { ...of, object: 'builds' })
        if (claim.jobs_as_of) meters.on('claim_age', age(claim.jobs_as_of), { ...of, object: 'jobs' })
        meters.on('claim_exceptions', claim.exceptions, of)
        meters.on('pipelines_listed', claim.pipelines, of)
        meters.on('pipelines_complete', claim.pipelines_complete, of)
      }
    },
  )
  watch(
    ['work_failing', 'work_failing_oldest'],
    () => failingByKind(database.db, scope),
    (kinds) => {
      for (const { kind, count, since } of kinds) {
        meters.on('work_failing', count, { kind })
        if (since) meters.on('work_failing_oldest', age(since), { kind })
      }
    },
  )
  watch(
    ['findings'],
    () => checkFindings(database.db),
    (all) => {
      for (const { name, subject, result } of all) {
        if (result !== 'ok') meters.on('findings', 1, { name, subject, result })
      }
    },
  )
  watch(
    ['budget_left'],
    () => budgetsLeft(database.db, share, watched.clock()),
    (budgets) => {
      for (const { scope, left } of budgets) meters.on('budget_left', left, { scope })
    },
  )
  watch(
    ['rollup_days_waiting'],
    () => rollupDaysWaiting(database.db),
    (days) => meters.on('rollup_days_waiting', days),
  )
}

function countBy(values: readonly string[]): Map<string, number> {
  const counts = new Map<string, number>()
  for (const value of values) counts.set(value, (counts.get(value) ?? 0) + 1)
  return counts
}

async function rollupDaysWaiting(db: Db): Promise<number> {
  const { rows } = await db.execute<{ days: number }>(sql`select count(distinct day)::int as days from sync.stale_days`)
  return rows[0]?.days ?? 0
}
