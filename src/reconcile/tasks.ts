import type { Queues, ReconcileJob } from '../queue/queues.ts'
import type { RecordMetric } from '../runtime/record-metric.ts'
import { HOUR, MINUTE, monotonicBeside, pause, SECOND } from '../runtime/time.ts'
import { type Span, span } from '../runtime/tracing.ts'
import type { Access } from './access/access.ts'
import { discover } from './access/discover.ts'
import { auditSpan, runAudit } from './audit/audit.ts'
import { backfillOwed } from './backfill/backfill.ts'
import { interruptibly } from './backfill/pause.ts'
import { refusalOf } from './builds/build-writer.ts'
import type { ReconcileDeps, Source } from './context.ts'
import { type CycleReport, reconcileOnce } from './cycle/cycle.ts'
import { unstorable } from './issue.ts'
import type { IssueTracker } from './issue-tracker.ts'
import { followPipelines } from './pipelines/changes.ts'
import { refreshPipelines } from './pipelines/pipelines.ts'
import { readWatermark } from './progress/watermark.ts'
import { syncReferenceData } from './reference-data/sync.ts'

/** The dependencies of the queues' tasks. */
export interface TaskParts {
  readonly deps: ReconcileDeps
  readonly access: Access
  readonly queues: Queues
  readonly problems: IssueTracker
  /** How often a hot cycle runs, in milliseconds. */
  readonly hotEveryMs: number
  /** Organizations whose builds a long run updates now. */
  readonly following: Set<string>
}

/** After this time a backfill stops at the end of its window, so that the next organization can run. */
const BACKFILL_RUN = 5 * MINUTE
const FIRST_CYCLE_WAIT = MINUTE
/** After a scheduled list, builds of changed pipelines are updated for this long. No other task waits for it. */
const FOLLOWING_RUN = MINUTE
/** Fewer than the workers of the queue, so that cycles of other organizations do not wait. */
const FOLLOWING_AT_ONCE = 2

/** Runs a job of the queues `reconcile` and `backfill`. @throws BuildkiteError, StoreError, or the signal's reason. */
export function runTask(parts: TaskParts, job: ReconcileJob, signal: AbortSignal): Promise<void> {
  return span(parts.deps.tracing, `reconcile ${job.task}`, {}, (traced) => run(parts, job, traced, signal))
}

async function run(parts: TaskParts, job: ReconcileJob, traced: Span, signal: AbortSignal): Promise<void> {
  if (job.task === 'discover') return arrange(parts, signal)
  if (job.organization === undefined) return
  const source = await parts.access.source(job.organization, signal)
  if (!source) return dropUnlessInDoubt(parts, job, signal)
  traced.set({ organization: source.slug })
  if (job.task === 'pipelines') await listPipelines(parts, source, signal)
  else if (job.task === 'backfill') await backfill(parts, source, signal)
  else if (job.task === 'audit') await audit(parts, source, signal)
  else if (job.task === 'verify') await verifyAsked(parts.deps, source, job, signal)
  else if (job.task === 'dimensions') await syncReferenceData(parts.deps, source, signal)
  else await cycle(parts, source, job.task, traced, signal)
}

/** Checks what the tokens can read, and schedules the work for each organization. */
async function arrange(parts: TaskParts, signal: AbortSignal): Promise<void> {
  const discovery = await discover(parts.deps, parts.access, signal)
  parts.problems.replace('access', discovery.problems)
  await scheduleAll(parts, discovery.sources)
}

/** Schedules the work for each of `sources`. Idempotent; restores schedules that a queue has lost. @throws StoreError */
export async function scheduleAll({ queues, hotEveryMs }: TaskParts, sources: readonly Source[]): Promise<void> {
  for (const { id: organization } of sources) {
    await queues.schedule({ task: 'hot', organization }, hotEveryMs)
    await queues.schedule({ task: 'warm', organization }, HOUR)
    await queues.schedule({ task: 'pipelines', organization }, 5 * MINUTE)
    await queues.schedule({ task: 'backfill', organization }, MINUTE)
    await queues.schedule({ task: 'audit', organization }, 5 * MINUTE)
    await queues.schedule({ task: 'dimensions', organization }, 5 * MINUTE)
  }
}

