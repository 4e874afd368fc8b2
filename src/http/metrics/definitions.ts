import type { MetricEvent } from '../../runtime/record-metric.ts'

/** One metric, as Prometheus and docs/reference/metrics.md show it. */
export interface Metric {
  readonly kind: 'counter' | 'gauge' | 'histogram'
  /** What the value counts. */
  readonly unit: string
  readonly help: string
  /** Each label with its possible values. */
  readonly labels: Readonly<Record<string, string>>
  readonly buckets?: readonly number[]
  /** Series that exist from the start, at 0. Prometheus misses the first increase of a series that appears with the value 1. */
  readonly begins?: readonly Readonly<Record<string, string>>[]
  /** A histogram whose values are counted by the database, not by this process. */
  readonly isCountedElsewhere?: boolean
}

export const PREFIX = 'buildkite_mirror_'

type Labels = Metric['labels']

const counter = (unit: string, help: string, labels: Labels = {}, begins: Metric['begins'] = []): Metric => ({
  kind: 'counter',
  unit,
  help,
  labels,
  begins,
})
const gauge = (unit: string, help: string, labels: Labels = {}): Metric => ({ kind: 'gauge', unit, help, labels })
const histogram = (unit: string, help: string, buckets: readonly number[], labels: Labels = {}): Metric => ({
  kind: 'histogram',
  unit,
  help,
  labels,
  buckets,
})

const organization = "the organization's slug"
const queueLabels: Labels = {
  organization: "the organization's slug, or other",
  cluster: 'its name, or its id without a name; empty outside clusters; or other',
  queue: 'one of at most 50 queues, or other for the rest together',
}
const jobSeconds = [1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400]
const countedOnce =
  'Read from the database: the same in every replica, and each try counts once. Without tries that the mirror learned of more than ' +
  'an hour late, as by a backfill.'
const cycleKind = 'hot (each RECONCILE_INTERVAL), warm (hourly)'
const tasks = ['hot', 'warm', 'pipelines', 'discover', 'backfill', 'audit', 'verify', 'dimensions']
const failureKind =
  'build, builds_list, pipelines_list, window, delivery, orphans, pipeline_change, rollup_day, replica (lost its lease)'
const scope = 'user:(fingerprint of the token or of its user), organization:(slug)'

