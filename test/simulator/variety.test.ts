import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import type { ScriptJob } from '../../src/simulator/model/shapes.ts'
import { createRandom } from '../../src/simulator/random.ts'
import { renderChange } from '../../src/simulator/webhooks/webhooks.ts'
import { olderWebhook } from '../support/older-webhook.ts'
import { type Asking, idsOf, type Json, openAsking } from './ask.ts'

let asking: Asking

beforeEach(async () => {
  asking = await openAsking({ variety: true, pipelines: 5, seed: 3 })
  asking.simulation.writeHistory({ builds: 300, days: 20 })
})
afterEach(() => asking.simulation.stop())

const scripts = () =>
  asking.simulation.truth.jobs.map(({ job }) => job).filter((job): job is ScriptJob => job.type === 'script')

describe('a varied simulation', () => {
  test('has jobs in queues of a cluster, signed steps, and jobs that expired or took too long', () => {
    const jobs = scripts()
    expect(jobs.some((job) => job.cluster_queue_id !== null)).toBe(true)
    expect(jobs.some((job) => job.cluster_queue_id === null)).toBe(true)
    expect(jobs.some((job) => Array.isArray(job.step.signature?.signed_fields))).toBe(true)
    expect(jobs.some((job) => job.state === 'expired' && job.expired_at !== null)).toBe(true)
    expect(jobs.some((job) => job.state === 'timed_out')).toBe(true)
  })

  test('has builds without a cluster and rebuilt ones, and block steps with and without a key', () => {
    const { builds, jobs } = asking.simulation.truth
    expect(new Set(builds.map(({ cluster_id }) => cluster_id === null))).toEqual(new Set([true, false]))
    expect(builds.some(({ rebuilt_from }) => rebuilt_from !== null)).toBe(true)
    const manual = jobs.flatMap(({ job }) => (job.type === 'manual' ? [job.step_key] : []))
    expect(new Set(manual)).toEqual(new Set([null, 'release']))
  })

  test('has an archived pipeline with builds, pipelines with times of 2018, and agents without a last job', async () => {
    const pipelines = await asking.list('/pipelines')
    const archived = pipelines.find(({ archived_at }) => archived_at !== null)
    expect((await asking.list(`/pipelines/${archived?.slug}/builds`)).length).toBeGreaterThan(5)
    const times = pipelines.map(({ created_at }) => String(created_at))
    expect(times.filter((time) => /^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/.test(time)).length).toBe(1)
    const jobless = asking.simulation.truth.agents.filter((agent) => agent.last_job_finished_at === null)
    expect(jobless.length).toBeGreaterThan(0)
  })

  test('shows old builds without newer keys and in the old time format, in lists and individually', async () => {
    const listed = await asking.list('/builds?per_page=100')
    const old = listed.filter(({ created_at }) => String(created_at).endsWith(' UTC'))
    expect(old.length).toBeGreaterThan(20)
    expect(old.length).toBeLessThan(60)
    expect(old.some((build) => !('cluster_id' in build) && !('failing_at' in build))).toBe(true)
    const [build] = old
    const response = await asking.ask(String(build?.url).split('/acme')[1] ?? '')
    expect(await response.json()).toMatchObject(build ?? {})
    expect(JSON.stringify(old.map(({ jobs }) => jobs))).toMatch(/"finished_at":"[-\d]+ [:\d]+ UTC"/)
    const from = String(build?.created_at)
    expect(idsOf(await asking.list(`/builds?created_from=${encodeURIComponent(from)}`))).toContain(build?.id)
  })
})

test('older webhooks lack 11 to 17 keys of a build and have whole seconds, by event and seed', () => {
  const { truth } = asking.simulation
  const build = asking.simulation.startBuild()
  const body = renderChange(truth, { event: 'build.scheduled', build }, { id: 'sender', name: 'Sender' })
  const keysOf = (json: Json) => Object.keys(json.build as Json)
  const random = createRandom('older')
  const older = Array.from({ length: 20 }, () => olderWebhook(body, random))
  const author = keysOf(body).includes('author') ? 0 : 1
  const lost = older.map((one) => keysOf(body).length - keysOf(one).length + author)
  expect(Math.min(...lost)).toBeGreaterThanOrEqual(11)
  expect(Math.max(...lost)).toBeLessThanOrEqual(17)
  expect(new Set(lost).size).toBeGreaterThan(2)
  expect(older.map(({ build: one }) => (one as Json).created_at)[0]).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC$/)
  const again = createRandom('older')
  expect(Array.from({ length: 20 }, () => olderWebhook(body, again))).toEqual(older)
})
