import { and, eq, isNull } from 'drizzle-orm'
import { z } from 'zod'
import type { ApiRead } from '../../buildkite/client.ts'
import { isOutage } from '../../database/connection.ts'
import { clearFailure, type Failure, failuresOf, isDue, recordFailure } from '../../database/failures.ts'
import { cycles, pipelines } from '../../database/schema.ts'
import { inOneTransaction, markDeleted } from '../../mirror/apply.ts'
import { observePipelines } from '../../mirror/observe.ts'
import { fillMissingParents } from '../../mirror/orphans.ts'
import { BuildkiteError, messageOf } from '../../runtime/errors.ts'
import { answeredBy, keepObserved, type ReconcileDeps, type Source } from '../context.ts'
import { followPipelines } from './changes.ts'
import { takeInList } from './coverage.ts'

const pipelineSummary = z.object({ id: z.guid().toLowerCase(), slug: z.string().nullish().catch(null) })
type PipelineSummary = z.infer<typeof pipelineSummary>

const unreadableInList =
  'The list of pipelines has an entry without a usable id. No pipeline is marked as deleted, because it may be that one.'

/** How many pipelines that are missing from a list are requested individually. If there are more, the list is read a second time. */
const CONFIRMED_SINGLY = 20

/** What reading all pipelines of an organization found. */
export interface PipelinesReport {
  readonly requests: number
  /** Pipelines listed that are in scope. */
  readonly read: number
  readonly inserted: number
  readonly updated: number
  /** Pipelines that the mirror holds and the list no longer has. */
  readonly unlisted: number
}

/** How a failing list of pipelines is recorded in sync.failures. */
export function pipelinesUnit(source: Source) {
  return { kind: 'pipelines_list', organizationId: source.id, subject: `pipelines of ${source.slug}` } as const
}

/**
 * The failure of the list of pipelines, during its back-off. The task that reads the list every five minutes and commands ignore it;
 * everything else should not request the list meanwhile.
 */
export async function pipelinesBackOff(
  { db, clock }: Pick<ReconcileDeps, 'db' | 'clock'>,
  source: Source,
): Promise<Failure | undefined> {
  const [failure] = await failuresOf(db, source.id, ['pipelines_list'])
  return failure && !isDue(failure.next_try_at, clock()) ? failure : undefined
}

/**
 * Reads all pipelines of an organization, including archived ones, and marks those that are missing from the complete list. A pipeline
 * that was listed before becomes `not_listed`: a list cannot show whether it was deleted or our user can no longer see it. A pipeline
 * known only from webhooks, or mentioned by a webhook after it was marked, becomes `hidden`. The mark is removed when it is listed again.
 * Then places earlier rows and updates builds of changed pipelines; a failure of those is recorded too, but the list counts.
 * @throws BuildkiteError, StoreError; a failure is recorded in sync.failures.
 */
export async function refreshPipelines(
  deps: ReconcileDeps,
  source: Source,
  signal?: AbortSignal,
): Promise<PipelinesReport> {
  const report = await readList(deps, source, signal)
  await adopt(deps, source)
  await followPipelines(deps, source, signal)
  return report
}

/** Like {@link refreshPipelines}, but a failure is logged and returned. @throws BuildkiteError when the token is rejected; StoreError. */
export async function tryRefreshPipelines(
  deps: ReconcileDeps,
  source: Source,
  signal?: AbortSignal,
): Promise<{ requests: number; failure?: string }> {
  try {
    return { requests: (await refreshPipelines(deps, source, signal)).requests }
  } catch (error) {
    if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') throw error
    const message =
      'Could not list the pipelines; builds in unknown ones are stored without a pipeline until the next list.'
    deps.log.warn({ err: error, organization: source.slug }, message)
    return { requests: 0, failure: messageOf(error) }
  }
}

async function readList(deps: ReconcileDeps, source: Source, signal?: AbortSignal): Promise<PipelinesReport> {
  try {
    const report = await new Listing(deps, source, signal).run()
    await clearFailure(deps.db, pipelinesUnit(source))
    return report
  } catch (error) {
    if (!signal?.aborted) {
      await recordFailure(deps.db, pipelinesUnit(source), error, new Date(deps.clock())).catch(() => {})
    }
    throw error
  }
}

/** @throws StoreError when the database is unavailable; any other failure is recorded, because the list itself was read. */
async function adopt({ db, clock, log }: ReconcileDeps, source: Source): Promise<void> {
  const unit = { kind: 'orphans', organizationId: source.id, subject: `rows of ${source.slug}` } as const
  try {
    await fillMissingParents(db, source.id, clock)
    await clearFailure(db, unit)
  } catch (error) {
    if (isOutage(error)) throw error
    log.warn({ err: error, organization: source.slug }, 'Could not place earlier rows; will retry.')
    await recordFailure(db, unit, error, new Date(clock()))
  }
}

