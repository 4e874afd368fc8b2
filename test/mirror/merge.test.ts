import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mergeRow } from '../../src/mirror/merge.ts'
import type { BuildRow, JobRow, Observation } from '../../src/mirror/observation.ts'
import { buildFromPayload, jobFromPayload } from '../../src/mirror/payload-to-row.ts'
import { buildRule, jobRule } from '../../src/mirror/rules.ts'
import { at, buildPayload, ids, jobPayload } from './payloads.ts'

const now = at(1_000)

function sawBuild(via: 'webhook' | 'rest', seconds: number, given: object): Observation<BuildRow> {
  const fields = buildFromPayload(buildPayload(given))
  if (!fields) throw new Error('unreadable')
  return { fields, at: at(seconds), via, place: {} }
}

function sawJob(via: 'webhook' | 'rest', seconds: number, given: object): Observation<JobRow> {
  const fields = jobFromPayload(jobPayload(given), ids.build)
  if (!fields) throw new Error('unreadable')
  return { fields, at: at(seconds), via, place: {} }
}

function mergeBuilds(...observations: Observation<BuildRow>[]): BuildRow {
  return fold(observations, (row: BuildRow | undefined, seen) => mergeRow(buildRule, row, seen, now))
}

function mergeJobs(...observations: Observation<JobRow>[]): JobRow {
  return fold(observations, (row: JobRow | undefined, seen) => mergeRow(jobRule, row, seen, now))
}

function fold<Seen, Row>(observations: readonly Seen[], merge: (row: Row | undefined, seen: Seen) => Row): Row {
  let row: Row | undefined
  for (const seen of observations) row = merge(row, seen)
  if (row === undefined) throw new Error('nothing to merge')
  return row
}

const passed = { state: 'passed', finished_at: '2026-05-01T10:05:00.300Z' }
const isProvisional = (row: BuildRow) => row.verified_at === null || row.observed_at > row.verified_at

