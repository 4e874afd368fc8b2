import type { BudgetLeft } from '../../buildkite/http/budget.ts'
import type { OrganizationCoverage } from '../../coverage/coverage.ts'
import { type FailingWork, failingWork } from '../../coverage/failing-work.ts'
import { type ManualJob, type QueueDepth, warningText } from '../../queue/queues.ts'
import { budgetsLeft } from '../../reconcile/access/rate-limit-store.ts'
import type { Issue } from '../../reconcile/issue.ts'
import type { Role } from '../../runtime/config.ts'
import { SECOND } from '../../runtime/time.ts'
import { programVersion } from '../../runtime/version.ts'
import { type HealthReason, type HealthStatus, readiness } from './health.ts'
import { ask, type InboxFigures, inboxFigures, type Probe, type Probes, type Watched } from './probes.ts'
import { type CheckFinding, checkFindings, failedDeliveries, recentDrift } from './recent-issues.ts'
import type { DayPart } from './webhook-day.ts'
import { type Flow, webhookFlow } from './webhook-throughput.ts'

/** The answer of `/status`. A part that could not be read in time is null, and `reasons` says why. It never holds a secret. */
export interface Status {
  version: string
  status: HealthStatus
  reasons: readonly HealthReason[]
  roles: readonly Role[]
  started_at: string
  uptime_seconds: number
  database: { kind: 'external' | 'embedded'; ok: boolean; pending_migrations: number | null }
  queue: {
    backend: 'redis' | 'postgres'
    ok: boolean
    warnings: readonly string[]
    depth: Record<string, QueueDepth> | null
  }
  webhooks: { on: boolean; auth: string; why: string | null }
  reconciler: { on: boolean; why: string | null; interval_seconds: number }
  deliveries: InboxFigures | null
  organizations: readonly OrganizationCoverage[] | null
  problems: readonly Issue[]
  /** The webhooks of the last hour, and how soon they were applied. */
  flow: Flow | null
  /** The webhooks of the last 24 hours, in parts of 15 minutes, oldest first. */
  webhook_day: readonly DayPart[] | null
  /** The newest deliveries that could not be applied. */
  failed_deliveries: Awaited<ReturnType<typeof failedDeliveries>> | null
  /** Failing work that is retried with back-off; oldest failure first, at most 50. */
  failing: FailingWork | null
  /** The budgets that are left of Buildkite's rate limits, by scope. */
  budgets: readonly BudgetLeft[] | null
  /** The differences found last. */
  recent_drift: Awaited<ReturnType<typeof recentDrift>> | null
  /** The results of the service's last hourly check, worst first. */
  findings: readonly CheckFinding[] | null
  /** Jobs that people requested and the reconciler has not completed. */
  asked: readonly ManualJob[] | null
  /** When this status was read. */
  read_at: Date
}

const startedAt = Date.now() - process.uptime() * SECOND

/** Longer than the default, because organizations are read one after another. */
const COVERAGE_TIMEOUT = 5 * SECOND
/** Longer than one call reads, with its last query. */
const DAY_TIMEOUT = 3 * SECOND

/** Reads the whole status. It takes seconds at most, even when stores do not answer. */
export async function readStatus(watched: Watched, facts: Probes): Promise<Status> {
  const { config, clock } = watched
  const { db } = watched.database
  const now = clock()
  const [depth, asked, inbox, coverage, flow, day, failed, failing, budgets, drift, findings] = await Promise.all([
    ask('The queue', () => watched.queues.depth()),
    ask('The queue', () => watched.queues.asked()),
    ask('The inbox', () => inboxFigures(db, now)),
    ask('The coverage', () => watched.coverage(), COVERAGE_TIMEOUT),
    ask('The inbox', () => webhookFlow(db, now)),
    ask('The inbox', () => watched.webhookDay(), DAY_TIMEOUT),
    ask('The inbox', () => failedDeliveries(db)),
    ask('The database', () => failingWork(db, watched.filter, new Date(now))),
    ask('The database', () => budgetsLeft(db, config.apiBudgetShare, now)),
    ask('The database', () => recentDrift(db)),
    ask('The database', () => checkFindings(db)),
  ])
  // An unavailable queue is already among the reasons; these timeouts are not the cause.
  const queueAnswers = facts.queue.ok ? [depth, asked] : []
  const answers = [...queueAnswers, inbox, coverage, flow, day, failed, failing, budgets, drift, findings]
  const { status, reasons } = readiness(facts)
  return {
    version: programVersion(),
    status,
    reasons: distinct([...reasons, ...answers.flatMap(whyNot)]),
    roles: [...config.roles],
    started_at: new Date(startedAt).toISOString(),
    uptime_seconds: Math.round((clock() - startedAt) / SECOND),
    database: {
      kind: watched.databaseKind,
      ok: facts.database.ok,
      pending_migrations: facts.database.ok ? facts.database.value : null,
    },
    queue: {
      backend: watched.queues.backend,
      ok: facts.queue.ok,
      warnings: facts.queue.ok ? facts.queue.value.map(warningText) : [],
      depth: valueOrNull(depth),
    },
    webhooks: webhooksStatus(config),
    reconciler: reconcilerStatus(config),
    deliveries: valueOrNull(inbox),
    organizations: valueOrNull(coverage),
    problems: facts.problems,
    flow: valueOrNull(flow),
    webhook_day: valueOrNull(day),
    failed_deliveries: valueOrNull(failed),
    failing: valueOrNull(failing),
    budgets: valueOrNull(budgets),
    recent_drift: valueOrNull(drift),
    findings: valueOrNull(findings),
    asked: valueOrNull(asked),
    read_at: new Date(now),
  }
}

const valueOrNull = <T>(answer: Probe<T>): T | null => (answer.ok ? answer.value : null)
const whyNot = (answer: Probe<unknown>): HealthReason[] => (answer.ok ? [] : [{ code: 'unknown', text: answer.why }])

/** Removes reasons with the same text: several tasks may meet the same problem. */
function distinct(reasons: readonly HealthReason[]): HealthReason[] {
  return reasons.filter(({ text }, index) => reasons.findIndex((one) => one.text === text) === index)
}

function webhooksStatus(config: Watched['config']): Status['webhooks'] {
  const why = !config.roles.has('web')
    ? 'ROLES does not name web.'
    : config.webhookSecrets.length === 0
      ? 'WEBHOOK_SECRET is not set: the service answers webhooks with 503.'
      : null
  return { on: why === null, auth: config.webhookAuth, why }
}

function reconcilerStatus(config: Watched['config']): Status['reconciler'] {
  const why = !config.roles.has('reconciler')
    ? 'ROLES does not name reconciler.'
    : config.apiTokens.length === 0
      ? 'BUILDKITE_API_TOKEN is not set: the service does not read the API, and data that webhooks miss stays missing.'
      : null
  return { on: why === null, why, interval_seconds: config.reconcileIntervalMs / SECOND }
}
