import { createSimulation } from '../../src/simulator/simulation.ts'
import { renderChange } from '../../src/simulator/webhooks/webhooks.ts'
import { base, buildPayload, jobPayload, organizationPayload, pipelinePayload } from '../mirror/payloads.ts'

/** A webhook as Buildkite sends it, before anything goes wrong with it. */
export interface Shape {
  event: string
  payload: object
}

/** What the lists of the API hold. */
export interface ApiShapes {
  organizations: object[]
  pipelines: object[]
  builds: object[]
}

/** Webhooks of every kind: a simulated organization's life, and the small and odd ones written by hand. */
export async function webhookShapes(seed: number | string): Promise<Shape[]> {
  const simulation = createSimulation({ seed })
  const sender = { id: simulation.truth.people[0].id, name: simulation.truth.people[0].name }
  const shapes: Shape[] = []
  simulation.truth.onChange((change) => {
    const payload = renderChange(simulation.truth, change, sender)
    shapes.push({ event: change.event, payload: structuredClone(payload) })
  })
  await simulation.play({ builds: 12 })
  await simulation.stop()
  return [...shapes, ...handWritten]
}

/** Lists of the API as the simulation answers them, jobs and all. */
export async function apiShapes(seed: number | string): Promise<ApiShapes> {
  const simulation = createSimulation({ seed })
  simulation.writeHistory({ builds: 60, days: 3 })
  await simulation.play({ builds: 10 })
  const { organizations, pipelines, builds } = structuredClone({
    organizations: simulation.truth.organizations,
    pipelines: simulation.truth.pipelines,
    builds: simulation.truth.builds,
  })
  await simulation.stop()
  return { organizations, pipelines, builds: builds.map(({ pipeline: _, ...build }) => build) }
}

const { agent } = jobPayload()

const handWritten: Shape[] = [
  { event: 'build.running', payload: { event: 'build.running', build: buildPayload(), pipeline: pipelinePayload() } },
  {
    event: 'job.finished',
    payload: { event: 'job.finished', job: jobPayload(), build: buildPayload(), pipeline: pipelinePayload() },
  },
  { event: 'build.finished', payload: { build: buildPayload({ jobs: [jobPayload()] }), project: pipelinePayload() } },
  { event: 'agent.connected', payload: { event: 'agent.connected', agent: agent } },
  {
    event: 'agent.blocked',
    payload: { event: 'agent.blocked', agent: agent, blocked_ip: '192.0.2.1', cluster_token: { id: 'x' } },
  },
  {
    event: 'ping',
    payload: {
      event: 'ping',
      service: { id: 'x', provider: 'webhook', settings: { url: 'https://x.invalid', token: 'x' } },
      organization: organizationPayload(),
    },
  },
  { event: 'cluster_token.registration_blocked', payload: { blocked_ip: '192.0.2.1', cluster_token: { id: 'x' } } },
]

/** Deliveries of an organization that the mutated ones know nothing of: what they bring must stand, whatever came beside them. */
export function saneShape(number: number): Shape & { id: string } {
  const tail = number.toString(16).padStart(12, '0')
  const id = `0190ffff-0000-7000-8000-${tail}`
  const url = base.replace('/acme', '/sane')
  const pipeline = {
    id: '0190eeee-0000-7000-8000-000000000001',
    slug: 'kept',
    name: 'Kept',
    url: `${url}/pipelines/kept`,
  }
  const build = buildPayload({ id, number, url: `${url}/pipelines/kept/builds/${number}`, message: `Sane ${number}` })
  return { id, event: 'build.running', payload: { event: 'build.running', build, pipeline } }
}
