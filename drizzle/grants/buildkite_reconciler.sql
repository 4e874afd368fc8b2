-- Reads the API into the mirror, and refreshes the rollups. It reads no payload of a delivery.
grant usage on schema analytics, buildkite, drizzle, settings, sync to buildkite_reconciler;
grant select, insert, update on
  buildkite.agent_connections, buildkite.agents, buildkite.annotations, buildkite.artifacts, buildkite.builds, buildkite.cluster_queues, buildkite.clusters,
  buildkite.jobs, buildkite.members, buildkite.organization_slugs, buildkite.organizations, buildkite.pipeline_schedules,
  buildkite.pipeline_slugs, buildkite.pipelines, buildkite.team_members, buildkite.team_pipelines, buildkite.teams,
  sync.budgets, sync.buildkite_clock, sync.cycles, sync.drift, sync.leases, sync.pipeline_changes, sync.pipeline_coverage,
  sync.reference_item_syncs, sync.reference_syncs, sync.watermarks
  to buildkite_reconciler;
grant select, insert, update, delete on
  buildkite.build_attempts, sync.failures, sync.findings, sync.job_reads, sync.unlisted_builds, sync.windows
  to buildkite_reconciler;
grant usage on sequence sync.cycles_id_seq, sync.drift_id_seq, sync.failures_id_seq, sync.windows_id_seq to buildkite_reconciler;
grant update (status, enqueued_at),
  select (id, key, event, request_id, received_at, observed_at, status, attempts, error, enqueued_at, applied_at, failed_at, next_try_at)
  on sync.deliveries to buildkite_reconciler;

-- Refreshes the rollups.
grant select, insert, update, delete on
  analytics.agents_daily, analytics.agents_hourly, analytics.branch_durations_daily, analytics.build_minutes_hourly, analytics.build_results_daily,
  analytics.builds_hourly, analytics.deployments, analytics.job_minutes_hourly, analytics.jobs_daily, analytics.jobs_hourly, analytics.minutes_daily,
  analytics.pipeline_durations_daily, analytics.queue_depths, analytics.queue_waits_daily, analytics.queue_waits_hourly, analytics.trunk_health_daily,
  buildkite.users, sync.agent_days, sync.builds_found, sync.counted_jobs, sync.job_counts, sync.jobs_found, sync.minutes_hours, sync.metric_queues, sync.open_work, sync.queue_hours, sync.rollups,
  sync.stale_days, sync.stale_history, sync.user_identities
  to buildkite_reconciler;
grant select on
  analytics.agents, analytics.attempt_runs, analytics.queues_now, buildkite.cluster_queues, buildkite.members, settings.deployment_rules, sync.last_heard
  to buildkite_reconciler;
grant usage on sequence sync.stale_history_id_seq to buildkite_reconciler;

-- Where its queue is, and whether the schema is current.
grant select, update (addresses) on sync.deployment to buildkite_reconciler;
grant select on sync.compatibility, sync.definitions, drizzle.__drizzle_migrations to buildkite_reconciler;
-- Whose names it must not store.
grant select on sync.erased_people to buildkite_reconciler;

-- The status page, metrics, and the pause of a backfill.
grant select on
  analytics.data_coverage, buildkite.organizations, buildkite.pipelines,
  sync.budgets, sync.cycles, sync.drift, sync.failed_deliveries, sync.failures, sync.findings,
  sync.job_histograms, sync.leases, sync.pipeline_coverage, sync.queue_gauges, sync.reference_syncs, sync.stale_days, sync.watermarks, sync.windows
  to buildkite_reconciler;
grant select, insert, delete on sync.pauses to buildkite_reconciler;

-- The pages under /explore, whose totals by day and hour are granted above.
grant select on
  analytics.approvals, analytics.build_attempts, analytics.build_costs, analytics.builds, analytics.clusters, analytics.costs_daily,
  analytics.critical_paths, analytics.flaky_jobs_daily, analytics.job_failures_daily, analytics.jobs, analytics.organizations,
  analytics.pipelines, analytics.queue_costs_daily, analytics.rebuilds, analytics.rollup_days, analytics.trigger_edges,
  analytics.trunk_recoveries
  to buildkite_reconciler;

-- Who signs in to the private listener, and what they do there.
grant select, insert, delete on sync.sessions to buildkite_reconciler;
grant insert on sync.audit_log to buildkite_reconciler;
grant usage on sequence sync.audit_log_id_seq to buildkite_reconciler;
