import { type Db, withStoreError } from '../../database/connection.ts'
import type { Clock } from '../../runtime/time.ts'
import { isPoison } from '../poison.ts'
import { type GroupLimit, takeGroup } from './group.ts'
import { insertDeliveries, type NewDelivery } from './insert.ts'
import { readKept } from './read-kept.ts'

/** Moves deliveries that arrived while Postgres was unavailable from their queue jobs to the inbox. */
export interface FromQueue {
  /**
   * Resolves once all deliveries of the job are in the inbox. They are checked and cleaned like requests, because others may write to
   * the queue's store too; one that no receiver would have stored becomes a failed delivery that says why.
   * @throws StoreError when some are not; then the job must stay in the queue, because it is their only copy.
   */
  move(kept: readonly unknown[]): Promise<void>
}

/** Maximum size of one insert. */
const insertLimit: GroupLimit = { deliveries: 1_000, chars: 4 * 1024 * 1024 }
/** Two, so that one insert is prepared while Postgres runs the other. More would only hold more payloads in memory. */
const insertsAtOnce = 2

interface Job {
  deliveries: readonly NewDelivery[]
  resolve: () => void
  reject: (error: unknown) => void
}

interface FromQueueParts {
  db: Db
  storeEnv: boolean
  clock?: Clock | undefined
}

/** Jobs that arrive while two inserts are running share the next one. */
export function openFromQueue({ db, storeEnv, clock = Date.now }: FromQueueParts): FromQueue {
  const waiting: Job[] = []
  let inserting = 0

  const insert = (fresh: readonly NewDelivery[]) =>
    withStoreError(`move ${fresh.length} deliveries from the queue to the inbox`, () =>
      insertDeliveries(db, fresh, new Date(clock())),
    )
  /** Inserts deliveries one by one after Postgres refused them together, so that one bad delivery does not block the others. */
  const insertJob = async (deliveries: readonly NewDelivery[]) => {
    try {
      await insert(deliveries)
    } catch (error) {
      if (deliveries.length > 1 && isPoison(error)) for (const one of deliveries) await insert([one]).catch(() => {})
      throw error
    }
  }
  const moveJobs = async (jobs: readonly Job[]) => {
    try {
      await insert(jobs.flatMap(({ deliveries }) => deliveries))
      for (const { resolve } of jobs) resolve()
    } catch (error) {
      for (const { deliveries, resolve, reject } of jobs) {
        if (isPoison(error)) await insertJob(deliveries).then(resolve, reject)
        else reject(error)
      }
    }
  }
  const work = async () => {
    inserting += 1
    while (waiting.length > 0) await moveJobs(takeGroup(waiting, insertLimit, sizeOfJob))
    inserting -= 1
  }
  return {
    move(kept) {
      return new Promise((resolve, reject) => {
        const now = new Date(clock())
        waiting.push({ deliveries: kept.map((one) => readKept(one, { storeEnv, now })), resolve, reject })
        if (inserting < insertsAtOnce) void work()
      })
    },
  }
}

function sizeOfJob({ deliveries }: Job): GroupLimit {
  return {
    deliveries: deliveries.length,
    chars: deliveries.reduce((sum, { payload }) => sum + (payload?.length ?? 0), 0),
  }
}
