-- The tables as migrations 0000 to 0028 left them; git has those. A database with all of them gets this one recorded, not run: see
-- src/database/replaced-migrations.ts. Views, functions, triggers and the grants in sync follow from their own files.

-- A role for people who query. It cannot log in: grant buildkite_reader to your_analyst;
do $$
begin
  if not exists (select from pg_roles where rolname = 'buildkite_reader') then
    create role buildkite_reader nologin;
  end if;
exception
  when insufficient_privilege then
    raise notice 'The role buildkite_reader was not created: this user may not create roles. See the README for the grants.';
  -- Another database of the same server was migrated at the same moment.
  when duplicate_object or unique_violation then null;
end $$;--> statement-breakpoint

create schema analytics;
comment on schema analytics is 'For analysts: views over the mirror, and rollup tables. Names, results and times mean the same in all of them. Days and hours are UTC.';
create schema buildkite;
comment on schema buildkite is 'The mirror: a row for each object of Buildkite, with Buildkite''s ids and field names. A nested object becomes a prefix (creator_id, creator_name). Rows are never deleted: see deleted_at.';
create schema settings;
comment on schema settings is 'Settings that you make in SQL: which builds are deployments, what agents cost.';
create schema sync;
comment on schema sync is 'How the mirror is filled: webhook deliveries, reconcile cycles, backfill windows, watermarks. Shows how complete the mirror is.';--> statement-breakpoint

do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant usage on schema analytics, buildkite, settings, sync to buildkite_reader;
    alter default privileges in schema analytics grant select on tables to buildkite_reader;
    alter default privileges in schema buildkite grant select on tables to buildkite_reader;
    alter default privileges in schema settings grant select on tables to buildkite_reader;
  end if;
end $$;--> statement-breakpoint

-- Compiling the plan of a view takes longer than running most of them.
do $$
begin
  execute format('alter database %I set jit = off', current_database());
exception
  when insufficient_privilege then
    raise notice 'This user may not set jit = off for the database: views of analytics may be slower than necessary.';
end $$;--> statement-breakpoint

create table analytics.agents_daily (
  day date not null,
  organization_id uuid,
  agent_id uuid not null,
  agent_name text,
  queue text not null,
  tries bigint not null,
  busy_seconds double precision not null,
  infra_lost bigint not null
);
create index agents_daily_day on analytics.agents_daily (day);
comment on table analytics.agents_daily is 'What each agent did on a day (UTC): jobs finished, time busy, jobs lost. A job of more than a day is counted on its first and last day. A rollup table.';
comment on column analytics.agents_daily.day is 'Day in UTC.';
comment on column analytics.agents_daily.organization_id is 'organizations.id.';
comment on column analytics.agents_daily.agent_id is 'agents.id.';
comment on column analytics.agents_daily.agent_name is 'Name of the agent.';
comment on column analytics.agents_daily.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.agents_daily.tries is 'Jobs that finished.';
comment on column analytics.agents_daily.busy_seconds is 'Seconds that jobs ran, in total.';
comment on column analytics.agents_daily.infra_lost is 'How many failed because their agent or machine was lost.';--> statement-breakpoint

create table analytics.branch_durations_daily (
  day date,
  organization_id uuid,
  pipeline_id uuid,
  branch text,
  builds bigint,
  passed bigint,
  mean_seconds double precision,
  p50_seconds double precision,
  p75_seconds double precision,
  p90_seconds double precision,
  p95_seconds double precision,
  passed_p50_seconds double precision,
  passed_p90_seconds double precision
);
create index branch_durations_daily_day on analytics.branch_durations_daily (day);
create index branch_durations_daily_pipeline on analytics.branch_durations_daily (pipeline_id, day);
comment on table analytics.branch_durations_daily is 'As pipeline_durations_daily, by branch. A rollup table.';
comment on column analytics.branch_durations_daily.day is 'Day in UTC.';
comment on column analytics.branch_durations_daily.organization_id is 'organizations.id.';
comment on column analytics.branch_durations_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.branch_durations_daily.branch is 'Branch.';
comment on column analytics.branch_durations_daily.builds is 'How many builds.';
comment on column analytics.branch_durations_daily.passed is 'How many passed.';
comment on column analytics.branch_durations_daily.mean_seconds is 'Mean, in seconds.';
comment on column analytics.branch_durations_daily.p50_seconds is 'Median, in seconds.';
comment on column analytics.branch_durations_daily.p75_seconds is '75th percentile, in seconds.';
comment on column analytics.branch_durations_daily.p90_seconds is '90th percentile, in seconds.';
comment on column analytics.branch_durations_daily.p95_seconds is '95th percentile, in seconds.';
comment on column analytics.branch_durations_daily.passed_p50_seconds is 'Median of those that passed, in seconds.';
comment on column analytics.branch_durations_daily.passed_p90_seconds is '90th percentile of those that passed, in seconds.';--> statement-breakpoint

create table analytics.build_results_daily (
  day date,
  organization_id uuid,
  pipeline_id uuid,
  finished bigint,
  passed bigint,
  failed bigint,
  canceled bigint,
  skipped bigint,
  first_failed bigint,
  passed_on_retry bigint,
  failure_rate double precision,
  first_failure_rate double precision,
  blocked bigint
);
create index build_results_daily_day on analytics.build_results_daily (day);
create index build_results_daily_pipeline on analytics.build_results_daily (pipeline_id, day);
comment on table analytics.build_results_daily is 'How builds ended, by pipeline and the day (UTC) they finished. Practice disagrees on retries: failure_rate is by the final result, first_failure_rate by the first (for a build that ran before the mirror existed: the last). Neither includes canceled and skipped builds, nor builds that wait at a gate: these are in blocked on the day they stopped. Builds that never finished count on the day they were created. A rollup table.';
comment on column analytics.build_results_daily.day is 'Day in UTC.';
comment on column analytics.build_results_daily.organization_id is 'organizations.id.';
comment on column analytics.build_results_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.build_results_daily.finished is 'How many passed or failed.';
comment on column analytics.build_results_daily.passed is 'How many passed.';
comment on column analytics.build_results_daily.failed is 'How many failed.';
comment on column analytics.build_results_daily.canceled is 'How many were canceled.';
comment on column analytics.build_results_daily.skipped is 'How many were skipped or not run.';
comment on column analytics.build_results_daily.first_failed is 'How many failed at the first attempt.';
comment on column analytics.build_results_daily.passed_on_retry is 'How many failed at the first attempt and passed in the end.';
comment on column analytics.build_results_daily.failure_rate is 'Failed by passed and failed, 0 to 1.';
comment on column analytics.build_results_daily.first_failure_rate is 'Failed at the first attempt by passed and failed, 0 to 1.';
comment on column analytics.build_results_daily.blocked is 'How many wait at a gate, in neither rate. Null on days that were not rebuilt since this column was added.';--> statement-breakpoint

create table analytics.deployments (
  id text primary key,
  reference_id text,
  service_id bigint,
  repository text,
  commit_sha text,
  attributed_at timestamptz,
  merge_commit_shas text[],
  environment text,
  deployed_at timestamptz not null,
  success boolean not null,
  service text,
  source_url text,
  source_name text,
  integration_branch text,
  deployment_inference_rule_id bigint,
  deployment_service_id bigint,
  organization_id uuid,
  pipeline_id uuid,
  committed_at timestamptz
);
create index deployments_commit on analytics.deployments (commit_sha);
create index deployments_deployed_at on analytics.deployments (deployed_at);
create index deployments_restored on analytics.deployments (organization_id, service, environment, deployed_at) where success;
create index deployments_service on analytics.deployments (organization_id, service, environment, deployed_at);
create index deployments_week on analytics.deployments (((date_trunc('week'::text, (deployed_at AT TIME ZONE 'UTC'::text)) AT TIME ZONE 'UTC'::text)));
comment on table analytics.deployments is 'Deployments in the shape of DX''s table of that name (three columns of our own at the end), found by the rules in settings.deployment_rules: builds, or the last tries of a step''s jobs, that ended in success or failure. Canceled, blocked and open ones do not count. A rule for a step creates one deployment for each of its jobs: for each part of a parallel step or a matrix, unless the rule''s pattern names one. A deployment that ran again has its last end. Without rules the table is empty. A rollup table, refreshed about 15 s after a change of a build, and for every day when a rule changes.';
comment on column analytics.deployments.id is 'Rule and build, or rule and job.';
comment on column analytics.deployments.reference_id is 'builds.id or jobs.id, as text.';
comment on column analytics.deployments.service_id is 'DX''s own id; always null here.';
comment on column analytics.deployments.repository is 'owner/name of the repository.';
comment on column analytics.deployments.commit_sha is 'Commit.';
comment on column analytics.deployments.attributed_at is 'As deployed_at.';
comment on column analytics.deployments.merge_commit_shas is 'The deployed commit. Which commits it brings is known to the repository only.';
comment on column analytics.deployments.environment is 'Environment, of the rule.';
comment on column analytics.deployments.deployed_at is 'When the deployment ended.';
comment on column analytics.deployments.success is 'Whether it succeeded.';
comment on column analytics.deployments.service is 'Service: of the rule, otherwise the pipeline''s slug.';
comment on column analytics.deployments.source_url is 'Address in the browser.';
comment on column analytics.deployments.source_name is 'Name of the pipeline.';
comment on column analytics.deployments.integration_branch is 'Default branch of the pipeline.';
comment on column analytics.deployments.deployment_inference_rule_id is 'settings.deployment_rules.id.';
comment on column analytics.deployments.deployment_service_id is 'DX''s own id; always null here.';
comment on column analytics.deployments.organization_id is 'organizations.id. Ours, not DX''s.';
comment on column analytics.deployments.pipeline_id is 'pipelines.id. Ours, not DX''s.';
comment on column analytics.deployments.committed_at is 'Author date of the commit, from any of its builds; null if none has it. Ours, not DX''s.';--> statement-breakpoint

create table analytics.jobs_daily (
  day date not null,
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
  mean_seconds double precision,
  p50_seconds double precision,
  p75_seconds double precision,
  p90_seconds double precision,
  p95_seconds double precision,
  max_seconds double precision,
  passed_p50_seconds double precision,
  passed_p90_seconds double precision,
  run_seconds double precision not null
);
create index jobs_daily_day on analytics.jobs_daily (day);
create index jobs_daily_pipeline on analytics.jobs_daily (pipeline_id, day);
comment on table analytics.jobs_daily is 'Command jobs by pipeline, job name and the day (UTC) they finished, counting every try except skipped and broken ones. A rollup table, refreshed about 15 s after a change. Percentiles are over all tries; passed_ over those that passed.';
comment on column analytics.jobs_daily.day is 'Day in UTC.';
comment on column analytics.jobs_daily.organization_id is 'organizations.id.';
comment on column analytics.jobs_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.jobs_daily.job is 'Name of the job, as people read it.';
comment on column analytics.jobs_daily.tries is 'How many tries of jobs.';
comment on column analytics.jobs_daily.passed is 'How many passed.';
comment on column analytics.jobs_daily.soft_failed is 'How many failed and were allowed to fail.';
comment on column analytics.jobs_daily.failed is 'How many failed.';
comment on column analytics.jobs_daily.infra_lost is 'How many failed because their agent or machine was lost.';
comment on column analytics.jobs_daily.timed_out is 'How many ran too long.';
comment on column analytics.jobs_daily.expired is 'How many no agent took.';
comment on column analytics.jobs_daily.canceled is 'How many were canceled.';
comment on column analytics.jobs_daily.retried is 'How many were tried again afterwards.';
comment on column analytics.jobs_daily.mean_seconds is 'Mean, in seconds.';
comment on column analytics.jobs_daily.p50_seconds is 'Median, in seconds.';
comment on column analytics.jobs_daily.p75_seconds is '75th percentile, in seconds.';
comment on column analytics.jobs_daily.p90_seconds is '90th percentile, in seconds.';
comment on column analytics.jobs_daily.p95_seconds is '95th percentile, in seconds.';
comment on column analytics.jobs_daily.max_seconds is 'Longest, in seconds.';
comment on column analytics.jobs_daily.passed_p50_seconds is 'Median of those that passed, in seconds.';
comment on column analytics.jobs_daily.passed_p90_seconds is '90th percentile of those that passed, in seconds.';
comment on column analytics.jobs_daily.run_seconds is 'Seconds of running, in total.';--> statement-breakpoint

create table analytics.minutes_daily (
  day date not null,
  organization_id uuid,
  pipeline_id uuid,
  branch text,
  queue text not null,
  tries bigint not null,
  minutes double precision not null,
  minutes_infra_lost double precision not null,
  minutes_canceled double precision not null,
  minutes_retried double precision not null,
  minutes_rebuilt double precision not null,
  cluster_id uuid
);
create index minutes_daily_day on analytics.minutes_daily (day);
create index minutes_daily_pipeline on analytics.minutes_daily (pipeline_id, day);
comment on table analytics.minutes_daily is 'Agent minutes of command jobs by pipeline, branch, cluster, queue and the day (UTC) they finished, and the part wasted, each minute under the first reason that applies: agent lost, canceled (the job or its build), retried, rebuilt. A rollup table.';
comment on column analytics.minutes_daily.day is 'Day in UTC.';
comment on column analytics.minutes_daily.organization_id is 'organizations.id.';
comment on column analytics.minutes_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.minutes_daily.branch is 'Branch.';
comment on column analytics.minutes_daily.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.minutes_daily.tries is 'How many tries of jobs.';
comment on column analytics.minutes_daily.minutes is 'Agent minutes.';
comment on column analytics.minutes_daily.minutes_infra_lost is 'Minutes of jobs whose agent was lost.';
comment on column analytics.minutes_daily.minutes_canceled is 'Minutes of jobs that were canceled or whose build was.';
comment on column analytics.minutes_daily.minutes_retried is 'Minutes of tries that another try replaced.';
comment on column analytics.minutes_daily.minutes_rebuilt is 'Minutes of builds that somebody rebuilt.';
comment on column analytics.minutes_daily.cluster_id is 'clusters.id; null outside clusters.';--> statement-breakpoint

