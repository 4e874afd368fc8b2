import { retryFailed, unblock } from '../../../src/simulator/lifecycle/interventions.ts'
import { wildMix } from '../../support/wild-mix.ts'
import type { Lived } from './live.ts'

/**
 * What happens after all was mirrored: late retries and unblocks, renames, slugs that are used again, deletions, another
 * default branch, and people and teams that leave.
 */
export function liveOn({ simulation, random }: Lived): void {
  const { truth, clock } = simulation
  clock.pass(random.int(1_000, 40 * 3_600_000))
  const done = truth.builds.filter((build) => !truth.alive.has(build))
  for (const build of done) {
    clock.pass(random.int(1_000, 600_000))
    if (build.state === 'failed' && random.chance(0.3)) retryFailed(truth, build, clock.now(), wildMix)
    else if (build.blocked && random.chance(0.5)) unblock(truth, build, clock.now(), wildMix)
  }
  simulation.step(400)
  for (const build of done) if (!truth.alive.has(build) && random.chance(0.1)) truth.deleteBuild(build)
  for (const organization of truth.organizations) {
    const [first, second] = truth.pipelinesOf(organization)
    if (first) truth.deletePipeline(first)
    if (second) truth.renamePipeline(second, 'Once more', first?.slug ?? 'once-more')
    truth.addPipeline(organization, clock.now())
    const last = truth.pipelinesOf(organization).at(-1)
    if (last) Object.assign(last, { default_branch: 'release-1.x', tags: ['new'] })
    const company = truth.companyOf(organization)
    company.members.splice(random.int(0, 3), 1)
    company.teams.splice(random.int(0, 2), 1)
    for (const list of company.teamMembers.values()) list.splice(0, 1)
    for (const list of company.teamPipelines.values()) list.splice(0, 1)
    // An agent that no list shows any more, and one that comes back with another name and queue.
    const [gone, back] = truth.agentsOf(organization).filter((agent) => !truth.running.has(agent))
    if (gone) truth.agents.splice(truth.agents.indexOf(gone), 1)
    if (back) {
      const stopped_at = new Date(clock.now()).toISOString()
      Object.assign(back, { connection_state: 'stopped', stopped_at })
      truth.tell({ event: 'agent.stopped', agent: back }, clock.now())
      clock.pass(random.int(1, 5_000_000))
      const connected_at = new Date(clock.now()).toISOString()
      Object.assign(back, { connection_state: 'connected', connected_at, stopped_at: null, queue: 'gpu' })
      if (random.chance(0.7)) truth.tell({ event: 'agent.connected', agent: back }, clock.now())
    }
    for (const cluster of company.clusters) cluster.name = `${cluster.name} II`
  }
  for (let i = 0; i < 5; i++) simulation.startBuild()
  simulation.step(200)
  clock.pass(5_000)
}
