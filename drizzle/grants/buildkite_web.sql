-- Receives webhooks: inserts into the inbox, and may have failed deliveries applied again. It reads no payload, no job and no person, and
-- writes no row of the mirror.
grant usage on schema analytics, buildkite, drizzle, sync to buildkite_web;
grant insert (key, event, request_id, received_at, observed_at, payload, error, enqueued_at), update (status, enqueued_at),
  select (id, key, event, request_id, received_at, observed_at, status, attempts, error, enqueued_at, applied_at, failed_at, next_try_at)
  on sync.deliveries to buildkite_web;
grant usage on sequence sync.deliveries_id_seq to buildkite_web;
grant select on sync.buildkite_clock to buildkite_web;

-- Where its queue is, and whether the schema is current.
grant select, update (addresses) on sync.deployment to buildkite_web;
grant select on sync.compatibility, sync.definitions, drizzle.__drizzle_migrations to buildkite_web;
-- Whose names it must not store.
grant select on sync.erased_people to buildkite_web;

-- The status page, metrics, and the pause of a backfill.
grant select on
  analytics.data_coverage, buildkite.organizations,
  sync.budgets, sync.cycles, sync.drift, sync.failed_deliveries, sync.failures, sync.findings,
  sync.job_histograms, sync.leases, sync.pipeline_coverage, sync.queue_gauges, sync.reference_syncs, sync.stale_days, sync.watermarks, sync.windows
  to buildkite_web;
grant select, insert, delete on sync.pauses to buildkite_web;
grant select (id, organization_id, number, state, created_at, web_url, first_seen_via, observed_at, verified_at, deleted_at)
  on buildkite.builds to buildkite_web;
grant select (id, organization_id, slug, deleted_at) on buildkite.pipelines to buildkite_web;

-- Who signs in to the private listener, and what they do there.
grant select, insert, delete on sync.sessions to buildkite_web;
grant insert on sync.audit_log to buildkite_web;
grant usage on sequence sync.audit_log_id_seq to buildkite_web;
