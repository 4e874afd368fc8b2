import { type BuildkiteClient, createClient } from '../../src/buildkite/client.ts'
import { type Budget, memoryBudget } from '../../src/buildkite/http/budget.ts'
import { runAudit } from '../../src/reconcile/audit/audit.ts'
import { backfillOwed } from '../../src/reconcile/backfill/backfill.ts'
import type { ReconcileDeps, Source } from '../../src/reconcile/context.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { BuildkiteError } from '../../src/runtime/errors.ts'
import { createLog } from '../../src/runtime/log.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { MINUTE, SECOND } from '../../src/runtime/time.ts'
import type { Token } from '../../src/simulator/api/api.ts'
import { databaseIsQuiet, type Home } from './soundness-database.ts'
import type { World } from './soundness-world.ts'

export const tasks = ['hot', 'warm', 'pipelines', 'backfill', 'audit'] as const
export type Task = (typeof tasks)[number]

/** What a planted defect may replace in a history. */
export interface Planted {
  /** Changes the database. */
  plant?: (home: Home) => Promise<void>
  /** Changes the program. Returns the function that undoes it. */
  patch?: () => () => void
  client?: (client: BuildkiteClient) => BuildkiteClient
  budget?: (world: World) => Budget
}

/** How one run of a task ended: undefined when another replica had its lease, or took it over. */
export type Outcome = { done: unknown } | { refused: BuildkiteError }

const log = createLog('silent')

/** The reconciling part of the service: two replicas that share a database, a token and a budget. */
export class Service {
  /** Settings as they are from the next task on. */
  include: readonly string[] = []
  backfillDays: number
  token: Token
  /** Called while a task holds an answer of Buildkite in hand. `replica` and `task` say whose. */
  between: (replica: number, task: Task) => Promise<void> = async () => {}
  readonly #world: World
  readonly #home: Home
  readonly #planted: Planted
  readonly #clients = new Map<string, BuildkiteClient>()
  readonly #budget

  constructor(world: World, home: Home, options: { backfillDays: number; token: Token }, planted: Planted = {}) {
    this.#world = world
    this.#home = home
    this.#planted = planted
    this.backfillDays = options.backfillDays
    this.token = options.token
    const wait = async (ms: number) => world.pass(ms)
    this.#budget = planted.budget?.(world) ?? memoryBudget(0.5, () => world.now(), wait)
  }

  get deps(): ReconcileDeps {
    return {
      db: this.#home.database.db,
      log,
      clock: this.#world.wall,
      filter: mirrorFilter({ organizations: [], pipelinesInclude: this.include, pipelinesExclude: [] }),
      storeEnv: false,
      storeAnnotations: false,
      storeArtifacts: false,
      backfillDays: this.backfillDays,
    }
  }

  /** Whether the mirror is to hold a pipeline now. */
  readonly isMirrored = (pipeline: { id: string; slug: string }): boolean => {
    const live = this.#world.truth.pipelines.find(({ id }) => id === pipeline.id)
    return (
      live !== undefined && this.#world.truth.isVisible(live, this.token.token) && this.deps.filter.pipeline(live.slug)
    )
  }

  /** Runs a task on one of the replicas. @throws whatever is not Buildkite's refusal: that is a fault of the service. */
  async run(task: Task, replica = 0): Promise<Outcome> {
    const calls = new Calls(() => this.between(replica, task))
    const source = this.#source(replica, calls)
    const { deps } = this
    try {
      return { done: await this.#perform(task, deps, source) }
    } catch (error) {
      if (error instanceof BuildkiteError) return { refused: error }
      throw error
    } finally {
      await calls.end()
    }
  }

  /** Ends the lease that a task holds, as its time does when the holder is frozen. Returns whether it held one. */
  async expireLease(task: Task): Promise<boolean> {
    const held = await this.#home.sql`
      update sync.leases set expires_at = clock_timestamp() - interval '1 s'
      where name like ${`${task}:%`} and holder <> '' returning name`
    return held.length > 0
  }

  async close(): Promise<void> {
    for (const client of this.#clients.values()) await client.close()
  }

  #perform(task: Task, deps: ReconcileDeps, source: Source): Promise<unknown> {
    if (task === 'pipelines') return refreshPipelines(deps, source)
    if (task === 'backfill') return backfillOwed(deps, source, undefined, { yieldAfterMs: 5 * MINUTE })
    if (task === 'audit') return runAudit(deps, source)
    return reconcileOnce(deps, source, task)
  }

  #source(replica: number, calls: Calls): Source {
    const [organization] = this.#world.truth.organizations
    if (!organization) throw new Error('The simulation has no organization.')
    const client = watched(this.#client(replica), calls)
    return { id: organization.id, slug: organization.slug, client }
  }

  #client(replica: number): BuildkiteClient {
    const key = `${replica} ${this.token.token}`
    const known = this.#clients.get(key) ?? this.#open()
    this.#clients.set(key, known)
    return known
  }

  #open(): BuildkiteClient {
    const world = this.#world
    const client = createClient({
      token: this.token.token,
      apiUrl: world.api.url,
      budget: this.#budget,
      log,
      clock: world.wall,
      monotonic: world.steady,
      // Pauses between retries are random in the client. Here they follow from the seed.
      wait: async (ms) => world.pass(ms > 30 * SECOND ? ms : world.random.int(1, 8_000)),
    })
    return this.#planted.client?.(client) ?? client
  }
}

/** The calls that one run of a task makes to Buildkite. */
class Calls {
  readonly #between: () => Promise<void>
  #underWay = 0
  #ended = false

  constructor(between: () => Promise<void>) {
    this.#between = between
  }

  /**
   * Asks Buildkite, and calls `between` with the answer in hand. It asks for nothing while the service writes: what was read before is
   * then in the database, and a history is the same each time.
   */
  async ask<T>(call: () => Promise<T>): Promise<T> {
    this.#underWay += 1
    try {
      await databaseIsQuiet()
      const answer = await call()
      if (!this.#ended) await this.#between()
      return answer
    } finally {
      this.#underWay -= 1
    }
  }

  /** Waits for what was asked ahead, and is not wanted any more. */
  async end(): Promise<void> {
    this.#ended = true
    while (this.#underWay > 0) await new Promise((resolve) => setImmediate(resolve))
  }
}

function watched(client: BuildkiteClient, calls: Calls): BuildkiteClient {
  async function* watch<T>(pages: AsyncGenerator<T>): AsyncGenerator<T> {
    try {
      for (;;) {
        const page = await calls.ask(() => pages.next())
        if (page.done) return
        yield page.value
      }
    } finally {
      await pages.return(undefined)
    }
  }
  const own: Pick<BuildkiteClient, 'builds' | 'pipelines' | 'build' | 'pipeline'> = {
    builds: (...asked) => watch(client.builds(...asked)),
    pipelines: (...asked) => watch(client.pipelines(...asked)),
    build: (...asked) => calls.ask(() => client.build(...asked)),
    pipeline: (...asked) => calls.ask(() => client.pipeline(...asked)),
  }
  return Object.assign(Object.create(client) as BuildkiteClient, own)
}
