import { and, inArray, isNull } from 'drizzle-orm'
import type { Db, Transaction } from '../database/connection.ts'
import { asStoreError } from '../database/connection.ts'
import { agents, builds, jobs, organizations, pipelines, type Via } from '../database/schema.ts'
import type { RecordMetric } from '../runtime/record-metric.ts'
import { saveConnections } from './agent-connections.ts'
import { saveAttempts } from './attempts.ts'
import { eraseObserved } from './erased-people.ts'
import type { BuildRow, JobRow, Observation, Observations } from './observation.ts'
import {
  adoptByOrganizations,
  adoptByPipelines,
  resolveOrganizationIds,
  resolvePipelineIds,
  saveSlugs,
} from './places.ts'
import {
  buildResult,
  jobResult,
  newestDateOf,
  noResults,
  type ReadResult,
  type ReadResults,
  type WebhookProgress,
} from './read-result.ts'
import { agentRule, buildRule, jobRule, organizationRule, pipelineRule } from './rules.ts'
import { changedNow, type Merged, mergeTable, report, type TableReport } from './table.ts'

/** The result of a merge, by table. */
export interface MergeReport {
  organizations: TableReport
  pipelines: TableReport
  builds: TableReport
  jobs: TableReport
  agents: TableReport
  /** Objects without a usable id, which could not be mirrored. */
  unreadable: number
  /** Results of a REST read for builds and jobs; without `progress`, no webhooks are expected. */
  results: { builds: ReadResults; jobs: ReadResults }
}

/** SQLSTATEs after which a retry can succeed: deadlock and serialization failure. */
const CONFLICTS = new Set(['40P01', '40001'])
const TRIES = 6

/**
 * Merges observations into the mirror in one transaction. Idempotent: the same observations again change nothing. `now` is our clock.
 * @throws StoreError `transient` when the database is unavailable, `permanent` when it rejects a value.
 */
export async function applyObservations(
  db: Db,
  observed: Observations,
  now: Date,
  progress?: WebhookProgress,
): Promise<MergeReport> {
  const work = (tx: Transaction) => mergeObservations(tx, observed, now, progress)
  return inOneTransaction(db, 'merge observations into the mirror', work)
}

/**
 * Runs `work` in a transaction, and retries it after a deadlock. Each statement may take `timeoutMs`, if given.
 * @throws StoreError, with `doing` in its message.
 */
export async function inOneTransaction<T>(
  db: Db,
  doing: string,
  work: (tx: Transaction) => Promise<T>,
  timeoutMs?: number,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await (timeoutMs === undefined ? db.transaction(work) : db.transactionWithTimeout(timeoutMs, work))
    } catch (error) {
      const failure = asStoreError(error, doing)
      if (attempt >= TRIES || !CONFLICTS.has(failure.code ?? '')) throw failure
    }
  }
}

/** The merge itself, inside the caller's transaction. */
export async function mergeObservations(
  tx: Transaction,
  observed: Observations,
  now: Date,
  progress?: WebhookProgress,
): Promise<MergeReport> {
  await eraseObserved(tx, observed)
  const mergedOrganizations = await mergeTable(tx, organizations, organizationRule, observed.organizations, now)
  await resolveOrganizationIds(tx, observed)
  const mergedPipelines = await mergeTable(tx, pipelines, pipelineRule, observed.pipelines, now)
  await resolvePipelineIds(tx, observed)
  const mergedBuilds = await mergeTable(tx, builds, buildRule, observed.builds, now)
  await saveAttempts(tx, observed.builds, now)
  const mergedJobs = await mergeTable(tx, jobs, jobRule, observed.jobs, now)
  const mergedAgents = await mergeTable(tx, agents, agentRule, observed.agents, now)
  await saveConnections(tx, observed.agents, now)
  const newPlaces = { organizations: renamed(mergedOrganizations), pipelines: renamed(mergedPipelines) }
  await saveSlugs(tx, newPlaces, observed)
  await adoptByOrganizations(tx, newPlaces.organizations)
  await adoptByPipelines(tx, newPlaces.pipelines)
  return {
    organizations: report(mergedOrganizations),
    pipelines: report(mergedPipelines),
    builds: report(mergedBuilds),
    jobs: report(mergedJobs),
    agents: report(mergedAgents),
    unreadable: observed.unreadable,
    results: readResults(observed, mergedBuilds, mergedJobs, progress),
  }
}

