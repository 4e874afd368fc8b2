-- Their successors take ranges of hours. Version 0.1 does not call them.
drop function if exists sync.agents_of_hour(timestamptz, sync.command_try[]);--> statement-breakpoint
drop function if exists sync.build_minutes_of_hour(timestamptz, sync.command_try[]);--> statement-breakpoint
drop function if exists sync.builds_found_of_hour(timestamptz);--> statement-breakpoint
drop function if exists sync.builds_of_hour(timestamptz);--> statement-breakpoint
drop function if exists sync.job_minutes_of_hour(timestamptz, sync.command_try[]);--> statement-breakpoint
drop function if exists sync.jobs_found_of_hour(timestamptz, sync.command_try[]);--> statement-breakpoint
drop function if exists sync.jobs_of_hour(timestamptz, sync.command_try[]);--> statement-breakpoint
drop function if exists sync.minutes_of_hour(timestamptz, sync.command_try[]);--> statement-breakpoint
drop function if exists sync.queues_of_hour(timestamptz, sync.command_try[]);--> statement-breakpoint
drop function if exists sync.tries_of_hour(timestamptz);--> statement-breakpoint
drop function if exists sync.waits_of_hour(timestamptz);--> statement-breakpoint
drop function if exists sync.refresh_queue_hour(timestamptz);--> statement-breakpoint
drop function if exists sync.replace_rows(text, text, text, text, timestamptz, uuid[], sync.command_try[]);--> statement-breakpoint
comment on type sync.command_try is 'A try of a command job, with what the rollups need of it: see sync.tries_of_hours().';--> statement-breakpoint
-- 0 was wrong: nothing is known about these builds.
alter table analytics.builds_hourly alter column run_ms drop not null;--> statement-breakpoint
update analytics.builds_hourly set run_ms = null where run_histogram = '{}';--> statement-breakpoint
comment on column analytics.builds_hourly.run_ms is 'Milliseconds that passed and failed builds ran, in total; null if none is known.';--> statement-breakpoint
-- Hours of agents begin with the first build.
delete from analytics.agents_hourly
where hour < coalesce((select date_trunc('hour', min(created_at), 'UTC') from buildkite.builds where created_at >= '2013-01-01'), 'infinity');
