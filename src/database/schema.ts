import { isNotNull, isNull, sql } from 'drizzle-orm'
import {
  bigint,
  bigserial,
  boolean,
  index,
  integer,
  jsonb,
  pgSchema,
  primaryKey,
  text,
  timestamp,
  uniqueIndex,
  uuid,
} from 'drizzle-orm/pg-core'
import type { PipelinePatterns } from '../runtime/scope.ts'

// Property names are column names, so payloads, rows and queries all use `created_at`.

/** The mirror: a row for each object in Buildkite. */
export const buildkite = pgSchema('buildkite')
/** The state of the synchronisation: deliveries, cycles, windows, watermarks. */
export const sync = pgSchema('sync')

const time = () => timestamp({ withTimezone: true, precision: 3, mode: 'date' })
const json = () => jsonb().$type<unknown>()

/** Where a row came from. */
export type Via = 'webhook' | 'rest'

/** The columns that every mirror table has in addition to Buildkite's fields. */
const mirrored = () => ({
  observed_at: time().notNull(),
  verified_at: time(),
  first_seen_at: time().notNull(),
  first_seen_via: text().$type<Via>().notNull(),
  changed_at: time().notNull(),
  deleted_at: time(),
  deleted_reason: text(),
  extra: jsonb().$type<Record<string, unknown>>().notNull().default({}),
})

export const organizations = buildkite.table(
  'organizations',
  {
    id: uuid().primaryKey(),
    graphql_id: text(),
    url: text(),
    web_url: text(),
    name: text(),
    slug: text(),
    pipelines_url: text(),
    agents_url: text(),
    emojis_url: text(),
    created_at: time(),
    ...mirrored(),
  },
  (t) => [index('organizations_slug').on(t.slug), index('organizations_changed_at').on(t.changed_at)],
)

export const pipelines = buildkite.table(
  'pipelines',
  {
    id: uuid().primaryKey(),
    organization_id: uuid(),
    graphql_id: text(),
    url: text(),
    web_url: text(),
    name: text(),
    description: text(),
    slug: text(),
    repository: text(),
    cluster_id: uuid(),
    cluster_url: text(),
    pipeline_template_uuid: uuid(),
    branch_configuration: text(),
    default_branch: text(),
    skip_queued_branch_builds: boolean(),
    skip_queued_branch_builds_filter: text(),
    cancel_running_branch_builds: boolean(),
    cancel_running_branch_builds_filter: text(),
    allow_rebuilds: boolean(),
    provider_id: text(),
    provider_settings: json(),
    builds_url: text(),
    badge_url: text(),
    clone_mirror_url: text(),
    created_by_id: uuid(),
    created_by_name: text(),
    created_by_email: text(),
    created_at: time(),
    archived_at: time(),
    scheduled_builds_count: integer(),
    running_builds_count: integer(),
    scheduled_jobs_count: integer(),
    running_jobs_count: integer(),
    waiting_jobs_count: integer(),
    visibility: text(),
    tags: text().array(),
    emoji: text(),
    color: text(),
    env: json(),
    configuration: text(),
    steps: json(),
    default_command_step_timeout: integer(),
    maximum_command_step_timeout: integer(),
    ...mirrored(),
  },
  (t) => [
    index('pipelines_organization_slug').on(t.organization_id, t.slug),
    index('pipelines_changed_at').on(t.changed_at),
  ],
)