/** Metrics that the code records as things happen. */
const recorded: Readonly<Record<MetricEvent, Metric>> = {
  webhook_requests_total: counter(
    'requests',
    'Webhook requests, by the HTTP status of the answer.',
    { status: 'HTTP status; off for the 503 of a receiver without WEBHOOK_SECRET' },
    [{ status: '202' }, { status: '401' }, { status: '503' }],
  ),
  webhook_request_duration_seconds: histogram(
    'seconds',
    'Accept latency: from the arrival of a webhook request to its answer.',
    [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  ),
  deliveries_accepted_total: counter(
    'deliveries',
    'Deliveries stored for the first time, by store (postgres, or queue while Postgres was unavailable).',
    { via: 'postgres, queue' },
    [{ via: 'postgres' }, { via: 'queue' }],
  ),
  deliveries_duplicate_total: counter('deliveries', 'Deliveries that were already stored.'),
  deliveries_processed_total: counter('deliveries', 'Deliveries that the worker finished, by outcome and event.', {
    status: 'applied, ignored, failed',
    event: "Buildkite's name of the event, such as build.finished; other for events that the mirror does not use",
  }),
  delivery_apply_seconds: histogram(
    'seconds',
    'Apply latency: from the receipt of a delivery to the commit of its rows.',
    [0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
  ),
  deliveries_requeued_total: counter(
    'deliveries',
    'Deliveries enqueued again because their job was lost or never created.',
  ),
  rows_total: counter(
    'rows',
    'Rows of committed merges, by result: inserted, updated, verified (already correct) or skipped (nothing to write).',
    {
      table: 'organizations, pipelines, builds, jobs, agents',
      via: 'webhook, rest',
      result: 'inserted, updated, verified, skipped',
    },
  ),
  rollup_days_total: counter('days', 'Days whose totals in the schema analytics were recomputed.'),
  rollup_seconds: histogram(
    'seconds',
    'Duration of a run that recomputes totals.',
    [0.01, 0.05, 0.1, 0.5, 1, 5, 10, 30, 60, 300],
  ),
  rollup_failures_total: counter(
    'failures',
    'Failed refreshes: days of analytics, buildkite.users, and runs that ended early; all are retried.',
  ),
  cycles_total: counter('cycles', 'Reconcile cycles that completed, by kind.', { kind: cycleKind }),
  cycle_duration_seconds: histogram(
    'seconds',
    'Duration of a reconcile cycle, by kind.',
    [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
    { kind: cycleKind },
  ),
  cycle_found_total: counter(
    'builds or jobs',
    'Builds and jobs that cycles read, by result. Lost webhooks: missing (the mirror lacked the row), healed (it was wrong). Others: ' +
      'in_flight (its webhook may still arrive), completed (REST added data that no webhook carries), confirmed (it was correct). ' +
      'Also absent (read one by one because no list contained it), refused (Postgres rejected it). missing and healed stay 0 in a ' +
      'first cycle and without webhooks.',
    {
      kind: cycleKind,
      object: 'build, job',
      result: 'missing, healed, in_flight, completed, confirmed; of builds also read, absent, refused',
    },
    ['hot', 'warm'].flatMap((kind) =>
      ['build', 'job'].flatMap((object) => ['missing', 'healed'].map((result) => ({ kind, object, result }))),
    ),
  ),
  task_failures_total: counter(
    'tasks',
    'Reconciler tasks that failed, by task and code; each is retried at its next scheduled run.',
    {
      task: tasks.join(', '),
      code: 'invalid_credentials, invalid_permissions, no_resources, unavailable, store, internal',
    },
    tasks.map((task) => ({ task, code: 'internal' })),
  ),
  drift_found_total: counter(
    'differences',
    'Differences between mirror and Buildkite that the audit found and recorded in sync.drift.',
    { kind: 'missing, different, unexpected' },
    [{ kind: 'missing' }, { kind: 'different' }, { kind: 'unexpected' }],
  ),
  api_requests_total: counter('requests', "Requests to Buildkite's API, by endpoint and status.", {
    endpoint: 'the path with * for each name, such as /organizations/*/builds',
    status: 'HTTP status; none without a complete response',
  }),
  api_request_seconds: histogram(
    'seconds',
    "Time from sending a request to the last byte of Buildkite's response, or to giving up.",
    [0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30],
    { endpoint: 'as in api_requests_total' },
  ),
  api_budget_wait_seconds_total: counter(
    'seconds',
    'Time that calls waited for the budget or, after a 429, for the reset of the limit, by priority.',
    { priority: 'hot, absent, backfill, audit, dimensions' },
  ),
  api_limit: gauge('requests a minute', "Buildkite's rate limit, from the last response to this process.", { scope }),
  api_limit_remaining: gauge(
    'requests',
    "Requests left in Buildkite's rate limit for all its clients together, from the last response to this process.",
    { scope },
  ),
  audited_requests_total: counter(
    'requests',
    'Requests to the private listener that act, sign in or out, or carry a wrong token: the rows of sync.audit_log.',
    {
      request: 'method and route, such as POST /actions/replay',
      who: 'admin, reader, local, unknown',
      result: 'done, refused, failed',
    },
  ),
  tokens_refused_total: counter(
    'requests',
    'Requests to the private listener with a wrong token or an unknown session.',
    { via: 'form, bearer, session' },
    [{ via: 'form' }, { via: 'bearer' }, { via: 'session' }],
  ),
}

/** Metrics that are read at each scrape. A source that does not answer within a second is left out of that page. */
const scraped = {
  queue_jobs: gauge('jobs', 'Jobs in the queue, by queue and state.', {
    queue: 'deliveries, reconcile, backfill',
    state: 'waiting, active, delayed, failed',
  }),
  deliveries_pending: gauge('deliveries', 'Deliveries stored and not yet applied.'),
  deliveries_failed: gauge('deliveries', 'Dead letters: deliveries that could not be applied.'),
  deliveries_oldest_pending_seconds: gauge(
    'seconds',
    'Age of the oldest delivery not yet applied; 0 when there is none.',
  ),
  deliveries_last_received_age_seconds: gauge(
    'seconds',
    'Time since the last delivery was received; absent before the first.',
  ),
  watermark_age_seconds: gauge(
    'seconds',
    'Age of the watermark: cycles have read everything created or finished before it. Like all gauges by organization, absent for ' +
      'organizations that are no longer mirrored.',
    { organization },
  ),
  claim_age_seconds: gauge(
    'seconds',
    'Age of the completeness claim: as_of and jobs_as_of of analytics.data_coverage, for the pipeline that is furthest behind. ' +
      'Absent while nothing is claimed.',
    { organization, object: 'builds, jobs' },
  ),
  claim_exceptions: gauge(
    'builds or ranges',
    'Known unconfirmed builds, and ranges that cannot be listed: exceptions of analytics.data_coverage.',
    { organization },
  ),
  pipelines_listed: gauge('pipelines', 'Mirrored pipelines in the last list of pipelines.', { organization }),
  pipelines_complete: gauge(
    'pipelines',
    'Listed pipelines whose whole wanted history is complete according to analytics.data_coverage.',
    { organization },
  ),
  backfill_progress_ratio: gauge(
    'share, 0 to 1',
    'Share of the wanted history that is read, over all listed pipelines. See pipelines_complete for what is complete. Absent if no ' +
      'history is wanted, as without a token.',
    { organization },
  ),
  drift_unhealed: gauge('differences', 'Differences in sync.drift that are not healed.', { organization }),
  reconcile_interval_seconds: gauge(
    'seconds',
    'RECONCILE_INTERVAL of this process. A mirror counts as late after it has missed three intervals.',
  ),
  api_budget_left: gauge(
    'requests',
    'Requests left now in our share of a rate limit, over all replicas; 0 while calls are held until a reset.',
    { scope },
  ),
  rollup_days_waiting: gauge('days', 'Days whose totals are still to be recomputed.'),
  work_failing: gauge(
    'units of work',
    'Failed units of work that are retried while everything else continues: rows of sync.failures, by kind.',
    { kind: failureKind },
  ),
  work_failing_oldest_seconds: gauge(
    'seconds',
    'Time since the oldest failure of each kind began; absent while nothing fails.',
    { kind: failureKind },
  ),
  problems: gauge(
    'problems',
    'Things that this process cannot do now because Buildkite refuses them or a store fails; /status describes them.',
    { code: 'as in task_failures_total, and expires_soon' },
  ),
  findings: gauge(
    'findings',
    "1 for each fault that the service's own check found. sync.findings describes it, docs/reference/checks.md explains each name.",
    {
      name: 'the name of the fault, such as webhook_silence',
      subject: "an organization's slug, a token's label, or empty",
      result: 'warning, failed',
    },
  ),
  worker_stalled_seconds: gauge(
    'seconds',
    "Time without progress of this process's delivery worker while there is work; absent if it runs no delivery worker.",
  ),
  queue_waiting: gauge('jobs', 'Jobs that wait for an agent.', queueLabels),
  queue_oldest_wait_seconds: gauge(
    'seconds',
    'How long the oldest waiting job has waited; 0 if none waits.',
    queueLabels,
  ),
  queue_running: gauge('jobs', 'Jobs that run.', queueLabels),
  queue_agents: gauge('agents', 'Connected agents of the queue.', { ...queueLabels, state: 'busy, idle' }),
  job_wait_seconds: {
    ...histogram(
      'seconds',
      `Waits of jobs for an agent, counted at their start. ${countedOnce}`,
      jobSeconds,
      queueLabels,
    ),
    isCountedElsewhere: true,
  },
  job_run_seconds: {
    ...histogram('seconds', `Runs of jobs, counted at their end. ${countedOnce}`, jobSeconds, queueLabels),
    isCountedElsewhere: true,
  },
  store_up: gauge('1 or 0', '1 if the store answers, 0 if not, by store.', { store: 'database, queue' }),
}

/** A metric's name after {@link PREFIX}. Released names do not change. */
export type MetricName = MetricEvent | keyof typeof scraped

/** Every metric of the service by its name. The registry adds those of the Node process. */
export const metrics: Readonly<Record<MetricName, Metric>> = { ...recorded, ...scraped }