describe('merging builds', () => {
  it('lets the later observation win in whatever order they arrive', () => {
    const running = sawBuild('webhook', 10, {})
    const done = sawBuild('webhook', 301, passed)
    expect(mergeBuilds(running, done)).toMatchObject({ state: 'passed' })
    expect(mergeBuilds(done, running)).toMatchObject({ state: 'passed', finished_at: new Date(passed.finished_at) })
  })

  it('lets a webhook take a finished build back, and leaves it provisional until REST confirms', () => {
    const reopened = { state: 'running', finished_at: null }
    const row = mergeBuilds(sawBuild('rest', 301, passed), sawBuild('webhook', 400, reopened))
    expect(row).toMatchObject({ state: 'running', finished_at: null })
    expect(isProvisional(row)).toBe(true)
    expect(
      isProvisional(
        mergeBuilds(sawBuild('rest', 301, passed), sawBuild('webhook', 400, reopened), sawBuild('rest', 401, reopened)),
      ),
    ).toBe(false)
  })

  it('takes the further one of two observations in the same second, and a new attempt over any finish', () => {
    expect(mergeBuilds(sawBuild('webhook', 300, passed), sawBuild('rest', 300.4, {}))).toMatchObject({
      state: 'passed',
    })
    const next = sawBuild('webhook', 300, { state: 'running', started_at: '2026-05-01T10:05:00.900Z' })
    expect(mergeBuilds(sawBuild('webhook', 300, passed), next)).toMatchObject({ state: 'running' })
    expect(mergeBuilds(next, sawBuild('webhook', 300, passed))).toMatchObject({ state: 'running' })
  })

  it('takes a cancel at a gate for an end, though the build still says blocked', () => {
    const gate = { ...passed, blocked: true }
    const stopped = sawBuild('rest', 300, gate)
    const canceled = sawBuild('webhook', 300, { ...gate, state: 'canceled' })
    expect(mergeBuilds(stopped, canceled)).toMatchObject({ state: 'canceled' })
    expect(mergeBuilds(canceled, stopped)).toMatchObject({ state: 'canceled' })
  })

  it('never erases a known value by an absent key, and by a null only on the word of REST', () => {
    const known = sawBuild('webhook', 10, { tag: 'v1', pull_request: { id: '5', base: 'main' } })
    const silent = sawBuild('webhook', 20, {})
    expect(mergeBuilds(known, silent)).toMatchObject({ tag: 'v1' })
    expect(mergeBuilds(known, sawBuild('webhook', 20, { tag: null, pull_request: null }))).toMatchObject({
      tag: 'v1',
      pull_request_id: '5',
    })
    expect(mergeBuilds(known, sawBuild('rest', 20, { tag: null, pull_request: null }))).toMatchObject({
      tag: null,
      pull_request_id: null,
    })
  })

  it('learns what it did not know from an older observation, but not that the build had ended', () => {
    const row = mergeBuilds(
      sawBuild('rest', 20, { finished_at: null }),
      sawBuild('webhook', 10, { ...passed, tag: 'v1' }),
    )
    expect(row).toMatchObject({ state: 'running', finished_at: null, tag: 'v1' })
  })

  it('keeps milliseconds when an old payload tells the same second', () => {
    const row = mergeBuilds(
      sawBuild('rest', 10, {}),
      sawBuild('webhook', 20, { created_at: '2026-05-01 10:00:00 UTC', state: 'failing' }),
    )
    expect(row).toMatchObject({ state: 'failing', created_at: new Date('2026-05-01T10:00:00.100Z') })
  })

  it('returns the very row when an observation says nothing new', () => {
    const row = mergeBuilds(sawBuild('rest', 310, passed))
    expect(mergeRow(buildRule, row, sawBuild('webhook', 320, passed), now)).toBe(row)
    expect(mergeRow(buildRule, row, sawBuild('rest', 370, passed), now)).toBe(row)
    expect(mergeRow(buildRule, row, sawBuild('rest', 4_000, passed), now)).toMatchObject({
      verified_at: at(4_000),
      changed_at: row.changed_at,
    })
  })

  it('renews the verification of an open build at every read, which keeps out late webhooks from before it', () => {
    const row = mergeBuilds(sawBuild('rest', 10, {}), sawBuild('rest', 70, {}))
    expect(row).toMatchObject({ verified_at: at(70), changed_at: now })
    expect(mergeRow(buildRule, row, sawBuild('webhook', 40, passed), now)).toBe(row)
  })

  it('unmarks a build that comes back', () => {
    const gone: BuildRow = {
      ...mergeBuilds(sawBuild('rest', 10, {})),
      deleted_at: at(100),
      deleted_reason: 'deleted',
    }
    expect(mergeRow(buildRule, gone, sawBuild('rest', 50, {}), now)).toMatchObject({ deleted_at: at(100) })
    expect(mergeRow(buildRule, gone, sawBuild('rest', 150, {}), now)).toMatchObject({
      deleted_at: null,
      deleted_reason: null,
    })
  })

  it('replaces extra by a whole object from REST, and only adds and changes its keys by webhooks and embedded objects', () => {
    const first = sawBuild('rest', 10, { obsolete: 1, nested: { a: 1, b: 2 }, gone: 'x' })
    const second = sawBuild('rest', 20, { nested: { a: 1 }, gone: null })
    expect(mergeBuilds(first, second).extra).toEqual({ nested: { a: 1 }, gone: null })
    const webhook = sawBuild('webhook', 30, { nested: { c: 3 }, gone: 'y', new: null })
    const changed = mergeBuilds(first, second, webhook)
    expect(changed.extra).toEqual({ nested: { a: 1, c: 3 }, gone: 'y', new: null })
    expect(isProvisional(changed)).toBe(true)
    const erasing = sawBuild('webhook', 31, { gone: null })
    expect(mergeBuilds(first, second, webhook, erasing).extra).toEqual(changed.extra)
    const embedded = { ...sawBuild('rest', 40, { gone: 'z' }), isEmbedded: true }
    expect(mergeBuilds(first, second, embedded).extra).toEqual({ nested: { a: 1 }, gone: 'z' })
  })

  it('adds no key of extra by a webhook from before the last verification', () => {
    const row = mergeBuilds(sawBuild('rest', 20, { kept: 1 }), sawBuild('webhook', 10, { obsolete: 1 }))
    expect(row.extra).toEqual({ kept: 1 })
    const job = mergeJobs(sawJob('rest', 20, { kept: 1 }), sawJob('webhook', 10, { obsolete: 1 }))
    expect(job.extra).toEqual({ kept: 1 })
  })

  it('ranks a state that is named like a property of objects as an unknown one', () => {
    const named = sawBuild('webhook', 300, { state: 'constructor' })
    expect(mergeBuilds(sawBuild('webhook', 300, passed), named)).toMatchObject({ state: 'passed' })
    expect(mergeBuilds(named, sawBuild('webhook', 300, passed))).toMatchObject({ state: 'passed' })
    const job = sawJob('webhook', 6, { state: 'toString' })
    expect(mergeJobs(job, sawJob('webhook', 7, { state: 'passed' }))).toMatchObject({ state: 'passed' })
    expect(mergeJobs(sawJob('webhook', 7, { state: 'passed' }), job)).toMatchObject({ state: 'passed' })
  })

  it('shows a change by webhook as provisional even within the second of a verification', () => {
    const row = mergeBuilds(sawBuild('rest', 10.5, {}), sawBuild('webhook', 10, { state: 'failing' }))
    expect(row.state).toBe('failing')
    expect(isProvisional(row)).toBe(true)
  })
})

