import { sql } from 'drizzle-orm'
import { backfillAndDrift } from '../../coverage/coverage.ts'
import { failingByKind } from '../../coverage/failing-work.ts'
import type { Db } from '../../database/connection.ts'
import { budgetsLeft } from '../../reconcile/access/rate-limit-store.ts'
import { SECOND } from '../../runtime/time.ts'
import { ask, lastReceived, oldestPending, pendingAndFailed, type Watched, watermarksBySlug } from '../status/probes.ts'
import { checkFindings } from '../status/recent-issues.ts'
import type { MetricName } from './definitions.ts'
import type { CountedHistogram, MeterLabels, Meters } from './registry.ts'

/**
 * Sets the gauges at every scrape: stores, queue, inbox and completeness. Each query reads only a few rows or an index, whatever the
 * mirror's size. Sources that do not answer within a second are left out.
 */
export function watchGauges(meters: Meters, watched: Watched): void {
  const gauges = new Gauges(meters, watched)
  gauges.watchStores()
  gauges.watchProcess()
  gauges.watchInbox()
  gauges.watchOrganizations()
  gauges.watchWork()
  gauges.watchQueues()
}

class Gauges {
  readonly #meters: Meters
  readonly #watched: Watched

  constructor(meters: Meters, watched: Watched) {
    this.#meters = meters
    this.#watched = watched
  }

  watchStores(): void {
    const { database, queues } = this.#watched
    const meters = this.#meters
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
  }

  watchProcess(): void {
    const watched = this.#watched
    const meters = this.#meters
    meters.onScrape(async () => {
      meters.record('reconcile_interval_seconds', watched.config.reconcileIntervalMs / SECOND)
      meters.forget('worker_stalled_seconds')
      const progress = watched.workers.map((worker) => worker.lastProgressAt)
      if (progress.length > 0) this.#recordAge('worker_stalled_seconds', new Date(Math.min(...progress)))
      meters.forget('problems')
      for (const [code, n] of countBy(watched.problems().map(({ code }) => code)))
        meters.record('problems', n, { code })
    })
  }

