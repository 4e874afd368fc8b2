import type { Build, Job, Organization, Pipeline } from './shapes.ts'

/** An object's state from `at` (milliseconds since the epoch) until the next version. Without an object: deleted. */
export interface Version<T> {
  readonly at: number
  readonly object: T | undefined
}

/** The state of Buildkite at one moment. It has the shape of Truth, so that the same code compares a mirror with either. */
export interface Moment {
  readonly at: number
  readonly organizations: readonly Organization[]
  readonly pipelines: readonly Pipeline[]
  /** By `created_at`, oldest first. Their `pipeline` and their jobs' `agent` are the current ones. */
  readonly builds: readonly Build[]
  buildsOf(organization: Organization): readonly Build[]
  pipelinesOf(organization: Organization): Pipeline[]
  /** The build's pipeline as it was then. */
  pipelineOf(build: Build): Pipeline
  /** Whether the token saw the pipeline (given in its current or its former state); without a token, whether any token could. */
  isVisible(pipeline: Pipeline, token?: string): boolean
}

/** The parts of Truth that a recorder needs. */
export interface Recorded {
  readonly organizations: readonly Organization[]
  readonly pipelines: readonly Pipeline[]
  readonly builds: readonly Build[]
  organizationOf(pipeline: Pipeline): Organization
  isVisible(pipeline: Pipeline, token?: string, time?: number): boolean
}

interface Track<T> {
  readonly live: T
  readonly organization: Organization
  readonly versions: Version<T>[]
}

/**
 * Stores every version of each build (with its jobs) and of each pipeline. A version shares unchanged jobs with the previous
 * version, so it takes about 1 kB. A change is only marked at first, because a turn changes several things at one time. The result is
 * copied when the next turn begins or a version is requested.
 */
export class Recorder {
  /** The recording begins here; earlier times are not available. */
  readonly since: number
  readonly #truth: Recorded
  readonly #builds = new Map<string, Track<Build>>()
  readonly #pipelines = new Map<string, Track<Pipeline>>()
  readonly #changed = new Map<Build | Pipeline, number>()

  constructor(truth: Recorded, since: number) {
    this.#truth = truth
    this.since = since
    for (const pipeline of truth.pipelines) this.mark(pipeline, since)
    for (const build of truth.builds) this.mark(build, since)
    this.settle()
  }

  /** Marks that the object changes at `at`; it may change further until the turn is over. */
  mark(object: Build | Pipeline, at: number): void {
    this.#changed.set(object, at)
  }

