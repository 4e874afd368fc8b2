create or replace view analytics.dora_weekly as
select
  counted.week, counted.service, counted.environment, counted.deployments, counted.failed, counted.change_failure_rate,
  counted.p50_seconds_to_restore, counted.p50_lead_seconds, counted.organization_id, counted.organization,
  counted.first_failed, counted.first_change_failure_rate,
  counted.deployments / 7.0::double precision as deployment_frequency,
  brought.p50_change_lead_seconds,
  brought.commits,
  brought.commits_with_time,
  counted.change_fails,
  counted.change_fails::double precision / counted.deployments as change_fail_rate,
  counted.first_change_fails::double precision / counted.deployments as first_change_fail_rate,
  counted.p50_recovery_seconds,
  counted.reworks,
  counted.reworks::double precision / counted.deployments as deployment_rework_rate,
  counted.failures_from
from (
  select
    date_trunc('week', deployed_at at time zone 'UTC')::date as week, service, environment, organization_id, organization, failures_from,
    count(*) as deployments,
    count(*) filter (where not success) as failed,
    count(*) filter (where not success)::double precision / count(*) as change_failure_rate,
    percentile_disc(0.5) within group (order by analytics.whole_seconds(analytics.seconds(deployed_at, restored_at)))::double precision as p50_seconds_to_restore,
    (percentile_disc(0.5) within group (order by analytics.whole_seconds(analytics.seconds(committed_at, deployed_at)))
      filter (where success))::double precision as p50_lead_seconds,
    count(*) filter (where not first_success) as first_failed,
    count(*) filter (where not first_success)::double precision / count(*) as first_change_failure_rate,
    count(*) filter (where outcome.failed) as change_fails,
    count(*) filter (where outcome.first_failed) as first_change_fails,
    percentile_disc(0.5) within group (order by analytics.whole_seconds(recovery_seconds))::double precision as p50_recovery_seconds,
    count(*) filter (where is_rework) as reworks
  from analytics.deployment_outcomes as outcome
  group by 1, 2, 3, 4, 5, 6
) as counted
cross join lateral (
  select percentile_disc(0.5) within group (order by analytics.whole_seconds(lead_seconds))::double precision as p50_change_lead_seconds,
    count(*) as commits, count(committed_at) as commits_with_time
  from analytics.deployed_commits
  where organization_id = counted.organization_id and service = counted.service and environment = counted.environment
    and deployed_at >= counted.week::timestamp at time zone 'UTC' and deployed_at < (counted.week + 7)::timestamp at time zone 'UTC'
) as brought
union all
select
  calendar.week, known.service, known.environment, 0, 0, null, null, null, known.organization_id, organization.slug, 0, null, 0, null, 0, 0, 0, null, null,
  null, 0, null,
  decided.failures_from
from (
  select organization_id, service, environment, min(deployed_at) as first_deployed_at, min(id) as deployment_id
  from analytics.deployments group by 1, 2, 3
) as known
cross join lateral (
  select failures_from from analytics.deployment_outcomes where deployment_outcomes.deployment_id = known.deployment_id limit 1
) as decided
left join buildkite.organizations as organization on organization.id = known.organization_id
cross join lateral (
  select week::date from generate_series(
    date_trunc('week', known.first_deployed_at at time zone 'UTC'),
    (select max(created_at) from buildkite.builds where organization_id = known.organization_id) at time zone 'UTC',
    interval '7 days'
  ) as week
) as calendar
where not exists (
  select from analytics.deployments as deployed
  where date_trunc('week', deployed.deployed_at at time zone 'UTC')::date = calendar.week and deployed.service = known.service
    and deployed.environment = known.environment
    -- Unlike "is not distinct from", this can be hashed.
    and coalesce(deployed.organization_id, '00000000-0000-0000-0000-000000000000') = coalesce(known.organization_id, '00000000-0000-0000-0000-000000000000')
);

comment on view analytics.dora_weekly is 'DORA''s five metrics by organization, service, environment and week (Monday, UTC): deployment frequency, change lead time, failed deployment recovery time, change fail rate and deployment rework rate. From deployment_outcomes and deployed_commits. Weeks without deployments have a row too, from a service''s first deployment to the organization''s newest build. change_failure_rate, p50_seconds_to_restore and p50_lead_seconds go by the deployments alone, whatever the incidents say.';
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
comment on column analytics.dora_weekly.deployment_frequency is 'Deployments a day: deployments divided by 7.';
comment on column analytics.dora_weekly.p50_change_lead_seconds is 'Change lead time: median of the seconds from commit to deployment, over the commits that the week''s successful deployments brought, in whole seconds.';
comment on column analytics.dora_weekly.commits is 'Commits that they brought, as far as builds show them.';
comment on column analytics.dora_weekly.commits_with_time is 'Those whose commit time is known, and which the lead time is over.';
comment on column analytics.dora_weekly.change_fails is 'Deployments that failed: by incidents, otherwise by their results.';
comment on column analytics.dora_weekly.change_fail_rate is 'Change fail rate: change_fails divided by deployments, 0 to 1.';
comment on column analytics.dora_weekly.first_change_fail_rate is 'Deployments that failed at the first try or caused an incident, divided by deployments, 0 to 1.';
comment on column analytics.dora_weekly.p50_recovery_seconds is 'Failed deployment recovery time: median over the week''s failed deployments, in whole seconds.';
comment on column analytics.dora_weekly.reworks is 'Unplanned deployments that followed a failure.';
comment on column analytics.dora_weekly.deployment_rework_rate is 'Deployment rework rate: reworks divided by deployments, 0 to 1.';
comment on column analytics.dora_weekly.failures_from is 'incidents or deployments: what decides the five columns before.';
