CREATE TABLE "sync"."pipeline_changes" (
	"pipeline_id" uuid PRIMARY KEY NOT NULL,
	"slug" text,
	"deleted_reason" text,
	"started_at" timestamp (3) with time zone NOT NULL,
	"after_number" bigint
);
--> statement-breakpoint
comment on table sync.pipeline_changes is 'Pipelines that were renamed, deleted, hidden or shown again, and how far their builds were updated to match.';
comment on column sync.pipeline_changes.pipeline_id is 'pipelines.id.';
comment on column sync.pipeline_changes.slug is 'The slug that the addresses of its builds and jobs get.';
comment on column sync.pipeline_changes.deleted_reason is 'pipelines.deleted_reason that its builds are marked for; null if the pipeline is listed.';
comment on column sync.pipeline_changes.started_at is 'When the update began, on Buildkite''s clock. One that begins within two minutes after the change is repeated, because lists may lag.';
comment on column sync.pipeline_changes.after_number is 'Builds up to this number are updated; null once all are.';
comment on column sync.failures.kind is 'build, builds_list, pipelines_list, window, delivery, orphans, pipeline_change, rollup_day or replica.';--> statement-breakpoint

do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant select on sync.pipeline_changes to buildkite_reader;
  end if;
end $$;
