create or replace view analytics.cancellations_daily as
select
  (build.created_at at time zone 'UTC')::date as day,
  build.organization_id,
  build.pipeline_id,
  build.state as result,
  build.cancel_reason,
  count(*) as builds,
  coalesce(sum((select sum(analytics.seconds(job.started_at, job.finished_at)) from buildkite.jobs as job
    where job.build_id = build.id and job.type = 'script')), 0) / 60 as minutes
from buildkite.builds as build
where analytics.build_result(build.state, build.blocked) in ('canceled', 'skipped')
group by 1, 2, 3, 4, 5;

comment on view analytics.cancellations_daily is 'Builds canceled or skipped, and the minutes their command jobs had run, by reason and the day (UTC) they were created.';
comment on column analytics.cancellations_daily.day is 'Day in UTC.';
comment on column analytics.cancellations_daily.organization_id is 'organizations.id.';
comment on column analytics.cancellations_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.cancellations_daily.result is 'canceled or skipped.';
comment on column analytics.cancellations_daily.cancel_reason is 'Why it was canceled or skipped, as Buildkite says.';
comment on column analytics.cancellations_daily.builds is 'How many builds.';
comment on column analytics.cancellations_daily.minutes is 'Minutes that their command jobs had run.';
