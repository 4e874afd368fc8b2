ALTER TABLE "sync"."failures" ADD COLUMN "cleared_at" timestamp (3) with time zone;--> statement-breakpoint
comment on column sync.failures.cleared_at is 'When Buildkite answered 404 for the build, or listed the range without it, on Buildkite''s clock. It stays an exception until a list of pipelines shows that the pipelines were visible then.';
