/** Owns all objects of the mirror, in a database with group roles. Its members run `migrate`. */
export const OWNER = 'buildkite_owner'

/**
 * SQL by which a member of the owner acts as the owner, until the end of the transaction or the session, so that the owner owns what is
 * created. It does nothing in a database without group roles.
 */
export function actAsOwner(during: 'transaction' | 'session'): string {
  return `
    select set_config('role', rolname, ${during === 'transaction'}) from pg_roles
    where rolname = '${OWNER}' and pg_has_role(current_user, oid, 'usage') and coalesce(
      (select nspowner = pg_roles.oid from pg_namespace where nspname = 'sync'),
      has_database_privilege(oid, current_database(), 'create'))`
}
