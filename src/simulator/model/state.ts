import type { ReadFault } from '../api/read-faults.ts'
import { createRandom, type Random } from '../random.ts'
import { type Company, foundCompany } from './company.ts'
import { OpenBuilds } from './open-builds.ts'
import { type Moment, Recorder, type Version } from './recorder.ts'
import { foundAgent, foundOrganization, foundPeople, foundPipeline, movePipeline, pipelineName } from './seed.ts'
import { foundServices, type Services } from './services.ts'
import {
  type Agent,
  type Build,
  type Change,
  iso,
  type Job,
  type Organization,
  type Person,
  type Pipeline,
  type ScriptJob,
} from './shapes.ts'
import { varyPipeline } from './variety.ts'
import { type HiddenPipelines, Visibility } from './visibility.ts'

export interface TruthOptions {
  seed: number | string
  /** When the organizations, pipelines and agents were created, in milliseconds since the epoch. */
  foundedAt: number
  /** Slugs. */
  organizations?: readonly string[]
  pipelines?: number
  agents?: number
  /** Whether objects also have the rarer shapes of real recordings, such as builds without a cluster; see `variety.ts`. */
  variety?: boolean
  /** The clock for changes without their own time, in milliseconds since the epoch. Default: a clock that does not advance. */
  now?: () => number
}

/**
 * The state of the simulated Buildkite: every object in its REST form, in the order of the lists.
 * Change it through `lifecycle/` (builds) and the methods below, so that indexes, counts and webhooks stay consistent.
 */
export class Truth {
  readonly random: Random
  readonly people: [Person, ...Person[]]
  readonly organizations: Organization[] = []
  readonly pipelines: Pipeline[] = []
  readonly agents: Agent[] = []
  /** Builds that will still change by themselves. */
  readonly alive = new Set<Build>()
  /** Jobs by the agent that runs them. */
  readonly running = new Map<Agent, ScriptJob>()
  /** Pipelines that no token can see: absent from every list, 404 by name. */
  readonly hidden: HiddenPipelines
  readonly variety: boolean
  /** Builds for which the API fails. */
  readonly readFaults = new Map<Build, ReadFault>()

  readonly #now: () => number
  readonly #foundedAt: number
  readonly #visibility: Visibility
  #recorder: Recorder | undefined
  readonly #organizationOf = new Map<Pipeline | Agent, Organization>()
  readonly #builds = new Map<Organization, Build[]>()
  readonly #companies = new Map<Organization, Company>()
  readonly #services = new Map<Organization, Services>()
  readonly #byId = new Map<string, Build>()
  readonly #byNumber = new Map<Pipeline, Map<number, Build>>()
  readonly #numbers = new Map<Pipeline, number>()
  readonly #open = new OpenBuilds()
  readonly #listeners = new Set<(change: Change, at: number) => void>()

  constructor(options: TruthOptions) {
    const { foundedAt } = options
    this.variety = options.variety ?? false
    this.#now = options.now ?? (() => foundedAt)
    this.#foundedAt = foundedAt
    this.#visibility = new Visibility(this.#now)
    this.hidden = this.#visibility.hidden
    this.random = createRandom(options.seed)
    this.people = foundPeople(this.random, foundedAt)
    for (const slug of options.organizations ?? ['acme']) {
      const organization = foundOrganization(this.random, foundedAt, slug)
      this.organizations.push(organization)
      this.#builds.set(organization, [])
      this.#companies.set(organization, foundCompany(String(options.seed), foundedAt, organization, this.people))
      this.#services.set(organization, foundServices(String(options.seed), organization))
      for (let i = 0; i < (options.pipelines ?? 4); i++) {
        this.addPipeline(organization, foundedAt)
      }
      for (let i = 0; i < (options.agents ?? 8); i++) {
        const creator = this.random.pick(this.people)
        const agent = foundAgent(this.random, foundedAt, organization, i + 1, creator, this.companyOf(organization))
        this.agents.push(agent)
        this.#organizationOf.set(agent, organization)
      }
    }
  }

  /** Every build of every organization, oldest first within each. */
  get builds(): Build[] {
    return this.organizations.flatMap((organization) => this.buildsOf(organization))
  }

