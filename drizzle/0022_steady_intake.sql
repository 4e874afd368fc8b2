-- A change of a pipeline, a queue, an organization or a rule can make every day of history stale. The triggers searched for these days in
-- the transaction of the change, which may apply a delivery. Now they write one row, and the rollup worker finds the days.
create table sync.stale_history (
  id bigserial primary key,
  pipeline_id uuid,
  since date,
  scanned_to timestamptz,
  changed_at timestamptz not null default clock_timestamp()
);--> statement-breakpoint
comment on table sync.stale_history is 'Changes that make days of history stale, for one pipeline or for all. The rollup worker finds the days and adds them to sync.stale_days.';
comment on column sync.stale_history.id is 'Order of the changes.';
comment on column sync.stale_history.pipeline_id is 'pipelines.id: the days on which its builds ended. Null: the days of all pipelines.';
comment on column sync.stale_history.since is 'Without pipeline_id: the first day that may be stale.';
comment on column sync.stale_history.scanned_to is 'Builds created at or after this time are processed; null: none yet.';
comment on column sync.stale_history.changed_at is 'When the change was made, on the database''s clock.';--> statement-breakpoint

create function sync.mark_stale_history(most integer default 1000) returns date[] language plpgsql set enable_seqscan = off set jit = off as $$
declare
  part sync.stale_history;
  batch_from timestamptz;
  builds uuid[];
  ended date[];
  days date[];
begin
  loop
    -- With skip locked, concurrent processes take different rows.
    select * into part from sync.stale_history order by id limit 1 for update skip locked;
    exit when not found or most <= 0;
    days := coalesce(days, '{}');
    if part.pipeline_id is null then
      delete from sync.stale_history where id = part.id;
      perform sync.mark_every_day(part.since);
      -- These days fill a batch.
      return array(select distinct day from sync.stale_days where day >= part.since);
    end if;
    select min(created_at) into batch_from from (
      select created_at from buildkite.builds
      where pipeline_id = part.pipeline_id and created_at < coalesce(part.scanned_to, 'infinity')
      order by created_at desc limit most
    ) as newest;
    select array_agg(id), array_agg(distinct (coalesce(finished_at, created_at) at time zone 'UTC')::date) into builds, ended from (
      select id, created_at, finished_at from buildkite.builds
      where pipeline_id = part.pipeline_id and created_at >= batch_from and created_at < coalesce(part.scanned_to, 'infinity')
      union all
      select id, created_at, finished_at from buildkite.builds
      where pipeline_id = part.pipeline_id and created_at is null and part.scanned_to is null
    ) as batch;
    -- A pipeline's jobs matter only if a rule for a step can make them deployments.
    if exists (select from settings.deployment_rules where step is not null) then
      ended := ended || array(
        select distinct (finished_at at time zone 'UTC')::date from buildkite.jobs where build_id = any (builds) and finished_at is not null);
    end if;
    ended := array_remove(ended, null);
    insert into sync.stale_days (day) select distinct unnest(ended);
    days := days || ended;
    if batch_from is null then
      delete from sync.stale_history where id = part.id;
    else
      update sync.stale_history set scanned_to = batch_from where id = part.id;
    end if;
    most := most - coalesce(array_length(builds, 1), 0) - 10;
  end loop;
  return case when days is not null then array(select distinct unnest(days)) end;
end $$;--> statement-breakpoint
comment on function sync.mark_stale_history is 'Finds the days that changes in sync.stale_history made stale and adds them to sync.stale_days, processing about the given number of builds. Call it until it returns null. Returns the days that were added.';--> statement-breakpoint

create or replace function sync.mark_every_day_at_change() returns trigger language plpgsql as $$
begin
  insert into sync.stale_history (since) values ('-infinity');
  return null;
end $$;--> statement-breakpoint

create or replace function sync.mark_days_of_new_pipelines() returns trigger language plpgsql as $$
begin
  insert into sync.stale_history (pipeline_id) select id from after_rows;
  return null;
end $$;--> statement-breakpoint

-- Deployments contain the pipeline's names and are matched by its slug; trunk health uses its default branch.
create or replace function sync.mark_days_of_changed_pipelines() returns trigger language plpgsql as $$
begin
  insert into sync.stale_history (pipeline_id)
  select id from before_rows as before join after_rows as after using (id)
  where after.default_branch is distinct from before.default_branch
    or ((after.organization_id, after.slug, after.name, after.repository) is distinct from (before.organization_id, before.slug, before.name, before.repository)
      and exists (select from settings.deployment_rules));
  return null;
end $$;--> statement-breakpoint

drop function sync.mark_days_of_pipelines(uuid[]);--> statement-breakpoint

create or replace function sync.mark_days_of_changed_organizations() returns trigger language plpgsql as $$
begin
  insert into sync.stale_history (since)
  select '-infinity'
  where exists (select from before_rows as before join after_rows as after using (id) where after.slug is distinct from before.slug)
    and exists (select from settings.deployment_rules where organization <> '*');
  return null;
end $$;--> statement-breakpoint

create or replace function sync.mark_days_of_new_queues() returns trigger language plpgsql as $$
begin
  insert into sync.stale_history (since)
  select min(coalesce((created_at at time zone 'UTC')::date, '-infinity')) from after_rows having count(*) > 0;
  return null;
end $$;--> statement-breakpoint

create or replace function sync.mark_days_of_changed_queues() returns trigger language plpgsql as $$
begin
  insert into sync.stale_history (since)
  select min(coalesce((after.created_at at time zone 'UTC')::date, '-infinity'))
  from before_rows as before join after_rows as after using (id)
  where after.key is distinct from before.key having count(*) > 0;
  return null;
end $$;--> statement-breakpoint

create or replace function sync.refresh_rollups() returns integer language plpgsql as $$
declare
  turn timestamptz;
  stale date;
begin
  perform sync.mark_stale_history();
  select seen_to into turn from sync.rollups where name = 'days';
  turn := coalesce(turn, clock_timestamp());
  select max(day) into stale from sync.stale_days where marked_at <= turn;
  if stale is not null then
    if not sync.refresh_marked_day(stale) then
      return 0;
    end if;
    update sync.rollups set seen_to = turn where name = 'days';
    return 1;
  end if;
  insert into sync.rollups (name, refreshed_at, took_ms) values ('days', clock_timestamp(), 0)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, seen_to = null;
  return 0;
end $$;--> statement-breakpoint

do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant select on sync.stale_history to buildkite_reader;
  end if;
end $$;--> statement-breakpoint

-- Last, because it locks the inbox until this transaction commits.
ALTER TABLE "sync"."deliveries" ADD COLUMN "next_try_at" timestamp (3) with time zone;--> statement-breakpoint
comment on column sync.deliveries.next_try_at is 'For a delivery that could not be applied in time: not retried before this time, and then alone. See sync.failures.';--> statement-breakpoint
do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant select (next_try_at) on sync.deliveries to buildkite_reader;
  end if;
end $$;
