import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { sign } from '../../src/buildkite/signature.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { DAY, HOUR, pause } from '../../src/runtime/time.ts'
import { type Api, demoToken } from '../../src/simulator/api/api.ts'
import { openScene, type Scene } from '../reconcile/scene.ts'
import { faultsOfAlert, hasPromtool, runPromtool, type Scraped } from '../support/promtool.ts'
import { testQueueBackends } from '../support/redis.ts'
import { type RedisServer, startRedisServer } from '../support/redis-server.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'
import { until } from '../support/until.ts'

const secret = 'alerts-webhook-secret'
const adminToken = 'alerts-admin-token'
const patience = 180_000
const file = new URL('../../docs/deploy/prometheus/alerts.yml', import.meta.url)
const { groups } = parse(readFileSync(file, 'utf8')) as { groups: { rules: { alert: string; expr: string }[] }[] }
const rules = groups.flatMap((group) => group.rules)

/** Buildkite's clock. It runs, and can be put ahead. */
function runningClock(offset: number) {
  let ahead = offset
  const pass = (ms: number) => {
    ahead += ms
  }
  return { now: () => Date.now() + ahead, pass }
}

const forbidBuilds: Api['beforeAnswer'] = ({ kind }) =>
  kind === 'builds' ? { kind: 'status', status: 403, message: 'Forbidden' } : undefined

