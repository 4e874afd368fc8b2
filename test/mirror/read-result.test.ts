import { describe, expect, it } from 'vitest'
import { mergeRow } from '../../src/mirror/merge.ts'
import type { BuildRow, JobRow } from '../../src/mirror/observation.ts'
import { buildFromPayload, jobFromPayload } from '../../src/mirror/payload-to-row.ts'
import {
  buildResult,
  jobResult,
  newestDateOf,
  type ReadResult,
  type WebhookProgress,
} from '../../src/mirror/read-result.ts'
import { buildRule, jobRule } from '../../src/mirror/rules.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import { at, buildPayload, ids, jobPayload } from './payloads.ts'

// The payloads' build was created at 0.1 s and started at 5.2 s, its job created at 1 s and started at 6 s.

/** Webhooks came from the start, and none waits. */
const flowing: WebhookProgress = {
  since: at(-3_600),
  pendingMinutes: new Set(),
  pendingFrom: undefined,
  diverted: false,
}
const pending = (...times: Date[]): WebhookProgress => ({
  ...flowing,
  pendingMinutes: new Set(times.map((time) => Math.floor(time.getTime() / MINUTE))),
})

interface Situation {
  /** What the last webhook said; undefined when none came. */
  known?: object | undefined
  /** When it was sent, in seconds. */
  knownAt?: number
  /** What REST shows. */
  shown: object
  /** When REST is read, in seconds. */
  readAt: number
  progress?: WebhookProgress | undefined
}

function ofBuild({ known, knownAt = 7, shown, readAt, progress }: Situation, jobs: object[] = [{}]): ReadResult {
  const row = (payload: object, seconds: number, via: 'webhook' | 'rest', stored?: BuildRow) => {
    const fields = buildFromPayload(buildPayload(payload))
    if (!fields) throw new Error('no id')
    return mergeRow(buildRule, stored, { fields, at: at(seconds), via, place: {} }, at(seconds))
  }
  const before = known && row(known, knownAt, 'webhook')
  const after = row(shown, readAt, 'rest', before)
  const dates = jobs.flatMap((job) => {
    const fields = jobFromPayload(jobPayload(job), ids.build)
    return fields ? [newestDateOf(fields).getTime()] : []
  })
  const newestJob = dates.length > 0 ? new Date(Math.max(...dates)) : undefined
  return buildResult({ before, after }, at(readAt), newestJob, progress)
}

function ofJob({ known, knownAt = 7, shown, readAt, progress }: Situation): ReadResult {
  const row = (payload: object, seconds: number, via: 'webhook' | 'rest', stored?: JobRow) => {
    const fields = jobFromPayload(jobPayload(payload), ids.build)
    if (!fields) throw new Error('no id')
    return mergeRow(jobRule, stored, { fields, at: at(seconds), via, place: {} }, at(seconds))
  }
  const before = known && row(known, knownAt, 'webhook')
  return jobResult({ before, after: row(shown, readAt, 'rest', before) }, at(readAt), progress)
}

const time = (seconds: number) => at(seconds).toISOString()
const passed = { state: 'passed', finished_at: time(60) }
const blocked = { state: 'passed', blocked: true, blocked_state: 'passed', finished_at: time(60) }
const endedJob = { state: 'passed', finished_at: time(60), exit_status: 0 }
const waiting = { state: 'waiting', started_at: null, agent: null }
const scheduled = { ...waiting, state: 'scheduled', runnable_at: time(2) }

type Row = [what: string, expected: ReadResult, situation: Situation]

