CREATE TABLE "sync"."buildkite_clock" (
	"single_row" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"ahead_ms" bigint NOT NULL,
	"measured_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
comment on table sync.buildkite_clock is 'One row: Buildkite''s clock as the reconciler measured it. Processes that send no requests to Buildkite use it to date unsigned webhooks.';
comment on column sync.buildkite_clock.single_row is 'Always true, so that the table has at most one row.';
comment on column sync.buildkite_clock.ahead_ms is 'How far Buildkite''s clock is ahead of the database''s clock, in milliseconds.';
comment on column sync.buildkite_clock.measured_at is 'When it was measured, on the database''s clock.';
comment on column sync.budgets.state is 'Recently granted requests by class, waiting organizations, and the rate limit that Buildkite last reported. For internal use.';
--> statement-breakpoint

do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant select on sync.buildkite_clock to buildkite_reader;
  end if;
end $$;