const jobLife = [
  sawJob('webhook', 1, { state: 'scheduled', started_at: null, agent: null }),
  sawJob('webhook', 6, { state: 'assigned', started_at: null }),
  sawJob('webhook', 7, { state: 'running' }),
  sawJob('webhook', 60, { state: 'failed', finished_at: '2026-05-01T10:01:00.000Z', exit_status: 1 }),
  sawJob('webhook', 90, {
    state: 'failed',
    finished_at: '2026-05-01T10:01:00.000Z',
    exit_status: 1,
    retried: true,
    retries_count: 1,
  }),
]

describe('merging jobs', () => {
  it('comes to the same row whatever the order and however often each webhook arrives', () => {
    const { first_seen_at: _, observed_at: __, ...expected } = mergeJobs(...jobLife)
    expect(expected).toMatchObject({ state: 'failed', exit_status: 1, retried: true, agent_id: ids.agent })
    const shuffled = fc
      .shuffledSubarray([...jobLife, ...jobLife], { minLength: jobLife.length })
      .filter((some) => new Set(some).size === jobLife.length)
    fc.assert(
      fc.property(shuffled, (order) => {
        expect(mergeJobs(...order)).toMatchObject(expected)
      }),
      { numRuns: 300 },
    )
  })

  it('lets a later REST read overrule, even backwards', () => {
    const row = mergeJobs(...jobLife, sawJob('rest', 100, { state: 'running', retried: false }))
    expect(row).toMatchObject({
      state: 'running',
      finished_at: null,
      exit_status: null,
      retried: false,
      verified_at: at(100),
    })
  })

  it('lets a job go on whose wait had failed, once a retry has brought that to an end', () => {
    const stopped = sawJob('rest', 10, { state: 'waiting_failed', started_at: null })
    expect(mergeJobs(stopped, sawJob('webhook', 10, { state: 'scheduled', started_at: null }))).toMatchObject({
      state: 'scheduled',
    })
    const ended = { state: 'passed', finished_at: '2026-05-01T10:00:40.000Z' }
    expect(mergeJobs(stopped, sawJob('webhook', 40, ended))).toMatchObject({ state: 'passed' })
  })

  it('does not let a late webhook undo what REST has verified since', () => {
    const verified = mergeJobs(sawJob('rest', 100, { state: 'running' }))
    expect(
      mergeJobs(sawJob('rest', 100, { state: 'running' }), sawJob('webhook', 60, { state: 'failed', exit_status: 1 })),
    ).toEqual(verified)
  })
})

