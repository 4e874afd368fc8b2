create or replace function sync.invalidate_days(started timestamptz[], finished timestamptz[]) returns void
language sql
begin atomic
  insert into sync.stale_days (day, hour)
  select distinct (moment.at at time zone 'UTC')::date, extract(hour from moment.at at time zone 'UTC')::smallint
  from (select unnest(started) as at union all select unnest(finished)) as moment
  where moment.at is not null;
end;
