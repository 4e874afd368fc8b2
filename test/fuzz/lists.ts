import { and, inArray, isNotNull, sql } from 'drizzle-orm'
import { type ClientOptions, createClient } from '../../src/buildkite/client.ts'
import type { Budget } from '../../src/buildkite/http/budget.ts'
import { isObject } from '../../src/buildkite/payload-reader.ts'
import { type Db, openDatabase } from '../../src/database/connection.ts'
import { builds, cycles, jobs, organizations, pipelines, watermarks } from '../../src/database/schema.ts'
import { openAccess } from '../../src/reconcile/access/access.ts'
import { discover } from '../../src/reconcile/access/discover.ts'
import { sharedBudget } from '../../src/reconcile/access/rate-limit-store.ts'
import type { ReconcileDeps, Source } from '../../src/reconcile/context.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { BuildkiteError } from '../../src/runtime/errors.ts'
import { createLog } from '../../src/runtime/log.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { createRandom } from '../../src/simulator/random.ts'
import { startStub } from '../buildkite/stub.ts'
import { type Answers, ENDLESS, makeAnswers, renamed } from './answers.ts'
import { type FuzzOptions, type FuzzReport, find, inTenths, newReport, tally } from './report.ts'
import { type ApiShapes, apiShapes } from './shapes.ts'

const log = createLog('silent')
const token = 'the-token-of-the-fuzzer'

/**
 * Reconciles with an API whose answers are mutated. Each round must end with a sane result or a BuildkiteError; and every object
 * read must be in the mirror or be reported, because the watermark has passed it.
 */
export async function fuzzLists(databaseUrl: string, options: FuzzOptions): Promise<FuzzReport> {
  const report = newReport('lists')
  const shapes = await apiShapes(options.seed)
  const database = openDatabase(databaseUrl, { name: 'fuzz' })
  const rounds = new Map<string, Answers>()
  const stub = await startStub((seen) => {
    const answers = rounds.get(slugOf(seen.path))
    if (!answers || answers.asked > ENDLESS) return { status: 404, json: { message: 'Enough.' } }
    return answers.answer(seen)
  })
  try {
    await inTenths(
      report,
      { ...options, atOnce: 4 },
      async (number) => {
        const slug = `org-${number}`
        const round = new Round(database.db, shapes, `${options.seed} list ${number}`, slug, stub.url)
        rounds.set(slug, round.answers)
        try {
          await round.run()
          tally(report, round.outcome)
          for (const finding of round.findings) find(report, `Round ${number}: ${finding}`)
        } finally {
          rounds.delete(slug)
        }
        if (rounds.size === 0) stub.seen.length = 0
      },
      () => clear(database.db),
    )
  } finally {
    await stub.close()
    await database.close()
  }
  return report
}

/** Each round's address holds its slug, also where Buildkite's own path does not. */
const slugOf = (path: string) => /org-\d+/.exec(path)?.[0] ?? ''

async function clear(db: Db): Promise<void> {
  for (const table of [jobs, builds, pipelines, organizations, cycles, watermarks]) await db.delete(table)
}

/** One organization of its own, met, read and checked. */
class Round {
  readonly answers: Answers
  readonly findings: string[] = []
  outcome = ''
  readonly #random
  readonly #deps: ReconcileDeps
  readonly #shapes: ApiShapes
  readonly #id: string
  readonly #slug: string
  readonly #url: string

