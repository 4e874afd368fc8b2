import type { BuildkiteClient } from '../buildkite/client.ts'
import type { Db } from '../database/connection.ts'
import { applyObservations, type MergeReport, recordRows, rowsOfReport } from '../mirror/apply.ts'
import type { Observations } from '../mirror/observation.ts'
import type { WebhookProgress } from '../mirror/read-result.ts'
import type { Config } from '../runtime/config.ts'
import type { Log } from '../runtime/log.ts'
import type { RecordMetric } from '../runtime/record-metric.ts'
import { type MirrorFilter, type MirrorFilterConfig, mirrorFilter } from '../runtime/scope.ts'
import type { Clock } from '../runtime/time.ts'
import { span, type Tracing } from '../runtime/tracing.ts'
import type { AccessConfig } from './access/access.ts'

/** What is stored, and how many days of history are read. */
type StoreConfig = Pick<Config, 'storeEnv' | 'storeAnnotations' | 'storeArtifacts' | 'backfillDays'>

/** The dependencies of all reconciliation. */
export interface ReconcileDeps extends StoreConfig {
  readonly db: Db
  readonly log: Log
  /** Receives what is found and written, for metrics. */
  readonly record?: RecordMetric | undefined
  readonly tracing?: Tracing | undefined
  readonly clock: Clock
  /** Which organizations and pipelines are mirrored. */
  readonly filter: MirrorFilter
  /** Whether the queue holds deliveries that Postgres did not accept. Without it, none are assumed. */
  readonly holdsDiverted?: (() => Promise<boolean>) | undefined
  /** Batch sizes after a batch of `pipelines/changes.ts` failed, by subject; they last as long as the process. */
  readonly batchSizes?: Map<string, number>
}

/** An organization, and the client that can read it. */
export interface Source {
  /** Buildkite's UUID. */
  readonly id: string
  readonly slug: string
  readonly client: BuildkiteClient
}

/** Buildkite's time, or ours before its first answer. */
export function presentOf({ clock }: Pick<ReconcileDeps, 'clock'>, { client }: Source): Date {
  return client.now() ?? new Date(clock())
}

/** An upper bound on Buildkite's clock for when the response to a request sent at `at` arrived. */
export function answeredBy({ client }: Source, at: Date): Date {
  return new Date(Math.max(at.getTime(), client.now()?.getTime() ?? 0))
}

/** The settings that reconciliation uses. */
export type ReconcileConfig = AccessConfig &
  MirrorFilterConfig &
  StoreConfig &
  Pick<Config, 'apiBudgetShare' | 'reconcileIntervalMs'>

/** Creates the dependencies from the configuration. */
export function reconcileDeps(
  config: ReconcileConfig,
  db: Db,
  log: Log,
  clock: Clock,
  watched: Pick<ReconcileDeps, 'record' | 'tracing' | 'holdsDiverted'> = {},
): ReconcileDeps {
  const { storeEnv, storeAnnotations, storeArtifacts, backfillDays } = config
  const stored = { storeEnv, storeAnnotations, storeArtifacts, backfillDays }
  return { ...watched, ...stored, batchSizes: new Map(), db, log, clock, filter: mirrorFilter(config) }
}

/**
 * Merges REST observations into the mirror and records the result of each row. `progress` decides which differences count as lost.
 * @throws StoreError
 */
export function keepObserved(
  { db, clock, record, tracing }: ReconcileDeps,
  observed: Observations,
  progress?: WebhookProgress,
): Promise<MergeReport> {
  return span(tracing, 'merge', { via: 'rest' }, async (traced) => {
    const report = await applyObservations(db, observed, new Date(clock()), progress)
    recordRows(record, 'rest', report)
    traced.set(rowsOfReport(report))
    return report
  })
}
