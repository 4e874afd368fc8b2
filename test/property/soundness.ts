import { applyObservations } from '../../src/mirror/apply.ts'
import { observeOrganizations } from '../../src/mirror/observe.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { createRandom, type Random } from '../../src/simulator/random.ts'
import { ClaimChecker } from './soundness-claims.ts'
import type { Backup, Home } from './soundness-database.ts'
import { type Planted, Service, type Task, tasks } from './soundness-service.ts'
import { LossyWebhooks } from './soundness-webhooks.ts'
import { iso, LONGEST_LAG, otherToken, SHORTEST_VISIBILITY, World } from './soundness-world.ts'

/** What a seeded history came to. */
export interface Verdict {
  readonly builds: number
  readonly webhooks: number
  /** How often the claims were checked, and how many there were. */
  readonly checks: number
  readonly claims: number
  /** Each false claim, with when it was made. */
  readonly falsehoods: readonly string[]
  /** What a replica wrote after it had lost its lease. */
  readonly lateCommits: readonly string[]
  /** Where mirror and Buildkite differ in the end. */
  readonly differences: readonly string[]
  /** The share of the wanted time that is claimed in the end, 0 to 1. */
  readonly claimedShare: number
  /** All that happened, a line each. */
  readonly trace: readonly string[]
}

const CHECKS = 20
/** How long nothing runs. */
const spans = [10 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 5 * MINUTE, 30 * MINUTE, 4 * HOUR] as const
const shortSpans = [10 * SECOND, MINUTE, 2 * MINUTE, 5 * MINUTE, 5 * MINUTE] as const

/**
 * Lives one history: a Buildkite on virtual time, a service that mirrors it, and everything that can go wrong with both. At about 20
 * random moments each claim of analytics.data_coverage is compared with what Buildkite held at the claim's time. Then the faults end,
 * the service runs for a while, and mirror and Buildkite must be equal. The same seed gives the same history.
 */
export async function soundHistory(seed: number, home: Home, planted: Planted = {}): Promise<Verdict> {
  const history = await History.open(seed, home, planted)
  try {
    return await history.live()
  } finally {
    await history.close()
  }
}

class History {
  readonly #random: Random
  readonly #world: World
  readonly #home: Home
  readonly #service: Service
  readonly #checker: ClaimChecker
  readonly #webhooks: LossyWebhooks | undefined
  readonly #trace: string[] = []
  readonly #falsehoods: string[] = []
  readonly #lateCommits: string[] = []
  #checks = 0
  #claims = 0
  #backup: Backup | undefined
  #depth = 0
  /** Lists of pipelines are seldom so far apart that they confirm nothing. */
  readonly #isSteady: boolean
  #isFreezing = false
  #isUnlistable = false
  #undo: (() => void) | undefined
  /** While a replica that was frozen goes on: what the database held when it did. */
  #frozenAt: ReadonlyMap<string, string> | undefined
  /** Before the first list of pipelines that is taken in, no visibility changes; nor after a restore. */
  #restoredAt = 0

