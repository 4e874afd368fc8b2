import { sql } from 'drizzle-orm'
import { backfillAndDrift } from '../../coverage/coverage.ts'
import { failingByKind } from '../../coverage/failing-work.ts'
import type { Db } from '../../database/connection.ts'
import { budgetsLeft } from '../../reconcile/access/rate-limit-store.ts'
import { SECOND } from '../../runtime/time.ts'
import {
  ask,
  lastReceived,
  oldestPending,
  type Probe,
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
      const answer: Probe<T> = await ask('The database', question)
      for (const gauge of gauges) meters.forget(gauge)
      if (answer.ok) show(answer.value)
    })
  const age = (time: Date) => Math.max(0, clock() - time.getTime()) / SECOND

  meters.onScrape(async () => {
    const up = await ask('The database', () => database.ping())
    meters.record('store_up', up.ok ? 1 : 0, { store: 'database' })
  })
  meters.onScrape(async () => {
    const depth = await ask('The queue', () => queues.depth())
    meters.record('store_up', depth.ok ? 1 : 0, { store: 'queue' })
    meters.forget('queue_jobs')
    if (!depth.ok) return
    for (const [queue, counts] of Object.entries(depth.value)) {
      for (const [state, n] of Object.entries(counts)) meters.record('queue_jobs', n, { queue, state })
    }
  })
  meters.onScrape(async () => {
    meters.record('reconcile_interval_seconds', watched.config.reconcileIntervalMs / SECOND)
    meters.forget('worker_stalled_seconds')
    const progress = watched.workers.map((worker) => worker.lastProgressAt)
    if (progress.length > 0) meters.record('worker_stalled_seconds', age(new Date(Math.min(...progress))))
    meters.forget('problems')
    for (const [code, n] of countBy(watched.problems().map((problem) => problem.code)))
      meters.record('problems', n, { code })
  })
  watch(
    ['deliveries_pending', 'deliveries_failed'],
    () => pendingAndFailed(database.db),
    ({ pending, failed }) => {
      meters.record('deliveries_pending', pending)
      meters.record('deliveries_failed', failed)
    },
  )
  watch(
    ['deliveries_oldest_pending_seconds'],
    () => oldestPending(database.db),
    (oldest) => {
      meters.record('deliveries_oldest_pending_seconds', oldest ? age(oldest) : 0)
    },
  )
  watch(
    ['deliveries_last_received_age_seconds'],
    () => lastReceived(database.db),
    (last) => {
      if (last) meters.record('deliveries_last_received_age_seconds', age(last))
    },
  )
  watch(
    ['watermark_age_seconds'],
    () => watermarksBySlug(database.db, scope),
    (marks) => {
      for (const { slug, watermark } of marks)
        meters.record('watermark_age_seconds', age(watermark), { organization: slug })
    },
  )
  watch(
    [
      'backfill_progress_ratio',
      'drift_unhealed',
      'claim_age_seconds',
      'claim_exceptions',
      'pipelines_listed',
      'pipelines_complete',
    ],
    () => backfillAndDrift(database.db, scope),
    (all) => {
      for (const { slug, progress, unhealed, claim } of all) {
        const of = { organization: slug }
        if (progress !== undefined) meters.record('backfill_progress_ratio', progress, of)
        meters.record('drift_unhealed', unhealed, of)
        if (claim.as_of) meters.record('claim_age_seconds', age(claim.as_of), { ...of, object: 'builds' })
        if (claim.jobs_as_of) meters.record('claim_age_seconds', age(claim.jobs_as_of), { ...of, object: 'jobs' })
        meters.record('claim_exceptions', claim.exceptions, of)
        meters.record('pipelines_listed', claim.pipelines, of)
        meters.record('pipelines_complete', claim.pipelines_complete, of)
      }
    },
  )
  watch(
    ['work_failing', 'work_failing_oldest_seconds'],
    () => failingByKind(database.db, scope),
    (kinds) => {
      for (const { kind, count, since } of kinds) {
        meters.record('work_failing', count, { kind })
        if (since) meters.record('work_failing_oldest_seconds', age(since), { kind })
      }
    },
  )
  watch(
    ['findings'],
    () => checkFindings(database.db),
    (all) => {
      for (const { name, subject, result } of all) {
        if (result !== 'ok') meters.record('findings', 1, { name, subject, result })
      }
    },
  )
  watch(
    ['api_budget_left'],
    () => budgetsLeft(database.db, share, watched.clock()),
    (budgets) => {
      for (const { scope, left } of budgets) meters.record('api_budget_left', left, { scope })
    },
  )
  watch(
    ['rollup_days_waiting'],
    () => rollupDaysWaiting(database.db),
    (days) => meters.record('rollup_days_waiting', days),
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
