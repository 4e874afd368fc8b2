ALTER TABLE "sync"."watermarks" ADD COLUMN "counts_from" timestamp (3) with time zone;--> statement-breakpoint
comment on column sync.watermarks.counts_from is 'From this time on, on Buildkite''s clock, cycles and windows count that read builds lists: two minutes after the last list of pipelines that did not confirm what was read before it. Null: there was no such list.';
