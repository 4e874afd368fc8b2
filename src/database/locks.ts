import { sql } from 'drizzle-orm'
import type { Db, Transaction } from './connection.ts'

/** What became of a try for a lock: held, and what the work returned; or somebody else has it. */
export type Locked<T> = { held: true; value: T } | { held: false }

/**
 * Runs `work` if nobody else, in any process, holds the lock `name`; returns `{ held: false }` at once otherwise.
 *
 * The lock belongs to a transaction kept open for as long as the work takes: it is safe behind PgBouncer and is freed
 * with the connection, however the process ends. What `work` writes through `tx` commits only if the lock was held to
 * the end, so that is where a watermark moves. What it writes through `db` commits as it goes; it takes a second
 * connection of the pool. Write through `tx` late: a transaction that has written holds back vacuum.
 * @throws whatever `work` throws (`tx` is then rolled back), or the driver's error when the connection is lost.
 */
export async function withLock<T>(db: Db, name: string, work: (tx: Transaction) => Promise<T>): Promise<Locked<T>> {
  return db.transaction(async (tx) => {
    const { rows } = await tx.execute<{ held: boolean }>(
      sql`select pg_try_advisory_xact_lock(hashtextextended(${`buildkite-mirror ${name}`}, 0)) as held`,
    )
    if (!rows[0]?.held) return { held: false }
    // The work may call Buildkite for minutes while this transaction sits idle. Asking pg_settings first, because
    // transaction_timeout exists only from Postgres 17 on. And last, because it has no parameters: Postgres keeps the portal of a
    // statement with parameters, and with it a snapshot that would hold back vacuum, until the next statement comes.
    await tx.execute(sql`
      select set_config(name, '0', true) from pg_settings
      where name in ('idle_in_transaction_session_timeout', 'statement_timeout', 'transaction_timeout')`)
    return { held: true, value: await work(tx) }
  })
}