  /** Marks that a turn begins at `at`: earlier turns are over. */
  begin(at: number): void {
    for (const [object, changedAt] of this.#changed) if (changedAt !== at) this.#copy(object, changedAt)
  }

  /** Marks that no turn is running. */
  settle(): void {
    for (const [object, at] of this.#changed) this.#copy(object, at)
  }

  /** Marks that the object was deleted. */
  remove(object: Build | Pipeline, at: number): void {
    this.#changed.delete(object)
    const versions = (this.#builds.get(object.id) ?? this.#pipelines.get(object.id))?.versions
    versions?.push({ at: Math.max(at, versions.at(-1)?.at ?? at), object: undefined })
  }

  /** Every version of a build, the oldest first; empty for a build that never existed. */
  versionsOf(buildId: string): readonly Version<Build>[] {
    this.settle()
    return this.#builds.get(buildId)?.versions ?? []
  }

  /**
   * The state of Buildkite at `time`, including changes of the same millisecond.
   * @throws RangeError for a time before the recording began.
   */
  at(time: number): Moment {
    this.settle()
    if (time < this.since) {
      const asked = new Date(time).toISOString()
      throw new RangeError(
        `Nothing is recorded for ${asked}: the recording began ${new Date(this.since).toISOString()}.`,
      )
    }
    const truth = this.#truth
    const [builds, pipelines] = [valid(this.#builds, time), valid(this.#pipelines, time)]
    const of = <T>(list: readonly Held<T>[], organization: Organization) =>
      list.filter((one) => one.organization === organization).map(({ object }) => object)
    const live = (pipeline: Pipeline) => this.#pipelines.get(pipeline.id)?.live ?? pipeline
    return {
      at: time,
      organizations: truth.organizations,
      pipelines: pipelines.map(({ object }) => object),
      get builds() {
        return truth.organizations.flatMap((organization) => this.buildsOf(organization))
      },
      buildsOf: (organization) => of(builds, organization).sort(byCreation),
      pipelinesOf: (organization) => of(pipelines, organization),
      pipelineOf: ({ pipeline }) => validAt(this.#pipelines.get(pipeline.id)?.versions ?? [], time) ?? pipeline,
      isVisible: (pipeline, token) => truth.isVisible(live(pipeline), token, time),
    }
  }

  /** Ids of builds whose newest version differs from Truth, because their last change was not marked. */
  unmarked(): string[] {
    this.settle()
    return this.#truth.builds
      .filter((build) => {
        const last = this.#builds.get(build.id)?.versions.at(-1)?.object
        return !last || copyBuild(build, last) !== last
      })
      .map(({ id }) => id)
  }

  #copy(object: Build | Pipeline, at: number): void {
    this.#changed.delete(object)
    if ('pipeline' in object) add(this.#trackOf(this.#builds, object, object.pipeline), at, copyBuild)
    else add(this.#trackOf(this.#pipelines, object, object), at, copyFields)
  }

  #trackOf<T extends { id: string }>(tracks: Map<string, Track<T>>, object: T, pipeline: Pipeline): Track<T> {
    const known = tracks.get(object.id)
    if (known) return known
    const track = { live: object, organization: this.#truth.organizationOf(pipeline), versions: [] }
    tracks.set(object.id, track)
    return track
  }
}

interface Held<T> {
  organization: Organization
  object: T
}

function valid<T>(tracks: ReadonlyMap<string, Track<T>>, time: number): Held<T>[] {
  const found: Held<T>[] = []
  for (const { organization, versions } of tracks.values()) {
    const object = validAt(versions, time)
    if (object) found.push({ organization, object })
  }
  return found
}

/** The version at `time`; undefined before the object was created and after it was deleted. */
export function validAt<T>(versions: readonly Version<T>[], time: number): T | undefined {
  return versions.findLast(({ at }) => at <= time)?.object
}

const byCreation = (a: Build, b: Build) => (a.created_at < b.created_at ? -1 : a.created_at > b.created_at ? 1 : 0)

function add<T extends object>({ live, versions }: Track<T>, at: number, copy: (object: T, last?: T) => T): void {
  const last = versions.at(-1)
  const object = copy(live, last?.object)
  if (object === last?.object) return
  // Two turns within one millisecond create one version.
  if (last && last.at >= at) versions[versions.length - 1] = { at: last.at, object }
  else versions.push({ at, object })
}

/** Returns `last` itself if nothing has changed since. */
function copyBuild(build: Build, last?: Build): Build {
  const before = last?.jobs ?? []
  let position = 0
  const jobs = build.jobs.map((job): Job => {
    // Jobs keep their order; a retry is inserted among them.
    if (before[position]?.id === job.id) return copyFields(job, before[position++])
    return copyFields(job, undefined)
  })
  const same = last && jobs.length === before.length && jobs.every((job, index) => job === before[index])
  const { jobs: _, ...fields } = build
  return copyFields({ ...fields, jobs: same ? before : jobs }, last)
}

/** Objects that a version refers to but does not copy, because they change independently. */
const referred = new Set(['pipeline', 'agent', 'jobs'])

/** A shallow copy, or `last` if no field has changed. Nested objects are frozen, so that the past cannot be changed. */
function copyFields<T extends object>(object: T, last?: T): T {
  if (last && haveSameFields(object, last)) return last
  for (const [key, value] of Object.entries(object)) {
    if (typeof value === 'object' && value !== null && !referred.has(key)) Object.freeze(value)
  }
  return { ...object }
}

function haveSameFields<T extends object>(one: T, other: T): boolean {
  for (const key in one) if (one[key] !== other[key]) return false
  for (const key in other) if (!(key in one)) return false
  return true
}
