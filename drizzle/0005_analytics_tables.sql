CREATE SCHEMA "settings";
--> statement-breakpoint
CREATE TABLE "buildkite"."annotations" (
	"id" uuid PRIMARY KEY NOT NULL,
	"build_id" uuid NOT NULL,
	"context" text,
	"style" text,
	"body_html" text,
	"created_at" timestamp (3) with time zone,
	"updated_at" timestamp (3) with time zone,
	"organization_id" uuid NOT NULL,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "buildkite"."artifacts" (
	"id" uuid PRIMARY KEY NOT NULL,
	"build_id" uuid NOT NULL,
	"job_id" uuid,
	"state" text,
	"path" text,
	"dirname" text,
	"filename" text,
	"mime_type" text,
	"file_size" text,
	"sha1sum" text,
	"organization_id" uuid NOT NULL,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "buildkite"."cluster_queues" (
	"id" uuid PRIMARY KEY NOT NULL,
	"cluster_id" uuid NOT NULL,
	"graphql_id" text,
	"key" text,
	"description" text,
	"dispatch_paused" boolean,
	"dispatch_paused_at" timestamp (3) with time zone,
	"dispatch_paused_note" text,
	"url" text,
	"web_url" text,
	"created_at" timestamp (3) with time zone,
	"created_by_id" uuid,
	"created_by_name" text,
	"created_by_email" text,
	"organization_id" uuid NOT NULL,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "buildkite"."clusters" (
	"id" uuid PRIMARY KEY NOT NULL,
	"graphql_id" text,
	"name" text,
	"description" text,
	"emoji" text,
	"color" text,
	"default_queue_id" uuid,
	"url" text,
	"web_url" text,
	"created_at" timestamp (3) with time zone,
	"created_by_id" uuid,
	"created_by_name" text,
	"created_by_email" text,
	"organization_id" uuid NOT NULL,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "sync"."dimensions" (
	"organization_id" uuid NOT NULL,
	"name" text NOT NULL,
	"status" text NOT NULL,
	"rows" integer,
	"read_at" timestamp (3) with time zone,
	"error" text,
	"updated_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "dimensions_organization_id_name_pk" PRIMARY KEY("organization_id","name")
);
--> statement-breakpoint
CREATE TABLE "buildkite"."members" (
	"id" uuid NOT NULL,
	"name" text,
	"email" text,
	"role" text,
	"sso_mode" text,
	"organization_id" uuid NOT NULL,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone,
	CONSTRAINT "members_organization_id_id_pk" PRIMARY KEY("organization_id","id")
);
--> statement-breakpoint
CREATE TABLE "buildkite"."pipeline_schedules" (
	"id" uuid PRIMARY KEY NOT NULL,
	"pipeline_id" uuid NOT NULL,
	"graphql_id" text,
	"label" text,
	"cronline" text,
	"message" text,
	"commit" text,
	"branch" text,
	"enabled" boolean,
	"next_build_at" timestamp (3) with time zone,
	"failed_at" timestamp (3) with time zone,
	"failed_message" text,
	"url" text,
	"created_at" timestamp (3) with time zone,
	"created_by_id" uuid,
	"created_by_name" text,
	"created_by_email" text,
	"organization_id" uuid NOT NULL,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "sync"."sightings" (
	"id" uuid,
	"email" text,
	"username" text,
	"name" text,
	"last_seen_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "buildkite"."team_members" (
	"team_id" uuid NOT NULL,
	"user_id" uuid NOT NULL,
	"user_name" text,
	"role" text,
	"created_at" timestamp (3) with time zone,
	"organization_id" uuid NOT NULL,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone,
	CONSTRAINT "team_members_team_id_user_id_pk" PRIMARY KEY("team_id","user_id")
);
--> statement-breakpoint
CREATE TABLE "buildkite"."team_pipelines" (
	"team_id" uuid NOT NULL,
	"pipeline_id" uuid NOT NULL,
	"access_level" text,
	"created_at" timestamp (3) with time zone,
	"organization_id" uuid NOT NULL,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone,
	CONSTRAINT "team_pipelines_team_id_pipeline_id_pk" PRIMARY KEY("team_id","pipeline_id")
);
--> statement-breakpoint
CREATE TABLE "buildkite"."teams" (
	"id" uuid PRIMARY KEY NOT NULL,
	"graphql_id" text,
	"name" text,
	"slug" text,
	"description" text,
	"privacy" text,
	"default" boolean,
	"created_at" timestamp (3) with time zone,
	"created_by_id" uuid,
	"created_by_name" text,
	"created_by_email" text,
	"organization_id" uuid NOT NULL,
	"extra" jsonb DEFAULT '{}'::jsonb NOT NULL,
	"first_seen_at" timestamp (3) with time zone NOT NULL,
	"changed_at" timestamp (3) with time zone NOT NULL,
	"deleted_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE TABLE "buildkite"."users" (
	"key" text PRIMARY KEY NOT NULL,
	"id" uuid,
	"name" text,
	"email" text,
	"emails" text[] NOT NULL,
	"usernames" text[] NOT NULL,
	"is_member" boolean NOT NULL,
	"last_seen_at" timestamp (3) with time zone,
	"changed_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "settings"."deployment_rules" (
	"id" serial PRIMARY KEY NOT NULL,
	"pipeline" text NOT NULL,
	"branch" text DEFAULT '*' NOT NULL,
	"step" text,
	"environment" text DEFAULT 'production' NOT NULL,
	"service" text,
	"enabled" boolean DEFAULT true NOT NULL
);
--> statement-breakpoint
CREATE TABLE "settings"."queue_rates" (
	"queue" text PRIMARY KEY NOT NULL,
	"per_minute" numeric NOT NULL,
	"currency" text DEFAULT 'USD' NOT NULL
);
--> statement-breakpoint
CREATE INDEX "annotations_build_id" ON "buildkite"."annotations" USING btree ("build_id");--> statement-breakpoint
CREATE INDEX "artifacts_build_id" ON "buildkite"."artifacts" USING btree ("build_id");--> statement-breakpoint
CREATE INDEX "artifacts_job_id" ON "buildkite"."artifacts" USING btree ("job_id");--> statement-breakpoint
CREATE INDEX "cluster_queues_cluster_id" ON "buildkite"."cluster_queues" USING btree ("cluster_id");--> statement-breakpoint
CREATE INDEX "pipeline_schedules_pipeline_id" ON "buildkite"."pipeline_schedules" USING btree ("pipeline_id");--> statement-breakpoint
CREATE UNIQUE INDEX "sightings_person" ON "sync"."sightings" USING btree ((coalesce("id"::text, '')),(coalesce("email", '')),(coalesce("username", '')));--> statement-breakpoint
CREATE INDEX "team_members_user_id" ON "buildkite"."team_members" USING btree ("user_id");--> statement-breakpoint
CREATE INDEX "team_pipelines_pipeline_id" ON "buildkite"."team_pipelines" USING btree ("pipeline_id");--> statement-breakpoint
CREATE UNIQUE INDEX "users_id" ON "buildkite"."users" USING btree ("id") WHERE "buildkite"."users"."id" is not null;--> statement-breakpoint
CREATE INDEX "users_emails" ON "buildkite"."users" USING gin ("emails");--> statement-breakpoint
CREATE INDEX "builds_finished_day" ON "buildkite"."builds" USING btree ((("finished_at" at time zone 'UTC')::date));--> statement-breakpoint
CREATE INDEX "builds_created_day" ON "buildkite"."builds" USING btree ((("created_at" at time zone 'UTC')::date));--> statement-breakpoint
CREATE INDEX "builds_rebuilt_from_id" ON "buildkite"."builds" USING btree ("rebuilt_from_id") WHERE "buildkite"."builds"."rebuilt_from_id" is not null;--> statement-breakpoint
CREATE INDEX "builds_triggered_from_build_id" ON "buildkite"."builds" USING btree ("triggered_from_build_id") WHERE "buildkite"."builds"."triggered_from_build_id" is not null;--> statement-breakpoint
CREATE INDEX "jobs_started_at" ON "buildkite"."jobs" USING btree ("started_at");--> statement-breakpoint
CREATE INDEX "jobs_failed" ON "buildkite"."jobs" USING btree ("finished_at") WHERE "buildkite"."jobs"."state" in ('failed', 'timed_out', 'expired');--> statement-breakpoint
CREATE INDEX "jobs_parallel" ON "buildkite"."jobs" USING btree ("build_id") WHERE "buildkite"."jobs"."parallel_group_total" > 1;--> statement-breakpoint
CREATE INDEX "jobs_manual" ON "buildkite"."jobs" USING btree ("created_at") WHERE "buildkite"."jobs"."type" = 'manual';