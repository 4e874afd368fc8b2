import { createHmac } from 'node:crypto'
import { createServer, type Server } from 'node:http'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openBuildStates, secretMark } from '../../src/simulator/model/shapes.ts'
import { calmMix } from '../../src/simulator/probabilities.ts'
import { virtualClock } from '../../src/simulator/random.ts'
import { createSimulation } from '../../src/simulator/simulation.ts'

const start = Date.UTC(2026, 0, 15, 12)
const create = (options: Parameters<typeof createSimulation>[0] = {}) =>
  createSimulation({ seed: 42, clock: virtualClock(start), ...options })

describe('a simulation', () => {
  test('is the same to the last id for the same seed, and another for another', async () => {
    const make = async (seed: number) => {
      const simulation = create({ seed, organizations: ['acme', 'globex'] })
      simulation.writeHistory({ builds: 200, days: 30 })
      await simulation.play({ builds: 20 })
      return JSON.stringify(simulation.truth.builds)
    }
    expect(await make(1)).toBe(await make(1))
    expect(await make(1)).not.toBe(await make(2))
  })

  test('writes exactly as many builds and jobs as it is asked for, oldest first, none from the future', () => {
    const simulation = create()
    simulation.writeHistory({ builds: 500, jobs: 5, days: 10, mix: calmMix })
    const { builds, jobs } = simulation.truth
    expect([builds.length, jobs.length]).toEqual([500, 2_500])
    const created = builds.map(({ created_at }) => created_at)
    expect(created).toEqual([...created].sort())
    expect(builds.every(({ finished_at }) => finished_at && Date.parse(finished_at) <= start)).toBe(true)
    expect(Date.parse(created[0] ?? '')).toBeGreaterThanOrEqual(start - 10 * 86_400_000)
  })

  test('sends no webhook for its history', () => {
    const simulation = create()
    const events: string[] = []
    simulation.truth.onChange(({ event }) => events.push(event))
    simulation.writeHistory({ builds: 20, days: 10 })
    expect(events).toEqual([])
    simulation.startBuild()
    expect(events[0]).toBe('build.scheduled')
  })

  test('has every turn of a life in its history', () => {
    const simulation = create()
    simulation.writeHistory({ builds: 3_000, days: 30 })
    const { builds, jobs } = simulation.truth
    const states = new Set(builds.map((build) => (build.blocked ? 'blocked' : build.state)))
    expect(states).toEqual(new Set(['passed', 'failed', 'blocked', 'canceled', 'skipped', 'not_run']))
    expect(builds.some(({ failing_at, state }) => failing_at && state === 'passed')).toBe(true)
    expect(builds.some(({ triggered_from }) => triggered_from)).toBe(true)
    expect(builds.some(({ author }) => typeof author === 'string')).toBe(true)
    const scripts = jobs.flatMap(({ job }) => (job.type === 'script' ? [job] : []))
    expect(scripts.some(({ exit_status }) => exit_status === -1)).toBe(true)
    const byId = new Map(scripts.map((job) => [job.id, job]))
    const retried = scripts.filter((job) => job.retried)
    expect(retried.length).toBeGreaterThan(100)
    for (const job of retried) expect(byId.get(job.retried_in_job_id ?? '')?.retry_source?.job_id).toBe(job.id)
  })

  test('lives builds to their end and leaves no count behind', async () => {
    const simulation = create()
    await simulation.play({ builds: 60, atOnce: 10 })
    const { truth } = simulation
    expect(truth.builds.length).toBeGreaterThanOrEqual(60)
    expect(truth.builds.some(({ state }) => openBuildStates.has(state))).toBe(false)
    expect(truth.running.size).toBe(0)
    expect(truth.pipelines.map((one) => one.running_builds_count + one.running_jobs_count)).toEqual([0, 0, 0, 0])
  })

  test('moves every address of a renamed pipeline, and forgets a deleted one', () => {
    const simulation = create()
    simulation.writeHistory({ builds: 50, days: 3 })
    const { truth } = simulation
    const [pipeline] = truth.pipelines
    if (!pipeline) throw new Error('no pipeline')
    truth.renamePipeline(pipeline, 'New name', 'new-name')
    const mine = truth.builds.filter((build) => build.pipeline === pipeline)
    expect(mine.length).toBeGreaterThan(0)
    expect(mine.every(({ url }) => url.includes('/pipelines/new-name/builds/'))).toBe(true)
    expect(JSON.stringify(mine)).not.toContain('/pipelines/monolith/')
    truth.deletePipeline(pipeline)
    expect(truth.builds.length).toBe(50 - mine.length)
  })
})

