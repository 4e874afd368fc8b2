-- One thing has one name in all views of analytics. A renamed column stays the same column for the views of users that read it. In a new
-- database the views do not exist yet: their definitions in drizzle/views have the new names.
do $$
declare
  one record;
begin
  for one in
    select renamed.* from (values
      ('agents', 'name', 'agent_name'),
      ('attempt_runs', 'seconds', 'run_seconds'),
      ('build_attempts', 'number', 'build_number'),
      ('builds', 'number', 'build_number'),
      ('flaky_jobs_daily', 'lost_seconds', 'wasted_seconds'),
      ('job_breaks', 'broken_by_number', 'broken_by_build_number'),
      ('job_breaks', 'last_good_number', 'last_good_build_number'),
      ('job_retries', 'retried_by', 'retried_by_name'),
      ('jobs', 'name', 'job'),
      ('parallel_steps', 'longest_seconds', 'max_seconds'),
      ('parallel_steps', 'shortest_seconds', 'min_seconds'),
      ('pipelines', 'slug', 'pipeline'),
      ('pull_requests', 'base', 'pr_base'),
      ('rebuilds', 'original_number', 'original_build_number'),
      ('trunk_recoveries', 'broken_by_number', 'broken_by_build_number'),
      ('trunk_recoveries', 'recovered_by_number', 'recovered_by_build_number')
    ) as renamed (view, old_name, new_name)
    join pg_attribute on attrelid = to_regclass('analytics.' || renamed.view) and attname = renamed.old_name
  loop
    execute format('alter view analytics.%I rename column %I to %I', one.view, one.old_name, one.new_name);
  end loop;
end $$;--> statement-breakpoint
alter view if exists analytics.dimensions rename to reference_syncs;--> statement-breakpoint
delete from sync.definitions where name = 'views/analytics/dimensions.sql';--> statement-breakpoint
alter table analytics.queue_waits_daily rename column concurrency_seconds to concurrency_wait_seconds;
