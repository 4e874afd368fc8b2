import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { BuildkiteClock } from '../../src/buildkite/http/skew.ts'
import { readMoment } from '../../src/buildkite/timestamp.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'
import { askBuild, clientOf, closeAll, errorOf, startStub } from './stub.ts'

afterEach(closeAll)

const start = Date.parse('2026-03-01T12:00:00.456Z')

interface Request {
  tookMs?: number
  /** By how much our wall clock is set before the request, and while it is under way. */
  stepBefore?: number
  stepDuring?: number
  /** By how much the `Date` of each answer is wrong, one for each try; 0 beyond them. */
  lies?: readonly number[]
}

/** A Buildkite with the right time, our clocks, and requests that are repeated as the transport repeats them. */
function world({ ahead = 0, oneClock = false } = {}) {
  let truth = start
  let wallAhead = ahead
  const wall = () => truth + wallAhead
  const clock = new BuildkiteClock(wall, oneClock ? wall : () => truth - start + 5_000)
  return {
    clock,
    get truth() {
      return truth
    },
    pass(ms: number) {
      truth += ms
    },
    ask({ tookMs = 200, stepBefore = 0, stepDuring = 0, lies = [] }: Request = {}) {
      wallAhead += stepBefore
      for (let tries = 1, doubts = 0; ; tries += 1) {
        const sentAt = truth
        const sent = clock.moment()
        truth += tookMs / 2
        if (tries === 1) wallAhead += stepDuring
        const date = new Date(truth + (lies[tries - 1] ?? 0)).toUTCString()
        truth += tookMs / 2
        const time = clock.observe(sent, clock.moment(), date)
        if (time?.isCertain || (time && doubts >= 2)) return { at: time.at.getTime(), sentAt, seenAt: truth, tries }
        if (time) doubts += 1
      }
    },
  }
}