create table analytics.pipeline_durations_daily (
  day date,
  organization_id uuid,
  pipeline_id uuid,
  builds bigint,
  passed bigint,
  mean_seconds double precision,
  p50_seconds double precision,
  p75_seconds double precision,
  p90_seconds double precision,
  p95_seconds double precision,
  passed_p50_seconds double precision,
  passed_p90_seconds double precision,
  first_p50_seconds double precision,
  first_p90_seconds double precision,
  wait_p50_seconds double precision
);
create index pipeline_durations_daily_day on analytics.pipeline_durations_daily (day);
create index pipeline_durations_daily_pipeline on analytics.pipeline_durations_daily (pipeline_id, day);
comment on table analytics.pipeline_durations_daily is 'How long builds ran, by pipeline and the day (UTC) they finished: the total of the attempts without pauses, as far as finishes were seen. For a build that ran before the mirror existed the API shows only the last. Practice disagrees on whether failures count: percentiles are over passed and failed builds; passed_ over passed ones only; first_ over first attempts only. A rollup table.';
comment on column analytics.pipeline_durations_daily.day is 'Day in UTC.';
comment on column analytics.pipeline_durations_daily.organization_id is 'organizations.id.';
comment on column analytics.pipeline_durations_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.pipeline_durations_daily.builds is 'How many builds.';
comment on column analytics.pipeline_durations_daily.passed is 'How many passed.';
comment on column analytics.pipeline_durations_daily.mean_seconds is 'Mean, in seconds.';
comment on column analytics.pipeline_durations_daily.p50_seconds is 'Median, in seconds.';
comment on column analytics.pipeline_durations_daily.p75_seconds is '75th percentile, in seconds.';
comment on column analytics.pipeline_durations_daily.p90_seconds is '90th percentile, in seconds.';
comment on column analytics.pipeline_durations_daily.p95_seconds is '95th percentile, in seconds.';
comment on column analytics.pipeline_durations_daily.passed_p50_seconds is 'Median of those that passed, in seconds.';
comment on column analytics.pipeline_durations_daily.passed_p90_seconds is '90th percentile of those that passed, in seconds.';
comment on column analytics.pipeline_durations_daily.first_p50_seconds is 'Median of first attempts, in seconds.';
comment on column analytics.pipeline_durations_daily.first_p90_seconds is '90th percentile of first attempts, in seconds.';
comment on column analytics.pipeline_durations_daily.wait_p50_seconds is 'Median of the wait from created to first started, in seconds.';--> statement-breakpoint

create table analytics.queue_waits_daily (
  day date not null,
  organization_id uuid,
  cluster_id uuid,
  queue text not null,
  started bigint not null,
  mean_seconds double precision,
  p50_seconds double precision,
  p75_seconds double precision,
  p90_seconds double precision,
  p95_seconds double precision,
  max_seconds double precision,
  concurrency_seconds double precision not null
);
create index queue_waits_daily_day on analytics.queue_waits_daily (day);
comment on table analytics.queue_waits_daily is 'Waits for an agent by queue and the day (UTC) the job started, from runnable_at to started_at. Waits for other steps or a concurrency group are not included. Only command jobs that started. A rollup table.';
comment on column analytics.queue_waits_daily.day is 'Day in UTC.';
comment on column analytics.queue_waits_daily.organization_id is 'organizations.id.';
comment on column analytics.queue_waits_daily.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.queue_waits_daily.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.queue_waits_daily.started is 'How many jobs started.';
comment on column analytics.queue_waits_daily.mean_seconds is 'Mean, in seconds.';
comment on column analytics.queue_waits_daily.p50_seconds is 'Median, in seconds.';
comment on column analytics.queue_waits_daily.p75_seconds is '75th percentile, in seconds.';
comment on column analytics.queue_waits_daily.p90_seconds is '90th percentile, in seconds.';
comment on column analytics.queue_waits_daily.p95_seconds is '95th percentile, in seconds.';
comment on column analytics.queue_waits_daily.max_seconds is 'Longest, in seconds.';
comment on column analytics.queue_waits_daily.concurrency_seconds is 'Seconds that these jobs waited for concurrency groups before, in total.';--> statement-breakpoint

create table analytics.queue_waits_hourly (
  hour timestamptz not null,
  organization_id uuid,
  cluster_id uuid,
  queue text not null,
  started bigint not null,
  p50_seconds double precision,
  p90_seconds double precision,
  p95_seconds double precision,
  max_seconds double precision,
  busy_seconds double precision not null
);
create index queue_waits_hourly_hour on analytics.queue_waits_hourly (hour);
comment on table analytics.queue_waits_hourly is 'As queue_waits_daily, by hour (UTC), with the time that the queue''s jobs ran in that hour. A job of more than a day is counted in the hours of its first and last day. A rollup table.';
comment on column analytics.queue_waits_hourly.hour is 'Start of the hour.';
comment on column analytics.queue_waits_hourly.organization_id is 'organizations.id.';
comment on column analytics.queue_waits_hourly.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.queue_waits_hourly.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.queue_waits_hourly.started is 'How many jobs started in the hour.';
comment on column analytics.queue_waits_hourly.p50_seconds is 'Median, in seconds.';
comment on column analytics.queue_waits_hourly.p90_seconds is '90th percentile, in seconds.';
comment on column analytics.queue_waits_hourly.p95_seconds is '95th percentile, in seconds.';
comment on column analytics.queue_waits_hourly.max_seconds is 'Longest, in seconds.';
comment on column analytics.queue_waits_hourly.busy_seconds is 'Seconds that jobs ran, in total.';--> statement-breakpoint

create table analytics.trunk_health_daily (
  day date,
  organization_id uuid,
  pipeline_id uuid,
  builds bigint,
  red_builds bigint,
  commits bigint,
  red_commits bigint,
  green_rate double precision,
  last_result text,
  blocked bigint
);
create index trunk_health_daily_day on analytics.trunk_health_daily (day);
create index trunk_health_daily_pipeline on analytics.trunk_health_daily (pipeline_id, day);
comment on table analytics.trunk_health_daily is 'The default branch by day (UTC): builds and commits that ended red. A build that waits at a gate has no colour and is counted in blocked only; if every good build waits at a gate, green_rate is that of the others. By the present default branch: after a rename all days are rebuilt, and earlier ones contain only what ran on a branch of the new name. A rollup table.';
comment on column analytics.trunk_health_daily.day is 'Day in UTC.';
comment on column analytics.trunk_health_daily.organization_id is 'organizations.id.';
comment on column analytics.trunk_health_daily.pipeline_id is 'pipelines.id.';
comment on column analytics.trunk_health_daily.builds is 'How many builds.';
comment on column analytics.trunk_health_daily.red_builds is 'Builds that failed.';
comment on column analytics.trunk_health_daily.commits is 'How many commits.';
comment on column analytics.trunk_health_daily.red_commits is 'Commits with a failed build.';
comment on column analytics.trunk_health_daily.green_rate is 'Passed by passed and failed, 0 to 1. Null if all wait at a gate.';
comment on column analytics.trunk_health_daily.last_result is 'Result of the day''s last build, by number.';
comment on column analytics.trunk_health_daily.blocked is 'How many wait at a gate and have no colour. Null on days that were not rebuilt since this column was added.';--> statement-breakpoint

create table buildkite.agents (
  id uuid primary key,
  organization_id uuid,
  graphql_id text,
  url text,
  web_url text,
  name text,
  connection_state text,
  hostname text,
  ip_address text,
  user_agent text,
  version text,
  os_id text,
  arch text,
  queue text,
  creator_id uuid,
  creator_name text,
  creator_email text,
  created_at timestamptz(3),
  connected_at timestamptz(3),
  disconnected_at timestamptz(3),
  lost_at timestamptz(3),
  stopped_at timestamptz(3),
  job_id uuid,
  last_job_finished_at timestamptz(3),
  priority integer,
  meta_data text[],
  paused boolean,
  paused_at timestamptz(3),
  paused_by_id uuid,
  paused_by_name text,
  paused_by_email text,
  paused_note text,
  paused_timeout_in_minutes integer,
  cluster_url text,
  cluster_queue_url text,
  observed_at timestamptz(3) not null,
  verified_at timestamptz(3),
  first_seen_at timestamptz(3) not null,
  first_seen_via text not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3),
  deleted_reason text,
  extra jsonb not null default '{}'
);
create index agents_changed_at on buildkite.agents (changed_at);
create index agents_organization_name on buildkite.agents (organization_id, name);
comment on table buildkite.agents is 'Agents that jobs and webhooks showed, each as last seen. Buildkite lists only connected ones, so this is the history of the agents that were seen, not a complete list.';
comment on column buildkite.agents.id is 'Buildkite''s UUID of the agent. A restarted agent is a new one.';
comment on column buildkite.agents.organization_id is 'organizations.id. Null until it is known to which organization the slug in its address belongs.';
comment on column buildkite.agents.graphql_id is 'The same object''s id in the GraphQL API.';
comment on column buildkite.agents.url is 'REST address.';
comment on column buildkite.agents.web_url is 'Address in the browser.';
comment on column buildkite.agents.name is 'Its name; not unique over time.';
comment on column buildkite.agents.connection_state is 'never_connected, connected, disconnected, stopping, stopped, lost; may grow. As of observed_at: an agent that left unseen still shows connected.';
comment on column buildkite.agents.hostname is 'Host it runs on.';
comment on column buildkite.agents.ip_address is 'Address it connects from.';
comment on column buildkite.agents.user_agent is 'Program and version, as the agent reports them.';
comment on column buildkite.agents.version is 'Version of the agent.';
comment on column buildkite.agents.os_id is 'Operating system, if known.';
comment on column buildkite.agents.arch is 'Processor architecture, if known.';
comment on column buildkite.agents.queue is 'Queue it serves.';
comment on column buildkite.agents.creator_id is 'UUID of the user whose token it uses, if known.';
comment on column buildkite.agents.creator_name is 'Name of that user.';
comment on column buildkite.agents.creator_email is 'Email of that user.';
comment on column buildkite.agents.created_at is 'When it registered (UTC).';
comment on column buildkite.agents.connected_at is 'When it connected (UTC).';
comment on column buildkite.agents.disconnected_at is 'When it disconnected (UTC).';
comment on column buildkite.agents.lost_at is 'When Buildkite marked it as lost (UTC).';
comment on column buildkite.agents.stopped_at is 'When it was requested to stop (UTC).';
comment on column buildkite.agents.job_id is 'jobs.id of the job that it ran when it was observed. Often outdated: for history use jobs.agent_id.';
comment on column buildkite.agents.last_job_finished_at is 'When its last job ended (UTC), as of observed_at.';
comment on column buildkite.agents.priority is 'Priority among agents: higher gets jobs sooner.';
comment on column buildkite.agents.meta_data is 'Its tags, each as key=value.';
comment on column buildkite.agents.paused is 'Whether it is paused: connected, but taking no jobs.';
comment on column buildkite.agents.paused_at is 'When it was paused (UTC).';
comment on column buildkite.agents.paused_by_id is 'UUID of the user who paused it.';
comment on column buildkite.agents.paused_by_name is 'Name of the user who paused it.';
comment on column buildkite.agents.paused_by_email is 'Email of the user who paused it.';
comment on column buildkite.agents.paused_note is 'Why it was paused.';
comment on column buildkite.agents.paused_timeout_in_minutes is 'After how many minutes the pause ends automatically.';
comment on column buildkite.agents.cluster_url is 'REST address of its cluster.';
comment on column buildkite.agents.cluster_queue_url is 'REST address of its queue.';
comment on column buildkite.agents.observed_at is 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';
comment on column buildkite.agents.verified_at is 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';
comment on column buildkite.agents.first_seen_at is 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';
comment on column buildkite.agents.first_seen_via is 'What first showed the object: webhook or rest.';
comment on column buildkite.agents.changed_at is 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';
comment on column buildkite.agents.deleted_at is 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';
comment on column buildkite.agents.deleted_reason is 'Why Buildkite no longer shows the object. not_found: a read of the object got a 404. not_listed: the complete list does not contain it. pipeline_not_listed: a build that was not found, whose pipeline is gone. May grow. Deletion, retention and lost access can look alike.';
comment on column buildkite.agents.extra is 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';--> statement-breakpoint

