create or replace view analytics.organizations as
select id, slug as organization, name, web_url, created_at, changed_at, deleted_at
from buildkite.organizations;

comment on view analytics.organizations is 'Organizations that the mirror has seen.';
comment on column analytics.organizations.id is 'Buildkite''s UUID.';
comment on column analytics.organizations.organization is 'Slug, at present.';
comment on column analytics.organizations.name is 'Name.';
comment on column analytics.organizations.web_url is 'Address in the browser.';
comment on column analytics.organizations.created_at is 'When it was created.';
comment on column analytics.organizations.changed_at is 'When the row last changed in the mirror; indexed below, for incremental loads.';
comment on column analytics.organizations.deleted_at is 'When the mirror noticed that Buildkite no longer shows it; null: Buildkite shows it.';
