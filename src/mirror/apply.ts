import { and, inArray, isNull } from 'drizzle-orm'
import type { Db, Transaction } from '../database/connection.ts'
import { asStoreError } from '../database/connection.ts'
import { agents, builds, jobs, organizations, pipelines, type Via } from '../database/schema.ts'
import type { OnOccurrence } from '../occurrence.ts'
import { keepAttempts } from './attempts.ts'
import type { Observations } from './observation.ts'
import { adoptByOrganizations, adoptByPipelines, keepSlugs, placeInOrganizations, placeInPipelines } from './places.ts'
import { agentRule, buildRule, jobRule, organizationRule, pipelineRule } from './rules.ts'
import { type Merged, mergeTable, report, type TableReport } from './table.ts'

/** What a merge did, by table. */
export interface MergeReport {
  organizations: TableReport
  pipelines: TableReport
  builds: TableReport
  jobs: TableReport
  agents: TableReport
  /** Objects without a usable id, of which nothing could be mirrored. */
  unreadable: number
}

/** SQLSTATEs that say "try the same again": deadlock and serialization failure. */
const CONFLICTS = new Set(['40P01', '40001'])
const TRIES = 6

/**
 * Merges observations into the mirror in one transaction, whole or not at all. Idempotent: the same observations again change
 * nothing. `now` is our clock.
 * @throws StoreError `transient` when the database is away, `permanent` when it refuses a value.
 */
export async function applyObservations(db: Db, observed: Observations, now: Date): Promise<MergeReport> {
  return inOneTransaction(db, 'merge observations into the mirror', (tx) => mergeObservations(tx, observed, now))
}

/**
 * Runs `work` in a transaction, again when it met a deadlock; its statements may take `timeoutMs` each, where it is given.
 * @throws StoreError, saying that we could not do `doing`.
 */
export async function inOneTransaction<T>(
  db: Db,
  doing: string,
  work: (tx: Transaction) => Promise<T>,
  timeoutMs?: number,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await (timeoutMs === undefined ? db.transaction(work) : db.patiently(timeoutMs, work))
    } catch (error) {
      const failure = asStoreError(error, doing)
      if (attempt >= TRIES || !CONFLICTS.has(failure.code ?? '')) throw failure
    }
  }
}

/** The merge itself, inside the caller's transaction. */
export async function mergeObservations(tx: Transaction, observed: Observations, now: Date): Promise<MergeReport> {
  const mergedOrganizations = await mergeTable(tx, organizations, organizationRule, observed.organizations, now)
  await placeInOrganizations(tx, observed)
  const mergedPipelines = await mergeTable(tx, pipelines, pipelineRule, observed.pipelines, now)
  await placeInPipelines(tx, observed)
  const mergedBuilds = await mergeTable(tx, builds, buildRule, observed.builds, now)
  await keepAttempts(tx, observed.builds, now)
  const mergedJobs = await mergeTable(tx, jobs, jobRule, observed.jobs, now)
  const mergedAgents = await mergeTable(tx, agents, agentRule, observed.agents, now)
  const newPlaces = { organizations: renamed(mergedOrganizations), pipelines: renamed(mergedPipelines) }
  await keepSlugs(tx, newPlaces, observed)
  await adoptByOrganizations(tx, newPlaces.organizations, now)
  await adoptByPipelines(tx, newPlaces.pipelines, now)
  return {
    organizations: report(mergedOrganizations),
    pipelines: report(mergedPipelines),
    builds: report(mergedBuilds),
    jobs: report(mergedJobs),
    agents: report(mergedAgents),
    unreadable: observed.unreadable,
  }
}

/** The rows that are new or have a new slug: what arrived under that slug before them can now be placed. */
function renamed<Row extends { slug: string | null }>(merged: readonly Merged<Row>[]): Row[] {
  return merged
    .filter(({ before, after }) => after.slug !== null && before?.slug !== after.slug)
    .map(({ after }) => after)
}

/** Tells what a committed merge wrote and what it passed over, by table. */
export function tellRows(on: OnOccurrence | undefined, via: Via, { unreadable: _, ...tables }: MergeReport): void {
  for (const [table, { inserted, updated, unchanged }] of Object.entries(tables)) {
    on?.('rows', inserted, { table, via, result: 'inserted' })
    on?.('rows', updated, { table, via, result: 'updated' })
    on?.('rows', unchanged, { table, via, result: 'skipped' })
  }
}

/** A merge in figures, for a trace: rows written and skipped. */
export function rowsOfReport({ unreadable: _, ...tables }: MergeReport): Record<string, number> {
  const all = Object.values(tables)
  const sum = (of: (table: TableReport) => number) => all.reduce((total, table) => total + of(table), 0)
  return { 'rows.written': sum((one) => one.inserted + one.updated), 'rows.skipped': sum((one) => one.unchanged) }
}

const markable = { organizations, pipelines, builds, jobs }

/**
 * Marks rows as gone from Buildkite since `at` (on Buildkite's clock), with the reason; they stay, and a later sight of one unmarks
 * it. Rows marked already keep their mark. @throws the driver's error.
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
    .set({ deleted_at: at, deleted_reason: reason, changed_at: new Date() })
    .where(and(inArray(target.id, [...ids]), isNull(target.deleted_at)))
}
