import type { MigrationMeta } from 'drizzle-orm/migrator'
import type pg from 'pg'
import { type Applied, REPLACED } from './replaced-migrations.ts'

// The record of applied migrations, in the table that drizzle-kit uses, so that its tools also work on the database.

export const readJournal = 'select hash, created_at::float8 from drizzle.__drizzle_migrations'

export async function createJournal(client: pg.Client): Promise<void> {
  // Checked first: "create … if not exists" needs the create privilege even if the object exists.
  if (await hasTable(client, 'drizzle.__drizzle_migrations')) return
  await client.query(`
    create schema if not exists drizzle;
    create table drizzle.__drizzle_migrations (id serial primary key, hash text not null, created_at bigint);
    comment on schema drizzle is 'Which migrations of buildkite-mirror were applied. Nothing for analysts here.'`)
}

/** The applied migrations; none in a database that was never migrated. */
export async function appliedMigrations(client: pg.Client): Promise<Applied[]> {
  if (!(await hasTable(client, 'drizzle.__drizzle_migrations'))) return []
  return (await client.query<Applied>(readJournal)).rows
}

export async function recordMigration(client: pg.Client, migration: MigrationMeta): Promise<void> {
  await client.query('insert into drizzle.__drizzle_migrations (hash, created_at) values ($1, $2)', [
    migration.hash,
    migration.folderMillis,
  ])
}

/** How many of this code's migrations a program must know to work on the database; `undefined` if the database does not say. */
export async function migrationsNeeded(client: pg.Client): Promise<number | undefined> {
  if (!(await hasTable(client, 'sync.compatibility'))) return undefined
  const { rows } = await client.query<{ needed: number }>(
    'select migrations_needed as needed from sync.compatibility where single_row',
  )
  return rows[0] && rows[0].needed - REPLACED
}

export async function hasTable(client: pg.Client, name: string): Promise<boolean> {
  const { rows } = await client.query<{ there: boolean }>('select to_regclass($1) is not null as there', [name])
  return rows[0]?.there === true
}