export const builds = buildkite.table(
  'builds',
  {
    id: uuid().primaryKey(),
    organization_id: uuid(),
    pipeline_id: uuid(),
    graphql_id: text(),
    url: text(),
    web_url: text(),
    number: bigint({ mode: 'number' }),
    state: text(),
    blocked: boolean(),
    blocked_state: text(),
    cancel_reason: text(),
    message: text(),
    commit: text(),
    branch: text(),
    tag: text(),
    source: text(),
    author_username: text(),
    author_name: text(),
    author_email: text(),
    author_date: time(),
    creator_id: uuid(),
    creator_graphql_id: text(),
    creator_name: text(),
    creator_email: text(),
    creator_avatar_url: text(),
    creator_created_at: time(),
    created_at: time(),
    scheduled_at: time(),
    started_at: time(),
    finished_at: time(),
    failing_at: time(),
    meta_data: json(),
    env: json(),
    pull_request_id: text(),
    pull_request_base: text(),
    pull_request_repository: text(),
    pull_request_labels: text().array(),
    merge_queue_base_branch: text(),
    rebuilt_from_id: uuid(),
    rebuilt_from_number: bigint({ mode: 'number' }),
    rebuilt_from_url: text(),
    triggered_from_build_id: uuid(),
    triggered_from_build_number: bigint({ mode: 'number' }),
    triggered_from_build_pipeline_slug: text(),
    cluster_id: uuid(),
    cluster_url: text(),
    /** No longer filled. Version 0.1, which an upgrade may return to, writes it; it is dropped once that is no longer supported. */
    test_engine: json(),
    ...mirrored(),
  },
  (t) => [
    index('builds_pipeline_number').on(t.pipeline_id, t.number),
    index('builds_pipeline_branch_number').on(t.pipeline_id, t.branch, t.number),
    index('builds_pull_request')
      .on(sql`(${t.pull_request_id}::integer)`)
      .where(sql`${t.pull_request_id} ~ '^[0-9]{1,9}$'`),
    index('builds_organization_created_at').on(t.organization_id, t.created_at),
    index('builds_organization_finished_at').on(t.organization_id, t.finished_at),
    index('builds_pipeline_created_at').on(t.pipeline_id, t.created_at),
    index('builds_created_at').on(t.created_at),
    index('builds_finished_at').on(t.finished_at),
    // The UTC day of a build, as the views group by it, so that conditions on `day` use an index.
    index('builds_ended_day').on(sql`((coalesce(${t.finished_at}, ${t.created_at}) at time zone 'UTC')::date)`),
    index('builds_created_day').on(sql`((${t.created_at} at time zone 'UTC')::date)`),
    index('builds_changed_at').on(t.changed_at),
    index('builds_branch').on(t.branch, t.created_at),
    index('builds_commit').on(t.commit),
    index('builds_rebuilt_from_id').on(t.rebuilt_from_id).where(isNotNull(t.rebuilt_from_id)),
    index('builds_triggered_from_build_id').on(t.triggered_from_build_id).where(isNotNull(t.triggered_from_build_id)),
    // For the hot cycle: open builds, and builds that a webhook changed since the last REST read.
    index('builds_open')
      .on(t.organization_id, t.created_at)
      .where(
        sql`${t.state} in ('creating', 'scheduled', 'running', 'failing', 'canceling') and ${t.deleted_at} is null`,
      ),
    index('builds_provisional')
      .on(t.organization_id, t.created_at)
      .where(sql`(${t.verified_at} is null or ${t.observed_at} > ${t.verified_at}) and ${t.deleted_at} is null`),
    index('builds_without_pipeline').on(t.id).where(isNull(t.pipeline_id)),
    index('builds_without_organization').on(t.id).where(isNull(t.organization_id)),
  ],
)

export const build_attempts = buildkite.table(
  'build_attempts',
  {
    build_id: uuid().notNull(),
    finished_at: time().notNull(),
    started_at: time(),
    state: text(),
    blocked: boolean(),
    blocked_state: text(),
    observed_at: time().notNull(),
    first_seen_at: time().notNull(),
    first_seen_via: text().$type<Via>().notNull(),
    changed_at: time().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.build_id, t.finished_at] }),
    index('build_attempts_finished_at').on(t.finished_at),
    index('build_attempts_changed_at').on(t.changed_at),
  ],
)

