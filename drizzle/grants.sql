-- The role buildkite_reader may read everything in sync, except the payloads of deliveries, sessions and the audit log. In the other schemas it gets each new table and
-- view by default privileges. The role is missing if the user that migrates may not create roles.
do $$
begin
  if not exists (select from pg_roles where rolname = 'buildkite_reader') then
    return;
  end if;
  grant select on
    sync.branch_durations_daily_now, sync.budgets, sync.build_results_daily_now, sync.buildkite_clock,
    sync.builds_found, sync.cluster_rates, sync.compatibility, sync.cycles, sync.definitions, sync.deployment,
    sync.drift, sync.failures, sync.findings, sync.job_reads, sync.jobs_found, sync.leases, sync.pauses,
    sync.pipeline_changes, sync.pipeline_coverage, sync.pipeline_durations_daily_now, sync.reference_item_syncs,
    sync.reference_syncs, sync.rollups, sync.stale_days, sync.stale_history, sync.trunk_health_daily_now,
    sync.unlisted_builds, sync.user_identities, sync.watermarks, sync.windows
    to buildkite_reader;
  grant select
    (id, key, event, request_id, received_at, observed_at, status, attempts, error, enqueued_at, applied_at, failed_at, next_try_at)
    on sync.deliveries to buildkite_reader;
end $$;
