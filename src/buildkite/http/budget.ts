import { type Clock, MINUTE, pause, SECOND } from '../../runtime/time.ts'
import type { LimitScope, LimitsSeen } from './limits.ts'

/** The purpose of a call, most urgent first. */
export const priorities = ['hot', 'absent', 'backfill', 'audit', 'dimensions'] as const

/** A class of calls. Each has a guaranteed minimum (its floor). Calls above the floors go to the most urgent class that is waiting. */
export type Priority = (typeof priorities)[number]

/** Grants calls to Buildkite within both rate limits, and leaves a share of them to people. */
export interface Budget {
  /**
   * Waits until one call may be sent, and counts it. `scopes` are `user:<fingerprint>` and `organization:<slug>`.
   * Rejects with the signal's reason when it aborts.
   */
  take(scopes: readonly string[], priority: Priority, signal?: AbortSignal): Promise<void>
  /** Records the limits in a response's headers; must be called after every response. */
  report(scopes: readonly string[], seen: LimitsSeen): Promise<void>
}

/** The state of one scope. Plain JSON, so that replicas can share it through a table. Times are epoch milliseconds. */
export interface ScopeState {
  /** When recent calls were granted, oldest first. */
  readonly grants: readonly number[]
  /** Calls a minute, from Buildkite's last response; null before the first. */
  readonly limit: number | null
  /** No call before this time: the limit is used up, or nearly. */
  readonly hold_until: number
  /** Absent in state that an older version stored. */
  readonly classes?: Readonly<Partial<Record<Priority, ClassState>>> | undefined
}

/** The state of one class of calls within a scope. */
export interface ClassState {
  /** This class's grants in the current and the previous minute. */
  readonly grants: readonly number[]
  /** By organization; '' for calls that belong to none. */
  readonly turns: Readonly<Record<string, Turn>>
}

/** When an organization was last granted a call of a class (null: not lately), and when it was last denied one (null: not waiting). */
export interface Turn {
  readonly granted_at: number | null
  readonly waiting_at: number | null
}

export type BudgetState = Readonly<Record<string, ScopeState>>

/** Store `states` in both cases: they also record which organizations are waiting. An unchanged state is the same object. */
export type Decision = { grant: true; states: BudgetState } | { grant: false; waitMs: number; states: BudgetState }

/** A second longer than Buildkite's minute: calls do not all take equally long to arrive there. */
const WINDOW_MS = MINUTE + SECOND
/** Buildkite's windows last a minute. A hold that ends later than this shows that the clock was set back. */
const LONGEST_HOLD_MS = 5 * MINUTE
/** Resets are given in whole seconds, possibly rounded down. */
const RESET_MARGIN_MS = 500

/** The fraction of our share that each class is guaranteed while it needs it. The most urgent classes get the rest. */
const floors: Record<Priority, number> = { hot: 0.45, absent: 0.08, backfill: 0.25, audit: 0.08, dimensions: 0.04 }
/** A waiting caller repeats its request at least every two seconds. After this time without one it has given up. */
const WAITING_MS = 6 * SECOND
/** `waiting_at` is updated at most this often, to save database writes. */
const WAITING_STEP_MS = 2 * SECOND
/** How long the state stores when an organization was last served. */
const TURNS_KEPT_MS = 10 * MINUTE

/** Buildkite's defaults, used until its headers contain the account's own. */
const defaultLimits: Record<LimitScope, number> = { user: 50, organization: 200 }

const unknown: ScopeState = { grants: [], limit: null, hold_until: 0 }
const unasked: ClassState = { grants: [], turns: {} }

/**
 * Whether one call may be sent now. Within any minute at most `share` of each scope's limit is granted (never less than one call), and
 * none while a scope is held. These go first: other classes up to their floors, more urgent calls that are waiting, and, within the
 * class, organizations that were served less recently. Calls that are not urgent are spread evenly. Never mutates.
 */
export function decide(
  states: BudgetState,
  scopes: readonly string[],
  priority: Priority,
  now: number,
  share: number,
): Decision {
  const organization = scopes.find((scope) => kindOf(scope) === 'organization') ?? ''
  const asks = scopes.map((scope) => {
    const state = states[scope] ?? unknown
    const heldMs = holdOf(state, now)
    const turnMs = turnWait(state, priority, organization, allowedIn(scope, state, share), now)
    return { scope, state, waitMs: Math.max(heldMs, turnMs), waits: heldMs === 0 && turnMs > 0 }
  })
  const waitMs = Math.max(0, ...asks.map((ask) => ask.waitMs))
  const next: Record<string, ScopeState> = { ...states }
  for (const { scope, state, waits } of asks) {
    // A call that waits only for another scope does not queue in this one.
    next[scope] =
      waitMs > 0 ? addAsk(state, priority, organization, waits, now) : addGrant(state, priority, organization, now)
  }
  return waitMs > 0 ? { grant: false, waitMs, states: next } : { grant: true, states: next }
}