export const jobs = buildkite.table(
  'jobs',
  {
    id: uuid().primaryKey(),
    build_id: uuid(),
    graphql_id: text(),
    type: text(),
    name: text(),
    label: text(),
    step_key: text(),
    group_key: text(),
    step_id: uuid(),
    step_signature: json(),
    priority_number: integer(),
    agent_query_rules: text().array(),
    state: text(),
    build_url: text(),
    web_url: text(),
    log_url: text(),
    raw_log_url: text(),
    artifacts_url: text(),
    command: text(),
    soft_failed: boolean(),
    exit_status: bigint({ mode: 'number' }),
    signal: text(),
    signal_reason: text(),
    broken_reason: text(),
    promised_exit_status: bigint({ mode: 'number' }),
    promised_exit_status_at: time(),
    promised_exit_status_reason: text(),
    artifact_paths: text(),
    created_at: time(),
    scheduled_at: time(),
    runnable_at: time(),
    concurrency_wait_time_ms: bigint({ mode: 'number' }),
    started_at: time(),
    finished_at: time(),
    expired_at: time(),
    retried: boolean(),
    retried_in_job_id: uuid(),
    retries_count: integer(),
    retry_source_job_id: uuid(),
    retry_source_retry_type: text(),
    retry_source_retried_by_name: text(),
    retry_source_retried_by_email: text(),
    retry_type: text(),
    retried_by_id: uuid(),
    retried_by_name: text(),
    retried_by_email: text(),
    parallel_group_index: integer(),
    parallel_group_total: integer(),
    matrix: json(),
    agent_id: uuid(),
    agent_name: text(),
    cluster_id: uuid(),
    cluster_url: text(),
    cluster_queue_id: uuid(),
    cluster_queue_url: text(),
    unblocked_by_id: uuid(),
    unblocked_by_name: text(),
    unblocked_by_email: text(),
    unblocked_at: time(),
    unblockable: boolean(),
    unblock_url: text(),
    async: boolean(),
    triggered_build_id: uuid(),
    triggered_build_number: bigint({ mode: 'number' }),
    triggered_build_url: text(),
    triggered_build_web_url: text(),
    ...mirrored(),
  },
  (t) => [
    index('jobs_build_id').on(t.build_id),
    index('jobs_created_at').on(t.created_at),
    index('jobs_started_at').on(t.started_at),
    index('jobs_finished_at').on(t.finished_at),
    index('jobs_expired_at').on(t.expired_at).where(isNotNull(t.expired_at)),
    index('jobs_changed_at').on(t.changed_at),
    index('jobs_agent_id').on(t.agent_id).where(isNotNull(t.agent_id)),
    index('jobs_retried_in_job_id').on(t.retried_in_job_id).where(isNotNull(t.retried_in_job_id)),
    // For the views: failed jobs, jobs of parallel steps, and block steps.
    index('jobs_failed').on(t.finished_at).where(sql`${t.state} in ('failed', 'timed_out', 'expired')`),
    index('jobs_parallel').on(t.build_id).where(sql`${t.parallel_group_total} > 1`),
    index('jobs_manual').on(t.created_at).where(sql`${t.type} = 'manual'`),
    index('jobs_triggered_build_id').on(t.triggered_build_id).where(isNotNull(t.triggered_build_id)),
    // For the queues: open command jobs, and those that waited or ran for more than an hour (`sync.jobs_between`).
    index('jobs_open')
      .on(t.runnable_at)
      .where(
        sql`${t.type} = 'script' and ${t.state} not in ('passed', 'failed', 'canceled', 'timed_out', 'expired', 'skipped', 'broken', 'finished', 'waiting_failed', 'blocked_failed', 'unblocked', 'unblocked_failed')`,
      ),
    index('jobs_long')
      .using(
        'gist',
        sql`tstzrange(least(${t.runnable_at}, ${t.started_at}), greatest(${t.runnable_at}, ${t.started_at}, coalesce(${t.finished_at}, ${t.expired_at})))`,
      )
      .where(
        sql`${t.type} = 'script' and coalesce(${t.finished_at}, ${t.expired_at}) - least(${t.runnable_at}, ${t.started_at}) > interval '1 hour'`,
      ),
  ],
)

