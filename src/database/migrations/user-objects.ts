import type pg from 'pg'
import { ConfigError } from '../../runtime/errors.ts'
import { OUR_SCHEMAS } from '../catalog.ts'

/** A privilege that a user granted on one of our objects. */
interface Grant {
  readonly kind: 'table' | 'function'
  /** Quoted, with schema and a function's arguments. */
  readonly object: string
  readonly oid: number
  /** Quoted; null for the whole object. */
  readonly column: string | null
  readonly privilege: string
  /** Quoted; `public` for everyone. */
  readonly role: string
  readonly grantable: boolean
}

/** Objects of users that Postgres silently drops together with ours. Objects that depend on a view stop the drop instead. */
export interface UserObjects {
  readonly grants: readonly Grant[]
  /** Publications, policies, triggers and rules, in readable form. */
  readonly others: readonly string[]
}

export async function readUserObjects(client: pg.Client): Promise<UserObjects> {
  const { rows: grants } = await client.query<Grant>(grantsQuery, [OUR_SCHEMAS])
  const { rows: others } = await client.query<{ name: string }>(othersQuery, [OUR_SCHEMAS])
  return { grants, others: others.map(({ name }) => name) }
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
    if (stay.has(objectKey(grant))) continue
    const oid = await oidOf(client, grant)
    if (oid === grant.oid) continue
    if (oid !== undefined) await client.query(grantStatement(grant))
    else if (!OUR_ROLES.has(grant.role)) lost.push(`the grant of ${described(grant)} to ${grant.role}`)
  }
  const others = new Set(after.others)
  lost.push(...before.others.filter((name) => !others.has(name)))
  if (lost.length === 0) return
  throw new ConfigError(
    `The new version would remove your own objects: ${lost.join('; ')}. Drop or revoke them, start again, and then create ` +
      'those that you still need. Nothing was changed.',
  )
}

/** Grants to these roles are ours, not a user's. */
const OUR_ROLES: ReadonlySet<string> = new Set(['public', 'buildkite_reader'])

function objectKey({ object, column, privilege, role, grantable }: Grant): string {
  return [object, column, privilege, role, grantable].join('\n')
}

function described({ kind, object, column, privilege }: Grant): string {
  return `${privilege}${column === null ? '' : ` (${column})`} on ${kind} ${object}`
}

function grantStatement(grant: Grant): string {
  return `grant ${described(grant)} to ${grant.role}${grant.grantable ? ' with grant option' : ''}`
}

/** The oid of the object; undefined if it, or the column of the grant, no longer exists. */
async function oidOf(client: pg.Client, { kind, object, column }: Grant): Promise<number | undefined> {
  const lookup = kind === 'table' ? 'to_regclass($1)' : 'to_regprocedure($1)'
  const { rows } = await client.query<{ oid: number | null }>(
    `select found.oid from (select ${lookup}::oid as oid) as found
     where $2::text is null or exists (
       select from pg_attribute where attrelid = found.oid and quote_ident(attname) = $2 and not attisdropped)`,
    [object, column],
  )
  return rows[0]?.oid ?? undefined
}

const grantsQuery = `
  with relations as (
    select c.oid, format('%I.%I', n.nspname, c.relname) as object, c.relowner, c.relacl
    from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = any($1) and c.relkind in ('r', 'p', 'v', 'm')
  ),
  acls as (
    select 'table' as kind, object, oid, null as column, relowner as owner, relacl as acl from relations
    union all
    select 'table', object, oid, quote_ident(attname), relowner, attacl
    from relations join pg_attribute on attrelid = oid and attnum > 0 and not attisdropped
    union all
    select 'function', format('%I.%I(%s)', n.nspname, proname, oidvectortypes(proargtypes)), p.oid, null, proowner, proacl
    from pg_proc p join pg_namespace n on n.oid = pronamespace where n.nspname = any($1)
  )
  select kind, object, oid, acls.column, one.privilege_type as privilege, one.is_grantable as grantable,
    case when one.grantee = 0 then 'public' else quote_ident(pg_get_userbyid(one.grantee)) end as role
  from acls, aclexplode(acl) as one where one.grantee <> owner`

const othersQuery = `
  with relations as (
    select c.oid, format('%I.%I', n.nspname, c.relname) as object
    from pg_class c join pg_namespace n on n.oid = c.relnamespace where n.nspname = any($1)
  )
  select format('%s in the publication %I', object, pubname) as name
  from pg_publication_rel join pg_publication p on p.oid = prpubid join relations on relations.oid = prrelid
  union all
  select format('the policy %I on %s', polname, object) from pg_policy join relations on relations.oid = polrelid
  union all
  select format('the rule %I on %s', rulename, object)
  from pg_rewrite join relations on relations.oid = ev_class where rulename <> '_RETURN'
  union all
  select format('the trigger %I on %s', tgname, object)
  from pg_trigger join relations on relations.oid = tgrelid
  join pg_proc p on p.oid = tgfoid join pg_namespace n on n.oid = p.pronamespace
  where not tgisinternal and not n.nspname = any($1)
  order by 1`
