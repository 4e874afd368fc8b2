CREATE TABLE "sync"."compatibility" (
	"single_row" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"migrations_needed" integer NOT NULL
);
--> statement-breakpoint
INSERT INTO sync.compatibility (migrations_needed) VALUES (13);--> statement-breakpoint
COMMENT ON TABLE sync.compatibility IS 'One row: how old a program may be that works on this database, so that versions can be changed one process at a time and taken back';--> statement-breakpoint
COMMENT ON COLUMN sync.compatibility.single_row IS 'Always true: it keeps this table at one row';--> statement-breakpoint
COMMENT ON COLUMN sync.compatibility.migrations_needed IS 'A program that knows fewer migrations refuses to work here. A migration that older programs cannot bear raises it';--> statement-breakpoint
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'buildkite_reader') THEN
    GRANT SELECT ON sync.compatibility, sync.list_reads TO buildkite_reader;
  END IF;
END $$;
