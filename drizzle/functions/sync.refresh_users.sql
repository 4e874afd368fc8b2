create or replace function sync.refresh_users() returns integer language plpgsql
set search_path = pg_catalog, pg_temp as $$
declare
  began constant timestamptz := clock_timestamp();
  since timestamptz;
  people integer;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror users', 0)) then
    return 0;
  end if;
  -- Both times are by the clock of Postgres. Ten minutes back, for transactions that were open then. Reading a person twice changes nothing.
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
  -- Grouped as in the index: an upsert may not change the same row twice.
  group by id, md5(coalesce(email, '')), md5(coalesce(username, ''))
  on conflict ((coalesce(id::text, '')), md5(coalesce(email, '')), md5(coalesce(username, ''))) do update
    set name = case when excluded.last_seen_at >= known.last_seen_at or known.name is null then coalesce(excluded.name, known.name) else known.name end, last_seen_at = greatest(excluded.last_seen_at, known.last_seen_at);

  -- One person: the same id, otherwise an e-mail address that belongs to an id, otherwise the address, otherwise the user name.
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
end $$;

comment on function sync.refresh_users is 'Adds the people that new builds, jobs, pipelines and members name, and rebuilds buildkite.users. Returns how many rows changed.';