export const agents = buildkite.table(
  'agents',
  {
    id: uuid().primaryKey(),
    organization_id: uuid(),
    graphql_id: text(),
    url: text(),
    web_url: text(),
    name: text(),
    connection_state: text(),
    hostname: text(),
    ip_address: text(),
    user_agent: text(),
    version: text(),
    os_id: text(),
    arch: text(),
    queue: text(),
    creator_id: uuid(),
    creator_name: text(),
    creator_email: text(),
    created_at: time(),
    connected_at: time(),
    disconnected_at: time(),
    lost_at: time(),
    stopped_at: time(),
    job_id: uuid(),
    last_job_finished_at: time(),
    priority: integer(),
    meta_data: text().array(),
    paused: boolean(),
    paused_at: time(),
    paused_by_id: uuid(),
    paused_by_name: text(),
    paused_by_email: text(),
    paused_note: text(),
    paused_timeout_in_minutes: integer(),
    cluster_url: text(),
    cluster_queue_url: text(),
    ...mirrored(),
  },
  (t) => [
    index('agents_organization_name').on(t.organization_id, t.name),
    index('agents_changed_at').on(t.changed_at),
    index('agents_connected')
      .on(t.organization_id)
      .where(sql`${t.connection_state} in ('connected', 'stopping') and ${t.deleted_at} is null`),
  ],
)

/** Why a connection ended; `unlisted`: a list of agents lacked it. */
export type ConnectionEnd = 'disconnected' | 'lost' | 'stopped' | 'unlisted'

export const agent_connections = buildkite.table(
  'agent_connections',
  {
    agent_id: uuid().notNull(),
    connected_at: time().notNull(),
    ended_at: time(),
    ended_as: text().$type<ConnectionEnd>(),
    observed_at: time().notNull(),
    first_seen_at: time().notNull(),
    first_seen_via: text().$type<Via>().notNull(),
    changed_at: time().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.agent_id, t.connected_at] }),
    index('agent_connections_changed_at').on(t.changed_at),
    // For `sync.connections_between`: a short connection by its end, any other by its range.
    index('agent_connections_ended_at').on(t.ended_at).where(isNotNull(t.ended_at)),
    index('agent_connections_long')
      .using(
        'gist',
        sql`tstzrange(${t.connected_at}, greatest(${t.connected_at}, coalesce(${t.ended_at}, 'infinity')))`,
      )
      .where(sql`${t.ended_at} is null or ${t.ended_at} - ${t.connected_at} > interval '1 hour'`),
  ],
)

export const organization_slugs = buildkite.table(
  'organization_slugs',
  {
    organization_id: uuid().notNull(),
    slug: text().notNull(),
    first_seen_at: time().notNull(),
    last_seen_at: time().notNull(),
  },
  (t) => [primaryKey({ columns: [t.organization_id, t.slug] }), index('organization_slugs_slug').on(t.slug)],
)

export const pipeline_slugs = buildkite.table(
  'pipeline_slugs',
  {
    pipeline_id: uuid().notNull(),
    organization_slug: text().notNull(),
    slug: text().notNull(),
    first_seen_at: time().notNull(),
    last_seen_at: time().notNull(),
  },
  (t) => [
    primaryKey({ columns: [t.pipeline_id, t.organization_slug, t.slug] }),
    index('pipeline_slugs_slug').on(t.organization_slug, t.slug, t.last_seen_at),
  ],
)

export type DeliveryStatus = 'pending' | 'applied' | 'ignored' | 'failed'