/** One read of the whole list. */
class Listing {
  readonly #deps: ReconcileDeps
  readonly #source: Source
  readonly #signal: AbortSignal | undefined
  readonly #listed = new Map<string, PipelineSummary>()
  #requests = 0
  #read = 0
  #inserted = 0
  #updated = 0
  #unreadable = 0

  constructor(deps: ReconcileDeps, source: Source, signal: AbortSignal | undefined) {
    this.#deps = deps
    this.#source = source
    this.#signal = signal
  }

  async run(): Promise<PipelinesReport> {
    const { deps, source } = { deps: this.#deps, source: this.#source }
    const startedAt = new Date(deps.clock())
    const at = (await this.#readAll()) ?? startedAt
    if (this.#unreadable > 0) {
      deps.log.error({ organization: source.slug, unreadable: this.#unreadable }, unreadableInList)
    }
    // A pipeline that a webhook mentioned while the list was read is newer than the first page.
    const gone = this.#unreadable > 0 ? [] : (await this.#confirmGone()).filter(({ observed_at }) => observed_at < at)
    const until = answeredBy(source, at)
    const taken = await inOneTransaction(deps.db, 'apply the list of pipelines', async (tx) => {
      const change = await takeInList(tx, deps, source, { ids: this.#wanted(), from: at, until })
      if (!change) return false
      const ids = (held: typeof gone) => held.map(({ id }) => id)
      await markDeleted(tx, 'pipelines', ids(gone.filter(({ verified_at }) => verified_at !== null)), 'not_listed', at)
      await markDeleted(tx, 'pipelines', ids(gone.filter(({ verified_at }) => verified_at === null)), 'hidden', at)
      const row = { organization_id: source.id, kind: 'pipelines', started_at: startedAt } as const
      await tx.insert(cycles).values({ ...row, finished_at: new Date(deps.clock()), requests: this.#requests })
      return true
    })
    return {
      requests: this.#requests,
      read: this.#read,
      inserted: this.#inserted,
      updated: this.#updated,
      unlisted: taken ? gone.length : 0,
    }
  }

  /** Reads the whole list; returns the time of its first page. */
  async #readAll(): Promise<Date | undefined> {
    let firstReadAt: Date | undefined
    for await (const page of this.#source.client.pipelines(this.#source.slug, 'hot', this.#signal)) {
      this.#signal?.throwIfAborted()
      firstReadAt ??= page.at
      this.#requests += page.requests
      await this.#keep(page)
    }
    return firstReadAt
  }

  async #keep(page: ApiRead<unknown[]>): Promise<void> {
    const { storeEnv, filter } = this.#deps
    const all = page.value.flatMap((raw) => {
      const { data } = pipelineSummary.safeParse(raw)
      return data ? [{ ...data, raw }] : []
    })
    this.#unreadable += page.value.length - all.length
    for (const { id, slug } of all) this.#listed.set(id, { id, slug })
    const wanted = all.filter(({ slug }) => filter.pipeline(slug ?? '')).map(({ raw }) => raw)
    const observed = observePipelines(wanted, page.at, { storeEnv, organizationId: this.#source.id })
    const report = await keepObserved(this.#deps, observed)
    this.#read += wanted.length
    this.#inserted += report.pipelines.inserted
    this.#updated += report.pipelines.updated
  }

  #wanted(): string[] {
    const all = [...this.#listed.values()]
    return all.filter(({ slug }) => this.#deps.filter.pipeline(slug ?? '')).map(({ id }) => id)
  }

  /**
   * The pipelines that the mirror has and Buildkite does not show. One that is renamed while the list is read may move to a page that
   * was read before. So each missing pipeline is requested individually, or the list is read again if many are missing.
   */
  async #confirmGone() {
    const missing = await this.#missing()
    if (missing.length === 0) return missing
    if (missing.length > CONFIRMED_SINGLY) {
      await this.#readAll()
    } else {
      for (const { slug } of missing) {
        if (!slug) continue
        const found = await this.#source.client.pipeline(this.#source.slug, slug, 'hot', this.#signal)
        this.#requests += 1
        if (found) await this.#keep({ value: [found.value], at: found.at })
      }
    }
    return missing.filter(({ id }) => !this.#listed.has(id))
  }

  #missing() {
    const { id, slug, observed_at, verified_at } = pipelines
    return this.#deps.db
      .select({ id, slug, observed_at, verified_at })
      .from(pipelines)
      .where(and(eq(pipelines.organization_id, this.#source.id), isNull(pipelines.deleted_at)))
      .then((held) => held.filter(({ id }) => !this.#listed.has(id)))
  }
}
