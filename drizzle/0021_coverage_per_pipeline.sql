CREATE TABLE "sync"."failures" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"kind" text NOT NULL,
	"organization_id" uuid,
	"subject" text NOT NULL,
	"pipeline_slug" text,
	"build_number" bigint,
	"build_id" uuid,
	"created_from" timestamp (3) with time zone,
	"created_to" timestamp (3) with time zone,
	"code" text NOT NULL,
	"error" text NOT NULL,
	"tries" integer DEFAULT 1 NOT NULL,
	"first_failed_at" timestamp (3) with time zone NOT NULL,
	"last_failed_at" timestamp (3) with time zone NOT NULL,
	"next_try_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."job_reads" (
	"build_id" uuid PRIMARY KEY NOT NULL,
	"organization_id" uuid NOT NULL,
	"is_open" boolean NOT NULL,
	"read_at" timestamp (3) with time zone,
	"jobs" integer DEFAULT 0 NOT NULL,
	"next_read_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."leases" (
	"name" text PRIMARY KEY NOT NULL,
	"holder" text NOT NULL,
	"fence" bigint NOT NULL,
	"acquired_at" timestamp (3) with time zone NOT NULL,
	"expires_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."pipeline_coverage" (
	"pipeline_id" uuid PRIMARY KEY NOT NULL,
	"organization_id" uuid NOT NULL,
	"listed_since" timestamp (3) with time zone NOT NULL,
	"unlisted_at" timestamp (3) with time zone,
	"covered_from" timestamp (3) with time zone,
	"covered_until" timestamp (3) with time zone
);
--> statement-breakpoint
DROP INDEX "sync"."windows_organization_span";--> statement-breakpoint
ALTER TABLE "sync"."cycles" ADD COLUMN "builds_in_flight" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."cycles" ADD COLUMN "builds_completed" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."cycles" ADD COLUMN "builds_confirmed" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."cycles" ADD COLUMN "jobs_in_flight" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."cycles" ADD COLUMN "jobs_completed" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."cycles" ADD COLUMN "jobs_confirmed" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."watermarks" ADD COLUMN "pipelines_listed_by" text;--> statement-breakpoint
ALTER TABLE "sync"."windows" ADD COLUMN "pipeline_id" uuid;--> statement-breakpoint
ALTER TABLE "sync"."windows" ADD COLUMN "first_verified_at" timestamp (3) with time zone;--> statement-breakpoint
ALTER TABLE "sync"."windows" ADD COLUMN "tries" integer DEFAULT 0 NOT NULL;--> statement-breakpoint
ALTER TABLE "sync"."windows" ADD COLUMN "next_try_at" timestamp (3) with time zone;--> statement-breakpoint
CREATE UNIQUE INDEX "failures_subject" ON "sync"."failures" USING btree ("kind",coalesce("organization_id", '00000000-0000-0000-0000-000000000000'),"subject");--> statement-breakpoint
CREATE INDEX "job_reads_next" ON "sync"."job_reads" USING btree ("organization_id","next_read_at");--> statement-breakpoint
CREATE INDEX "pipeline_coverage_organization" ON "sync"."pipeline_coverage" USING btree ("organization_id");--> statement-breakpoint
CREATE UNIQUE INDEX "windows_range" ON "sync"."windows" USING btree ("organization_id",coalesce("pipeline_id", '00000000-0000-0000-0000-000000000000'),"created_from","created_to");--> statement-breakpoint
update sync.windows set first_verified_at = verified_at where verified_at is not null;--> statement-breakpoint
-- A pipeline counts as listed since it was first seen, so windows read after that still cover it. Newer pipelines get their own backfill.
insert into sync.pipeline_coverage (pipeline_id, organization_id, listed_since)
select pipeline.id, pipeline.organization_id,
  case when pipeline.first_seen_via = 'rest' then pipeline.first_seen_at else mark.pipelines_read_at end
from buildkite.pipelines as pipeline join sync.watermarks as mark on mark.organization_id = pipeline.organization_id
where pipeline.deleted_at is null and pipeline.verified_at is not null and mark.pipelines_read_at is not null;--> statement-breakpoint

