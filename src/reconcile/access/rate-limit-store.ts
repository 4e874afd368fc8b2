import { asc, eq, gt, inArray, sql } from 'drizzle-orm'
import { z } from 'zod'
import {
  type Budget,
  type BudgetLeft,
  type BudgetState,
  budgetLeft,
  decide,
  learn,
  priorities,
  type ScopeState,
} from '../../buildkite/http/budget.ts'
import { type Db, type Transaction, withStoreError } from '../../database/connection.ts'
import { budgets } from '../../database/schema.ts'
import { inOneTransaction } from '../../mirror/apply.ts'
import { DAY, pause, SECOND } from '../../runtime/time.ts'

const turn = z.object({ granted_at: z.number().nullable(), waiting_at: z.number().nullable() })
const classState = z.object({ grants: z.array(z.number()), turns: z.record(z.string(), turn) })
const scopeState = z.object({
  grants: z.array(z.number()),
  limit: z.number().nullable(),
  hold_until: z.number(),
  classes: z.partialRecord(z.enum(priorities), classState).optional().catch(undefined),
})

/** The longest wait before the next check: an answer may have shown a larger limit meanwhile. */
const LOOK_AGAIN = 2 * SECOND

/**
 * The budget that all replicas share, through rows of sync.budgets. It uses the database's clock, so that replicas with different
 * clocks agree on the last minute.
 * @throws StoreError from both methods when the database is unavailable: then no call is granted.
 */
export function sharedBudget(db: Db, share: number): Budget {
  const lastLimits = new Map<string, number>()
  return {
    async take(scopes, priority, signal) {
      for (;;) {
        signal?.throwIfAborted()
        const waitMs = await withStates(db, scopes, (states, now) => {
          const decision = decide(states, scopes, priority, now, share)
          return { states: decision.states, value: decision.grant ? 0 : decision.waitMs }
        })
        if (waitMs === 0) return
        await pause(Math.min(waitMs, LOOK_AGAIN), signal)
      }
    },
    async report(scopes, seen) {
      // Most answers contain nothing new, and need no write.
      const learned = learn({}, scopes, seen, 0)
      const news = Object.entries(learned).some(
        ([scope, { limit, hold_until }]) => hold_until > 0 || (limit !== null && lastLimits.get(scope) !== limit),
      )
      if (!news) return
      await withStates(db, scopes, (states, now) => ({ states: learn(states, scopes, seen, now), value: undefined }))
      for (const [scope, { limit }] of Object.entries(learned)) if (limit !== null) lastLimits.set(scope, limit)
    },
  }
}

type Step<T> = (states: BudgetState, now: number) => { states?: BudgetState; value: T }

/** Runs one step with the states of these scopes. All replicas lock them in the same order. */
async function withStates<T>(db: Db, scopes: readonly string[], step: Step<T>): Promise<T> {
  const sorted = [...new Set(scopes)].sort()
  for (;;) {
    const taken = await inOneTransaction(db, 'share the API budget', async (tx) => {
      const states = await lockStates(tx, sorted)
      return states && { value: await takeStep(tx, sorted, states, step) }
    })
    if (taken) return taken.value
    await addMissing(db, sorted)
  }
}

async function takeStep<T>(tx: Transaction, scopes: readonly string[], states: BudgetState, step: Step<T>): Promise<T> {
  // Not the transaction's start: another replica may have held the locks until now.
  const now = await databaseNow(tx)
  const { states: next, value } = step(states, now)
  for (const scope of next ? scopes : []) {
    const state = next?.[scope]
    if (!state || state === states[scope]) continue
    await tx
      .update(budgets)
      .set({ state, updated_at: new Date(now) })
      .where(eq(budgets.scope, scope))
  }
  return value
}

/** Locks the rows of all scopes; `undefined` when one of them has no row yet. */
async function lockStates(tx: Transaction, scopes: readonly string[]): Promise<BudgetState | undefined> {
  const rows = await tx
    .select()
    .from(budgets)
    .where(inArray(budgets.scope, [...scopes]))
    .orderBy(asc(budgets.scope))
    .for('update')
  if (rows.length < scopes.length) return undefined
  const states: Record<string, ScopeState> = {}
  for (const { scope, state } of rows) {
    const parsed = scopeState.safeParse(state)
    if (parsed.success) states[scope] = parsed.data
  }
  return states
}

/** Runs outside a transaction, so that a process that waits for another's insert holds no lock that the other needs. */
async function addMissing(db: Db, scopes: readonly string[]): Promise<void> {
  const empty: ScopeState = { grants: [], limit: null, hold_until: 0 }
  const rows = scopes.map((scope) => ({ scope, state: empty, updated_at: new Date(0) }))
  await withStoreError('share the API budget', async () => db.insert(budgets).values(rows).onConflictDoNothing())
}

/** The time of the database's clock now, in milliseconds since the epoch; not the start of the transaction. @throws the driver's error. */
export async function databaseNow(tx: Db | Transaction): Promise<number> {
  const { rows } = await tx.execute<{ now: string }>(
    sql`select floor(extract(epoch from clock_timestamp()) * 1000)::text as now`,
  )
  return Number(rows[0]?.now)
}

/** The state of every scope used within the last day, at `now`; organizations first. @throws the driver's error. */
export async function budgetsLeft(db: Db, share: number, now: number): Promise<BudgetLeft[]> {
  const rows = await db
    .select()
    .from(budgets)
    .where(gt(budgets.updated_at, new Date(now - DAY)))
    .orderBy(asc(budgets.scope))
    .limit(50)
  return rows.flatMap(({ scope, state }) => {
    const parsed = scopeState.safeParse(state)
    return parsed.success ? [budgetLeft(scope, parsed.data, now, share)] : []
  })
}
