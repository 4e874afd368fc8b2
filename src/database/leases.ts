import { randomBytes } from 'node:crypto'
import { hostname } from 'node:os'
import { sql } from 'drizzle-orm'
import { StoreError } from '../runtime/errors.ts'
import { pause, SECOND } from '../runtime/time.ts'
import { asStoreError, type Db, type Transaction } from './connection.ts'
import { recordFailure } from './failures.ts'
import { leases } from './schema.ts'

/** Whether we held the lease to the end. If so, the result of the work; if not, another process holds it or took it over. */
export type Leased<T> = { held: true; value: T } | { held: false }

/** Work that only one process may do at a time. */
export interface Lease {
  /** The same database; writes through it commit only while we hold the lease. */
  readonly db: Db
  /** Aborts when the lease is lost, or with the signal passed to `withLease`. */
  readonly signal: AbortSignal
}

export interface LeaseOptions {
  readonly signal?: AbortSignal | undefined
  /** How long a lease is valid without renewal, in milliseconds; for tests. It is renewed three times within that period. */
  readonly validMs?: number
  readonly holder?: string
}

/** A holder that stops renewing, because it is frozen or disconnected, loses its lease after this time. */
const VALID = 30 * SECOND

/** Identifies this process in `sync.leases`. */
const thisProcess = `${hostname()} ${process.pid} ${randomBytes(3).toString('hex')}`

/**
 * Runs `work` if no other process holds the lease `name`. Returns `{ held: false }` at once otherwise, or when the lease was lost
 * meanwhile. The lease is a row with an expiry on the database's clock and a fencing number that grows with each holder. A process
 * that wakes up after losing it fails at its next commit. No connection or transaction stays open while the work calls Buildkite.
 * @throws whatever `work` throws, or a StoreError when the database is unavailable or the lease could not be renewed in time.
 */
export async function withLease<T>(
  db: Db,
  name: string,
  work: (lease: Lease) => Promise<T>,
  options: LeaseOptions = {},
): Promise<Leased<T>> {
  const validMs = options.validMs ?? VALID
  const holder = options.holder ?? thisProcess
  const fence = await acquire(db, name, holder, validMs)
  if (fence === undefined) return { held: false }
  const lost = new AbortController()
  const done = new AbortController()
  const renewing = keepRenewed(db, { name, fence, validMs }, done.signal, lost)
  const signal = options.signal ? AbortSignal.any([options.signal, lost.signal]) : lost.signal
  try {
    return { held: true, value: await work({ db: db.guardedBy((tx) => check(tx, { name, fence })), signal }) }
  } catch (error) {
    const reason = lost.signal.aborted ? lost.signal.reason : asStoreError(error, `work under the lease "${name}"`)
    if (reason instanceof LeaseLost) return { held: false }
    throw lost.signal.aborted ? reason : error
  } finally {
    done.abort()
    await renewing
    // If this fails, the lease expires.
    await release(db, { name, fence }).catch(() => {})
  }
}

/** Thrown by a transaction whose lease another process has taken over. */
class LeaseLost extends StoreError {
  override name = 'LeaseLost'

  constructor(name: string) {
    super('transient', `Another process has taken over the lease on "${name}".`, { code: 'lease_lost' })
  }
}

interface Held {
  readonly name: string
  readonly fence: number
}

/** Our number, or undefined when another process holds the lease. */
async function acquire(db: Db, name: string, holder: string, validMs: number): Promise<number | undefined> {
  // Read first: a holder that is committing has locked the row, and we should not wait for it.
  const { rows } = await db.execute<{ holder: string; valid: boolean }>(
    sql`select holder, expires_at > clock_timestamp() as valid from ${leases} where name = ${name}`,
  )
  if (rows[0]?.valid) return undefined
  const taken = await db.transaction(async (tx) => {
    await tx.execute(sql`
      insert into ${leases} (name, holder, fence, acquired_at, expires_at)
      values (${name}, '', 0, clock_timestamp(), 'epoch') on conflict (name) do nothing`)
    // Waits for the end of transactions that have checked the lease; a renewal does not.
    await tx.execute(sql`select from ${leases} where name = ${name} for update`)
    return tx.execute<{ fence: string }>(sql`
      update ${leases} set holder = ${holder}, fence = fence + 1, acquired_at = clock_timestamp(),
        expires_at = clock_timestamp() + ${validMs} * interval '1 ms'
      where name = ${name} and expires_at <= clock_timestamp() returning fence`)
  })
  const fence = taken.rows[0]?.fence
  if (fence === undefined) return undefined
  const before = rows[0]?.holder
  if (before) {
    const message = `It stopped renewing its lease on "${name}" (frozen, disconnected or killed), and this process took it over.`
    await recordFailure(
      db,
      { kind: 'replica', organizationId: null, subject: before },
      new StoreError('transient', message, { code: 'lease_expired' }),
      new Date(),
    )
  }
  return Number(fence)
}

/** Renews the lease until `done`. Aborts `lost` when another process holds it, or when it expired because renewing failed. */
async function keepRenewed(
  db: Db,
  { name, fence, validMs }: Held & { validMs: number },
  done: AbortSignal,
  lost: AbortController,
): Promise<void> {
  let renewedAt = performance.now()
  while (!done.aborted) {
    await pause(validMs / 3, done)
    if (done.aborted) return
    const began = performance.now()
    const renewed = await db
      .execute(sql`
        update ${leases} set expires_at = clock_timestamp() + ${validMs} * interval '1 ms'
        where name = ${name} and fence = ${fence}`)
      .then(
        ({ rowCount }) => rowCount === 1,
        () => undefined,
      )
    if (renewed) {
      renewedAt = began
    } else if (renewed === false) {
      lost.abort(new LeaseLost(name))
      return
    } else if (performance.now() - renewedAt > validMs) {
      const message = `The lease on "${name}" could not be renewed for ${validMs / SECOND} s: Postgres is unavailable or too slow.`
      lost.abort(new StoreError('transient', message, { code: 'lease_expired' }))
      return
    }
  }
}

/**
 * An empty holder means that the lease was released, so the next holder does not report a takeover. It expires at the epoch: the
 * column rounds to milliseconds, so the current time could be up to half a millisecond in the future.
 */
async function release(db: Db, { name, fence }: Held): Promise<void> {
  await db.execute(sql`
    update ${leases} set holder = '', expires_at = 'epoch' where name = ${name} and fence = ${fence}`)
}

/** Locks the row until the transaction ends: no process can take over the lease between this check and the commit, but it can be renewed. */
async function check(tx: Transaction, { name, fence }: Held): Promise<void> {
  const { rows } = await tx.execute(
    sql`select 1 from ${leases} where name = ${name} and fence = ${fence} for key share`,
  )
  if (rows.length === 0) throw new LeaseLost(name)
}
