import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type BudgetState, budgetLeft, decide, learn, memoryBudget, type Priority } from '../../src/buildkite/budget.ts'

const scopes = ['user:one', 'organization:acme']
const user = ['user:one']
const priorities: readonly Priority[] = ['hot', 'absent', 'backfill', 'audit']

/** Takes as many calls as are granted at one moment. */
function takeAll(states: BudgetState, priority: Priority, now: number, share: number, of = scopes) {
  let granted = 0
  for (let held = states; ; granted += 1) {
    const decision = decide(held, of, priority, now, share)
    if (!decision.grant) return { granted, states: held, waitMs: decision.waitMs }
    held = decision.states
  }
}

/** When calls are granted to one who asks again and again for `ms`, waiting as told. */
function takeWithin(states: BudgetState, priority: Priority, from: number, ms: number, share = 1) {
  const times: number[] = []
  let held = states
  for (let now = from; now < from + ms; ) {
    const decision = decide(held, user, priority, now, share)
    if (decision.grant) {
      held = decision.states
      times.push(now)
    } else {
      now += decision.waitMs
    }
  }
  return { times, states: held }
}

const seen = (limit: number, remaining: number, resetMs = 30_000) => ({ user: { limit, remaining, resetMs } })

describe('the budget', () => {
  it('grants its share of the smaller limit, and then asks to wait until the first call is a minute old', () => {
    const { granted, waitMs } = takeAll({}, 'hot', 1_000, 0.5)
    expect(granted).toBe(25)
    expect(waitMs).toBeGreaterThanOrEqual(60_000)
    expect(waitMs).toBeLessThanOrEqual(61_000)
  })

  it('says how many calls are left: none while the scope is held, all when the minute is over', () => {
    const state = (states: BudgetState) => states['user:one'] ?? { grants: [], limit: null, hold_until: 0 }
    const left = (states: BudgetState, now: number) => budgetLeft('user:one', state(states), now, 0.5).left
    expect(left({}, 1_000)).toBe(25)
    const { states } = takeAll({}, 'backfill', 1_000, 0.5)
    expect(left(states, 1_000)).toBe(25 - state(states).grants.length)
    expect(left(states, 90_000)).toBe(25)
    const held = learn({}, user, seen(50, 0, 10_000), 1_000)
    expect(left(held, 2_000)).toBe(0)
    expect(left(held, 20_000)).toBe(25)
  })

  it('grants again after exactly the wait it asked for', () => {
    const { states, waitMs } = takeAll({}, 'hot', 1_000, 0.5)
    expect(decide(states, scopes, 'hot', 1_000 + waitMs - 1, 0.5).grant).toBe(false)
    expect(decide(states, scopes, 'hot', 1_000 + waitMs, 0.5).grant).toBe(true)
  })

  it('follows the limits that Buildkite tells', () => {
    expect(takeAll(learn({}, scopes, seen(400, 400), 0), 'hot', 0, 0.5, user).granted).toBe(200)
    expect(takeAll(learn({}, scopes, seen(10, 10), 0), 'hot', 0, 0.5, user).granted).toBe(5)
  })

  it('leaves room for urgent calls when others have taken all they may', () => {
    let states: BudgetState = {}
    let now = 0
    // Less than a minute in all, so that nothing leaves the window.
    const asked = [
      ['audit', 30_000],
      ['backfill', 20_500],
      ['absent', 1],
      ['hot', 1],
    ] as const
    const granted = asked.map(([priority, ms]) => {
      const taken = takeWithin(states, priority, now, ms)
      states = taken.states
      now += ms
      return taken.times.length
    })
    expect(granted).toEqual([25, 12, 8, 5])
  })

  it('lets a backfill begin at once and go on evenly, as fast as the limit allows', () => {
    const { times } = takeWithin(learn({}, user, seen(200, 200), 0), 'backfill', 0, 600_000, 0.5)
    expect(times.filter((at) => at === 0)).toHaveLength(38)
    const later = times.filter((at) => at >= 120_000)
    expect(later.length / 8).toBeGreaterThan(75 * 0.95)
    for (const at of later) {
      expect(later.filter((other) => other >= at && other < at + 5_000).length).toBeLessThanOrEqual(8)
    }
  })

  it('loses little of a minute to slow answers', () => {
    let states = learn({}, user, seen(200, 200), 0)
    let granted = 0
    for (let now = 0; now < 1_800_000; ) {
      const decision = decide(states, user, 'backfill', now, 0.5)
      if (decision.grant) {
        states = decision.states
        granted += 1
        // Some answers take longer than a call's share of the minute.
        now += granted % 2 === 0 ? 1_300 : 200
      } else {
        now += decision.waitMs
      }
    }
    expect(granted / 30).toBeGreaterThan(75 * 0.85)
  })

  it('grants at least one call a minute to anyone, however small the share', () => {
    for (const priority of priorities) expect(takeAll({}, priority, 0, 0.001).granted).toBe(1)
  })

  it('holds every call until the reset when a tenth or less of a limit remains', () => {
    const states = learn({}, scopes, seen(50, 5), 0)
    const decision = decide(states, scopes, 'hot', 1, 1)
    expect(decision).toEqual({ grant: false, waitMs: 30_499 })
    expect(decide(states, scopes, 'hot', 30_500, 1).grant).toBe(true)
    expect(decide(learn({}, scopes, seen(50, 6), 0), scopes, 'hot', 1, 1).grant).toBe(true)
  })

  it('holds all organizations of a user whose limit is used up, and no other user', () => {
    const states = learn({}, scopes, seen(50, 0), 0)
    expect(decide(states, ['user:one', 'organization:other'], 'hot', 1, 1).grant).toBe(false)
    expect(decide(states, ['user:two', 'organization:acme'], 'hot', 1, 1).grant).toBe(true)
  })

  it('does not let an older answer that overtook end a hold', () => {
    const states = learn(learn({}, scopes, seen(50, 0), 0), scopes, seen(50, 49), 10)
    expect(decide(states, scopes, 'hot', 20, 1).grant).toBe(false)
  })

  it('does not wait for hours when the clock was set back', () => {
    const { states } = takeAll(learn({}, scopes, seen(50, 0), 90_000_000), 'hot', 100_000_000, 0.5)
    expect(decide(states, scopes, 'hot', 0, 0.5).grant).toBe(true)
  })

  it('never grants more than the share of any limit in any minute, whatever is asked and answered when', () => {
    const step = fc.record({
      after: fc.integer({ min: 0, max: 20_000 }),
      priority: fc.constantFrom(...priorities),
      takes: fc.integer({ min: 1, max: 12 }),
      remaining: fc.option(fc.integer({ min: 0, max: 40 })),
    })
    fc.assert(
      fc.property(
        fc.array(step, { maxLength: 60 }),
        fc.double({ min: 0.05, max: 1, noNaN: true }),
        fc.integer({ min: 1, max: 60 }),
        (steps, share, limit) => {
          let now = 1_000_000
          let states = learn({}, scopes, seen(limit, limit), now)
          const granted: number[] = []
          for (const { after, priority, takes, remaining } of steps) {
            now += after
            if (remaining !== null) states = learn(states, scopes, seen(limit, remaining, 5_000), now)
            for (let i = 0; i < takes; i += 1) {
              const decision = decide(states, scopes, priority, now, share)
              if (!decision.grant) {
                expect(decision.waitMs).toBeGreaterThan(0)
                continue
              }
              states = decision.states
              granted.push(now)
            }
          }
          const most = Math.max(1, Math.floor(limit * share))
          for (const at of granted) {
            expect(granted.filter((other) => other > at - 60_000 && other <= at).length).toBeLessThanOrEqual(most)
          }
        },
      ),
    )
  })

  it('survives being stored as JSON between two decisions', () => {
    const { states } = takeAll(learn({}, scopes, seen(50, 40), 0), 'backfill', 0, 0.5)
    expect(JSON.parse(JSON.stringify(states))).toEqual(states)
  })
})

describe('a budget in memory', () => {
  it('lets calls wait for their turn and then pass', async () => {
    let now = 0
    const budget = memoryBudget(
      0.1,
      () => now,
      async (ms) => {
        now += ms
      },
    )
    for (let call = 0; call < 11; call += 1) await budget.take(user, 'hot')
    expect(now).toBeGreaterThanOrEqual(120_000)
    expect(now).toBeLessThan(125_000)
  })

  it('stops waiting when the caller gives up', async () => {
    const budget = memoryBudget(0.02)
    await budget.take(user, 'hot')
    const abort = new AbortController()
    const waiting = budget.take(user, 'hot', abort.signal)
    abort.abort()
    await expect(waiting).rejects.toThrow(expect.objectContaining({ name: 'AbortError' }))
  })
})
