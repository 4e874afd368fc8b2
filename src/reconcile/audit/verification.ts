import type { ApiRead, BuildsPage } from '../../buildkite/client.ts'
import { isObject, isUuid } from '../../buildkite/payload-reader.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import { markDeleted } from '../../mirror/apply.ts'
import type { Comparison, Difference } from '../../mirror/compare.ts'
import type { BuildkiteError } from '../../runtime/errors.ts'
import { MINUTE, pause } from '../../runtime/time.ts'
import { BuildWriter, faultOfJobs, type PageKind } from '../builds/build-writer.ts'
import { BuildLocator } from '../builds/locate-build.ts'
import { recordUnlistable } from '../builds/unlistable.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import type { TimeRange } from '../progress/time-range.ts'
import { contentOf, idOf, MirrorComparison, objectOf, type Raw, rowKey } from './comparison.ts'
import type { Discrepancy } from './drift.ts'
import { Reads } from './reads.ts'
import { type UnexpectedBuild, UnexpectedBuilds } from './unexpected-builds.ts'
import { type KnownUnlistable, readable, refused, type Unreadable, unlistable, unreadable } from './unreadable.ts'
import type { VerifyOptions, VerifyReport } from './verify.ts'

/** A page of builds, and the part of the span that is completely read with it. */
export interface Stretch {
  readonly page: BuildsPage
  readonly span: TimeRange
}

type Options = VerifyOptions & Required<Pick<VerifyOptions, 'recheckAfterMs'>>

/** How often a build in flight is read again. With the default interval the claim then has passed the time of the first read. */
export const RECHECKS = 3
/** How many builds are read again at a time. If more are in flight, no cycle is running, and reading them again proves nothing. */
const BUILDS_PER_RECHECK = 500

/** A build that differs or was not compared, because it changed after the time of the claim. */
interface Suspect {
  readonly raw: Raw
  /** When each difference was first seen, by {@link contentOf}. */
  readonly seenAt: ReadonlyMap<string, number>
  /** Keys of the objects in flight: builds and jobs that Buildkite showed. */
  readonly objects: ReadonlySet<string>
}

interface Count {
  builds: number
  jobs: number
}

/** One run over a span. */
export class Verification {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #options: Options
  readonly #writer: BuildWriter
  readonly #locator: BuildLocator
  readonly #unexpected: UnexpectedBuilds
  readonly #mirror: MirrorComparison
  readonly #reads = new Reads()
  readonly #findings: Discrepancy[] = []
  readonly #unreadable: Unreadable[] = []
  readonly #suspects = new Map<string, Suspect>()
  readonly #open: ReadonlySet<string>
  /** Builds with open drift that were compared completely. */
  readonly compared = new Set<string>()
  /** What Buildkite showed, minus what turned out to be unreadable. */
  readonly #shown: Count = { builds: 0, jobs: 0 }
  #requests = 0
  #readAt: Date | undefined

  constructor(deps: ReconcileDeps, source: Source, options: Options, open: ReadonlySet<string>) {
    this.#open = open
    this.#deps = deps
    this.#source = source
    this.#options = options
    this.#mirror = new MirrorComparison(deps, source)
    this.#writer = new BuildWriter(deps, source)
    const { heal: refresh, priority, signal } = options
    this.#locator = new BuildLocator(deps, source, priority, { refresh, signal })
    this.#unexpected = new UnexpectedBuilds(deps, source, this.#locator, this.#reads, options.pipeline)
  }

  /** Must run before any build is read. */
  begin(): Promise<void> {
    return this.#mirror.begin()
  }

  /** Counts the ranges that the walk avoids as unreadable. */
  skip(avoided: readonly KnownUnlistable[]): void {
    this.#unreadable.push(...avoided.map(({ from: _, to: __, ...one }) => one))
  }

