-- Names that say what things are. Locks first: no transaction may be between two functions that call each other by name.
select pg_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0)), pg_advisory_xact_lock(hashtextextended('buildkite-mirror users', 0));--> statement-breakpoint
lock table buildkite.organizations, buildkite.pipelines, buildkite.builds, buildkite.build_attempts, buildkite.jobs, buildkite.cluster_queues, settings.deployment_rules in access exclusive mode;--> statement-breakpoint
alter table sync.absences rename to unlisted_builds;
alter index sync.absences_pkey rename to unlisted_builds_pkey;
alter index sync.absences_next_read_at rename to unlisted_builds_next_read_at;--> statement-breakpoint
alter table sync.sightings rename to user_identities;
alter index sync.sightings_person rename to user_identities_person;--> statement-breakpoint
alter table sync.list_reads rename to reference_item_syncs;
alter index sync.list_reads_name_subject_id_pk rename to reference_item_syncs_name_subject_id_pk;--> statement-breakpoint
alter table sync.dimensions rename to reference_syncs;
alter index sync.dimensions_organization_id_name_pk rename to reference_syncs_organization_id_name_pk;--> statement-breakpoint
alter table sync.cycles rename column absent_read to unlisted_read;
alter table sync.windows rename column walked_to to scanned_to;
alter table sync.watermarks rename column pipelines_wanted to pipeline_filter;
alter table sync.drift rename column right_until to last_matched_at;
alter view analytics.drift rename column right_until to last_matched_at;--> statement-breakpoint
update sync.drift set kind = 'unexpected' where kind = 'surplus';--> statement-breakpoint
CREATE TABLE "sync"."definitions" (
	"name" text PRIMARY KEY NOT NULL,
	"checksum" text NOT NULL,
	"applied_at" timestamp (3) with time zone DEFAULT now() NOT NULL
);--> statement-breakpoint
alter trigger mark_days_of_changed_attempts on buildkite.build_attempts rename to invalidate_days_of_changed_attempts;
alter trigger mark_days_of_new_attempts on buildkite.build_attempts rename to invalidate_days_of_new_attempts;
alter trigger mark_days_of_changed_builds on buildkite.builds rename to invalidate_days_of_changed_builds;
alter trigger mark_days_of_new_builds on buildkite.builds rename to invalidate_days_of_new_builds;
alter trigger mark_days_of_changed_queues on buildkite.cluster_queues rename to invalidate_days_of_changed_queues;
alter trigger mark_days_of_new_queues on buildkite.cluster_queues rename to invalidate_days_of_new_queues;
alter trigger mark_days_of_changed_jobs on buildkite.jobs rename to invalidate_days_of_changed_jobs;
alter trigger mark_days_of_new_jobs on buildkite.jobs rename to invalidate_days_of_new_jobs;
alter trigger mark_days_of_changed_organizations on buildkite.organizations rename to invalidate_days_of_changed_organizations;
alter trigger mark_days_of_changed_pipelines on buildkite.pipelines rename to invalidate_days_of_changed_pipelines;
alter trigger mark_days_of_new_pipelines on buildkite.pipelines rename to invalidate_days_of_new_pipelines;
alter trigger mark_every_day on settings.deployment_rules rename to invalidate_all_days;--> statement-breakpoint
alter function sync.mark_days(timestamptz[], timestamptz[]) rename to invalidate_days;
alter function sync.mark_days_of_attempts() rename to invalidate_days_of_attempts;
alter function sync.mark_days_of_changed_builds() rename to invalidate_days_of_changed_builds;
alter function sync.mark_days_of_changed_jobs() rename to invalidate_days_of_changed_jobs;
alter function sync.mark_days_of_changed_organizations() rename to invalidate_days_of_changed_organizations;
alter function sync.mark_days_of_changed_pipelines() rename to invalidate_days_of_changed_pipelines;
alter function sync.mark_days_of_changed_queues() rename to invalidate_days_of_changed_queues;
alter function sync.mark_days_of_commits(text[], timestamptz[]) rename to invalidate_days_of_commits;
alter function sync.mark_days_of_jobs(uuid[]) rename to invalidate_days_of_jobs;
alter function sync.mark_days_of_new_builds() rename to invalidate_days_of_new_builds;
alter function sync.mark_days_of_new_jobs() rename to invalidate_days_of_new_jobs;
alter function sync.mark_days_of_new_pipelines() rename to invalidate_days_of_new_pipelines;
alter function sync.mark_days_of_new_queues() rename to invalidate_days_of_new_queues;
alter function sync.mark_every_day(date) rename to invalidate_all_days;
alter function sync.mark_every_day_at_change() rename to invalidate_all_days_at_change;--> statement-breakpoint
create or replace function sync.invalidate_days_of_attempts() returns trigger language plpgsql set enable_seqscan = off set jit = off as $$
begin
  perform sync.invalidate_days(array_agg(coalesce(build.finished_at, build.created_at)), null)
  from buildkite.builds as build where build.id = any (array(select build_id from after_rows));
  return null;
