create or replace function sync.invalidate_days(started timestamptz[], finished timestamptz[]) returns void
language sql
begin atomic
  insert into sync.stale_days (day)
  select distinct days.day from unnest(started, finished) as job (started_at, finished_at)
  cross join lateral (
    values ((job.started_at at time zone 'UTC')::date), ((job.finished_at at time zone 'UTC')::date)
  ) as days (day)
  where days.day is not null;
end;
