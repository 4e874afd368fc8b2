create or replace view analytics.dora_weekly as
select
  date_trunc('week', deployed.deployed_at at time zone 'UTC')::date as week,
  deployed.service,
  deployed.environment,
  count(*) as deployments,
  count(*) filter (where not deployed.success) as failed,
  count(*) filter (where not deployed.success)::double precision / count(*) as change_failure_rate,
  percentile_disc(0.5) within group (order by analytics.whole_seconds(analytics.seconds(deployed.deployed_at, restored.at)))::double precision as p50_seconds_to_restore,
  (percentile_disc(0.5) within group (order by analytics.whole_seconds(analytics.seconds(deployed.committed_at, deployed.deployed_at)))
    filter (where deployed.success))::double precision as p50_lead_seconds,
  deployed.organization_id,
  max(organization.slug) as organization,
  count(*) filter (where not coalesce(deployed.first_success, deployed.success)) as first_failed,
  count(*) filter (where not coalesce(deployed.first_success, deployed.success))::double precision / count(*) as first_change_failure_rate
from analytics.deployments as deployed
left join buildkite.organizations as organization on organization.id = deployed.organization_id
left join lateral (
  select next.deployed_at as at from analytics.deployments as next
  where not deployed.success and next.success and next.deployed_at > deployed.deployed_at
    and next.organization_id = deployed.organization_id and next.service = deployed.service and next.environment = deployed.environment
    -- The first of a row of failures is the one that is restored.
    and (
      select before.success from analytics.deployments as before
      where before.organization_id = deployed.organization_id and before.service = deployed.service
        and before.environment = deployed.environment and before.deployed_at < deployed.deployed_at
      order by before.deployed_at desc limit 1
    ) is distinct from false
  order by next.deployed_at limit 1
) as restored on true
group by 1, 2, 3, 9;

comment on view analytics.dora_weekly is 'Deployment frequency, change failure rate, time to restore and lead time by organization, service, environment and week (Monday, UTC), from analytics.deployments. A failed deployment counts as a failed change; practice also counts incidents, which Buildkite does not know. Restored by the next deployment of the same service that succeeded, counted from the first of a row of failures.';
comment on column analytics.dora_weekly.week is 'The Monday that the week (UTC) begins with.';
comment on column analytics.dora_weekly.service is 'Service: of the rule, otherwise the pipeline''s slug.';
comment on column analytics.dora_weekly.environment is 'Environment, of the rule.';
comment on column analytics.dora_weekly.deployments is 'How many.';
comment on column analytics.dora_weekly.failed is 'How many failed.';
comment on column analytics.dora_weekly.change_failure_rate is 'Failed deployments divided by all, 0 to 1.';
comment on column analytics.dora_weekly.p50_seconds_to_restore is 'Median of the seconds from the first failed deployment of a spell to the next that succeeded.';
comment on column analytics.dora_weekly.p50_lead_seconds is 'Median of the seconds from the commit''s author date to its successful deployment; null if Buildkite has no date.';
comment on column analytics.dora_weekly.organization_id is 'organizations.id.';
comment on column analytics.dora_weekly.organization is 'Slug of the organization, at present.';
comment on column analytics.dora_weekly.first_failed is 'How many failed at the first try, also those that a retry turned into a success.';
comment on column analytics.dora_weekly.first_change_failure_rate is 'Deployments that failed at the first try, divided by all, 0 to 1.';
