create or replace view analytics.flaky_jobs_daily as
select
  (coalesce(first.finished_at, first.expired_at) at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  analytics.job_name(first.name, first.label, first.step_key, first.command) as job,
  count(*) as retried,
  count(*) filter (where tried.result = 'passed') as flaky,
  sum(tried.wasted_seconds) as wasted_seconds
from buildkite.jobs as first
join buildkite.builds as build on build.id = first.build_id
cross join lateral (
  with recursive tries as (
    select first.id, first.retried_in_job_id, 1 as try
    union all
    select next.id, next.retried_in_job_id, tries.try + 1
    from tries join buildkite.jobs as next on next.id = tries.retried_in_job_id
    where tries.try < 1000
  )
  select
    (array_agg(ended.result order by tries.try desc))[1] as result,
    bool_or(ended.failed and not ended.is_last) as failed_before,
    sum(analytics.seconds(job.started_at, job.finished_at)) filter (where ended.failed and not ended.is_last) as wasted_seconds
  from tries
  join buildkite.jobs as job on job.id = tries.id
  cross join lateral (
    select said.result, said.result in ('failed', 'soft_failed', 'timed_out') as failed, tries.retried_in_job_id is null as is_last
    from (select analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) as result) as said
  ) as ended
) as tried
where first.retried_in_job_id is not null and tried.failed_before
  and not exists (select from buildkite.jobs as earlier where earlier.retried_in_job_id = first.id)
group by 1, 2, 3, 4;

comment on view analytics.flaky_jobs_daily is 'Jobs that failed and were tried again in the same build, so on the same commit, by the day (UTC) their first try finished or expired; flaky are those whose last try passed. A soft failure counts as a failure here. A lost agent makes no job flaky.';
comment on column analytics.flaky_jobs_daily.day is 'Day in UTC.';
comment on column analytics.flaky_jobs_daily.organization_id is 'organizations.id.';
comment on column analytics.flaky_jobs_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.flaky_jobs_daily.job is 'Name of the job, as people read it.';
comment on column analytics.flaky_jobs_daily.retried is 'Jobs that failed in a try and were tried again.';
comment on column analytics.flaky_jobs_daily.flaky is 'Those whose last try passed.';
comment on column analytics.flaky_jobs_daily.wasted_seconds is 'Seconds that the failed tries before the last took.';