  constructor(db: Db, shapes: ApiShapes, seed: string, slug: string, url: string) {
    this.#random = createRandom(seed)
    this.#shapes = shapes
    this.#slug = slug
    this.#id = Number(slug.slice(4)).toString(16).padStart(8, '0')
    this.#url = `${url}/${slug}`
    this.answers = makeAnswers(shapes, this.#id, this.#random)
    const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] })
    this.#deps = {
      db,
      log,
      clock: Date.now,
      filter,
      storeEnv: false,
      storeAnnotations: false,
      storeArtifacts: false,
      backfillDays: 90,
    }
  }

  async run(): Promise<void> {
    const { report } = sharedBudget(this.#deps.db, 0.5)
    // Reports are taken in, for their figures come from the answers; but nobody waits here.
    const budget = { take: async () => {}, report }
    const wait = async (ms: number) => {
      if (!(ms >= 0 && ms <= 3_600_000)) this.findings.push(`It would have waited for ${ms} ms.`)
    }
    const client = createClient({ token, apiUrl: this.#url, budget, wait, log })
    const source: Source = { id: `0190cccc-0000-7000-8000-${this.#id}cccc`, slug: this.#slug, client }
    const kind = this.#random.int(0, 9)
    try {
      if (kind < 7) await this.#cycle(source)
      else if (kind < 9) await this.#pipelines(source)
      else await this.#discover(budget, wait)
    } catch (error) {
      if (!(error instanceof BuildkiteError) || !/\.$/.test(error.message)) {
        this.findings.push(error instanceof Error ? (error.stack ?? error.message) : String(error))
      }
      if (error instanceof Error && error.message.includes(token)) this.findings.push('A message contains the token.')
      this.outcome = error instanceof BuildkiteError ? `${error.code} ${error.status ?? ''}` : 'crash'
    } finally {
      await client.close()
    }
    if (this.answers.asked > ENDLESS) this.findings.push('It asked without end.')
  }

  async #cycle(source: Source): Promise<void> {
    const report = await reconcileOnce(this.#deps, source)
    this.outcome = report && report.refused.length > 0 ? 'cycle with refused builds' : 'cycle'
    if (report?.refused.length === 0) await this.#expectBuilds()
  }

  /** Everything that the lists held is in the mirror: otherwise the watermark has passed something in silence. */
  async #expectBuilds(): Promise<void> {
    const listed = parsed(this.answers.builds)
    const ids = listed.map(idOf)
    const jobIds = listed.flatMap((build) => (isObject(build) && Array.isArray(build.jobs) ? build.jobs.map(idOf) : []))
    if ([...ids, ...jobIds].includes(undefined)) this.findings.push('Something without an id was passed in silence.')
    for (const [table, wanted] of [[builds, ids] as const, [jobs, jobIds] as const]) {
      const known = new Set(wanted.filter((id) => id !== undefined))
      const held = await this.#deps.db.$count(table, inArray(table.id, [...known]))
      if (held < known.size) this.findings.push(`Of ${known.size} objects ${known.size - held} are not in the mirror.`)
    }
  }

  async #pipelines(source: Source): Promise<void> {
    const { answers, answer } = { answers: this.answers, answer: this.answers.answer }
    const sane = this.#shapes.pipelines.map((one) => renamed(one, this.#id))
    answers.answer = () => ({ json: sane })
    await refreshPipelines({ ...this.#deps, clock: () => Date.now() - 60_000 }, source)
    answers.answer = answer
    await refreshPipelines(this.#deps, source)
    this.outcome = 'pipelines'
    const listed = parsed(answers.pipelines).map(idOf)
    const known = listed.filter((id) => id !== undefined)
    const marked = await this.#deps.db.$count(
      pipelines,
      and(inArray(pipelines.id, known), isNotNull(pipelines.deleted_at)),
    )
    if (marked > 0) this.findings.push(`${marked} pipelines that the list held are marked as gone.`)
    if (known.length === listed.length) return
    const mine = sql`${pipelines.id}::text like ${`%${this.#id}____`} and ${pipelines.deleted_at} is not null`
    const gone = await this.#deps.db.$count(pipelines, mine)
    if (gone > 0)
      this.findings.push(`${gone} pipelines are marked as gone, though a part of the list could not be read.`)
  }

  async #discover(budget: Budget, wait: ClientOptions['wait']): Promise<void> {
    const config = { apiTokens: [token], apiUrl: this.#url, httpsProxy: undefined, noProxy: [] }
    const access = openAccess(config, { budget, filter: this.#deps.filter, log, clock: Date.now, client: { wait } })
    try {
      const { problems } = await discover(this.#deps, access)
      if (JSON.stringify(problems).includes(token)) this.findings.push('A message contains the token.')
      this.outcome = `discover with ${problems.length} problems`
    } finally {
      await access.close()
    }
  }
}

function parsed(text: string): unknown[] {
  const value: unknown = JSON.parse(text)
  return Array.isArray(value) ? value : []
}

function idOf(value: unknown): string | undefined {
  const uuid = /^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$/i
  return isObject(value) && typeof value.id === 'string' && uuid.test(value.id) ? value.id.toLowerCase() : undefined
}
