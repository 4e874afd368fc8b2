import { randomBytes } from 'node:crypto'
import pg from 'pg'
import { postgresOptions } from '../../runtime/store-url.ts'
import { transferOwnership } from '../migrations/ownership.ts'
import { type Address, DATABASE, USER } from './cluster.ts'

/** What the superuser that initdb created is called afterwards. It has no password, so nobody can connect as it. */
const SUPERUSER = 'buildkite_superuser'
/** Postgres renames no user that is connected, so this one does it. */
const HELPER = 'buildkite_helper'

/**
 * Makes the user of `postgres.url` an ordinary one that owns the database, which it creates if it is missing. In a new cluster, and in one
 * of an earlier version, it is the superuser that initdb created. One transaction: a kill leaves the old state or the new one.
 * Returns whether `client`, which connected as this user, is now connected as the superuser and must connect again.
 */
export async function demoteUser(client: pg.Client, address: Address): Promise<boolean> {
  const { rows } = await client.query<{ name: string; is_super: boolean }>(
    'select rolname as name, rolsuper as is_super from pg_roles where rolname = current_user',
  )
  if (!rows[0]?.is_super) return false
  // Another service did all this while this one waited for the lock.
  if (rows[0].name === SUPERUSER) return true
  const { rowCount } = await client.query('select from pg_database where datname = $1', [DATABASE])
  if (!rowCount) await client.query(`create database ${DATABASE}`)
  const password = randomBytes(24).toString('hex')
  // If this process is killed before it drops the helper, nobody can use it: the password is nowhere, and expires.
  await client.query(`
    drop role if exists ${HELPER};
    create role ${HELPER} superuser login password '${password}'`)
  await client.query(`alter role ${HELPER} valid until '${new Date(Date.now() + 60_000).toISOString()}'`)
  await exchangeRoles(address, password)
  await client.query(`drop role ${HELPER}`)
  return true
}

async function exchangeRoles(address: Address, helperPassword: string): Promise<void> {
  const url = new URL(address.url(DATABASE))
  url.username = HELPER
  url.password = helperPassword
  const helper = new pg.Client({ ...postgresOptions(url.href), connectionTimeoutMillis: 5_000 })
  try {
    await helper.connect()
    await helper.query(`
      begin;
      alter role ${USER} rename to ${SUPERUSER};
      alter role ${SUPERUSER} password null;
      create role ${USER} login createrole password '${address.password}';
      alter database ${DATABASE} owner to ${USER}`)
    await helper.query(passOnRoles)
    await transferOwnership(helper, USER)
    await helper.query('commit')
  } finally {
    await helper.end()
  }
}

/** The user may still grant the roles that it created when it was the superuser. */
const passOnRoles = `
  do $$ declare role text; begin
    for role in select rolname from pg_roles where not rolsuper and rolname <> '${USER}' and rolname !~ '^pg_' loop
      execute format('grant %I to ${USER} with admin option', role);
    end loop;
  end $$`
