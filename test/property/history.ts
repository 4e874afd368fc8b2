import fc from 'fast-check'
import postgres from 'postgres'
import { applyObservations } from '../../src/mirror/apply.ts'
import { combine, type Observations } from '../../src/mirror/observation.ts'
import { observeWebhook } from '../../src/mirror/observe.ts'
import { verifySpan } from '../../src/reconcile/audit/verify.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { DAY, MINUTE } from '../../src/runtime/time.ts'
import { createRandom, type Random } from '../../src/simulator/random.ts'
import { renderChange } from '../../src/simulator/webhooks/webhooks.ts'
import { openScene, type Scene } from '../reconcile/scene.ts'
import { upheave } from '../support/admin-changes.ts'
import { differences } from '../support/differences.ts'
import { wildMix } from '../support/wild-mix.ts'

/** What a seeded history came to. */
export interface Verdict {
  readonly builds: number
  readonly webhooks: { sent: number; delivered: number }
  readonly upheavals: readonly string[]
  /** Where the mirror differs from the truth, a line each. */
  readonly differences: readonly string[]
}

/**
 * Lives one history: builds of the wildest kind, of whose webhooks some arrive, in any order, some twice, some hours late; cycles
 * in between, where some meet a failing API. Every other seed has upheavals: renames, deletions, silent edits. After quiet has
 * come and one cycle has run (after upheavals: the audit too) the mirror must equal the truth, and webhooks that arrive even later must
 * not change that. The same seed gives the same history.
 */
export async function liveHistory(seed: number): Promise<Verdict> {
  const scene = await openScene({ seed, pipelines: 3, agents: 4, mix: wildMix, stepMs: [5, 1_500] })
  const random = createRandom(`history ${seed}`)
  const webhooks = listen(scene)
  const upheavals: string[] = []
  try {
    await scene.complete({ builds: random.int(0, 12), days: 40 })
    const rounds = random.int(2, 4)
    for (let round = 0; round < rounds; round++) {
      for (let i = random.int(1, 6); i > 0; i--) scene.simulation.startBuild()
      scene.simulation.step(random.int(5, 60))
      if (seed % 2 === 0) upheavals.push(upheave(scene.simulation.truth, scene.simulation.clock.now()) ?? 'nothing')
      await webhooks.deliver(random, 0.6)
      if (random.chance(0.6)) await cycleInTrouble(scene, random)
    }
    while (scene.simulation.step(50) > 0) if (random.chance(0.2)) await webhooks.deliver(random, 0.3)
    await webhooks.deliver(random, 0.5)
    scene.api.beforeAnswer = undefined
    scene.simulation.truth.hidden.clear()
    scene.simulation.clock.pass(2_000)
    await settle(scene, upheavals.length > 0)
    const found = await compare(scene)
    await webhooks.deliver(random, 1)
    // Of builds that were deleted before REST ever saw them these may be the first word: two cycles settle them.
    for (let cycle = 0; upheavals.length > 0 && cycle < 2; cycle++) {
      scene.simulation.clock.pass(5 * MINUTE)
      await reconcileOnce(scene.deps, scene.source)
    }
    const later = await compare(scene)
    return {
      builds: scene.simulation.truth.builds.length,
      webhooks: webhooks.count,
      upheavals,
      differences: [...found, ...later.map((line) => `after late webhooks: ${line}`)],
    }
  } finally {
    await scene.close()
  }
}

