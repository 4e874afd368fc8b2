create or replace view analytics.deployment_services as
select
  deployed.deployment_service_id as id,
  deployed.service as name,
  deployed.service as identifier,
  deployed.organization_id,
  organization.slug as organization
from (
  select distinct organization_id, service, analytics.stable_id(concat(organization_id, ':', service)) as deployment_service_id
  from analytics.deployments
) as deployed
left join buildkite.organizations as organization on organization.id = deployed.organization_id;

comment on view analytics.deployment_services is 'Services that were deployed, in the shape of DX''s table of that name (two columns of our own at the end). One row for each service of an organization.';
comment on column analytics.deployment_services.id is 'deployments.deployment_service_id. Always the same for an organization and a service.';
comment on column analytics.deployment_services.name is 'deployments.service.';
comment on column analytics.deployment_services.identifier is 'As name.';
comment on column analytics.deployment_services.organization_id is 'organizations.id. Ours, not DX''s.';
comment on column analytics.deployment_services.organization is 'Slug of the organization, at present. Ours, not DX''s.';
