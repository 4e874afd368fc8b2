import type { Occurrence } from '../occurrence.ts'

/** One metric, as Prometheus and docs/metrics.md show it. */
export interface Metric {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  /** The name after {@link PREFIX}. Released names do not change. */
  readonly name: string
  /** What the value counts. */
  readonly unit: string
  readonly help: string
  /** Each label with its possible values. */
  readonly labels: Readonly<Record<string, string>>
  readonly buckets?: readonly number[]
  /** Series that exist from the start, at 0. Prometheus misses the first increase of a series that appears with the value 1. */
  readonly begins?: readonly Readonly<Record<string, string>>[]
}

export const PREFIX = 'buildkite_mirror_'

const organization = "the organization's slug"
const cycleKind = 'hot (each RECONCILE_INTERVAL), warm (hourly)'
const failureKind =
  'build, builds_list, pipelines_list, window, delivery, orphans, pipeline_change, rollup_day, replica (lost its lease)'
const scope = 'user:(fingerprint of the token or of its user), organization:(slug)'

/** Metrics that the code records as things happen. */
const recorded: Readonly<Record<Occurrence, Metric>> = {
  answered: {
    kind: 'counter',
    name: 'webhook_requests_total',
    unit: 'requests',
    help: 'Webhook requests, by the HTTP status of the answer.',
    labels: { status: 'HTTP status; off for the 503 of a receiver without WEBHOOK_SECRET' },
    begins: [{ status: '202' }, { status: '401' }, { status: '503' }],
  },
  answer_seconds: {
    kind: 'histogram',
    name: 'webhook_answer_seconds',
    unit: 'seconds',
    help: 'Accept latency: from the arrival of a webhook request to its answer.',
    labels: {},
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  },
  kept: {
    kind: 'counter',
    name: 'deliveries_kept_total',
    unit: 'deliveries',
    help: 'Deliveries stored for the first time, by store (postgres, or queue while Postgres was unavailable).',
    labels: { via: 'postgres, queue' },
    begins: [{ via: 'postgres' }, { via: 'queue' }],
  },
  duplicate: {
    kind: 'counter',
    name: 'deliveries_duplicate_total',
    unit: 'deliveries',
    help: 'Deliveries that were already stored.',
    labels: {},
  },
  settled: {
    kind: 'counter',
    name: 'deliveries_settled_total',
    unit: 'deliveries',
    help: 'Deliveries that the worker finished, by outcome and event.',
    labels: { status: 'applied, ignored, failed', event: "Buildkite's name of the event, such as build.finished" },
  },
  apply_seconds: {
    kind: 'histogram',
    name: 'delivery_apply_seconds',
    unit: 'seconds',
    help: 'Apply latency: from the receipt of a delivery to the commit of its rows.',
    labels: {},
    buckets: [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
  },
  swept: {
    kind: 'counter',
    name: 'deliveries_swept_total',
    unit: 'deliveries',
    help: 'Deliveries enqueued again because their job was lost or never created.',
    labels: {},
  },
  rows: {
    kind: 'counter',
    name: 'rows_total',
    unit: 'rows',
    help: 'Rows of committed merges, by result: inserted, updated, verified (already correct) or skipped (nothing to write).',
    labels: {
      table: 'organizations, pipelines, builds, jobs, agents',
      via: 'webhook, rest',
      result: 'inserted, updated, verified, skipped',
    },
  },
  rollup_days: {
    kind: 'counter',
    name: 'rollup_days_total',
    unit: 'days',
    help: 'Days whose totals in the schema analytics were recomputed.',
    labels: {},
  },
  rollup_seconds: {
    kind: 'histogram',
    name: 'rollup_seconds',
    unit: 'seconds',
    help: 'Duration of a run that recomputes totals.',
    labels: {},
    buckets: [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300],
  },
  rollup_failed: {
    kind: 'counter',
    name: 'rollup_failures_total',
    unit: 'failures',
    help: 'Failed refreshes: days of analytics, buildkite.users, and runs that ended early; all are retried.',
    labels: {},
  },
  cycles_total: {
    kind: 'counter',
    name: 'cycles_total',
    unit: 'cycles',
    help: 'Reconcile cycles that completed, by kind.',
    labels: { kind: cycleKind },
  },
  cycle_seconds: {
    kind: 'histogram',
    name: 'cycle_seconds',
    unit: 'seconds',
    help: 'Duration of a reconcile cycle, by kind.',
    labels: { kind: cycleKind },
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
  },
  cycle_found: {
    kind: 'counter',
    name: 'cycle_found_total',
    unit: 'builds or jobs',
    help:
      'Builds and jobs that cycles read, by result. Lost webhooks: missing (the mirror lacked the row), healed (it was wrong). Others: ' +
      'in_flight (its webhook may still arrive), completed (REST added data that no webhook carries), confirmed (it was correct). ' +
      'Also absent (read one by one because no list contained it), refused (Postgres rejected it). missing and healed stay 0 in a ' +
      'first cycle and without webhooks.',
    labels: {
      kind: cycleKind,
      object: 'build, job',
      result: 'missing, healed, in_flight, completed, confirmed; of builds also read, absent, refused',
    },
    begins: ['hot', 'warm'].flatMap((kind) =>
      ['build', 'job'].flatMap((object) => ['missing', 'healed'].map((result) => ({ kind, object, result }))),
    ),
  },
  task_failed: {
    kind: 'counter',
    name: 'task_failures_total',
    unit: 'tasks',
    help: 'Reconciler tasks that failed, by task and code; each is retried at its next scheduled run.',
    labels: {
      task: 'hot, warm, pipelines, discover, backfill, audit, dimensions',
      code: 'invalid_credentials, invalid_permissions, no_resources, unavailable, store, internal',
    },
  },
  drift_found: {
    kind: 'counter',
    name: 'drift_found_total',
    unit: 'differences',
    help: 'Differences between mirror and Buildkite that the audit found and recorded in sync.drift.',
    labels: { kind: 'missing, different, unexpected' },
    begins: [{ kind: 'missing' }, { kind: 'different' }, { kind: 'unexpected' }],
  },
  api_requests: {
    kind: 'counter',
    name: 'api_requests_total',
    unit: 'requests',
    help: "Requests to Buildkite's API, by endpoint and status.",
    labels: {
      endpoint: 'the path with * for each name, such as /organizations/*/builds',
      status: 'HTTP status; none without a complete response',
    },
  },
  api_request_seconds: {
    kind: 'histogram',
    name: 'api_request_seconds',
    unit: 'seconds',
    help: "Time from sending a request to the last byte of Buildkite's response, or to giving up.",
    labels: { endpoint: 'as in api_requests_total' },
    buckets: [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
  },
  api_waited: {
    kind: 'counter',
    name: 'api_budget_wait_seconds_total',
    unit: 'seconds',
    help: 'Time that calls waited for the budget or, after a 429, for the reset of the limit, by priority.',
    labels: { priority: 'hot, absent, backfill, audit, dimensions' },
  },
  api_limit: {
    kind: 'gauge',
    name: 'api_limit',
    unit: 'requests a minute',
    help: "Buildkite's rate limit, from the last response to this process.",
    labels: { scope },
  },
  api_remaining: {
    kind: 'gauge',
    name: 'api_limit_remaining',
    unit: 'requests',
    help: "Requests left in Buildkite's rate limit for all its clients together, from the last response to this process.",
    labels: { scope },
  },
}

/** Metrics that are read at each scrape. A source that does not answer within a second is left out of that page. */
const scraped = {
  queue_jobs: {
    kind: 'gauge',
    name: 'queue_jobs',
    unit: 'jobs',
    help: 'Jobs in the queue, by queue and state.',
    labels: { queue: 'deliveries, reconcile, backfill', state: 'waiting, active, delayed, failed' },
  },
  pending: {
    kind: 'gauge',
    name: 'deliveries_pending',
    unit: 'deliveries',
    help: 'Deliveries stored and not yet applied.',
    labels: {},
  },
  failed: {
    kind: 'gauge',
    name: 'deliveries_failed',
    unit: 'deliveries',
    help: 'Dead letters: deliveries that could not be applied.',
    labels: {},
  },
  oldest_pending: {
    kind: 'gauge',
    name: 'deliveries_oldest_pending_seconds',
    unit: 'seconds',
    help: 'Age of the oldest delivery not yet applied; 0 when there is none.',
    labels: {},
  },
  last_received_age: {
    kind: 'gauge',
    name: 'deliveries_last_received_age_seconds',
    unit: 'seconds',
    help: 'Time since the last delivery was received; absent before the first.',
    labels: {},
  },
  watermark_age: {
    kind: 'gauge',
    name: 'watermark_age_seconds',
    unit: 'seconds',
    help:
      'Age of the watermark: cycles have read everything created or finished before it. Like all gauges by organization, absent for ' +
      'organizations that are no longer mirrored.',
    labels: { organization },
  },
  claim_age: {
    kind: 'gauge',
    name: 'claim_age_seconds',
    unit: 'seconds',
    help:
      'Age of the completeness claim: as_of and jobs_as_of of analytics.data_coverage, for the pipeline that is furthest behind. ' +
      'Absent while nothing is claimed.',
    labels: { organization, object: 'builds, jobs' },
  },
  claim_exceptions: {
    kind: 'gauge',
    name: 'claim_exceptions',
    unit: 'builds or ranges',
    help: 'Known unconfirmed builds, and ranges that cannot be listed: exceptions of analytics.data_coverage.',
    labels: { organization },
  },
  pipelines_listed: {
    kind: 'gauge',
    name: 'pipelines_listed',
    unit: 'pipelines',
    help: 'Mirrored pipelines in the last list of pipelines.',
    labels: { organization },
  },
  pipelines_complete: {
    kind: 'gauge',
    name: 'pipelines_complete',
    unit: 'pipelines',
    help: 'Listed pipelines whose whole wanted history is complete according to analytics.data_coverage.',
    labels: { organization },
  },
  backfill_progress: {
    kind: 'gauge',
    name: 'backfill_progress_ratio',
    unit: 'share, 0 to 1',
    help:
      'Share of the wanted history that is read, over all listed pipelines. See pipelines_complete for what is complete. Absent if no ' +
      'history is wanted, as without a token.',
    labels: { organization },
  },
  drift_unhealed: {
    kind: 'gauge',
    name: 'drift_unhealed',
    unit: 'differences',
    help: 'Differences in sync.drift that are not healed.',
    labels: { organization },
  },
  reconcile_interval: {
    kind: 'gauge',
    name: 'reconcile_interval_seconds',
    unit: 'seconds',
    help: 'RECONCILE_INTERVAL of this process. A mirror counts as late after it has missed three intervals.',
    labels: {},
  },
  budget_left: {
    kind: 'gauge',
    name: 'api_budget_left',
    unit: 'requests',
    help: 'Requests left now in our share of a rate limit, over all replicas; 0 while calls are held until a reset.',
    labels: { scope },
  },
  rollup_days_waiting: {
    kind: 'gauge',
    name: 'rollup_days_waiting',
    unit: 'days',
    help: 'Days whose totals are still to be recomputed.',
    labels: {},
  },
  work_failing: {
    kind: 'gauge',
    name: 'work_failing',
    unit: 'units of work',
    help: 'Failed units of work that are retried while everything else continues: rows of sync.failures, by kind.',
    labels: { kind: failureKind },
  },
  work_failing_oldest: {
    kind: 'gauge',
    name: 'work_failing_oldest_seconds',
    unit: 'seconds',
    help: 'Time since the oldest failure of each kind began; absent while nothing fails.',
    labels: { kind: failureKind },
  },
  problems: {
    kind: 'gauge',
    name: 'problems',
    unit: 'problems',
    help: 'Things that this process cannot do now because Buildkite refuses them or a store fails; /status describes them.',
    labels: { code: 'as in task_failures_total, and expires_soon' },
  },
  findings: {
    kind: 'gauge',
    name: 'findings',
    unit: 'findings',
    help: "1 for each fault that the service's own check found. sync.findings describes it, docs/doctor.md explains each name.",
    labels: {
      name: 'the name of the fault, such as webhook_silence',
      subject: "an organization's slug, a token's label, or empty",
      result: 'warning, failed',
    },
  },
  worker_idle: {
    kind: 'gauge',
    name: 'worker_idle_seconds',
    unit: 'seconds',
    help: "Time without progress of this process's delivery worker while there is work; absent if it runs no delivery worker.",
    labels: {},
  },
  store_up: {
    kind: 'gauge',
    name: 'store_up',
    unit: '1 or 0',
    help: '1 if the store answers, 0 if not, by store.',
    labels: { store: 'database, queue' },
  },
} as const satisfies Record<string, Metric>

/** The names by which the code records or reads a metric. */
export type MetricName = Occurrence | keyof typeof scraped

/** Every metric of the service by its name in the code. The registry adds those of the Node process. */
export const metrics: Readonly<Record<MetricName, Metric>> = { ...recorded, ...scraped }