/** Collects what the webhooks would say, and delivers a share of it: shuffled, some twice, some never. */
function listen({ simulation, database }: Scene) {
  const sent: Observations[] = []
  const count = { sent: 0, delivered: 0 }
  const sender = { id: 'sender', name: 'Sender' }
  simulation.truth.onChange((change) => {
    // A signature knows whole seconds only.
    const at = new Date(Math.floor(simulation.clock.now() / 1_000) * 1_000)
    const payload = structuredClone(renderChange(simulation.truth, change, sender))
    sent.push(observeWebhook(change.event, payload, at, { storeEnv: false }))
    count.sent++
  })
  return {
    count,
    async deliver(random: Random, share: number): Promise<void> {
      // What is delivered stays: it may come again, much later.
      const chosen = sent.filter(() => random.chance(share))
      const arrivals = fc.sample(fc.shuffledSubarray([...chosen, ...chosen.slice(0, 5)]), {
        numRuns: 1,
        seed: random.int(0, 2 ** 30),
      })[0]
      for (let start = 0; start < (arrivals?.length ?? 0); ) {
        const size = random.int(1, 30)
        const some = arrivals?.slice(start, start + size) ?? []
        await applyObservations(database.db, combine(structuredClone(some)), new Date())
        count.delivered += some.length
        start += size
      }
    },
  }
}

/** A cycle while the API fails now and then; it may fail itself, and must do no harm. */
async function cycleInTrouble({ simulation, api, deps, source }: Scene, random: Random): Promise<void> {
  const trouble = random.pick(['none', 'shifting', 'html', 'cut', 'refused'])
  api.beforeAnswer = ({ kind }) => {
    // Pages shift while they are read.
    if (trouble === 'shifting') simulation.step(2)
    if (kind !== 'builds' || !random.chance(0.3)) return undefined
    if (trouble === 'html') return { kind: 'html', status: 502 }
    if (trouble === 'cut') return { kind: 'cut' }
    return trouble === 'refused' ? { kind: 'status', status: 403, message: 'Forbidden' } : undefined
  }
  await reconcileOnce(deps, source, random.chance(0.3) ? 'warm' : 'hot').catch(() => {})
  api.beforeAnswer = undefined
}

async function settle({ deps, source, simulation }: Scene, upheavals: boolean): Promise<void> {
  if (upheavals) await refreshPipelines(deps, source)
  await reconcileOnce(deps, source)
  if (!upheavals) return
  const to = new Date(simulation.clock.now())
  const span = { from: new Date(to.getTime() - 90 * DAY), to }
  await verifySpan(deps, source, { span, heal: true, priority: 'audit', recheckAfterMs: 1 })
}

async function compare(scene: Scene): Promise<string[]> {
  const { simulation, deps, source, url } = scene
  const lines = await differences(url, simulation.truth, { gone: true })
  const to = new Date(simulation.clock.now())
  const span = { from: new Date(to.getTime() - 90 * DAY), to }
  const asked = { span, heal: false, priority: 'audit', recheckAfterMs: 1 } as const
  const { findings } = await verifySpan(deps, source, asked)
  const verified = findings.map(({ kind, build_id, job_id, columns }) => {
    const named = columns.map(({ column }) => column).join(', ')
    return `verify: ${kind} build ${build_id} job ${job_id} ${named}`
  })
  return [...lines, ...verified, ...(await lostAttempts(url, simulation))]
}

/** Finished builds of whose last finish no attempt tells, and retried jobs that lead nowhere. */
async function lostAttempts(url: string, { truth }: Scene['simulation']): Promise<string[]> {
  const sql = postgres(url, { max: 1 })
  try {
    const attempts = await sql<{ build_id: string; finished_at: Date }[]>`
      select build_id, finished_at from buildkite.build_attempts`
    const kept = new Set(attempts.map(({ build_id, finished_at }) => `${build_id} ${finished_at.toISOString()}`))
    const builds = truth.builds.filter(({ id, finished_at }) => finished_at && !kept.has(`${id} ${finished_at}`))
    const broken = await sql<{ id: string }[]>`
      select j.id from buildkite.jobs j join buildkite.builds b on b.id = j.build_id and b.deleted_at is null
      left join buildkite.jobs r on r.id = j.retried_in_job_id
      where j.retried and (r.id is null or r.retry_source_job_id is distinct from j.id)`
    return [
      ...builds.map(({ id }) => `build ${id}: its last finish is no attempt`),
      ...broken.map(({ id }) => `job ${id}: its retry is not linked`),
    ]
  } finally {
    await sql.end({ timeout: 1 })
  }
}