end $$;--> statement-breakpoint
create or replace function sync.invalidate_days_of_changed_builds() returns trigger language plpgsql set enable_nestloop = off set jit = off as $$
declare
  builds uuid[];
  commits text[];
begin
  perform sync.invalidate_days(array_agg(coalesce(before.finished_at, before.created_at)), array_agg(coalesce(after.finished_at, after.created_at)))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at;
  perform sync.invalidate_days(array_agg(before.created_at), array_agg(after.created_at))
  from before_rows as before join after_rows as after using (id)
  where (after.created_at, after.organization_id) is distinct from (before.created_at, before.organization_id);
  select array_agg(after.id) || array_remove(array_agg(after.rebuilt_from_id), null) into builds
  from before_rows as before join after_rows as after using (id)
  where (after.organization_id, after.pipeline_id, after.branch, after.commit, after.state = 'canceled', after.rebuilt_from_id)
    is distinct from (before.organization_id, before.pipeline_id, before.branch, before.commit, before.state = 'canceled', before.rebuilt_from_id);
  if builds is not null then perform sync.invalidate_days_of_jobs(builds); end if;
  select array_agg(before.commit) || array_agg(after.commit) into commits
  from before_rows as before join after_rows as after using (id)
  where (after.commit, after.author_date) is distinct from (before.commit, before.author_date);
  if commits is not null then perform sync.invalidate_days_of_commits(commits, null); end if;
  return null;
end $$;--> statement-breakpoint
create or replace function sync.invalidate_days_of_changed_jobs() returns trigger language plpgsql set enable_nestloop = off set jit = off as $$
begin
  -- Before and after: a job whose time was corrected across midnight leaves one day and enters another.
  perform sync.invalidate_days(
    array_agg(before.started_at) || array_agg(after.started_at),
    array_agg(coalesce(before.finished_at, before.expired_at)) || array_agg(coalesce(after.finished_at, after.expired_at)))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at;
  return null;
end $$;--> statement-breakpoint
create or replace function sync.invalidate_days_of_commits(commits text[], written_at timestamptz[]) returns void language plpgsql set enable_seqscan = off set enable_hashjoin = off set enable_mergejoin = off set jit = off as $$
begin
  perform sync.invalidate_days(array_agg(deployment.deployed_at), null)
  from unnest(commits, written_at) as build (commit, written_at)
  join analytics.deployments as deployment on deployment.commit_sha = build.commit
  where build.commit <> 'HEAD' and coalesce(build.written_at, '-infinity') < coalesce(deployment.committed_at, 'infinity')
  having count(*) > 0;
end $$;--> statement-breakpoint
create or replace function sync.invalidate_days_of_jobs(builds uuid[]) returns void language plpgsql set enable_seqscan = off set jit = off as $$
begin
  perform sync.invalidate_days(array_agg(job.started_at), array_agg(coalesce(job.finished_at, job.expired_at)))
  from buildkite.jobs as job where job.build_id = any (builds) having count(*) > 0;
