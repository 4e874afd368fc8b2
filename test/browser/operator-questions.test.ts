import type { Browser, BrowserContext, Page } from 'playwright-core'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { demoToken } from '../../src/simulator/api/api.ts'
import { realClock } from '../../src/simulator/random.ts'
import { createSimulation } from '../../src/simulator/simulation.ts'
import { findChromium, launchChromium } from '../support/chromium.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

/** A question, at most two clicks from the status page, and what the page says then. */
interface Question {
  readonly asks: string
  readonly clicks: readonly string[]
  readonly answer: RegExp
}

const questions: readonly Question[] = [
  { asks: 'is it healthy', clicks: [], answer: /the mirror may fall behind/ },
  { asks: 'since when is data complete', clicks: [], answer: /Builds complete from \d{4}-\d\d-\d\d .*, jobs as of/ },
  { asks: 'which webhook failed and why', clicks: ['job.finished'], answer: /finished_at: "soon" is not a time/ },
  { asks: 'what is the queue doing', clicks: [], answer: /Jobs waiting\s*\d+\s*\d+ active, \d+ deliver/ },
  { asks: 'how far is history', clicks: [], answer: /complete over the wanted history/ },
  { asks: 'was anything lost last night', clicks: [], answer: /lost for 3 builds and 5 jobs/ },
  { asks: 'what blocks a window', clicks: [], answer: /Part of the history\s*May · acme\s*Buildkite answered 504/ },
  { asks: 'is a token about to expire', clicks: [], answer: /The API token expires in 6 days/ },
  { asks: 'what did the last audit find', clicks: ['History', 'Audits only'], answer: /audit .*\s40\s+2\s/ },
  {
    asks: 'who pressed replay',
    clicks: ['Who replayed deliveries'],
    answer: /POST \/actions\/replay[\s\S]*local[\s\S]*127\.0\.0\.1/,
  },
]

// Without one the run has said so, and with CI set it has failed.
describe.skipIf(!findChromium())('an operator who opens the status page', () => {
  const simulation = createSimulation({ seed: 6, pipelines: 2, clock: realClock })
  let home: TestDatabase
  let sql: postgres.Sql
  let service: ServiceProcess
  let browser: Browser
  let context: BrowserContext | undefined

  beforeAll(async () => {
    home = await createTestDatabase()
    sql = postgres(home.url, { max: 1, onnotice: () => {} })
    browser = await launchChromium()
    simulation.writeHistory({ builds: 60, days: 20 })
    const api = await simulation.startApi()
    service = await startService({
      DATABASE_URL: home.url,
      RECONCILE_INTERVAL: '1h',
      BUILDKITE_API_URL: api.url,
      BUILDKITE_API_TOKEN: demoToken.token,
      API_BUDGET_SHARE: '1',
      BACKFILL_DAYS: '25',
      WEBHOOK_SECRET: 's'.repeat(16),
    })
    const isRead = () => sql`select 1 from sync.watermarks where not exists (
      select from sync.windows where status <> 'done') and exists (select from sync.windows)`
    await until(async () => (await isRead()).length > 0, 'the history is read', 60_000)
    await until(async () => (await sql`select from sync.findings`).length > 0, 'the service has checked itself', 60_000)
    await happen()
  })

  afterEach(async () => {
    await context?.close()
    context = undefined
  })

  afterAll(async () => {
    await browser?.close()
    await service?.stop()
    await simulation.stop()
    await sql?.end({ timeout: 1 })
    await home?.drop()
  })

  /** What a bad night leaves behind. */
  async function happen(): Promise<void> {
    // As if the next list of pipelines had come already.
    await sql`update sync.watermarks set confirmed_to = watermark, pipelines_read_at = now() + interval '3 minutes'`
    await sql`insert into sync.deliveries (key, event, received_at, observed_at, status, error, failed_at, payload)
      values ('one', 'job.finished', now(), now(), 'failed', 'finished_at: "soon" is not a time.', now(), '{"event": "job.finished"}'),
        ('two', 'ping', now(), now(), 'failed', 'It was not to be.', now(), '{"event": "ping"}')`
    await sql`insert into sync.cycles (organization_id, kind, started_at, finished_at, builds_read, builds_missing, jobs_missing)
      select id, 'hot', now() - interval '6 hours', now() - interval '6 hours', 40, 3, 5 from buildkite.organizations`
    await sql`insert into sync.cycles (organization_id, kind, watermark_from, watermark_to, started_at, finished_at, builds_read, builds_healed)
      select id, 'audit', now() - interval '9 days', now() - interval '2 days', now() - interval '30 hours', now() - interval '30 hours', 40, 2
      from buildkite.organizations`
    await sql`insert into sync.failures (kind, organization_id, subject, code, error, tries, first_failed_at, last_failed_at, next_try_at)
      select 'window', id, 'May', 'http_504', 'Buildkite answered 504.', 2, now() - interval '4 minutes', now(), now() + interval '4 minutes'
      from buildkite.organizations`
    await sql`insert into sync.findings (name, subject, result, detail, remedy, checked_at, since)
      values ('token_expires_soon', 'token 1', 'warning', 'The API token expires in 6 days.', 'Create a new one.', now(), now())`
    const { id } = (await sql<{ id: string }[]>`select id from sync.deliveries where key = 'two'`)[0] ?? expect.fail()
    const body = JSON.stringify({ id: Number(id) })
    const headers = { 'content-type': 'application/json' }
    const replayed = await fetch(`${service.privateUrl}/actions/replay`, { method: 'POST', headers, body })
    expect(replayed.status).toBe(200)
  }

  async function visit(): Promise<Page> {
    context = await browser.newContext()
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    await page.goto(service.privateUrl)
    return page
  }

  it.each(questions)('finds the answer within two clicks: $asks', async ({ clicks, answer }) => {
    expect(clicks.length).toBeLessThanOrEqual(2)
    const page = await visit()
    for (const name of clicks) {
      await page.getByRole('link', { name, exact: true }).click()
      await page.waitForLoadState()
    }
    const shown = async () => (await page.locator('main').allInnerTexts()).join('\n')
    await until(async () => answer.test(await shown()), `the page answers ${answer}`).catch(async (error: unknown) => {
      throw new Error(await shown(), { cause: error })
    })
  })
})