/** A webhook about the one job with arbitrary values, also contradictory ones; a key may be absent or null. */
const anyJobWebhook = fc
  .record(
    {
      state: fc.constantFrom('scheduled', 'running', 'passed', 'failed', 'canceled', 'timed_out', 'new_state', null),
      name: fc.constantFrom('a', 'b', null),
      started_at: anyTime(),
      finished_at: anyTime(),
      exit_status: fc.constantFrom(0, 1, -1, null),
      soft_failed: fc.constantFrom(true, false, null),
      retried: fc.boolean(),
      unblockable: fc.boolean(),
      retries_count: fc.constantFrom(0, 1, 2, null),
      agent_query_rules: fc.constantFrom(['queue=a'], ['queue=b', 'os=linux'], [], null),
      matrix: fc.constantFrom({ os: 'linux', arch: 'arm64' }, { arch: 'arm64', os: 'linux' }, { os: 'mac' }),
      agent: fc.constantFrom({ id: ids.agent, name: 'one' }, { id: ids.creator, name: 'two' }, null),
      new_field: fc.oneof(
        fc.integer(),
        fc.constantFrom('x', null, [3], { y: 1, z: [2] }, { z: [2], y: 1 }, { y: null }),
      ),
    },
    { requiredKeys: [] },
  )
  .chain((given) => fc.integer({ min: 0, max: 99 }).map((second) => ({ given, second })))
  .map(({ given, second }) => {
    const fields = jobFromPayload({ id: ids.job, ...given }, ids.build)
    if (!fields) throw new Error('unreadable')
    return { fields, at: at(second), via: 'webhook' as const, place: {} }
  })

function anyTime() {
  return fc.constantFrom('2026-05-01T10:00:06.500Z', '2026-05-01T10:00:06.000Z', '2026-05-01T10:01:00.000Z', null)
}

/** What a row says of its job: without what the mirror says of the row. */
function facts(row: JobRow) {
  return { ...Object.fromEntries(jobRule.columns.map((column) => [column, row[column]])), extra: row.extra }
}

describe('the merge of jobs, for webhooks with any values', () => {
  it('is commutative and associative: every order gives the same row', () => {
    const shuffles = fc
      .array(anyJobWebhook, { minLength: 1, maxLength: 6 })
      .chain((all) => fc.tuple(fc.constant(all), fc.shuffledSubarray(all, { minLength: all.length })))
    fc.assert(
      fc.property(shuffles, ([one, other]) => {
        expect(facts(mergeJobs(...other))).toEqual(facts(mergeJobs(...one)))
      }),
      { numRuns: 2_000 },
    )
  })

  it('is idempotent: what was merged before changes nothing, not even the row', () => {
    fc.assert(
      fc.property(fc.array(anyJobWebhook, { minLength: 1, maxLength: 5 }), fc.nat(), (all, index) => {
        const row = mergeJobs(...all)
        const again = all[index % all.length]
        expect(again && mergeRow(jobRule, row, again, now)).toBe(row)
      }),
      { numRuns: 1_000 },
    )
  })

  it('leaves the last word to a later REST read, and no stale webhook takes it back', () => {
    fc.assert(
      fc.property(fc.array(anyJobWebhook, { maxLength: 4 }), fc.array(anyJobWebhook), (before, after) => {
        const read = sawJob('rest', 200, { state: 'failed', exit_status: 1, finished_at: '2026-05-01T10:02:00.000Z' })
        const known = jobRule.columns.filter((column) => read.fields[column] !== undefined)
        const row = mergeJobs(...before, read, ...after)
        expect(known.map((column) => row[column])).toEqual(known.map((column) => read.fields[column]))
        expect(row.extra).toEqual(read.fields.extra)
      }),
      { numRuns: 1_000 },
    )
  })
})
