import { eq } from 'drizzle-orm'
import { afterEach, describe, expect, it } from 'vitest'
import { clusters } from '../../src/database/reference-tables.ts'
import { budgets, builds, cycles, watermarks } from '../../src/database/schema.ts'
import { openQueues, type Queues } from '../../src/queue/queues.ts'
import { type Reconciler, type ReconcilerParts, startReconciler } from '../../src/reconcile/reconciler.ts'
import { SECOND } from '../../src/runtime/time.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { realClock } from '../../src/simulator/random.ts'
import { testQueueBackends, testRedisUrl } from '../support/redis.ts'
import { until } from '../support/until.ts'
import { openScene, type Scene, silent } from './scene.ts'

let number = 0

describe.each(testQueueBackends())('the reconciler, with its queue on %s', (backend) => {
  let scene: Scene
  const closers: (() => Promise<void>)[] = []

  afterEach(async () => {
    for (const close of closers.splice(0).reverse()) await close()
    await scene.close()
  })

  async function open(history = 120): Promise<void> {
    number += 1
    // Unlimited, as far as the shared budget knows: what the limits do is tested elsewhere.
    scene = await openScene({ clock: realClock }, { limits: { organization: 100_000, user: 100_000 } })
    scene.simulation.writeHistory({ builds: history, days: 20 })
  }

  async function openQueue(): Promise<Queues> {
    const redisUrl = backend === 'redis' ? testRedisUrl() : undefined
    const prefix = `{reconciler-${process.pid}-${number}}`
    const queues = await openQueues({ redisUrl, databaseUrl: scene.url, prefix }, silent)
    closers.push(() => queues.close(2_000))
    return queues
  }

  async function start(config: Partial<ReconcilerParts['config']> = {}): Promise<Reconciler> {
    const queues = await openQueue()
    const reconciler = startReconciler({
      config: {
        apiTokens: [demoToken.token],
        apiUrl: scene.api.url,
        httpsProxy: undefined,
        noProxy: [],
        apiBudgetShare: 1,
        organizations: [],
        pipelinesInclude: [],
        pipelinesExclude: [],
        storeEnv: false,
        storeAnnotations: false,
        storeArtifacts: false,
        backfillDays: 30,
        reconcileIntervalMs: SECOND,
        ...config,
      },
      db: scene.database.db,
      queues,
      log: silent,
      clock: Date.now,
    })
    closers.push(() => reconciler.close(3_000))
    return reconciler
  }

  /** Builds and jobs are equal; the counters of pipelines, which move with them, are read every five minutes only. */
  const equal = async () => (await scene.differences()).every((line) => line.startsWith('pipelines'))

  it('brings an empty database to equality by itself, and keeps it there', async () => {
    await open()
    const reconciler = await start()
    await until(equal, 'the history is there', 20_000)
    for (let i = 0; i < 4; i++) scene.simulation.startBuild()
    await until(equal, 'the new builds are there')
    await until(async () => (await scene.database.db.$count(clusters)) === 2, 'the small lists are there', 20_000)
    await scene.simulation.play()
    await until(equal, 'their ends are there')
    expect(reconciler.problems()).toEqual([])
    expect(Date.now() - (reconciler.lastProgressAt ?? 0)).toBeLessThan(30 * SECOND)
  })

  it('runs on two replicas without ever doing the same cycle twice at once', async () => {
    await open()
    await start()
    await start()
    await until(equal, 'the history is there', 60_000)
    await until(async () => (await scene.database.db.$count(cycles)) >= 6, 'some cycles have run')
    const rows = await scene.database.db.select().from(cycles).where(eq(cycles.kind, 'hot')).orderBy(cycles.started_at)
    for (const [index, row] of rows.entries()) {
      const before = rows[index - 1]?.finished_at?.getTime() ?? 0
      expect(row.started_at.getTime()).toBeGreaterThanOrEqual(before)
      expect(row.error).toBeNull()
    }
  }, 120_000)

  it('tells what is wrong while Buildkite refuses it, and recovers by itself', async () => {
    await open()
    const reconciler = await start()
    await until(async () => (await scene.database.db.$count(watermarks)) > 0, 'a first cycle has run', 20_000)
    scene.api.beforeAnswer = ({ kind }) =>
      kind === 'builds' ? { kind: 'status', status: 403, message: 'Forbidden' } : undefined
    await until(
      () =>
        reconciler.problems().some(({ subject, code }) => subject === 'hot of acme' && code === 'invalid_permissions'),
      'the problem is reported',
    )
    scene.api.beforeAnswer = undefined
    await until(() => !reconciler.problems().some(({ subject }) => subject === 'hot of acme'), 'the problem is gone')
    const build = scene.simulation.startBuild()
    const held = async () => (await scene.database.db.select().from(builds).where(eq(builds.id, build.id))).length === 1
    await until(held, 'the next build is there')
  })

  it('has no lasting problem for a range that could not be read again: its audit reports it', async () => {
    await open()
    const queues = await openQueue()
    const reconciler = await start()
    await until(async () => (await scene.database.db.$count(watermarks)) > 0, 'a first cycle has run', 20_000)
    const isAsked = (query: URLSearchParams) => query.get('created_from')?.startsWith('2019-')
    scene.api.beforeAnswer = ({ query }) =>
      isAsked(query) ? { kind: 'status', status: 403, message: 'Forbidden' } : undefined
    const span = { from: '2019-01-01T00:00:00.000Z', to: '2019-01-02T00:00:00.000Z' }
    await queues.ask({ task: 'verify', organization: scene.source.id, ...span })
    const audits = () => scene.database.db.select().from(cycles).where(eq(cycles.kind, 'audit'))
    await until(async () => (await audits()).length > 0, 'the audit has failed', 20_000)
    await until(async () => (await queues.asked()).length === 0, 'the job is done')
    expect((await audits()).map(({ error }) => error)).toEqual([expect.stringContaining('403')])
    expect(reconciler.problems().filter(({ subject }) => subject.startsWith('verify'))).toEqual([])
  })

  it('asks nothing without a token, which is a choice and no problem', async () => {
    await open(0)
    const reconciler = await start({ apiTokens: [] })
    expect(reconciler.problems()).toEqual([])
    expect(scene.api.requests).toEqual([])
  })

  it('stops in the middle of a backfill without harm, and another process goes on', async () => {
    await open(1_500)
    scene.api.beforeAnswer = ({ kind }) => (kind === 'builds' ? { kind: 'delay', ms: 50 } : undefined)
    const first = await start()
    await until(async () => (await scene.database.db.$count(builds)) > 300, 'some of the history is there', 20_000)
    const before = Date.now()
    await first.close(3_000)
    expect(Date.now() - before).toBeLessThan(3_000)
    expect(await scene.database.db.$count(builds)).toBeLessThan(scene.simulation.truth.builds.length)
    scene.api.beforeAnswer = undefined
    await start()
    await until(equal, 'the whole history is there', 40_000)
    expect(await scene.database.db.$count(budgets)).toBeGreaterThan(0)
  })
})
