import { inArray, sql } from 'drizzle-orm'
import type { Transaction } from '../database/connection.ts'
import { build_attempts } from '../database/schema.ts'
import { SECOND } from '../runtime/time.ts'
import { compareSeconds, same } from './merge.ts'
import type { BuildRow, Observation } from './observation.ts'
import { hasFinished } from './rules.ts'
import { changedNow, columnList, recordset, selected } from './table.ts'

type Attempt = typeof build_attempts.$inferSelect

/**
 * Saves each distinct finish of the observed builds as a row of `build_attempts`. A build's row shows only its latest attempt, because a
 * retry or an unblock overwrites it. A pause at a block step counts as a finish, because Buildkite sends `build.finished` for it.
 */
export async function saveAttempts(
  tx: Transaction,
  observations: readonly Observation<BuildRow>[],
  now: Date,
): Promise<void> {
  const finishes = observations.flatMap((observation) => finishOf(observation, now) ?? [])
  if (finishes.length === 0) return
  const ids = [...new Set(finishes.map(({ build_id }) => build_id))]
  const stored = await tx.select().from(build_attempts).where(inArray(build_attempts.build_id, ids))
  const known = new Attempts(stored)
  const changed = new Map<string, Attempt>()
  const replaced = new Map<string, Attempt>()
  for (const finish of finishes) {
    const before = known.same(finish)
    const cut = isCut(finish) ? undefined : known.cut(finish)
    const after = before ? mergeAttempt(before, finish, now) : finish
    if (cut) {
      known.remove(cut)
      changed.delete(attemptKey(cut))
      replaced.set(attemptKey(cut), cut)
    }
    if (after === before) continue
    known.put(after)
    changed.set(attemptKey(after), after)
  }
  if (replaced.size > 0) await deleteAttempts(tx, inOrder(replaced))
  if (changed.size > 0) await writeAttempts(tx, inOrder(changed))
}

/** Sorted by key, so that transactions do not deadlock. */
function inOrder(attempts: ReadonlyMap<string, Attempt>): Attempt[] {
  return [...attempts.values()].sort((a, b) => (attemptKey(a) < attemptKey(b) ? -1 : 1))
}

/** Ids of observed builds whose finish has no row; a row with the finish truncated to the second does not count. */
export async function missingAttempts(
  tx: Transaction,
  observations: readonly Observation<BuildRow>[],
): Promise<Set<string>> {
  const finishes = observations.flatMap((observation) => finishOf(observation, observation.at) ?? [])
  if (finishes.length === 0) return new Set()
  const ids = [...new Set(finishes.map(({ build_id }) => build_id))]
  const { build_id, finished_at } = build_attempts
  const stored = await tx.select({ build_id, finished_at }).from(build_attempts).where(inArray(build_id, ids))
  const known = new Attempts(stored)
  const isMissing = (finish: Attempt) => {
    const same = known.same(finish)
    return !same || (isCut(same) && !isCut(finish))
  }
  return new Set(finishes.filter(isMissing).map((finish) => finish.build_id))
}

function finishOf({ fields, at, via }: Observation<BuildRow>, now: Date): Attempt | undefined {
  if (!fields.finished_at || !hasFinished(fields)) return undefined
  return {
    build_id: fields.id,
    finished_at: fields.finished_at,
    started_at: fields.started_at ?? null,
    state: fields.state ?? null,
    blocked: fields.blocked ?? null,
    blocked_state: fields.blocked_state ?? null,
    observed_at: at,
    first_seen_at: now,
    first_seen_via: via,
    changed_at: now,
  }
}

type Finish = Pick<Attempt, 'build_id' | 'finished_at'>

/** Attempts by build and second. */
class Attempts<One extends Finish> {
  readonly #bySecond = new Map<string, One[]>()

  constructor(attempts: readonly One[]) {
    for (const attempt of attempts) this.put(attempt)
  }

  put(attempt: One): void {
    this.remove(attempt)
    this.#bySecond.set(secondOf(attempt), [...this.#within(attempt), attempt])
  }

  remove(attempt: Finish): void {
    const others = this.#within(attempt).filter((other) => attemptKey(other) !== attemptKey(attempt))
    this.#bySecond.set(secondOf(attempt), others)
  }

  /** The attempt with this finish. Some payloads truncate it to the second; such a time matches any within that second. */
  same(finish: Finish): One | undefined {
    const there = this.#within(finish)
    return (
      there.find((one) => attemptKey(one) === attemptKey(finish)) ?? there.find((one) => isCut(one) || isCut(finish))
    )
  }

  /** The attempt whose finish is this one, truncated to the second. */
  cut(finish: Finish): One | undefined {
    return this.#within(finish).find(isCut)
  }

  #within(finish: Finish): One[] {
    return this.#bySecond.get(secondOf(finish)) ?? []
  }
}

/** Old webhooks and EventBridge truncate times to seconds. */
function isCut({ finished_at }: Finish): boolean {
  return finished_at.getTime() % SECOND === 0
}

function attemptKey({ build_id, finished_at }: Finish): string {
  return `${build_id} ${finished_at.getTime()}`
}

function secondOf({ build_id, finished_at }: Finish): string {
  return `${build_id} ${Math.floor(finished_at.getTime() / SECOND)}`
}

function mergeAttempt(before: Attempt, seen: Attempt, now: Date): Attempt {
  const later = compareSeconds(seen.observed_at, before.observed_at) >= 0
  const [newer, older] = later ? [seen, before] : [before, seen]
  const after: Attempt = {
    ...before,
    finished_at: isCut(before) ? seen.finished_at : before.finished_at,
    started_at: newer.started_at ?? older.started_at,
    state: newer.state ?? older.state,
    blocked: newer.blocked ?? older.blocked,
    blocked_state: newer.blocked_state ?? older.blocked_state,
  }
  const columns = ['finished_at', 'started_at', 'state', 'blocked', 'blocked_state'] as const
  if (columns.every((column) => same(after[column], before[column]))) return before
  return { ...after, observed_at: newer.observed_at, changed_at: now }
}

async function deleteAttempts(tx: Transaction, rows: readonly Attempt[]): Promise<void> {
  await tx.execute(sql`
    delete from ${build_attempts} as known using ${recordset(build_attempts, rows)}
    where known.build_id = r.build_id and known.finished_at = r.finished_at`)
}

async function writeAttempts(tx: Transaction, rows: readonly Attempt[]): Promise<void> {
  const columns = columnList(build_attempts)
  await tx.execute(sql`
    insert into ${build_attempts} (${columns}) ${selected(build_attempts, rows)}
    on conflict (build_id, finished_at) do update set
      started_at = excluded.started_at, state = excluded.state, blocked = excluded.blocked,
      blocked_state = excluded.blocked_state, observed_at = excluded.observed_at, changed_at = ${changedNow}`)
}
