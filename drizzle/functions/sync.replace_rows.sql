-- Rows that are equal stay as they are: a change of one job rewrites its rows only, and the keys say what has to be merged again.
create or replace function sync.replace_rows(relation text, scope text, fresh text, key text, since timestamptz, until timestamptz default null,
  ids uuid[] default null, tries sync.command_try[] default null)
returns text[] language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  keys text[];
begin
  -- Most hours of a quiet day have no tries, and then no rows. Postgres plans this in a fraction of the time.
  if cardinality(tries) = 0 then
    execute format('with removed as (delete from %1$s where %2$s returning %3$s as key) select array_agg(distinct key::text) from removed',
      relation, scope, key) into keys using since, until, ids;
    return coalesce(keys, '{}');
  end if;
  execute format(
    'with fresh as materialized (select one from %3$s as one), removed as (
      delete from %1$s as stored where (%2$s) and not exists (select from fresh where fresh.one = stored) returning %4$s as key
    ), added as (
      insert into %1$s select (fresh.one).* from fresh
      where not exists (select from %1$s as stored where (%2$s) and stored = fresh.one) returning %4$s as key
    )
    select array_agg(distinct key::text) from (select key from removed union all select key from added) as changed',
    relation, scope, fresh, key) into keys using since, until, ids, tries;
  return coalesce(keys, '{}');
end $$;

comment on function sync.replace_rows is 'Makes the rows of a table in scope equal to those that a function returns. Returns the distinct keys of the rows that changed. In scope and in the call of the function, $1 is since, $2 is until, $3 is ids and $4 is tries.';