/** Counts the results of a REST read for builds and jobs. Webhooks are not counted. */
function readResults(
  observed: Observations,
  mergedBuilds: readonly Merged<BuildRow>[],
  mergedJobs: readonly Merged<JobRow>[],
  progress: WebhookProgress | undefined,
): MergeReport['results'] {
  const readAt = (observations: readonly Observation<BuildRow | JobRow>[]) =>
    new Map(observations.flatMap(({ fields, at, via }) => (via === 'rest' ? [[fields.id, at]] : [])))
  const buildsReadAt = readAt(observed.builds)
  const jobsReadAt = readAt(observed.jobs)
  const newestJobs = new Map<string | null, Date>()
  for (const { fields } of progress ? observed.jobs : []) {
    const date = newestDateOf(fields)
    const known = newestJobs.get(fields.build_id ?? null)
    if (!known || known < date) newestJobs.set(fields.build_id ?? null, date)
  }
  return {
    builds: countResults(mergedBuilds, buildsReadAt, (row, at) =>
      buildResult(row, at, newestJobs.get(row.after.id), progress),
    ),
    jobs: countResults(mergedJobs, jobsReadAt, (row, at) => jobResult(row, at, progress)),
  }
}

function countResults<Row extends BuildRow | JobRow>(
  merged: readonly Merged<Row>[],
  readAt: ReadonlyMap<string, Date>,
  resultOf: (row: Merged<Row>, at: Date) => ReadResult,
): ReadResults {
  const counts = { ...noResults }
  for (const row of merged) {
    const at = readAt.get(row.after.id)
    if (at) counts[resultOf(row, at)]++
  }
  return counts
}

/** The rows that are new or have a new slug: earlier objects under that slug can now be placed. */
function renamed<Row extends { slug: string | null }>(merged: readonly Merged<Row>[]): Row[] {
  return merged
    .filter(({ before, after }) => after.slug !== null && before?.slug !== after.slug)
    .map(({ after }) => after)
}

/** Records what a committed merge wrote and skipped, by table. */
export function recordRows(record: RecordMetric | undefined, via: Via, report: MergeReport): void {
  for (const [table, { inserted, updated, verified, unchanged }] of Object.entries(tablesOf(report))) {
    record?.('rows_total', inserted, { table, via, result: 'inserted' })
    record?.('rows_total', updated, { table, via, result: 'updated' })
    record?.('rows_total', verified, { table, via, result: 'verified' })
    record?.('rows_total', unchanged, { table, via, result: 'skipped' })
  }
}

/** The numbers of a merge for a trace: rows written and skipped. */
export function rowsOfReport(report: MergeReport): Record<string, number> {
  const all = Object.values(tablesOf(report))
  const sum = (of: (table: TableReport) => number) => all.reduce((total, table) => total + of(table), 0)
  return {
    'rows.written': sum((one) => one.inserted + one.updated + one.verified),
    'rows.skipped': sum((one) => one.unchanged),
  }
}

function tablesOf({ organizations, pipelines, builds, jobs, agents }: MergeReport): Record<string, TableReport> {
  return { organizations, pipelines, builds, jobs, agents }
}

const markable = { organizations, pipelines, builds, jobs }

/**
 * Marks rows as gone from Buildkite since `at` (on Buildkite's clock), with the reason. Rows are not removed, and a later observation
 * clears the mark. A row that is already marked keeps its mark. @throws the driver's error.
 */
export async function markDeleted(
  db: Db | Transaction,
  table: keyof typeof markable,
  ids: readonly string[],
  reason: string,
  at: Date,
): Promise<void> {
  if (ids.length === 0) return
  const target = markable[table]
  await db
    .update(target)
    .set({ deleted_at: at, deleted_reason: reason, changed_at: changedNow })
    .where(and(inArray(target.id, [...ids]), isNull(target.deleted_at)))
}
