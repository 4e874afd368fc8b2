create or replace view analytics.reference_syncs as
select organization.slug as organization, listed.organization_id, listed.name, listed.status, listed.rows, listed.read_at, listed.error
from sync.reference_syncs as listed left join buildkite.organizations as organization on organization.id = listed.organization_id;

comment on view analytics.reference_syncs is 'When each list of reference data (clusters, teams, members, ...) was last read, and why one was not: for example, the token lacks a scope.';
comment on column analytics.reference_syncs.organization is 'Slug of the organization, at present.';
comment on column analytics.reference_syncs.organization_id is 'organizations.id.';
comment on column analytics.reference_syncs.name is 'The list: clusters, cluster_queues, teams, ...';
comment on column analytics.reference_syncs.status is 'read, missing_scope, refused or off.';
comment on column analytics.reference_syncs.rows is 'Rows in the list.';
comment on column analytics.reference_syncs.read_at is 'When it was last read completely.';
comment on column analytics.reference_syncs.error is 'Why the list could not be read; null if it was read.';