create table buildkite.annotations (
  id uuid primary key,
  build_id uuid not null,
  context text,
  style text,
  body_html text,
  created_at timestamptz(3),
  updated_at timestamptz(3),
  organization_id uuid not null,
  extra jsonb not null default '{}',
  first_seen_at timestamptz(3) not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3)
);
create index annotations_build_id on buildkite.annotations (build_id);
comment on table buildkite.annotations is 'Annotations of builds. Empty unless STORE_ANNOTATIONS is on.';
comment on column buildkite.annotations.id is 'Buildkite''s UUID.';
comment on column buildkite.annotations.build_id is 'builds.id.';
comment on column buildkite.annotations.context is 'What distinguishes it from the other annotations of the build.';
comment on column buildkite.annotations.style is 'success, info, warning or error.';
comment on column buildkite.annotations.body_html is 'Its text, as HTML.';
comment on column buildkite.annotations.created_at is 'When it was created.';
comment on column buildkite.annotations.updated_at is 'When it was last changed.';
comment on column buildkite.annotations.organization_id is 'organizations.id.';
comment on column buildkite.annotations.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.annotations.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.annotations.changed_at is 'When a column last changed, on the clock of Postgres; for incremental loads.';
comment on column buildkite.annotations.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';--> statement-breakpoint

create table buildkite.artifacts (
  id uuid primary key,
  build_id uuid not null,
  job_id uuid,
  state text,
  path text,
  dirname text,
  filename text,
  mime_type text,
  file_size text,
  sha1sum text,
  organization_id uuid not null,
  extra jsonb not null default '{}',
  first_seen_at timestamptz(3) not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3)
);
create index artifacts_build_id on buildkite.artifacts (build_id);
create index artifacts_job_id on buildkite.artifacts (job_id);
comment on table buildkite.artifacts is 'Artifacts of builds, without their content. Empty unless STORE_ARTIFACTS is on.';
comment on column buildkite.artifacts.id is 'Buildkite''s UUID.';
comment on column buildkite.artifacts.build_id is 'builds.id.';
comment on column buildkite.artifacts.job_id is 'jobs.id of the job that uploaded it.';
comment on column buildkite.artifacts.state is 'new, finished, error, deleted, ...';
comment on column buildkite.artifacts.path is 'Path, as uploaded.';
comment on column buildkite.artifacts.dirname is 'Folder part of the path.';
comment on column buildkite.artifacts.filename is 'Last part of the path.';
comment on column buildkite.artifacts.mime_type is 'Media type.';
comment on column buildkite.artifacts.file_size is 'Size in bytes.';
comment on column buildkite.artifacts.sha1sum is 'SHA-1 of its content.';
comment on column buildkite.artifacts.organization_id is 'organizations.id.';
comment on column buildkite.artifacts.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.artifacts.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.artifacts.changed_at is 'When a column last changed, on the clock of Postgres; for incremental loads.';
comment on column buildkite.artifacts.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';--> statement-breakpoint

create table buildkite.build_attempts (
  build_id uuid not null,
  finished_at timestamptz(3) not null,
  started_at timestamptz(3),
  state text,
  blocked boolean,
  blocked_state text,
  observed_at timestamptz(3) not null,
  first_seen_at timestamptz(3) not null,
  first_seen_via text not null,
  changed_at timestamptz(3) not null,
  constraint build_attempts_build_id_finished_at_pk primary key (build_id, finished_at)
);
create index build_attempts_changed_at on buildkite.build_attempts (changed_at);
create index build_attempts_finished_at on buildkite.build_attempts (finished_at);
comment on table buildkite.build_attempts is 'Each distinct finish of a build. A retry or an unblock begins the next attempt. The first attempt is what people waited for; the last is what builds shows. Only finishes that were seen: one that came and went between two reads while its webhook was lost is missing.';
comment on column buildkite.build_attempts.build_id is 'builds.id.';
comment on column buildkite.build_attempts.finished_at is 'When this attempt finished (UTC), or came to a block step when blocked is true.';
comment on column buildkite.build_attempts.started_at is 'When this attempt started (UTC), as the build said at its finish.';
comment on column buildkite.build_attempts.state is 'State at this finish. If blocked is true it is not a result.';
comment on column buildkite.build_attempts.blocked is 'True when the attempt ended at a block step: not finished, and not a success.';
comment on column buildkite.build_attempts.blocked_state is 'What the build counted as while blocked.';
comment on column buildkite.build_attempts.observed_at is 'When this finish was observed, on Buildkite''s clock.';
comment on column buildkite.build_attempts.first_seen_at is 'When the mirror first saw this finish.';
comment on column buildkite.build_attempts.first_seen_via is 'What first showed it: webhook or rest.';
comment on column buildkite.build_attempts.changed_at is 'When this row was last written, on the clock of Postgres. For incremental loads.';--> statement-breakpoint

create table buildkite.builds (
  id uuid primary key,
  organization_id uuid,
  pipeline_id uuid,
  graphql_id text,
  url text,
  web_url text,
  number bigint,
  state text,
  blocked boolean,
  blocked_state text,
  cancel_reason text,
  message text,
  commit text,
  branch text,
  tag text,
  source text,
  author_username text,
  author_name text,
  author_email text,
  author_date timestamptz(3),
  creator_id uuid,
  creator_graphql_id text,
  creator_name text,
  creator_email text,
  creator_avatar_url text,
  creator_created_at timestamptz(3),
  created_at timestamptz(3),
  scheduled_at timestamptz(3),
  started_at timestamptz(3),
  finished_at timestamptz(3),
  failing_at timestamptz(3),
  meta_data jsonb,
  env jsonb,
  pull_request_id text,
  pull_request_base text,
  pull_request_repository text,
  pull_request_labels text[],
  merge_queue_base_branch text,
  rebuilt_from_id uuid,
  rebuilt_from_number bigint,
  rebuilt_from_url text,
  triggered_from_build_id uuid,
  triggered_from_build_number bigint,
  triggered_from_build_pipeline_slug text,
  cluster_id uuid,
  cluster_url text,
  test_engine jsonb,
  observed_at timestamptz(3) not null,
  verified_at timestamptz(3),
  first_seen_at timestamptz(3) not null,
  first_seen_via text not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3),
  deleted_reason text,
  extra jsonb not null default '{}'
);
create index builds_branch on buildkite.builds (branch, created_at);
create index builds_changed_at on buildkite.builds (changed_at);
create index builds_commit on buildkite.builds (commit);
create index builds_created_at on buildkite.builds (created_at);
create index builds_created_day on buildkite.builds ((((created_at AT TIME ZONE 'UTC'::text))::date));
create index builds_ended_day on buildkite.builds ((((COALESCE(finished_at, created_at) AT TIME ZONE 'UTC'::text))::date));
create index builds_finished_at on buildkite.builds (finished_at);
create index builds_open on buildkite.builds (organization_id, created_at) where ((state = ANY (ARRAY['creating'::text, 'scheduled'::text, 'running'::text, 'failing'::text, 'canceling'::text])) AND (deleted_at IS NULL));
create index builds_organization_created_at on buildkite.builds (organization_id, created_at);
create index builds_organization_finished_at on buildkite.builds (organization_id, finished_at);
create index builds_pipeline_branch_number on buildkite.builds (pipeline_id, branch, number);
create index builds_pipeline_created_at on buildkite.builds (pipeline_id, created_at);
create index builds_pipeline_number on buildkite.builds (pipeline_id, number);
create index builds_provisional on buildkite.builds (organization_id, created_at) where (((verified_at IS NULL) OR (observed_at > verified_at)) AND (deleted_at IS NULL));
create index builds_pull_request on buildkite.builds (((pull_request_id)::integer)) where (pull_request_id ~ '^[0-9]{1,9}$'::text);
create index builds_rebuilt_from_id on buildkite.builds (rebuilt_from_id) where (rebuilt_from_id IS NOT NULL);
create index builds_triggered_from_build_id on buildkite.builds (triggered_from_build_id) where (triggered_from_build_id IS NOT NULL);
create index builds_without_organization on buildkite.builds (id) where (organization_id IS NULL);
create index builds_without_pipeline on buildkite.builds (id) where (pipeline_id IS NULL);
comment on table buildkite.builds is 'Builds in their present state. A finished build may run again: a retry or an unblock changes it back to running and overwrites started_at and finished_at. Its finishes are in build_attempts.';
comment on column buildkite.builds.id is 'Buildkite''s UUID of the build.';
comment on column buildkite.builds.organization_id is 'organizations.id. Null until it is known to which organization the slug in its address belongs.';
comment on column buildkite.builds.pipeline_id is 'pipelines.id. Null until it is known to which pipeline the slug in its address belongs.';
comment on column buildkite.builds.graphql_id is 'The same object''s id in the GraphQL API. Missing on builds before about 2019.';
comment on column buildkite.builds.url is 'REST address. Contains the slugs of the time at which it was sent.';
comment on column buildkite.builds.web_url is 'Address in the browser.';
comment on column buildkite.builds.number is 'Number within its pipeline, counting up, with gaps. With pipeline_id it identifies the build.';
comment on column buildkite.builds.state is 'creating, scheduled, running, passed, failing, failed, canceling, canceled, skipped, not_run; may grow. Never shows blocked: a build that waits at a block step keeps its last state, often passed, with blocked true. The effective state is case when blocked then ''blocked'' else state end.';
comment on column buildkite.builds.blocked is 'True while the build waits at a block step for someone. It is then neither finished nor a success, whatever state and finished_at show.';
comment on column buildkite.builds.blocked_state is 'What the build counts as while blocked: passed, failed or running; otherwise empty or null.';
comment on column buildkite.builds.cancel_reason is 'Why it was canceled, if Buildkite shows a reason.';
comment on column buildkite.builds.message is 'Usually the commit message. May be null.';
comment on column buildkite.builds.commit is 'Commit to build: a full SHA, or HEAD or a branch name until the build starts, when it becomes the SHA.';
comment on column buildkite.builds.branch is 'Branch built.';
comment on column buildkite.builds.tag is 'Tag built; null for most builds.';
comment on column buildkite.builds.source is 'What created it: webhook, api, ui, trigger_job, schedule; may grow.';
comment on column buildkite.builds.author_username is 'Commit author''s user name, if the source host shows it.';
comment on column buildkite.builds.author_name is 'Commit author''s name. The author wrote the commit; the creator started the build.';
comment on column buildkite.builds.author_email is 'Commit author''s email.';
comment on column buildkite.builds.author_date is 'When the commit was written, if known.';
comment on column buildkite.builds.creator_id is 'UUID of the Buildkite user who started the build; null for committers Buildkite does not know.';
comment on column buildkite.builds.creator_graphql_id is 'The creator''s id in the GraphQL API.';
comment on column buildkite.builds.creator_name is 'The creator''s name.';
comment on column buildkite.builds.creator_email is 'The creator''s email.';
comment on column buildkite.builds.creator_avatar_url is 'Address of the creator''s picture.';
comment on column buildkite.builds.creator_created_at is 'When the creator''s account was created.';
comment on column buildkite.builds.created_at is 'When it was created (UTC). Never changes; the order of Buildkite''s lists.';
comment on column buildkite.builds.scheduled_at is 'When it was scheduled (UTC). May be before created_at.';
comment on column buildkite.builds.started_at is 'When it last started (UTC). Changes when a build runs again, so it may be later than a job''s started_at. Null before, and for a build that is blocked at its first step.';
comment on column buildkite.builds.finished_at is 'When it last finished (UTC). A value does not mean that the build is finished: a blocked build has one too, and a retry clears or changes it. First and final finish: build_attempts.';
comment on column buildkite.builds.failing_at is 'When it was first known to fail (UTC); since June 2026. Never cleared, even if a retry passes.';
comment on column buildkite.builds.meta_data is 'Meta-data set by its steps: an object of strings. A change sends no webhook, so only REST shows it.';
comment on column buildkite.builds.env is 'Environment of the build. May hold secrets: null unless STORE_ENV is on. REST only.';
comment on column buildkite.builds.pull_request_id is 'Number of the pull request, as text; null outside pull requests.';
comment on column buildkite.builds.pull_request_base is 'Branch that the pull request goes into.';
comment on column buildkite.builds.pull_request_repository is 'Repository that the pull request comes from; a fork''s for forks.';
comment on column buildkite.builds.pull_request_labels is 'Labels of the pull request, if known.';
comment on column buildkite.builds.merge_queue_base_branch is 'Branch that the merge queue merges into; null outside merge queues.';
comment on column buildkite.builds.rebuilt_from_id is 'builds.id of the build that this one rebuilds. A rebuild is a new build; a retry is not.';
comment on column buildkite.builds.rebuilt_from_number is 'Number of that build.';
comment on column buildkite.builds.rebuilt_from_url is 'REST address of that build.';
comment on column buildkite.builds.triggered_from_build_id is 'builds.id of the build whose trigger step started this one.';
comment on column buildkite.builds.triggered_from_build_number is 'Number of that build.';
comment on column buildkite.builds.triggered_from_build_pipeline_slug is 'Slug of that build''s pipeline at the time.';
comment on column buildkite.builds.cluster_id is 'UUID of the cluster it ran in; null outside clusters.';
comment on column buildkite.builds.cluster_url is 'REST address of that cluster.';
comment on column buildkite.builds.test_engine is 'Test Engine runs of the build. Only a read of the single build contains them, so it is null for most.';
comment on column buildkite.builds.observed_at is 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';
comment on column buildkite.builds.verified_at is 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';
comment on column buildkite.builds.first_seen_at is 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';
comment on column buildkite.builds.first_seen_via is 'What first showed the object: webhook or rest.';
comment on column buildkite.builds.changed_at is 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';
comment on column buildkite.builds.deleted_at is 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';
comment on column buildkite.builds.deleted_reason is 'Why Buildkite no longer shows the object. deleted: a read of the build got a 404, although its pipeline exists and older builds are listed. retention: the same, it is at least 30 days old, and Buildkite lists no build as old. pipeline_not_listed: its pipeline is gone. hidden: its pipeline exists, but is hidden from the API token''s user.';
comment on column buildkite.builds.extra is 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';--> statement-breakpoint

