import pg from 'pg'
import postgres from 'postgres'
import { type Database, openDatabase } from '../../src/database/connection.ts'

/** Queries of the service that are under way, and waits for a connection. */
let underWay = 0
count(pg.Client.prototype, 'query')
count(pg.Pool.prototype, 'connect')

/** Counts the calls of a method that are not answered yet, whether the answer is a promise or a callback. */
function count(prototype: object, method: string): void {
  const original = Reflect.get(prototype, method) as (...given: unknown[]) => unknown
  const counted = function (this: unknown, ...given: unknown[]) {
    underWay += 1
    const end = () => {
      underWay -= 1
    }
    const callback = given.at(-1)
    if (typeof callback === 'function') {
      const answer = (...results: unknown[]) => {
        end()
        callback(...results)
      }
      return original.apply(this, [...given.slice(0, -1), answer])
    }
    const answered = original.apply(this, given)
    if (answered instanceof Promise) answered.then(end, end)
    else end()
    return answered
  }
  Reflect.set(prototype, method, counted)
}

/** Resolves when the service waits for nothing of its database: then it waits for Buildkite, or has nothing to do. */
export async function databaseIsQuiet(): Promise<void> {
  for (let quiet = 0; quiet < 3; ) {
    await new Promise((resolve) => setImmediate(resolve))
    quiet = underWay === 0 ? quiet + 1 : 0
  }
}

/** The database of one worker: emptied between histories, because creating a new one takes longer than many histories. */
export interface Home {
  readonly database: Database
  readonly sql: postgres.Sql
  /** Deletes all rows, and undoes what a planted defect has changed. */
  empty(): Promise<void>
  /** Remembers every row, as a backup does. */
  backUp(): Promise<Backup>
  /** A checksum of each table that a task may write. */
  checksums(): Promise<ReadonlyMap<string, string>>
  /** Puts the rows of a backup in the place of those that are there. */
  restore(backup: Backup): Promise<void>
  close(): Promise<void>
}

/** The rows of each table, as JSON. */
export type Backup = ReadonlyMap<string, string>

/** What a migration writes once. */
const permanent = ['sync.compatibility', 'sync.deployment']

/** @param url a migrated database that nobody else uses. */
export async function openHome(url: string): Promise<Home> {
  const sql = postgres(url, { max: 3, onnotice: () => {} })
  const database = openDatabase(url, { name: 'soundness test' })
  // Nothing here has to survive a crash.
  await sql.unsafe(`alter database ${new URL(url).pathname.slice(1)} set synchronous_commit = off`)
  const tables = await sql<{ name: string }[]>`
    select format('%I.%I', table_schema, table_name) as name from information_schema.tables
    where table_schema in ('buildkite', 'sync') and table_type = 'BASE TABLE'`
  const names = tables.map(({ name }) => name).filter((name) => !permanent.includes(name))
  const [view] = await sql<{ definition: string }[]>`
    select pg_get_viewdef('analytics.data_coverage'::regclass) as definition`

  /** Where queries leave the order open, rows come in that of the table: it must not depend on the histories before. */
  const truncate = (tx: postgres.Sql | postgres.TransactionSql, identity: 'restart' | 'continue') =>
    tx.unsafe(`truncate ${names.join(', ')} ${identity} identity cascade`)

  return {
    database,
    sql,
    async empty() {
      await sql.unsafe(`create or replace view analytics.data_coverage as ${view?.definition}`)
      await sql.unsafe('drop schema if exists defect cascade')
      await truncate(sql, 'restart')
    },
    async backUp() {
      return sql.begin('isolation level repeatable read', async (tx) => {
        const rows = new Map<string, string>()
        for (const name of names) {
          const [row] = await tx.unsafe<{ rows: string | null }[]>(`select json_agg(t)::text as rows from ${name} as t`)
          if (row?.rows) rows.set(name, row.rows)
        }
        return rows
      })
    },
    async checksums() {
      // Leases and budgets are nobody's work.
      const written = names.filter((name) => !['sync.leases', 'sync.budgets'].includes(name))
      const sums = written.map(
        (name) =>
          `select '${name}' as name, md5(coalesce(string_agg(t::text, ' ' order by t::text), '')) as sum from ${name} as t`,
      )
      const rows = await sql.unsafe<{ name: string; sum: string }[]>(sums.join(' union all '))
      return new Map(rows.map(({ name, sum }) => [name, sum]))
    },
    async restore(backup) {
      await sql.begin(async (tx) => {
        await truncate(tx, 'continue')
        // Without triggers: what follows from the rows is put back with them.
        await tx`set local session_replication_role = replica`
        for (const [name, rows] of backup) {
          await tx.unsafe(`insert into ${name} select * from json_populate_recordset(null::${name}, $1::text::json)`, [
            rows,
          ])
        }
      })
    },
    async close() {
      await database.close()
      await sql.end({ timeout: 1 })
    },
  }
}
