CREATE TABLE "sync"."drift" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"organization_id" uuid NOT NULL,
	"pipeline_id" uuid,
	"build_id" uuid NOT NULL,
	"job_id" uuid,
	"kind" text NOT NULL,
	"columns" text[] NOT NULL,
	"mirror" jsonb NOT NULL,
	"buildkite" jsonb NOT NULL,
	"right_until" timestamp (3) with time zone,
	"found_at" timestamp (3) with time zone NOT NULL,
	"found_by" text NOT NULL,
	"healed_at" timestamp (3) with time zone
);
--> statement-breakpoint
CREATE INDEX "drift_organization_found_at" ON "sync"."drift" USING btree ("organization_id","found_at");--> statement-breakpoint
CREATE INDEX "drift_build_id" ON "sync"."drift" USING btree ("build_id");--> statement-breakpoint
CREATE INDEX "drift_unhealed" ON "sync"."drift" USING btree ("organization_id") WHERE "sync"."drift"."healed_at" is null;