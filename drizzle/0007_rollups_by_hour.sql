alter table sync.stale_days add column hour smallint, add column only_deployments boolean not null default false;--> statement-breakpoint
comment on table sync.stale_days is 'Hours and days whose rows in the rollup tables are stale. Triggers on builds and jobs add them, sync.refresh_marked_day() rebuilds and deletes them.';--> statement-breakpoint
comment on column sync.stale_days.hour is 'Hour of the day, from 0 to 23; null: the whole day.';--> statement-breakpoint
comment on column sync.stale_days.only_deployments is 'Whether only analytics.deployments is stale.';--> statement-breakpoint
alter table sync.stale_history add column only_deployments boolean not null default false;--> statement-breakpoint
comment on column sync.stale_history.only_deployments is 'Whether the change affects only analytics.deployments, such as a changed rule. Ignored with pipeline_id.';--> statement-breakpoint

create table analytics.builds_hourly (
  hour timestamptz not null,
  organization_id uuid,
  pipeline_id uuid,
  branch text,
  passed bigint not null,
  failed bigint not null,
  canceled bigint not null,
  skipped bigint not null,
  blocked bigint not null,
  first_failed bigint not null,
  passed_on_retry bigint not null,
  run_ms bigint not null,
  run_histogram integer[] not null,
  passed_run_histogram integer[] not null,
  first_run_histogram integer[] not null,
  wait_histogram integer[] not null,
  commits text[] not null,
  red_commits text[] not null,
  last_build_number bigint,
  last_result text
);--> statement-breakpoint
create index builds_hourly_hour on analytics.builds_hourly (hour);--> statement-breakpoint
create index builds_hourly_pipeline on analytics.builds_hourly (pipeline_id, hour);--> statement-breakpoint
comment on table analytics.builds_hourly is 'Builds by pipeline, branch and the hour (UTC) in which they finished, as counts and histograms. The daily tables of builds are merged from it. Histograms merge over any span: analytics.percentile(analytics.merge_histograms(run_histogram), 0.9). A rollup table.';--> statement-breakpoint
comment on column analytics.builds_hourly.hour is 'Start of the hour.';--> statement-breakpoint
comment on column analytics.builds_hourly.organization_id is 'organizations.id.';--> statement-breakpoint
comment on column analytics.builds_hourly.pipeline_id is 'pipelines.id.';--> statement-breakpoint
comment on column analytics.builds_hourly.branch is 'Branch.';--> statement-breakpoint
comment on column analytics.builds_hourly.passed is 'How many passed.';--> statement-breakpoint
comment on column analytics.builds_hourly.failed is 'How many failed.';--> statement-breakpoint
comment on column analytics.builds_hourly.canceled is 'How many were canceled.';--> statement-breakpoint
comment on column analytics.builds_hourly.skipped is 'How many were skipped or not run.';--> statement-breakpoint
comment on column analytics.builds_hourly.blocked is 'How many wait at a gate.';--> statement-breakpoint
comment on column analytics.builds_hourly.first_failed is 'How many of passed and failed builds failed at the first attempt.';--> statement-breakpoint
comment on column analytics.builds_hourly.passed_on_retry is 'How many failed at the first attempt and passed in the end.';--> statement-breakpoint
comment on column analytics.builds_hourly.run_ms is 'Milliseconds that passed and failed builds ran, in total.';--> statement-breakpoint
comment on column analytics.builds_hourly.run_histogram is 'Running time of passed and failed builds: whole seconds and how many builds, alternating.';--> statement-breakpoint
comment on column analytics.builds_hourly.passed_run_histogram is 'The same of passed builds.';--> statement-breakpoint
comment on column analytics.builds_hourly.first_run_histogram is 'The same of first attempts.';--> statement-breakpoint
comment on column analytics.builds_hourly.wait_histogram is 'Waits of passed and failed builds before the first start: whole seconds and how many builds, alternating.';--> statement-breakpoint
comment on column analytics.builds_hourly.commits is 'Distinct commits of passed and failed builds.';--> statement-breakpoint
comment on column analytics.builds_hourly.red_commits is 'Distinct commits of failed builds.';--> statement-breakpoint
comment on column analytics.builds_hourly.last_build_number is 'The highest number of a passed or failed build.';--> statement-breakpoint
comment on column analytics.builds_hourly.last_result is 'The result of that build.';--> statement-breakpoint