  watchInbox(): void {
    this.#watch(['deliveries_pending', 'deliveries_failed'], pendingAndFailed, ({ pending, failed }) => {
      this.#meters.record('deliveries_pending', pending)
      this.#meters.record('deliveries_failed', failed)
    })
    this.#watch(['deliveries_oldest_pending_seconds'], oldestPending, (oldest) => {
      if (oldest) this.#recordAge('deliveries_oldest_pending_seconds', oldest)
      else this.#meters.record('deliveries_oldest_pending_seconds', 0)
    })
    this.#watch(['deliveries_last_received_age_seconds'], lastReceived, (last) => {
      if (last) this.#recordAge('deliveries_last_received_age_seconds', last)
    })
  }

  watchOrganizations(): void {
    const { filter } = this.#watched
    this.#watch(
      ['watermark_age_seconds'],
      (db) => watermarksBySlug(db, filter),
      (marks) => {
        for (const { slug, watermark } of marks)
          this.#recordAge('watermark_age_seconds', watermark, { organization: slug })
      },
    )
    this.#watch(
      [
        'backfill_progress_ratio',
        'drift_unhealed',
        'claim_age_seconds',
        'claim_exceptions',
        'pipelines_listed',
        'pipelines_complete',
      ],
      (db) => backfillAndDrift(db, filter),
      (all) => {
        for (const { slug, progress, unhealed, claim } of all) {
          const of = { organization: slug }
          if (progress !== undefined) this.#meters.record('backfill_progress_ratio', progress, of)
          this.#meters.record('drift_unhealed', unhealed, of)
          if (claim.as_of) this.#recordAge('claim_age_seconds', claim.as_of, { ...of, object: 'builds' })
          if (claim.jobs_as_of) this.#recordAge('claim_age_seconds', claim.jobs_as_of, { ...of, object: 'jobs' })
          this.#meters.record('claim_exceptions', claim.exceptions, of)
          this.#meters.record('pipelines_listed', claim.pipelines, of)
          this.#meters.record('pipelines_complete', claim.pipelines_complete, of)
        }
      },
    )
  }

  /** Failing work, the findings of the last check, what is left of the rate limits, and waiting totals. */
  watchWork(): void {
    const { filter, config, clock } = this.#watched
    this.#watch(
      ['work_failing', 'work_failing_oldest_seconds'],
      (db) => failingByKind(db, filter),
      (kinds) => {
        for (const { kind, count, since } of kinds) {
          this.#meters.record('work_failing', count, { kind })
          if (since) this.#recordAge('work_failing_oldest_seconds', since, { kind })
        }
      },
    )
    this.#watch(['findings'], checkFindings, (all) => {
      for (const { name, subject, result } of all) {
        if (result !== 'ok') this.#meters.record('findings', 1, { name, subject, result })
      }
    })
    this.#watch(
      ['api_budget_left'],
      (db) => budgetsLeft(db, config.apiBudgetShare, clock()),
      (budgets) => {
        for (const { scope, left } of budgets) this.#meters.record('api_budget_left', left, { scope })
      },
    )
    this.#watch(['rollup_days_waiting'], rollupDaysWaiting, (days) => this.#meters.record('rollup_days_waiting', days))
  }

  /** Buildkite's queues, and the histograms of their jobs. */
  watchQueues(): void {
    this.#watch(
      ['queue_waiting', 'queue_oldest_wait_seconds', 'queue_running', 'queue_agents'],
      readQueues,
      (queues) => {
        for (const { organization, cluster, queue, ...now } of queues) {
          const of = { organization, cluster, queue }
          this.#meters.record('queue_waiting', now.waiting, of)
          this.#meters.record('queue_oldest_wait_seconds', now.oldest_wait_seconds, of)
          this.#meters.record('queue_running', now.running, of)
          this.#meters.record('queue_agents', now.agents_busy, { ...of, state: 'busy' })
          this.#meters.record('queue_agents', now.agents_idle, { ...of, state: 'idle' })
        }
      },
    )
    this.#watch(['job_wait_seconds', 'job_run_seconds'], readHistograms, ({ wait, run }) => {
      this.#meters.show('job_wait_seconds', wait)
      this.#meters.show('job_run_seconds', run)
    })
  }

  /** Reads the database at each scrape and shows the result. If it does not answer, shows none of `gauges`. */
  #watch<T>(gauges: readonly MetricName[], read: (db: Db) => Promise<T>, show: (value: T) => void): void {
    this.#meters.onScrape(async () => {
      const answer = await ask('The database', () => read(this.#watched.database.db))
      for (const gauge of gauges) this.#meters.forget(gauge)
      if (answer.ok) show(answer.value)
    })
  }

  #recordAge(gauge: MetricName, since: Date, labels?: MeterLabels): void {
    this.#meters.record(gauge, Math.max(0, this.#watched.clock() - since.getTime()) / SECOND, labels)
  }
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

type QueueGauges = {
  organization: string
  cluster: string
  queue: string
  waiting: number
  oldest_wait_seconds: number
  running: number
  agents_busy: number
  agents_idle: number
}

async function readQueues(db: Db): Promise<QueueGauges[]> {
  return (await db.execute<QueueGauges>(sql`select * from sync.queue_gauges`)).rows
}

type Bucket = {
  organization: string
  cluster: string
  queue: string
  measure: string
  bucket: number | null
  jobs: string
  seconds: number
}

async function readHistograms(db: Db): Promise<{ wait: CountedHistogram[]; run: CountedHistogram[] }> {
  const { rows } = await db.execute<Bucket>(sql`select * from sync.job_histograms`)
  const of = (wanted: string) => {
    const series = new Map<string, { labels: Record<string, string>; buckets: Map<number, number>; sum: number }>()
    for (const { organization, cluster, queue, measure, bucket, jobs, seconds } of rows) {
      if (measure !== wanted) continue
      const key = JSON.stringify([organization, cluster, queue])
      const one = series.get(key) ?? { labels: { organization, cluster, queue }, buckets: new Map(), sum: 0 }
      if (bucket !== null) one.buckets.set(bucket, Number(jobs))
      one.sum += seconds
      series.set(key, one)
    }
    return [...series.values()]
  }
  return { wait: of('wait'), run: of('run') }
}
