import type pg from 'pg'
import { ConfigError } from '../../runtime/errors.ts'
import { OUR_SCHEMAS } from '../catalog.ts'
import { GROUP_ROLES } from './roles.ts'

/** A privilege that a user granted on one of our objects. */
interface Grant {
  readonly kind: 'table' | 'function'
  /** Quoted, with schema and a function's arguments. */
  readonly object: string
  readonly oid: number
  /** Quoted; null for the whole object. */
  readonly column: string | null
  /** Its number, which a rename does not change. */
  readonly attnum: number | null
  readonly privilege: string
  /** Quoted; `public` for everyone. */
  readonly role: string
  readonly grantable: boolean
}

/** Objects of users that Postgres silently drops together with ours. Objects that depend on a view stop the drop instead. */
export interface UserObjects {
  readonly grants: readonly Grant[]
  /** Publications, policies, triggers and rules. A rename of our object changes `name`, which is the readable form, but not `id`. */
  readonly others: readonly { readonly id: string; readonly name: string }[]
}

export async function readUserObjects(client: pg.Client): Promise<UserObjects> {
  const { rows: grants } = await client.query<Grant>(grantsQuery, [OUR_SCHEMAS])
  const { rows: others } = await client.query<UserObjects['others'][number]>(othersQuery, [OUR_SCHEMAS])
  return { grants, others }
}

/**
 * Restores grants that were lost because a migration dropped an object and created it again. It does not restore grants that a
 * migration revokes from an object that stays.
 * @throws ConfigError if another object of the user would be lost; the caller rolls back.
 */
export async function restoreUserObjects(client: pg.Client, before: UserObjects): Promise<void> {
  const after = await readUserObjects(client)
  const stay = new Set(after.grants.map(objectKey))
  const lost: string[] = []
  for (const grant of before.grants) {
    if (stay.has(objectKey(grant)) || (await isUnreplaced(client, grant))) continue
    if (await isThere(client, grant)) await client.query(grantStatement(grant))
    else if (!OUR_ROLES.has(grant.role)) lost.push(`the grant of ${described(grant)} to ${grant.role}`)
  }
  const others = new Set(after.others.flatMap(({ id, name }) => [id, name]))
  lost.push(...before.others.filter(({ id, name }) => !others.has(id) && !others.has(name)).map(({ name }) => name))
  if (lost.length === 0) return
  throw new ConfigError(
    `The new version would remove your own objects: ${lost.join('; ')}. Drop or revoke them, start again, and then create ` +
      'those that you still need. Nothing was changed.',
  )
}

/** Grants to these roles are ours, not a user's. */
const OUR_ROLES: ReadonlySet<string> = new Set(['public', ...GROUP_ROLES])

function objectKey({ object, column, privilege, role, grantable }: Grant): string {
  return [object, column, privilege, role, grantable].join('\n')
}

function described({ kind, object, column, privilege }: Grant): string {
  return `${privilege}${column === null ? '' : ` (${column})`} on ${kind} ${object}`
}

function grantStatement(grant: Grant): string {
  return `grant ${described(grant)} to ${grant.role}${grant.grantable ? ' with grant option' : ''}`
}

/** Whether the object of the grant, or its column, is the same as before, possibly renamed. Only a revoke removes its grants. */
async function isUnreplaced(client: pg.Client, { kind, oid, attnum }: Grant): Promise<boolean> {
  return exists(
    client,
    `select from ${kind === 'table' ? 'pg_class' : 'pg_proc'} where oid = $1::oid and ($2::int2 is null or exists (
       select from pg_attribute where attrelid = $1::oid and attnum = $2 and not attisdropped))`,
    [oid, attnum],
  )
}

/** Whether there is an object with the name in the grant, with its column. */
async function isThere(client: pg.Client, { kind, object, column }: Grant): Promise<boolean> {
  const lookup = kind === 'table' ? 'to_regclass($1)' : 'to_regprocedure($1)'
  return exists(
    client,
    `select from (select ${lookup}::oid as oid) as found where oid is not null and ($2::text is null or exists (
       select from pg_attribute where attrelid = found.oid and quote_ident(attname) = $2 and not attisdropped))`,
    [object, column],
  )
}

async function exists(client: pg.Client, query: string, values: unknown[]): Promise<boolean> {
  return (await client.query(query, values)).rowCount === 1
}

const grantsQuery = `
  with relations as (
    select c.oid, format('%I.%I', n.nspname, c.relname) as object, c.relowner, c.relacl
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm')
  ),
  acls as (
    select 'table' as kind, object, oid, null as column, null::int2 as attnum, relowner as owner, relacl as acl from relations
    union all
    select 'table', object, oid, quote_ident(attname), attnum, relowner, attacl
    from relations join pg_attribute on attrelid = oid and attnum > 0 and not attisdropped
    union all
    select 'function', format('%I.%I(%s)', n.nspname, proname, oidvectortypes(proargtypes)), p.oid, null, null, proowner, proacl
    from pg_proc p join pg_namespace n on n.oid = pronamespace where n.nspname = any($1)
  )
  select kind, object, oid, acls.column, attnum, one.privilege_type as privilege, one.is_grantable as grantable,
    case when one.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(one.grantee)) end as role
  from acls, aclexplode(acl) as one where one.grantee <> owner`

const othersQuery = `
  with relations as (
    select c.oid, format('%I.%I', n.nspname, c.relname) as object
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = any($1)
  )
  select concat(rel.tableoid, ' ', rel.oid) as id, format('%s in the publication %I', object, pubname) as name
  from pg_publication_rel as rel join pg_publication p on p.oid = prpubid join relations on relations.oid = prrelid
  union all
  select concat(policy.tableoid, ' ', policy.oid), format('the policy %I on %s', polname, object)
  from pg_policy as policy join relations on relations.oid = polrelid
  union all
  select concat(rule.tableoid, ' ', rule.oid), format('the rule %I on %s', rulename, object)
  from pg_rewrite as rule join relations on relations.oid = ev_class where rulename <> '_RETURN'
  union all
  select concat(tg.tableoid, ' ', tg.oid), format('the trigger %I on %s', tgname, object)
  from pg_trigger as tg join relations on relations.oid = tgrelid
  join pg_proc p on p.oid = tgfoid join pg_namespace n on n.oid = p.pronamespace
  where not tgisinternal and not n.nspname = any($1)
  order by name`
