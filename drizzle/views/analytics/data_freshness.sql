create or replace view analytics.data_freshness as
select
  organization.id as organization_id,
  organization.slug as organization,
  reached.watermark,
  cycle.finished_at as last_cycle_at,
  analytics.seconds(cycle.finished_at, now()) as seconds_since_last_cycle,
  webhook.received_at as last_webhook_at,
  webhook.lag_seconds as last_webhook_lag_seconds,
  (select count(*) from sync.deliveries as delivery where delivery.status = 'pending') as pending_webhooks,
  (select count(*) from sync.deliveries as delivery where delivery.status = 'failed') as failed_webhooks,
  (select count(*) from buildkite.builds as build where build.organization_id = organization.id
    and build.state in ('creating', 'scheduled', 'running', 'failing', 'canceling') and build.deleted_at is null) as open_builds,
  (select count(*) from buildkite.builds as build where build.organization_id = organization.id
    and (build.verified_at is null or build.observed_at > build.verified_at) and build.deleted_at is null) as provisional_builds,
  (select refreshed_at from sync.rollups where name = 'days') as rollups_refreshed_at,
  (select count(distinct day) from sync.stale_days) as rollup_days_stale
from buildkite.organizations as organization
left join sync.watermarks as reached on reached.organization_id = organization.id
left join lateral (
  select done.finished_at from sync.cycles as done
  where done.organization_id = organization.id and done.kind = 'hot' and done.finished_at is not null and done.error is null
  order by done.started_at desc limit 1
) as cycle on true
left join lateral (
  select delivery.received_at, analytics.seconds(delivery.received_at, delivery.applied_at) as lag_seconds
  from sync.deliveries as delivery where delivery.applied_at is not null order by delivery.received_at desc limit 1
) as webhook on true;

comment on view analytics.data_freshness is 'How far behind the mirror is, by organization. Webhook figures are of all organizations together.';
comment on column analytics.data_freshness.organization_id is 'organizations.id.';
comment on column analytics.data_freshness.organization is 'Slug of the organization, at present.';
comment on column analytics.data_freshness.watermark is 'Everything created or finished before it is verified.';
comment on column analytics.data_freshness.last_cycle_at is 'When the last hot cycle succeeded.';
comment on column analytics.data_freshness.seconds_since_last_cycle is 'Seconds since then.';
comment on column analytics.data_freshness.last_webhook_at is 'When the last applied webhook was received.';
comment on column analytics.data_freshness.last_webhook_lag_seconds is 'Seconds from its receipt to its rows.';
comment on column analytics.data_freshness.pending_webhooks is 'Deliveries received and not yet applied.';
comment on column analytics.data_freshness.failed_webhooks is 'Deliveries that failed and are not retried (see replay).';
comment on column analytics.data_freshness.open_builds is 'Builds that are not finished.';
comment on column analytics.data_freshness.provisional_builds is 'Builds that a webhook changed after the last REST read.';
comment on column analytics.data_freshness.rollups_refreshed_at is 'When the rollup tables were last checked for stale days.';
comment on column analytics.data_freshness.rollup_days_stale is 'Days whose rollup rows are stale.';
