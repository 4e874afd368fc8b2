-- Reads the mirror, the analytics and how they are filled, of all pipelines. No payload of a delivery, no queue, no secret.
grant usage on schema analytics, buildkite, drizzle, settings, sync to buildkite_reader;
grant select on drizzle.__drizzle_migrations to buildkite_reader;
grant select on
  sync.agent_days, sync.budgets, sync.buildkite_clock, sync.builds_found, sync.cluster_rates,
  sync.compatibility, sync.counted_jobs, sync.cycles, sync.definitions, sync.deployment, sync.drift, sync.failed_deliveries,
  sync.failures, sync.findings, sync.first_results, sync.hidden_stops, sync.job_counts, sync.job_histograms, sync.job_reads, sync.jobs_found,
  sync.last_heard, sync.leases, sync.metric_queues, sync.minutes_hours, sync.open_work,
  sync.pauses, sync.pipeline_changes, sync.pipeline_coverage, sync.queue_gauges, sync.queue_hours, sync.reference_item_syncs,
  sync.reference_syncs, sync.rollups, sync.stale_days, sync.stale_history, sync.unlisted_builds,
  sync.user_identities, sync.watermarks, sync.windows
  to buildkite_reader;
grant select
  (id, key, event, request_id, received_at, observed_at, status, attempts, error, enqueued_at, applied_at, failed_at, next_try_at)
  on sync.deliveries to buildkite_reader;
do $$
declare
  relation regclass;
begin
  for relation in
    select oid from pg_class where relkind in ('r', 'v') and pg_has_role(current_user, relowner, 'usage')
      and relnamespace in ('analytics'::regnamespace, 'buildkite'::regnamespace, 'settings'::regnamespace)
  loop
    execute format('grant select on %s to buildkite_reader', relation);
  end loop;
end $$;
-- For tables and views of later versions.
alter default privileges in schema analytics, buildkite, settings grant select on tables to buildkite_reader;