comment on column sync.watermarks.pipelines_listed_by is 'Fingerprint of the token that read the list of pipelines. Another token may see other pipelines, so a process with another token reads the list first.';
comment on column sync.windows.pipeline_id is 'pipelines.id: read from the list of this pipeline. Null: from the list of the organization.';
comment on column sync.windows.first_verified_at is 'Start of the first complete read, on Buildkite''s clock.';
comment on column sync.windows.tries is 'How many tries in a row failed.';
comment on column sync.windows.next_try_at is 'After a failure: not retried before this time.';
comment on column sync.cycles.builds_missing is 'Builds whose webhooks were lost: the mirror lacked them.';
comment on column sync.cycles.builds_healed is 'Builds whose webhooks were lost: the mirror held a wrong value.';
comment on column sync.cycles.builds_in_flight is 'Builds that differed; a webhook that is queued or may be on its way can explain it.';
comment on column sync.cycles.builds_completed is 'Builds to which REST added data that webhooks do not carry.';
comment on column sync.cycles.builds_confirmed is 'Builds that were correct.';
comment on column sync.cycles.jobs_missing is 'Jobs whose webhooks were lost: the mirror lacked them.';
comment on column sync.cycles.jobs_healed is 'Jobs whose webhooks were lost: the mirror held a wrong value.';
comment on column sync.cycles.jobs_in_flight is 'Jobs that differed; a webhook that is queued or may be on its way can explain it.';
comment on column sync.cycles.jobs_completed is 'Jobs, or parts of them, for which Buildkite sends no webhook.';
comment on column sync.cycles.jobs_confirmed is 'Jobs that were correct.';

comment on table sync.pipeline_coverage is 'The mirrored pipelines, and since when the list of pipelines has contained each without interruption. Only reads since then cover a pipeline.';
comment on column sync.pipeline_coverage.pipeline_id is 'pipelines.id.';
comment on column sync.pipeline_coverage.organization_id is 'organizations.id.';
comment on column sync.pipeline_coverage.listed_since is 'Start of the read of the first list that contained it, or contained it again after an interruption; on Buildkite''s clock.';
comment on column sync.pipeline_coverage.unlisted_at is 'Start of the read of the first list that no longer contained it; null while it is listed.';
comment on column sync.pipeline_coverage.covered_from is 'For a pipeline that is no longer listed: the oldest created_at from which it was complete.';
comment on column sync.pipeline_coverage.covered_until is 'For a pipeline that is no longer listed: the time up to which it was complete.';

comment on table sync.job_reads is 'Builds that were listed without their jobs, until the API confirms the jobs too: open builds, and finished builds whose jobs are not read yet.';
comment on column sync.job_reads.build_id is 'builds.id.';
comment on column sync.job_reads.organization_id is 'organizations.id.';
comment on column sync.job_reads.is_open is 'Whether the build was open when it was last listed.';
comment on column sync.job_reads.read_at is 'Its jobs are confirmed as of this time, on Buildkite''s clock; null: never confirmed.';
comment on column sync.job_reads.jobs is 'How many jobs it had at read_at.';
comment on column sync.job_reads.next_read_at is 'When its jobs are read again.';

comment on table sync.failures is 'Units of work that failed: a build, a list, a window, a delivery, a day. Each is retried with back-off while everything else continues; its row is deleted when it succeeds.';
comment on column sync.failures.id is 'Order of the first failure.';
comment on column sync.failures.kind is 'build, builds_list, pipelines_list, window, delivery, orphans, rollup_day or replica.';
comment on column sync.failures.organization_id is 'organizations.id; null if it belongs to none.';
comment on column sync.failures.subject is 'Readable name of what failed.';
comment on column sync.failures.pipeline_slug is 'For a build: the slug of its pipeline.';
comment on column sync.failures.build_number is 'For a build: its number.';
comment on column sync.failures.build_id is 'builds.id, if known.';
comment on column sync.failures.created_from is 'For builds_list: lower bound (inclusive) of the created_at range that cannot be listed.';
comment on column sync.failures.created_to is 'For builds_list: upper bound (exclusive) of the created_at range that cannot be listed.';
comment on column sync.failures.code is 'Kind of error: a code of the API, an HTTP status, or an SQLSTATE.';
comment on column sync.failures.error is 'What happened and what to do.';
comment on column sync.failures.tries is 'Number of consecutive failures.';
comment on column sync.failures.first_failed_at is 'First of the consecutive failures, on the mirror''s clock.';
comment on column sync.failures.last_failed_at is 'Last failure, on the mirror''s clock.';
comment on column sync.failures.next_try_at is 'Not retried before this time, on the mirror''s clock.';