/** Stops the schedule of an organization that no token sees any more, but not while a token did not answer. */
async function dropUnlessInDoubt({ access, queues }: TaskParts, job: ReconcileJob, signal: AbortSignal): Promise<void> {
  const { complete } = await access.current(signal)
  if (complete) await queues.unschedule(job)
}

async function listPipelines({ deps, following }: TaskParts, source: Source, signal: AbortSignal): Promise<void> {
  await refreshPipelines(deps, source, signal)
  if (following.size >= FOLLOWING_AT_ONCE || following.has(source.id)) return
  following.add(source.id)
  try {
    await followPipelines(deps, source, signal, FOLLOWING_RUN)
  } finally {
    following.delete(source.id)
  }
}

/** One run of the backfill. Manual verification interrupts it and goes first; the backfill continues after it. */
async function backfill({ deps, queues }: TaskParts, source: Source, signal: AbortSignal): Promise<void> {
  await firstCycle(deps, source, signal)
  const wanted = async () => (await queues.asked()).some(({ job, active }) => job.task === 'verify' && !active)
  const interrupted = await interruptibly(deps.db, source.id, signal, wanted, async (uninterrupted) => {
    const progress = await backfillOwed(deps, source, uninterrupted, { yieldAfterMs: BACKFILL_RUN })
    if (progress) deps.log.info(progress, 'Fetched history.')
  })
  if (interrupted === 'wanted') await queues.ask({ task: 'backfill', organization: source.id })
}

/** Audits the range that a person requested. Ignores a job without a valid range. */
async function verifyAsked(deps: ReconcileDeps, source: Source, job: ReconcileJob, signal: AbortSignal): Promise<void> {
  const span = { from: new Date(job.from ?? Number.NaN), to: new Date(job.to ?? Number.NaN) }
  if (span.from < span.to) await auditSpan(deps, source, span, signal)
}

/** Waits for the first cycle, which is scheduled at the same time: the backfill ends where that cycle began. */
async function firstCycle({ db, clock }: ReconcileDeps, source: Source, signal: AbortSignal): Promise<void> {
  const monotonic = monotonicBeside(clock)
  const until = monotonic() + FIRST_CYCLE_WAIT
  while (!signal.aborted && monotonic() < until && !(await readWatermark(db, source.id))?.watermark) {
    await pause(SECOND / 2, signal)
  }
}

async function audit({ deps }: TaskParts, source: Source, signal: AbortSignal): Promise<void> {
  await runAudit(deps, source, signal)
}

async function cycle(
  parts: TaskParts,
  source: Source,
  kind: 'hot' | 'warm',
  traced: Span,
  signal: AbortSignal,
): Promise<void> {
  const { deps, problems } = parts
  const report = await reconcileOnce(deps, source, kind, signal)
  if (!report) return
  deps.log.debug(report, 'Ran a cycle.')
  recordCycle(deps.record, report)
  const { requests, builds_read, builds_missing, builds_healed, jobs_missing, jobs_healed } = report
  traced.set({ requests, builds_read, builds_missing, builds_healed, jobs_missing, jobs_healed })
  const lost = builds_missing + builds_healed + jobs_missing + jobs_healed
  if (lost > 0) {
    const message =
      'Webhooks were lost: the API provided what they should have reported. See docs/operations/runbook.md#webhooks-lost.'
    deps.log.warn({ organization: source.slug, builds_missing, builds_healed, jobs_missing, jobs_healed }, message)
  }
  const refused = refusalOf(report.refused)
  const subject = `builds of ${source.slug}`
  problems.replace(`refused ${kind} ${source.slug}`, refused ? [unstorable(subject, refused)] : [])
}

function recordCycle(record: RecordMetric | undefined, report: CycleReport): void {
  const { kind, started_at, finished_at } = report
  record?.('cycles_total', 1, { kind })
  record?.('cycle_duration_seconds', (finished_at.getTime() - started_at.getTime()) / SECOND, { kind })
  const found = (object: 'build' | 'job', result: string, n: number) =>
    record?.('cycle_found_total', n, { kind, object, result })
  found('build', 'read', report.builds_read)
  found('build', 'absent', report.unlisted_read)
  found('build', 'refused', report.refused.length)
  for (const result of ['missing', 'healed', 'in_flight', 'completed', 'confirmed'] as const) {
    found('build', result, report[`builds_${result}`])
    found('job', result, report[`jobs_${result}`])
  }
}
