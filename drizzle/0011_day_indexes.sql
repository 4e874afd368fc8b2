DROP INDEX "buildkite"."builds_finished_day";--> statement-breakpoint
CREATE INDEX "builds_pipeline_branch_number" ON "buildkite"."builds" USING btree ("pipeline_id","branch","number");--> statement-breakpoint
CREATE INDEX "builds_pull_request" ON "buildkite"."builds" USING btree (("pull_request_id"::integer)) WHERE "buildkite"."builds"."pull_request_id" ~ '^[0-9]{1,9}$';--> statement-breakpoint
CREATE INDEX "builds_ended_day" ON "buildkite"."builds" USING btree (((coalesce("finished_at", "created_at") at time zone 'UTC')::date));--> statement-breakpoint
CREATE INDEX "jobs_expired_at" ON "buildkite"."jobs" USING btree ("expired_at") WHERE "buildkite"."jobs"."expired_at" is not null;