comment on table sync.leases is 'Which process does which work. A holder that does not renew its lease loses it, and cannot commit afterwards.';
comment on column sync.leases.name is 'The work: hot, warm, backfill, audit or reference data of an organization.';
comment on column sync.leases.holder is 'Host, process id and a random part.';
comment on column sync.leases.fence is 'Grows with each new holder; every commit of the work checks it.';
comment on column sync.leases.acquired_at is 'When the holder got it, on the database''s clock.';
comment on column sync.leases.expires_at is 'When it expires unless renewed, on the database''s clock.';
--> statement-breakpoint

drop view analytics.data_coverage;
create view analytics.data_coverage as
with mark as (
  select organization_id, watermark, backfill_from, backfill_to, pipelines_read_at,
    -- Lists may lag behind writes by two minutes (LIST_LAG in src/reconcile/watermark.ts). Nothing is claimed before the first cycle.
    case when watermark is not null then least(watermark - interval '2 minutes', pipelines_read_at) end as as_of
  from sync.watermarks
),
-- Pipelines that appeared together are covered by the same windows of the organization.
cohort as (
  select distinct coverage.organization_id, coverage.listed_since, mark.as_of, mark.pipelines_read_at, mark.backfill_to
  from sync.pipeline_coverage as coverage join mark using (organization_id)
  where coverage.unlisted_at is null
),
cohort_ranges as (
  select cohort.organization_id, cohort.listed_since, read.verified_at,
    coalesce(read.ranges, '{}'::tstzmultirange)
      + case when cohort.as_of > greatest(cohort.backfill_to, cohort.listed_since)
          then tstzmultirange(tstzrange(greatest(cohort.backfill_to, cohort.listed_since), cohort.as_of))
          else '{}'::tstzmultirange end as ranges
  from cohort
  cross join lateral (
    select range_agg(tstzrange(part.created_from, part.created_to)) as ranges, min(part.verified_at) as verified_at
    from sync.windows as part
    where part.organization_id = cohort.organization_id and part.pipeline_id is null and part.status = 'done'
      and (part.first_verified_at between cohort.listed_since and cohort.pipelines_read_at
        or part.verified_at between cohort.listed_since and cohort.pipelines_read_at)
  ) as read
),
own_ranges as (
  select coverage.pipeline_id, range_agg(tstzrange(part.created_from, part.created_to)) as ranges, min(part.verified_at) as verified_at
  from sync.pipeline_coverage as coverage
  join mark using (organization_id)
  join sync.windows as part on part.pipeline_id = coverage.pipeline_id and part.status = 'done'
    and part.first_verified_at between coverage.listed_since and mark.pipelines_read_at
  where coverage.unlisted_at is null
  group by coverage.pipeline_id
),
covered as (
  select coverage.pipeline_id, coverage.organization_id, coverage.unlisted_at,
    case when coverage.unlisted_at is null
      then cohort_ranges.ranges + coalesce(own_ranges.ranges, '{}'::tstzmultirange)
      else case when coverage.covered_until > coverage.covered_from
        then tstzmultirange(tstzrange(coverage.covered_from, coverage.covered_until)) else '{}'::tstzmultirange end
    end as ranges,
    case when coverage.unlisted_at is null then mark.as_of else coverage.covered_until end as as_of,
    least(cohort_ranges.verified_at, own_ranges.verified_at) as verified_at
  from sync.pipeline_coverage as coverage
  join mark using (organization_id)
  left join cohort_ranges on cohort_ranges.organization_id = coverage.organization_id
    and cohort_ranges.listed_since = coverage.listed_since and coverage.unlisted_at is null
  left join own_ranges using (pipeline_id)
),
unread_jobs as (
  select build.pipeline_id, min(coalesce(unread.read_at, build.created_at)) as as_of
  from sync.job_reads as unread join buildkite.builds as build on build.id = unread.build_id
  where build.deleted_at is null group by build.pipeline_id
),
exceptions as (
  select pipeline_id, count(*) as count from (
    select pipeline.id as pipeline_id from sync.failures as failed join buildkite.pipelines as pipeline
      on pipeline.organization_id = failed.organization_id and pipeline.slug = failed.pipeline_slug and pipeline.deleted_at is null
    where failed.kind = 'build'
    union all
    select build.pipeline_id from sync.absences as unlisted join buildkite.builds as build on build.id = unlisted.build_id
    where build.deleted_at is null and unlisted.last_status is distinct from 200
  ) as unconfirmed group by pipeline_id
),
unlistable as (
  select organization_id, count(*) as count from sync.failures
  where kind = 'builds_list' or (kind = 'build' and pipeline_slug is null) group by organization_id
)
select
  organization.id as organization_id,
  organization.slug as organization,
  covered.pipeline_id,
  pipeline.slug as pipeline,
  lower(span.range) as complete_from,
  upper(span.range) as complete_to,
  covered.as_of,
  least(covered.as_of, unread_jobs.as_of) as jobs_as_of,
  covered.verified_at,
  mark.pipelines_read_at as pipelines_listed_at,
  mark.backfill_from as wanted_from,
  covered.unlisted_at is null and covered.pipeline_id is not null as is_listed,
  coalesce(upper(span.range) >= covered.as_of and covered.unlisted_at is null, false) as is_current,
  coalesce(exceptions.count, 0) + coalesce(unlistable.count, 0) as exceptions
