-- Receives webhooks. It inserts into the inbox, and reads no payload and no row of a build, a job or a person.
grant usage on schema buildkite, drizzle, sync to buildkite_web;
grant insert (key, event, request_id, received_at, observed_at, payload, enqueued_at),
  select (id, key, event, request_id, received_at, observed_at, status, attempts, error, enqueued_at, applied_at, failed_at, next_try_at),
  update (enqueued_at)
  on sync.deliveries to buildkite_web;
grant usage on sequence sync.deliveries_id_seq to buildkite_web;
-- Where its queue is, and Buildkite's time.
grant select, update (addresses) on sync.deployment to buildkite_web;
grant select on sync.buildkite_clock, sync.compatibility, sync.definitions, drizzle.__drizzle_migrations to buildkite_web;