describe('the time of a read', () => {
  it('is when the request started, by our clock, while both clocks agree', () => {
    const { ask } = world()
    expect(ask()).toMatchObject({ at: start, tries: 1 })
    expect(ask({ tookMs: 29_000 })).toMatchObject({ at: start + 200, tries: 1 })
  })

  it('is based on our clock if no answer has a Date', () => {
    const { clock } = world()
    for (const date of [undefined, 'yesterday']) {
      expect(clock.observe(clock.moment(), clock.moment(), date)).toEqual({ at: new Date(start), isCertain: true })
    }
    expect(clock.now()).toBeUndefined()
  })

  it.each([-3_600_000, -10_000, -1_600, 1_600, 10_000, 3_600_000])(
    'is Buildkite’s when we are %d ms ahead',
    (ahead) => {
      const { ask } = world({ ahead })
      const first = ask()
      expect(first.tries).toBeLessThanOrEqual(2)
      expect(first.at).toBeLessThanOrEqual(first.seenAt + SECOND)
      expect(first.at).toBeGreaterThan(first.sentAt - 1_200)
    },
  )

  it('becomes more accurate with each answer, and is never late', () => {
    const { ask, pass } = world({ ahead: -60_000 })
    for (let call = 0; call < 15; call += 1) {
      ask({ tookMs: 100 })
      pass(1_037)
    }
    const { at, sentAt } = ask({ tookMs: 100 })
    expect(at).toBeLessThanOrEqual(sentAt)
    expect(at).toBeGreaterThan(sentAt - 200)
  })

  it('is unknown when our clock was adjusted during the request', () => {
    for (const oneClock of [true, false]) {
      const { at, sentAt, tries } = world({ oneClock }).ask({ stepDuring: -10 * HOUR })
      expect(tries).toBeGreaterThan(1)
      expect(tries).toBeLessThanOrEqual(3)
      expect(at).toBeLessThanOrEqual(sentAt)
      expect(at).toBeGreaterThan(sentAt - 1_200)
    }
    expect(world().ask({ stepDuring: 10 * HOUR }).tries).toBeGreaterThan(1)
  })

  it('takes one more request to determine when our clock was adjusted between two requests', () => {
    const { ask } = world()
    ask()
    const { at, sentAt, tries } = ask({ stepBefore: 5 * HOUR })
    expect(tries).toBe(2)
    expect(at).toBeLessThanOrEqual(sentAt)
    expect(at).toBeGreaterThan(sentAt - 1_200)
    expect(ask().tries).toBe(1)
  })

  it('is not moved by one wrong Date, which costs one more request', () => {
    for (const lie of [-5 * HOUR, 5 * HOUR]) {
      const { ask, clock } = world()
      // Also by the very first answer.
      for (let call = 0; call < 20; call += 1) {
        const lies = call % 4 === 0 ? [lie] : []
        const { at, sentAt, tries } = ask({ lies })
        expect(at).toBe(sentAt)
        expect(tries).toBe(1 + lies.length)
        expect(clock.now()?.getTime()).toBeGreaterThan(sentAt)
        expect(clock.now()?.getTime()).toBeLessThanOrEqual(sentAt + 200)
      }
    }
  })

  it('is the earliest possible one while a server’s clock keeps contradicting', () => {
    const { ask, clock } = world()
    for (let call = 0; call < 15; call += 1) ask()
    const fast = ask({ lies: [HOUR, HOUR, HOUR] })
    expect(fast.at).toBe(fast.sentAt)
    const slow = ask({ lies: [-HOUR, -HOUR, -HOUR] })
    expect(slow.at).toBeLessThanOrEqual(slow.seenAt - HOUR + SECOND)
    const { at, sentAt } = ask()
    expect(at).toBe(sentAt)
    expect(clock.now()?.getTime()).toBeLessThanOrEqual(sentAt + 200)
  })

  it('follows Buildkite’s clock once most of the last answers agree on it', () => {
    const { ask } = world()
    for (let call = 0; call < 15; call += 1) ask()
    for (let call = 0; call < 3; call += 1) ask({ lies: [HOUR, HOUR, HOUR] })
    const { at, sentAt, tries } = ask({ lies: [HOUR, HOUR, HOUR] })
    expect(tries).toBe(1)
    expect(at - sentAt - HOUR).toBeGreaterThan(-1_200)
    expect(at - sentAt - HOUR).toBeLessThanOrEqual(0)
  })

  it('recovers after the machine slept, which stops the monotonic clock', () => {
    let slept = 0
    let truth = start
    const clock = new BuildkiteClock(
      () => truth,
      () => truth - slept,
    )
    const ask = () => clock.observe(clock.moment(), clock.moment(), new Date(truth).toUTCString())
    ask()
    slept = 8 * HOUR
    truth += slept
    expect(clock.now()?.getTime()).toBeLessThanOrEqual(truth)
    ask()
    expect(ask()).toEqual({ at: new Date(truth), isCertain: true })
    expect(clock.now()?.getTime()).toBe(truth)
  })

  it('is never more than a second late, however our clock is adjusted, and is soon accurate again', () => {
    const ms = fc.oneof(
      fc.constant(0),
      fc.integer({ min: -3_000, max: 3_000 }),
      fc.integer({ min: -20 * HOUR, max: 20 * HOUR }),
    )
    const request = fc.record({
      pauseMs: fc.integer({ min: 0, max: 5 * MINUTE }),
      tookMs: fc.integer({ min: 0, max: 29_000 }),
      stepBefore: ms,
      stepDuring: ms,
    })
    const lie = fc.record({ at: fc.nat({ max: 30 }), by: fc.integer({ min: -20 * HOUR, max: 20 * HOUR }) })
    fc.assert(
      fc.property(
        fc.array(request, { maxLength: 30 }),
        lie,
        fc.boolean(),
        ms,
        (requests, { at, by }, oneClock, ahead) => {
          // With one clock for both, a wrong Date that equals an error of that clock cannot be recognized.
          let off = ahead
          const offs = requests.flatMap(({ stepBefore, stepDuring }, index) => {
            if (oneClock && index === at) fc.pre(stepDuring === 0)
            const before = off + stepBefore
            off = before + stepDuring
            return [before, off]
          })
          // So it cannot if it equals what was added to the error since an earlier answer. With two it cannot in the first answer.
          const here = offs[2 * at] ?? 0
          const confusable = oneClock ? [ahead, ...offs].flatMap((other) => [other, here - other]) : offs.slice(0, 1)
          const [least, most] = [Math.min(0, ...confusable), Math.max(0, ...confusable)]
          fc.pre(by < least - 10 * SECOND || by > most + 10 * SECOND)
          const { ask, pass, clock } = world({ ahead, oneClock })
          const asked = requests.map(({ pauseMs, ...one }, index) => {
            pass(pauseMs)
            return ask({ ...one, lies: index === at ? [by] : [] })
          })
          for (const one of asked) expect(one.at).toBeLessThanOrEqual(one.seenAt + SECOND)
          for (let call = 0; call < 5; call += 1) asked.push(ask())
          const last = ask()
          expect(last.at).toBeLessThanOrEqual(last.seenAt + SECOND)
          expect(last.at).toBeGreaterThan(last.sentAt - 2 * SECOND)
          expect(clock.now()?.getTime()).toBeLessThanOrEqual(last.seenAt + SECOND)
          expect(clock.now()?.getTime()).toBeGreaterThan(last.seenAt - 2 * SECOND)
        },
      ),
      // Shrinking such histories may take minutes.
      { numRuns: 2_000, endOnFailure: true },
    )
  })
})

