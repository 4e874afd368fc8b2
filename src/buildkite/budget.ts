import { type Clock, MINUTE, pause, SECOND } from '../time.ts'
import type { LimitScope, LimitsSeen } from './limits.ts'

/** What a call is for, most urgent first. A lower rank stops earlier, so that a higher one always finds room. */
export type Priority = 'hot' | 'absent' | 'backfill' | 'audit' | 'dimensions'

/** Grants calls to Buildkite within both rate limits, of which it leaves a share to people. */
export interface Budget {
  /**
   * Waits until one call may be sent, and counts it. `scopes` are `user:<fingerprint>` and `organization:<slug>`.
   * Rejects with the signal's reason when it aborts.
   */
  take(scopes: readonly string[], priority: Priority, signal?: AbortSignal): Promise<void>
  /** Tells what an answer's headers showed; to be called after every answer. */
  report(scopes: readonly string[], seen: LimitsSeen): Promise<void>
}

/** What is known of one scope. Plain JSON, so that replicas can share it through a table. Times are epoch milliseconds. */
export interface ScopeState {
  /** When calls were granted lately, oldest first. */
  readonly grants: readonly number[]
  /** Calls a minute as Buildkite last said; null before its first answer. */
  readonly limit: number | null
  /** No call before this time: the limit is used up, or nearly. */
  readonly hold_until: number
}

export type BudgetState = Readonly<Record<string, ScopeState>>

export type Decision = { grant: true; states: BudgetState } | { grant: false; waitMs: number }

/** A second longer than Buildkite's minute: calls do not all take equally long to arrive there. */
const WINDOW_MS = MINUTE + SECOND
/** Buildkite's windows last a minute; whatever claims to hold for longer than this is a clock that was set back. */
const LONGEST_HOLD_MS = 5 * MINUTE
/** Resets are told in whole seconds, possibly rounded down. */
const RESET_MARGIN_MS = 500

const ceilings: Record<Priority, number> = { hot: 1, absent: 0.9, backfill: 0.75, audit: 0.5, dimensions: 0.4 }

/** Buildkite's defaults, until its headers tell the account's own. */
const defaultLimits: Record<LimitScope, number> = { user: 50, organization: 200 }

const unknown: ScopeState = { grants: [], limit: null, hold_until: 0 }

/**
 * Whether one call may be sent now: at most `share` of each scope's limit within any minute (less for lower priorities,
 * never less than one call), evenly spread for what is not urgent, and none while a scope is held. If so, the states to
 * keep; else how long to wait before asking again. Never mutates.
 */
export function decide(
  states: BudgetState,
  scopes: readonly string[],
  priority: Priority,
  now: number,
  share: number,
): Decision {
  let waitMs = 0
  const next: Record<string, ScopeState> = { ...states }
  for (const scope of scopes) {
    const state = states[scope] ?? unknown
    const grants = state.grants.filter((at) => isCounted(at, now))
    waitMs = Math.max(waitMs, holdOf(state, now))
    const ceiling = ceilingOf(scope, state, priority, share)
    // The oldest grant that must leave the window before there is room for this one.
    const leaving = grants[grants.length - ceiling]
    if (leaving !== undefined) waitMs = Math.max(waitMs, leaving + WINDOW_MS - now)
    // By tenths, so that one slow call does not cost the others their turns.
    const some = Math.max(1, Math.floor(ceiling / 10))
    const mark = grants[grants.length - some]
    if (mark !== undefined && isPaced(priority, grants.length, ceiling)) {
      waitMs = Math.max(waitMs, mark + (some * WINDOW_MS) / ceiling - now)
    }
    next[scope] = { ...state, grants: [...grants, now].sort((a, b) => a - b) }
  }
  return waitMs > 0 ? { grant: false, waitMs } : { grant: true, states: next }
}

/**
 * Takes in what an answer showed: the true limit, and a hold until its reset when at most a tenth of it remains. A hold is
 * never shortened, because answers overtake each other and an older one may still show plenty.
 */
