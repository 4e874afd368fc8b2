import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { refreshRollups } from '../../src/analytics/rollups.ts'
import { sign } from '../../src/buildkite/signature.ts'
import { type MetricName, metrics, PREFIX } from '../../src/http/metrics/definitions.ts'
import { recordDrift } from '../../src/reconcile/audit/drift.ts'
import { verifySpan } from '../../src/reconcile/audit/verify.ts'
import { DAY, HOUR, pause, SECOND } from '../../src/runtime/time.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { virtualClock } from '../../src/simulator/random.ts'
import type { Webhooks } from '../../src/simulator/webhooks/webhooks.ts'
import { openScene, type Scene } from '../reconcile/scene.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { runCommand, type ServiceProcess, startService } from '../support/service.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

const secret = 'the-secret-of-metrics-tests'
const adminToken = 'the-admin-token-of-metrics-tests'
const authorization = `Bearer ${adminToken}`
const patience = 120_000

/** One look at `/metrics`: the sum of the series of a metric with these labels; undefined when there are none. */
type Page = (what: MetricName, labels?: Record<string, string>, part?: '_count' | '_sum') => number | undefined

function readPage(body: string): Page {
  return (what, labels = {}, part) => {
    const { kind } = metrics[what]
    const wanted = `${PREFIX}${what}${kind === 'histogram' ? (part ?? '_count') : ''}`
    const values = body.split('\n').flatMap((line) => {
      const [, series, given = '', value] = /^(\w+)(?:\{(.*)\})? (\S+)$/.exec(line) ?? []
      if (series !== wanted) return []
      const fits = Object.entries(labels).every(([label, text]) => given.includes(`${label}="${text}"`))
      return fits ? [Number(value)] : []
    })
    return values.length === 0 ? undefined : values.reduce((sum, value) => sum + value, 0)
  }
}

/** What was seen at the moments that matter, in the order in which they came. */
interface Seen {
  /** Just started. */
  quiet: Page
  /** The service's own check has found something. */
  planted: Page
  /** Buildkite refuses the token the builds, while webhooks come. */
  refused: Page
  /** The token is good again. */
  recovered: Page
  limited: Page
  /** Verified and healed by hand. */
  healed: Page
  withoutQueue: Page
  withoutDatabase: Page
  withoutBoth: Page
  /** All is back. */
  end: Page
}

