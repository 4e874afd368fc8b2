import { DAY } from '../runtime/time.ts'
import { type Api, type ApiOptions, startApi, type Token } from './api/api.ts'
import type { ReadFault } from './api/read-faults.ts'
import { advance, rebuild, startBuild } from './lifecycle/build-lifecycle.ts'
import { type HistoryOptions, writeHistory } from './lifecycle/history.ts'
import type { Build, Pipeline } from './model/shapes.ts'
import { Truth, type TruthOptions } from './model/state.ts'
import { livelyMix, type Mix } from './probabilities.ts'
import { type DemoClock, virtualClock } from './random.ts'
import { type Dispatch, startDispatch } from './webhooks/dispatch.ts'
import { type WebhookOptions, Webhooks } from './webhooks/webhooks.ts'

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

interface HistoryPlan extends Pick<HistoryOptions, 'builds' | 'jobs' | 'pipelines'> {
  days: number
  mix?: Partial<Mix>
}

/** While a simulation plays, at most this many webhooks wait to be sent, so that their bodies have a realistic age. */
const backlog = 20

/** A simulated Buildkite: its state, its clock, and functions that change it. */
export class Simulation {
  readonly truth: Truth
  readonly clock: DemoClock
  readonly mix: Mix
  readonly #seed: number | string
  readonly #stepMs: readonly [number, number]
  readonly #stops: (() => unknown)[] = []
  readonly #senders: Webhooks[] = []

  constructor(options: SimulationOptions) {
    this.clock = options.clock ?? virtualClock(Date.now())
    this.mix = { ...livelyMix, ...(options.variety ? { timeOut: 0.2, expire: 0.02 } : {}), ...options.mix }
    this.#stepMs = options.stepMs ?? [50, 2_000]
    this.#seed = options.seed ?? 1
    const foundedAt = options.foundedAt ?? this.#now() - 4e10
    this.truth = new Truth({ ...options, seed: this.#seed, foundedAt, now: this.#now })
    if (options.record) this.truth.record()
  }

  /** Creates `builds` builds in the past `days` days, in those pipelines. Default: all that are not archived. */
  writeHistory({ days, mix, ...plan }: HistoryPlan): void {
    const until = this.#now()
    const all = { ...plan, from: until - days * DAY, until, mix: { ...this.mix, ...mix } }
    this.truth.silently(() => writeHistory(this.truth, all))
  }

  /** Removes the pipeline and its builds from every list and answers 404 for them: for every token, or for one. */
  hide(pipeline: Pipeline, token?: Token): void {
    this.#hiddenFrom(token).add(pipeline)
  }

  /** Undoes `hide`. */
  show(pipeline: Pipeline, token?: Token): void {
    this.#hiddenFrom(token).delete(pipeline)
  }

  /** Makes the API fail for one build from now on; without a fault it works again. */
  failReads(build: Build, fault?: ReadFault): void {
    if (fault) this.truth.readFaults.set(build, fault)
    else this.truth.readFaults.delete(build)
  }

  async startApi(options?: ApiOptions): Promise<Api> {
    const api = await startApi(this.truth, this.#now, options)
    this.#stops.push(() => api.stop())
    return api
  }

  startWebhooks(options: WebhookOptions): Webhooks {
    const webhooks = new Webhooks(this.truth, this.#now, { seed: this.#seed, ...options })
    this.#senders.push(webhooks)
    this.#stops.push(() => webhooks.stop())
    return webhooks
  }

  /** Sends webhooks to the services registered through the API. */
  startDispatch(): Dispatch {
    const dispatch = startDispatch(this.truth, this.#now, this.#seed)
    this.#stops.push(() => dispatch.stop())
    return dispatch
  }

  /** Starts a build in that pipeline, or in a random one. It may have 4,000 jobs. */
  startBuild(given: { jobs?: number; origin?: Partial<Build>; pipeline?: Pipeline } = {}): Build {
    const { truth, mix } = this
    this.#passTime()
    const finished = truth.random.chance(mix.rebuild) ? lastFinished(truth) : undefined
    if (finished && !given.origin && !given.pipeline) return rebuild(truth, finished, this.#now(), mix)
    const pipeline = given.pipeline ?? truth.random.choose(truth.pipelines.filter((one) => !one.archived_at))
    if (!pipeline) throw new Error('No pipeline to build: all of them are archived.')
    return startBuild(truth, pipeline, this.#now(), mix, given)
  }

  /** Makes up to `count` changes to running builds; returns how many, which is fewer when all have ended. */
  step(count = 1): number {
    const { alive } = this.truth
    let done = 0
    let idle = 0
    while (done < count && alive.size > 0) {
      this.#passTime()
      if (this.#advanceOne()) {
        done++
        idle = 0
      } else if (++idle > 10_000) {
        throw new Error(`The simulation is stuck with ${alive.size} running builds: this is a bug in the simulation.`)
      }
    }
    return done
  }

  /**
   * Runs `builds` new builds to their end, `atOnce` of them at a time; without options, ends those that run. Sends webhooks meanwhile.
   * Resolves when all of them that are not paused have been answered.
   */
  async play(given: { builds?: number; jobs?: number; atOnce?: number } = {}): Promise<void> {
    const { builds = 0, jobs, atOnce = 5 } = given
    const { alive } = this.truth
    let started = 0
    while (started < builds || alive.size > 0) {
      if (started < builds && alive.size < atOnce) {
        this.startBuild(jobs === undefined ? {} : { jobs })
        started++
      } else this.step()
      for (const webhooks of this.#senders) await webhooks.settled(backlog)
    }
    for (const webhooks of this.#senders) await webhooks.settled()
  }

  /** Starts and advances builds in real time until stopped. Returns the function that stops it. */
  live({ everyMs = 200, atOnce = 8, steps = 2 } = {}): () => void {
    const { alive, random } = this.truth
    const timer = setInterval(() => {
      if (alive.size < atOnce && random.chance(0.4)) this.startBuild()
      const limit = Math.min(steps, alive.size)
      for (let i = 0; i < limit; i++) this.#advanceOne()
    }, everyMs)
    const stop = () => clearInterval(timer)
    this.#stops.push(stop)
    return stop
  }

  /** Stops everything that was started. */
  async stop(): Promise<void> {
    for (const stop of this.#stops.splice(0).reverse()) await stop()
  }

  readonly #now = () => this.clock.now()

  #passTime(): void {
    this.clock.pass(this.truth.random.int(...this.#stepMs))
  }

  /** Makes one change to a random running build, if it can change now. */
  #advanceOne(): boolean {
    const build = this.truth.random.choose([...this.truth.alive])
    return build !== undefined && advance(this.truth, build, this.#now(), this.mix)
  }

  #hiddenFrom(token: Token | undefined): Set<Pipeline> {
    return token ? this.truth.hiddenFrom(token.token) : this.truth.hidden
  }
}

/** Creates a simulated Buildkite. The same options and calls always give the same data, including the ids. */
export function createSimulation(options: SimulationOptions = {}): Simulation {
  return new Simulation(options)
}

function lastFinished(truth: Truth): Build | undefined {
  const organization = truth.random.choose(truth.organizations)
  if (!organization) return undefined
  return truth
    .buildsOf(organization)
    .slice(-20)
    .find((build) => build.finished_at !== null && !build.blocked && !truth.alive.has(build))
}
