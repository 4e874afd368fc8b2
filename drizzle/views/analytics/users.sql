create or replace view analytics.users as
select person.id, person.name, person.email, person.emails, person.usernames, person.is_member,
  array(
    select distinct team.slug from buildkite.team_members as member join buildkite.teams as team on team.id = member.team_id
    where member.user_id = person.id and member.deleted_at is null and team.deleted_at is null order by team.slug
  ) as teams,
  person.last_seen_at, person.changed_at,
  person.key
from buildkite.users as person;

comment on view analytics.users is 'People, combined from creators, authors, unblockers and members by id and e-mail address.';
comment on column analytics.users.id is 'Buildkite''s UUID of the user; null for an author without an account in Buildkite.';
comment on column analytics.users.name is 'Name.';
comment on column analytics.users.email is 'E-mail address.';
comment on column analytics.users.emails is 'All e-mail addresses under which the person was seen.';
comment on column analytics.users.usernames is 'User names under which the person was seen as an author.';
comment on column analytics.users.is_member is 'Whether a list of members holds the person at present.';
comment on column analytics.users.teams is 'Slugs of the teams that the person is in.';
comment on column analytics.users.last_seen_at is 'When the person last created, wrote or unblocked something.';
comment on column analytics.users.changed_at is 'When the row last changed in the mirror; indexed below, for incremental loads.';
comment on column analytics.users.key is 'The key of a person, because id is null for some. Two people who turn out to be one get one key, so load users completely.';
