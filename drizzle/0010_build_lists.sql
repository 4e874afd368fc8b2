CREATE TABLE "sync"."list_reads" (
	"name" text NOT NULL,
	"subject_id" uuid NOT NULL,
	"read_at" timestamp (3) with time zone NOT NULL,
	CONSTRAINT "list_reads_name_subject_id_pk" PRIMARY KEY("name","subject_id")
);
--> statement-breakpoint
COMMENT ON TABLE sync.list_reads IS 'When a list that belongs to one object was last asked for: of a pipeline its schedules, of a cluster its queues, of a build its annotations';--> statement-breakpoint
COMMENT ON COLUMN sync.list_reads.name IS 'The table of schema buildkite that the list fills';--> statement-breakpoint
COMMENT ON COLUMN sync.list_reads.subject_id IS 'Buildkite''s id of the object that the list belongs to';--> statement-breakpoint
COMMENT ON COLUMN sync.list_reads.read_at IS 'When the list was last asked for, on Buildkite''s clock';