  report(): VerifyReport {
    const inFlight = countOf([...this.#suspects.values()].flatMap(({ objects }) => [...objects]))
    return {
      organization: this.#source.slug,
      ...this.#options.span,
      builds: this.#shown.builds - inFlight.builds,
      jobs: this.#shown.jobs - inFlight.jobs,
      builds_in_flight: inFlight.builds,
      jobs_in_flight: inFlight.jobs,
      requests: this.#requests + this.#locator.requests,
      findings: this.#findings,
      unreadable: this.#unreadable,
      read_at: this.#readAt,
    }
  }

  async check({ page, span }: Stretch): Promise<void> {
    this.#requests += page.requests
    this.#readAt ??= page.at
    this.#unreadable.push(...page.unlistable.map(unlistable))
    const wanted = page.value.filter((one) => this.#isWanted(one))
    if (page.jobs) await this.#examineAll(wanted, page.at, 'list')
    else for (const build of wanted) await this.#readWithJobs(build, page.at)
    const unlisted = await this.#unexpected.of(page, span)
    for (const build of unlisted.builds) await this.#examineUnlisted(build)
    if (unlisted.left > 0) {
      const reason = `${unlisted.left} unlisted builds of the mirror were not requested: one run requests a few hundred.`
      this.#unreadable.push({ ...unreadable({}, 'not_read', reason), created_from: span.from, created_to: span.to })
    }
    // The mirror's builds of the range are compared at this point; healing also searches for builds that the mirror lacks.
    if (this.#options.heal) {
      const reading = { deps: this.#deps, source: this.#source, writer: this.#writer, signal: this.#options.signal }
      this.#requests += (await recordUnlistable(reading, page.unlistable)).requests
    }
    const { builds, requests } = this.report()
    this.#options.onProgress?.({ builds, requests, found: this.#findings.length })
  }

  #isWanted(one: unknown): boolean {
    if (!isObject(one)) return true
    const { pipeline } = slugsOf(one.url)
    // An entry that names no build or pipeline cannot be excluded.
    return pipeline === undefined && !isUuid(one.id) ? true : this.#deps.filter.pipeline(pipeline ?? '')
  }

  async #examineAll(shown: readonly unknown[], at: Date, via: PageKind['via']): Promise<void> {
    const { builds, unreadable } = readable(shown)
    this.#unreadable.push(...unreadable)
    await this.#examine(builds, at, { jobs: true, via })
  }

  /** Reads a single build that was listed without its jobs. If that fails, the build is compared as listed. */
  async #readWithJobs(shown: unknown, at: Date): Promise<void> {
    const [build] = readable([shown]).builds
    if (!build) return this.#examineAll([shown], at, 'list')
    const read = await this.#read(build)
    if (read === undefined) return
    if (!('failed' in read)) return this.#examineAll([read.value], read.at, 'build')
    this.#unreadable.push(refused(build, read.failed))
    await this.#examine([build], at, { jobs: false, via: 'list' })
  }

  /** Reads a single build; undefined if it is gone, or its number now belongs to another build. */
  async #read(build: Raw): Promise<ApiRead<Raw> | { readonly failed: BuildkiteError } | undefined> {
    const { client, slug: organization } = this.#source
    const { priority, signal } = this.#options
    const { pipeline, number } = slugsOf(build.url)
    if (pipeline === undefined || number === undefined) return undefined
    this.#requests += 1
    const read = await this.#reads.attempt(() => client.build(organization, pipeline, number, priority, signal))
    if (!read || 'failed' in read) return read
    const { value, at } = read
    return isObject(value) && idOf(value) === idOf(build) ? { value, at } : undefined
  }

  /** Compares builds for the first time, and writes them when healing. */
  async #examine(builds: readonly Raw[], at: Date, kind: PageKind): Promise<void> {
    if (builds.length === 0) return
    const { contrasts, skipped } = await this.#mirror.compare(builds, at)
    this.#shown.builds += builds.length
    this.#shown.jobs += builds.reduce((sum, { jobs }) => sum + (Array.isArray(jobs) ? jobs.length : 0), 0)
    // Jobs that Buildkite no longer shows count as compared too.
    this.#shown.jobs += contrasts.filter(({ difference }) => difference.kind === 'unexpected').length
    const { proven, open } = await this.#mirror.evaluate(contrasts, at, new Map())
    if (this.#options.heal) return this.#heal(builds, at, kind, proven)
    this.#findings.push(...proven.map((difference) => ({ ...difference, healed: false })))
    this.#suspect(builds, at, open, skipped, new Map())
  }

