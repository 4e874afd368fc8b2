import type pg from 'pg'

/**
 * Makes `role` the owner of what the current user, or the owner of our schemas, owns in these schemas: by default in all but those of
 * Postgres. Grants stay. Objects of extensions and of other users keep their owners.
 */
export async function transferOwnership(client: pg.Client, role: string, schemas?: readonly string[]): Promise<void> {
  const { rows } = await client.query<{ statement: string }>(statementsQuery, [role, schemas ?? null])
  for (const { statement } of rows) await client.query(statement)
}

const statementsQuery = `
  with spaces as (
    select oid from pg_namespace
    where case when $2::text[] is null then nspname !~ '^pg_' and nspname <> 'information_schema' else nspname = any ($2) end
  ),
  objects as (
    select oid, nspowner as owner, format('schema %I', nspname) as object, oid as space, 1 as place from pg_namespace
    union all
    select oid, relowner, format('table %s', oid::regclass), relnamespace, 2 from pg_class
    where relkind in ('r', 'p', 'v', 'm', 'f') or relkind = 'S' and not exists (
      select from pg_depend where classid = 'pg_class'::regclass and objid = pg_class.oid and deptype in ('a', 'i'))
    union all
    select oid, proowner, format('routine %s', oid::regprocedure), pronamespace, 2 from pg_proc
    union all
    select oid, typowner, format('type %s', oid::regtype), typnamespace, 2 from pg_type
    where typtype in ('d', 'e', 'r') or exists (select from pg_class where oid = typrelid and relkind = 'c')
  )
  select format('alter %s owner to %I', object, $1::text) as statement from objects
  where space in (select oid from spaces)
    and owner in (
      select oid from pg_roles where rolname = current_user and rolname <> $1
      union select nspowner from pg_namespace where nspname in ('sync', 'bullmq') and nspowner::regrole::text <> $1)
    and not exists (select from pg_depend where objid = objects.oid and deptype = 'e')
  order by place, object`
