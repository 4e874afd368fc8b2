create or replace view sync.last_heard as
select organization.id as organization_id, coalesce(
  greatest(reached.watermark, (select max(delivery.received_at) from sync.deliveries as delivery)),
  (select max(build.finished_at) from buildkite.builds as build)
) as heard_at
from buildkite.organizations as organization
left join sync.watermarks as reached on reached.organization_id = organization.id;

comment on view sync.last_heard is 'Until when it is known that open jobs are open and connected agents are connected, by organization.';
comment on column sync.last_heard.organization_id is 'organizations.id.';
comment on column sync.last_heard.heard_at is 'The later of the watermark and the last received delivery of any organization; without both, the last finish of a build.';