  /** Records which of the builds are in flight, to read them again later. */
  #suspect(
    builds: readonly Raw[],
    at: Date,
    open: readonly Difference[],
    skipped: Comparison['skipped'],
    seenAt: ReadonlyMap<string, number>,
  ): void {
    for (const raw of builds) {
      const id = idOf(raw)
      const mine = open.filter(({ build_id }) => build_id === id)
      const objects = [...mine, ...skipped.filter(({ build_id }) => build_id === id)].map(objectOf)
      if (objects.length === 0) {
        this.#suspects.delete(id)
        // A build without some of its jobs was not compared completely.
        if (this.#open.has(id) && faultOfJobs(raw) === undefined) this.compared.add(id)
        continue
      }
      const seen = mine.map((difference) => {
        const content = contentOf(difference)
        return [content, seenAt.get(content) ?? at.getTime()] as const
      })
      this.#suspects.set(id, { raw, seenAt: new Map(seen), objects: new Set(objects) })
    }
  }

  /** Writes what was read, as a cycle does, then checks what that corrected. */
  async #heal(builds: readonly Raw[], at: Date, kind: PageKind, proven: readonly Difference[]): Promise<void> {
    // Also if nothing differs, to update verified_at.
    await this.#writer.write(builds, at, kind)
    const unexpected = proven.flatMap(({ kind, job_id }) => (kind === 'unexpected' && job_id ? [job_id] : []))
    await markDeleted(this.#deps.db, 'jobs', unexpected, 'not_listed', at)
    const { contrasts, skipped } = await this.#mirror.compare(builds, at)
    const left = new Map(contrasts.map(({ difference }) => [rowKey(difference), difference]))
    const known = new Set(proven.map(rowKey))
    this.#findings.push(...proven.map((difference) => ({ ...difference, healed: !left.has(rowKey(difference)) })))
    const open = [...left.values()].filter((difference) => !known.has(rowKey(difference)))
    this.#suspect(builds, at, open, skipped, new Map())
  }

  /** Examines a build that is in the mirror and in no list. */
  async #examineUnlisted({ build, located }: UnexpectedBuild): Promise<void> {
    const { heal } = this.#options
    if ('failed' in located) {
      this.#unreadable.push(refused({ ...build, created_at: build.created_at?.toISOString() }, located.failed))
      return
    }
    if ('read' in located) {
      // Lists lag, and some builds are unlistable.
      return this.#examineAll([located.read.value], located.read.at, 'build')
    }
    this.#shown.builds += 1
    const { gone, at } = located
    if (heal) await markDeleted(this.#deps.db, 'builds', [build.id], gone, at)
    const { id: build_id, verified_at: last_matched_at } = build
    const finding = { kind: 'unexpected', build_id, job_id: null, columns: [], last_matched_at, reason: gone } as const
    this.#findings.push({ ...finding, healed: heal })
  }

  /** Waits for the next cycle, then reads builds in flight again. Not when healing, because then they are already written. */
  async checkAgain(): Promise<void> {
    const { heal, recheckAfterMs, wait = pause, signal, onPause } = this.#options
    if (heal) return
    for (let recheck = 0; recheck < RECHECKS && this.#suspects.size > 0; recheck++) {
      onPause?.(this.#suspects.size, recheckAfterMs)
      await wait(recheckAfterMs, signal)
      signal?.throwIfAborted()
      await this.#mirror.begin()
      for (const [id, suspect] of [...this.#suspects].slice(0, BUILDS_PER_RECHECK)) await this.#recheck(id, suspect)
    }
  }

  async #recheck(id: string, suspect: Suspect): Promise<void> {
    const { number } = slugsOf(suspect.raw.url)
    if (number === undefined) return
    const read = await this.#read(suspect.raw)
    // Deleted meanwhile: the earlier read no longer counts.
    if (read === undefined) return this.#forget(id, suspect)
    if ('failed' in read) {
      this.#forget(id, suspect)
      this.#unreadable.push(refused(suspect.raw, read.failed))
      return
    }
    const { contrasts, skipped } = await this.#mirror.compare([read.value], read.at, MINUTE)
    // A job that is new since the first read was not counted, and is ignored.
    const first = contrasts.filter(({ difference }) => suspect.objects.has(objectOf(difference)))
    const { proven, open } = await this.#mirror.evaluate(first, read.at, suspect.seenAt)
    this.#findings.push(...proven.map((difference) => ({ ...difference, healed: false })))
    const known = skipped.filter((one) => suspect.objects.has(objectOf(one)))
    this.#suspect([read.value], read.at, open, known, suspect.seenAt)
  }

  /** Removes a build from the compared counts. */
  #forget(id: string, { objects }: Suspect): void {
    this.#suspects.delete(id)
    const removed = countOf([...objects])
    this.#shown.builds -= removed.builds
    this.#shown.jobs -= removed.jobs
  }
}

function countOf(objects: readonly string[]): Count {
  const builds = objects.filter((object) => object.startsWith('build ')).length
  return { builds, jobs: objects.length - builds }
}
