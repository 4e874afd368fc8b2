-- What every column of sync.drift means, and the reasons for which a row is marked as deleted.

comment on table sync.drift is 'Differences found between mirror and API: by the audit, which re-reads history at leisure, or by the verify command. A row for each build or job that differed.';
--> statement-breakpoint
comment on column sync.drift.id is 'Order of finding.';
--> statement-breakpoint
comment on column sync.drift.organization_id is 'organizations.id.';
--> statement-breakpoint
comment on column sync.drift.pipeline_id is 'pipelines.id; null where it is not known.';
--> statement-breakpoint
comment on column sync.drift.build_id is 'builds.id of the build that differed, or to which the job belongs.';
--> statement-breakpoint
comment on column sync.drift.job_id is 'jobs.id of the job that differed; null when it was the build itself.';
--> statement-breakpoint
comment on column sync.drift.kind is 'missing: Buildkite had it and the mirror not. different: they told different things. surplus: the mirror had what Buildkite had no longer.';
--> statement-breakpoint
comment on column sync.drift.columns is 'Columns that differed; empty for missing and surplus. "build_attempts" stands for an attempt that the mirror lacked.';
--> statement-breakpoint
comment on column sync.drift.mirror is 'What the mirror held in these columns; long values are cut.';
--> statement-breakpoint
comment on column sync.drift.buildkite is 'What Buildkite told of these columns; long values are cut.';
--> statement-breakpoint
comment on column sync.drift.right_until is 'When the row was last verified: the difference is likely younger. Null when it never was.';
--> statement-breakpoint
comment on column sync.drift.found_at is 'When it was found, on the mirror''s clock.';
--> statement-breakpoint
comment on column sync.drift.found_by is 'audit or verify.';
--> statement-breakpoint
comment on column sync.drift.healed_at is 'When the mirror was set right, on the mirror''s clock; null while it is not.';
--> statement-breakpoint
comment on column sync.cycles.kind is 'hot: every interval, short overlap; warm: overlap of hours; pipelines: the list of pipelines; audit: one window of history read again, from watermark_from to watermark_to.';
--> statement-breakpoint
comment on table sync.windows is 'History in pieces: half-open spans of created_at. Read by the back-fill, newest first; later read again by the audit, which adds a window for every day that the cycles have covered since. What is covered: the spans with status done.';
--> statement-breakpoint
do $$
declare
  reasons constant text := 'Why Buildkite no longer shows the object, as far as can be told. ';
begin
  execute format('comment on column buildkite.builds.deleted_reason is %L', reasons ||
    'deleted: asked for by itself it was not found (404), though its pipeline is there and older builds are listed. ' ||
    'retention: not found, at least 30 days old, and Buildkite lists no build as old. ' ||
    'pipeline_not_listed: its whole pipeline is gone. hidden: its pipeline exists, but is hidden from the API token''s user.');
  execute format('comment on column buildkite.jobs.deleted_reason is %L', reasons ||
    'not_listed: the complete list of its build''s jobs lacks it.');
  execute format('comment on column buildkite.pipelines.deleted_reason is %L', reasons ||
    'not_listed: the complete list of pipelines, which once held it, lacks it: it was deleted, or the API token''s user may no longer see it. ' ||
    'hidden: the list lacks it though webhooks tell of it: it exists, and the API token''s user may not see it.');
  execute format('comment on column buildkite.organizations.deleted_reason is %L', reasons ||
    'no_access: no API token sees it any more. hidden: the same, though webhooks tell of it.');
end
$$;
