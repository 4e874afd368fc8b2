create or replace view analytics.rollup_days as
select known.day, marked.since is not null or changed.since is not null as is_stale, least(marked.since, changed.since) as stale_since
from (
  select day from analytics.jobs_daily union select day from analytics.build_results_daily union select day from sync.stale_days
) as known
left join (select day, min(marked_at) as since from sync.stale_days group by day) as marked on marked.day = known.day
left join lateral (
  select min(history.changed_at) as since from sync.stale_history as history where coalesce(history.since, '-infinity') <= known.day
) as changed on true;

comment on view analytics.rollup_days is 'The days that the rollup tables have, and whether a change of the mirror, a rule or a default branch is not in them yet. Join it by day.';
comment on column analytics.rollup_days.day is 'Day in UTC.';
comment on column analytics.rollup_days.is_stale is 'Whether rows of the day may still change: the rollup worker has not refreshed them since the mirror or a setting changed.';
comment on column analytics.rollup_days.stale_since is 'When the first of these changes was made; null if the day is not stale.';