/** How long to wait in one scope, in milliseconds; 0 if the call may be sent now. */
function turnWait(state: ScopeState, priority: Priority, organization: string, allowed: number, now: number): number {
  const grants = counted(state.grants, now)
  const missing = callsAhead(state, priority, organization, allowed, now) + 1 - (allowed - grants.length)
  // The grant that must leave the window before there is room. If there is none, a caller ahead has not been served yet.
  const leaving = missing > 0 ? (grants[missing - 1] ?? now - WINDOW_MS + SECOND) + WINDOW_MS - now : 0
  const pace = paceWait(state, priority, allowed, now)
  return Math.max(0, leaving, pace, crowdWait(state, priority, organization, allowed, now))
}

/** How many calls must remain available after this one, because they are reserved for others. */
function callsAhead(state: ScopeState, priority: Priority, organization: string, allowed: number, now: number): number {
  const mine = classOf(state, priority)
  const isOwed = counted(mine.grants, now).length < floorOf(priority, allowed)
  const lastGrant = (turns: ClassState['turns']) =>
    Math.max(-1, ...Object.values(turns).map((turn) => turn.granted_at ?? -1))
  let ahead = waitingIn(mine, now).filter((other) => isBefore(mine, other, organization)).length
  for (const other of priorities) {
    if (other === priority) continue
    const theirs = classOf(state, other)
    const needed = neededBy(theirs, floorOf(other, allowed), now)
    const owed = Math.max(0, needed - counted(theirs.grants, now).length)
    const waiting = waitingIn(theirs, now).length
    if (isOwed) {
      // Both are below their floor. If the limit is too small for all floors, the classes alternate.
      if (owed > 0 && waiting > 0 && lastGrant(theirs.turns) < lastGrant(mine.turns)) ahead += 1
    } else {
      const isMoreUrgent = priorities.indexOf(other) < priorities.indexOf(priority)
      ahead += isMoreUrgent ? Math.max(owed, waiting) : owed
    }
  }
  return ahead
}

/**
 * How long to wait to keep long-running work at an even pace, once half of its calls of the minute are used. Without this, all calls
 * would be sent at the start of each minute, and webhooks would wait behind them. The pace is kept per tenth of a minute, so one slow
 * call does not delay the others.
 */
function paceWait(state: ScopeState, priority: Priority, allowed: number, now: number): number {
  if (priority === 'hot' || priority === 'absent') return 0
  const grants = counted(classOf(state, priority).grants, now)
  if (grants.length < floorOf(priority, allowed)) return 0
  const others = priorities.filter((other) => other !== priority)
  const reserved = others.reduce((sum, other) => sum + neededBy(classOf(state, other), floorOf(other, allowed), now), 0)
  const most = Math.max(floorOf(priority, allowed), allowed - reserved)
  const some = Math.max(1, Math.floor(most / 10))
  return spreadWait(grants, some, (some * WINDOW_MS) / most, most, now)
}

/** The same for all calls while another caller waits, a quarter faster. Otherwise all calls of a minute would be sent in one burst. */
function crowdWait(state: ScopeState, priority: Priority, organization: string, allowed: number, now: number): number {
  const isCrowded = priorities.some((other) =>
    waitingIn(classOf(state, other), now).some((one) => other !== priority || one !== organization),
  )
  if (!isCrowded) return 0
  return spreadWait(counted(state.grants, now), Math.ceil(allowed / 8), WINDOW_MS / 10, allowed, now)
}

/** How long until fewer than `some` of the grants lie within the last `withinMs`; 0 while less than half of `most` is used. */
function spreadWait(grants: readonly number[], some: number, withinMs: number, most: number, now: number): number {
  const mark = grants[grants.length - some]
  return mark === undefined || grants.length < most / 2 ? 0 : Math.ceil(mark + withinMs - now)
}

function addGrant(state: ScopeState, priority: Priority, organization: string, now: number): ScopeState {
  const known = classOf(state, priority)
  const kept = Object.entries(known.turns).filter(([, { granted_at, waiting_at }]) =>
    isWithin(granted_at ?? waiting_at ?? 0, now, TURNS_KEPT_MS),
  )
  const turns = { ...Object.fromEntries(kept), [organization]: { granted_at: now, waiting_at: null } }
  const mine = { grants: withGrant(known.grants, now, 2 * WINDOW_MS), turns }
  const grants = withGrant(state.grants, now, WINDOW_MS)
  return { ...state, grants, classes: { ...state.classes, [priority]: mine } }
}