export function learn(states: BudgetState, scopes: readonly string[], seen: LimitsSeen, now: number): BudgetState {
  const next: Record<string, ScopeState> = { ...states }
  for (const scope of scopes) {
    const limit = seen[kindOf(scope)]
    if (!limit) continue
    const state = next[scope] ?? unknown
    const known = limit.limit !== undefined && limit.limit >= 1 ? limit.limit : state.limit
    const low = limit.remaining !== undefined && limit.remaining <= (known ?? defaultLimits[kindOf(scope)]) / 10
    const until = now + Math.min(limit.resetMs ?? MINUTE, LONGEST_HOLD_MS - RESET_MARGIN_MS) + RESET_MARGIN_MS
    next[scope] = { ...state, limit: known, hold_until: low ? Math.max(state.hold_until, until) : state.hold_until }
  }
  return next
}

/** A budget for one process: `check`, and tests. Replicas share theirs through Postgres. */
export function memoryBudget(share: number, clock: Clock = Date.now, wait: typeof pause = pause): Budget {
  let states: BudgetState = {}
  return {
    async take(scopes, priority, signal) {
      for (;;) {
        signal?.throwIfAborted()
        const decision = decide(states, scopes, priority, clock(), share)
        if (decision.grant) {
          states = decision.states
          return
        }
        // Looks again every second, because an answer meanwhile may have shown a larger limit.
        await wait(Math.min(decision.waitMs, SECOND), signal)
      }
    },
    async report(scopes, seen) {
      states = learn(states, scopes, seen, clock())
    },
  }
}

/**
 * Whether no more than a tenth of a minute's calls may come within a tenth of a minute. What may take hours goes on at an even pace
 * once half of its minute is used: all at once would come again every minute, and webhooks would wait behind it.
 */
function isPaced(priority: Priority, used: number, ceiling: number): boolean {
  return priority !== 'hot' && priority !== 'absent' && used >= ceiling / 2
}

function isCounted(grantedAt: number, now: number): boolean {
  return Math.abs(now - grantedAt) < WINDOW_MS
}

/** For how long no call is granted, in milliseconds. */
function holdOf({ hold_until }: ScopeState, now: number): number {
  const held = hold_until - now
  return held > 0 && held <= LONGEST_HOLD_MS ? held : 0
}

function ceilingOf(scope: string, state: ScopeState, priority: Priority, share: number): number {
  const limit = state.limit ?? defaultLimits[kindOf(scope)]
  return Math.max(1, Math.floor(limit * share * ceilings[priority]))
}

/** Which of the two limits a scope such as `organization:acme` falls under. */
export function kindOf(scope: string): LimitScope {
  return scope.startsWith('organization:') ? 'organization' : 'user'
}

/** What is left of a scope's limit within the share that the mirror may use, at its most urgent. */
export interface BudgetLeft {
  readonly scope: string
  /** Calls a minute that Buildkite allows, or its default before its first answer. */
  readonly limit: number
  /** Calls a minute that the mirror may make. */
  readonly allowed: number
  /** Calls granted within the last minute. */
  readonly used: number
  /** For how long no call is made, because the limit is used up; 0 when calls may be made. */
  readonly held_ms: number
  /** Calls of the highest priority that could be granted at once; none while the scope is held. */
  readonly left: number
}

/** How a scope stands at `now` (pure). */
export function budgetLeft(scope: string, state: ScopeState, now: number, share: number): BudgetLeft {
  const allowed = ceilingOf(scope, state, 'hot', share)
  const used = state.grants.filter((at) => isCounted(at, now)).length
  const held_ms = holdOf(state, now)
  const left = held_ms > 0 ? 0 : Math.max(0, allowed - used)
  return { scope, limit: state.limit ?? defaultLimits[kindOf(scope)], allowed, used, held_ms, left }
}
