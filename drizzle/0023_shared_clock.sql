CREATE TABLE "sync"."buildkite_clock" (
	"single_row" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"ahead_ms" bigint NOT NULL,
	"measured_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
comment on table sync.buildkite_clock is 'One row: Buildkite''s clock as the reconciler measured it. Processes that send Buildkite no requests use it to date unsigned webhooks.';
comment on column sync.buildkite_clock.single_row is 'Always true: it keeps this table at one row.';
comment on column sync.buildkite_clock.ahead_ms is 'How far Buildkite''s clock is ahead of the database''s clock, in milliseconds.';
comment on column sync.buildkite_clock.measured_at is 'When it was measured, on the database''s clock.';
comment on column sync.budgets.state is 'Requests granted lately, by class; which organizations wait; and what Buildkite last said of the limit. For the program only.';
--> statement-breakpoint

do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant select on sync.buildkite_clock to buildkite_reader;
  end if;
end $$;
