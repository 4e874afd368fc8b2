CREATE SCHEMA "buildkite";
--> statement-breakpoint
CREATE SCHEMA "sync";
--> statement-breakpoint
CREATE TABLE "sync"."absences" (
	"build_id" uuid PRIMARY KEY NOT NULL,
	"organization_id" uuid NOT NULL,
	"reads" integer DEFAULT 0 NOT NULL,
	"last_read_at" timestamp (3) with time zone NOT NULL,
	"next_read_at" timestamp (3) with time zone NOT NULL,
	"last_status" integer
);
--> statement-breakpoint
CREATE TABLE "buildkite"."agents" (
	"id" uuid PRIMARY KEY NOT NULL,
	"organization_id" uuid,
	"graphql_id" text,
	"url" text,
	"web_url" text,
	"name" text,
	"connection_state" text,
	"hostname" text,
	"ip_address" text,
	"user_agent" text,
	"version" text,
	"os_id" text,
	"arch" text,
	"queue" text,
	"creator_id" uuid,
	"creator_name" text,
	"creator_email" text,
	"created_at" timestamp (3) with time zone,
	"connected_at" timestamp (3) with time zone,
	"disconnected_at" timestamp (3) with time zone,
	"lost_at" timestamp (3) with time zone,
	"stopped_at" timestamp (3) with time zone,
	"job_id" uuid,
	"last_job_finished_at" timestamp (3) with time zone,
	"priority" integer,
	"meta_data" text[],
	"paused" boolean,
	"paused_at" timestamp (3) with time zone,
	"paused_by_id" uuid,
	"paused_by_name" text,
	"paused_by_email" text,
	"paused_note" text,
	"paused_timeout_in_minutes" integer,
	"cluster_url" text,
	"cluster_queue_url" text,
	"observed_at" timestamp (3) with time zone NOT NULL,
	"verified_at" timestamp (3) with time zone,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"first_seen_via" text NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone,
	"deleted_reason" text,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."budgets" (
	"scope" text PRIMARY KEY NOT NULL,
	"state" jsonb NOT NULL,
	"updated_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "buildkite"."build_attempts" (
	"build_id" uuid NOT NULL,
	"finished_at" timestamp (3) with time zone NOT NULL,
	"started_at" timestamp (3) with time zone,
	"state" text,
	"blocked" boolean,
	"blocked_state" text,
	"observed_at" timestamp (3) with time zone NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"first_seen_via" text NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "build_attempts_build_id_finished_at_pk" PRIMARY KEY("build_id","finished_at")
);
--> statement-breakpoint
CREATE TABLE "buildkite"."builds" (
	"id" uuid PRIMARY KEY NOT NULL,
	"organization_id" uuid,
	"pipeline_id" uuid,
	"graphql_id" text,
	"url" text,
	"web_url" text,
	"number" bigint,
	"state" text,
	"blocked" boolean,
	"blocked_state" text,
	"cancel_reason" text,
	"message" text,
	"commit" text,
	"branch" text,
	"tag" text,
	"source" text,
	"author_username" text,
	"author_name" text,
	"author_email" text,
	"author_date" timestamp (3) with time zone,
	"creator_id" uuid,
	"creator_graphql_id" text,
	"creator_name" text,
	"creator_email" text,
	"creator_avatar_url" text,
	"creator_created_at" timestamp (3) with time zone,
	"created_at" timestamp (3) with time zone,
	"scheduled_at" timestamp (3) with time zone,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	"failing_at" timestamp (3) with time zone,
	"meta_data" jsonb,
	"env" jsonb,
	"pull_request_id" text,
	"pull_request_base" text,
	"pull_request_repository" text,
	"pull_request_labels" text[],
	"merge_queue_base_branch" text,
	"rebuilt_from_id" uuid,
	"rebuilt_from_number" bigint,
	"rebuilt_from_url" text,
	"triggered_from_build_id" uuid,
	"triggered_from_build_number" bigint,
	"triggered_from_build_pipeline_slug" text,
	"cluster_id" uuid,
	"cluster_url" text,
	"test_engine" jsonb,
	"observed_at" timestamp (3) with time zone NOT NULL,
	"verified_at" timestamp (3) with time zone,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"first_seen_via" text NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone,
	"deleted_reason" text,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."cycles" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"organization_id" uuid NOT NULL,
	"kind" text NOT NULL,
	"watermark_from" timestamp (3) with time zone,
	"watermark_to" timestamp (3) with time zone,
	"started_at" timestamp (3) with time zone NOT NULL,
	"finished_at" timestamp (3) with time zone,
	"requests" integer DEFAULT 0 NOT NULL,
	"builds_read" integer DEFAULT 0 NOT NULL,
	"builds_missing" integer DEFAULT 0 NOT NULL,
	"builds_healed" integer DEFAULT 0 NOT NULL,
	"jobs_missing" integer DEFAULT 0 NOT NULL,
	"jobs_healed" integer DEFAULT 0 NOT NULL,
	"absent_read" integer DEFAULT 0 NOT NULL,
	"error" text
);
--> statement-breakpoint
CREATE TABLE "sync"."deliveries" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"key" text NOT NULL,
	"event" text NOT NULL,
	"request_id" text,
	"received_at" timestamp (3) with time zone NOT NULL,
	"observed_at" timestamp (3) with time zone NOT NULL,
	"status" text DEFAULT 'pending' NOT NULL,
	"attempts" integer DEFAULT 0 NOT NULL,
	"error" text,
	"enqueued_at" timestamp (3) with time zone,
	"applied_at" timestamp (3) with time zone,
	"payload" text
);
--> statement-breakpoint
CREATE TABLE "buildkite"."jobs" (
	"id" uuid PRIMARY KEY NOT NULL,
	"build_id" uuid,
	"graphql_id" text,
	"type" text,
	"name" text,
	"label" text,
	"step_key" text,
	"group_key" text,
	"step_id" uuid,
	"step_signature" jsonb,
	"priority_number" integer,
	"agent_query_rules" text[],
	"state" text,
	"build_url" text,
	"web_url" text,
	"log_url" text,
	"raw_log_url" text,
	"artifacts_url" text,
	"command" text,
	"soft_failed" boolean,
	"exit_status" bigint,
	"signal" text,
	"signal_reason" text,
	"broken_reason" text,
	"promised_exit_status" bigint,
	"promised_exit_status_at" timestamp (3) with time zone,
	"promised_exit_status_reason" text,
	"artifact_paths" text,
	"created_at" timestamp (3) with time zone,
	"scheduled_at" timestamp (3) with time zone,
	"runnable_at" timestamp (3) with time zone,
	"concurrency_wait_time_ms" bigint,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	"expired_at" timestamp (3) with time zone,
	"retried" boolean,
	"retried_in_job_id" uuid,
	"retries_count" integer,
	"retry_source_job_id" uuid,
	"retry_source_retry_type" text,
	"retry_source_retried_by_name" text,
	"retry_source_retried_by_email" text,
	"retry_type" text,
	"retried_by_id" uuid,
	"retried_by_name" text,
	"retried_by_email" text,
	"parallel_group_index" integer,
	"parallel_group_total" integer,
	"matrix" jsonb,
	"agent_id" uuid,
	"agent_name" text,
	"cluster_id" uuid,
	"cluster_url" text,
	"cluster_queue_id" uuid,
	"cluster_queue_url" text,
	"unblocked_by_id" uuid,
	"unblocked_by_name" text,
	"unblocked_by_email" text,
	"unblocked_at" timestamp (3) with time zone,
	"unblockable" boolean,
	"unblock_url" text,
	"async" boolean,
	"triggered_build_id" uuid,
	"triggered_build_number" bigint,
	"triggered_build_url" text,
	"triggered_build_web_url" text,
	"observed_at" timestamp (3) with time zone NOT NULL,
	"verified_at" timestamp (3) with time zone,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"first_seen_via" text NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone,
	"deleted_reason" text,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "buildkite"."organization_slugs" (
	"organization_id" uuid NOT NULL,
	"slug" text NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"last_seen_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "organization_slugs_organization_id_slug_pk" PRIMARY KEY("organization_id","slug")
);
--> statement-breakpoint
CREATE TABLE "buildkite"."organizations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"graphql_id" text,
	"url" text,
	"web_url" text,
	"name" text,
	"slug" text,
	"pipelines_url" text,
	"agents_url" text,
	"emojis_url" text,
	"created_at" timestamp (3) with time zone,
	"observed_at" timestamp (3) with time zone NOT NULL,
	"verified_at" timestamp (3) with time zone,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"first_seen_via" text NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone,
	"deleted_reason" text,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "buildkite"."pipeline_slugs" (
	"pipeline_id" uuid NOT NULL,
	"organization_slug" text NOT NULL,
	"slug" text NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"last_seen_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "pipeline_slugs_pipeline_id_organization_slug_slug_pk" PRIMARY KEY("pipeline_id","organization_slug","slug")
);
--> statement-breakpoint
CREATE TABLE "buildkite"."pipelines" (
	"id" uuid PRIMARY KEY NOT NULL,
	"organization_id" uuid,
	"graphql_id" text,
	"url" text,
	"web_url" text,
	"name" text,
	"description" text,
	"slug" text,
	"repository" text,
	"cluster_id" uuid,
	"cluster_url" text,
	"pipeline_template_uuid" uuid,
	"branch_configuration" text,
	"default_branch" text,
	"skip_queued_branch_builds" boolean,
	"skip_queued_branch_builds_filter" text,
	"cancel_running_branch_builds" boolean,
	"cancel_running_branch_builds_filter" text,
	"allow_rebuilds" boolean,
	"provider_id" text,
	"provider_settings" jsonb,
	"builds_url" text,
	"badge_url" text,
	"clone_mirror_url" text,
	"created_by_id" uuid,
	"created_by_name" text,
	"created_by_email" text,
	"created_at" timestamp (3) with time zone,
	"archived_at" timestamp (3) with time zone,
	"scheduled_builds_count" integer,
	"running_builds_count" integer,
	"scheduled_jobs_count" integer,
	"running_jobs_count" integer,
	"waiting_jobs_count" integer,
	"visibility" text,
	"tags" text[],
	"emoji" text,
	"color" text,
	"env" jsonb,
	"configuration" text,
	"steps" jsonb,
	"observed_at" timestamp (3) with time zone NOT NULL,
	"verified_at" timestamp (3) with time zone,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"first_seen_via" text NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone,
	"deleted_reason" text,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."watermarks" (
	"organization_id" uuid PRIMARY KEY NOT NULL,
	"watermark" timestamp (3) with time zone,
	"warm_watermark" timestamp (3) with time zone,
	"backfill_from" timestamp (3) with time zone,
	"backfill_to" timestamp (3) with time zone,
	"pipelines_read_at" timestamp (3) with time zone,
	"updated_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."windows" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"organization_id" uuid NOT NULL,
	"created_from" timestamp (3) with time zone NOT NULL,
	"created_to" timestamp (3) with time zone NOT NULL,
	"status" text DEFAULT 'pending' NOT NULL,
	"walked_to" timestamp (3) with time zone,
	"builds" integer DEFAULT 0 NOT NULL,
	"requests" integer DEFAULT 0 NOT NULL,
	"started_at" timestamp (3) with time zone,
	"finished_at" timestamp (3) with time zone,
	"verified_at" timestamp (3) with time zone,
	"error" text
);
--> statement-breakpoint
CREATE INDEX "absences_next_read_at" ON "sync"."absences" USING btree ("organization_id","next_read_at");--> statement-breakpoint
CREATE INDEX "agents_organization_name" ON "buildkite"."agents" USING btree ("organization_id","name");--> statement-breakpoint
CREATE INDEX "agents_changed_at" ON "buildkite"."agents" USING btree ("changed_at");--> statement-breakpoint
CREATE INDEX "build_attempts_finished_at" ON "buildkite"."build_attempts" USING btree ("finished_at");--> statement-breakpoint
CREATE INDEX "build_attempts_changed_at" ON "buildkite"."build_attempts" USING btree ("changed_at");--> statement-breakpoint
CREATE INDEX "builds_pipeline_number" ON "buildkite"."builds" USING btree ("pipeline_id","number");--> statement-breakpoint
CREATE INDEX "builds_organization_created_at" ON "buildkite"."builds" USING btree ("organization_id","created_at");--> statement-breakpoint
CREATE INDEX "builds_organization_finished_at" ON "buildkite"."builds" USING btree ("organization_id","finished_at");--> statement-breakpoint
CREATE INDEX "builds_pipeline_created_at" ON "buildkite"."builds" USING btree ("pipeline_id","created_at");--> statement-breakpoint
CREATE INDEX "builds_created_at" ON "buildkite"."builds" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "builds_finished_at" ON "buildkite"."builds" USING btree ("finished_at");--> statement-breakpoint
CREATE INDEX "builds_changed_at" ON "buildkite"."builds" USING btree ("changed_at");--> statement-breakpoint
CREATE INDEX "builds_branch" ON "buildkite"."builds" USING btree ("branch","created_at");--> statement-breakpoint
CREATE INDEX "builds_commit" ON "buildkite"."builds" USING btree ("commit");--> statement-breakpoint
CREATE INDEX "builds_open" ON "buildkite"."builds" USING btree ("organization_id","created_at") WHERE "buildkite"."builds"."state" in ('creating', 'scheduled', 'running', 'failing', 'canceling') and "buildkite"."builds"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "builds_provisional" ON "buildkite"."builds" USING btree ("organization_id","created_at") WHERE ("buildkite"."builds"."verified_at" is null or "buildkite"."builds"."observed_at" > "buildkite"."builds"."verified_at") and "buildkite"."builds"."deleted_at" is null;--> statement-breakpoint
CREATE INDEX "builds_without_pipeline" ON "buildkite"."builds" USING btree ("id") WHERE "buildkite"."builds"."pipeline_id" is null;--> statement-breakpoint
CREATE INDEX "builds_without_organization" ON "buildkite"."builds" USING btree ("id") WHERE "buildkite"."builds"."organization_id" is null;--> statement-breakpoint
CREATE INDEX "cycles_organization_started_at" ON "sync"."cycles" USING btree ("organization_id","started_at");--> statement-breakpoint
CREATE UNIQUE INDEX "deliveries_key" ON "sync"."deliveries" USING btree ("key");--> statement-breakpoint
CREATE INDEX "deliveries_received_at" ON "sync"."deliveries" USING btree ("received_at");--> statement-breakpoint
CREATE INDEX "deliveries_pending" ON "sync"."deliveries" USING btree ("id") WHERE "sync"."deliveries"."status" = 'pending';--> statement-breakpoint
CREATE INDEX "deliveries_failed" ON "sync"."deliveries" USING btree ("id") WHERE "sync"."deliveries"."status" = 'failed';--> statement-breakpoint
CREATE INDEX "jobs_build_id" ON "buildkite"."jobs" USING btree ("build_id");--> statement-breakpoint
CREATE INDEX "jobs_created_at" ON "buildkite"."jobs" USING btree ("created_at");--> statement-breakpoint
CREATE INDEX "jobs_finished_at" ON "buildkite"."jobs" USING btree ("finished_at");--> statement-breakpoint
CREATE INDEX "jobs_changed_at" ON "buildkite"."jobs" USING btree ("changed_at");--> statement-breakpoint
CREATE INDEX "jobs_agent_id" ON "buildkite"."jobs" USING btree ("agent_id") WHERE "buildkite"."jobs"."agent_id" is not null;--> statement-breakpoint
CREATE INDEX "jobs_retried_in_job_id" ON "buildkite"."jobs" USING btree ("retried_in_job_id") WHERE "buildkite"."jobs"."retried_in_job_id" is not null;--> statement-breakpoint
CREATE INDEX "jobs_triggered_build_id" ON "buildkite"."jobs" USING btree ("triggered_build_id") WHERE "buildkite"."jobs"."triggered_build_id" is not null;--> statement-breakpoint
CREATE INDEX "organization_slugs_slug" ON "buildkite"."organization_slugs" USING btree ("slug");--> statement-breakpoint
CREATE INDEX "organizations_slug" ON "buildkite"."organizations" USING btree ("slug");--> statement-breakpoint
CREATE INDEX "organizations_changed_at" ON "buildkite"."organizations" USING btree ("changed_at");--> statement-breakpoint
CREATE INDEX "pipeline_slugs_slug" ON "buildkite"."pipeline_slugs" USING btree ("organization_slug","slug","last_seen_at");--> statement-breakpoint
CREATE INDEX "pipelines_organization_slug" ON "buildkite"."pipelines" USING btree ("organization_id","slug");--> statement-breakpoint
CREATE INDEX "pipelines_changed_at" ON "buildkite"."pipelines" USING btree ("changed_at");--> statement-breakpoint
CREATE UNIQUE INDEX "windows_organization_span" ON "sync"."windows" USING btree ("organization_id","created_from","created_to");