import { randomUUID } from 'node:crypto'
import { sql } from 'drizzle-orm'
import fc from 'fast-check'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { drift } from '../../src/database/schema.ts'
import { applyObservations } from '../../src/mirror/apply.ts'
import { observeBuilds, observePipelines } from '../../src/mirror/observe.ts'
import { auditSpan } from '../../src/reconcile/audit/audit.ts'
import { verifySpan } from '../../src/reconcile/audit/verify.ts'
import { DAY } from '../../src/runtime/time.ts'
import { renderChange } from '../../src/simulator/webhooks/webhooks.ts'
import { deliveryHandler } from '../../src/webhooks/apply/process-deliveries.ts'
import { insertDeliveries } from '../../src/webhooks/inbox/insert.ts'
import { readKept } from '../../src/webhooks/inbox/read-kept.ts'
import { tracesInPostgres } from '../support/traces.ts'
import { openScene, type Scene, silent } from './scene.ts'

const canary = 'canary-s3cret'
const options = { storeEnv: false }
let scene: Scene

beforeEach(async () => {
  scene = await openScene({ pipelines: 2 })
  await scene.complete({ builds: 30, days: 10 })
})
afterEach(() => scene.close())

const wholeSpan = () => {
  const to = new Date(scene.simulation.clock.now())
  return { from: new Date(to.getTime() - 90 * DAY), to }
}

const leaks = [
  `https://user:${canary}@host.example/x`,
  `https://${canary}@host.example/x`,
  `ssh://git:${canary}@host.example/x`,
  `https://host.example/x?a=1&access_token=${canary}`,
  `see https://host.example/?X-Amz-Signature=${canary}&b=2 there`,
]
const secretKeys = ['password', 'client_secret', 'agent_token', 'secrets', 'apiKey', 'private_key', 'webhook_url']
const users = new Set(['meta_data', 'matrix', 'env'])

/** A copy with a secret in random texts, lists, keys and URLs. Ids, times and states stay, or the object would not be stored at all. */
function leaky(value: unknown, pick: (below: number) => number, isFree = false): unknown {
  if (Array.isArray(value)) return value.map((item) => leaky(item, pick, isFree))
  if (typeof value === 'string')
    return /\s|^git@|\/\/(?!api)/.test(value) && pick(2) ? `${leaks[pick(leaks.length)]} ${value}` : value
  if (typeof value !== 'object' || value === null) return value
  const copy: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value)) copy[key] = leaky(inner, pick, isFree || users.has(key))
  if (pick(2)) copy[`unknown_${pick(9)}`] = { deep: [leaks[pick(leaks.length)]], [leaks[pick(leaks.length)] ?? '']: 1 }
  if (!isFree) copy[secretKeys[pick(secretKeys.length)] ?? ''] = pick(2) ? { value: canary } : canary
  return copy
}

it('secrets at random places of payloads and API objects reach no table, by webhook, queue or REST', async () => {
  const { truth, clock } = scene.simulation
  const { db } = scene.database
  const payloads: { event: string; payload: unknown }[] = []
  truth.onChange((change) => {
    payloads.push({
      event: change.event,
      payload: structuredClone(renderChange(truth, change, { id: randomUUID(), name: 'S' })),
    })
  })
  await scene.simulation.play({ builds: 5 })
  expect(payloads.length).toBeGreaterThan(20)
  const seeds = fc.sample(fc.infiniteStream(fc.nat()), { numRuns: 3, seed: 7 })
  for (const stream of seeds) {
    const pick = (below: number) => Number(stream.next().value) % below
    const now = new Date(clock.now())
    const time = now.toISOString()
    const kept = payloads.map(({ event, payload }) => {
      const text = JSON.stringify(leaky(payload, pick))
      return { key: randomUUID(), event, request_id: null, received_at: time, observed_at: time, payload: text }
    })
    await insertDeliveries(
      db,
      kept.map((one) => readKept(one, { ...options, now })),
      now,
    )
    await deliveryHandler({ db, filter: scene.deps.filter, log: silent, ...options })({ ids: [] })
    const builds = truth.builds.map((build) => leaky(build, pick))
    await applyObservations(db, observeBuilds(builds, now, options), now)
    const pipelines = truth.pipelines.map((pipeline) => leaky(pipeline, pick))
    await applyObservations(db, observePipelines(pipelines, now, options), now)
  }
  const stored = await tracesInPostgres(scene.url)
  expect(
    stored
      .split('\n')
      .filter((line) => line.includes(canary))
      .map((line) => line.slice(0, 500)),
  ).toEqual([])
  expect(stored).toContain('host.example/x?a=1&access_token=REDACTED')
})

it('a secret that an earlier version stored is no drift, and does not reach sync.drift', async () => {
  const { db } = scene.database
  for (const pipeline of scene.simulation.truth.pipelines)
    pipeline.repository = `https://u:${canary}@github.com/acme/web.git`
  for (const build of scene.simulation.truth.builds) {
    build.message = `https://u:${canary}@host/`
    Object.assign(build, { deploy: { client_secret: canary, kept: 1 } })
  }
  await db.execute(sql`update buildkite.builds set message = ${`https://u:${canary}@host/`},
    extra = extra || ${JSON.stringify({ deploy: { client_secret: canary, kept: 1 } })}::jsonb`)
  const report = await verifySpan(scene.deps, scene.source, {
    span: wholeSpan(),
    heal: false,
    priority: 'absent',
    recheckAfterMs: 1,
  })
  expect(report.findings).toEqual([])
  expect(report.builds).toBeGreaterThan(20)
  expect((await auditSpan(scene.deps, scene.source, wholeSpan())).findings).toEqual([])
  expect(await db.$count(drift)).toBe(0)
})
