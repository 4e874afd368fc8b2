create table buildkite."agent_connections" (
	"agent_id" uuid NOT NULL,
	"connected_at" timestamp (3) with time zone NOT NULL,
	"ended_at" timestamp (3) with time zone,
	"ended_as" text,
	"observed_at" timestamp (3) with time zone NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"first_seen_via" text NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "agent_connections_agent_id_connected_at_pk" PRIMARY KEY("agent_id","connected_at")
);
--> statement-breakpoint
ALTER TABLE "buildkite"."pipelines" ADD COLUMN "default_command_step_timeout" integer;--> statement-breakpoint
ALTER TABLE "buildkite"."pipelines" ADD COLUMN "maximum_command_step_timeout" integer;--> statement-breakpoint
ALTER TABLE "buildkite"."annotations" ADD COLUMN "scope" text;--> statement-breakpoint
ALTER TABLE "buildkite"."annotations" ADD COLUMN "job_id" uuid;--> statement-breakpoint
ALTER TABLE "buildkite"."annotations" ADD COLUMN "priority" integer;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "cluster_url" text;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "dispatch_paused_by_id" uuid;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "dispatch_paused_by_name" text;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "dispatch_paused_by_email" text;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "retry_agent_affinity" text;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "hosted" boolean;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "hosted_agents_agent_image_ref" text;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "hosted_agents_instance_shape_name" text;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "hosted_agents_instance_shape_machine_type" text;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "hosted_agents_instance_shape_architecture" text;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "hosted_agents_instance_shape_cpu" integer;--> statement-breakpoint
ALTER TABLE "buildkite"."cluster_queues" ADD COLUMN "hosted_agents_instance_shape_memory" integer;--> statement-breakpoint
ALTER TABLE "buildkite"."clusters" ADD COLUMN "maintainers" jsonb;--> statement-breakpoint
ALTER TABLE "buildkite"."clusters" ADD COLUMN "default_queue_url" text;--> statement-breakpoint
ALTER TABLE "buildkite"."clusters" ADD COLUMN "queues_url" text;--> statement-breakpoint
CREATE INDEX "agent_connections_changed_at" ON "buildkite"."agent_connections" USING btree ("changed_at");--> statement-breakpoint
CREATE INDEX "agent_connections_ended_at" ON "buildkite"."agent_connections" USING btree ("ended_at") WHERE "ended_at" is not null;--> statement-breakpoint
CREATE INDEX "agent_connections_long" ON "buildkite"."agent_connections" USING gist (tstzrange("connected_at", greatest("connected_at", coalesce("ended_at", 'infinity')))) WHERE "ended_at" is null or "ended_at" - "connected_at" > interval '1 hour';--> statement-breakpoint
create table analytics.queue_depths (
  at timestamptz not null,
  organization_id uuid,
  cluster_id uuid,
  queue text not null,
  waiting integer not null,
  oldest_wait_seconds double precision,
  running integer not null,
  most_waiting integer not null,
  most_running integer not null
);
create index queue_depths_at on analytics.queue_depths (at);
comment on table analytics.queue_depths is 'How many jobs waited and ran, by queue, every five minutes, derived from the times of the jobs. A queue has the points of an hour in which one of its jobs waited or ran. A rollup table.';
comment on column analytics.queue_depths.at is 'The moment; the most_ columns are of the five minutes that begin then.';
comment on column analytics.queue_depths.organization_id is 'organizations.id.';
comment on column analytics.queue_depths.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.queue_depths.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.queue_depths.waiting is 'Jobs that waited for an agent.';
comment on column analytics.queue_depths.oldest_wait_seconds is 'How long the one of them that waited longest had waited, in seconds; null if none waited.';
comment on column analytics.queue_depths.running is 'Jobs that ran.';
comment on column analytics.queue_depths.most_waiting is 'The most jobs that waited at the same time.';
comment on column analytics.queue_depths.most_running is 'The most jobs that ran at the same time.';--> statement-breakpoint
create table analytics.agents_hourly (
  hour timestamptz not null,
  organization_id uuid,
  cluster_id uuid,
  queue text not null,
  agents integer not null,
  most_connected integer not null,
  connected_seconds double precision not null,
  busy_seconds double precision not null,
  idle_seconds double precision not null
);
create index agents_hourly_hour on analytics.agents_hourly (hour);
comment on table analytics.agents_hourly is 'How long the agents of a queue were connected, busy and idle, by hour (UTC). From events of agents exact; from REST alone, an agent is known only if a list or a job showed it. A rollup table.';
comment on column analytics.agents_hourly.hour is 'Start of the hour.';
comment on column analytics.agents_hourly.organization_id is 'organizations.id.';
comment on column analytics.agents_hourly.cluster_id is 'clusters.id; null outside clusters.';
comment on column analytics.agents_hourly.queue is 'Queue that the agents serve.';
comment on column analytics.agents_hourly.agents is 'Agents that were connected or busy in the hour.';
comment on column analytics.agents_hourly.most_connected is 'The most agents that were connected at the same time.';
comment on column analytics.agents_hourly.connected_seconds is 'Seconds that agents were connected, in total.';
comment on column analytics.agents_hourly.busy_seconds is 'Seconds that their jobs ran, in total.';
comment on column analytics.agents_hourly.idle_seconds is 'Of each agent the connected seconds without the busy ones, in total.';--> statement-breakpoint
create table sync.open_work (
  organization_id uuid primary key,
  counted_to timestamptz not null
);
comment on table sync.open_work is 'Until when the rollups count open jobs and connected agents, by organization. sync.invalidate_days_of_open_work moves it forward.';
comment on column sync.open_work.organization_id is 'organizations.id.';
comment on column sync.open_work.counted_to is 'sync.last_heard at the last mark.';--> statement-breakpoint
create table sync.metric_queues (
  id integer primary key,
  organization_id uuid,
  cluster_id uuid,
  queue text,
  since timestamptz not null
);
comment on table sync.metric_queues is 'The queues that have series of their own in the metrics of Prometheus, at most 50. Row 0 stands for all others. A row stays, so that no counter goes down.';
comment on column sync.metric_queues.id is 'Number of the queue; 0 for all that have no row.';
comment on column sync.metric_queues.organization_id is 'organizations.id.';
comment on column sync.metric_queues.cluster_id is 'clusters.id; null outside clusters.';
comment on column sync.metric_queues.queue is 'Queue; null in row 0.';
comment on column sync.metric_queues.since is 'When the row was added. Of row 0: jobs that started or finished before are not counted.';--> statement-breakpoint
create table sync.job_counts (
  queue_id integer not null,
  measure text not null,
  bucket double precision not null,
  jobs bigint not null,
  seconds double precision not null,
  primary key (queue_id, measure, bucket)
);
comment on table sync.job_counts is 'The histograms of waits and runs that Prometheus reads. sync.count_jobs adds to them; nothing else changes them.';
comment on column sync.job_counts.queue_id is 'metric_queues.id.';
comment on column sync.job_counts.measure is 'wait or run.';
comment on column sync.job_counts.bucket is 'Upper bound of the bucket, in seconds; Infinity for the last.';
comment on column sync.job_counts.jobs is 'Tries in this bucket alone.';
comment on column sync.job_counts.seconds is 'Their seconds, in total.';--> statement-breakpoint
create table sync.counted_jobs (
  job_id uuid not null,
  measure text not null,
  counted_at timestamptz not null,
  primary key (job_id, measure)
);
create index counted_jobs_counted_at on sync.counted_jobs (counted_at);
comment on table sync.counted_jobs is 'The tries that sync.job_counts contains, so that each counts once. Rows are deleted after two hours, for older tries are not counted.';
comment on column sync.counted_jobs.job_id is 'jobs.id.';
comment on column sync.counted_jobs.measure is 'wait or run.';
comment on column sync.counted_jobs.counted_at is 'When it was counted.';--> statement-breakpoint
comment on table buildkite.agent_connections is 'Each known connection of an agent, from connect to end. agents has only the last.';
comment on column buildkite.agent_connections.agent_id is 'agents.id.';
comment on column buildkite.agent_connections.connected_at is 'When the agent connected, in whole seconds.';
comment on column buildkite.agent_connections.ended_at is 'When the connection ended; null while it lasts, or if its end is not known.';
comment on column buildkite.agent_connections.ended_as is 'disconnected, lost or stopped, as Buildkite says; unlisted: a list of agents lacked the agent, and ended_at is when it was last seen.';
comment on column buildkite.agent_connections.observed_at is 'Time of the payload that showed the end, or showed the connection first.';
comment on column buildkite.agent_connections.first_seen_at is 'When the mirror first saw the connection.';
comment on column buildkite.agent_connections.first_seen_via is 'webhook or rest.';
comment on column buildkite.agent_connections.changed_at is 'When the row was last written.';
comment on column buildkite.pipelines.default_command_step_timeout is 'Time limit of command steps that have none, in minutes.';
comment on column buildkite.pipelines.maximum_command_step_timeout is 'Greatest time limit of a command step, in minutes.';
comment on column buildkite.annotations.scope is 'build or job.';
comment on column buildkite.annotations.job_id is 'jobs.id, if the scope is job.';
comment on column buildkite.annotations.priority is '1 to 10; higher ones are shown first.';
comment on column buildkite.clusters.maintainers is 'Users and teams that may manage the cluster.';
comment on column buildkite.clusters.default_queue_url is 'API address of the default queue.';
comment on column buildkite.clusters.queues_url is 'API address of its queues.';
comment on column buildkite.cluster_queues.cluster_url is 'API address of the cluster.';
comment on column buildkite.cluster_queues.dispatch_paused_by_id is 'Who paused it: id.';
comment on column buildkite.cluster_queues.dispatch_paused_by_name is 'Who paused it: name.';
comment on column buildkite.cluster_queues.dispatch_paused_by_email is 'Who paused it: e-mail address.';
comment on column buildkite.cluster_queues.retry_agent_affinity is 'prefer-warmest or prefer-different: which agents retries prefer.';
comment on column buildkite.cluster_queues.hosted is 'Whether Buildkite hosts its agents; null if Buildkite does not say.';
comment on column buildkite.cluster_queues.hosted_agents_agent_image_ref is 'Image of the hosted agents.';
comment on column buildkite.cluster_queues.hosted_agents_instance_shape_name is 'Size of the hosted agents, such as LINUX_AMD64_2X4.';
comment on column buildkite.cluster_queues.hosted_agents_instance_shape_machine_type is 'linux or macos.';
comment on column buildkite.cluster_queues.hosted_agents_instance_shape_architecture is 'amd64 or arm64.';
comment on column buildkite.cluster_queues.hosted_agents_instance_shape_cpu is 'Number of vCPUs.';
comment on column buildkite.cluster_queues.hosted_agents_instance_shape_memory is 'Memory, in GB.';--> statement-breakpoint
-- The lists of annotations of old builds are not read again. All others are.
update buildkite.annotations set
  scope = extra ->> 'scope',
  job_id = case when extra ->> 'job_id' ~* '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$' then (extra ->> 'job_id')::uuid end,
  priority = case when extra ->> 'priority' ~ '^[0-9]{1,9}$' then (extra ->> 'priority')::integer end,
  extra = extra - '{scope,job_id,priority}'::text[],
  changed_at = statement_timestamp()
where extra ?| '{scope,job_id,priority}';--> statement-breakpoint
-- The last connection of each known agent.
insert into buildkite.agent_connections
  (agent_id, connected_at, ended_at, ended_as, observed_at, first_seen_at, first_seen_via, changed_at)
select id, date_trunc('second', connected_at), ended.at, ended.way, observed_at, first_seen_at, first_seen_via, statement_timestamp()
from buildkite.agents
left join lateral (
  select moment.at, moment.way
  from (values (disconnected_at, 'disconnected'), (lost_at, 'lost'), (stopped_at, 'stopped')) as moment (at, way)
  where moment.at >= date_trunc('second', connected_at) and connection_state in ('disconnected', 'lost', 'stopped')
  union all
  select greatest(observed_at, connected_at), connection_state where connection_state in ('disconnected', 'lost', 'stopped')
  order by at limit 1
) as ended on true
where connected_at is not null;--> statement-breakpoint
insert into sync.stale_history (since) select '-infinity' where exists (select from buildkite.builds);