describe.runIf(testQueueBackends().includes('redis'))('every metric moves when it should:', () => {
  let scene: Scene
  let sql: postgres.Sql
  let proxy: TcpProxy
  let redis: RedisServer
  let service: ServiceProcess
  let webhooks: Webhooks
  const seen: Partial<Seen> = {}

  const text = async () => (await fetch(`${service.privateUrl}/metrics`, { headers: { authorization } })).text()
  const scrape = async () => readPage(await text())
  /** Looks again and again until what is seen is as expected. */
  const look = (what: string, expected: (page: Page) => boolean) =>
    until(
      async () => {
        const body = await text()
        const page = readPage(body)
        if (expected(page)) return page
        const ours = body.split('\n').filter((line) => line.startsWith(PREFIX) && !/_bucket| 0$/.test(line))
        await pause(100)
        throw new Error(`The page says:\n${ours.join('\n')}`)
      },
      what,
      patience,
    )
  const settings = () => ({
    DATABASE_URL: proxy.url,
    REDIS_URL: redis.url,
    BUILDKITE_API_URL: scene.api.url,
    BUILDKITE_API_TOKEN: demoToken.token,
    API_BUDGET_SHARE: '1',
  })

  const post = async (event: string, payload: object, signature?: string) => {
    const body = JSON.stringify(payload)
    const headers = {
      'content-type': 'application/json',
      'x-buildkite-event': event,
      'x-buildkite-signature': signature ?? sign(body, secret, Date.now()),
    }
    const answer = await fetch(`${service.publicUrl}/webhooks/buildkite`, { method: 'POST', headers, body })
    await answer.body?.cancel()
    return answer.status
  }
  const ping = (n: number) => post('ping', { event: 'ping', n })

  /** A mirror in which all is well, but one window is still to be read, one is due for the audit, and one hides a difference. */
  const prepare = async () => {
    // As the same user as the service, which would otherwise read again what no list of pipelines has confirmed.
    await scene.source.client.accessToken()
    await scene.complete({ builds: 80, days: 30 })
    const all = scene.simulation.truth.builds
    // The later one is some days old: no cycle reads it, only the audit.
    const [oldest, later] = [all.at(0), all.at(Math.floor(all.length * 0.85))]
    if (!oldest || !later) throw new Error('The history is empty.')
    oldest.meta_data = { edited: 'long ago' }
    const whole = { from: new Date(Date.now() - 90 * DAY), to: new Date() }
    const unhealed = await verifySpan(scene.deps, scene.source, { span: whole, heal: false, priority: 'audit' })
    await recordDrift(scene.deps.db, scene.source.id, 'verify', unhealed.findings, new Date())
    later.meta_data = { edited: 'lately' }
    await sql`update sync.windows set verified_at = now() - interval '8 days'
      where ${later.created_at} >= created_from and ${later.created_at} < created_to`
    await refreshRollups(scene.deps.db)
    // Its clock stands still, so no list of pipelines is late enough to confirm what was read.
    await sql`update sync.watermarks set confirmed_to = watermark - interval '2 minutes'`
    await sql`update sync.windows set status = 'pending', scanned_to = null, started_at = null, finished_at = null
      where id = (select id from sync.windows order by created_from limit 1)`
  }

  const refuse = () => {
    scene.api.beforeAnswer = ({ kind }) =>
      kind === 'builds' ? { kind: 'status', status: 403, message: 'Forbidden' } : undefined
    // Of one build in three nothing comes, of another nothing but its beginning.
    webhooks.choose = ({ event, build }) => {
      if (build && build.number % 3 === 0) return 'drop'
      return build && build.number % 3 === 1 && event !== 'build.scheduled' ? 'drop' : 'twice'
    }
  }

  /** Wrong tokens in all three ways, and an action without and with the right one. */
  const visitPrivateListener = async () => {
    const body = JSON.stringify({ token: 'wrong', organization: scene.source.id })
    const act = (path: string, headers: Record<string, string> = {}) => {
      const sent = { 'content-type': 'application/json', accept: 'application/json', ...headers }
      return fetch(`${service.privateUrl}${path}`, { method: 'POST', headers: sent, body })
    }
    expect((await act('/sign-in')).status).toBe(401)
    expect((await act('/actions/backfill/pause', { authorization: 'Bearer wrong' })).status).toBe(401)
    expect((await act('/sign-out', { cookie: 'buildkite_mirror_session=wrong' })).status).toBe(401)
    for (const action of ['pause', 'resume']) {
      expect((await act(`/actions/backfill/${action}`, { authorization })).status).toBe(200)
    }
  }

  beforeAll(async () => {
    // Its clock is hours behind and stands still, so that the test says how old things are.
    scene = await openScene({ seed: 23, stepMs: [1, 5], clock: virtualClock(Date.now() - 3 * HOUR) })
    sql = postgres(scene.url, { max: 1, onnotice: () => {} })
    proxy = await startTcpProxy(scene.url, 5432)
    redis = await startRedisServer()
    await prepare()
    // Slowly at first: what the first tasks change must not be over before the first look.
    scene.api.beforeAnswer = ({ kind }) => (kind === 'builds' ? { kind: 'delay', ms: 2_000 } : undefined)
    service = await startService({
      ...settings(),
      ADMIN_TOKEN: adminToken,
      WEBHOOK_SECRET: secret,
      WEBHOOK_TOLERANCE: '1d',
      RECONCILE_INTERVAL: '1s',
    })
    seen.quiet = await scrape()
    await sql`insert into sync.findings (name, subject, result, detail, checked_at, since)
      values ('planted', 'acme', 'warning', 'Planted.', now(), now()), ('well', 'acme', 'ok', 'Well.', now(), now())`
    await sql`insert into sync.failures (kind, subject, code, error, first_failed_at, last_failed_at, next_try_at)
      values ('rollup_day', 'planted', '57014', 'Planted.', now() - interval '1 hour', now(), now() + interval '1 hour')`
    // Of an organization that the token does not see, so that nothing else looks at it.
    await sql`with build as (
        insert into buildkite.builds (id, organization_id, state, observed_at, first_seen_at, first_seen_via, changed_at)
        values (gen_random_uuid(), gen_random_uuid(), 'running', now(), now(), 'webhook', now()) returning id
      )
      insert into buildkite.jobs (id, build_id, type, state, agent_query_rules, runnable_at, started_at, finished_at,
        observed_at, first_seen_at, first_seen_via, changed_at)
      select gen_random_uuid(), build.id, 'script', job.state, '{queue=planted}', now() - interval '5 seconds', job.started_at,
        job.finished_at, now(), now(), 'webhook', now()
      from build cross join (values
        ('scheduled', null::timestamptz, null::timestamptz),
        ('running', now(), null),
        ('passed', now(), now() + interval '20 seconds')) as job (state, started_at, finished_at)`
    seen.planted = await scrape()
    scene.api.beforeAnswer = undefined
    await look(
      'the first tasks are done',
      (page) =>
        page('backfill_progress_ratio') === 1 &&
        (page('drift_found_total') ?? 0) > 0 &&
        (page('cycles_total', { kind: 'hot' }) ?? 0) > 1,
    )

    webhooks = scene.simulation.startWebhooks({ url: `${service.publicUrl}/webhooks/buildkite`, secret })
    refuse()
    await scene.simulation.play({ builds: 12 })
    scene.simulation.clock.pass(HOUR)
    await post('build.finished', { event: 'build.finished', build: { number: 1 } })
    await post('package.created', { event: 'package.created' })
    await post('build.running', {}, 'timestamp=1,signature=00')
    seen.refused = await look(
      'the refusal is reported, and days wait for their rollups',
      (page) =>
        (page('problems', { code: 'invalid_permissions' }) ?? 0) > 0 &&
        (page('deliveries_processed_total', { status: 'failed' }) ?? 0) > 0 &&
        (page('rollup_days_waiting') ?? 0) > 0,
    )
    // Before it has noticed that Buildkite's clock jumped, the service takes what was dropped for something on its way.
    await look('most of the last answers are from after the jump', (page) => (page('task_failures_total') ?? 0) >= 20)
    scene.api.beforeAnswer = undefined
    seen.recovered = await look(
      'the cycles heal what was dropped, and the sums follow',
      (page) =>
        (page('cycle_found_total', { result: 'missing' }) ?? 0) > 0 &&
        (page('problems') ?? 0) === 0 &&
        page('rollup_days_waiting') === 0 &&
        (page('job_run_seconds') ?? 0) > 0 &&
        (page('rollup_days_total') ?? 0) > (seen.refused?.('rollup_days_total') ?? 0),
    )

    let left = 1
    scene.api.beforeAnswer = ({ kind }) =>
      kind === 'builds' && left-- > 0 ? { kind: 'limit', scope: 'rest_user', reset: 8 } : undefined
    const before = seen.recovered('api_budget_left') ?? 0
    seen.limited = await look(
      'the budget is held',
      (page) =>
        (page('api_requests_total', { status: '429' }) ?? 0) > 0 && (page('api_budget_left') ?? 0) < before - 100,
    )
    await look(
      'it is let go',
      (page) =>
        (page('api_budget_wait_seconds_total') ?? 0) > (seen.limited?.('api_budget_wait_seconds_total') ?? 0) + 2,
    )
    scene.api.beforeAnswer = undefined

    await visitPrivateListener()
    const verified = await runCommand(['verify', '--heal', '--json'], settings())
    expect(verified).toMatchObject({ code: 0 })
    seen.healed = await look('nothing is unhealed', (page) => page('drift_unhealed') === 0)

    await redis.kill()
    for (let n = 0; n < 5; n++) expect(await ping(n)).toBe(202)
    seen.withoutQueue = await look(
      'deliveries wait for the queue',
      (page) =>
        (page('deliveries_oldest_pending_seconds') ?? 0) > 5 &&
        (page('worker_stalled_seconds') ?? 0) > 5 &&
        page('store_up', { store: 'queue' }) === 0,
    )
    await redis.start()
    await look(
      'they are swept up',
      (page) => page('deliveries_pending') === 0 && (page('deliveries_requeued_total') ?? 0) >= 5,
    )

    await proxy.cut()
    for (let n = 5; n < 10; n++) expect(await ping(n)).toBe(202)
    seen.withoutDatabase = await look(
      'the queue keeps them, and the sums cannot be made',
      (page) =>
        (page('rollup_failures_total') ?? 0) > 0 &&
        (page('queue_jobs', { queue: 'deliveries' }) ?? 0) > 0 &&
        page('store_up', { store: 'database' }) === 0,
    )
    await redis.kill()
    expect(await ping(10)).toBe(503)
    seen.withoutBoth = await scrape()
    await redis.start()
    await proxy.restore()
    seen.end = await look(
      'all is well again',
      (page) =>
        page('deliveries_pending') === 0 && page('queue_jobs', { queue: 'deliveries' }) === 0 && page('store_up') === 2,
    )
  }, 600_000)

  afterAll(async () => {
    await service?.stop()
    await redis?.stop()
    await sql?.end({ timeout: 1 })
    await proxy?.close()
    await scene?.close()
  })

  const at = (moment: keyof Seen): Page => {
    const page = seen[moment]
    if (!page) throw new Error(`The moment "${moment}" never came.`)
    return page
  }
  /** The value with these labels, 0 where there is no such series yet. */
  const of = (moment: keyof Seen, ...asked: Parameters<Page>) => at(moment)(...asked) ?? 0
  const rises = (from: keyof Seen, to: keyof Seen, ...asked: Parameters<Page>) => {
    expect(of(to, ...asked)).toBeGreaterThan(of(from, ...asked))
  }
  const stays = (from: keyof Seen, to: keyof Seen, ...asked: Parameters<Page>) => {
    expect(of(to, ...asked)).toBe(of(from, ...asked))
  }

  const expected: Record<MetricName, () => void> = {
    webhook_requests_total() {
      rises('quiet', 'refused', 'webhook_requests_total', { status: '202' })
      rises('quiet', 'refused', 'webhook_requests_total', { status: '401' })
      stays('quiet', 'withoutDatabase', 'webhook_requests_total', { status: '503' })
      rises('withoutDatabase', 'withoutBoth', 'webhook_requests_total', { status: '503' })
    },
    webhook_request_duration_seconds() {
      rises('quiet', 'refused', 'webhook_request_duration_seconds')
      rises('quiet', 'refused', 'webhook_request_duration_seconds', {}, '_sum')
      expect(of('end', 'webhook_request_duration_seconds')).toBe(of('end', 'webhook_requests_total'))
    },
    deliveries_accepted_total() {
      rises('quiet', 'refused', 'deliveries_accepted_total', { via: 'postgres' })
      stays('quiet', 'withoutQueue', 'deliveries_accepted_total', { via: 'queue' })
      rises('withoutQueue', 'withoutDatabase', 'deliveries_accepted_total', { via: 'queue' })
    },
    deliveries_duplicate_total: () => rises('quiet', 'refused', 'deliveries_duplicate_total'),
    deliveries_processed_total() {
      rises('quiet', 'recovered', 'deliveries_processed_total', { status: 'applied', event: 'build.finished' })
      rises('quiet', 'recovered', 'deliveries_processed_total', { status: 'failed', event: 'build.finished' })
      rises('quiet', 'recovered', 'deliveries_processed_total', { status: 'ignored', event: 'other' })
    },
    delivery_apply_seconds() {
      expect(of('end', 'delivery_apply_seconds')).toBe(of('end', 'deliveries_processed_total', { status: 'applied' }))
      // Those that had to wait for the queue waited for more than 5 s.
      expect(of('end', 'delivery_apply_seconds', {}, '_sum')).toBeGreaterThan(
        of('recovered', 'delivery_apply_seconds', {}, '_sum') + 5,
      )
    },
    deliveries_requeued_total() {
      stays('quiet', 'withoutQueue', 'deliveries_requeued_total')
      rises('withoutQueue', 'withoutDatabase', 'deliveries_requeued_total')
    },
    rows_total() {
      rises('quiet', 'refused', 'rows_total', { table: 'builds', via: 'webhook', result: 'inserted' })
      rises('quiet', 'refused', 'rows_total', { table: 'jobs', via: 'webhook', result: 'updated' })
      rises('refused', 'recovered', 'rows_total', { table: 'builds', via: 'rest', result: 'inserted' })
      rises('quiet', 'recovered', 'rows_total', { table: 'builds', via: 'rest', result: 'skipped' })
    },
    rollup_days_total: () => rises('quiet', 'recovered', 'rollup_days_total'),
    rollup_seconds: () => rises('quiet', 'recovered', 'rollup_seconds'),
    rollup_failures_total() {
      stays('quiet', 'withoutQueue', 'rollup_failures_total')
      rises('withoutQueue', 'withoutDatabase', 'rollup_failures_total')
    },
    rollup_days_waiting() {
      expect(at('refused')('rollup_days_waiting')).toBeGreaterThan(0)
      expect(at('recovered')('rollup_days_waiting')).toBe(0)
    },
    cycles_total: () => rises('refused', 'recovered', 'cycles_total', { kind: 'hot' }),
    cycle_duration_seconds() {
      rises('refused', 'recovered', 'cycle_duration_seconds', { kind: 'hot' })
      expect(of('end', 'cycle_duration_seconds')).toBe(of('end', 'cycles_total'))
    },
    cycle_found_total() {
      for (const object of ['build', 'job'])
        rises('refused', 'recovered', 'cycle_found_total', { object, result: 'missing' })
      rises('refused', 'recovered', 'cycle_found_total', { object: 'build', result: 'read' })
      rises('refused', 'recovered', 'cycle_found_total', { object: 'build', result: 'healed' })
    },
    task_failures_total() {
      rises('quiet', 'refused', 'task_failures_total', { task: 'hot', code: 'invalid_permissions' })
      stays('recovered', 'healed', 'task_failures_total')
    },
    drift_found_total() {
      rises('quiet', 'recovered', 'drift_found_total', { kind: 'different' })
      expect(of('recovered', 'drift_found_total', { kind: 'unexpected' })).toBe(0)
    },
    drift_unhealed() {
      expect(at('recovered')('drift_unhealed', { organization: scene.source.slug })).toBe(1)
      expect(at('healed')('drift_unhealed', { organization: scene.source.slug })).toBe(0)
    },
    api_requests_total() {
      rises('quiet', 'recovered', 'api_requests_total', { endpoint: '/organizations/*/builds', status: '200' })
      rises('quiet', 'refused', 'api_requests_total', { endpoint: '/organizations/*/builds', status: '403' })
      rises('recovered', 'limited', 'api_requests_total', { status: '429' })
    },
    api_request_seconds() {
      rises('quiet', 'recovered', 'api_request_seconds', { endpoint: '/organizations/*/builds' })
      expect(of('end', 'api_request_seconds')).toBe(of('end', 'api_requests_total'))
    },
    findings() {
      expect(at('quiet')('findings')).toBeUndefined()
      expect(at('planted')('findings')).toBe(1)
      expect(at('planted')('findings', { name: 'planted', subject: 'acme', result: 'warning' })).toBe(1)
    },
    reconcile_interval_seconds: () => expect(at('quiet')('reconcile_interval_seconds')).toBe(1),
    api_budget_wait_seconds_total: () =>
      rises('limited', 'healed', 'api_budget_wait_seconds_total', { priority: 'hot' }),
    api_limit() {
      const organization = { scope: `organization:${scene.source.slug}` }
      expect(at('recovered')('api_limit', organization)).toBe(1_000_000)
    },
    api_limit_remaining() {
      const organization = { scope: `organization:${scene.source.slug}` }
      expect(of('recovered', 'api_limit_remaining', organization)).toBeGreaterThan(999_000)
      expect(of('recovered', 'api_limit_remaining', organization)).toBeLessThan(1_000_000)
    },
    api_budget_left() {
      expect(of('recovered', 'api_budget_left')).toBeGreaterThan(100)
      expect(at('limited')('api_budget_left', { scope: `organization:${scene.source.slug}` })).toBeGreaterThan(100)
      // The user's limit is held until its reset.
      expect(of('recovered', 'api_budget_left') - of('limited', 'api_budget_left')).toBeGreaterThan(100)
    },
    queue_jobs() {
      expect(at('recovered')('queue_jobs', { queue: 'reconcile', state: 'delayed' })).toBeGreaterThan(0)
      rises('recovered', 'withoutDatabase', 'queue_jobs', { queue: 'deliveries' })
      expect(at('withoutQueue')('queue_jobs')).toBeUndefined()
    },
    deliveries_pending() {
      expect(at('quiet')('deliveries_pending')).toBe(0)
      expect(at('withoutQueue')('deliveries_pending')).toBe(5)
      expect(at('withoutDatabase')('deliveries_pending')).toBeUndefined()
      expect(at('end')('deliveries_pending')).toBe(0)
    },
    deliveries_failed() {
      expect(at('quiet')('deliveries_failed')).toBe(0)
      expect(at('recovered')('deliveries_failed')).toBe(1)
    },
    deliveries_oldest_pending_seconds() {
      expect(at('quiet')('deliveries_oldest_pending_seconds')).toBe(0)
      expect(at('withoutQueue')('deliveries_oldest_pending_seconds')).toBeGreaterThan(5)
      expect(at('end')('deliveries_oldest_pending_seconds')).toBe(0)
    },
    deliveries_last_received_age_seconds() {
      expect(at('quiet')('deliveries_last_received_age_seconds')).toBeUndefined()
      expect(of('withoutQueue', 'deliveries_last_received_age_seconds')).toBeGreaterThan(3)
    },
    watermark_age_seconds() {
      const organization = { organization: scene.source.slug }
      // No cycle ended while the token was refused; then one did, an hour later by Buildkite's clock.
      const [refused, recovered] = [
        of('refused', 'watermark_age_seconds', organization),
        of('recovered', 'watermark_age_seconds', organization),
      ]
      expect((refused * SECOND) / HOUR).toBeGreaterThan(2.9)
      expect((recovered * SECOND) / HOUR).toBeLessThan(2.5)
    },
    claim_age_seconds() {
      const builds = { organization: scene.source.slug, object: 'builds' }
      expect((of('quiet', 'claim_age_seconds', builds) * SECOND) / HOUR).toBeGreaterThan(3)
      expect(of('quiet', 'claim_age_seconds', { ...builds, object: 'jobs' })).toBeGreaterThan(0)
    },
    claim_exceptions() {
      expect(of('recovered', 'claim_exceptions', { organization: scene.source.slug })).toBeGreaterThanOrEqual(0)
    },
    pipelines_listed() {
      expect(of('recovered', 'pipelines_listed')).toBe(scene.simulation.truth.pipelines.length)
    },
    pipelines_complete() {
      // A window is still to be read, and no list of pipelines has confirmed the others.
      expect(of('quiet', 'pipelines_complete')).toBe(0)
    },
    work_failing() {
      expect(at('planted')('work_failing', { kind: 'rollup_day' })).toBe(1)
    },
    work_failing_oldest_seconds() {
      expect(of('planted', 'work_failing_oldest_seconds', { kind: 'rollup_day' })).toBeGreaterThan(3_590)
    },
    backfill_progress_ratio() {
      const organization = { organization: scene.source.slug }
      expect(of('quiet', 'backfill_progress_ratio', organization)).toBeGreaterThan(0)
      expect(of('quiet', 'backfill_progress_ratio', organization)).toBeLessThan(1)
      expect(at('recovered')('backfill_progress_ratio', organization)).toBe(1)
    },
    problems() {
      expect(at('refused')('problems', { code: 'invalid_permissions' })).toBeGreaterThan(0)
      expect(at('recovered')('problems')).toBeUndefined()
    },
    audited_requests_total() {
      const pause = { request: 'POST /actions/backfill/pause' }
      stays('quiet', 'refused', 'audited_requests_total')
      rises('limited', 'healed', 'audited_requests_total', { ...pause, who: 'admin', result: 'done' })
      rises('limited', 'healed', 'audited_requests_total', { ...pause, who: 'unknown', result: 'refused' })
    },
    tokens_refused_total() {
      stays('quiet', 'limited', 'tokens_refused_total')
      for (const via of ['form', 'bearer', 'session']) rises('limited', 'healed', 'tokens_refused_total', { via })
    },
    queue_waiting: () => expect(at('recovered')('queue_waiting', { queue: 'planted' })).toBe(1),
    queue_running: () => expect(at('recovered')('queue_running', { queue: 'planted' })).toBe(1),
    queue_oldest_wait_seconds: () => expect(of('recovered', 'queue_oldest_wait_seconds')).toBeGreaterThanOrEqual(0),
    queue_agents: () => expect(of('recovered', 'queue_agents', { state: 'idle' })).toBeGreaterThan(0),
    job_wait_seconds() {
      expect(at('recovered')('job_wait_seconds', { queue: 'planted' })).toBe(2)
      expect(at('recovered')('job_wait_seconds', { queue: 'planted' }, '_sum')).toBeCloseTo(10, 1)
    },
    job_run_seconds() {
      expect(at('recovered')('job_run_seconds', { queue: 'planted' })).toBe(1)
      expect(at('recovered')('job_run_seconds', { queue: 'planted' }, '_sum')).toBeCloseTo(20, 1)
      expect(at('withoutDatabase')('job_run_seconds')).toBeUndefined()
      expect(at('end')('job_run_seconds')).toBeGreaterThanOrEqual(1)
    },
    worker_stalled_seconds() {
      rises('recovered', 'withoutQueue', 'worker_stalled_seconds')
      expect(of('withoutQueue', 'worker_stalled_seconds')).toBeGreaterThan(5)
    },
    store_up() {
      for (const store of ['database', 'queue']) expect(at('quiet')('store_up', { store })).toBe(1)
      expect(at('withoutQueue')('store_up', { store: 'queue' })).toBe(0)
      expect(at('withoutQueue')('store_up', { store: 'database' })).toBe(1)
      expect(at('withoutDatabase')('store_up', { store: 'database' })).toBe(0)
      expect(at('withoutBoth')('store_up')).toBe(0)
      expect(at('end')('store_up')).toBe(2)
    },
  }

  it.each(Object.keys(metrics) as MetricName[])('%s', (name) => {
    expect(expected[name]).toBeTypeOf('function')
    expected[name]()
  })

  it('no page tells a secret', async () => {
    const body = await text()
    expect(body).not.toContain(secret)
    expect(body).not.toContain(adminToken)
    expect(body).not.toContain(demoToken.token)
  })
})