create table buildkite.cluster_queues (
  id uuid primary key,
  cluster_id uuid not null,
  graphql_id text,
  key text,
  description text,
  dispatch_paused boolean,
  dispatch_paused_at timestamptz(3),
  dispatch_paused_note text,
  url text,
  web_url text,
  created_at timestamptz(3),
  created_by_id uuid,
  created_by_name text,
  created_by_email text,
  organization_id uuid not null,
  extra jsonb not null default '{}',
  first_seen_at timestamptz(3) not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3)
);
create index cluster_queues_cluster_id on buildkite.cluster_queues (cluster_id);
comment on table buildkite.cluster_queues is 'Queues of clusters. Read hourly when a token has read_clusters.';
comment on column buildkite.cluster_queues.id is 'Buildkite''s UUID.';
comment on column buildkite.cluster_queues.cluster_id is 'clusters.id.';
comment on column buildkite.cluster_queues.graphql_id is 'The same object''s id in the GraphQL API.';
comment on column buildkite.cluster_queues.key is 'Key: what agent query rules name.';
comment on column buildkite.cluster_queues.description is 'Free text, or null.';
comment on column buildkite.cluster_queues.dispatch_paused is 'Whether its agents get no jobs.';
comment on column buildkite.cluster_queues.dispatch_paused_at is 'Since when.';
comment on column buildkite.cluster_queues.dispatch_paused_note is 'Why, as the person who paused it wrote.';
comment on column buildkite.cluster_queues.url is 'REST address.';
comment on column buildkite.cluster_queues.web_url is 'Address in the browser.';
comment on column buildkite.cluster_queues.created_at is 'When it was created.';
comment on column buildkite.cluster_queues.created_by_id is 'Id of the person who created it.';
comment on column buildkite.cluster_queues.created_by_name is 'Name of the person who created it.';
comment on column buildkite.cluster_queues.created_by_email is 'E-mail address of the person who created it.';
comment on column buildkite.cluster_queues.organization_id is 'organizations.id.';
comment on column buildkite.cluster_queues.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.cluster_queues.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.cluster_queues.changed_at is 'When a column last changed, on the clock of Postgres; for incremental loads.';
comment on column buildkite.cluster_queues.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';--> statement-breakpoint

create table buildkite.clusters (
  id uuid primary key,
  graphql_id text,
  name text,
  description text,
  emoji text,
  color text,
  default_queue_id uuid,
  url text,
  web_url text,
  created_at timestamptz(3),
  created_by_id uuid,
  created_by_name text,
  created_by_email text,
  organization_id uuid not null,
  extra jsonb not null default '{}',
  first_seen_at timestamptz(3) not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3)
);
comment on table buildkite.clusters is 'Clusters. Read hourly when a token has read_clusters.';
comment on column buildkite.clusters.id is 'Buildkite''s UUID.';
comment on column buildkite.clusters.graphql_id is 'The same object''s id in the GraphQL API.';
comment on column buildkite.clusters.name is 'Name.';
comment on column buildkite.clusters.description is 'Free text, or null.';
comment on column buildkite.clusters.emoji is 'Emoji.';
comment on column buildkite.clusters.color is 'Colour, as a hex code.';
comment on column buildkite.clusters.default_queue_id is 'cluster_queues.id of the queue of agents that name none.';
comment on column buildkite.clusters.url is 'REST address.';
comment on column buildkite.clusters.web_url is 'Address in the browser.';
comment on column buildkite.clusters.created_at is 'When it was created.';
comment on column buildkite.clusters.created_by_id is 'Id of the person who created it.';
comment on column buildkite.clusters.created_by_name is 'Name of the person who created it.';
comment on column buildkite.clusters.created_by_email is 'E-mail address of the person who created it.';
comment on column buildkite.clusters.organization_id is 'organizations.id.';
comment on column buildkite.clusters.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.clusters.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.clusters.changed_at is 'When a column last changed, on the clock of Postgres; for incremental loads.';
comment on column buildkite.clusters.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';--> statement-breakpoint

create table buildkite.jobs (
  id uuid primary key,
  build_id uuid,
  graphql_id text,
  type text,
  name text,
  label text,
  step_key text,
  group_key text,
  step_id uuid,
  step_signature jsonb,
  priority_number integer,
  agent_query_rules text[],
  state text,
  build_url text,
  web_url text,
  log_url text,
  raw_log_url text,
  artifacts_url text,
  command text,
  soft_failed boolean,
  exit_status bigint,
  signal text,
  signal_reason text,
  broken_reason text,
  promised_exit_status bigint,
  promised_exit_status_at timestamptz(3),
  promised_exit_status_reason text,
  artifact_paths text,
  created_at timestamptz(3),
  scheduled_at timestamptz(3),
  runnable_at timestamptz(3),
  concurrency_wait_time_ms bigint,
  started_at timestamptz(3),
  finished_at timestamptz(3),
  expired_at timestamptz(3),
  retried boolean,
  retried_in_job_id uuid,
  retries_count integer,
  retry_source_job_id uuid,
  retry_source_retry_type text,
  retry_source_retried_by_name text,
  retry_source_retried_by_email text,
  retry_type text,
  retried_by_id uuid,
  retried_by_name text,
  retried_by_email text,
  parallel_group_index integer,
  parallel_group_total integer,
  matrix jsonb,
  agent_id uuid,
  agent_name text,
  cluster_id uuid,
  cluster_url text,
  cluster_queue_id uuid,
  cluster_queue_url text,
  unblocked_by_id uuid,
  unblocked_by_name text,
  unblocked_by_email text,
  unblocked_at timestamptz(3),
  unblockable boolean,
  unblock_url text,
  async boolean,
  triggered_build_id uuid,
  triggered_build_number bigint,
  triggered_build_url text,
  triggered_build_web_url text,
  observed_at timestamptz(3) not null,
  verified_at timestamptz(3),
  first_seen_at timestamptz(3) not null,
  first_seen_via text not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3),
  deleted_reason text,
  extra jsonb not null default '{}'
);
create index jobs_agent_id on buildkite.jobs (agent_id) where (agent_id IS NOT NULL);
create index jobs_build_id on buildkite.jobs (build_id);
create index jobs_changed_at on buildkite.jobs (changed_at);
create index jobs_created_at on buildkite.jobs (created_at);
create index jobs_expired_at on buildkite.jobs (expired_at) where (expired_at IS NOT NULL);
create index jobs_failed on buildkite.jobs (finished_at) where (state = ANY (ARRAY['failed'::text, 'timed_out'::text, 'expired'::text]));
create index jobs_finished_at on buildkite.jobs (finished_at);
create index jobs_manual on buildkite.jobs (created_at) where (type = 'manual'::text);
create index jobs_parallel on buildkite.jobs (build_id) where (parallel_group_total > 1);
create index jobs_retried_in_job_id on buildkite.jobs (retried_in_job_id) where (retried_in_job_id IS NOT NULL);
create index jobs_started_at on buildkite.jobs (started_at);
create index jobs_triggered_build_id on buildkite.jobs (triggered_build_id) where (triggered_build_id IS NOT NULL);
comment on table buildkite.jobs is 'Jobs of builds. A retry is a new job and the old one keeps its result: count retried is not true for the latest of each step. Which columns have values depends on type; waiters have hardly any.';
comment on column buildkite.jobs.id is 'Buildkite''s UUID of the job.';
comment on column buildkite.jobs.build_id is 'builds.id.';
comment on column buildkite.jobs.graphql_id is 'The same object''s id in the GraphQL API.';
comment on column buildkite.jobs.type is 'script (a command), waiter, manual (block or input), trigger; may grow.';
comment on column buildkite.jobs.name is 'Name of the step, if it has one. Manual jobs have a label instead.';
comment on column buildkite.jobs.label is 'Label of a manual job.';
comment on column buildkite.jobs.step_key is 'Key of the step, from the pipeline''s YAML. Stable across builds, unlike step_id.';
comment on column buildkite.jobs.group_key is 'Key of the group that contains the step. REST only.';
comment on column buildkite.jobs.step_id is 'UUID of the step within this build: shared by the retries and parallel jobs of one step.';
comment on column buildkite.jobs.step_signature is 'Signature of the step, if pipelines are signed.';
comment on column buildkite.jobs.priority_number is 'Priority in the queue; higher runs sooner, 0 is the default.';
comment on column buildkite.jobs.agent_query_rules is 'Which agents may run it, such as queue=default.';
comment on column buildkite.jobs.state is 'pending, waiting, waiting_failed, blocked, blocked_failed, unblocked, unblocked_failed, limiting, limited, platform_limiting, platform_limited, scheduled, reserved, assigned, accepted, running, passed, failed, canceling, canceled, timing_out, timed_out, expired, skipped, broken; may grow. Null for waiters. REST shows limited jobs as scheduled. broken: excluded by its configuration; skipped: by an external cause.';
comment on column buildkite.jobs.build_url is 'REST address of its build.';
comment on column buildkite.jobs.web_url is 'Address in the browser; null for manual jobs.';
comment on column buildkite.jobs.log_url is 'REST address of its log.';
comment on column buildkite.jobs.raw_log_url is 'REST address of its log as plain text.';
comment on column buildkite.jobs.artifacts_url is 'REST address of its artifacts.';
comment on column buildkite.jobs.command is 'The command it runs.';
comment on column buildkite.jobs.soft_failed is 'True if it failed and was allowed to: its state is failed, but the build does not fail because of it.';
comment on column buildkite.jobs.exit_status is 'Exit status of the command; -1 if the agent was lost. Null while it runs.';
comment on column buildkite.jobs.signal is 'Signal that ended the command, such as SIGTERM.';
comment on column buildkite.jobs.signal_reason is 'Why it was signalled: agent_stop, cancel, process_run_error, agent_refused, signature_rejected, stack_error, agent_incompatible; may grow.';
comment on column buildkite.jobs.broken_reason is 'Why it is broken: conditional_failed, branch_mismatch or free text.';
comment on column buildkite.jobs.promised_exit_status is 'Exit status that the running job announced before its end; since June 2026.';
comment on column buildkite.jobs.promised_exit_status_at is 'When the job announced it.';
comment on column buildkite.jobs.promised_exit_status_reason is 'Why the job announced it. Webhooks only.';
comment on column buildkite.jobs.artifact_paths is 'Which files it uploads, as configured.';
comment on column buildkite.jobs.created_at is 'When it was created (UTC).';
comment on column buildkite.jobs.scheduled_at is 'When it was scheduled (UTC). May be before created_at, because it can be the time of the build.';
comment on column buildkite.jobs.runnable_at is 'When only a free agent was missing (UTC). started_at - runnable_at is the wait for an agent.';
comment on column buildkite.jobs.concurrency_wait_time_ms is 'Milliseconds that it waited for its concurrency group.';
comment on column buildkite.jobs.started_at is 'When an agent started it (UTC).';
comment on column buildkite.jobs.finished_at is 'When it ended (UTC). Does not change: a retry is another job.';
comment on column buildkite.jobs.expired_at is 'When it expired because no agent took it (UTC), by default after 30 days.';
comment on column buildkite.jobs.retried is 'True if a later job replaced it. Exclude such jobs to see each step once.';
comment on column buildkite.jobs.retried_in_job_id is 'jobs.id of the job that replaced it.';
comment on column buildkite.jobs.retries_count is 'How many retries preceded it: 0 or null is the first try.';
comment on column buildkite.jobs.retry_source_job_id is 'jobs.id of the job that this one retries.';
comment on column buildkite.jobs.retry_source_retry_type is 'How that job was retried: automatic or manual.';
comment on column buildkite.jobs.retry_source_retried_by_name is 'Who retried it.';
comment on column buildkite.jobs.retry_source_retried_by_email is 'Email of who retried that job.';
comment on column buildkite.jobs.retry_type is 'How this job was itself retried: automatic or manual; null if it was not.';
comment on column buildkite.jobs.retried_by_id is 'UUID of the user who retried this job.';
comment on column buildkite.jobs.retried_by_name is 'Name of the user who retried this job.';
comment on column buildkite.jobs.retried_by_email is 'Email of the user who retried this job.';
comment on column buildkite.jobs.parallel_group_index is 'Its place among the parallel jobs of its step, from 0; null if not parallel.';
comment on column buildkite.jobs.parallel_group_total is 'How many parallel jobs its step has.';
comment on column buildkite.jobs.matrix is 'Its values of the build matrix, as Buildkite sends them.';
comment on column buildkite.jobs.agent_id is 'agents.id of the agent that ran it; null before an agent took it.';
comment on column buildkite.jobs.agent_name is 'Name of that agent at the time.';
comment on column buildkite.jobs.cluster_id is 'UUID of the cluster it runs in.';
comment on column buildkite.jobs.cluster_url is 'REST address of that cluster.';
comment on column buildkite.jobs.cluster_queue_id is 'UUID of the queue it runs on.';
comment on column buildkite.jobs.cluster_queue_url is 'REST address of that queue.';
comment on column buildkite.jobs.unblocked_by_id is 'UUID of the user who unblocked a manual job.';
comment on column buildkite.jobs.unblocked_by_name is 'Name of the user who unblocked a manual job.';
comment on column buildkite.jobs.unblocked_by_email is 'Email of the user who unblocked a manual job.';
comment on column buildkite.jobs.unblocked_at is 'When a manual job was unblocked (UTC).';
comment on column buildkite.jobs.unblockable is 'Whether a manual job could be unblocked when it was observed.';
comment on column buildkite.jobs.unblock_url is 'REST address that unblocks it.';
comment on column buildkite.jobs.async is 'Whether a trigger job does not wait for the build it triggers.';
comment on column buildkite.jobs.triggered_build_id is 'builds.id of the build that a trigger job started.';
comment on column buildkite.jobs.triggered_build_number is 'Number of that build.';
comment on column buildkite.jobs.triggered_build_url is 'REST address of that build.';
comment on column buildkite.jobs.triggered_build_web_url is 'Address of that build in the browser.';
comment on column buildkite.jobs.observed_at is 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';
comment on column buildkite.jobs.verified_at is 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';
comment on column buildkite.jobs.first_seen_at is 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';
comment on column buildkite.jobs.first_seen_via is 'What first showed the object: webhook or rest.';
comment on column buildkite.jobs.changed_at is 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';
comment on column buildkite.jobs.deleted_at is 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';
comment on column buildkite.jobs.deleted_reason is 'Why Buildkite no longer shows the object. not_listed: the complete list of its build''s jobs does not contain it.';
comment on column buildkite.jobs.extra is 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';--> statement-breakpoint