export const deliveries = sync.table(
  'deliveries',
  {
    id: bigserial({ mode: 'number' }).primaryKey(),
    key: text().notNull(),
    event: text().notNull(),
    request_id: text(),
    received_at: time().notNull(),
    observed_at: time().notNull(),
    status: text().$type<DeliveryStatus>().notNull().default('pending'),
    attempts: integer().notNull().default(0),
    error: text(),
    enqueued_at: time(),
    /** A delivery that could not be applied in time is retried individually after this time. */
    next_try_at: time(),
    applied_at: time(),
    failed_at: time(),
    payload: text(),
  },
  (t) => [
    uniqueIndex('deliveries_key').on(t.key),
    index('deliveries_received_at').on(t.received_at),
    index('deliveries_pending').on(t.id).where(sql`${t.status} = 'pending'`),
    index('deliveries_failed').on(t.id).where(sql`${t.status} = 'failed'`),
    // For retention: finds payloads however many rows without payload there are.
    index('deliveries_payload_kept')
      .on(t.received_at)
      .where(sql`${t.payload} is not null and ${t.status} in ('applied', 'ignored')`),
  ],
)

/** Whether a failed delivery still has its payload, for roles that may not read payloads. */
export const failed_deliveries = sync
  .view('failed_deliveries', {
    id: bigint({ mode: 'number' }).notNull(),
    event: text().notNull(),
    received_at: time().notNull(),
    failed_at: time(),
    error: text(),
    replayable: boolean().notNull(),
  })
  .existing()

export const watermarks = sync.table('watermarks', {
  organization_id: uuid().primaryKey(),
  watermark: time(),
  warm_watermark: time(),
  backfill_from: time(),
  backfill_to: time(),
  pipelines_read_at: time(),
  pipeline_filter: jsonb().$type<PipelinePatterns>(),
  pipelines_listed_by: text(),
  confirmed_to: time(),
  counts_from: time(),
  updated_at: time().notNull(),
})

/** The pipelines that a complete list contained, and since when without interruption. */
export const pipeline_coverage = sync.table(
  'pipeline_coverage',
  {
    pipeline_id: uuid().primaryKey(),
    organization_id: uuid().notNull(),
    listed_since: time().notNull(),
    unlisted_at: time(),
    covered_from: time(),
    covered_until: time(),
  },
  (t) => [index('pipeline_coverage_organization').on(t.organization_id)],
)

/** Pipelines that were renamed, deleted, hidden or shown again, and how far their builds were updated. */
export const pipeline_changes = sync.table('pipeline_changes', {
  pipeline_id: uuid().primaryKey(),
  slug: text(),
  deleted_reason: text(),
  started_at: time().notNull(),
  after_number: bigint({ mode: 'number' }),
})

export type WindowStatus = 'pending' | 'running' | 'done'

export const windows = sync.table(
  'windows',
  {
    id: bigserial({ mode: 'number' }).primaryKey(),
    organization_id: uuid().notNull(),
    /** Null: the list of the whole organization, with all pipelines. */
    pipeline_id: uuid(),
    created_from: time().notNull(),
    created_to: time().notNull(),
    status: text().$type<WindowStatus>().notNull().default('pending'),
    scanned_to: time(),
    builds: integer().notNull().default(0),
    requests: integer().notNull().default(0),
    started_at: time(),
    finished_at: time(),
    first_verified_at: time(),
    first_verified_until: time(),
    verified_at: time(),
    verified_until: time(),
    error: text(),
    tries: integer().notNull().default(0),
    next_try_at: time(),
  },
  (t) => [
    uniqueIndex('windows_range').on(
      t.organization_id,
      sql`coalesce(${t.pipeline_id}, '00000000-0000-0000-0000-000000000000')`,
      t.created_from,
      t.created_to,
    ),
  ],
)

export type CycleKind = 'hot' | 'warm' | 'pipelines' | 'audit'

