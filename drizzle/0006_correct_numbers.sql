comment on column buildkite.builds.test_engine is 'Not filled: no list has it. Only version 0.1 wrote it, for builds that it read one by one.';--> statement-breakpoint
-- Its week becomes a date. The definition in drizzle/views creates it again.
drop view if exists analytics.dora_weekly;
--> statement-breakpoint
drop index analytics.deployments_week;--> statement-breakpoint
create index deployments_week on analytics.deployments (((date_trunc('week'::text, (deployed_at at time zone 'UTC'::text)))::date));--> statement-breakpoint
alter table analytics.deployments add column first_success boolean;--> statement-breakpoint
comment on column analytics.deployments.first_success is 'Whether its first try succeeded; success has the outcome of the last try. Ours, not DX''s.';--> statement-breakpoint
comment on column analytics.deployments.id is 'Rule and build, or rule and job. Of several rules that match a build or job, the closest counts: the one with the most fixed characters.';--> statement-breakpoint
comment on column analytics.minutes_daily.tries is 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';--> statement-breakpoint
comment on column analytics.jobs_daily.tries is 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';--> statement-breakpoint
comment on table analytics.build_results_daily is 'How builds ended, by pipeline and the day (UTC) they finished. Practice disagrees on retries: failure_rate is by the final result, first_failure_rate by the first. Neither includes canceled and skipped builds, nor builds that wait at a gate: these are in blocked on the day they stopped. Builds that never finished count on the day they were created. Builds that Buildkite has deleted still count: history outlives the source. A rollup table.';--> statement-breakpoint
insert into sync.stale_history (since) select '-infinity' where exists (select from buildkite.builds);