create table analytics.jobs_hourly (
  hour timestamptz not null,
  organization_id uuid,
  pipeline_id uuid,
  job text not null,
  tries bigint not null,
  passed bigint not null,
  soft_failed bigint not null,
  failed bigint not null,
  infra_lost bigint not null,
  timed_out bigint not null,
  expired bigint not null,
  canceled bigint not null,
  retried bigint not null,
  run_ms bigint not null,
  max_run_ms bigint,
  run_histogram integer[] not null,
  passed_run_histogram integer[] not null
);--> statement-breakpoint
create index jobs_hourly_hour on analytics.jobs_hourly (hour);--> statement-breakpoint
create index jobs_hourly_pipeline on analytics.jobs_hourly (pipeline_id, hour);--> statement-breakpoint
comment on table analytics.jobs_hourly is 'Tries of command jobs by pipeline, job and the hour (UTC) in which they ended, as counts and histograms. jobs_daily is merged from it. A rollup table.';--> statement-breakpoint
comment on column analytics.jobs_hourly.hour is 'Start of the hour.';--> statement-breakpoint
comment on column analytics.jobs_hourly.organization_id is 'organizations.id.';--> statement-breakpoint
comment on column analytics.jobs_hourly.pipeline_id is 'pipelines.id.';--> statement-breakpoint
comment on column analytics.jobs_hourly.job is 'Name of the job.';--> statement-breakpoint
comment on column analytics.jobs_hourly.tries is 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';--> statement-breakpoint
comment on column analytics.jobs_hourly.passed is 'How many passed.';--> statement-breakpoint
comment on column analytics.jobs_hourly.soft_failed is 'How many failed softly.';--> statement-breakpoint
comment on column analytics.jobs_hourly.failed is 'How many failed.';--> statement-breakpoint
comment on column analytics.jobs_hourly.infra_lost is 'How many failed because their agent or machine was lost.';--> statement-breakpoint
comment on column analytics.jobs_hourly.timed_out is 'How many timed out.';--> statement-breakpoint
comment on column analytics.jobs_hourly.expired is 'How many expired.';--> statement-breakpoint
comment on column analytics.jobs_hourly.canceled is 'How many were canceled.';--> statement-breakpoint
comment on column analytics.jobs_hourly.retried is 'How many were retried.';--> statement-breakpoint
comment on column analytics.jobs_hourly.run_ms is 'Milliseconds that they ran, in total.';--> statement-breakpoint
comment on column analytics.jobs_hourly.max_run_ms is 'Milliseconds that the longest one ran.';--> statement-breakpoint
comment on column analytics.jobs_hourly.run_histogram is 'Running time: whole seconds and how many tries, alternating.';--> statement-breakpoint
comment on column analytics.jobs_hourly.passed_run_histogram is 'The same of passed tries.';--> statement-breakpoint

create type sync.command_try as (
  organization_id uuid, pipeline_id uuid, branch text, agent_id uuid, agent_name text, cluster_id uuid, queue text, job text, result text,
  retried boolean, build_canceled boolean, rebuilt boolean, lost_webhook boolean,
  started_at timestamptz, finished_at timestamptz, expired_at timestamptz, ended_at timestamptz,
  run_ms bigint, wait_ms bigint, concurrency_wait_ms bigint
);--> statement-breakpoint
comment on type sync.command_try is 'A try of a command job, with what the rollups need of it: see sync.tries_of_hour().';--> statement-breakpoint

