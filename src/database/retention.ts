import { sql } from 'drizzle-orm'
import { DAY } from '../runtime/time.ts'
import { asStoreError, type Db } from './connection.ts'
import { forgetAbandoned } from './failures.ts'

/** How long rows of tables that only grow are kept. docs/operations/data-retention.md lists the rule of every table of `sync`. */
const rules = [
  { table: 'sync.cycles', column: 'started_at', days: 30 },
  // A build's lists are read within 7 days of its end (YOUNG in src/reconcile/reference-data/build-resources.ts), the others at least daily.
  { table: 'sync.reference_item_syncs', column: 'read_at', days: 30 },
  { table: 'sync.drift', column: 'healed_at', days: 365 },
  // One for each token and user. Budgets count minutes; a row that is needed again is created.
  { table: 'sync.budgets', column: 'updated_at', days: 7 },
  { table: 'sync.sessions', column: 'ends_at', days: 1 },
  { table: 'sync.audit_log', column: 'at', days: 365 },
] as const

/** How many rows one statement deletes. */
const STEP = 2_000
/** Maximum number of statements for a table in one run: the first run after an upgrade may find millions of rows. */
const STEPS = 50

/** Deletes old rows of the log tables, and abandoned failures, in steps. @throws StoreError */
export async function deleteOldRows(db: Db, now: Date, signal?: AbortSignal): Promise<void> {
  try {
    for (const { table, column, days } of rules) {
      const before = new Date(now.getTime() - days * DAY)
      const old = sql`${sql.identifier(column)} < ${before}`
      for (let step = 0; step < STEPS && !signal?.aborted; step++) {
        if ((await deleteStep(db, table, old)) < STEP) break
      }
    }
    await forgetAbandoned(db, now)
  } catch (error) {
    throw asStoreError(error, 'delete old rows')
  }
}

/** Skips rows that others have locked; the next run deletes them. */
async function deleteStep(db: Db, table: string, old: ReturnType<typeof sql>): Promise<number> {
  const name = sql.raw(table)
  const { rowCount } = await db.execute(sql`
    delete from ${name} where ctid = any (array(select ctid from ${name} where ${old} limit ${STEP} for update skip locked))`)
  return rowCount ?? 0
}
