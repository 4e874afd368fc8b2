import type { BuildkiteClient } from '../buildkite/client.ts'
import type { Config } from '../config.ts'
import type { Db } from '../database/connection.ts'
import type { Log } from '../log.ts'
import { applyObservations, type MergeReport, rowsOfReport, tellRows } from '../mirror/apply.ts'
import type { Observations } from '../mirror/observation.ts'
import type { OnOccurrence } from '../occurrence.ts'
import { inScope, type Scope } from '../scope.ts'
import type { Clock } from '../time.ts'
import { span, type Tracing } from '../tracing.ts'

/** What every piece of reconciling works with. */
export interface ReconcileDeps {
  readonly db: Db
  readonly log: Log
  /** Told of what is found and written. */
  readonly on?: OnOccurrence | undefined
  readonly tracing?: Tracing | undefined
  readonly clock: Clock
  /** Which organizations and pipelines are to be mirrored. */
  readonly scope: Scope
  /** Whether env, pipeline configuration and steps are kept. */
  readonly storeEnv: boolean
  /** Whether the annotations, and the artifacts' names, of finished builds are fetched. */
  readonly storeAnnotations: boolean
  readonly storeArtifacts: boolean
  /** How many days of history are wanted. */
  readonly backfillDays: number
}

/** An organization, and the client by which it can be read. */
export interface Source {
  /** Buildkite's UUID. */
  readonly id: string
  readonly slug: string
  readonly client: BuildkiteClient
}

/** The settings that reconciling goes by. */
export type ReconcileConfig = Pick<
  Config,
  | 'apiTokens'
  | 'apiUrl'
  | 'httpsProxy'
  | 'noProxy'
  | 'apiBudgetShare'
  | 'organizations'
  | 'pipelinesInclude'
  | 'pipelinesExclude'
  | 'storeEnv'
  | 'storeAnnotations'
  | 'storeArtifacts'
  | 'backfillDays'
  | 'reconcileIntervalMs'
>

/** What reconciling works with, made from the configuration. */
export function reconcileDeps(
  config: ReconcileConfig,
  db: Db,
  log: Log,
  clock: Clock,
  watched: Pick<ReconcileDeps, 'on' | 'tracing'> = {},
): ReconcileDeps {
  const { storeEnv, storeAnnotations, storeArtifacts, backfillDays } = config
  return {
    ...watched,
    db,
    log,
    clock,
    scope: inScope(config),
    storeEnv,
    storeAnnotations,
    storeArtifacts,
    backfillDays,
  }
}

/** Merges what REST told into the mirror, and tells of the rows. @throws StoreError */
export function keepObserved({ db, clock, on, tracing }: ReconcileDeps, observed: Observations): Promise<MergeReport> {
  return span(tracing, 'merge', { via: 'rest' }, async (traced) => {
    const report = await applyObservations(db, observed, new Date(clock()))
    tellRows(on, 'rest', report)
    traced.set(rowsOfReport(report))
    return report
  })
}
