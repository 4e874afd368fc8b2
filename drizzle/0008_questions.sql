CREATE TABLE "settings"."incidents" (
	"id" text PRIMARY KEY NOT NULL,
	"organization" text DEFAULT '*' NOT NULL,
	"service" text NOT NULL,
	"environment" text DEFAULT 'production' NOT NULL,
	"started_at" timestamp (3) with time zone NOT NULL,
	"resolved_at" timestamp (3) with time zone,
	"deployment_id" text,
	"url" text
);
--> statement-breakpoint
comment on table settings.incidents is 'Incidents that users load. A service with incidents here has failed where an incident says so, and has recovered when it was resolved.';--> statement-breakpoint
comment on column settings.incidents.id is 'Its id in the incident tracker.';--> statement-breakpoint
comment on column settings.incidents.organization is 'Slug of the organization; *: all.';--> statement-breakpoint
comment on column settings.incidents.service is 'Service, as in deployments.service.';--> statement-breakpoint
comment on column settings.incidents.environment is 'Environment, as in deployments.environment.';--> statement-breakpoint
comment on column settings.incidents.started_at is 'When it began.';--> statement-breakpoint
comment on column settings.incidents.resolved_at is 'When it was resolved; null: it is open.';--> statement-breakpoint
comment on column settings.incidents.deployment_id is 'deployments.id of the deployment that caused it. Null: the latest successful one before it began.';--> statement-breakpoint
comment on column settings.incidents.url is 'Address in the browser.';--> statement-breakpoint
create table analytics.build_minutes_hourly (
  hour timestamp(3) with time zone not null,
  organization_id uuid,
  pipeline_id uuid,
  build_id uuid not null,
  queue text not null,
  cluster_id uuid,
  tries bigint not null,
  minutes double precision not null,
  minutes_wasted double precision not null
);
create index build_minutes_hourly_hour on analytics.build_minutes_hourly (hour);
create index build_minutes_hourly_build on analytics.build_minutes_hourly (build_id);
comment on table analytics.build_minutes_hourly is 'Agent minutes of command jobs by build, cluster, queue and the hour (UTC) in which they ended. A rollup table.';
comment on column analytics.build_minutes_hourly.hour is 'Start of the hour in UTC.';
comment on column analytics.build_minutes_hourly.organization_id is 'organizations.id.';
comment on column analytics.build_minutes_hourly.pipeline_id is 'pipelines.id.';
comment on column analytics.build_minutes_hourly.build_id is 'builds.id.';
comment on column analytics.build_minutes_hourly.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.build_minutes_hourly.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.build_minutes_hourly.tries is 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';
comment on column analytics.build_minutes_hourly.minutes is 'Agent minutes.';
comment on column analytics.build_minutes_hourly.minutes_wasted is 'Those wasted by lost agents, cancels, retries and rebuilds.';--> statement-breakpoint
create table analytics.job_minutes_hourly (
  hour timestamp(3) with time zone not null,
  organization_id uuid,
  pipeline_id uuid,
  group_key text,
  step_key text,
  job text not null,
  queue text not null,
  cluster_id uuid,
  tries bigint not null,
  minutes double precision not null,
  minutes_wasted double precision not null
);
create index job_minutes_hourly_hour on analytics.job_minutes_hourly (hour);
create index job_minutes_hourly_day on analytics.job_minutes_hourly (((hour at time zone 'UTC')::date));
create index job_minutes_hourly_pipeline on analytics.job_minutes_hourly (pipeline_id, ((hour at time zone 'UTC')::date));
comment on table analytics.job_minutes_hourly is 'Agent minutes of command jobs by pipeline, group, step, name, cluster, queue and the hour (UTC) in which they ended. A rollup table.';
comment on column analytics.job_minutes_hourly.hour is 'Start of the hour in UTC.';
comment on column analytics.job_minutes_hourly.organization_id is 'organizations.id.';
comment on column analytics.job_minutes_hourly.pipeline_id is 'pipelines.id.';
comment on column analytics.job_minutes_hourly.group_key is 'Key of the group step that it belongs to.';
comment on column analytics.job_minutes_hourly.step_key is 'Key of the step.';
comment on column analytics.job_minutes_hourly.job is 'Name of the job, as people read it.';
comment on column analytics.job_minutes_hourly.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.job_minutes_hourly.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.job_minutes_hourly.tries is 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';
comment on column analytics.job_minutes_hourly.minutes is 'Agent minutes.';
comment on column analytics.job_minutes_hourly.minutes_wasted is 'Those wasted by lost agents, cancels, retries and rebuilds.';--> statement-breakpoint
alter type sync.command_try add attribute build_id uuid, add attribute group_key text, add attribute step_key text;--> statement-breakpoint
comment on column analytics.deployments.deployment_service_id is 'deployment_services.id.';--> statement-breakpoint
insert into sync.stale_history (since) select '-infinity' where exists (select from buildkite.builds);
