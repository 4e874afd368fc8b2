import { type Api, demoToken } from '../../../src/simulator/api/api.ts'
import { createRandom, type Random, virtualClock } from '../../../src/simulator/random.ts'
import { createSimulation, type Simulation } from '../../../src/simulator/simulation.ts'
import { renderChange } from '../../../src/simulator/webhooks/webhooks.ts'
import { olderWebhook } from '../../support/older-webhook.ts'
import { wildMix } from '../../support/wild-mix.ts'
import type { Json } from './fields.ts'
import type { Lists, Payload } from './history.ts'
import { setTraps } from './traps.ts'

/** A simulated history, with all that Buildkite said of it while it was lived. */
export interface Lived {
  readonly seed: number
  readonly simulation: Simulation
  readonly api: Api
  readonly random: Random
  /** Webhooks, and reads of some builds in between. */
  readonly payloads: Payload[]
}

/** Lives one history of two organizations with all that the simulator offers. The same seed gives the same history. */
export async function live(seed: number): Promise<Lived> {
  const random = createRandom(`second implementation ${seed}`)
  const simulation = createSimulation({
    seed,
    organizations: ['acme', 'globex'],
    pipelines: 3,
    agents: 5,
    mix: wildMix,
    variety: seed % 2 === 0,
    stepMs: [1, seed % 3 === 0 ? 400 : 90_000],
    clock: virtualClock(Date.parse('2026-03-30T21:00:00Z') + (seed % 28) * 86_400_000),
  })
  const api = await simulation.startApi()
  const lived: Lived = { seed, simulation, api, random, payloads: [] }
  const sender = { id: 'sender', name: 'Sender' }
  simulation.writeHistory({ builds: 25, days: 12 })
  simulation.truth.onChange((change) => {
    // A signature knows whole seconds only.
    const at = Math.floor(simulation.clock.now() / 1_000) * 1_000
    const webhook = structuredClone(renderChange(simulation.truth, change, sender)) as Json
    lived.payloads.push({ via: 'webhook', at, appliedAt: simulation.clock.now(), webhook })
  })
  for (let round = 0; round < 5; round++) {
    for (let i = random.int(1, 6); i > 0; i--) simulation.startBuild()
    simulation.step(random.int(20, 120))
    await readSome(lived)
  }
  // The last builds end, or stay as they are.
  if (random.chance(0.7)) while (simulation.step(50) > 0);
  if (seed % 4 !== 1) setTraps(simulation, random, seed > 5)
  simulation.clock.pass(5_000)
  return lived
}

/** A REST read of some builds, as a cycle or an audit makes it. */
async function readSome({ simulation, api, random, payloads }: Lived): Promise<void> {
  simulation.clock.pass(random.int(1, 3_000))
  const at = simulation.clock.now()
  for (const { slug } of simulation.truth.organizations) {
    const all = await listAll(api, `organizations/${slug}/builds?include_retried_jobs=true`)
    payloads.push({ via: 'rest', at, appliedAt: at, builds: all.filter(() => random.chance(0.3)) })
  }
}

/** Everything that REST shows now of builds, pipelines and agents. */
export async function readAll({ api, simulation }: Lived): Promise<Payload[]> {
  const at = simulation.clock.now()
  return Promise.all(
    simulation.truth.organizations.map(async ({ slug }) => ({
      ...{ via: 'rest' as const, at, appliedAt: at },
      pipelines: await listAll(api, `organizations/${slug}/pipelines`),
      agents: await listAll(api, `organizations/${slug}/agents`),
      builds: await listAll(api, `organizations/${slug}/builds?include_retried_jobs=true`),
    })),
  )
}

/** Pipelines and agents alone. */
export async function readPlaces(lived: Lived): Promise<Payload[]> {
  return (await readAll(lived)).map(({ builds: _, ...rest }) => rest)
}

/** The payloads as they arrive: some never, some twice, some late, and of some seeds in the format of 2018. */
export function arrivalsOf({ seed, payloads }: Lived, mode: string): Payload[] {
  const random = createRandom(`arrivals ${seed} ${mode}`)
  const arriving = payloads.flatMap((payload, place) => {
    if (payload.via === 'rest') return [{ payload, place }]
    if (random.chance(0.12)) return []
    const isOlder = seed % 5 === 0 && random.chance(0.3)
    const shown = isOlder && payload.webhook ? { ...payload, webhook: olderWebhook(payload.webhook, random) } : payload
    const late = { payload: shown, place: place + (random.chance(0.2) ? random.int(1, 60) : 0) }
    return random.chance(0.05) ? [late, { payload: shown, place: place + random.int(1, 60) }] : [late]
  })
  let appliedAt = 0
  return arriving
    .sort((a, b) => a.place - b.place)
    .map(({ payload }) => {
      appliedAt = Math.max(appliedAt, payload.appliedAt)
      return { ...payload, appliedAt }
    })
}

/** The other lists of each organization. */
export async function readLists({ api }: Lived): Promise<Lists[]> {
  const organizations = await listAll(api, 'organizations')
  return Promise.all(
    organizations.map(async (organization) => {
      const list = (path: string) => listAll(api, `organizations/${organization.slug}/${path}`)
      const clusters = await list('clusters')
      const queues = await Promise.all(
        clusters.map(async ({ id }) =>
          (await list(`clusters/${id}/queues`)).map((queue) => ({ ...queue, cluster_id: id })),
        ),
      )
      const teams = await Promise.all(
        (await list('teams')).map(async (team) => ({
          team,
          members: await list(`teams/${team.id}/members`),
          pipelines: await list(`teams/${team.id}/pipelines`),
        })),
      )
      const schedules = await Promise.all(
        (await list('pipelines')).map(({ slug }) => list(`pipelines/${slug}/schedules`)),
      )
      const members = await list('members')
      return { organization, clusters, queues: queues.flat(), teams, members, schedules: schedules.flat() }
    }),
  )
}

/** Nobody reads the other lists. */
export const noLists = (lists: readonly Lists[]): Lists[] =>
  lists.map(({ organization }) => ({
    organization,
    ...{ clusters: [], queues: [], teams: [], members: [], schedules: [] },
  }))

export async function listAll(api: Api, path: string): Promise<Json[]> {
  const all: Json[] = []
  for (let page = 1; ; page++) {
    const separator = path.includes('?') ? '&' : '?'
    const response = await fetch(`${api.url}/${path}${separator}per_page=100&page=${page}`, {
      headers: { Authorization: `Bearer ${demoToken.token}` },
    })
    if (!response.ok) throw new Error(`GET ${path}: ${response.status} ${await response.text()}`)
    const items = (await response.json()) as Json[]
    all.push(...items)
    if (items.length < 100) return all
  }
}