export const cycles = sync.table(
  'cycles',
  {
    id: bigserial({ mode: 'number' }).primaryKey(),
    organization_id: uuid().notNull(),
    kind: text().$type<CycleKind>().notNull(),
    watermark_from: time(),
    watermark_to: time(),
    started_at: time().notNull(),
    finished_at: time(),
    read_until: time(),
    requests: integer().notNull().default(0),
    builds_read: integer().notNull().default(0),
    builds_missing: integer().notNull().default(0),
    builds_healed: integer().notNull().default(0),
    builds_in_flight: integer().notNull().default(0),
    builds_completed: integer().notNull().default(0),
    builds_confirmed: integer().notNull().default(0),
    jobs_missing: integer().notNull().default(0),
    jobs_healed: integer().notNull().default(0),
    jobs_in_flight: integer().notNull().default(0),
    jobs_completed: integer().notNull().default(0),
    jobs_confirmed: integer().notNull().default(0),
    unlisted_read: integer().notNull().default(0),
    error: text(),
  },
  (t) => [index('cycles_organization_started_at').on(t.organization_id, t.started_at)],
)

/** missing: only Buildkite has it. different: the values differ. unexpected: Buildkite no longer has it. */
export type DriftKind = 'missing' | 'different' | 'unexpected'

export const drift = sync.table(
  'drift',
  {
    id: bigserial({ mode: 'number' }).primaryKey(),
    organization_id: uuid().notNull(),
    pipeline_id: uuid(),
    build_id: uuid().notNull(),
    job_id: uuid(),
    kind: text().$type<DriftKind>().notNull(),
    columns: text().array().notNull(),
    mirror: jsonb().$type<Record<string, unknown>>().notNull(),
    buildkite: jsonb().$type<Record<string, unknown>>().notNull(),
    last_matched_at: time(),
    found_at: time().notNull(),
    found_by: text().$type<'audit' | 'verify'>().notNull(),
    healed_at: time(),
  },
  (t) => [
    index('drift_organization_found_at').on(t.organization_id, t.found_at),
    index('drift_build_id').on(t.build_id),
    index('drift_unhealed').on(t.organization_id).where(isNull(t.healed_at)),
  ],
)

export const unlisted_builds = sync.table(
  'unlisted_builds',
  {
    build_id: uuid().primaryKey(),
    organization_id: uuid().notNull(),
    reads: integer().notNull().default(0),
    last_read_at: time().notNull(),
    next_read_at: time().notNull(),
    last_status: integer(),
  },
  (t) => [index('unlisted_builds_next_read_at').on(t.organization_id, t.next_read_at)],
)

/** Builds whose jobs REST has not confirmed yet, because a list showed the build without jobs. No row: jobs are as recent as the build. */
export const job_reads = sync.table(
  'job_reads',
  {
    build_id: uuid().primaryKey(),
    organization_id: uuid().notNull(),
    is_open: boolean().notNull(),
    read_at: time(),
    jobs: integer().notNull().default(0),
    next_read_at: time().notNull(),
  },
  (t) => [index('job_reads_next').on(t.organization_id, t.next_read_at)],
)

/** The kind of work that failed. */
export type FailureKind =
  | 'build'
  | 'builds_list'
  | 'pipelines_list'
  | 'window'
  | 'delivery'
  | 'orphans'
  | 'pipeline_change'
  | 'rollup_day'
  | 'replica'

/** Units of work that failed individually. Each is retried with back-off while everything else continues. */
export const failures = sync.table(
  'failures',
  {
    id: bigserial({ mode: 'number' }).primaryKey(),
    kind: text().$type<FailureKind>().notNull(),
    organization_id: uuid(),
    subject: text().notNull(),
    pipeline_slug: text(),
    pipeline_id: uuid(),
    build_number: bigint({ mode: 'number' }),
    build_id: uuid(),
    created_from: time(),
    created_to: time(),
    code: text().notNull(),
    error: text().notNull(),
    tries: integer().notNull().default(1),
    first_failed_at: time().notNull(),
    last_failed_at: time().notNull(),
    next_try_at: time().notNull(),
    cleared_at: time(),
  },
  (t) => [
    uniqueIndex('failures_subject').on(
      t.kind,
      sql`coalesce(${t.organization_id}, '00000000-0000-0000-0000-000000000000')`,
      t.subject,
    ),
  ],
)