  private constructor(seed: number, home: Home, planted: Planted) {
    this.#random = createRandom(`soundness ${seed}`)
    const random = this.#random
    this.#home = home
    this.#isSteady = random.chance(0.7)
    const days = random.int(10, 40)
    this.#world = new World(seed, {
      pipelines: random.int(2, 5),
      builds: random.int(20, 70),
      days,
      variety: random.chance(0.5),
    })
    this.#service = new Service(this.#world, home, { backfillDays: random.int(5, 30), token: demoToken }, planted)
    const webhooks = random.chance(0.6)
    this.#checker = new ClaimChecker(this.#world, home.sql, webhooks)
    if (webhooks) this.#webhooks = new LossyWebhooks(this.#world, home, this.#service)
    this.#service.between = (replica, task) => this.#between(replica, task)
  }

  static async open(seed: number, home: Home, planted: Planted): Promise<History> {
    await home.empty()
    const history = new History(seed, home, planted)
    await planted.plant?.(home)
    history.#undo = planted.patch?.()
    await history.#world.startApi()
    const now = new Date(history.#world.now())
    await applyObservations(home.database.db, observeOrganizations(history.#world.truth.organizations, now), now)
    return history
  }

  async close(): Promise<void> {
    this.#undo?.()
    await this.#service.close()
    await this.#world.simulation.stop()
  }

  async live(): Promise<Verdict> {
    const random = this.#random
    const turns = random.int(18, 30)
    for (let turn = 0; turn < turns; turn++) {
      await this.#happen()
      if (this.#isSteady && random.chance(0.8)) await this.#keepPace()
      if (this.#webhooks && random.chance(0.6)) await this.#webhooks.deliver(random.pick([0.3, 0.7, 1]))
      if (random.chance(0.4)) await this.#check('between tasks')
      await this.#run(this.#chooseTask(turn), random.int(0, 1))
    }
    await this.#settle()
    await this.#check('in the end')
    return {
      builds: this.#world.truth.builds.length,
      webhooks: this.#webhooks?.delivered ?? 0,
      checks: this.#checks,
      claims: this.#claims,
      falsehoods: this.#falsehoods,
      lateCommits: this.#lateCommits,
      differences: await this.#checker.differences(this.#service.isMirrored, this.#isUnlistable),
      claimedShare: await this.#checker.claimedShare(),
      trace: this.#trace,
    }
  }

  #tell(line: string): void {
    this.#trace.push(`${iso(this.#world.now())} ${'  '.repeat(this.#depth)}${line}`)
  }

  /** As the service does: cycles, and every five minutes a list of pipelines. */
  async #keepPace(): Promise<void> {
    const [mark] = await this.#home.sql<{ at: Date | null }[]>`select pipelines_read_at as at from sync.watermarks`
    if (!mark?.at || this.#world.now() - mark.at.getTime() < 5 * MINUTE) return
    for (let cycle = 0; cycle < 2; cycle++) {
      await this.#run('hot', 0)
      this.#world.live(this.#random.int(MINUTE, 3 * MINUTE))
    }
    await this.#run('pipelines', 0)
  }

  #chooseTask(turn: number): Task {
    const first: readonly Task[] = ['pipelines', 'hot', 'backfill']
    const early = first[turn]
    if (early && this.#random.chance(0.8)) return early
    return this.#random.pick<Task>([
      'hot',
      'hot',
      'hot',
      'hot',
      'pipelines',
      'pipelines',
      'backfill',
      'backfill',
      'warm',
      'audit',
    ])
  }

  /** One or two things happen in the world, or to the service. */
  async #happen(): Promise<void> {
    const random = this.#random
    this.#world.live(random.int(SECOND, random.pick(this.#isSteady ? shortSpans : spans)))
    if (!this.#isSteady && random.chance(0.03)) {
      this.#tell('nothing runs for days')
      this.#world.live(random.int(DAY, 9 * DAY))
    }
    if (random.chance(0.4)) this.#tell(this.#world.trouble() ?? 'nothing')
    if (random.chance(0.15)) this.#tell(this.#world.silentChange() ?? 'nothing')
    await this.#changeVisibility(0.25)
    if (random.chance(0.12)) await this.#changeService()
    if (random.chance(0.1)) this.#isFreezing = true
  }

  /** A state of visibility lasts for some time, or until a list of pipelines has shown it: see docs/how-it-works/05-completeness.md. */
  async #changeVisibility(probability: number): Promise<void> {
    if (!this.#random.chance(probability)) return
    const [mark] = await this.#home.sql<{ at: Date | null }[]>`select pipelines_read_at as at from sync.watermarks`
    const since = Math.max(this.#world.visibilityChangedAt, this.#restoredAt) + LONGEST_LAG + 2 * SECOND
    const hasLasted = this.#world.now() - this.#world.visibilityChangedAt >= SHORTEST_VISIBILITY
    if (!mark?.at || (mark.at.getTime() < since && !hasLasted)) return
    const done = this.#world.changePipelines()
    if (done) this.#tell(done)
  }

  async #changeService(): Promise<void> {
    const service = this.#service
    const random = this.#random
    const act = random.int(0, 4)
    if (act === 0) {
      service.token = service.token === demoToken ? otherToken : demoToken
      this.#tell(`token of ${service.token.user}`)
    } else if (act === 1) {
      const slugs = this.#world.truth.pipelines.map(({ slug }) => slug)
      service.include = service.include.length > 0 ? [] : slugs.filter(() => random.chance(0.6))
      this.#tell(`PIPELINES_INCLUDE=${service.include.join(',')}`)
    } else if (act === 2) {
      service.backfillDays += random.int(1, 15)
      this.#tell(`BACKFILL_DAYS=${service.backfillDays}`)
    } else if (this.#backup && act === 3) {
      await this.#home.restore(this.#backup)
      this.#restoredAt = this.#world.now()
      this.#tell('restored a backup')
      await this.#check('after a restore')
    } else {
      this.#backup = await this.#home.backUp()
      this.#tell('backed up')
    }
  }

  async #run(task: Task, replica: number): Promise<void> {
    this.#tell(`${task} on replica ${replica}`)
    const outcome = await this.#service.run(task, replica)
    if (this.#depth === 0) await this.#judgeFrozen(task)
    if ('refused' in outcome) this.#tell(`  ${task} failed: ${outcome.refused.message}`)
    else if (outcome.done === undefined) this.#tell(`  ${task}: nothing to do, or not its turn`)
    else this.#tell(`  ${task} done`)
  }

  /** While a task has an answer in hand, other tasks run, its replica freezes, or the claims are checked. */
  async #between(replica: number, task: Task): Promise<void> {
    if (this.#depth >= 1 || this.#frozenAt !== undefined) return
    const random = this.#random
    this.#depth += 1
    try {
      if (this.#isFreezing && task !== 'pipelines' && random.chance(0.5)) return await this.#freeze(replica, task)
      if (random.chance(0.08)) await this.#check(`during ${task}`)
      if (random.chance(0.05)) await this.#changeVisibility(1)
      if (random.chance(0.08)) await this.#run(random.pick(tasks), 1 - replica)
    } finally {
      this.#depth -= 1
    }
  }

  /** The replica stops; its lease ends, and the other one does its work. When it goes on, it must commit nothing. */
  async #freeze(replica: number, task: Task): Promise<void> {
    this.#isFreezing = false
    this.#tell(`replica ${replica} freezes`)
    this.#world.live(this.#random.int(MINUTE, 20 * MINUTE))
    // A backfill that has nothing to read only lists the pipelines, which needs no lease.
    const hadLease = await this.#service.expireLease(task)
    await this.#run(task, 1 - replica)
    this.#world.live(this.#random.int(SECOND, 5 * MINUTE))
    this.#tell(`replica ${replica} goes on`)
    if (hadLease) this.#frozenAt = await this.#home.checksums()
  }

  /** A replica that was frozen has lost its lease, and must have written nothing after it went on. */
  async #judgeFrozen(task: Task): Promise<void> {
    const before = this.#frozenAt
    this.#frozenAt = undefined
    if (before === undefined) return
    for (const [name, sum] of await this.#home.checksums()) {
      if (before.get(name) === sum) continue
      this.#lateCommits.push(`${iso(this.#world.now())} ${task}: a replica wrote ${name} after it had lost its lease`)
    }
  }

  async #check(when: string): Promise<void> {
    if (this.#checks > CHECKS) return
    const { claims, falsehoods } = await this.#checker.check()
    this.#checks += 1
    this.#claims += claims
    this.#falsehoods.push(...falsehoods.map((line) => `${iso(this.#world.now())} ${when}: ${line}`))
    if (falsehoods.length > 0) this.#tell(`FALSE ${when}: ${falsehoods.length} lines, the first ${falsehoods[0]}`)
  }

  /** The faults end, and the service does what its schedules ask for for ten minutes. */
  async #settle(): Promise<void> {
    const world = this.#world
    this.#isFreezing = false
    this.#service.between = async () => {}
    this.#tell('faults end')
    if (this.#random.chance(0.7)) while (world.simulation.step(50) > 0);
    // Half of the histories end with builds that no list shows: they must not hold up the others.
    this.#isUnlistable = this.#random.chance(0.5)
    world.endFaults(this.#isUnlistable)
    if (this.#webhooks) await this.#webhooks.deliver(0.5)
    // Longer than the longest back-off, also where our clock was ahead when it began.
    world.pass(18 * HOUR)
    await this.#run('warm', 0)
    for (let minute = 0; minute <= 10; minute++) {
      if (minute % 5 === 0) await this.#run('pipelines', 0)
      if (minute % 2 === 0) await this.#run('hot', 0)
      await this.#run('backfill', 0)
      world.pass(MINUTE)
    }
  }
}

/** What makes a history fail, a line each. */
export function faultsOf({ falsehoods, lateCommits, differences, claimedShare }: Verdict): string[] {
  const tooLittle =
    claimedShare < 0.99 ? [`only ${(claimedShare * 100).toFixed(2)} % of the wanted time is claimed in the end`] : []
  return [...falsehoods, ...lateCommits, ...differences.map((line) => `in the end: ${line}`), ...tooLittle]
}

/** Reads `17` or `1..1000`. */
export function seedsOf(text: string): number[] {
  const [first = 1, last = first] = text.split('..').map(Number)
  if (!Number.isInteger(first) || !Number.isInteger(last) || last < first) {
    throw new RangeError(`"${text}" names no seeds. Write 17 or 1..1000.`)
  }
  return Array.from({ length: last - first + 1 }, (_, index) => first + index)
}