create table buildkite.members (
  id uuid not null,
  name text,
  email text,
  role text,
  sso_mode text,
  organization_id uuid not null,
  extra jsonb not null default '{}',
  first_seen_at timestamptz(3) not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3),
  constraint members_organization_id_id_pk primary key (organization_id, id)
);
comment on table buildkite.members is 'Members of organizations, by the id of the user. Read hourly when the token''s user may view teams.';
comment on column buildkite.members.id is 'Id of the user.';
comment on column buildkite.members.name is 'Name.';
comment on column buildkite.members.email is 'E-mail address.';
comment on column buildkite.members.role is 'member or maintainer; of an organization: member or admin.';
comment on column buildkite.members.sso_mode is 'required or optional; shown to administrators only.';
comment on column buildkite.members.organization_id is 'organizations.id.';
comment on column buildkite.members.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.members.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.members.changed_at is 'When a column last changed, on the clock of Postgres; for incremental loads.';
comment on column buildkite.members.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';--> statement-breakpoint

create table buildkite.organization_slugs (
  organization_id uuid not null,
  slug text not null,
  first_seen_at timestamptz(3) not null,
  last_seen_at timestamptz(3) not null,
  constraint organization_slugs_organization_id_slug_pk primary key (organization_id, slug)
);
create index organization_slugs_slug on buildkite.organization_slugs (slug);
comment on table buildkite.organization_slugs is 'Every slug that an organization was seen under. One row for each organization and slug.';
comment on column buildkite.organization_slugs.organization_id is 'organizations.id.';
comment on column buildkite.organization_slugs.slug is 'A present or former slug.';
comment on column buildkite.organization_slugs.first_seen_at is 'When it was first seen under this slug, on Buildkite''s clock.';
comment on column buildkite.organization_slugs.last_seen_at is 'When it was last seen under this slug. The present slug is the one with the latest time.';--> statement-breakpoint

create table buildkite.organizations (
  id uuid primary key,
  graphql_id text,
  url text,
  web_url text,
  name text,
  slug text,
  pipelines_url text,
  agents_url text,
  emojis_url text,
  created_at timestamptz(3),
  observed_at timestamptz(3) not null,
  verified_at timestamptz(3),
  first_seen_at timestamptz(3) not null,
  first_seen_via text not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3),
  deleted_reason text,
  extra jsonb not null default '{}'
);
create index organizations_changed_at on buildkite.organizations (changed_at);
create index organizations_slug on buildkite.organizations (slug);
comment on table buildkite.organizations is 'Organizations that the API tokens see, or that webhooks named. One row each; a rename keeps the row (names over time: organization_slugs).';
comment on column buildkite.organizations.id is 'Buildkite''s UUID of the organization. Never changes.';
comment on column buildkite.organizations.graphql_id is 'The same object''s id in the GraphQL API.';
comment on column buildkite.organizations.url is 'REST address. Contains the slug, so it changes with a rename.';
comment on column buildkite.organizations.web_url is 'Address in the browser. Changes with a rename.';
comment on column buildkite.organizations.name is 'Display name.';
comment on column buildkite.organizations.slug is 'Name in URLs, at present. Changes with a rename: join by id.';
comment on column buildkite.organizations.pipelines_url is 'REST address of its pipelines.';
comment on column buildkite.organizations.agents_url is 'REST address of its agents.';
comment on column buildkite.organizations.emojis_url is 'REST address of its emojis.';
comment on column buildkite.organizations.created_at is 'When it was created in Buildkite (UTC).';
comment on column buildkite.organizations.observed_at is 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';
comment on column buildkite.organizations.verified_at is 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';
comment on column buildkite.organizations.first_seen_at is 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';
comment on column buildkite.organizations.first_seen_via is 'What first showed the object: webhook or rest.';
comment on column buildkite.organizations.changed_at is 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';
comment on column buildkite.organizations.deleted_at is 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';
comment on column buildkite.organizations.deleted_reason is 'Why Buildkite no longer shows the object. no_access: no API token sees it any more. hidden: the same, although webhooks show it.';
comment on column buildkite.organizations.extra is 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';--> statement-breakpoint

create table buildkite.pipeline_schedules (
  id uuid primary key,
  pipeline_id uuid not null,
  graphql_id text,
  label text,
  cronline text,
  message text,
  commit text,
  branch text,
  enabled boolean,
  next_build_at timestamptz(3),
  failed_at timestamptz(3),
  failed_message text,
  url text,
  created_at timestamptz(3),
  created_by_id uuid,
  created_by_name text,
  created_by_email text,
  organization_id uuid not null,
  extra jsonb not null default '{}',
  first_seen_at timestamptz(3) not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3)
);
create index pipeline_schedules_pipeline_id on buildkite.pipeline_schedules (pipeline_id);
comment on table buildkite.pipeline_schedules is 'Schedules that create builds. Read hourly.';
comment on column buildkite.pipeline_schedules.id is 'Buildkite''s UUID.';
comment on column buildkite.pipeline_schedules.pipeline_id is 'pipelines.id.';
comment on column buildkite.pipeline_schedules.graphql_id is 'The same object''s id in the GraphQL API.';
comment on column buildkite.pipeline_schedules.label is 'Label.';
comment on column buildkite.pipeline_schedules.cronline is 'When it creates builds, as cron or a word such as @daily.';
comment on column buildkite.pipeline_schedules.message is 'Message of its builds.';
comment on column buildkite.pipeline_schedules.commit is 'Commit of its builds.';
comment on column buildkite.pipeline_schedules.branch is 'Branch of its builds.';
comment on column buildkite.pipeline_schedules.enabled is 'Whether it is on.';
comment on column buildkite.pipeline_schedules.next_build_at is 'When it creates the next build.';
comment on column buildkite.pipeline_schedules.failed_at is 'When its last failed attempt to create a build was; null: the last one succeeded.';
comment on column buildkite.pipeline_schedules.failed_message is 'Why the first one failed.';
comment on column buildkite.pipeline_schedules.url is 'REST address.';
comment on column buildkite.pipeline_schedules.created_at is 'When it was created.';
comment on column buildkite.pipeline_schedules.created_by_id is 'Id of the person who created it.';
comment on column buildkite.pipeline_schedules.created_by_name is 'Name of the person who created it.';
comment on column buildkite.pipeline_schedules.created_by_email is 'E-mail address of the person who created it.';
comment on column buildkite.pipeline_schedules.organization_id is 'organizations.id.';
comment on column buildkite.pipeline_schedules.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.pipeline_schedules.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.pipeline_schedules.changed_at is 'When a column last changed, on the clock of Postgres; for incremental loads.';
comment on column buildkite.pipeline_schedules.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';--> statement-breakpoint

create table buildkite.pipeline_slugs (
  pipeline_id uuid not null,
  organization_slug text not null,
  slug text not null,
  first_seen_at timestamptz(3) not null,
  last_seen_at timestamptz(3) not null,
  constraint pipeline_slugs_pipeline_id_organization_slug_slug_pk primary key (pipeline_id, organization_slug, slug)
);
create index pipeline_slugs_slug on buildkite.pipeline_slugs (organization_slug, slug, last_seen_at);
comment on table buildkite.pipeline_slugs is 'Every slug that a pipeline was seen under, with its organization''s slug of the time. Resolves old addresses.';
comment on column buildkite.pipeline_slugs.pipeline_id is 'pipelines.id.';
comment on column buildkite.pipeline_slugs.organization_slug is 'Slug of the organization in the same address.';
comment on column buildkite.pipeline_slugs.slug is 'A present or former slug. Another pipeline may use it later: the one seen last has it.';
comment on column buildkite.pipeline_slugs.first_seen_at is 'When it was first seen under this slug, on Buildkite''s clock.';
comment on column buildkite.pipeline_slugs.last_seen_at is 'When it was last seen under this slug.';--> statement-breakpoint

create table buildkite.pipelines (
  id uuid primary key,
  organization_id uuid,
  graphql_id text,
  url text,
  web_url text,
  name text,
  description text,
  slug text,
  repository text,
  cluster_id uuid,
  cluster_url text,
  pipeline_template_uuid uuid,
  branch_configuration text,
  default_branch text,
  skip_queued_branch_builds boolean,
  skip_queued_branch_builds_filter text,
  cancel_running_branch_builds boolean,
  cancel_running_branch_builds_filter text,
  allow_rebuilds boolean,
  provider_id text,
  provider_settings jsonb,
  builds_url text,
  badge_url text,
  clone_mirror_url text,
  created_by_id uuid,
  created_by_name text,
  created_by_email text,
  created_at timestamptz(3),
  archived_at timestamptz(3),
  scheduled_builds_count integer,
  running_builds_count integer,
  scheduled_jobs_count integer,
  running_jobs_count integer,
  waiting_jobs_count integer,
  visibility text,
  tags text[],
  emoji text,
  color text,
  env jsonb,
  configuration text,
  steps jsonb,
  observed_at timestamptz(3) not null,
  verified_at timestamptz(3),
  first_seen_at timestamptz(3) not null,
  first_seen_via text not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3),
  deleted_reason text,
  extra jsonb not null default '{}'
);
create index pipelines_changed_at on buildkite.pipelines (changed_at);
create index pipelines_organization_slug on buildkite.pipelines (organization_id, slug);
comment on table buildkite.pipelines is 'Pipelines, archived ones too. One row each; a rename keeps the row (names over time: pipeline_slugs). A pipeline known only from a build or webhook has few columns filled until REST lists it.';
comment on column buildkite.pipelines.id is 'Buildkite''s UUID of the pipeline. A rename does not change it.';
comment on column buildkite.pipelines.organization_id is 'organizations.id. Null until it is known to which organization the slug in its address belongs.';
comment on column buildkite.pipelines.graphql_id is 'The same object''s id in the GraphQL API.';
comment on column buildkite.pipelines.url is 'REST address. Contains the slugs, so it changes with a rename.';
comment on column buildkite.pipelines.web_url is 'Address in the browser. Changes with a rename.';
comment on column buildkite.pipelines.name is 'Display name.';
comment on column buildkite.pipelines.description is 'Free text, or null.';
comment on column buildkite.pipelines.slug is 'Name in URLs, at present. Changes with a rename: join by id.';
comment on column buildkite.pipelines.repository is 'Address of the source repository, as configured.';
comment on column buildkite.pipelines.cluster_id is 'UUID of the cluster it runs in; null outside clusters.';
comment on column buildkite.pipelines.cluster_url is 'REST address of that cluster.';
comment on column buildkite.pipelines.pipeline_template_uuid is 'UUID of the pipeline template it follows; null without one.';
comment on column buildkite.pipelines.branch_configuration is 'Branch filter for which builds are created; null: all branches.';
comment on column buildkite.pipelines.default_branch is 'Its default branch, usually main.';
comment on column buildkite.pipelines.skip_queued_branch_builds is 'Whether a newer build skips those still waiting on the same branch: these end in state skipped.';
comment on column buildkite.pipelines.skip_queued_branch_builds_filter is 'Branches to which skip_queued_branch_builds applies; null: all.';
comment on column buildkite.pipelines.cancel_running_branch_builds is 'Whether a newer build cancels those running on the same branch: these end in state canceled.';
comment on column buildkite.pipelines.cancel_running_branch_builds_filter is 'Branches to which cancel_running_branch_builds applies; null: all.';
comment on column buildkite.pipelines.allow_rebuilds is 'Whether its builds may be rebuilt.';
comment on column buildkite.pipelines.provider_id is 'Source host: github, github_enterprise, bitbucket, gitlab, gitlab_ee, private, unknown; may grow.';
comment on column buildkite.pipelines.provider_settings is 'Settings of the source host, as Buildkite sends them, without the secret delivery address.';
comment on column buildkite.pipelines.builds_url is 'REST address of its builds.';
comment on column buildkite.pipelines.badge_url is 'Address of its status badge.';
comment on column buildkite.pipelines.clone_mirror_url is 'Address of the mirror that agents clone from, if configured.';
comment on column buildkite.pipelines.created_by_id is 'UUID of the user who created it.';
comment on column buildkite.pipelines.created_by_name is 'Name of the user who created it.';
comment on column buildkite.pipelines.created_by_email is 'Email of the user who created it.';
comment on column buildkite.pipelines.created_at is 'When it was created in Buildkite (UTC).';
comment on column buildkite.pipelines.archived_at is 'When it was archived; null: it is not. Its builds stay.';
comment on column buildkite.pipelines.scheduled_builds_count is 'Builds waiting when it was observed. Often outdated: count rows of builds instead.';
comment on column buildkite.pipelines.running_builds_count is 'Builds running when it was observed. Often outdated: count rows of builds instead.';
comment on column buildkite.pipelines.scheduled_jobs_count is 'Jobs scheduled when it was observed. Often outdated.';
comment on column buildkite.pipelines.running_jobs_count is 'Jobs running when it was observed. Often outdated.';
comment on column buildkite.pipelines.waiting_jobs_count is 'Jobs waiting when it was observed. Often outdated.';
comment on column buildkite.pipelines.visibility is 'private or public.';
comment on column buildkite.pipelines.tags is 'Tags given to the pipeline.';
comment on column buildkite.pipelines.emoji is 'Its emoji, such as :rocket:.';
comment on column buildkite.pipelines.color is 'Its colour, as a hex code.';
comment on column buildkite.pipelines.env is 'Environment variables of the pipeline. May hold secrets: null unless STORE_ENV is on.';
comment on column buildkite.pipelines.configuration is 'Its YAML text. May hold secrets: null unless STORE_ENV is on.';
comment on column buildkite.pipelines.steps is 'Its steps as Buildkite sends them. May hold secrets: null unless STORE_ENV is on.';
comment on column buildkite.pipelines.observed_at is 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';
comment on column buildkite.pipelines.verified_at is 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';
comment on column buildkite.pipelines.first_seen_at is 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';
comment on column buildkite.pipelines.first_seen_via is 'What first showed the object: webhook or rest.';
comment on column buildkite.pipelines.changed_at is 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';
comment on column buildkite.pipelines.deleted_at is 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';
comment on column buildkite.pipelines.deleted_reason is 'Why Buildkite no longer shows the object. not_listed: the complete list of pipelines once contained it and no longer does; it was deleted, or the API token''s user may no longer see it. hidden: the list does not contain it although webhooks show it; it exists, and the API token''s user may not see it.';
comment on column buildkite.pipelines.extra is 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';--> statement-breakpoint

