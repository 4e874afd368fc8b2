import { and, eq, gte, lt, type SQLWrapper, sql } from 'drizzle-orm'
import { asStoreError, type Db, isTooMuch } from '../../database/connection.ts'
import { deliveries } from '../../database/schema.ts'
import { type Clock, MINUTE, SECOND } from '../../runtime/time.ts'

/** The length of a part of the day. */
const PART = 15 * MINUTE
const PARTS = 96
/** How old the newest parts may be. */
const FRESH = 20 * SECOND
/** How long one call reads. A large inbox needs several calls after a start. */
const READS_FOR = SECOND / 2
/** How many parts one query reads at first; fewer if that takes too long. */
const AT_ONCE = 16

/** The webhooks of a quarter of an hour. Figures are null until they are read. */
export interface DayPart {
  /** When it begins. */
  readonly from: Date
  /** Webhooks received. */
  readonly received: number | null
  /** Seconds from receipt to being applied, of those that were applied at the first try; null also if there was none. */
  readonly delay_median: number | null
  readonly delay_p95: number | null
  /** Webhooks that waited to be applied at the end of the part; in the current part, now. */
  readonly waiting: number | null
}

/** What was read of one part. */
interface Read {
  readonly at: number
  readonly received: number
  readonly median: number | null
  readonly p95: number | null
  /** How many webhooks of this part were settled, by the part in which that happened. */
  readonly settled: ReadonlyMap<number, number>
  readonly pending: number
}

/**
 * The webhooks of the last 24 hours, from the inbox. A part is read once, and again only while its webhooks still wait, so that a large
 * inbox is not counted with every view.
 */
export class WebhookDay {
  readonly #db: Db
  readonly #clock: Clock
  readonly #reads = new Map<number, Read>()
  #atOnce = AT_ONCE

  constructor(db: Db, clock: Clock) {
    this.#db = db
    this.#clock = clock
  }

  /** The parts, oldest first. Reads for half a second at most, the newest first. @throws the driver's error. */
  async latest(): Promise<readonly DayPart[]> {
    const started = this.#clock()
    const last = Math.floor(started / PART)
    const wanted = Array.from({ length: PARTS }, (_, back) => last - back)
    for (const part of this.#reads.keys()) if (part <= last - PARTS) this.#reads.delete(part)
    const unread = wanted.filter((part) => !this.#isFinal(part, started))
    while (unread.length > 0 && this.#clock() - started < READS_FOR) {
      const gap = unread.findIndex((part, index) => index > 0 && part !== (unread[index - 1] ?? 0) - 1)
      await this.#read(unread.splice(0, Math.min(this.#atOnce, gap < 0 ? unread.length : gap)))
    }
    return wanted.reverse().map((part) => this.#figures(part))
  }

  /** Reads these parts, which follow one another, newest first. */
  async #read(parts: readonly number[]): Promise<void> {
    const [newest = 0] = parts
    try {
      for (const [part, read] of await readParts(this.#db, parts.at(-1) ?? newest, newest, this.#clock())) {
        this.#reads.set(part, read)
      }
    } catch (error) {
      const isTooSlow = isTooMuch(asStoreError(error, 'read the webhooks of the day'))
      if (!isTooSlow || this.#atOnce === 1) throw error
      this.#atOnce /= 2
    }
  }

  /** Whether a part needs no reading now. */
  #isFinal(part: number, now: number): boolean {
    const known = this.#reads.get(part)
    if (!known) return false
    const wasOver = known.at >= (part + 1) * PART + MINUTE
    return (wasOver && known.pending === 0) || now - known.at < FRESH
  }

  #figures(part: number): DayPart {
    const known = this.#reads.get(part)
    const from = new Date(part * PART)
    if (!known) return { from, received: null, delay_median: null, delay_p95: null, waiting: null }
    const { received, median, p95 } = known
    return { from, received, delay_median: median, delay_p95: p95, waiting: this.#waitingAfter(part) }
  }

  /** How many of the webhooks received up to the end of a part were settled later, or still wait. */
  #waitingAfter(part: number): number {
    let waiting = 0
    for (const [received, { settled, pending }] of this.#reads) {
      if (received > part) continue
      waiting += pending
      for (const [end, n] of settled) if (end > part) waiting += n
    }
    return waiting
  }
}

/** Reads the parts `first` to `last`, in one query for counts and one for delays. */
async function readParts(db: Db, first: number, last: number, now: number): Promise<Map<number, Read>> {
  const { received_at, applied_at, failed_at, attempts, status } = deliveries
  const isWithin = and(gte(received_at, new Date(first * PART)), lt(received_at, new Date((last + 1) * PART)))
  const partOf = (at: SQLWrapper) =>
    sql<number>`floor(extract(epoch from ${at}) * 1000 / ${sql.raw(String(PART))})::int`
  // A delivery that was tried again may have been replayed days later. It counts as settled when it was received.
  const settled_at = sql`case when ${attempts} = 1 then coalesce(${applied_at}, ${failed_at}, ${received_at}) else ${received_at} end`
  const isPending = sql<boolean>`${status} = 'pending'`
  const lag = sql`extract(epoch from ${applied_at} - ${received_at})`
  const share = (of: number) =>
    sql<number>`greatest(0, percentile_cont(${of}::float8) within group (order by ${lag}))::float8`
  const [counts, delays] = await db.transaction(
    async (tx) => {
      await tx.execute(sql`set local statement_timeout = '1s'`)
      const rows = await tx
        .select({ part: partOf(received_at), isPending, end: partOf(settled_at), n: sql<number>`count(*)::int` })
        .from(deliveries)
        .where(isWithin)
        .groupBy(sql`1`, sql`2`, sql`3`)
      const isFirstTry = and(isWithin, eq(status, 'applied'), eq(attempts, 1))
      const query = tx.select({ part: partOf(received_at), median: share(0.5), p95: share(0.95) }).from(deliveries)
      return [rows, await query.where(isFirstTry).groupBy(sql`1`)]
    },
    { accessMode: 'read only' },
  )
  return new Map(
    Array.from({ length: last - first + 1 }, (_, index) => {
      const part = first + index
      const rows = counts.filter((row) => row.part === part)
      const done = rows.filter((row) => !row.isPending)
      const sum = (of: typeof rows) => of.reduce((total, { n }) => total + n, 0)
      const delay = delays.find((row) => row.part === part)
      const read: Read = {
        at: now,
        received: sum(rows),
        median: delay?.median ?? null,
        p95: delay?.p95 ?? null,
        settled: new Map(done.map((row) => [row.end, row.n])),
        pending: sum(rows) - sum(done),
      }
      return [part, read] as const
    }),
  )
}