describe('a build that REST shows', () => {
  it.each<Row>([
    ['is as the last webhook said', 'confirmed', { known: {}, shown: {}, readAt: 300 }],
    ['gets env, which no webhook carries', 'completed', { known: {}, shown: { env: { A: '1' } }, readAt: 300 }],
    ['gets a key of extra', 'completed', { known: {}, shown: { new_key: 1 }, readAt: 300 }],
    ['has edited meta-data', 'completed', { known: { meta_data: { a: '1' } }, shown: { meta_data: {} }, readAt: 300 }],
    ['has its commit resolved', 'completed', { known: { commit: 'HEAD' }, shown: {}, readAt: 300 }],
    ['is of a renamed pipeline', 'completed', { known: {}, shown: { url: 'https://x/renamed/7' }, readAt: 300 }],
    ['is being canceled', 'completed', { known: {}, shown: { state: 'canceling' }, readAt: 300 }],
    ['ran no step', 'completed', { known: {}, shown: { ...passed, state: 'not_run' }, readAt: 300 }],
    ['is only being created', 'completed', { shown: { state: 'creating', started_at: null }, readAt: 300 }],
    ['was never reported', 'missing', { shown: {}, readAt: 300 }],
    ['was created a moment ago', 'in_flight', { shown: { started_at: null, state: 'scheduled' }, readAt: 8 }],
    ['finished unreported', 'healed', { known: {}, shown: passed, readAt: 300 }],
    ['finished a moment ago', 'in_flight', { known: {}, shown: passed, readAt: 69 }],
    [
      'finished again unreported',
      'healed',
      { known: passed, knownAt: 61, shown: { ...passed, finished_at: time(120) }, readAt: 300 },
    ],
    ['waits at a block step, unreported', 'healed', { known: {}, shown: blocked, readAt: 300 }],
    [
      'has another result',
      'healed',
      { known: passed, knownAt: 61, shown: { ...passed, state: 'failed' }, readAt: 300 },
    ],
    ['has another branch', 'healed', { known: {}, shown: { branch: 'other' }, readAt: 300 }],
    [
      'began to fail unreported',
      'healed',
      { known: {}, shown: { state: 'failing', failing_at: time(30) }, readAt: 300 },
    ],
    [
      'was known to the second only',
      'completed',
      {
        known: { ...passed, finished_at: '2026-05-01 10:01:00 UTC' },
        knownAt: 61,
        shown: { ...passed, finished_at: time(60.5) },
        readAt: 300,
      },
    ],
  ])('and that %s is %s', (_what, expected, situation) => {
    expect(ofBuild({ ...situation, progress: flowing })).toBe(expected)
  })

  it('and that runs again is dated by its jobs', () => {
    const again = { known: passed, knownAt: 61, shown: { state: 'running', finished_at: null }, readAt: 300 }
    const retry = (seconds: number) => [{ created_at: time(seconds), started_at: null, state: 'scheduled' }]
    expect(ofBuild({ ...again, progress: flowing }, retry(200))).toBe('healed')
    expect(ofBuild({ ...again, progress: flowing }, retry(295))).toBe('in_flight')
    // Listed without its jobs: the jobs, read by themselves, tell what was lost.
    expect(ofBuild({ ...again, progress: flowing }, [])).toBe('in_flight')
    // Its webhook bore the second of the finish, and was passed over.
    expect(ofBuild({ ...again, progress: flowing }, retry(61))).toBe('in_flight')
  })

  it('and that a pending delivery may explain is in flight, however old both are', () => {
    const finish = { known: {}, shown: passed, readAt: 3_600 }
    expect(ofBuild({ ...finish, progress: pending(at(61)) })).toBe('in_flight')
    // One that is stuck since long before explains nothing that came later.
    expect(ofBuild({ ...finish, progress: pending(at(-900)) })).toBe('healed')
    expect(ofBuild({ ...finish, progress: pending(at(900)) })).toBe('healed')
    expect(ofBuild({ ...finish, progress: { ...flowing, pendingFrom: at(0) } })).toBe('in_flight')
    expect(ofBuild({ ...finish, progress: { ...flowing, diverted: true } })).toBe('in_flight')
  })

  it('and whose beginning was lost is missing although its end is in flight', () => {
    expect(ofBuild({ shown: passed, readAt: 65, progress: flowing })).toBe('missing')
    expect(ofBuild({ shown: passed, readAt: 65, progress: pending(at(61)) })).toBe('in_flight')
    expect(ofBuild({ shown: { ...passed, finished_at: time(600) }, readAt: 605, progress: pending(at(601)) })).toBe(
      'missing',
    )
  })

  it('counts nothing as lost if no webhook is expected, or none was expected at the time', () => {
    expect(ofBuild({ shown: {}, readAt: 300 })).toBe('completed')
    expect(ofBuild({ known: {}, shown: passed, readAt: 300 })).toBe('completed')
    expect(ofBuild({ known: {}, shown: {}, readAt: 300 })).toBe('confirmed')
    expect(ofBuild({ known: {}, shown: passed, readAt: 300, progress: { ...flowing, since: at(61) } })).toBe(
      'completed',
    )
    expect(ofBuild({ known: {}, shown: passed, readAt: 300, progress: { ...flowing, since: at(60) } })).toBe('healed')
  })

  it('is not affected by ids that the mirror looks up', () => {
    const fields = buildFromPayload(buildPayload())
    if (!fields) throw new Error('no id')
    const before = mergeRow(buildRule, undefined, { fields, at: at(7), via: 'webhook', place: {} }, at(7))
    const placed = { ...fields, organization_id: ids.organization, pipeline_id: ids.pipeline }
    const after = mergeRow(buildRule, before, { fields: placed, at: at(300), via: 'rest', place: {} }, at(300))
    expect(after.organization_id).toBe(ids.organization)
    expect(buildResult({ before, after }, at(300), at(6), flowing)).toBe('confirmed')
  })
})