create table buildkite.team_members (
  team_id uuid not null,
  user_id uuid not null,
  user_name text,
  role text,
  created_at timestamptz(3),
  organization_id uuid not null,
  extra jsonb not null default '{}',
  first_seen_at timestamptz(3) not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3),
  constraint team_members_team_id_user_id_pk primary key (team_id, user_id)
);
create index team_members_user_id on buildkite.team_members (user_id);
comment on table buildkite.team_members is 'Who is in which team. Read hourly when a token has view_teams.';
comment on column buildkite.team_members.team_id is 'teams.id.';
comment on column buildkite.team_members.user_id is 'Id of the user.';
comment on column buildkite.team_members.user_name is 'Name of the user.';
comment on column buildkite.team_members.role is 'member or maintainer; of an organization: member or admin.';
comment on column buildkite.team_members.created_at is 'When it was created.';
comment on column buildkite.team_members.organization_id is 'organizations.id.';
comment on column buildkite.team_members.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.team_members.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.team_members.changed_at is 'When a column last changed, on the clock of Postgres; for incremental loads.';
comment on column buildkite.team_members.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';--> statement-breakpoint

create table buildkite.team_pipelines (
  team_id uuid not null,
  pipeline_id uuid not null,
  access_level text,
  created_at timestamptz(3),
  organization_id uuid not null,
  extra jsonb not null default '{}',
  first_seen_at timestamptz(3) not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3),
  constraint team_pipelines_team_id_pipeline_id_pk primary key (team_id, pipeline_id)
);
create index team_pipelines_pipeline_id on buildkite.team_pipelines (pipeline_id);
comment on table buildkite.team_pipelines is 'Which team owns which pipeline. Read hourly when a token has view_teams.';
comment on column buildkite.team_pipelines.team_id is 'teams.id.';
comment on column buildkite.team_pipelines.pipeline_id is 'pipelines.id.';
comment on column buildkite.team_pipelines.access_level is 'read_only, build_and_read or manage_build_and_read.';
comment on column buildkite.team_pipelines.created_at is 'When it was created.';
comment on column buildkite.team_pipelines.organization_id is 'organizations.id.';
comment on column buildkite.team_pipelines.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.team_pipelines.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.team_pipelines.changed_at is 'When a column last changed, on the clock of Postgres; for incremental loads.';
comment on column buildkite.team_pipelines.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';--> statement-breakpoint

create table buildkite.teams (
  id uuid primary key,
  graphql_id text,
  name text,
  slug text,
  description text,
  privacy text,
  "default" boolean,
  created_at timestamptz(3),
  created_by_id uuid,
  created_by_name text,
  created_by_email text,
  organization_id uuid not null,
  extra jsonb not null default '{}',
  first_seen_at timestamptz(3) not null,
  changed_at timestamptz(3) not null,
  deleted_at timestamptz(3)
);
comment on table buildkite.teams is 'Teams. Read hourly when a token has view_teams.';
comment on column buildkite.teams.id is 'Buildkite''s UUID.';
comment on column buildkite.teams.graphql_id is 'The same object''s id in the GraphQL API.';
comment on column buildkite.teams.name is 'Name.';
comment on column buildkite.teams.slug is 'Name in URLs.';
comment on column buildkite.teams.description is 'Free text, or null.';
comment on column buildkite.teams.privacy is 'visible or secret.';
comment on column buildkite.teams."default" is 'Whether new users join it.';
comment on column buildkite.teams.created_at is 'When it was created.';
comment on column buildkite.teams.created_by_id is 'Id of the person who created it.';
comment on column buildkite.teams.created_by_name is 'Name of the person who created it.';
comment on column buildkite.teams.created_by_email is 'E-mail address of the person who created it.';
comment on column buildkite.teams.organization_id is 'organizations.id.';
comment on column buildkite.teams.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.teams.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.teams.changed_at is 'When a column last changed, on the clock of Postgres; for incremental loads.';
comment on column buildkite.teams.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';--> statement-breakpoint

create table buildkite.users (
  key text primary key,
  id uuid,
  name text,
  email text,
  emails text[] not null,
  usernames text[] not null,
  is_member boolean not null,
  last_seen_at timestamptz(3),
  changed_at timestamptz(3) not null
);
create unique index users_id on buildkite.users (id) where (id IS NOT NULL);
comment on table buildkite.users is 'People, combined by sync.refresh_users() from all places where they appear: by id, otherwise by an e-mail address that belongs to an id, otherwise by the address, otherwise by the user name.';
comment on column buildkite.users.key is 'What identifies the person: the id, an e-mail address, or username: and a name. If longer than 500 characters, md5: and its hash.';
comment on column buildkite.users.id is 'Buildkite''s UUID of the user; null for an author without an account in Buildkite.';
comment on column buildkite.users.name is 'Name.';
comment on column buildkite.users.email is 'The e-mail address seen last, in lower case.';
comment on column buildkite.users.emails is 'All e-mail addresses under which the person was seen, in lower case.';
comment on column buildkite.users.usernames is 'User names under which the person was seen as an author, in lower case.';
comment on column buildkite.users.is_member is 'Whether a list of members holds the person at present.';
comment on column buildkite.users.last_seen_at is 'When the person last created, wrote or unblocked something.';
comment on column buildkite.users.changed_at is 'When a column last changed, on the clock of Postgres; for incremental loads.';--> statement-breakpoint

create table settings.deployment_rules (
  id serial primary key,
  pipeline text not null,
  branch text not null default '*',
  step text,
  environment text not null default 'production',
  service text,
  enabled boolean not null default true,
  organization text not null default '*'
);
comment on table settings.deployment_rules is 'What counts as a deployment. Fill it yourself: insert into settings.deployment_rules (pipeline, branch, step) values (''shop'', ''main'', ''deploy'').';
comment on column settings.deployment_rules.id is 'Number of the rule.';
comment on column settings.deployment_rules.pipeline is 'Slug of the pipelines, as a pattern: * matches any characters.';
comment on column settings.deployment_rules.branch is 'Branch, as a pattern: * matches any characters.';
comment on column settings.deployment_rules.step is 'Key or name of the step, as a pattern. Null: the whole build is the deployment.';
comment on column settings.deployment_rules.environment is 'Environment that is deployed to.';
comment on column settings.deployment_rules.service is 'Service that is deployed; null: the pipeline''s slug.';
comment on column settings.deployment_rules.enabled is 'Whether the rule is used.';
comment on column settings.deployment_rules.organization is 'Slug of the organizations, as a pattern: * matches any characters.';--> statement-breakpoint

create table settings.queue_rates (
  queue text not null,
  per_minute numeric not null,
  currency text not null default 'USD',
  cluster text not null default '*',
  constraint queue_rates_queue_cluster_pk primary key (queue, cluster)
);
comment on table settings.queue_rates is 'What a minute of a queue''s agents costs. Fill it yourself; with a row for each cluster if they differ.';
comment on column settings.queue_rates.queue is 'Queue, as analytics.jobs names it.';
comment on column settings.queue_rates.per_minute is 'What a minute of an agent costs.';
comment on column settings.queue_rates.currency is 'Currency.';
comment on column settings.queue_rates.cluster is 'Name of the cluster, or its id; *: all clusters that no other row of the queue names.';--> statement-breakpoint

create table sync.budgets (
  scope text primary key,
  state jsonb not null,
  updated_at timestamptz(3) not null
);
comment on table sync.budgets is 'Remaining requests of Buildkite''s rate limits, shared by all processes.';
comment on column sync.budgets.scope is 'Which limit: that of a user (by a fingerprint of the token) or of an organization.';
comment on column sync.budgets.state is 'Recently granted requests by class, waiting organizations, and the rate limit that Buildkite last reported. For internal use.';
comment on column sync.budgets.updated_at is 'When it was last written.';--> statement-breakpoint

create table sync.buildkite_clock (
  single_row boolean primary key default true,
  ahead_ms bigint not null,
  measured_at timestamptz(3) not null
);
comment on table sync.buildkite_clock is 'One row: Buildkite''s clock as the reconciler measured it. Processes that send no requests to Buildkite use it to date unsigned webhooks.';
comment on column sync.buildkite_clock.single_row is 'Always true, so that the table has at most one row.';
comment on column sync.buildkite_clock.ahead_ms is 'How far Buildkite''s clock is ahead of the database''s clock, in milliseconds.';
comment on column sync.buildkite_clock.measured_at is 'When it was measured, on the database''s clock.';--> statement-breakpoint

create table sync.builds_found (
  hour timestamptz not null,
  organization_id uuid,
  builds bigint not null,
  builds_lost bigint not null
);
create index builds_found_hour on sync.builds_found (hour);
comment on table sync.builds_found is 'Builds by hour of creation, and how many of them REST showed first; the source of analytics.webhook_loss. A rollup table.';
comment on column sync.builds_found.hour is 'Start of the hour.';
comment on column sync.builds_found.organization_id is 'organizations.id.';
comment on column sync.builds_found.builds is 'Builds created in the hour.';
comment on column sync.builds_found.builds_lost is 'Those that REST showed first, 10 s or more after they were created.';--> statement-breakpoint

create table sync.compatibility (
  single_row boolean primary key default true,
  migrations_needed integer not null
);
comment on table sync.compatibility is 'One row: how old a program may be that works on this database, so that versions can be upgraded and rolled back one process at a time.';
comment on column sync.compatibility.single_row is 'Always true, so that the table has at most one row.';
comment on column sync.compatibility.migrations_needed is 'A program that knows fewer migrations refuses to work here. A migration that older programs cannot work with raises it.';--> statement-breakpoint