  /** Every job with the build that it belongs to. */
  get jobs(): { build: Build; job: Job }[] {
    return this.builds.flatMap((build) => build.jobs.map((job) => ({ build, job })))
  }

  /** The builds of one organization by `created_at`, oldest first. Not a copy. */
  buildsOf(organization: Organization): readonly Build[] {
    return this.#builds.get(organization) ?? []
  }

  pipelinesOf(organization: Organization): Pipeline[] {
    return this.pipelines.filter((pipeline) => this.#organizationOf.get(pipeline) === organization)
  }

  agentsOf(organization: Organization): Agent[] {
    return this.agents.filter((agent) => this.#organizationOf.get(agent) === organization)
  }

  /** Its clusters, teams, people and schedules. */
  companyOf(organization: Organization): Company {
    return ofOrganization(this.#companies, organization)
  }

  /** Its notification services. */
  servicesOf(organization: Organization): Services {
    return ofOrganization(this.#services, organization)
  }

  organizationOf(thing: Pipeline | Agent): Organization {
    const organization = this.#organizationOf.get(thing)
    if (!organization) throw new Error(`${thing.name} belongs to no organization of this simulation.`)
    return organization
  }

  organization(slug: string): Organization | undefined {
    return this.organizations.find((organization) => organization.slug === slug)
  }

  /** The pipeline with that slug, unless it is hidden, or hidden from that token. */
  pipeline(organization: Organization, slug: string, token?: string): Pipeline | undefined {
    return this.pipelinesOf(organization).find((one) => one.slug === slug && this.isVisible(one, token))
  }

  /** Pipelines that this token alone cannot see. */
  hiddenFrom(token: string): HiddenPipelines {
    return this.#visibility.hiddenFrom(token)
  }

  /** Whether the token sees the pipeline; without a token, whether any token may. `time`: at that time instead of now. */
  isVisible(pipeline: Pipeline, token?: string, time?: number): boolean {
    return this.#visibility.isVisible(pipeline, token, time)
  }

  /** The pipeline of a build; a past state returns the pipeline as it was then. */
  pipelineOf(build: Build): Pipeline {
    return build.pipeline
  }

  /** Records changes from now on, for `at` and `versionsOf`. Does nothing if it is already recording. */
  record(): Recorder {
    // As long as there are no builds, nothing was missed.
    this.#recorder ??= new Recorder(this, this.builds.length === 0 ? this.#foundedAt : this.#now())
    return this.#recorder
  }

  /** The state of Buildkite at `time`, in milliseconds since the epoch. @throws Error unless it was recorded; see `record`. */
  at(time: number): Moment {
    return this.#recorded().at(time)
  }

  /** Every version of a build and its jobs, the oldest first, deleted builds included. @throws Error unless it was recorded. */
  versionsOf(buildId: string): readonly Version<Build>[] {
    return this.#recorded().versionsOf(buildId)
  }

  #recorded(): Recorder {
    if (!this.#recorder) throw new Error('Nothing was recorded: create the simulation with `record: true`.')
    return this.#recorder
  }

  /** Marks that a turn begins. Must be called before any change of builds or pipelines. */
  begin(at: number): void {
    this.#recorder?.begin(at)
  }

  /** Changes fields of a build that change without a webhook: `message`, `meta_data` and the like. */
  edit(build: Build, fields: Partial<Build>, at = this.#now()): void {
    this.begin(at)
    Object.assign(build, fields)
    this.recount(build, at)
  }

  build(id: string): Build | undefined {
    return this.#byId.get(id)
  }

  buildByNumber(pipeline: Pipeline, number: number): Build | undefined {
    return this.#byNumber.get(pipeline)?.get(number)
  }

  nextNumber(pipeline: Pipeline): number {
    const number = (this.#numbers.get(pipeline) ?? 0) + 1
    this.#numbers.set(pipeline, number)
    return number
  }

  /** Inserts a new build by its `created_at`; builds with the same time keep the order of their insertion. */
  addBuild(build: Build): void {
    const list = this.#builds.get(this.organizationOf(build.pipeline))
    if (!list) return
    list.splice(firstCreatedFrom(list, build.created_at, true), 0, build)
    this.#byId.set(build.id, build)
    this.#byNumber.get(build.pipeline)?.set(build.number, build)
    this.recount(build, Date.parse(build.created_at))
  }

  /** Adds a pipeline with the next free name. No webhook reports it before it has builds. */
  addPipeline(organization: Organization, at: number): Pipeline {
    const taken = new Set(this.pipelinesOf(organization).map(({ slug }) => slug))
    let position = taken.size
    // A deleted pipeline's slug can be used again, but not one that is in use.
    while (taken.has(pipelineName(position).slug)) position++
    const pipeline = foundPipeline(this.random, at, organization, position, this.random.pick(this.people))
    this.companyOf(organization).join(pipeline, position, at)
    if (this.variety) varyPipeline(pipeline, position)
    this.pipelines.push(pipeline)
    this.#organizationOf.set(pipeline, organization)
    this.#byNumber.set(pipeline, new Map())
    this.#recorder?.mark(pipeline, at)
    return pipeline
  }

  /** Removes a build as Buildkite's retention does, without a webhook. */
  deleteBuild(build: Build, at = this.#now()): void {
    this.begin(at)
    const list = this.#builds.get(this.organizationOf(build.pipeline))
    const position = list?.indexOf(build) ?? -1
    if (position >= 0) list?.splice(position, 1)
    this.#byId.delete(build.id)
    this.#byNumber.get(build.pipeline)?.delete(build.number)
    this.#open.remove(build)
    this.alive.delete(build)
    this.readFaults.delete(build)
    for (const [agent, job] of this.running) if (build.jobs.includes(job)) this.running.delete(agent)
    this.#recorder?.remove(build, at)
  }

  /** Removes a pipeline and all its builds. */
  deletePipeline(pipeline: Pipeline, at = this.#now()): void {
    this.begin(at)
    const gone = this.buildsOf(this.organizationOf(pipeline)).filter((build) => build.pipeline === pipeline)
    for (const build of gone) this.deleteBuild(build, at)
    this.pipelines.splice(this.pipelines.indexOf(pipeline), 1)
    this.#recorder?.remove(pipeline, at)
  }

  archivePipeline(pipeline: Pipeline, at: number): void {
    this.begin(at)
    pipeline.archived_at = iso(at)
    this.#recorder?.mark(pipeline, at)
  }

  /** Changes a pipeline's slug and the addresses of everything in it, without a webhook. */
  renamePipeline(pipeline: Pipeline, name: string, slug: string, at = this.#now()): void {
    this.begin(at)
    this.#recorder?.mark(pipeline, at)
    const organization = this.organizationOf(pipeline)
    const builds = this.buildsOf(organization).filter((build) => build.pipeline === pipeline)
    for (const build of builds) this.#recorder?.mark(build, at)
    movePipeline(organization, pipeline, builds, { name, slug })
  }

  /** Updates the pipeline's counts of builds and jobs after `build` has changed. */
  recount(build: Build, at = this.#now()): void {
    this.#recorder?.mark(build, at)
    this.#recorder?.mark(build.pipeline, at)
    this.#open.recount(build)
  }

  /** Calls `listener` at every change for which Buildkite sends a webhook. Returns the function that stops it. */
  onChange(listener: (change: Change, at: number) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Runs `work` without calling the listeners. */
  silently(work: () => void): void {
    const listeners = [...this.#listeners]
    this.#listeners.clear()
    work()
    for (const listener of listeners) this.#listeners.add(listener)
  }

  tell(change: Change, at: number): void {
    for (const listener of this.#listeners) listener(change, at)
  }
}

function ofOrganization<T>(all: ReadonlyMap<Organization, T>, organization: Organization): T {
  const found = all.get(organization)
  if (!found) throw new Error(`${organization.slug} is not an organization of this simulation.`)
  return found
}

/** The position of the first build created at `time` or later (`after`: later only), in a list that is oldest first. */
export function firstCreatedFrom(builds: readonly Build[], time: string, after = false): number {
  let low = 0
  let high = builds.length
  while (low < high) {
    const middle = (low + high) >>> 1
    const created = builds[middle]?.created_at ?? ''
    // All times have the same format, so they can be compared as text.
    if (created < time || (after && created === time)) low = middle + 1
    else high = middle
  }
  return low
}
