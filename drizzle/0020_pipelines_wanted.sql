-- Locks the watermarks alone, one row for each organization.
ALTER TABLE "sync"."watermarks" ADD COLUMN "pipelines_wanted" jsonb;--> statement-breakpoint
comment on column sync.watermarks.pipelines_wanted is 'The patterns of pipelines (include, exclude) that all of this holds for. When more are wanted all windows are read again. Null: taken to be those that are wanted now.';