create table sync.minutes_hours (
  hour timestamptz not null,
  organization_id uuid,
  pipeline_id uuid,
  branch text,
  queue text not null,
  cluster_id uuid,
  tries bigint not null,
  run_ms bigint not null,
  infra_lost_ms bigint not null,
  canceled_ms bigint not null,
  retried_ms bigint not null,
  rebuilt_ms bigint not null
);--> statement-breakpoint
create index minutes_hours_hour on sync.minutes_hours (hour);--> statement-breakpoint
comment on table sync.minutes_hours is 'The rows of analytics.minutes_daily by the hour (UTC) in which jobs ended. A rollup table.';--> statement-breakpoint
comment on column sync.minutes_hours.hour is 'Start of the hour.';--> statement-breakpoint
comment on column sync.minutes_hours.organization_id is 'organizations.id.';--> statement-breakpoint
comment on column sync.minutes_hours.pipeline_id is 'pipelines.id.';--> statement-breakpoint
comment on column sync.minutes_hours.branch is 'Branch.';--> statement-breakpoint
comment on column sync.minutes_hours.queue is 'Queue.';--> statement-breakpoint
comment on column sync.minutes_hours.cluster_id is 'clusters.id.';--> statement-breakpoint
comment on column sync.minutes_hours.tries is 'How many tries of jobs ended.';--> statement-breakpoint
comment on column sync.minutes_hours.run_ms is 'Milliseconds that they ran.';--> statement-breakpoint
comment on column sync.minutes_hours.infra_lost_ms is 'Of tries that lost their agent or machine.';--> statement-breakpoint
comment on column sync.minutes_hours.canceled_ms is 'Of the others, in canceled builds or canceled themselves.';--> statement-breakpoint
comment on column sync.minutes_hours.retried_ms is 'Of the others, retried.';--> statement-breakpoint
comment on column sync.minutes_hours.rebuilt_ms is 'Of the others, in builds that were rebuilt.';--> statement-breakpoint

create table sync.queue_hours (
  started_hour timestamptz not null,
  hour timestamptz not null,
  organization_id uuid,
  cluster_id uuid,
  queue text not null,
  started bigint not null,
  wait_ms bigint not null,
  max_wait_ms bigint,
  wait_histogram integer[] not null,
  concurrency_wait_ms bigint not null,
  busy_ms bigint not null
);--> statement-breakpoint
create index queue_hours_started_hour on sync.queue_hours (started_hour);--> statement-breakpoint
create index queue_hours_hour on sync.queue_hours (hour);--> statement-breakpoint
comment on table sync.queue_hours is 'What the jobs that started in an hour (UTC) add to that hour and later ones, by queue. analytics.queue_waits_hourly and queue_waits_daily are merged from it. A rollup table.';--> statement-breakpoint
comment on column sync.queue_hours.started_hour is 'Start of the hour in which the jobs started.';--> statement-breakpoint
comment on column sync.queue_hours.hour is 'Start of the hour in which they ran.';--> statement-breakpoint
comment on column sync.queue_hours.organization_id is 'organizations.id.';--> statement-breakpoint
comment on column sync.queue_hours.cluster_id is 'clusters.id.';--> statement-breakpoint
comment on column sync.queue_hours.queue is 'Queue.';--> statement-breakpoint
comment on column sync.queue_hours.started is 'How many started in the hour: 0 in later ones.';--> statement-breakpoint
comment on column sync.queue_hours.wait_ms is 'Milliseconds that they waited for an agent, in total.';--> statement-breakpoint
comment on column sync.queue_hours.max_wait_ms is 'The longest wait.';--> statement-breakpoint
comment on column sync.queue_hours.wait_histogram is 'Waits for an agent: whole seconds and how many jobs, alternating.';--> statement-breakpoint
comment on column sync.queue_hours.concurrency_wait_ms is 'Milliseconds that they waited for concurrency groups, in total.';--> statement-breakpoint
comment on column sync.queue_hours.busy_ms is 'Milliseconds that they ran within the hour, in total.';--> statement-breakpoint