end $$;--> statement-breakpoint
create or replace function sync.invalidate_days_of_new_builds() returns trigger language plpgsql as $$
declare
  builds uuid[];
  commits text[];
  written_at timestamptz[];
begin
  perform sync.invalidate_days(array_agg(created_at), array_agg(coalesce(finished_at, created_at))) from after_rows;
  select array_agg(id) || array_remove(array_agg(rebuilt_from_id), null) into builds from after_rows;
  perform sync.invalidate_days_of_jobs(builds);
  -- Only now is it known when the commit was written.
  select array_agg(after_rows.commit), array_agg(author_date) into commits, written_at from after_rows where author_date is not null;
  if commits is not null then perform sync.invalidate_days_of_commits(commits, written_at); end if;
  return null;
end $$;--> statement-breakpoint
create or replace function sync.invalidate_days_of_new_jobs() returns trigger language plpgsql as $$
begin
  perform sync.invalidate_days(array_agg(started_at), array_agg(coalesce(finished_at, expired_at))) from after_rows;
  return null;
end $$;--> statement-breakpoint
create or replace function sync.mark_stale_history(most integer default 1000) returns date[] language plpgsql set enable_seqscan = off set jit = off as $$
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
      perform sync.invalidate_all_days(part.since);
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
create or replace function sync.refresh_users() returns integer language plpgsql as $$
declare
  began constant timestamptz := clock_timestamp();
  since timestamptz;
  people integer;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror users', 0)) then
    return 0;
  end if;
  -- Both times are by the clock of Postgres. Ten minutes back, for transactions that were open then: to see the same person twice changes nothing.
  select coalesce(max(seen_to) - interval '10 minutes', '-infinity') into since from sync.rollups where name = 'users';

  insert into sync.user_identities as known (id, email, username, name, last_seen_at)
  select id, min(email), min(username), (array_agg(name order by seen_at desc nulls last) filter (where name is not null))[1], max(seen_at)
  from (
    select creator_id as id, lower(nullif(creator_email, '')) as email, null as username, creator_name as name, created_at as seen_at
    from buildkite.builds where changed_at > since
    union all
    select null, lower(nullif(author_email, '')), lower(nullif(author_username, '')), author_name, created_at from buildkite.builds where changed_at > since
    union all
    select unblocked_by_id, lower(nullif(unblocked_by_email, '')), null, unblocked_by_name, unblocked_at
    from buildkite.jobs where changed_at > since and unblocked_at is not null
    union all
    select retried_by_id, lower(nullif(retried_by_email, '')), null, retried_by_name, finished_at
    from buildkite.jobs where changed_at > since and retried_in_job_id is not null
    union all
    select created_by_id, lower(nullif(created_by_email, '')), null, created_by_name, created_at from buildkite.pipelines where changed_at > since
    union all
    select id, lower(nullif(email, '')), null, name, changed_at from buildkite.members where changed_at > since
  ) as seen
  where id is not null or email is not null or username is not null
  -- As the index: one row of it must not be met twice.
  group by id, md5(coalesce(email, '')), md5(coalesce(username, ''))
  on conflict ((coalesce(id::text, '')), md5(coalesce(email, '')), md5(coalesce(username, ''))) do update
    set name = coalesce(excluded.name, known.name), last_seen_at = greatest(excluded.last_seen_at, known.last_seen_at);

  -- One person: the same id, else an e-mail address that some id is known by, else that address, else the user name.
  with by_email as (
    select email, min(id::text)::uuid as id from sync.user_identities where id is not null and email is not null group by email
  ), named as (
    select coalesce(seen.id, by_email.id) as id, seen.email, seen.username, seen.name, seen.last_seen_at, seen.id is not null as certain,
      coalesce(seen.id::text, by_email.id::text, seen.email, 'username:' || seen.username) as known_by
    from sync.user_identities as seen left join by_email on seen.id is null and by_email.email = seen.email
  ), united as (
    select case when length(known_by) <= 500 then known_by else 'md5:' || md5(known_by) end as key, min(id::text)::uuid as id,
      (array_agg(name order by certain desc, last_seen_at desc nulls last) filter (where name is not null))[1] as name,
      (array_agg(email order by certain desc, last_seen_at desc nulls last) filter (where email is not null))[1] as email,
      coalesce(array_agg(distinct email) filter (where email is not null), '{}') as emails,
      coalesce(array_agg(distinct username) filter (where username is not null), '{}') as usernames,
      max(last_seen_at) as last_seen_at
    from named group by 1
  ), gone as (
    delete from buildkite.users where key not in (select key from united)
  )
  insert into buildkite.users as known (key, id, name, email, emails, usernames, is_member, last_seen_at, changed_at)
  select key, id, name, email, emails, usernames,
    exists (select from buildkite.members where members.id = united.id and members.deleted_at is null), last_seen_at, began
  from united
  on conflict (key) do update set id = excluded.id, name = excluded.name, email = excluded.email, emails = excluded.emails,
    usernames = excluded.usernames, is_member = excluded.is_member, last_seen_at = excluded.last_seen_at, changed_at = excluded.changed_at
  where (known.id, known.name, known.email, known.emails, known.usernames, known.is_member, known.last_seen_at)
    is distinct from (excluded.id, excluded.name, excluded.email, excluded.emails, excluded.usernames, excluded.is_member, excluded.last_seen_at);
  get diagnostics people = row_count;

  insert into sync.rollups (name, refreshed_at, seen_to, took_ms)
  values ('users', began, began, extract(epoch from clock_timestamp() - began) * 1000)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, seen_to = excluded.seen_to, took_ms = excluded.took_ms;
  return people;