create table sync.cycles (
  id bigserial primary key,
  organization_id uuid not null,
  kind text not null,
  watermark_from timestamptz(3),
  watermark_to timestamptz(3),
  started_at timestamptz(3) not null,
  finished_at timestamptz(3),
  requests integer not null default 0,
  builds_read integer not null default 0,
  builds_missing integer not null default 0,
  builds_healed integer not null default 0,
  jobs_missing integer not null default 0,
  jobs_healed integer not null default 0,
  unlisted_read integer not null default 0,
  error text,
  builds_in_flight integer not null default 0,
  builds_completed integer not null default 0,
  builds_confirmed integer not null default 0,
  jobs_in_flight integer not null default 0,
  jobs_completed integer not null default 0,
  jobs_confirmed integer not null default 0,
  read_until timestamptz(3)
);
create index cycles_organization_started_at on sync.cycles (organization_id, started_at);
comment on table sync.cycles is 'Each run of the reconciler: what it read, and what webhooks had not brought.';
comment on column sync.cycles.id is 'Order of starting.';
comment on column sync.cycles.organization_id is 'organizations.id.';
comment on column sync.cycles.kind is 'hot: every interval, with a short overlap; warm: an overlap of hours; pipelines: the list of pipelines; audit: one window of history read again, from watermark_from to watermark_to.';
comment on column sync.cycles.watermark_from is 'Watermark that it started from; null for the first.';
comment on column sync.cycles.watermark_to is 'Watermark that it set; null if it failed.';
comment on column sync.cycles.started_at is 'When it began, on the mirror''s clock.';
comment on column sync.cycles.finished_at is 'When it ended; null while it runs, or if its process was killed.';
comment on column sync.cycles.requests is 'Requests to Buildkite''s API.';
comment on column sync.cycles.builds_read is 'Builds read from REST.';
comment on column sync.cycles.builds_missing is 'Builds whose webhooks were lost: missing in the mirror.';
comment on column sync.cycles.builds_healed is 'Builds whose webhooks were lost: wrong in the mirror.';
comment on column sync.cycles.jobs_missing is 'Jobs whose webhooks were lost: missing in the mirror.';
comment on column sync.cycles.jobs_healed is 'Jobs whose webhooks were lost: wrong in the mirror.';
comment on column sync.cycles.unlisted_read is 'Builds that were read one by one because no list contained them.';
comment on column sync.cycles.error is 'Why it failed; null otherwise.';
comment on column sync.cycles.builds_in_flight is 'Builds that differed; a webhook that is queued or may be on its way can explain it.';
comment on column sync.cycles.builds_completed is 'Builds to which REST added data that webhooks do not carry.';
comment on column sync.cycles.builds_confirmed is 'Builds that were correct.';
comment on column sync.cycles.jobs_in_flight is 'Jobs that differed; a webhook that is queued or may be on its way can explain it.';
comment on column sync.cycles.jobs_completed is 'Jobs, or parts of them, for which Buildkite sends no webhook.';
comment on column sync.cycles.jobs_confirmed is 'Jobs that were correct.';
comment on column sync.cycles.read_until is 'When the last of its lists was read, on Buildkite''s clock; null if it failed.';--> statement-breakpoint

create table sync.definitions (
  name text primary key,
  checksum text not null,
  applied_at timestamptz(3) not null default now()
);
comment on table sync.definitions is 'The views, functions, triggers and grants of buildkite-mirror as they were last applied. See drizzle/ in its source.';
comment on column sync.definitions.name is 'File in drizzle/.';
comment on column sync.definitions.checksum is 'SHA-256 of the file.';
comment on column sync.definitions.applied_at is 'When it was applied.';--> statement-breakpoint

create table sync.deliveries (
  id bigserial primary key,
  key text not null,
  event text not null,
  request_id text,
  received_at timestamptz(3) not null,
  observed_at timestamptz(3) not null,
  status text not null default 'pending',
  attempts integer not null default 0,
  error text,
  enqueued_at timestamptz(3),
  applied_at timestamptz(3),
  payload text,
  failed_at timestamptz(3),
  next_try_at timestamptz(3)
) with (autovacuum_vacuum_scale_factor=0.02, autovacuum_vacuum_insert_scale_factor=0.05);
create index deliveries_failed on sync.deliveries (id) where (status = 'failed'::text);
create unique index deliveries_key on sync.deliveries (key);
create index deliveries_payload_kept on sync.deliveries (received_at) where ((payload IS NOT NULL) AND (status = ANY (ARRAY['applied'::text, 'ignored'::text])));
create index deliveries_pending on sync.deliveries (id) where (status = 'pending'::text);
create index deliveries_received_at on sync.deliveries (received_at);
comment on table sync.deliveries is 'The inbox: each accepted webhook request, stored before it was acknowledged. The same delivery received twice is one row.';
comment on column sync.deliveries.id is 'Order of arrival.';
comment on column sync.deliveries.key is 'Fingerprint of the delivery, which identifies repeats: Buildkite gives deliveries no id.';
comment on column sync.deliveries.event is 'The event, such as build.finished. ping and unknown events are stored too.';
comment on column sync.deliveries.request_id is 'Buildkite''s id of the request, if it sent one. For tracing.';
comment on column sync.deliveries.received_at is 'When the request arrived, on the mirror''s clock.';
comment on column sync.deliveries.observed_at is 'The time at which the payload was true: that of the signature, or of receipt if there is none. Buildkite sometimes sends late, so it may be long after the event.';
comment on column sync.deliveries.status is 'pending: not applied yet; applied: its objects are in the mirror; ignored: it contains nothing to mirror; failed: see error, it can be replayed.';
comment on column sync.deliveries.attempts is 'How often the service tried to apply it.';
comment on column sync.deliveries.error is 'Why it could not be applied; null otherwise.';
comment on column sync.deliveries.enqueued_at is 'When it was last enqueued. Null: not yet; the sweeper enqueues it.';
comment on column sync.deliveries.applied_at is 'When its objects were in the mirror, on the mirror''s clock. Null while pending, ignored or failed. applied_at - received_at is the lag.';
comment on column sync.deliveries.payload is 'The body without secrets. Null after PAYLOAD_RETENTION_DAYS, once it is processed.';
comment on column sync.deliveries.failed_at is 'When its last try failed, on the mirror''s clock; null unless its status is failed.';
comment on column sync.deliveries.next_try_at is 'For a delivery that could not be applied in time: not retried before this time, and then alone. See sync.failures.';--> statement-breakpoint

create table sync.deployment (
  single_row boolean primary key default true,
  id uuid not null default gen_random_uuid(),
  used_shared_queue boolean not null,
  addresses text[] not null default '{}'
);
comment on table sync.deployment is 'One row: which deployment this is. All its processes use the same queue in Redis, and no other deployment does.';
comment on column sync.deployment.single_row is 'Always true, so that the table has at most one row.';
comment on column sync.deployment.id is 'Its keys in Redis begin with {bk:<id>}. Change it, and empty addresses, in a copy of the database before a second service runs on the copy.';
comment on column sync.deployment.used_shared_queue is 'Whether a version before 0.2 ran on this database. If so, jobs under the prefix {bk} in Redis, which those versions share, are also processed.';
comment on column sync.deployment.addresses is 'Hashes of user, host, port, database, parameters and first webhook secret of every process that ran here. While Postgres is unavailable, a new process stores jobs under {bk@<hash>}.';--> statement-breakpoint

create table sync.drift (
  id bigserial primary key,
  organization_id uuid not null,
  pipeline_id uuid,
  build_id uuid not null,
  job_id uuid,
  kind text not null,
  columns text[] not null,
  mirror jsonb not null,
  buildkite jsonb not null,
  last_matched_at timestamptz(3),
  found_at timestamptz(3) not null,
  found_by text not null,
  healed_at timestamptz(3)
);
create index drift_build_id on sync.drift (build_id);
create index drift_organization_found_at on sync.drift (organization_id, found_at);
create index drift_unhealed on sync.drift (organization_id) where (healed_at IS NULL);
comment on table sync.drift is 'Differences found between mirror and API, by the audit or by the verify command. One row for each build or job that differed.';
comment on column sync.drift.id is 'Order in which it was found.';
comment on column sync.drift.organization_id is 'organizations.id.';
comment on column sync.drift.pipeline_id is 'pipelines.id; null if it is not known.';
comment on column sync.drift.build_id is 'builds.id of the build that differed, or to which the job belongs.';
comment on column sync.drift.job_id is 'jobs.id of the job that differed; null if it was the build itself.';
comment on column sync.drift.kind is 'missing: only Buildkite had the row. different: the values differed. unexpected: Buildkite no longer had the row.';
comment on column sync.drift.columns is 'The columns that differed; empty for missing and unexpected. "build_attempts" means that an attempt was missing in the mirror.';
comment on column sync.drift.mirror is 'The values of the mirror in these columns; long values are cut.';
comment on column sync.drift.buildkite is 'The values of Buildkite in these columns; long values are cut.';
comment on column sync.drift.last_matched_at is 'When the row was last verified. The difference is most likely younger. Null: never.';
comment on column sync.drift.found_at is 'When it was found, on the mirror''s clock.';
comment on column sync.drift.found_by is 'audit or verify.';
comment on column sync.drift.healed_at is 'When the mirror was corrected, on the mirror''s clock; null: not yet.';--> statement-breakpoint

create table sync.failures (
  id bigserial primary key,
  kind text not null,
  organization_id uuid,
  subject text not null,
  pipeline_slug text,
  build_number bigint,
  build_id uuid,
  created_from timestamptz(3),
  created_to timestamptz(3),
  code text not null,
  error text not null,
  tries integer not null default 1,
  first_failed_at timestamptz(3) not null,
  last_failed_at timestamptz(3) not null,
  next_try_at timestamptz(3) not null,
  pipeline_id uuid
);
create unique index failures_subject on sync.failures (kind, COALESCE(organization_id, '00000000-0000-0000-0000-000000000000'::uuid), subject);
comment on table sync.failures is 'Units of work that failed: a build, a list, a window, a delivery, a day. Each is retried with back-off while everything else continues; its row is deleted when it succeeds.';
comment on column sync.failures.id is 'Order of the first failure.';
comment on column sync.failures.kind is 'build, builds_list, pipelines_list, window, delivery, orphans, pipeline_change, rollup_day or replica.';
comment on column sync.failures.organization_id is 'organizations.id; null if it belongs to none.';
comment on column sync.failures.subject is 'Readable name of what failed.';
comment on column sync.failures.pipeline_slug is 'For a build: the slug that its pipeline had at the first failure.';
comment on column sync.failures.build_number is 'For a build: its number.';
comment on column sync.failures.build_id is 'builds.id, if known.';
comment on column sync.failures.created_from is 'For builds_list: lower bound (inclusive) of the created_at range that cannot be listed.';
comment on column sync.failures.created_to is 'For builds_list: upper bound (exclusive) of the created_at range that cannot be listed.';
comment on column sync.failures.code is 'Kind of error: a code of the API, an HTTP status, or an SQLSTATE.';
comment on column sync.failures.error is 'What happened and what to do.';
comment on column sync.failures.tries is 'Number of consecutive failures.';
comment on column sync.failures.first_failed_at is 'First of the consecutive failures, on the mirror''s clock.';
comment on column sync.failures.last_failed_at is 'Last failure, on the mirror''s clock.';
comment on column sync.failures.next_try_at is 'Not retried before this time, on the mirror''s clock.';
comment on column sync.failures.pipeline_id is 'pipelines.id, if known.';--> statement-breakpoint

create table sync.findings (
  name text not null,
  subject text not null,
  result text not null,
  detail text not null,
  remedy text,
  checked_at timestamptz(3) not null,
  since timestamptz(3) not null,
  constraint findings_name_subject_pk primary key (name, subject)
);
comment on table sync.findings is 'The results of the service''s last hourly check, one row for each check and subject.';
comment on column sync.findings.name is 'Name of the check, such as webhook_disabled, as in buildkite-mirror check --json.';
comment on column sync.findings.subject is 'What the result is about: the slug of an organization, the label of a token, or the store. Empty if there is only one.';
comment on column sync.findings.result is 'ok, warning or failed.';
comment on column sync.findings.detail is 'What was found, in a sentence without secrets.';
comment on column sync.findings.remedy is 'What to do about it; null if there is nothing to do.';
comment on column sync.findings.checked_at is 'When it was last checked, on the mirror''s clock.';
comment on column sync.findings.since is 'Since when the check has had this result.';--> statement-breakpoint

create table sync.job_reads (
  build_id uuid primary key,
  organization_id uuid not null,
  is_open boolean not null,
  read_at timestamptz(3),
  jobs integer not null default 0,
  next_read_at timestamptz(3) not null
);
create index job_reads_next on sync.job_reads (organization_id, next_read_at);
comment on table sync.job_reads is 'Builds that were listed without their jobs, until the API confirms the jobs too: open builds, and finished builds whose jobs are not read yet.';
comment on column sync.job_reads.build_id is 'builds.id.';
comment on column sync.job_reads.organization_id is 'organizations.id.';
comment on column sync.job_reads.is_open is 'Whether the build was open when it was last listed.';
comment on column sync.job_reads.read_at is 'Its jobs are confirmed as of this time, on Buildkite''s clock; null: never confirmed.';
comment on column sync.job_reads.jobs is 'How many jobs it had at read_at.';
comment on column sync.job_reads.next_read_at is 'When its jobs are read again.';--> statement-breakpoint

create table sync.jobs_found (
  hour timestamptz not null,
  organization_id uuid,
  jobs bigint not null,
  jobs_lost bigint not null
);
create index jobs_found_hour on sync.jobs_found (hour);
comment on table sync.jobs_found is 'Command jobs by hour of start, and how many of them REST showed first; the source of analytics.webhook_loss. A rollup table.';
comment on column sync.jobs_found.hour is 'Start of the hour.';
comment on column sync.jobs_found.organization_id is 'organizations.id.';
comment on column sync.jobs_found.jobs is 'Command jobs that started in the hour.';
comment on column sync.jobs_found.jobs_lost is 'Those that REST showed first, 10 s or more after they started.';--> statement-breakpoint

create table sync.leases (
  name text primary key,
  holder text not null,
  fence bigint not null,
  acquired_at timestamptz(3) not null,
  expires_at timestamptz(3) not null
);
comment on table sync.leases is 'Which process does which work. A holder that does not renew its lease loses it, and cannot commit afterwards.';
comment on column sync.leases.name is 'The work: hot, warm, backfill, audit or reference data of an organization.';
comment on column sync.leases.holder is 'Host, process id and a random part.';
comment on column sync.leases.fence is 'Grows with each new holder; every commit of the work checks it.';
comment on column sync.leases.acquired_at is 'When the holder acquired it, on the database''s clock.';
comment on column sync.leases.expires_at is 'When it expires unless renewed, on the database''s clock.';--> statement-breakpoint

