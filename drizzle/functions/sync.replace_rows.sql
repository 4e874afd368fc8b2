-- Rows that are equal stay as they are: a change of one job rewrites its rows only, and the keys say what has to be merged again.
create or replace function sync.replace_rows(relation text, scope text, fresh text, key text, since timestamptz, until timestamptz default null,
  ids uuid[] default null, tries sync.command_try[] default null)
returns text[] language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  has_rows boolean;
  keys text[];
begin
  execute format('select exists (select from %s where %s)', relation, scope) into has_rows using since, until, ids;
  -- Without tries there are no fresh rows.
  if not has_rows and cardinality(tries) = 0 then
    return '{}';
  end if;
  execute case
    -- As the last case, planned in a fraction of the time: most days are rebuilt once, and many hours have no tries.
    when not has_rows then format('with changed as (insert into %s select * from %s returning %s as key)', relation, fresh, key)
    when cardinality(tries) = 0 then format('with changed as (delete from %s where %s returning %s as key)', relation, scope, key)
    else format(
      'with fresh as materialized (select one from %3$s as one), removed as (
        delete from %1$s as stored where (%2$s) and not exists (select from fresh where fresh.one = stored) returning %4$s as key
      ), added as (
        insert into %1$s select (fresh.one).* from fresh
        where not exists (select from %1$s as stored where (%2$s) and stored = fresh.one) returning %4$s as key
      ), changed as (select key from removed union all select key from added)',
      relation, scope, fresh, key)
  end || ' select array_agg(distinct key::text) from changed' into keys using since, until, ids, tries;
  return coalesce(keys, '{}');
end $$;

comment on function sync.replace_rows is 'Makes the rows of a table in scope equal to those that a function returns. Returns the distinct keys of the rows that changed. In scope and in the call of the function, $1 is since, $2 is until, $3 is ids and $4 is tries.';
