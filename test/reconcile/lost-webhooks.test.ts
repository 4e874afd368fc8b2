import { randomUUID } from 'node:crypto'
import { afterEach, describe, expect, it } from 'vitest'
import { deliveries, job_reads } from '../../src/database/schema.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { MINUTE, SECOND } from '../../src/runtime/time.ts'
import type { Change } from '../../src/simulator/model/shapes.ts'
import { createRandom, type Random } from '../../src/simulator/random.ts'
import { renderChange } from '../../src/simulator/webhooks/webhooks.ts'
import { applyBatch } from '../../src/webhooks/apply/process-deliveries.ts'
import { wildMix } from '../support/wild-mix.ts'
import { openScene, type Scene } from './scene.ts'

const sender = { id: 'sender', name: 'Sender' }
let scene: Scene

afterEach(() => scene.close())

type Fate = 'applied' | 'pending' | 'in the air' | 'lost'

/** Sends the simulation's webhooks into the inbox, or loses them; and knows independently of the mirror which rows a loss left behind. */
class Webhooks {
  readonly #scene: Scene
  readonly #changes: Change[] = []
  #air: { sentAt: number; id: () => Promise<number> }[] = []
  #pending: number[] = []
  /** What the mirror knows of each build and job, as far as webhooks carry it. */
  readonly #known = new Map<string, string>()
  readonly lost = { builds: new Set<string>(), jobs: new Set<string>() }
  /** Builds among the lost ones that run again: nothing but their jobs dates that, and a list may show them without. */
  readonly undated = new Set<string>()

  constructor(open: Scene) {
    this.#scene = open
    open.simulation.truth.onChange((change) => this.#changes.push(change))
  }

  /** Decides what becomes of the webhooks of the last step, rendered as they are now. */
  async send(fateOf: (change: Change) => Fate): Promise<void> {
    for (const change of this.#changes.splice(0)) {
      const fate = fateOf(change)
      if (fate === 'lost') this.#lose(change)
      else await this.#deliver(change, fate)
    }
  }

  /** Delivers what has been in the air for `ms` or longer. */
  async land(ms: number): Promise<void> {
    const now = this.#scene.simulation.clock.now()
    const due = this.#air.filter(({ sentAt }) => now - sentAt >= ms)
    this.#air = this.#air.filter((one) => !due.includes(one))
    for (const { id } of due) await this.#apply([await id()])
  }

  async applyPending(): Promise<void> {
    await this.#apply(this.#pending.splice(0))
  }

  /** A cycle has read everything. */
  readByRest(): void {
    for (const build of this.#scene.simulation.truth.builds) {
      this.#known.set(build.id, asWebhooksTell(build))
      for (const job of build.jobs) this.#known.set(job.id, asWebhooksTell(job))
    }
    this.lost.builds.clear()
    this.lost.jobs.clear()
    this.undated.clear()
  }

  #lose({ build, job }: Change): void {
    if (job && this.#known.get(job.id) !== asWebhooksTell(job)) this.lost.jobs.add(job.id)
    const known = build && this.#known.get(build.id)
    if (job || !build || known === asWebhooksTell(build)) return
    this.lost.builds.add(build.id)
    if (known && !build.finished_at && JSON.parse(known).started_at === build.started_at) this.undated.add(build.id)
  }

  async #deliver(change: Change, fate: Fate): Promise<void> {
    const { simulation, database } = this.#scene
    const { build, job, event } = change
    if (build) this.#known.set(build.id, asWebhooksTell(build))
    if (build) this.lost.builds.delete(build.id)
    if (build) this.undated.delete(build.id)
    if (job) this.#known.set(job.id, asWebhooksTell(job))
    if (job) this.lost.jobs.delete(job.id)
    const sentAt = simulation.clock.now()
    const payload = JSON.stringify(renderChange(simulation.truth, change, sender))
    const insert = async () => {
      const received_at = new Date(simulation.clock.now())
      // A signature knows whole seconds only.
      const observed_at = new Date(Math.floor(sentAt / SECOND) * SECOND)
      const row = { key: randomUUID(), event, received_at, observed_at, payload }
      const [inserted] = await database.db.insert(deliveries).values(row).returning({ id: deliveries.id })
      return inserted?.id ?? 0
    }
    if (fate === 'in the air') this.#air.push({ sentAt, id: insert })
    else if (fate === 'pending') this.#pending.push(await insert())
    else await this.#apply([await insert()])
  }

  async #apply(ids: readonly number[]): Promise<void> {
    const { deps, simulation } = this.#scene
    const { db, filter, log } = deps
    if (ids.length > 0) await applyBatch({ db, filter, log, storeEnv: false, clock: () => simulation.clock.now() }, ids)
  }
}

/** A build or job as text, without what no webhook of its own reports. */
function asWebhooksTell(row: object): string {
  const untold = ['jobs', 'env', 'pipeline', 'agent', 'retried', 'retried_in_job_id', 'retry_type', 'retried_by']
  return JSON.stringify(row, (key, value: unknown) => (untold.includes(key) ? undefined : value))
}