function withGrant(grants: readonly number[], now: number, keptMs: number): number[] {
  return [...grants.filter((at) => isWithin(at, now, keptMs)), now].sort((a, b) => a - b)
}

function addAsk(state: ScopeState, priority: Priority, organization: string, waits: boolean, now: number): ScopeState {
  const known = classOf(state, priority)
  const turn = known.turns[organization] ?? { granted_at: null, waiting_at: null }
  const isNoted = turn.waiting_at !== null && isWithin(turn.waiting_at, now, WAITING_STEP_MS)
  const waiting_at = !waits ? null : isNoted ? turn.waiting_at : now
  if (waiting_at === turn.waiting_at) return state
  const mine = { ...known, turns: { ...known.turns, [organization]: { ...turn, waiting_at } } }
  return { ...state, classes: { ...state.classes, [priority]: mine } }
}

function classOf(state: ScopeState, priority: Priority): ClassState {
  return state.classes?.[priority] ?? unasked
}

/** Calls a minute that a class is guaranteed while it needs them. */
function floorOf(priority: Priority, allowed: number): number {
  return Math.ceil(allowed * floors[priority] - 1e-9)
}

/**
 * How much of its floor a class needs: twice its calls of this minute or the previous one, 0 while it is idle. Other classes may use
 * the rest.
 */
function neededBy(known: ClassState, floor: number, now: number): number {
  const latest = counted(known.grants, now).length
  const before = known.grants.filter((at) => isWithin(at, now, 2 * WINDOW_MS)).length - latest
  const busy = Math.max(latest, before, waitingIn(known, now).length)
  return busy === 0 ? 0 : Math.min(floor, 2 * busy + 1)
}

/** The organizations that wait for a call of a class. */
function waitingIn({ turns }: ClassState, now: number): string[] {
  return Object.keys(turns).filter((organization) => {
    const waiting_at = turns[organization]?.waiting_at ?? null
    return waiting_at !== null && isWithin(waiting_at, now, WAITING_MS)
  })
}

/** Whether `other` was served less recently than `organization`. */
function isBefore({ turns }: ClassState, other: string, organization: string): boolean {
  const difference = (turns[other]?.granted_at ?? -1) - (turns[organization]?.granted_at ?? -1)
  return difference === 0 ? other < organization : difference < 0
}

/**
 * Applies the limits in a response: the actual limit, and a hold until its reset when at most a tenth of it remains. A hold is never
 * shortened, because responses overtake each other, and an older one may still show many remaining calls.
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
        states = decision.states
        if (decision.grant) return
        // Checks again every second, because a response may have shown a larger limit meanwhile.
        await wait(Math.min(decision.waitMs, SECOND), signal)
      }
    },
    async report(scopes, seen) {
      states = learn(states, scopes, seen, clock())
    },
  }
}

/** The grants of the last minute. */
function counted(grants: readonly number[], now: number): number[] {
  return grants.filter((at) => isWithin(at, now, WINDOW_MS))
}

/** Also false for a time far in the future: the clock was set back. */
function isWithin(at: number, now: number, ms: number): boolean {
  return Math.abs(now - at) < ms
}

/** For how long no call is granted, in milliseconds. */
function holdOf({ hold_until }: ScopeState, now: number): number {
  const held = hold_until - now
  return held > 0 && held <= LONGEST_HOLD_MS ? held : 0
}

/** Calls a minute that the mirror may make. */
function allowedIn(scope: string, state: ScopeState, share: number): number {
  return Math.max(1, Math.floor((state.limit ?? defaultLimits[kindOf(scope)]) * share))
}

/** Which of the two limits a scope such as `organization:acme` falls under. */
export function kindOf(scope: string): LimitScope {
  return scope.startsWith('organization:') ? 'organization' : 'user'
}

/** The rest of a scope's limit, within the share that the mirror may use, for the most urgent call. */
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
  /** Calls that could be granted now to a caller with nobody ahead of it; 0 while the scope is held. */
  readonly left: number
}

/** The state of a scope's limit at `now` (pure). */
export function budgetLeft(scope: string, state: ScopeState, now: number, share: number): BudgetLeft {
  const allowed = allowedIn(scope, state, share)
  const used = counted(state.grants, now).length
  const held_ms = holdOf(state, now)
  const left = held_ms > 0 ? 0 : Math.max(0, allowed - used)
  return { scope, limit: state.limit ?? defaultLimits[kindOf(scope)], allowed, used, held_ms, left }
}