describe('a client', () => {
  it('repeats a read when its clock was adjusted during the request', async () => {
    const truth = start
    let ahead = 10 * HOUR
    let set = false
    const stub = await startStub(({ index }) => {
      if (index === 0 && set) ahead = 0
      return { json: { id: index }, headers: { date: new Date(truth).toUTCString() } }
    })
    for (const monotonic of [undefined, () => truth]) {
      ahead = 10 * HOUR
      set = true
      stub.seen.length = 0
      const client = clientOf(stub.url, { clock: () => truth + ahead, ...(monotonic && { monotonic }) })
      // The first answer's time is not known, and a second one alone may be wrong.
      expect(await askBuild(client)).toEqual({ value: { id: 2 }, at: new Date(truth) })
      expect(client.now()).toEqual(new Date(truth))
      expect(stub.seen.length).toBe(3)
    }
  })

  it('limits the repetitions of a read, and never repeats a write, when its clock is adjusted repeatedly', async () => {
    let now = start
    const clock = () => {
      now -= HOUR
      return now
    }
    const stub = await startStub(() => ({ json: { id: 'x' }, headers: { date: new Date(start).toUTCString() } }))
    const error = await errorOf(askBuild(clientOf(stub.url, { clock, monotonic: () => start })))
    expect(error).toMatchObject({ name: 'BuildkiteError', code: 'unavailable' })
    expect(stub.seen.length).toBe(6)
    await errorOf(
      clientOf(stub.url, { clock, monotonic: () => start }).services.create('acme', { url: 'https://x.invalid' }),
    )
    expect(stub.seen.length).toBe(7)
  })

  it('does not let one server with a wrong clock change its time', async () => {
    const stub = await startStub(({ index }) => ({
      json: { id: index },
      headers: { date: new Date(start + (index % 3 === 1 ? 9 * HOUR : 0)).toUTCString() },
    }))
    const client = clientOf(stub.url, { clock: () => start })
    for (let call = 0; call < 12; call += 1) expect((await askBuild(client))?.at).toEqual(new Date(start))
    expect(client.now()).toEqual(new Date(start))
    expect(client.skew?.high).toBeLessThan(DAY)
    expect(stub.seen.length).toBe(18)
  })
})

describe('a date of Buildkite', () => {
  it('is read with milliseconds from ISO 8601, and in seconds from the older form', () => {
    expect(readMoment('2015-05-09T21:05:59.874Z')).toEqual({
      ms: Date.UTC(2015, 4, 9, 21, 5, 59, 874),
      resolutionMs: 1,
    })
    expect(readMoment('2013-09-03 13:24:38 UTC')).toEqual({ ms: Date.UTC(2013, 8, 3, 13, 24, 38), resolutionMs: 1000 })
  })

  it('is read with microseconds cut off, and with an offset', () => {
    expect(readMoment('2020-01-01T00:00:00.123999Z')?.ms).toBe(Date.UTC(2020, 0, 1, 0, 0, 0, 123))
    expect(readMoment('2020-01-01T02:00:00+02:00')?.ms).toBe(Date.UTC(2020, 0, 1))
  })

  it.each([null, undefined, 5, '', 'soon', '2020-13-01T00:00:00Z'])('is undefined for %j', (value) => {
    expect(readMoment(value)).toBeUndefined()
  })
})