const cycle = () => reconcileOnce(scene.deps, scene.source)
/** Has the next cycle read the jobs of all open builds. */
const allJobsDue = () => scene.database.db.update(job_reads).set({ next_read_at: new Date(0) })

async function open(seed: number, stepMs: [number, number]): Promise<{ webhooks: Webhooks; random: Random }> {
  scene = await openScene({ seed, pipelines: 3, agents: 6, mix: wildMix, stepMs })
  await scene.complete({ builds: 12, days: 10 })
  const webhooks = new Webhooks(scene)
  scene.simulation.startBuild()
  await webhooks.send(() => 'applied')
  scene.simulation.clock.pass(MINUTE)
  await cycle()
  webhooks.readByRest()
  return { webhooks, random: createRandom(`lost webhooks ${seed}`) }
}

/** Lets a few things happen, and sends their webhooks. */
async function live(webhooks: Webhooks, random: Random, fateOf: (change: Change) => Fate): Promise<void> {
  const { truth } = scene.simulation
  if (truth.alive.size < 6 && random.chance(0.7)) scene.simulation.startBuild()
  await webhooks.send(fateOf)
  for (let steps = random.int(0, 12); steps > 0; steps--) {
    scene.simulation.step()
    await webhooks.send(fateOf)
    await webhooks.land(7 * SECOND)
  }
}

/** SEEDS=3..40 runs others, each once. */
function seeds(few: readonly number[]): readonly number[] {
  const [first, last = first] = (process.env.SEEDS ?? '').split('..').map(Number)
  return first && last ? Array.from({ length: last - first + 1 }, (_, index) => first + index) : few
}

describe('with webhooks that all arrive', () => {
  it.each(seeds([1]))(
    '50 cycles with open builds find nothing missing and nothing to heal, whatever webhooks are pending (seed %i)',
    async (seed) => {
      const { webhooks, random } = await open(seed, [5, 1_500])
      const found = { in_flight: 0, completed: 0, confirmed: 0 }
      for (let round = 0; round < 50; round++) {
        await live(webhooks, random, () => random.pick(['applied', 'applied', 'pending', 'in the air']))
        if (random.chance(0.3)) await webhooks.applyPending()
        const report = await cycle()
        expect(report).toMatchObject({ builds_missing: 0, builds_healed: 0, jobs_missing: 0, jobs_healed: 0 })
        found.in_flight += (report?.builds_in_flight ?? 0) + (report?.jobs_in_flight ?? 0)
        found.completed += (report?.builds_completed ?? 0) + (report?.jobs_completed ?? 0)
        found.confirmed += (report?.builds_confirmed ?? 0) + (report?.jobs_confirmed ?? 0)
        // Time passes, but no webhook takes longer than it may.
        await webhooks.land(0)
        scene.simulation.clock.pass(random.int(0, MINUTE))
      }
      expect(Math.min(...Object.values(found))).toBeGreaterThan(50)
    },
  )
})

describe('with webhooks that are lost', () => {
  it.each(seeds([1, 2]))('each row that a loss left behind is counted once, and no other (seed %i)', async (seed) => {
    // Steps of a second or more: of a build that runs again within the second of its finish nobody can tell whether a webhook was lost.
    const { webhooks, random } = await open(seed, [1_000, 3_000])
    let lost = 0
    for (let round = 0; round < 15; round++) {
      await live(webhooks, random, ({ event, build, job }) => {
        // Buildkite reports the start of command jobs only; the simulation also that of trigger jobs.
        const isUnreported = event === 'job.started' && job?.type === 'trigger'
        return build && !isUnreported && random.chance(0.4) ? 'lost' : 'applied'
      })
      scene.simulation.clock.pass(15 * SECOND)
      await allJobsDue()
      const expected = { builds: webhooks.lost.builds.size, jobs: webhooks.lost.jobs.size }
      const report = await cycle()
      const counted = {
        builds: (report?.builds_missing ?? 0) + (report?.builds_healed ?? 0),
        jobs: (report?.jobs_missing ?? 0) + (report?.jobs_healed ?? 0),
      }
      expect(counted.jobs).toBe(expected.jobs)
      expect(counted.builds).toBeLessThanOrEqual(expected.builds)
      expect(counted.builds).toBeGreaterThanOrEqual(expected.builds - webhooks.undated.size)
      webhooks.readByRest()
      scene.simulation.clock.pass(SECOND)
      lost += counted.builds + counted.jobs
    }
    expect(lost).toBeGreaterThan(30)
    scene.simulation.clock.pass(15 * SECOND)
    await allJobsDue()
    const quiet = await cycle()
    expect(quiet).toMatchObject({ builds_missing: 0, builds_healed: 0, jobs_missing: 0, jobs_healed: 0 })
  })
})