create table sync.pauses (
  organization_id uuid not null,
  task text not null,
  paused_at timestamptz(3) not null,
  constraint pauses_organization_id_task_pk primary key (organization_id, task)
);
comment on table sync.pauses is 'Work that a person paused for an organization until they resume it. No row: it runs.';
comment on column sync.pauses.organization_id is 'organizations.id.';
comment on column sync.pauses.task is 'What is paused: backfill.';
comment on column sync.pauses.paused_at is 'Since when, on the mirror''s clock.';--> statement-breakpoint

create table sync.pipeline_changes (
  pipeline_id uuid primary key,
  slug text,
  deleted_reason text,
  started_at timestamptz(3) not null,
  after_number bigint
);
comment on table sync.pipeline_changes is 'Pipelines that were renamed, deleted, hidden or shown again, and how far their builds were updated to match.';
comment on column sync.pipeline_changes.pipeline_id is 'pipelines.id.';
comment on column sync.pipeline_changes.slug is 'The slug that the addresses of its builds and jobs get.';
comment on column sync.pipeline_changes.deleted_reason is 'pipelines.deleted_reason that its builds are marked for; null if the pipeline is listed.';
comment on column sync.pipeline_changes.started_at is 'When the update began, on Buildkite''s clock. An update that began within two minutes after the change is repeated, because lists may lag.';
comment on column sync.pipeline_changes.after_number is 'Builds up to this number are updated; null once all are.';--> statement-breakpoint

create table sync.pipeline_coverage (
  pipeline_id uuid primary key,
  organization_id uuid not null,
  listed_since timestamptz(3) not null,
  unlisted_at timestamptz(3),
  covered_from timestamptz(3),
  covered_until timestamptz(3)
);
create index pipeline_coverage_organization on sync.pipeline_coverage (organization_id);
comment on table sync.pipeline_coverage is 'The mirrored pipelines, and since when the list of pipelines has contained each without interruption. Only reads since then cover a pipeline.';
comment on column sync.pipeline_coverage.pipeline_id is 'pipelines.id.';
comment on column sync.pipeline_coverage.organization_id is 'organizations.id.';
comment on column sync.pipeline_coverage.listed_since is 'Builds lists show its builds without interruption since this time, on Buildkite''s clock: two minutes after the first list of pipelines that contained it, or contained it again, was read.';
comment on column sync.pipeline_coverage.unlisted_at is 'Start of the read of the first list that no longer contained it; null while it is listed.';
comment on column sync.pipeline_coverage.covered_from is 'For a pipeline that is no longer listed: the oldest created_at from which it was complete.';
comment on column sync.pipeline_coverage.covered_until is 'For a pipeline that is no longer listed: the time up to which it was complete.';--> statement-breakpoint

create table sync.reference_item_syncs (
  name text not null,
  subject_id uuid not null,
  read_at timestamptz(3) not null,
  constraint reference_item_syncs_name_subject_id_pk primary key (name, subject_id)
);
comment on table sync.reference_item_syncs is 'When the list of one object was last read: of a pipeline its schedules, of a cluster its queues, of a build its annotations.';
comment on column sync.reference_item_syncs.name is 'The table of the schema buildkite that the list fills.';
comment on column sync.reference_item_syncs.subject_id is 'Buildkite''s id of the object that the list belongs to.';
comment on column sync.reference_item_syncs.read_at is 'When the list was last read, on Buildkite''s clock.';--> statement-breakpoint

create table sync.reference_syncs (
  organization_id uuid not null,
  name text not null,
  status text not null,
  rows integer,
  read_at timestamptz(3),
  error text,
  updated_at timestamptz(3) not null,
  constraint reference_syncs_organization_id_name_pk primary key (organization_id, name)
);
comment on table sync.reference_syncs is 'When and how each list of reference data of an organization was last read.';
comment on column sync.reference_syncs.organization_id is 'organizations.id.';
comment on column sync.reference_syncs.name is 'Name of the list: its table.';
comment on column sync.reference_syncs.status is 'read, missing_scope (the token lacks the scope), refused (Buildkite refused it) or off.';
comment on column sync.reference_syncs.rows is 'Rows in the list.';
comment on column sync.reference_syncs.read_at is 'When it was last read completely.';
comment on column sync.reference_syncs.error is 'Why it could not be read; null if it was read.';
comment on column sync.reference_syncs.updated_at is 'When the row was written.';--> statement-breakpoint

create table sync.rollups (
  name text primary key,
  refreshed_at timestamptz not null,
  seen_to timestamptz,
  took_ms double precision not null
);
comment on table sync.rollups is 'When daily totals (days) and people (users) were last refreshed.';
comment on column sync.rollups.name is 'days or users.';
comment on column sync.rollups.refreshed_at is 'When the last run began.';
comment on column sync.rollups.seen_to is 'For users: up to which changed_at people are included. For days: when the present run of sync.refresh_rollups() began; null if none runs.';
comment on column sync.rollups.took_ms is 'How long the last run took, in milliseconds. For days: the last day.';--> statement-breakpoint

create table sync.stale_days (
  day date not null,
  marked_at timestamptz not null default clock_timestamp()
);
create index stale_days_day on sync.stale_days (day);
comment on table sync.stale_days is 'Days whose rows in the rollup tables of analytics are stale. Triggers on builds and jobs add days, sync.refresh_rollups() rebuilds and deletes them.';
comment on column sync.stale_days.day is 'Day in UTC.';
comment on column sync.stale_days.marked_at is 'When it was marked.';--> statement-breakpoint

create table sync.stale_history (
  id bigserial primary key,
  pipeline_id uuid,
  since date,
  scanned_to timestamptz,
  changed_at timestamptz not null default clock_timestamp()
);
comment on table sync.stale_history is 'Changes that make days of history stale, for one pipeline or for all. The rollup worker finds the days and adds them to sync.stale_days.';
comment on column sync.stale_history.id is 'Order of the changes.';
comment on column sync.stale_history.pipeline_id is 'pipelines.id: the days on which its builds ended. Null: the days of all pipelines.';
comment on column sync.stale_history.since is 'Without pipeline_id: the first day that may be stale.';
comment on column sync.stale_history.scanned_to is 'Builds created at or after this time are processed; null: none yet.';
comment on column sync.stale_history.changed_at is 'When the change was made, on the database''s clock.';--> statement-breakpoint

create table sync.unlisted_builds (
  build_id uuid primary key,
  organization_id uuid not null,
  reads integer not null default 0,
  last_read_at timestamptz(3) not null,
  next_read_at timestamptz(3) not null,
  last_status integer
);
create index unlisted_builds_next_read_at on sync.unlisted_builds (organization_id, next_read_at);
comment on table sync.unlisted_builds is 'Builds that are open or provisional in the mirror and in no list of Buildkite, and when each is read again.';
comment on column sync.unlisted_builds.build_id is 'builds.id.';
comment on column sync.unlisted_builds.organization_id is 'organizations.id.';
comment on column sync.unlisted_builds.reads is 'How often it was read individually. The wait grows with it.';
comment on column sync.unlisted_builds.last_read_at is 'When it was last read, on the mirror''s clock.';
comment on column sync.unlisted_builds.next_read_at is 'Earliest time of the next read.';
comment on column sync.unlisted_builds.last_status is 'HTTP status of the last response: 404 means deleted, past retention, or invisible to the token.';--> statement-breakpoint

create table sync.user_identities (
  id uuid,
  email text,
  username text,
  name text,
  last_seen_at timestamptz(3)
);
create unique index user_identities_person on sync.user_identities (COALESCE((id)::text, ''::text), md5(COALESCE(email, ''::text)), md5(COALESCE(username, ''::text)));
comment on table sync.user_identities is 'Every combination of id, e-mail address and user name under which a person was seen. buildkite.users is built from it.';
comment on column sync.user_identities.id is 'Id of the user, if known.';
comment on column sync.user_identities.email is 'E-mail address.';
comment on column sync.user_identities.username is 'User name, in lower case.';
comment on column sync.user_identities.name is 'Name, as last seen.';
comment on column sync.user_identities.last_seen_at is 'When the person last created, wrote or unblocked something.';--> statement-breakpoint

create table sync.watermarks (
  organization_id uuid primary key,
  watermark timestamptz(3),
  warm_watermark timestamptz(3),
  backfill_from timestamptz(3),
  backfill_to timestamptz(3),
  pipelines_read_at timestamptz(3),
  updated_at timestamptz(3) not null,
  pipeline_filter jsonb,
  pipelines_listed_by text,
  confirmed_to timestamptz(3),
  counts_from timestamptz(3)
);
comment on table sync.watermarks is 'How far the mirror is known to be complete. One row for each organization.';
comment on column sync.watermarks.organization_id is 'organizations.id.';
comment on column sync.watermarks.watermark is 'Everything created or finished before it, on Buildkite''s clock, is verified: back to backfill_to by the cycles, from there to backfill_from as far as the windows are done. A cycle moves it to its own start, after everything it read was committed.';
comment on column sync.watermarks.warm_watermark is 'Start of the last warm cycle, which reads the same with an overlap of hours.';
comment on column sync.watermarks.backfill_from is 'created_at at which the backfill ends. Older builds are not read.';
comment on column sync.watermarks.backfill_to is 'created_at from which the backfill goes into the past. The cycles read newer builds.';
comment on column sync.watermarks.pipelines_read_at is 'Start of the read of the last list of pipelines that was applied, on Buildkite''s clock.';
comment on column sync.watermarks.updated_at is 'When this row was last written, on the mirror''s clock.';
comment on column sync.watermarks.pipeline_filter is 'The patterns of pipelines (include, exclude) that the row is valid for. If later patterns include more, all windows are read again. Null: the present patterns.';
comment on column sync.watermarks.pipelines_listed_by is 'Fingerprint of the token that read the list of pipelines. Another token may see other pipelines, so a process with another token reads the list first.';
comment on column sync.watermarks.confirmed_to is 'As of this time the mirror is complete for every listed pipeline. Each list of pipelines moves it, because it shows which pipelines earlier cycles could see.';
comment on column sync.watermarks.counts_from is 'Cycles and windows that began before this time, on Buildkite''s clock, do not count: two minutes after the last list of pipelines that did not confirm earlier reads. Null if there was no such list.';--> statement-breakpoint

create table sync.windows (
  id bigserial primary key,
  organization_id uuid not null,
  created_from timestamptz(3) not null,
  created_to timestamptz(3) not null,
  status text not null default 'pending',
  scanned_to timestamptz(3),
  builds integer not null default 0,
  requests integer not null default 0,
  started_at timestamptz(3),
  finished_at timestamptz(3),
  verified_at timestamptz(3),
  error text,
  pipeline_id uuid,
  first_verified_at timestamptz(3),
  tries integer not null default 0,
  next_try_at timestamptz(3),
  first_verified_until timestamptz(3),
  verified_until timestamptz(3)
);
create unique index windows_range on sync.windows (organization_id, COALESCE(pipeline_id, '00000000-0000-0000-0000-000000000000'::uuid), created_from, created_to);
comment on table sync.windows is 'History in pieces: half-open ranges of created_at. Read by the backfill, newest first; later read again by the audit, which adds a window for every day that the cycles have covered since. The ranges with status done are covered.';
comment on column sync.windows.id is 'Order of creation.';
comment on column sync.windows.organization_id is 'organizations.id.';
comment on column sync.windows.created_from is 'Lower bound (inclusive) of the created_at range.';
comment on column sync.windows.created_to is 'Upper bound (exclusive) of the created_at range.';
comment on column sync.windows.status is 'pending, running or done. Done: every build of the range that REST lists is in the mirror.';
comment on column sync.windows.scanned_to is 'How far the window is read, downwards from created_to. After a restart the read continues here.';
comment on column sync.windows.builds is 'Builds read in it so far.';
comment on column sync.windows.requests is 'Requests it took so far.';
comment on column sync.windows.started_at is 'When the read of the window began, on the mirror''s clock.';
comment on column sync.windows.finished_at is 'When the read of the window was complete, on the mirror''s clock.';
comment on column sync.windows.verified_at is 'Since when its builds are verified, on Buildkite''s clock: the start of the last complete read, by backfill or audit.';
comment on column sync.windows.error is 'Why the last try failed; null otherwise.';
comment on column sync.windows.pipeline_id is 'pipelines.id: read from the list of this pipeline. Null: from the list of the organization.';
comment on column sync.windows.first_verified_at is 'Start of the first complete read, on Buildkite''s clock.';
comment on column sync.windows.tries is 'How many tries in a row failed.';
comment on column sync.windows.next_try_at is 'After a failure: not retried before this time.';
comment on column sync.windows.first_verified_until is 'End of the first complete read, on Buildkite''s clock.';
comment on column sync.windows.verified_until is 'End of the last complete read, on Buildkite''s clock.';--> statement-breakpoint

-- Payloads are written once and soon deleted. LZ4 takes a fraction of the time.
do $$
begin
  alter table sync.deliveries alter column payload set compression lz4;
exception
  when feature_not_supported then
    raise notice 'This Postgres has no LZ4: payloads are compressed as usual.';
end $$;--> statement-breakpoint

-- 29 migrations were replaced by this one. A program that knows only those cannot work here.
insert into sync.compatibility (migrations_needed) values (30);
insert into sync.deployment (used_shared_queue) values (false);