describe('a job that REST shows', () => {
  const manual = { type: 'manual', started_at: null, agent: null, state: 'blocked', unblockable: true }
  const trigger = { type: 'trigger', agent: null }
  it.each<Row>([
    ['is as the last webhook said', 'confirmed', { known: {}, shown: {}, readAt: 300 }],
    [
      'is a waiter',
      'completed',
      { shown: { type: 'waiter', state: null, started_at: null, agent: null }, readAt: 300 },
    ],
    ['waits for others', 'completed', { shown: waiting, readAt: 300 }],
    ['is held back by its concurrency group', 'completed', { shown: { ...waiting, state: 'limited' }, readAt: 300 }],
    ['was skipped', 'completed', { shown: { ...waiting, state: 'skipped', finished_at: time(60) }, readAt: 300 }],
    ['is broken', 'completed', { shown: { ...waiting, state: 'broken', finished_at: time(60) }, readAt: 300 }],
    [
      'was canceled while it waited',
      'completed',
      { known: waiting, shown: { ...waiting, state: 'canceled', finished_at: time(60) }, readAt: 300 },
    ],
    [
      'is assigned to an agent',
      'completed',
      { known: scheduled, shown: { ...scheduled, state: 'assigned' }, readAt: 300 },
    ],
    ['is being canceled', 'completed', { known: {}, shown: { state: 'canceling' }, readAt: 300 }],
    [
      'was retried by another job',
      'completed',
      { known: endedJob, knownAt: 61, shown: { ...endedJob, retried: true }, readAt: 300 },
    ],
    [
      'has another priority',
      'completed',
      { known: { priority: { number: 0 } }, shown: { priority: { number: 5 } }, readAt: 300 },
    ],
    ['gets an agent', 'completed', { known: { agent: null }, shown: {}, readAt: 300 }],
    ['is a block step that waits', 'completed', { shown: manual, readAt: 300 }],
    [
      'is a block step of a failed build',
      'completed',
      { known: manual, shown: { ...manual, state: 'blocked_failed', unblockable: false }, readAt: 300 },
    ],
    [
      'is a block step, unblocked unreported',
      'healed',
      { known: manual, shown: { ...manual, state: 'unblocked', unblocked_at: time(60) }, readAt: 300 },
    ],
    ['is a trigger step that has started', 'completed', { shown: trigger, readAt: 300 }],
    ['is a trigger step that finished unreported', 'missing', { shown: { ...trigger, ...endedJob }, readAt: 300 }],
    ['was scheduled unreported', 'missing', { shown: scheduled, readAt: 300 }],
    ['was scheduled a moment ago', 'in_flight', { shown: scheduled, readAt: 9 }],
    ['started unreported', 'healed', { known: scheduled, knownAt: 3, shown: { runnable_at: time(2) }, readAt: 300 }],
    ['finished unreported', 'healed', { known: {}, shown: endedJob, readAt: 300 }],
    ['finished a moment ago', 'in_flight', { known: {}, shown: endedJob, readAt: 69 }],
    ['was canceled while it ran', 'healed', { known: {}, shown: { ...endedJob, state: 'canceled' }, readAt: 300 }],
    [
      'expired unreported',
      'healed',
      { known: scheduled, knownAt: 3, shown: { ...scheduled, state: 'expired', expired_at: time(60) }, readAt: 300 },
    ],
    [
      'has another result',
      'healed',
      { known: endedJob, knownAt: 61, shown: { ...endedJob, state: 'failed', exit_status: 1 }, readAt: 300 },
    ],
    [
      'has another exit status',
      'healed',
      { known: endedJob, knownAt: 61, shown: { ...endedJob, exit_status: 1 }, readAt: 300 },
    ],
    ['has another command', 'healed', { known: { command: 'a' }, shown: { command: 'b' }, readAt: 300 }],
  ])('and that %s is %s', (_what, expected, situation) => {
    expect(ofJob({ ...situation, progress: flowing })).toBe(expected)
  })

  it('loses nothing where no webhook is expected', () => {
    expect(ofJob({ shown: endedJob, readAt: 300 })).toBe('completed')
    expect(ofJob({ known: {}, shown: endedJob, readAt: 300 })).toBe('completed')
    expect(ofJob({ known: endedJob, knownAt: 61, shown: endedJob, readAt: 300 })).toBe('confirmed')
  })
})
