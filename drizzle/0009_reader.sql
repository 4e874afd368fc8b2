-- A role for people who query: it reads the mirror, the views and what tells how complete they are, and nothing else: not the payloads of
-- deliveries, not the queue. It cannot log in by itself: grant buildkite_reader to your_analyst;
do $$
begin
  if not exists (select from pg_roles where rolname = 'buildkite_reader') then
    create role buildkite_reader nologin;
  end if;
exception
  when insufficient_privilege then
    raise notice 'The role buildkite_reader was not created: this user may not create roles. See the README for the grants.';
  -- Another database of the same server was migrated at the same moment.
  when duplicate_object or unique_violation then null;
end $$;

do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant usage on schema buildkite, analytics, settings, sync to buildkite_reader;
    grant select on all tables in schema buildkite, analytics, settings to buildkite_reader;
    alter default privileges in schema buildkite grant select on tables to buildkite_reader;
    alter default privileges in schema analytics grant select on tables to buildkite_reader;
    alter default privileges in schema settings grant select on tables to buildkite_reader;
    grant select on sync.cycles, sync.windows, sync.watermarks, sync.drift, sync.absences, sync.dimensions, sync.rollups, sync.stale_days to buildkite_reader;
    grant select (id, key, event, request_id, received_at, observed_at, status, attempts, error, enqueued_at, applied_at, failed_at)
      on sync.deliveries to buildkite_reader;
  end if;
end $$;
