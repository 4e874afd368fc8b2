-- "offset 0" makes Postgres ask each of these questions once.
create or replace view analytics.deployment_outcomes as
with incidents as materialized (
  select incident.organization, incident.service, incident.environment, incident.started_at, incident.resolved_at,
    named.id as cause, named.organization_id as cause_organization_id, named.service as cause_service, named.environment as cause_environment
  from settings.incidents as incident
  left join analytics.deployments as named on named.id = incident.deployment_id
)
select
  deployed.id as deployment_id,
  deployed.organization_id,
  organization.slug as organization,
  deployed.service,
  deployed.environment,
  deployed.deployed_at,
  deployed.success,
  coalesce(deployed.first_success, deployed.success) as first_success,
  case when known.has_incidents then 'incidents' else 'deployments' end as failures_from,
  case when known.has_incidents then caused.incidents > 0 else not deployed.success end as failed,
  case when known.has_incidents then caused.incidents > 0 else false end or not coalesce(deployed.first_success, deployed.success) as first_failed,
  case when known.has_incidents then caused.resolved_at when not deployed.success and before.success is distinct from false then next.at end as recovered_at,
  case
    when known.has_incidents then analytics.seconds(caused.started_at, caused.resolved_at)
    when not deployed.success and before.success is distinct from false then analytics.seconds(deployed.deployed_at, next.at)
  end as recovery_seconds,
  case when known.has_incidents then caused.is_rework else coalesce(not before.success, false) end as is_rework,
  case when not deployed.success and before.success is distinct from false then next.at end as restored_at,
  deployed.committed_at
from analytics.deployments as deployed
left join buildkite.organizations as organization on organization.id = deployed.organization_id
cross join lateral (
  select exists (
    select from incidents as incident
    where incident.service = deployed.service and incident.environment = deployed.environment and incident.organization in ('*', organization.slug)
      or incident.cause_service = deployed.service and incident.cause_environment = deployed.environment
        and incident.cause_organization_id is not distinct from deployed.organization_id
  ) as has_incidents offset 0
) as known
left join lateral (
  select earlier.success from analytics.deployments as earlier
  where earlier.organization_id = deployed.organization_id and earlier.service = deployed.service
    and earlier.environment = deployed.environment and earlier.deployed_at < deployed.deployed_at
  order by earlier.deployed_at desc, earlier.id desc limit 1
) as before on true
left join lateral (
  select later.deployed_at as at from analytics.deployments as later
  where later.success and later.organization_id = deployed.organization_id and later.service = deployed.service
    and later.environment = deployed.environment and later.deployed_at > deployed.deployed_at
  order by later.deployed_at limit 1
) as next on true
cross join lateral (
  select
    count(*) filter (where blamed.on_this) as incidents,
    min(blamed.started_at) filter (where blamed.on_this) as started_at,
    case when bool_and(blamed.resolved_at is not null) filter (where blamed.on_this) then max(blamed.resolved_at) filter (where blamed.on_this) end as resolved_at,
    coalesce(bool_or(blamed.started_at < deployed.deployed_at and coalesce(deployed.deployed_at <= blamed.resolved_at, true))
      filter (where blamed.is_of_service and not blamed.on_this), false) as is_rework
  from (
    select incident.started_at, incident.resolved_at, belongs.is_of_service,
      case
        when incident.cause is not null then incident.cause = deployed.id
        else belongs.is_of_service and deployed.success and incident.started_at >= deployed.deployed_at and coalesce(incident.started_at < next.at, true)
          and not exists (
            select from analytics.deployments as twin
            where twin.success and twin.organization_id = deployed.organization_id and twin.service = deployed.service
              and twin.environment = deployed.environment and twin.deployed_at = deployed.deployed_at and twin.id > deployed.id
          )
      end as on_this
    from incidents as incident
    cross join lateral (
      select coalesce(incident.service = deployed.service and incident.environment = deployed.environment
        and incident.organization in ('*', organization.slug), false) as is_of_service
    ) as belongs
    where known.has_incidents and (belongs.is_of_service or incident.cause = deployed.id)
    offset 0
  ) as blamed
) as caused;

comment on view analytics.deployment_outcomes is 'What became of each deployment: whether it failed, when the service had recovered, and whether it was rework. For a service and environment with incidents in settings.incidents, these decide. Otherwise the results of the deployments do.';
comment on column analytics.deployment_outcomes.deployment_id is 'deployments.id.';
comment on column analytics.deployment_outcomes.organization_id is 'organizations.id.';
comment on column analytics.deployment_outcomes.organization is 'Slug of the organization, at present.';
comment on column analytics.deployment_outcomes.service is 'Service: of the rule, otherwise the pipeline''s slug.';
comment on column analytics.deployment_outcomes.environment is 'Environment, of the rule.';
comment on column analytics.deployment_outcomes.deployed_at is 'When the deployment ended.';
comment on column analytics.deployment_outcomes.success is 'Whether its last try succeeded.';
comment on column analytics.deployment_outcomes.first_success is 'Whether its first try succeeded.';
comment on column analytics.deployment_outcomes.failures_from is 'incidents or deployments: what decides whether it failed.';
comment on column analytics.deployment_outcomes.failed is 'Whether it caused an incident; without incidents, whether it did not succeed.';
comment on column analytics.deployment_outcomes.first_failed is 'Whether it failed at the first try, or caused an incident.';
comment on column analytics.deployment_outcomes.recovered_at is 'When its incidents were resolved; without incidents, when the next deployment succeeded. Null for a failure after a failure, and if it has not recovered.';
comment on column analytics.deployment_outcomes.recovery_seconds is 'Seconds from the first incident, otherwise from the failed deployment, to recovered_at.';
comment on column analytics.deployment_outcomes.is_rework is 'Whether it was deployed during an incident that another deployment caused; without incidents, whether the deployment before it failed.';
comment on column analytics.deployment_outcomes.restored_at is 'When the next deployment succeeded, whatever the incidents say; null unless this is the first failure after a success.';
comment on column analytics.deployment_outcomes.committed_at is 'Author date of the deployed commit, from any of its builds; null if none has it.';
