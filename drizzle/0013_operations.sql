CREATE TABLE "sync"."findings" (
	"name" text NOT NULL,
	"subject" text NOT NULL,
	"result" text NOT NULL,
	"detail" text NOT NULL,
	"remedy" text,
	"checked_at" timestamp (3) with time zone NOT NULL,
	"since" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "findings_name_subject_pk" PRIMARY KEY("name","subject")
);
--> statement-breakpoint
CREATE TABLE "sync"."pauses" (
	"organization_id" uuid NOT NULL,
	"task" text NOT NULL,
	"paused_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "pauses_organization_id_task_pk" PRIMARY KEY("organization_id","task")
);
--> statement-breakpoint
COMMENT ON TABLE sync.pauses IS 'What a person has stopped for an organization until they let it go on. No row: it runs';--> statement-breakpoint
COMMENT ON COLUMN sync.pauses.organization_id IS 'The organization, buildkite.organizations.id';--> statement-breakpoint
COMMENT ON COLUMN sync.pauses.task IS 'What is stopped: backfill';--> statement-breakpoint
COMMENT ON COLUMN sync.pauses.paused_at IS 'Since when, on our clock';--> statement-breakpoint
COMMENT ON TABLE sync.findings IS 'What the check that the service makes of itself every hour found last, a row for each thing looked at';--> statement-breakpoint
COMMENT ON COLUMN sync.findings.name IS 'What was looked at, such as webhook_disabled; the same names as buildkite-mirror check --json prints';--> statement-breakpoint
COMMENT ON COLUMN sync.findings.subject IS 'Whose: an organization''s slug, a token''s label, or the store; empty where there is only one';--> statement-breakpoint
COMMENT ON COLUMN sync.findings.result IS 'ok, warning or failed';--> statement-breakpoint
COMMENT ON COLUMN sync.findings.detail IS 'What was found, in a sentence without secrets';--> statement-breakpoint
COMMENT ON COLUMN sync.findings.remedy IS 'What to do about it; null where nothing is to be done';--> statement-breakpoint
COMMENT ON COLUMN sync.findings.checked_at IS 'When it was last looked at, on our clock';--> statement-breakpoint
COMMENT ON COLUMN sync.findings.since IS 'Since when the result is what it is';--> statement-breakpoint
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'buildkite_reader') THEN
    GRANT SELECT ON sync.pauses, sync.findings TO buildkite_reader;
  END IF;
END $$;