end $$;--> statement-breakpoint
comment on table sync.unlisted_builds is 'Builds that are open or provisional in the mirror and in no list of Buildkite, and when each is read again.';
comment on column sync.cycles.unlisted_read is 'Builds that were read one by one because no list contained them.';
comment on column sync.windows.scanned_to is 'How far the window is read, downwards from created_to. After a restart the read continues here.';
comment on column sync.watermarks.pipeline_filter is 'The patterns of pipelines (include, exclude) that the row is valid for. If later patterns include more, all windows are read again. Null: the present patterns.';
comment on column sync.drift.kind is 'missing: only Buildkite had the row. different: the values differed. unexpected: Buildkite no longer had the row.';
comment on column sync.drift.columns is 'The columns that differed; empty for missing and unexpected. "build_attempts" means that an attempt was missing in the mirror.';
comment on column sync.drift.last_matched_at is 'When the row was last verified. The difference is most likely younger. Null: never.';
comment on column analytics.drift.kind is 'missing, different or unexpected: see sync.drift.';
comment on column analytics.drift.last_matched_at is 'Until when the mirror can have been correct.';
comment on table sync.user_identities is 'Every combination of id, e-mail address and user name under which a person was seen. buildkite.users is built from it.';
comment on table sync.reference_syncs is 'When and how each list of reference data of an organization was last read.';
comment on table sync.reference_item_syncs is 'When the list of one object was last read: of a pipeline its schedules, of a cluster its queues, of a build its annotations.';
comment on column analytics.data_coverage.exceptions is 'Known unconfirmed builds, and ranges that cannot be listed: see sync.failures and sync.unlisted_builds.';
comment on table sync.definitions is 'The views, functions, triggers and grants of buildkite-mirror as they were last applied. See drizzle/ in its source.';
comment on column sync.definitions.name is 'File in drizzle/.';
comment on column sync.definitions.checksum is 'SHA-256 of the file.';
comment on column sync.definitions.applied_at is 'When it was applied.';
comment on function sync.invalidate_all_days is 'Marks every day that has data, from the given day on, as stale. The rollup worker rebuilds the totals of these days. Call it after you changed rows of the mirror yourself. Returns the number of days.';--> statement-breakpoint
do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant select on sync.definitions to buildkite_reader;
  end if;
end $$;
