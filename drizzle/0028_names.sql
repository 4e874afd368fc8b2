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
-- Comments in plain words.
comment on schema analytics is 'For analysts: views over the mirror, and rollup tables. Names, results and times mean the same in all of them. Days and hours are UTC.';
comment on schema buildkite is 'The mirror: a row for each object of Buildkite, with Buildkite''s ids and field names. A nested object becomes a prefix (creator_id, creator_name). Rows are never deleted: see deleted_at.';
comment on schema settings is 'Settings that you make in SQL: which builds are deployments, what agents cost.';
comment on schema sync is 'How the mirror is filled: webhook deliveries, reconcile cycles, backfill windows, watermarks. Shows how complete the mirror is.';
comment on table analytics.agents_daily is 'What each agent did on a day (UTC): jobs finished, time busy, jobs lost. A job of more than a day is counted on its first and last day. A rollup table.';
comment on column analytics.agents_daily.busy_seconds is 'Seconds that jobs ran, in total.';
comment on column analytics.agents_daily.infra_lost is 'How many failed because their agent or machine was lost.';
comment on column analytics.agents_daily.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on table analytics.branch_durations_daily is 'As pipeline_durations_daily, by branch. A rollup table.';
comment on table analytics.build_results_daily is 'How builds ended, by pipeline and the day (UTC) they finished. Practice disagrees on retries: failure_rate is by the final result, first_failure_rate by the first (for a build that ran before the mirror existed: the last). Neither includes canceled and skipped builds, nor builds that wait at a gate: these are in blocked on the day they stopped. Builds that never finished count on the day they were created. A rollup table.';
comment on column analytics.build_results_daily.blocked is 'How many wait at a gate, in neither rate. Null on days that were not rebuilt since this column was added.';
comment on table analytics.deployments is 'Deployments in the shape of DX''s table of that name (three columns of our own at the end), found by the rules in settings.deployment_rules: builds, or the last tries of a step''s jobs, that ended in success or failure. Canceled, blocked and open ones do not count. A rule for a step creates one deployment for each of its jobs: for each part of a parallel step or a matrix, unless the rule''s pattern names one. A deployment that ran again has its last end. Without rules the table is empty. A rollup table, refreshed about 15 s after a change of a build, and for every day when a rule changes.';
comment on column analytics.deployments.committed_at is 'Author date of the commit, from any of its builds; null if none has it. Ours, not DX''s.';
comment on column analytics.deployments.merge_commit_shas is 'The deployed commit. Which commits it brings is known to the repository only.';
comment on column analytics.deployments.service is 'Service: of the rule, otherwise the pipeline''s slug.';
comment on table analytics.jobs_daily is 'Command jobs by pipeline, job name and the day (UTC) they finished, counting every try except skipped and broken ones. A rollup table, refreshed about 15 s after a change. Percentiles are over all tries; passed_ over those that passed.';
comment on column analytics.jobs_daily.infra_lost is 'How many failed because their agent or machine was lost.';
comment on column analytics.jobs_daily.run_seconds is 'Seconds of running, in total.';
comment on column analytics.jobs_daily.soft_failed is 'How many failed and were allowed to fail.';
comment on column analytics.jobs_daily.tries is 'How many tries of jobs.';
comment on table analytics.minutes_daily is 'Agent minutes of command jobs by pipeline, branch, cluster, queue and the day (UTC) they finished, and the part wasted, each minute under the first reason that applies: agent lost, canceled (the job or its build), retried, rebuilt. A rollup table.';
comment on column analytics.minutes_daily.minutes_retried is 'Minutes of tries that another try replaced.';
comment on column analytics.minutes_daily.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on column analytics.minutes_daily.tries is 'How many tries of jobs.';
comment on table analytics.pipeline_durations_daily is 'How long builds ran, by pipeline and the day (UTC) they finished: the total of the attempts without pauses, as far as finishes were seen. For a build that ran before the mirror existed the API shows only the last. Practice disagrees on whether failures count: percentiles are over passed and failed builds; passed_ over passed ones only; first_ over first attempts only. A rollup table.';
comment on table analytics.queue_waits_daily is 'Waits for an agent by queue and the day (UTC) the job started, from runnable_at to started_at. Waits for other steps or a concurrency group are not included. Only command jobs that started. A rollup table.';
comment on column analytics.queue_waits_daily.concurrency_seconds is 'Seconds that these jobs waited for concurrency groups before, in total.';
comment on column analytics.queue_waits_daily.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on table analytics.queue_waits_hourly is 'As queue_waits_daily, by hour (UTC), with the time that the queue''s jobs ran in that hour. A job of more than a day is counted in the hours of its first and last day. A rollup table.';
comment on column analytics.queue_waits_hourly.busy_seconds is 'Seconds that jobs ran, in total.';
comment on column analytics.queue_waits_hourly.hour is 'Start of the hour.';
comment on column analytics.queue_waits_hourly.queue is 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';
comment on table analytics.trunk_health_daily is 'The default branch by day (UTC): builds and commits that ended red. A build that waits at a gate has no colour and is counted in blocked only; if every good build waits at a gate, green_rate is that of the others. By the present default branch: after a rename all days are rebuilt, and earlier ones contain only what ran on a branch of the new name. A rollup table.';
comment on column analytics.trunk_health_daily.blocked is 'How many wait at a gate and have no colour. Null on days that were not rebuilt since this column was added.';
comment on column analytics.trunk_health_daily.green_rate is 'Passed by passed and failed, 0 to 1. Null if all wait at a gate.';
comment on table buildkite.agents is 'Agents that jobs and webhooks showed, each as last seen. Buildkite lists only connected ones, so this is the history of the agents that were seen, not a complete list.';
comment on column buildkite.agents.arch is 'Processor architecture, if known.';
comment on column buildkite.agents.changed_at is 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';
comment on column buildkite.agents.connection_state is 'never_connected, connected, disconnected, stopping, stopped, lost; may grow. As of observed_at: an agent that left unseen still shows connected.';
comment on column buildkite.agents.creator_id is 'UUID of the user whose token it uses, if known.';
comment on column buildkite.agents.deleted_at is 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';
comment on column buildkite.agents.deleted_reason is 'Why Buildkite no longer shows the object. not_found: a read of the object got a 404. not_listed: the complete list does not contain it. pipeline_not_listed: a build that was not found, whose pipeline is gone. May grow. Deletion, retention and lost access can look alike.';
comment on column buildkite.agents.extra is 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';
comment on column buildkite.agents.first_seen_at is 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';
comment on column buildkite.agents.first_seen_via is 'What first showed the object: webhook or rest.';
comment on column buildkite.agents.job_id is 'jobs.id of the job that it ran when it was observed. Often outdated: for history use jobs.agent_id.';
comment on column buildkite.agents.lost_at is 'When Buildkite marked it as lost (UTC).';
comment on column buildkite.agents.observed_at is 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';
comment on column buildkite.agents.os_id is 'Operating system, if known.';
comment on column buildkite.agents.paused_timeout_in_minutes is 'After how many minutes the pause ends automatically.';
comment on column buildkite.agents.stopped_at is 'When it was requested to stop (UTC).';
comment on column buildkite.agents.user_agent is 'Program and version, as the agent reports them.';
comment on column buildkite.agents.verified_at is 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';
comment on column buildkite.annotations.context is 'What distinguishes it from the other annotations of the build.';
comment on column buildkite.annotations.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';
comment on column buildkite.annotations.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.annotations.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.artifacts.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';
comment on column buildkite.artifacts.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.artifacts.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.artifacts.job_id is 'jobs.id of the job that uploaded it.';
comment on table buildkite.build_attempts is 'Each distinct finish of a build. A retry or an unblock begins the next attempt. The first attempt is what people waited for; the last is what builds shows. Only finishes that were seen: one that came and went between two reads while its webhook was lost is missing.';
comment on column buildkite.build_attempts.first_seen_at is 'When the mirror first saw this finish.';
comment on column buildkite.build_attempts.first_seen_via is 'What first showed it: webhook or rest.';
comment on column buildkite.build_attempts.state is 'State at this finish. If blocked is true it is not a result.';
comment on table buildkite.builds is 'Builds in their present state. A finished build may run again: a retry or an unblock changes it back to running and overwrites started_at and finished_at. Its finishes are in build_attempts.';
comment on column buildkite.builds.author_date is 'When the commit was written, if known.';
comment on column buildkite.builds.author_username is 'Commit author''s user name, if the source host shows it.';
comment on column buildkite.builds.blocked is 'True while the build waits at a block step for someone. It is then neither finished nor a success, whatever state and finished_at show.';
comment on column buildkite.builds.blocked_state is 'What the build counts as while blocked: passed, failed or running; otherwise empty or null.';
comment on column buildkite.builds.cancel_reason is 'Why it was canceled, if Buildkite shows a reason.';
comment on column buildkite.builds.changed_at is 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';
comment on column buildkite.builds.commit is 'Commit to build: a full SHA, or HEAD or a branch name until the build starts, when it becomes the SHA.';
comment on column buildkite.builds.creator_created_at is 'When the creator''s account was created.';
comment on column buildkite.builds.deleted_at is 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';
comment on column buildkite.builds.deleted_reason is 'Why Buildkite no longer shows the object. deleted: a read of the build got a 404, although its pipeline exists and older builds are listed. retention: the same, it is at least 30 days old, and Buildkite lists no build as old. pipeline_not_listed: its pipeline is gone. hidden: its pipeline exists, but is hidden from the API token''s user.';
comment on column buildkite.builds.extra is 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';
comment on column buildkite.builds.failing_at is 'When it was first known to fail (UTC); since June 2026. Never cleared, even if a retry passes.';
comment on column buildkite.builds.finished_at is 'When it last finished (UTC). A value does not mean that the build is finished: a blocked build has one too, and a retry clears or changes it. First and final finish: build_attempts.';
comment on column buildkite.builds.first_seen_at is 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';
comment on column buildkite.builds.first_seen_via is 'What first showed the object: webhook or rest.';
comment on column buildkite.builds.meta_data is 'Meta-data set by its steps: an object of strings. A change sends no webhook, so only REST shows it.';
comment on column buildkite.builds.number is 'Number within its pipeline, counting up, with gaps. With pipeline_id it identifies the build.';
comment on column buildkite.builds.observed_at is 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';
comment on column buildkite.builds.pull_request_labels is 'Labels of the pull request, if known.';
comment on column buildkite.builds.rebuilt_from_id is 'builds.id of the build that this one rebuilds. A rebuild is a new build; a retry is not.';
comment on column buildkite.builds.scheduled_at is 'When it was scheduled (UTC). May be before created_at.';
comment on column buildkite.builds.started_at is 'When it last started (UTC). Changes when a build runs again, so it may be later than a job''s started_at. Null before, and for a build that is blocked at its first step.';
comment on column buildkite.builds.state is 'creating, scheduled, running, passed, failing, failed, canceling, canceled, skipped, not_run; may grow. Never shows blocked: a build that waits at a block step keeps its last state, often passed, with blocked true. The effective state is case when blocked then ''blocked'' else state end.';
comment on column buildkite.builds.test_engine is 'Test Engine runs of the build. Only a read of the single build contains them, so it is null for most.';
comment on column buildkite.builds.url is 'REST address. Contains the slugs of the time at which it was sent.';
comment on column buildkite.builds.verified_at is 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';
comment on column buildkite.cluster_queues.created_by_email is 'E-mail address of the person who created it.';
comment on column buildkite.cluster_queues.created_by_id is 'Id of the person who created it.';
comment on column buildkite.cluster_queues.created_by_name is 'Name of the person who created it.';
comment on column buildkite.cluster_queues.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';
comment on column buildkite.cluster_queues.dispatch_paused is 'Whether its agents get no jobs.';
comment on column buildkite.cluster_queues.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.cluster_queues.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.clusters.created_by_email is 'E-mail address of the person who created it.';
comment on column buildkite.clusters.created_by_id is 'Id of the person who created it.';
comment on column buildkite.clusters.created_by_name is 'Name of the person who created it.';
comment on column buildkite.clusters.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';
comment on column buildkite.clusters.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.clusters.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on table buildkite.jobs is 'Jobs of builds. A retry is a new job and the old one keeps its result: count retried is not true for the latest of each step. Which columns have values depends on type; waiters have hardly any.';
comment on column buildkite.jobs.agent_id is 'agents.id of the agent that ran it; null before an agent took it.';
comment on column buildkite.jobs.changed_at is 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';
comment on column buildkite.jobs.deleted_at is 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';
comment on column buildkite.jobs.deleted_reason is 'Why Buildkite no longer shows the object. not_listed: the complete list of its build''s jobs does not contain it.';
comment on column buildkite.jobs.exit_status is 'Exit status of the command; -1 if the agent was lost. Null while it runs.';
comment on column buildkite.jobs.extra is 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';
comment on column buildkite.jobs.finished_at is 'When it ended (UTC). Does not change: a retry is another job.';
comment on column buildkite.jobs.first_seen_at is 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';
comment on column buildkite.jobs.first_seen_via is 'What first showed the object: webhook or rest.';
comment on column buildkite.jobs.group_key is 'Key of the group that contains the step. REST only.';
comment on column buildkite.jobs.name is 'Name of the step, if it has one. Manual jobs have a label instead.';
comment on column buildkite.jobs.observed_at is 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';
comment on column buildkite.jobs.parallel_group_index is 'Its place among the parallel jobs of its step, from 0; null if not parallel.';
comment on column buildkite.jobs.promised_exit_status_at is 'When the job announced it.';
comment on column buildkite.jobs.promised_exit_status_reason is 'Why the job announced it. Webhooks only.';
comment on column buildkite.jobs.retried is 'True if a later job replaced it. Exclude such jobs to see each step once.';
comment on column buildkite.jobs.retry_source_job_id is 'jobs.id of the job that this one retries.';
comment on column buildkite.jobs.retry_source_retried_by_name is 'Who retried it.';
comment on column buildkite.jobs.retry_type is 'How this job was itself retried: automatic or manual; null if it was not.';
comment on column buildkite.jobs.runnable_at is 'When only a free agent was missing (UTC). started_at - runnable_at is the wait for an agent.';
comment on column buildkite.jobs.scheduled_at is 'When it was scheduled (UTC). May be before created_at, because it can be the time of the build.';
comment on column buildkite.jobs.soft_failed is 'True if it failed and was allowed to: its state is failed, but the build does not fail because of it.';
comment on column buildkite.jobs.state is 'pending, waiting, waiting_failed, blocked, blocked_failed, unblocked, unblocked_failed, limiting, limited, platform_limiting, platform_limited, scheduled, reserved, assigned, accepted, running, passed, failed, canceling, canceled, timing_out, timed_out, expired, skipped, broken; may grow. Null for waiters. REST shows limited jobs as scheduled. broken: excluded by its configuration; skipped: by an external cause.';
comment on column buildkite.jobs.step_signature is 'Signature of the step, if pipelines are signed.';
comment on column buildkite.jobs.unblockable is 'Whether a manual job could be unblocked when it was observed.';
comment on column buildkite.jobs.verified_at is 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';
comment on column buildkite.members.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';
comment on column buildkite.members.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.members.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.members.sso_mode is 'required or optional; shown to administrators only.';
comment on table buildkite.organization_slugs is 'Every slug that an organization was seen under. One row for each organization and slug.';
comment on column buildkite.organization_slugs.last_seen_at is 'When it was last seen under this slug. The present slug is the one with the latest time.';
comment on column buildkite.organization_slugs.slug is 'A present or former slug.';
comment on column buildkite.organizations.changed_at is 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';
comment on column buildkite.organizations.deleted_at is 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';
comment on column buildkite.organizations.deleted_reason is 'Why Buildkite no longer shows the object. no_access: no API token sees it any more. hidden: the same, although webhooks show it.';
comment on column buildkite.organizations.extra is 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';
comment on column buildkite.organizations.first_seen_at is 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';
comment on column buildkite.organizations.first_seen_via is 'What first showed the object: webhook or rest.';
comment on column buildkite.organizations.observed_at is 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';
comment on column buildkite.organizations.url is 'REST address. Contains the slug, so it changes with a rename.';
comment on column buildkite.organizations.verified_at is 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';
comment on table buildkite.pipeline_schedules is 'Schedules that create builds. Read hourly.';
comment on column buildkite.pipeline_schedules.created_by_email is 'E-mail address of the person who created it.';
comment on column buildkite.pipeline_schedules.created_by_id is 'Id of the person who created it.';
comment on column buildkite.pipeline_schedules.created_by_name is 'Name of the person who created it.';
comment on column buildkite.pipeline_schedules.cronline is 'When it creates builds, as cron or a word such as @daily.';
comment on column buildkite.pipeline_schedules.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';
comment on column buildkite.pipeline_schedules.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.pipeline_schedules.failed_at is 'When its last failed attempt to create a build was; null: the last one succeeded.';
comment on column buildkite.pipeline_schedules.failed_message is 'Why the first one failed.';
comment on column buildkite.pipeline_schedules.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.pipeline_schedules.next_build_at is 'When it creates the next build.';
comment on table buildkite.pipeline_slugs is 'Every slug that a pipeline was seen under, with its organization''s slug of the time. Resolves old addresses.';
comment on column buildkite.pipeline_slugs.slug is 'A present or former slug. Another pipeline may use it later: the one seen last has it.';
comment on column buildkite.pipelines.changed_at is 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';
comment on column buildkite.pipelines.deleted_at is 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';
comment on column buildkite.pipelines.deleted_reason is 'Why Buildkite no longer shows the object. not_listed: the complete list of pipelines once contained it and no longer does; it was deleted, or the API token''s user may no longer see it. hidden: the list does not contain it although webhooks show it; it exists, and the API token''s user may not see it.';
comment on column buildkite.pipelines.extra is 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';
comment on column buildkite.pipelines.first_seen_at is 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';
comment on column buildkite.pipelines.first_seen_via is 'What first showed the object: webhook or rest.';
comment on column buildkite.pipelines.id is 'Buildkite''s UUID of the pipeline. A rename does not change it.';
comment on column buildkite.pipelines.observed_at is 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';
comment on column buildkite.pipelines.provider_settings is 'Settings of the source host, as Buildkite sends them, without the secret delivery address.';
comment on column buildkite.pipelines.running_builds_count is 'Builds running when it was observed. Often outdated: count rows of builds instead.';
comment on column buildkite.pipelines.running_jobs_count is 'Jobs running when it was observed. Often outdated.';
comment on column buildkite.pipelines.scheduled_builds_count is 'Builds waiting when it was observed. Often outdated: count rows of builds instead.';
comment on column buildkite.pipelines.scheduled_jobs_count is 'Jobs scheduled when it was observed. Often outdated.';
comment on column buildkite.pipelines.url is 'REST address. Contains the slugs, so it changes with a rename.';
comment on column buildkite.pipelines.verified_at is 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';
comment on column buildkite.pipelines.waiting_jobs_count is 'Jobs waiting when it was observed. Often outdated.';
comment on column buildkite.team_members.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';
comment on column buildkite.team_members.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.team_members.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.team_pipelines.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';
comment on column buildkite.team_pipelines.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.team_pipelines.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on column buildkite.teams.created_by_email is 'E-mail address of the person who created it.';
comment on column buildkite.teams.created_by_id is 'Id of the person who created it.';
comment on column buildkite.teams.created_by_name is 'Name of the person who created it.';
comment on column buildkite.teams.deleted_at is 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';
comment on column buildkite.teams.extra is 'Fields that Buildkite sent and no column contains, under their own names.';
comment on column buildkite.teams.first_seen_at is 'When a list first contained it, on the mirror''s clock.';
comment on table buildkite.users is 'People, combined by sync.refresh_users() from all places where they appear: by id, otherwise by an e-mail address that belongs to an id, otherwise by the address, otherwise by the user name.';
comment on column buildkite.users.emails is 'All e-mail addresses under which the person was seen, in lower case.';
comment on column buildkite.users.id is 'Buildkite''s UUID of the user; null for an author without an account in Buildkite.';
comment on column buildkite.users.key is 'What identifies the person: the id, an e-mail address, or username: and a name. If longer than 500 characters, md5: and its hash.';
comment on column buildkite.users.last_seen_at is 'When the person last created, wrote or unblocked something.';
comment on column buildkite.users.usernames is 'User names under which the person was seen as an author, in lower case.';
comment on table settings.deployment_rules is 'What counts as a deployment. Fill it yourself: insert into settings.deployment_rules (pipeline, branch, step) values (''shop'', ''main'', ''deploy'').';
comment on column settings.deployment_rules.branch is 'Branch, as a pattern: * matches any characters.';
comment on column settings.deployment_rules.enabled is 'Whether the rule is used.';
comment on column settings.deployment_rules.organization is 'Slug of the organizations, as a pattern: * matches any characters.';
comment on column settings.deployment_rules.pipeline is 'Slug of the pipelines, as a pattern: * matches any characters.';
comment on table settings.queue_rates is 'What a minute of a queue''s agents costs. Fill it yourself; with a row for each cluster if they differ.';
comment on column settings.queue_rates.cluster is 'Name of the cluster, or its id; *: all clusters that no other row of the queue names.';
comment on table sync.budgets is 'Remaining requests of Buildkite''s rate limits, shared by all processes.';
comment on column sync.budgets.scope is 'Which limit: that of a user (by a fingerprint of the token) or of an organization.';
comment on column sync.budgets.updated_at is 'When it was last written.';
comment on table sync.builds_found is 'Builds by hour of creation, and how many of them REST showed first; the source of analytics.webhook_loss. A rollup table.';
comment on column sync.builds_found.builds_lost is 'Those that REST showed first, 10 s or more after they were created.';
comment on column sync.builds_found.hour is 'Start of the hour.';
comment on table sync.compatibility is 'One row: how old a program may be that works on this database, so that versions can be upgraded and rolled back one process at a time.';
comment on column sync.compatibility.migrations_needed is 'A program that knows fewer migrations refuses to work here. A migration that older programs cannot work with raises it.';
comment on column sync.compatibility.single_row is 'Always true, so that the table has at most one row.';
comment on table sync.cycles is 'Each run of the reconciler: what it read, and what webhooks had not brought.';
comment on column sync.cycles.builds_healed is 'Builds whose webhooks were lost: wrong in the mirror.';
comment on column sync.cycles.builds_missing is 'Builds whose webhooks were lost: missing in the mirror.';
comment on column sync.cycles.finished_at is 'When it ended; null while it runs, or if its process was killed.';
comment on column sync.cycles.id is 'Order of starting.';
comment on column sync.cycles.jobs_healed is 'Jobs whose webhooks were lost: wrong in the mirror.';
comment on column sync.cycles.jobs_missing is 'Jobs whose webhooks were lost: missing in the mirror.';
comment on column sync.cycles.kind is 'hot: every interval, with a short overlap; warm: an overlap of hours; pipelines: the list of pipelines; audit: one window of history read again, from watermark_from to watermark_to.';
comment on column sync.cycles.watermark_from is 'Watermark that it started from; null for the first.';
comment on column sync.cycles.watermark_to is 'Watermark that it set; null if it failed.';
comment on table sync.deliveries is 'The inbox: each accepted webhook request, stored before it was acknowledged. The same delivery received twice is one row.';
comment on column sync.deliveries.attempts is 'How often the service tried to apply it.';
comment on column sync.deliveries.enqueued_at is 'When it was last enqueued. Null: not yet; the sweeper enqueues it.';
comment on column sync.deliveries.event is 'The event, such as build.finished. ping and unknown events are stored too.';
comment on column sync.deliveries.key is 'Fingerprint of the delivery, which identifies repeats: Buildkite gives deliveries no id.';
comment on column sync.deliveries.observed_at is 'The time at which the payload was true: that of the signature, or of receipt if there is none. Buildkite sometimes sends late, so it may be long after the event.';
comment on column sync.deliveries.payload is 'The body without secrets. Null after PAYLOAD_RETENTION_DAYS, once it is processed.';
comment on column sync.deliveries.request_id is 'Buildkite''s id of the request, if it sent one. For tracing.';
comment on column sync.deliveries.status is 'pending: not applied yet; applied: its objects are in the mirror; ignored: it contains nothing to mirror; failed: see error, it can be replayed.';
comment on column sync.deployment.addresses is 'Hashes of user, host, port, database, parameters and first webhook secret of every process that ran here. While Postgres is unavailable, a new process stores jobs under {bk@<hash>}.';
comment on column sync.deployment.id is 'Its keys in Redis begin with {bk:<id>}. Change it, and empty addresses, in a copy of the database before a second service runs on the copy.';
comment on column sync.deployment.single_row is 'Always true, so that the table has at most one row.';
comment on column sync.deployment.used_shared_queue is 'Whether a version before 0.2 ran on this database. If so, jobs under the prefix {bk} in Redis, which those versions share, are also processed.';
comment on table sync.drift is 'Differences found between mirror and API, by the audit or by the verify command. One row for each build or job that differed.';
comment on column sync.drift.buildkite is 'The values of Buildkite in these columns; long values are cut.';
comment on column sync.drift.healed_at is 'When the mirror was corrected, on the mirror''s clock; null: not yet.';
comment on column sync.drift.id is 'Order in which it was found.';
comment on column sync.drift.job_id is 'jobs.id of the job that differed; null if it was the build itself.';
comment on column sync.drift.mirror is 'The values of the mirror in these columns; long values are cut.';
comment on column sync.drift.pipeline_id is 'pipelines.id; null if it is not known.';
comment on table sync.findings is 'The results of the service''s last hourly check, one row for each check and subject.';
comment on column sync.findings.checked_at is 'When it was last checked, on the mirror''s clock.';
comment on column sync.findings.detail is 'What was found, in a sentence without secrets.';
comment on column sync.findings.name is 'Name of the check, such as webhook_disabled, as in buildkite-mirror check --json.';
comment on column sync.findings.remedy is 'What to do about it; null if there is nothing to do.';
comment on column sync.findings.result is 'ok, warning or failed.';
comment on column sync.findings.since is 'Since when the check has had this result.';
comment on column sync.findings.subject is 'What the result is about: the slug of an organization, the label of a token, or the store. Empty if there is only one.';
comment on table sync.job_reads is 'Builds that were listed without their jobs, until the API confirms the jobs too: open builds, and finished builds whose jobs are not read yet.';
comment on table sync.jobs_found is 'Command jobs by hour of start, and how many of them REST showed first; the source of analytics.webhook_loss. A rollup table.';
comment on column sync.jobs_found.hour is 'Start of the hour.';
comment on column sync.jobs_found.jobs_lost is 'Those that REST showed first, 10 s or more after they started.';
comment on column sync.leases.acquired_at is 'When the holder acquired it, on the database''s clock.';
comment on table sync.pauses is 'Work that a person paused for an organization until they resume it. No row: it runs.';
comment on column sync.pauses.organization_id is 'organizations.id.';
comment on column sync.pauses.paused_at is 'Since when, on the mirror''s clock.';
comment on column sync.pauses.task is 'What is paused: backfill.';
comment on column sync.pipeline_changes.started_at is 'When the update began, on Buildkite''s clock. An update that began within two minutes after the change is repeated, because lists may lag.';
comment on column sync.reference_item_syncs.name is 'The table of the schema buildkite that the list fills.';
comment on column sync.reference_item_syncs.read_at is 'When the list was last read, on Buildkite''s clock.';
comment on column sync.reference_item_syncs.subject_id is 'Buildkite''s id of the object that the list belongs to.';
comment on column sync.reference_syncs.error is 'Why it could not be read; null if it was read.';
comment on column sync.reference_syncs.name is 'Name of the list: its table.';
comment on column sync.reference_syncs.read_at is 'When it was last read completely.';
comment on column sync.reference_syncs.rows is 'Rows in the list.';
comment on column sync.reference_syncs.status is 'read, missing_scope (the token lacks the scope), refused (Buildkite refused it) or off.';
comment on table sync.rollups is 'When daily totals (days) and people (users) were last refreshed.';
comment on column sync.rollups.refreshed_at is 'When the last run began.';
comment on column sync.rollups.seen_to is 'For users: up to which changed_at people are included. For days: when the present run of sync.refresh_rollups() began; null if none runs.';
comment on column sync.rollups.took_ms is 'How long the last run took, in milliseconds. For days: the last day.';
comment on table sync.stale_days is 'Days whose rows in the rollup tables of analytics are stale. Triggers on builds and jobs add days, sync.refresh_rollups() rebuilds and deletes them.';
comment on column sync.unlisted_builds.last_read_at is 'When it was last read, on the mirror''s clock.';
comment on column sync.unlisted_builds.last_status is 'HTTP status of the last response: 404 means deleted, past retention, or invisible to the token.';
comment on column sync.unlisted_builds.next_read_at is 'Earliest time of the next read.';
comment on column sync.unlisted_builds.reads is 'How often it was read individually. The wait grows with it.';
comment on column sync.user_identities.id is 'Id of the user, if known.';
comment on column sync.user_identities.last_seen_at is 'When the person last created, wrote or unblocked something.';
comment on table sync.watermarks is 'How far the mirror is known to be complete. One row for each organization.';
comment on column sync.watermarks.backfill_from is 'created_at at which the backfill ends. Older builds are not read.';
comment on column sync.watermarks.backfill_to is 'created_at from which the backfill goes into the past. The cycles read newer builds.';
comment on column sync.watermarks.warm_watermark is 'Start of the last warm cycle, which reads the same with an overlap of hours.';
comment on column sync.watermarks.watermark is 'Everything created or finished before it, on Buildkite''s clock, is verified: back to backfill_to by the cycles, from there to backfill_from as far as the windows are done. A cycle moves it to its own start, after everything it read was committed.';
comment on table sync.windows is 'History in pieces: half-open ranges of created_at. Read by the backfill, newest first; later read again by the audit, which adds a window for every day that the cycles have covered since. The ranges with status done are covered.';
comment on column sync.windows.created_from is 'Lower bound (inclusive) of the created_at range.';
comment on column sync.windows.created_to is 'Upper bound (exclusive) of the created_at range.';
comment on column sync.windows.finished_at is 'When the read of the window was complete, on the mirror''s clock.';
comment on column sync.windows.id is 'Order of creation.';
comment on column sync.windows.started_at is 'When the read of the window began, on the mirror''s clock.';
comment on column sync.windows.status is 'pending, running or done. Done: every build of the range that REST lists is in the mirror.';
comment on column sync.windows.verified_at is 'Since when its builds are verified, on Buildkite''s clock: the start of the last complete read, by backfill or audit.';--> statement-breakpoint
do $$
begin
  if exists (select from pg_roles where rolname = 'buildkite_reader') then
    grant select on sync.definitions to buildkite_reader;
  end if;
end $$;
