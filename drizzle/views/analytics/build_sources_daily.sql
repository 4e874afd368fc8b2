create or replace view analytics.build_sources_daily as
select
  (build.created_at at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  build.source,
  lower(coalesce(nullif(build.creator_email, ''), nullif(build.author_email, ''))) as person_email,
  count(*) as builds
from buildkite.builds as build
group by 1, 2, 3, 4, 5;

comment on view analytics.build_sources_daily is 'What creates builds, and for which person, by day (UTC) of creation. Sources: webhook, api, ui, trigger_job or schedule.';
comment on column analytics.build_sources_daily.day is 'Day in UTC.';
comment on column analytics.build_sources_daily.organization_id is 'organizations.id.';
comment on column analytics.build_sources_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.build_sources_daily.source is 'What created the build: webhook, api, ui, trigger_job, schedule.';
comment on column analytics.build_sources_daily.person_email is 'E-mail address of the creator, otherwise of the commit''s author.';
comment on column analytics.build_sources_daily.builds is 'How many builds.';
