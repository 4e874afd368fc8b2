-- Applies deliveries to the mirror, and refreshes the rollups.
grant usage on schema analytics, buildkite, drizzle, settings, sync to buildkite_worker;
grant select, insert, update, delete on buildkite.build_attempts, sync.deliveries, sync.failures to buildkite_worker;
grant select, insert, update on
  buildkite.agent_connections, buildkite.agents, buildkite.builds, buildkite.jobs, buildkite.organization_slugs, buildkite.organizations,
  buildkite.pipeline_slugs, buildkite.pipelines
  to buildkite_worker;
grant usage on sequence sync.deliveries_id_seq, sync.failures_id_seq to buildkite_worker;
-- Deletes old rows, which it locks first.
grant select, update, delete on
  sync.audit_log, sync.budgets, sync.cycles, sync.drift, sync.reference_item_syncs, sync.sessions
  to buildkite_worker;

-- Refreshes the rollups.
grant select, insert, update, delete on
  analytics.agents_daily, analytics.agents_hourly, analytics.branch_durations_daily, analytics.build_minutes_hourly, analytics.build_results_daily,
  analytics.builds_hourly, analytics.deployments, analytics.job_minutes_hourly, analytics.jobs_daily, analytics.jobs_hourly, analytics.minutes_daily,
  analytics.pipeline_durations_daily, analytics.queue_depths, analytics.queue_waits_daily, analytics.queue_waits_hourly, analytics.trunk_health_daily,
  buildkite.users, sync.agent_days, sync.builds_found, sync.counted_jobs, sync.job_counts, sync.jobs_found, sync.minutes_hours, sync.metric_queues, sync.open_work, sync.queue_hours, sync.rollups,
  sync.stale_days, sync.stale_history, sync.user_identities
  to buildkite_worker;
grant select on
  analytics.agents, analytics.attempt_runs, analytics.queues_now, buildkite.cluster_queues, buildkite.members, settings.deployment_rules, sync.last_heard
  to buildkite_worker;
grant usage on sequence sync.stale_history_id_seq to buildkite_worker;

-- Where its queue is, and whether the schema is current.
grant select, update (addresses) on sync.deployment to buildkite_worker;
grant select on sync.compatibility, sync.definitions, drizzle.__drizzle_migrations to buildkite_worker;
-- Whose names it must not store.
grant select on sync.erased_people to buildkite_worker;

-- The status page, metrics, and the pause of a backfill.
grant select on
  analytics.data_coverage, buildkite.organizations, buildkite.pipelines,
  sync.budgets, sync.cycles, sync.drift, sync.failed_deliveries, sync.failures, sync.findings,
  sync.job_histograms, sync.leases, sync.pipeline_coverage, sync.queue_gauges, sync.reference_syncs, sync.stale_days, sync.watermarks, sync.windows
  to buildkite_worker;
grant select, insert, delete on sync.pauses to buildkite_worker;

-- The pages under /explore, whose totals by day and hour are granted above.
grant select on
  analytics.approvals, analytics.build_attempts, analytics.build_costs, analytics.builds, analytics.clusters, analytics.costs_daily,
  analytics.critical_paths, analytics.flaky_jobs_daily, analytics.job_failures_daily, analytics.jobs, analytics.organizations,
  analytics.pipelines, analytics.queue_costs_daily, analytics.rebuilds, analytics.rollup_days, analytics.trigger_edges,
  analytics.trunk_recoveries
  to buildkite_worker;

-- Who signs in to the private listener, and what they do there.
grant select, insert, delete on sync.sessions to buildkite_worker;
grant insert on sync.audit_log to buildkite_worker;
grant usage on sequence sync.audit_log_id_seq to buildkite_worker;
