create or replace view analytics.teams as
select team.id, team.organization_id, organization.slug as organization, team.slug as team, team.name, team.description, team.privacy,
  team.default as is_default, lower(team.created_by_email) as created_by_email, team.created_at, team.changed_at, team.deleted_at
from buildkite.teams as team
left join buildkite.organizations as organization on organization.id = team.organization_id;

comment on view analytics.teams is 'Teams, also deleted ones. pipelines.teams and users.teams have their slugs.';
comment on column analytics.teams.id is 'Buildkite''s UUID.';
comment on column analytics.teams.organization_id is 'organizations.id.';
comment on column analytics.teams.organization is 'Slug of the organization, at present.';
comment on column analytics.teams.team is 'Slug, at present.';
comment on column analytics.teams.name is 'Name.';
comment on column analytics.teams.description is 'Free text.';
comment on column analytics.teams.privacy is 'visible or secret.';
comment on column analytics.teams.is_default is 'Whether new users join it.';
comment on column analytics.teams.created_by_email is 'E-mail address of who created it, in lower case.';
comment on column analytics.teams.created_at is 'When it was created.';
comment on column analytics.teams.changed_at is 'When the row last changed in the mirror, for incremental loads.';
comment on column analytics.teams.deleted_at is 'When the mirror noticed that Buildkite no longer lists it; null: Buildkite lists it.';