from buildkite.organizations as organization
left join mark on mark.organization_id = organization.id
left join covered on covered.organization_id = organization.id
left join buildkite.pipelines as pipeline on pipeline.id = covered.pipeline_id
left join lateral unnest(covered.ranges) as span (range) on true
left join unread_jobs on unread_jobs.pipeline_id = covered.pipeline_id
left join exceptions on exceptions.pipeline_id = covered.pipeline_id
left join unlistable on unlistable.organization_id = organization.id;

comment on view analytics.data_coverage is 'What is complete, for each pipeline of each organization: every build that was created in the range and that Buildkite shows is in the mirror, as of as_of. One row for each range; its bounds are null while nothing of a pipeline is complete yet. The audit finds deletions and silent edits: see verified_at.';
comment on column analytics.data_coverage.organization_id is 'organizations.id.';
comment on column analytics.data_coverage.organization is 'Slug of the organization.';
comment on column analytics.data_coverage.pipeline_id is 'pipelines.id; null while no pipeline of the organization is listed.';
comment on column analytics.data_coverage.pipeline is 'Slug of the pipeline.';
comment on column analytics.data_coverage.complete_from is 'Lower bound (inclusive) of the created_at range in which every build is in the mirror.';
comment on column analytics.data_coverage.complete_to is 'Upper bound (exclusive) of the created_at range in which every build is in the mirror.';
comment on column analytics.data_coverage.as_of is 'The builds are as Buildkite had them at this time, on Buildkite''s clock, or newer. Never later than pipelines_listed_at.';
comment on column analytics.data_coverage.jobs_as_of is 'The same for their jobs; earlier while jobs of open builds are not read yet.';
comment on column analytics.data_coverage.verified_at is 'Start of the oldest read (backfill or audit) that the claim is based on. Deletions and silent edits since then may be missing.';
comment on column analytics.data_coverage.pipelines_listed_at is 'When the list of pipelines was last read completely. Pipelines that appeared later are not part of the claim.';
comment on column analytics.data_coverage.wanted_from is 'Oldest created_at of the wanted history.';
comment on column analytics.data_coverage.is_listed is 'Whether Buildkite still lists the pipeline. If not, the claim stays as of the last list that contained it.';
comment on column analytics.data_coverage.is_current is 'Whether the range reaches up to as_of.';
comment on column analytics.data_coverage.exceptions is 'Known unconfirmed builds, and ranges that cannot be listed: see sync.failures and sync.absences.';
--> statement-breakpoint

do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant select on sync.pipeline_coverage, sync.job_reads, sync.failures, sync.leases to buildkite_reader;
  end if;
end $$;
