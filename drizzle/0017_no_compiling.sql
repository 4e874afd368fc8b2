-- A kind of plan that is turned off counts as costing ten thousand million, and whatever costs more than 100,000 Postgres compiles, unless jit is off:
-- each update of a build took 0.13 s for that.
alter function sync.mark_days_of_jobs(uuid[]) set jit = off;--> statement-breakpoint
alter function sync.mark_days_of_commits(text[], timestamptz[]) set jit = off;--> statement-breakpoint
alter function sync.mark_days_of_attempts() set jit = off;--> statement-breakpoint
alter function sync.mark_days_of_changed_builds() set jit = off;--> statement-breakpoint
alter function sync.mark_days_of_changed_jobs() set jit = off;