describe.runIf(testQueueBackends().includes('redis') && hasPromtool())('every alert fires for the real fault:', () => {
  let scene: Scene
  let sql: postgres.Sql
  let proxy: TcpProxy
  let redis: RedisServer
  let service: ServiceProcess
  let settings: Record<string, string>
  /** What was scraped before and during the fault of each alert. */
  const seen: Record<string, Scraped[]> = {}

  const scrape = async () => {
    const headers = { authorization: `Bearer ${adminToken}` }
    return (await fetch(`${service.privateUrl}/metrics`, { headers })).text()
  }
  /** The sum of a metric's series whose labels match. */
  const sumOf = (page: string, name: string, labels = '') =>
    page.split('\n').reduce((sum, line) => {
      const isOurs = line.startsWith(`buildkite_mirror_${name}`) && /[ {]/.test(line.at(17 + name.length) ?? '')
      return isOurs && new RegExp(labels).test(line) ? sum + Number(line.split(' ').at(-1)) : sum
    }, 0)
  /** Scrapes until the page shows what is expected. */
  const scrapeUntil = (what: string, isThere: (page: string) => boolean) =>
    until(
      async () => {
        const page = await scrape()
        if (isThere(page)) return page
        await pause(200)
        const ours = page.split('\n').filter((line) => line.startsWith('buildkite') && !/_bucket| 0$/.test(line))
        throw new Error(ours.join('\n'))
      },
      what,
      patience,
    )
  const post = async (body: string, event: string, signature = sign(body, secret, Date.now())) => {
    const headers = {
      'content-type': 'application/json',
      'x-buildkite-event': event,
      'x-buildkite-signature': signature,
    }
    const answer = await fetch(`${service.publicUrl}/webhooks/buildkite`, { method: 'POST', headers, body })
    await answer.body?.cancel()
    return answer.status
  }
  const ping = (n: number) => post(JSON.stringify({ event: 'ping', n }), 'ping')
  const act = async (name: string, body: object) => {
    const headers = { authorization: `Bearer ${adminToken}`, 'content-type': 'application/json' }
    const sent = { method: 'POST', headers, body: JSON.stringify(body) }
    expect((await fetch(`${service.privateUrl}/actions/${name}`, sent)).status).toBeLessThan(400)
  }

  const faultsOfWebhooks = async (quiet: string) => {
    for (let n = 0; n < 15; n++) expect(await post('{}', 'ping', `timestamp=${n},signature=00`)).toBe(401)
    const unauthorized = await scrape()
    seen.WebhooksUnauthorized = [
      [quiet, 10],
      [unauthorized, 8],
    ]
    await post(JSON.stringify({ event: 'build.finished', build: { number: 1 } }), 'build.finished')
    const dead = await scrapeUntil('it cannot be applied', (page) => sumOf(page, 'deliveries_failed') > 0)
    seen.DeadLetters = [
      [quiet, 10],
      [dead, 2],
    ]

    const slow: Scraped[] = [[await scrape(), 10]]
    for (let n = 0; n < 4; n++) {
      await sql.begin(async (tx) => {
        await tx`lock table sync.deliveries in access exclusive mode`
        expect(await ping(n)).toBe(202)
      })
      slow.push([await scrape(), 4])
      // The receiver uses only the queue for a second after Postgres was slow.
      await pause(1_500)
    }
    seen.WebhooksSlow = slow
  }

  const lostWebhooks = async () => {
    const before = await scrape()
    const webhooks = scene.simulation.startWebhooks({ url: `${service.publicUrl}/webhooks/buildkite`, secret })
    await scene.simulation.play({ builds: 3 })
    webhooks.choose = () => 'drop'
    const failures = (page: string) => sumOf(page, 'task_failures_total')
    scene.api.beforeAnswer = forbidBuilds
    await scene.simulation.play({ builds: 15 })
    scene.simulation.clock.pass(HOUR)
    // Before it has noticed that Buildkite's clock jumped, the service takes what was dropped for something on its way.
    const passed = failures(await scrape())
    await scrapeUntil('most of the last answers are from after the jump', (page) => failures(page) >= passed + 20)
    scene.api.beforeAnswer = undefined
    const lost = await scrapeUntil(
      'what was dropped is found',
      (page) => sumOf(page, 'cycle_found_total', 'result="(missing|healed)"') > 10,
    )
    seen.WebhooksLost = [
      [before, 10],
      [lost, 2],
    ]
  }

  const faultsOfBuildkite = async () => {
    const before = await scrape()
    const refusals = (page: string) => sumOf(page, 'api_requests_total', 'status="429"')
    scene.api.beforeAnswer = ({ kind }) =>
      kind === 'builds' ? { kind: 'limit', scope: 'rest_user', reset: 1 } : undefined
    // Prometheus counts from the first value that it sees.
    const first = await scrapeUntil('a 429', (page) => refusals(page) > 0)
    const limited = await scrapeUntil('more of them', (page) => refusals(page) > refusals(first) + 5)
    seen.RateLimited = [
      [before, 10],
      [first, 1],
      [limited, 2],
    ]

    scene.api.beforeAnswer = () => ({ kind: 'status', status: 503, message: 'Down.' })
    let failing = await scrape()
    const down: Scraped[] = [[failing, 8]]
    for (let n = 0; n < 4; n++) {
      // Of one endpoint: Prometheus counts a series that is new from its first value.
      const failures = (page: string) => sumOf(page, 'api_requests_total', '/builds",status="503"')
      const failed = failures(failing)
      failing = await scrapeUntil('more 5xx', (page) => failures(page) > failed)
      down.push([failing, 6])
    }
    seen.ApiFailing = down

    scene.api.beforeAnswer = forbidBuilds
    const refused = await scrapeUntil('403', (page) => sumOf(page, 'problems', 'invalid_permissions') > 0)
    seen.TokenRefused = [
      [before, 10],
      [refused, 7],
    ]
    scene.api.beforeAnswer = undefined
  }

  const driftAndTotals = async () => {
    const before = await scrapeUntil('it has recovered', (page) => sumOf(page, 'problems') === 0)
    const edited = scene.simulation.truth.builds.slice(0, 150)
    for (const build of edited) {
      build.meta_data = { edited: 'long ago' }
      build.state = build.state === 'passed' ? 'failed' : build.state
    }
    // One build cannot be corrected, and no day can be summed up.
    await sql.unsafe(`
      create function public.keeps() returns trigger language plpgsql as 'begin return null; end';
      create trigger keeps before update on buildkite.builds for each row
        when (new.id = '${edited[0]?.id}') execute function public.keeps();
      create function public.fails() returns trigger language plpgsql as $$
      begin raise exception 'canceling statement due to statement timeout' using errcode = '57014'; end $$;
      create trigger fails before delete on sync.stale_days for each row execute function public.fails();`)
    const day = (ms: number) => new Date(ms).toISOString().slice(0, 10)
    await act('audit', { organization: scene.source.id, from: day(Date.now() - 90 * DAY), to: day(Date.now()) })
    const found = await scrapeUntil('it is found', (page) => sumOf(page, 'drift_found_total', 'different') > 100)
    seen.DriftFound = [
      [before, 10],
      [found, 2],
    ]
    const unhealed = await scrapeUntil('one is not healed', (page) => sumOf(page, 'drift_unhealed') > 0)
    seen.DriftUnhealed = [
      [before, 10],
      [unhealed, 62],
    ]
    const waiting = await scrapeUntil('days wait', (page) => sumOf(page, 'rollup_days_waiting') > 3)
    seen.RollupsBehind = [
      [before, 10],
      [waiting, 62],
    ]
    await sql`drop function public.keeps() cascade`
  }

  const faultsOfTasks = async () => {
    const before = await scrape()
    await act('backfill/pause', { organization: scene.source.id })
    await sql`update sync.windows set status = 'pending', scanned_to = null, started_at = null, finished_at = null
      where id = (select id from sync.windows order by created_from limit 1)`
    const stalled = await scrapeUntil('history is owed', (page) => sumOf(page, 'backfill_progress_ratio') < 1)
    seen.BackfillStalled = [
      [before, 10],
      [stalled, 190],
    ]

    const [{ watermark } = {}] = await sql`select watermark from sync.watermarks`
    await sql`update sync.watermarks set watermark = 'infinity'`
    const broken = await scrapeUntil('it breaks', (page) => sumOf(page, 'task_failures_total', 'code="internal"') > 3)
    seen.TasksFailing = [
      [before, 10],
      [broken, 2],
    ]
    await sql`update sync.watermarks set watermark = ${watermark}`
  }

  const faultsOfProcess = async () => {
    const before = await scrape()
    for (let n = 0; n < 40; n++) {
      await fetch(`${service.privateUrl}/metrics`, { headers: { authorization: `Bearer guess ${n}` } })
    }
    seen.SignInsRefused = [
      [before, 10],
      [await scrape(), 2],
    ]
    // As on a machine whose CPU others use: it runs now and then. Each scrape begins to measure again.
    await scrape()
    for (let n = 0; n < 5; n++) {
      service.process.kill('SIGSTOP')
      await pause(700)
      service.process.kill('SIGCONT')
      await pause(50)
    }
    seen.EventLoopBlocked = [
      [before, 10],
      [await scrape(), 12],
    ]
  }

  /** Both stores and Buildkite are gone, and four hours pass. */
  const outage = async (quiet: string) => {
    const before = await scrape()
    scene.api.beforeAnswer = () => ({ kind: 'status', status: 503, message: 'Down.' })
    await scrapeUntil('the totals of days fail', (page) => sumOf(page, 'work_failing', 'rollup_day') > 0)
    await redis.kill()
    expect(await ping(100)).toBe(202)
    const queueDown = await scrapeUntil('the queue is down', (page) => /store_up\{store="queue"\} 0/.test(page))
    service.process.kill('SIGUSR2')
    const old = await scrapeUntil('hours have passed', (page) => sumOf(page, 'worker_stalled_seconds') > 3 * 3_600)
    for (const alert of ['OldestDeliveryWaiting', 'WorkerStuck', 'MirrorLags', 'ClaimOld', 'WorkFailing']) {
      seen[alert] = [
        [quiet, 10],
        [old, 7],
      ]
    }
    await proxy.cut()
    expect(await ping(101)).toBe(503)
    const bothDown = await scrape()
    seen.StoreDown = [
      [before, 10],
      [queueDown, 4],
    ]
    seen.WebhooksRefused = [
      [before, 10],
      [bothDown, 2],
    ]
    await redis.start()
    await proxy.restore()
    scene.api.beforeAnswer = undefined
  }

  const restarts = async (quiet: string) => {
    scene.api.tokens = [{ ...demoToken, expiresAt: scene.simulation.clock.now() + 3 * DAY }]
    const loop: Scraped[] = [[quiet, 10]]
    // The metric has whole seconds.
    const startOf = (page: string) => /^process_start_time_seconds (\S+)$/m.exec(page)?.[1]
    let startedAt = startOf(quiet)
    while (loop.length < 5) {
      await service.stop('SIGKILL')
      service = await startService(settings)
      const page = await scrape()
      if (startOf(page) === startedAt) continue
      startedAt = startOf(page)
      loop.push([page, 2])
    }
    seen.RestartLoop = loop
    const expiring = await scrapeUntil('the token expires', (page) => sumOf(page, 'problems', 'expires_soon') > 0)
    seen.TokenExpires = [
      [quiet, 10],
      [expiring, 2],
    ]
    await service.stop()
    await expect(scrape()).rejects.toThrow()
    seen.ServiceDown = [
      [quiet, 10],
      [undefined, 4],
    ]
  }

  beforeAll(async () => {
    scene = await openScene({ seed: 29, stepMs: [1, 5], clock: runningClock(-HOUR) })
    sql = postgres(scene.url, { max: 1, onnotice: () => {} })
    proxy = await startTcpProxy(scene.url, 5432)
    redis = await startRedisServer()
    await scene.source.client.accessToken()
    await scene.complete({ builds: 300, days: 20 })
    // No webhook reports these, and the organization is not new.
    await scene.simulation.play({ builds: 5 })
    for (let n = 0; n < 12; n++) {
      scene.simulation.clock.pass(HOUR / 12)
      await refreshPipelines(scene.deps, scene.source)
      await reconcileOnce(scene.deps, scene.source)
    }
    await sql`update buildkite.organizations set first_seen_at = now() - interval '1 day'`
    settings = {
      DATABASE_URL: proxy.url,
      REDIS_URL: redis.url,
      BUILDKITE_API_URL: scene.api.url,
      BUILDKITE_API_TOKEN: demoToken.token,
      API_BUDGET_SHARE: '1',
      ADMIN_TOKEN: adminToken,
      WEBHOOK_SECRET: secret,
      WEBHOOK_TOLERANCE: '1d',
      RECONCILE_INTERVAL: '1s',
      NODE_OPTIONS: `--import=${fileURLToPath(new URL('../support/ahead-clock.mjs', import.meta.url))}`,
    }
    service = await startService(settings)
    const quiet = await scrapeUntil(
      'the first tasks are done',
      (page) => sumOf(page, 'cycles_total') > 1 && sumOf(page, 'rollup_days_waiting') === 0,
    )
    const silent = scrapeUntil('the service has checked itself', (page) =>
      /findings\{name="webhook_silence"/.test(page),
    )
    silent.catch(() => {}) // awaited below
    await faultsOfWebhooks(quiet)
    await faultsOfBuildkite()
    await driftAndTotals()
    await faultsOfTasks()
    seen.WebhooksSilent = [
      [quiet, 10],
      [await silent, 7],
    ]
    await lostWebhooks()
    await faultsOfProcess()
    await outage(quiet)
    await restarts(quiet)
  }, 600_000)

  afterAll(async () => {
    await service?.stop('SIGKILL')
    await redis?.stop()
    await sql?.end({ timeout: 1 })
    await proxy?.close()
    await scene?.close()
  })

  it.each(rules)('$alert', ({ alert, expr }) => {
    const pages = seen[alert]
    if (!pages) throw new Error('No fault is caused for this alert. Cause it here, and record the pages.')
    expect(faultsOfAlert(alert, expr, pages)).toBe('')
  })
})

it.runIf(hasPromtool())('alerts fire only when they should, with the right words', () => {
  expect(runPromtool(fileURLToPath(new URL('../http/alerts.promtool.yml', import.meta.url)))).toBe('')
})
