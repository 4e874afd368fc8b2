import pg from 'pg'
import { OWNER } from '../../runtime/database-owner.ts'
import { ConfigError } from '../../runtime/errors.ts'
import { OUR_SCHEMAS } from '../catalog.ts'
import { hasTable } from './journal.ts'
import { transferOwnership } from './ownership.ts'

/**
 * The group roles. None of them can log in: operators create users as their members. Each file in drizzle/grants/ has the grants of the
 * role that it is named after.
 */
export const GROUP_ROLES = [OWNER, 'buildkite_web', 'buildkite_worker', 'buildkite_reconciler', 'buildkite_reader']

/** All schemas of the mirror: also the record of migrations, and the queue. */
const SCHEMAS = [...OUR_SCHEMAS, 'drizzle', 'bullmq']

/**
 * Creates the missing group roles in the open transaction of `client`, and makes buildkite_owner the owner of the mirror. Safe to repeat.
 * @throws ConfigError if the user may not do that.
 */
export async function createRoles(client: pg.Client): Promise<void> {
  try {
    for (const role of GROUP_ROLES) await client.query(createRole(role))
    await client.query(joinOwner)
    await client.query(databaseGrants)
    await transferOwnership(client, OWNER, SCHEMAS)
    // So that migrate applies them again.
    if (await hasTable(client, 'sync.definitions'))
      await client.query(`delete from sync.definitions where name like 'grants/%'`)
  } catch (error) {
    if (!(error instanceof pg.DatabaseError) || error.code !== '42501') throw error
    throw new ConfigError(
      `The database user may not set up the roles (${error.message}). Run buildkite-mirror migrate --roles as a superuser, or as the ` +
        'owner of the database with the attribute CREATEROLE. Or create the roles yourself: see docs/operations/database-roles.md.',
      { cause: error },
    )
  }
}

/** Another database of the same server may be set up at the same moment. */
const createRole = (role: string) => `
  do $$ begin
    if not exists (select from pg_roles where rolname = '${role}') then
      create role ${role} nologin;
    end if;
  exception when duplicate_object or unique_violation then null;
  end $$`

/** A user that is not a superuser must be a member to hand its objects over. */
const joinOwner = `
  do $$ begin
    if not pg_has_role(current_user, '${OWNER}', 'usage') then
      execute format('grant ${OWNER} to %I', current_user);
    end if;
  end $$`

/** Only what is missing, so that a member of the owner may repeat it without owning the database. */
const databaseGrants = `
  do $$ declare role text; begin
    foreach role in array '{${GROUP_ROLES.join()}}'::text[] loop
      if not has_database_privilege(role, current_database(), 'connect') then
        execute format('grant connect on database %I to %I', current_database(), role);
      end if;
    end loop;
    if not has_database_privilege('${OWNER}', current_database(), 'create') then
      execute format('grant create on database %I to ${OWNER}', current_database());
    end if;
  end $$`
