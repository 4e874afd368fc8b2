import { HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'
import { type Api, demoToken, type Fault, type Token } from '../../src/simulator/api/api.ts'
import type { ReadFault } from '../../src/simulator/api/read-faults.ts'
import type { Build, Pipeline } from '../../src/simulator/model/shapes.ts'
import { createRandom, type Random, virtualClock } from '../../src/simulator/random.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { wildMix } from '../support/wild-mix.ts'

/** The longest that lists may lag: what docs/how-it-works/05-completeness.md assumes. */
export const LONGEST_LAG = 2 * MINUTE
/** A pipeline stays hidden or visible for so long, unless a list of pipelines has shown that: what docs/how-it-works/05-completeness.md assumes. */
export const SHORTEST_VISIBILITY = 15 * MINUTE
/** Our clock may be wrong by so much. Beyond a day the client refuses to work. */
const MOST_SKEW = 11 * HOUR
/** No more new builds than this in one history. */
const MOST_BUILDS = 60

/** A token of another user, who may see other pipelines. */
export const otherToken: Token = {
  ...demoToken,
  token: 'other',
  uuid: '0198f3c1-0000-7000-8000-000000000002',
  user: 'grace',
}

const listFaults: readonly ReadFault[] = [
  { list: 'with_jobs' },
  { list: 'with_jobs', get: 'with_jobs' },
  { list: 'always' },
  { list: 'always', get: 'with_jobs' },
  { list: 'always', get: 'forbidden' },
  { get: 'forbidden' },
]
const requestKinds = [
  'access-token',
  'organizations',
  'pipelines',
  'pipeline',
  'builds',
  'pipeline-builds',
  'build',
  'jobs',
]

/** A simulated Buildkite and our clock, and all that can go wrong with the two. Everything follows from the seed. */
export class World {
  readonly simulation: Simulation
  readonly random: Random
  /** What has changed without a webhook: the columns that no claim covers until an audit. */
  readonly silent = { edits: false, renames: false, deletions: false }
  /** When the set of visible pipelines changed last. */
  visibilityChangedAt: number
  /** Every build that there ever was. */
  readonly builds = new Map<string, Build>()
  #api: Api | undefined
  #skewMs: number
  #started = 0
  readonly #startedAt: number
  readonly #ends: (() => void)[] = []
  #slowPipelines = false
  #isQuiet = false

  constructor(seed: number, options: { pipelines: number; builds: number; days: number; variety: boolean }) {
    this.random = createRandom(`world ${seed}`)
    const start = Date.UTC(2026, 2, 1) + this.random.int(0, 86_400) * SECOND + this.random.int(0, 999)
    this.simulation = createSimulation({
      seed,
      clock: virtualClock(start),
      record: true,
      variety: options.variety,
      pipelines: options.pipelines,
      agents: 4,
      mix: wildMix,
      stepMs: [5, 1_500],
    })
    this.#startedAt = start
    this.simulation.writeHistory({ builds: options.builds, days: options.days })
    // A claim may lie as far before the first cycle as lists may lag.
    this.simulation.clock.pass(LONGEST_LAG + MINUTE)
    this.visibilityChangedAt = start
    this.#skewMs = this.random.chance(0.5) ? 0 : this.random.int(-3 * MINUTE, 3 * MINUTE)
    this.#note()
  }

  async startApi(): Promise<Api> {
    const { simulation, random } = this
    this.#api = await simulation.startApi({
      tokens: [demoToken, otherToken],
      limits: { user: 50, organization: 200, now: () => simulation.clock.now() },
      seed: random.int(0, 2 ** 30),
      beforeAnswer: ({ kind }) => this.#beforeAnswer(kind),
    })
    return this.#api
  }

  get api(): Api {
    if (!this.#api) throw new Error('The API was not started.')
    return this.#api
  }

  get truth() {
    return this.simulation.truth
  }

  /** Buildkite's present. */
  now(): number {
    return this.simulation.clock.now()
  }

  /** Our clock. */
  readonly wall = (): number => this.now() + this.#skewMs
  /** Our monotonic clock. */
  readonly steady = (): number => this.now() - this.#startedAt

  pass(ms: number): void {
    this.simulation.clock.pass(ms)
  }

  /** Lets time pass, in which builds are created and go on. */
  live(ms: number): void {
    const { random, simulation } = this
    const until = this.now() + ms
    while (this.now() < until) {
      if (this.#started < MOST_BUILDS && random.chance(0.4)) {
        this.#started += 1
        simulation.startBuild()
      }
      simulation.step(random.int(0, 6))
      if (this.now() < until) this.pass(random.int(1, Math.max(1, Math.min(until - this.now(), ms / 3))))
    }
    this.#note()
  }

  /** Ends every fault, except for builds that cannot be read if these are to stay; lists lag no more, and our clock is right. */
  endFaults(isUnlistable: boolean): void {
    for (const end of this.#ends.splice(0)) end()
    if (!isUnlistable) this.truth.readFaults.clear()
    else while (this.truth.readFaults.size < 2 && this.truth.builds.length > 2) this.#failReads()
    this.api.listLagMs = 0
    this.#slowPipelines = false
    this.#isQuiet = true
    this.#skewMs = 0
  }

  /** Lets one thing go wrong, or come right again, and returns what. Undefined when it was impossible. */
  trouble(): string | undefined {
    const { random, api } = this
    const act = random.int(0, 9)
    const until = this.now() + random.int(1, 20) * MINUTE
    const fault: Fault = random.pick<Fault>([
      { kind: 'html', status: 502 },
      { kind: 'cut' },
      { kind: 'status', status: 500, message: 'Internal Server Error' },
      { kind: 'status', status: 503, message: 'Service Unavailable' },
    ])
    if (act <= 1) {
      const one = random.int(0, LONGEST_LAG)
      const pair = [random.int(0, one), one] as const
      api.listLagMs = random.pick<number | readonly [number, number]>([0, one, LONGEST_LAG, pair, [0, LONGEST_LAG]])
      return `lists lag ${JSON.stringify(api.listLagMs)} ms`
    }
    if (act <= 3) return this.#setClock()
    if (act === 4) {
      const ms = random.pick([1, -1]) * random.int(2 * SECOND, 12 * HOUR)
      this.#ends.push(api.addTrouble({ kinds: requestKinds, fault: { kind: 'date', ms }, times: 1 }))
      return `one Date is off by ${ms} ms`
    }
    if (act === 5) {
      this.#slowPipelines = !this.#slowPipelines
      return `the list of pipelines is ${this.#slowPipelines ? 'slow' : 'fast'}`
    }
    if (act === 6) {
      this.#ends.push(api.addTrouble({ kinds: ['pipelines'], fault, until }))
      return `the list of pipelines fails until ${iso(until)}`
    }
    if (act === 7) {
      const share = random.pick([0.1, 0.3, 1])
      this.#ends.push(api.addTrouble({ kinds: requestKinds, fault, share, until }))
      return `${share} of all requests fail until ${iso(until)}`
    }
    return this.#failReads()
  }

  #setClock(): string {
    const { random } = this
    const step =
      random.pick([1, -1]) *
      random.pick([random.int(1, 30) * SECOND, random.int(1, 10) * MINUTE, random.int(1, 10) * HOUR])
    this.#skewMs = Math.abs(this.#skewMs + step) > MOST_SKEW ? 0 : this.#skewMs + step
    return `our clock is off by ${this.#skewMs} ms`
  }

  #failReads(): string | undefined {
    const { random, simulation, truth } = this
    if (truth.readFaults.size > 2) {
      const [build] = truth.readFaults.keys()
      if (build) simulation.failReads(build)
      return 'a build can be read again'
    }
    const young = truth.builds.slice(-10)
    const build = random.choose(random.chance(0.5) ? young : truth.builds)
    const fault = random.choose(listFaults)
    if (!build || !fault) return undefined
    simulation.failReads(build, fault)
    return `${build.pipeline.slug} #${build.number} fails: ${JSON.stringify(fault)}`
  }

  /** Something that people do without any webhook, but that hides or shows no pipeline. */
  silentChange(): string | undefined {
    const { random, truth } = this
    const done = truth.builds.filter((build) => build.finished_at !== null && !truth.alive.has(build))
    const build = random.choose(done)
    if (!build) return undefined
    if (random.chance(0.5)) {
      this.silent.edits = true
      truth.edit(build, { message: `Edited at ${iso(this.now())}`, meta_data: { edited: iso(this.now()) } })
      return `edited ${build.pipeline.slug} #${build.number}`
    }
    this.silent.deletions = true
    truth.deleteBuild(build)
    return `deleted ${build.pipeline.slug} #${build.number}`
  }

  /** Hides, shows, adds, archives, renames or deletes a pipeline. */
  changePipelines(): string | undefined {
    const { random, truth, simulation } = this
    const [organization] = truth.organizations
    if (!organization) return undefined
    const usable = truth.pipelines.filter((one) => !one.archived_at)
    const hidden = truth.pipelines.filter((one) => truth.hidden.has(one))
    const visible = usable.filter((one) => !truth.hidden.has(one))
    const done = this.#changePipelines(random.int(0, 9), { organization, hidden, visible, simulation })
    if (done) this.visibilityChangedAt = this.now()
    return done
  }

  #changePipelines(
    act: number,
    of: {
      organization: Parameters<World['truth']['addPipeline']>[0]
      hidden: Pipeline[]
      visible: Pipeline[]
      simulation: Simulation
    },
  ): string | undefined {
    const { random, truth } = this
    const shown = random.choose(of.hidden)
    if (shown && act <= 5) {
      of.simulation.show(shown)
      return `showed ${shown.slug}`
    }
    const pipeline = random.choose(of.visible)
    if (!pipeline || of.visible.length < 2) return undefined
    if (act <= 4) {
      of.simulation.hide(pipeline)
      return `hid ${pipeline.slug}`
    }
    if (act === 5) {
      const ours = truth.hiddenFrom(otherToken.token)
      if (ours.has(pipeline)) of.simulation.show(pipeline, otherToken)
      else of.simulation.hide(pipeline, otherToken)
      return `${ours.has(pipeline) ? 'hid' : 'showed'} ${pipeline.slug} from the other token`
    }
    if (act === 6) return `added ${truth.addPipeline(of.organization, this.now()).slug}`
    if (act === 7) {
      this.silent.renames = true
      const slug = `${pipeline.slug}-${random.hex(2)}`
      truth.renamePipeline(pipeline, `${pipeline.name} II`, slug)
      return `renamed ${pipeline.slug}`
    }
    if (act === 8) {
      truth.archivePipeline(pipeline, this.now())
      return `archived ${pipeline.slug}`
    }
    this.silent.deletions = true
    truth.deletePipeline(pipeline)
    return `deleted ${pipeline.slug}`
  }

  /** Each request takes a while, in which things may happen. */
  #beforeAnswer(kind: string): undefined {
    const { random } = this
    this.pass(random.int(20, 900))
    if (this.#isQuiet) return
    if (kind === 'pipelines' && this.#slowPipelines) this.live(random.int(10, 100) * SECOND)
    if (random.chance(0.1)) this.live(random.int(1, 40) * SECOND)
    if (random.chance(0.01)) this.#setClock()
  }

  #note(): void {
    for (const build of this.truth.builds) this.builds.set(build.id, build)
  }
}

export const iso = (time: number) => new Date(time).toISOString()