/** Which process may do which work, and until when. `fence` grows with each new holder; every commit checks it. */
export const leases = sync.table('leases', {
  name: text().primaryKey(),
  holder: text().notNull(),
  fence: bigint({ mode: 'number' }).notNull(),
  acquired_at: time().notNull(),
  expires_at: time().notNull(),
})

export const budgets = sync.table('budgets', {
  scope: text().primaryKey(),
  state: jsonb().$type<unknown>().notNull(),
  updated_at: time().notNull(),
})

/** One row: Buildkite's clock as measured by the reconciler, for processes that send no requests to Buildkite. */
export const buildkiteClock = sync.table('buildkite_clock', {
  single_row: boolean().primaryKey().default(true),
  ahead_ms: bigint({ mode: 'number' }).notNull(),
  measured_at: time().notNull(),
})

/** One row: how many migrations a program must know to work on this database. Incompatible migrations raise it. */
export const compatibility = sync.table('compatibility', {
  single_row: boolean().primaryKey().default(true),
  migrations_needed: integer().notNull(),
})

/** The identities of erased people, as hashes. */
export const erased_people = sync.table('erased_people', {
  id: bigserial({ mode: 'number' }).primaryKey(),
  hash: text().notNull().unique(),
  salt: uuid().notNull(),
  pseudonym: uuid().notNull(),
  erased_at: time().notNull(),
})

/** One row: the id of this deployment, to find its own jobs in a shared Redis. Read in `queue/job-location.ts`. */
export const deployment = sync.table('deployment', {
  single_row: boolean().primaryKey().default(true),
  id: uuid().notNull().defaultRandom(),
  used_shared_queue: boolean().notNull(),
  addresses: text().array().notNull().default([]),
})

/** Work that a person has paused for an organization. No row: it runs. */
export const pauses = sync.table(
  'pauses',
  {
    organization_id: uuid().notNull(),
    task: text().$type<'backfill'>().notNull(),
    paused_at: time().notNull(),
  },
  (t) => [primaryKey({ columns: [t.organization_id, t.task] })],
)

export type FindingResult = 'ok' | 'warning' | 'failed'

/** The results of the service's last hourly check, one row for each check. */
export const findings = sync.table(
  'findings',
  {
    name: text().notNull(),
    subject: text().notNull(),
    result: text().$type<FindingResult>().notNull(),
    detail: text().notNull(),
    remedy: text(),
    checked_at: time().notNull(),
    since: time().notNull(),
  },
  (t) => [primaryKey({ columns: [t.name, t.subject] })],
)

/** The files of drizzle/ (views, functions, triggers, grants) as they were last applied. See `definitions.ts`. */
export const definitions = sync.table('definitions', {
  name: text().primaryKey(),
  checksum: text().notNull(),
  applied_at: time().notNull().defaultNow(),
})

/** Sessions on the private listener. The key can be computed only from the cookie and the token: see `http/auth/session.ts`. */
export const sessions = sync.table('sessions', {
  key: text().primaryKey(),
  ends_at: time().notNull(),
})

/** Requests to the private listener that act, sign in or out, or carry a wrong token. Written by `http/auth/audit-log.ts`. */
export const audit_log = sync.table(
  'audit_log',
  {
    id: bigserial({ mode: 'number' }).primaryKey(),
    at: time().notNull(),
    who: text().notNull(),
    via: text().notNull(),
    session: text(),
    address: text().notNull(),
    request: text().notNull(),
    target: text(),
    result: text().notNull(),
    times: integer().notNull(),
  },
  (t) => [index('audit_log_at').on(t.at)],
)
