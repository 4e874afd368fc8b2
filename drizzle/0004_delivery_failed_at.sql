ALTER TABLE "sync"."deliveries" ADD COLUMN "failed_at" timestamp (3) with time zone;--> statement-breakpoint
comment on column sync.deliveries.failed_at is 'When its last try failed, on the mirror''s clock; null unless its status is failed.';
