create or replace view analytics.flaky_commits_daily as
select
  (created_at at time zone 'UTC')::date as day,
  organization_id,
  pipeline_id,
  job,
  count(*) as repeated,
  count(*) filter (where flaky) as flaky,
  count(*) filter (where flaky)::double precision / count(*) as flaky_rate
from analytics.job_repeats
group by 1, organization_id, pipeline_id, job;

comment on view analytics.flaky_commits_daily is 'How often a job passed in one build of a commit and failed in another, by the day (UTC) of the commit''s first build: the jobs of job_repeats.';
comment on column analytics.flaky_commits_daily.day is 'Day in UTC.';
comment on column analytics.flaky_commits_daily.organization_id is 'organizations.id.';
comment on column analytics.flaky_commits_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.flaky_commits_daily.job is 'Name of the job, as people read it.';
comment on column analytics.flaky_commits_daily.repeated is 'Commits for which it had a result in at least two builds; each part of a matrix or parallel step counts.';
comment on column analytics.flaky_commits_daily.flaky is 'Those for which it passed in one and failed in another.';
comment on column analytics.flaky_commits_daily.flaky_rate is 'flaky divided by repeated, 0 to 1.';