describe('webhooks', () => {
  interface Received {
    headers: Record<string, unknown>
    body: string
  }
  let received: Received[]
  let server: Server
  let url: string

  beforeEach(async () => {
    received = []
    server = createServer((request, response) => {
      const parts: Buffer[] = []
      request.on('data', (part: Buffer) => parts.push(part))
      request.on('end', () => {
        received.push({ headers: request.headers, body: Buffer.concat(parts).toString() })
        response.writeHead(202).end()
      })
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    const address = server.address()
    url = `http://127.0.0.1:${typeof address === 'object' && address ? address.port : 0}/`
  })
  afterEach(() => {
    server.closeAllConnections()
    server.close()
  })

  const events = () => received.map(({ headers }) => headers['x-buildkite-event'])

  test('are signed over the raw body and the time of dispatch', async () => {
    const simulation = create()
    const webhooks = simulation.startWebhooks({ url, secret: 's3' })
    webhooks.ping()
    await webhooks.settled()
    const [ping] = received
    const header = String(ping?.headers['x-buildkite-signature'])
    const timestamp = start / 1_000
    const expected = createHmac('sha256', 's3').update(`${timestamp}.${ping?.body}`).digest('hex')
    expect(header).toBe(`timestamp=${timestamp},signature=${expected}`)
    expect(JSON.parse(ping?.body ?? '')).toMatchObject({ event: 'ping', organization: { slug: 'acme' } })
    await simulation.stop()
  })

  test('report the whole life of a calm build, without jobs or env but with a secret address', async () => {
    const simulation = create({ mix: calmMix })
    const webhooks = simulation.startWebhooks({ url, secret: 's3', mode: 'token', concurrency: 1 })
    await simulation.play({ builds: 1, jobs: 5 })
    await webhooks.settled()
    expect(events().filter((event) => String(event).startsWith('build.'))).toEqual([
      'build.scheduled',
      'build.running',
      'build.finished',
    ])
    expect(events().filter((event) => event === 'job.finished').length).toBe(4)
    expect(JSON.parse(received[0]?.body ?? '').build.state).toBe('scheduled')
    expect(received[0]?.headers['x-buildkite-token']).toBe('s3')
    const body = JSON.parse(received[0]?.body ?? '')
    expect(Object.keys(body).sort()).toEqual(['build', 'event', 'pipeline', 'sender'])
    expect(body.build).not.toHaveProperty('jobs')
    expect(body.build).not.toHaveProperty('env')
    expect(body.pipeline.provider.webhook_url).toContain(secretMark)
    expect(webhooks.stats).toEqual({ sent: 15, dropped: 0, accepted: 15, answers: { 202: 15 } })
    await simulation.stop()
  })

  test('finish a build again after each retry and each unblock', async () => {
    const simulation = create({ mix: { ...calmMix, block: 1 } })
    const webhooks = simulation.startWebhooks({ url, secret: 's3', concurrency: 1 })
    await simulation.play({ builds: 1 })
    await webhooks.settled()
    expect(events().filter((event) => event === 'build.finished').length).toBe(2)
    expect(events()).toContain('job.activated')
    await simulation.stop()
  })

  test('get lost in the share that is asked for, and are counted', async () => {
    const simulation = create({ mix: calmMix })
    const webhooks = simulation.startWebhooks({ url, secret: 's3', drop: 0.5 })
    await simulation.play({ builds: 40 })
    await webhooks.settled()
    const { sent, dropped } = webhooks.stats
    expect(sent).toBe(received.length)
    expect(dropped / (sent + dropped)).toBeCloseTo(0.5, 1)
    await simulation.stop()
  })
})
