create or replace view analytics.webhook_loss as
select
  coalesce(built.hour, ran.hour) as hour,
  coalesce(built.organization_id, ran.organization_id) as organization_id,
  coalesce(built.builds, 0) as builds,
  coalesce(built.builds_lost, 0) as builds_lost,
  coalesce(ran.jobs, 0) as jobs,
  coalesce(ran.jobs_lost, 0) as jobs_lost
from (
  select found.hour, found.organization_id, found.builds, found.builds_lost
  from sync.builds_found as found where found.hour >= (select date_trunc('hour', min(received_at), 'UTC') from sync.deliveries)
) as built
full join (
  select found.hour, found.organization_id, found.jobs, found.jobs_lost
  from sync.jobs_found as found where found.hour >= (select date_trunc('hour', min(received_at), 'UTC') from sync.deliveries)
) as ran on ran.hour = built.hour and ran.organization_id = built.organization_id;

comment on view analytics.webhook_loss is 'Builds and jobs, by hour (UTC) of creation or start, that REST showed first although webhooks were on: no webhook had come after 10 s. Counts since the oldest webhook that is still stored. Hours that a backfill read look like loss too, if webhooks of another organization came then.';
comment on column analytics.webhook_loss.hour is 'Start of the hour.';
comment on column analytics.webhook_loss.organization_id is 'organizations.id.';
comment on column analytics.webhook_loss.builds is 'Builds created in the hour.';
comment on column analytics.webhook_loss.builds_lost is 'Builds that REST showed first, more than 10 s after they were created.';
comment on column analytics.webhook_loss.jobs is 'Command jobs that started in the hour.';
comment on column analytics.webhook_loss.jobs_lost is 'Those that REST showed first, more than 10 s after they started.';
