import { DAY } from '../runtime/time.ts'
import { type Api, type ApiOptions, startApi, type Token } from './api/api.ts'
import type { ReadFault } from './api/read-faults.ts'
import { advance, rebuild, startBuild } from './lifecycle/build-lifecycle.ts'
import { writeHistory } from './lifecycle/history.ts'
import type { Build, Pipeline } from './model/shapes.ts'
import { Truth, type TruthOptions } from './model/state.ts'
import { livelyMix, type Mix } from './probabilities.ts'
import { type DemoClock, virtualClock } from './random.ts'
import { type Dispatch, startDispatch } from './webhooks/dispatch.ts'
import { startWebhooks, type WebhookOptions, type Webhooks } from './webhooks/webhooks.ts'

export interface SimulationOptions extends Partial<TruthOptions> {
  /** Default: a virtual clock that starts now and moves only by steps. */
  clock?: DemoClock
  /** The probabilities of what happens to builds; default `livelyMix`. */
  mix?: Partial<Mix>
  /** The minimum and maximum time between two steps, in milliseconds; default 50 to 2,000. */
  stepMs?: readonly [number, number]
  /** Whether to record every version of each build and pipeline, for `truth.at` and `truth.versionsOf`. */
  record?: boolean
}

/** A simulated Buildkite: its state, its clock, and functions that change it. */
export interface Simulation {
  readonly truth: Truth
  readonly clock: DemoClock
  readonly mix: Mix
  /** Creates `builds` builds in the past `days` days, in those pipelines. Default: all that are not archived. */
  writeHistory(options: {
    builds: number
    jobs?: number
    days: number
    mix?: Partial<Mix>
    pipelines?: readonly Pipeline[]
  }): void
  /** Removes the pipeline and its builds from every list and answers 404 for them: for every token, or for one. */
  hide(pipeline: Pipeline, token?: Token): void
  /** Undoes `hide`. */
  show(pipeline: Pipeline, token?: Token): void
  /** Makes the API fail for one build from now on; without a fault it works again. */
  failReads(build: Build, fault?: ReadFault): void
  startApi(options?: ApiOptions): Promise<Api>
  startWebhooks(options: WebhookOptions): Webhooks
  /** Sends webhooks to the services registered through the API. */
  startDispatch(): Dispatch
  /** Starts a build in that pipeline, or in a random one. It may have 4,000 jobs. */
  startBuild(options?: { jobs?: number; origin?: Partial<Build>; pipeline?: Pipeline }): Build
  /** Makes up to `count` changes to running builds; returns how many, which is fewer when all have ended. */
  step(count?: number): number
  /**
   * Runs `builds` new builds to their end, `atOnce` of them at a time; without options, ends those that run. Sends webhooks meanwhile.
   * Resolves when all of them that are not paused have been answered.
   */
  play(options?: { builds?: number; jobs?: number; atOnce?: number }): Promise<void>
  /** Starts and advances builds in real time until stopped. Returns the function that stops it. */
  live(options?: { everyMs?: number; atOnce?: number; steps?: number }): () => void
  /** Stops everything that was started. */
  stop(): Promise<void>
}

/** While a simulation plays, at most this many webhooks wait to be sent, so that their bodies have a realistic age. */
const backlog = 20

/** Creates a simulated Buildkite. The same options and calls always give the same data, including the ids. */
export function createSimulation(options: SimulationOptions = {}): Simulation {
  const clock = options.clock ?? virtualClock(Date.now())
  const mix: Mix = { ...livelyMix, ...(options.variety ? { timeOut: 0.2, expire: 0.02 } : {}), ...options.mix }
  const [shortest, longest] = options.stepMs ?? [50, 2_000]
  const now = () => clock.now()
  const foundedAt = options.foundedAt ?? now() - 4e10
  const truth = new Truth({ ...options, seed: options.seed ?? 1, foundedAt, now })
  if (options.record) truth.record()
  const { random } = truth
  const stops: (() => unknown)[] = []
  const senders: Webhooks[] = []

  const hiddenFrom = (token?: Token) => (token ? truth.hiddenFrom(token.token) : truth.hidden)

  const simulation: Simulation = {
    truth,
    clock,
    mix,
    writeHistory({ days, mix: other, ...history }) {
      const until = now()
      const all = { ...history, from: until - days * DAY, until, mix: { ...mix, ...other } }
      truth.silently(() => writeHistory(truth, all))
    },
    hide(pipeline, token) {
      hiddenFrom(token).add(pipeline)
    },
    show(pipeline, token) {
      hiddenFrom(token).delete(pipeline)
    },
    failReads(build, fault) {
      if (fault) truth.readFaults.set(build, fault)
      else truth.readFaults.delete(build)
    },
    async startApi(apiOptions) {
      const api = await startApi(truth, now, apiOptions)
      stops.push(() => api.stop())
      return api
    },
    startWebhooks(webhookOptions) {
      const webhooks = startWebhooks(truth, now, { seed: options.seed ?? 1, ...webhookOptions })
      senders.push(webhooks)
      stops.push(() => webhooks.stop())
      return webhooks
    },
    startDispatch() {
      const dispatch = startDispatch(truth, now, options.seed ?? 1)
      stops.push(() => dispatch.stop())
      return dispatch
    },
    startBuild(given = {}) {
      clock.pass(random.int(shortest, longest))
      const finished = random.chance(mix.rebuild) ? lastFinished(truth) : undefined
      if (finished && !given.origin && !given.pipeline) return rebuild(truth, finished, now(), mix)
      const pipeline = given.pipeline ?? random.choose(truth.pipelines.filter((one) => !one.archived_at))
      if (!pipeline) throw new Error('No pipeline to build: all of them are archived.')
      return startBuild(truth, pipeline, now(), mix, given)
    },
    step(count = 1) {
      let done = 0
      let idle = 0
      while (done < count && truth.alive.size > 0) {
        clock.pass(random.int(shortest, longest))
        const build = random.choose([...truth.alive])
        if (build && advance(truth, build, now(), mix)) {
          done++
          idle = 0
        } else if (++idle > 10_000) {
          throw new Error(
            `The simulation is stuck with ${truth.alive.size} running builds: this is a bug in the simulation.`,
          )
        }
      }
      return done
    },
    async play({ builds = 0, jobs, atOnce = 5 } = {}) {
      let started = 0
      while (started < builds || truth.alive.size > 0) {
        if (started < builds && truth.alive.size < atOnce) {
          simulation.startBuild(jobs === undefined ? {} : { jobs })
          started++
        } else simulation.step()
        for (const webhooks of senders) await webhooks.settled(backlog)
      }
      for (const webhooks of senders) await webhooks.settled()
    },
    live({ everyMs = 200, atOnce = 8, steps = 2 } = {}) {
      const timer = setInterval(() => {
        if (truth.alive.size < atOnce && random.chance(0.4)) simulation.startBuild()
        const limit = Math.min(steps, truth.alive.size)
        for (let i = 0; i < limit; i++) {
          const build = random.choose([...truth.alive])
          if (build) advance(truth, build, now(), mix)
        }
      }, everyMs)
      const stop = () => clearInterval(timer)
      stops.push(stop)
      return stop
    },
    async stop() {
      for (const stop of stops.splice(0).reverse()) await stop()
    },
  }
  return simulation
}

function lastFinished(truth: Truth): Build | undefined {
  const organization = truth.random.choose(truth.organizations)
  if (!organization) return undefined
  return truth
    .buildsOf(organization)
    .slice(-20)
    .find((build) => build.finished_at !== null && !build.blocked && !truth.alive.has(build))
}