create table sync.agent_days (
  started_hour timestamptz not null,
  day date not null,
  organization_id uuid,
  agent_id uuid not null,
  queue text not null,
  agent_name text,
  tries bigint not null,
  busy_ms bigint not null,
  infra_lost bigint not null
);--> statement-breakpoint
create index agent_days_started_hour on sync.agent_days (started_hour);--> statement-breakpoint
create index agent_days_day on sync.agent_days (day);--> statement-breakpoint
comment on table sync.agent_days is 'What the jobs that started in an hour (UTC) add to the days of their agents. analytics.agents_daily is merged from it. A rollup table.';--> statement-breakpoint
comment on column sync.agent_days.started_hour is 'Start of the hour in which the jobs started, or ended without a start.';--> statement-breakpoint
comment on column sync.agent_days.day is 'Day in UTC.';--> statement-breakpoint
comment on column sync.agent_days.organization_id is 'organizations.id.';--> statement-breakpoint
comment on column sync.agent_days.agent_id is 'agents.id.';--> statement-breakpoint
comment on column sync.agent_days.queue is 'Queue.';--> statement-breakpoint
comment on column sync.agent_days.agent_name is 'Name of the agent.';--> statement-breakpoint
comment on column sync.agent_days.tries is 'Jobs that ended on the day.';--> statement-breakpoint
comment on column sync.agent_days.busy_ms is 'Milliseconds that jobs ran on the day, in total.';--> statement-breakpoint
comment on column sync.agent_days.infra_lost is 'How many of them failed because their agent or machine was lost.';--> statement-breakpoint

alter table analytics.pipeline_durations_daily add column run_histogram integer[], add column passed_run_histogram integer[],
  add column first_run_histogram integer[], add column wait_histogram integer[];--> statement-breakpoint
comment on column analytics.pipeline_durations_daily.run_histogram is 'Running time: whole seconds and how many builds, alternating.';--> statement-breakpoint
comment on column analytics.pipeline_durations_daily.passed_run_histogram is 'The same of passed builds.';--> statement-breakpoint
comment on column analytics.pipeline_durations_daily.first_run_histogram is 'The same of first attempts.';--> statement-breakpoint
comment on column analytics.pipeline_durations_daily.wait_histogram is 'Waits before the first start: whole seconds and how many builds, alternating.';--> statement-breakpoint
alter table analytics.branch_durations_daily add column run_histogram integer[], add column passed_run_histogram integer[];--> statement-breakpoint
comment on column analytics.branch_durations_daily.run_histogram is 'Running time: whole seconds and how many builds, alternating.';--> statement-breakpoint
comment on column analytics.branch_durations_daily.passed_run_histogram is 'The same of passed builds.';--> statement-breakpoint
alter table analytics.jobs_daily add column run_histogram integer[], add column passed_run_histogram integer[];--> statement-breakpoint
comment on column analytics.jobs_daily.run_histogram is 'Running time: whole seconds and how many tries, alternating.';--> statement-breakpoint
comment on column analytics.jobs_daily.passed_run_histogram is 'The same of passed tries.';--> statement-breakpoint
alter table analytics.queue_waits_daily add column wait_histogram integer[];--> statement-breakpoint
comment on column analytics.queue_waits_daily.wait_histogram is 'Waits: whole seconds and how many jobs, alternating.';--> statement-breakpoint
alter table analytics.queue_waits_hourly add column wait_histogram integer[];--> statement-breakpoint
comment on column analytics.queue_waits_hourly.wait_histogram is 'Waits: whole seconds and how many jobs, alternating.';--> statement-breakpoint

drop view if exists sync.pipeline_durations_daily_now, sync.branch_durations_daily_now, sync.build_results_daily_now, sync.trunk_health_daily_now;--> statement-breakpoint
delete from sync.definitions where name like 'views/sync/%\_daily\_now.sql';--> statement-breakpoint
insert into sync.stale_history (since) select '-infinity' where exists (select from buildkite.builds);
