create or replace view analytics.data_coverage as
with mark as (
  select organization_id, confirmed_to, backfill_from, backfill_to, pipelines_read_at,
    -- Reads before this time were made while the pipelines were listed. Lists may lag by two minutes (LIST_LAG in src/reconcile/progress/watermark.ts).
    pipelines_read_at - interval '2 minutes' as seen_until
  from sync.watermarks
),
-- Pipelines that appeared together are covered by the same windows of the organization.
cohort as (
  select distinct coverage.organization_id, coverage.listed_since, mark.confirmed_to, mark.seen_until, mark.backfill_to
  from sync.pipeline_coverage as coverage join mark using (organization_id)
  where coverage.unlisted_at is null
),
cohort_ranges as (
  select cohort.organization_id, cohort.listed_since, read.verified_at,
    coalesce(read.ranges, '{}'::tstzmultirange)
      -- Cycles have read everything created since then.
      + case when cohort.confirmed_to > greatest(cohort.backfill_to, cohort.listed_since)
          then tstzmultirange(tstzrange(greatest(cohort.backfill_to, cohort.listed_since), cohort.confirmed_to))
          else '{}'::tstzmultirange end as ranges
  from cohort
  cross join lateral (
    select range_agg(tstzrange(part.created_from, part.created_to)) as ranges, min(part.verified_at) as verified_at
    from sync.windows as part
    where part.organization_id = cohort.organization_id and part.pipeline_id is null and part.status = 'done'
      and (part.first_verified_at >= cohort.listed_since and part.first_verified_until <= cohort.seen_until
        or part.verified_at >= cohort.listed_since and part.verified_until <= cohort.seen_until)
  ) as read
),
-- Only users who can see a pipeline can read its own list, so no list of pipelines has to confirm these windows.
own_ranges as (
  select coverage.pipeline_id, range_agg(tstzrange(part.created_from, part.created_to)) as ranges, min(part.verified_at) as verified_at
  from sync.pipeline_coverage as coverage
  join sync.windows as part on part.pipeline_id = coverage.pipeline_id and part.status = 'done'
    and part.first_verified_at >= coverage.listed_since
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
    case when coverage.unlisted_at is null then mark.confirmed_to else coverage.covered_until end as as_of,
    least(cohort_ranges.verified_at, own_ranges.verified_at) as verified_at
  from sync.pipeline_coverage as coverage
  join mark using (organization_id)
  left join cohort_ranges on cohort_ranges.organization_id = coverage.organization_id
    and cohort_ranges.listed_since = coverage.listed_since and coverage.unlisted_at is null
  left join own_ranges using (pipeline_id)
),
unread_jobs as (
  select build.pipeline_id, min(coalesce(unread.read_at, build.created_at - interval '1 ms')) as as_of
  from sync.job_reads as unread join buildkite.builds as build on build.id = unread.build_id
  left join mark on mark.organization_id = build.organization_id
  where build.deleted_at is null or build.deleted_reason in ('deleted', 'retention') and coalesce(build.deleted_at > mark.seen_until, true)
  group by build.pipeline_id
),
failed_builds as (
  select failed.organization_id, coalesce(failed.pipeline_id, pipeline.id) as pipeline_id
  from sync.failures as failed left join buildkite.pipelines as pipeline on failed.pipeline_id is null
    and pipeline.organization_id = failed.organization_id and pipeline.slug = failed.pipeline_slug and pipeline.deleted_at is null
  where failed.kind = 'build'
),
exceptions as (
  select pipeline_id, count(*) as count from (
    select pipeline_id from failed_builds where pipeline_id is not null
    union all
    -- A 404 counts once a list of pipelines shows that the pipeline was visible then.
    select build.pipeline_id from sync.unlisted_builds as unlisted join buildkite.builds as build on build.id = unlisted.build_id
    left join mark on mark.organization_id = build.organization_id
    where unlisted.last_status is distinct from 200 and (build.deleted_at is null
      or build.deleted_reason in ('deleted', 'retention') and coalesce(build.deleted_at > mark.seen_until, true))
  ) as unconfirmed group by pipeline_id
),
-- Exceptions that may concern any pipeline: ranges, and builds whose pipeline is not known.
unlistable as (
  select organization_id, count(*) as count from (
    select organization_id from sync.failures where kind = 'builds_list'
    union all
    select organization_id from failed_builds where pipeline_id is null
  ) as shared group by organization_id
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
comment on column analytics.data_coverage.as_of is 'The builds are as Buildkite had them at this time, on Buildkite''s clock, or newer. It is some minutes before pipelines_listed_at; see docs/how-it-works/05-completeness.md.';
comment on column analytics.data_coverage.jobs_as_of is 'The same for their jobs. Earlier while jobs of open builds are not read.';
comment on column analytics.data_coverage.verified_at is 'Start of the oldest read (backfill or audit) that the claim is based on. Deletions and silent edits since then may be missing.';
comment on column analytics.data_coverage.pipelines_listed_at is 'When the list of pipelines was last read completely. Pipelines that appeared later are not part of the claim.';
comment on column analytics.data_coverage.wanted_from is 'Oldest created_at of the wanted history.';
comment on column analytics.data_coverage.is_listed is 'Whether Buildkite still lists the pipeline. If not, the claim stays as of the last list that contained it.';
comment on column analytics.data_coverage.is_current is 'Whether the range reaches up to as_of.';
comment on column analytics.data_coverage.exceptions is 'Known unconfirmed builds, and ranges that cannot be listed: see sync.failures and sync.unlisted_builds.';
