CREATE TABLE "sync"."deployment" (
	"single_row" boolean PRIMARY KEY DEFAULT true NOT NULL,
	"id" uuid DEFAULT gen_random_uuid() NOT NULL,
	"used_shared_queue" boolean NOT NULL,
	"addresses" text[] DEFAULT '{}' NOT NULL
);
--> statement-breakpoint
-- Earlier versions may still add jobs to the queue that they shared; a new database has no jobs there.
INSERT INTO sync.deployment (used_shared_queue)
SELECT EXISTS (SELECT FROM sync.deliveries) OR EXISTS (SELECT FROM sync.watermarks) OR EXISTS (SELECT FROM buildkite.organizations);--> statement-breakpoint
COMMENT ON TABLE sync.deployment IS 'One row: which deployment this is. All its processes use the same queue in Redis, and no other deployment does.';
COMMENT ON COLUMN sync.deployment.single_row IS 'Always true: it keeps this table at one row';
COMMENT ON COLUMN sync.deployment.id IS 'Its keys in Redis begin with {bk:<id>}. Change it, and empty addresses, in a copy of the database before a second service runs on the copy';
COMMENT ON COLUMN sync.deployment.used_shared_queue IS 'Whether a version before 0.2 ran on this database. If so, jobs under the prefix {bk} in Redis, which those versions share, are also processed';
COMMENT ON COLUMN sync.deployment.addresses IS 'Hashes of user, host, port, database, parameters and first webhook secret of every process that ran here. While Postgres is unavailable, a new process stores jobs under {bk@<hash>}';--> statement-breakpoint
DO $$
BEGIN
  IF EXISTS (SELECT FROM pg_roles WHERE rolname = 'buildkite_reader') THEN
    GRANT SELECT ON sync.deployment TO buildkite_reader;
  END IF;
END $$;
