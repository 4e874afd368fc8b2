create or replace view analytics.drift as
select
  found.id, found.organization_id, found.pipeline_id, found.build_id, found.job_id, found.kind, found.columns, found.found_by, found.found_at,
  found.last_matched_at, found.healed_at, analytics.seconds(found.found_at, found.healed_at) as seconds_to_heal
from sync.drift as found;

comment on view analytics.drift is 'Differences found between mirror and API by audit or verify, without the values (those are in sync.drift).';
comment on column analytics.drift.id is 'Order in which it was found.';
comment on column analytics.drift.organization_id is 'organizations.id.';
comment on column analytics.drift.pipeline_id is 'pipelines.id.';
comment on column analytics.drift.build_id is 'builds.id.';
comment on column analytics.drift.job_id is 'jobs.id.';
comment on column analytics.drift.kind is 'missing, different or unexpected: see sync.drift.';
comment on column analytics.drift.columns is 'Columns that differed.';
comment on column analytics.drift.found_by is 'audit or verify.';
comment on column analytics.drift.found_at is 'When it was found.';
comment on column analytics.drift.last_matched_at is 'The last time at which the mirror may still have been correct.';
comment on column analytics.drift.healed_at is 'When the mirror was corrected; null: not yet.';
comment on column analytics.drift.seconds_to_heal is 'Seconds from found to corrected.';
