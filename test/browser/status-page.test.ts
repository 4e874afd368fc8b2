import axe from 'axe-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { demoToken } from '../../src/simulator/api/api.ts'
import { realClock } from '../../src/simulator/random.ts'
import { createSimulation } from '../../src/simulator/simulation.ts'
import { findChromium, launchChromium } from '../support/chromium.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const adminToken = 'hunter2-admin-token'
const day = (ago: number) => new Date(Date.now() - ago * 86_400_000).toISOString().slice(0, 10)

// Without one the run has said so, and with CI set it has failed.
describe.skipIf(!findChromium())('the status page in a browser', () => {
  const simulation = createSimulation({ seed: 5, pipelines: 3, clock: realClock })
  let home: TestDatabase
  let sql: postgres.Sql
  let service: ServiceProcess
  let guarded: ServiceProcess
  let browser: Browser
  let context: BrowserContext | undefined
  let holdHistory = true

  beforeAll(async () => {
    home = await createTestDatabase()
    sql = postgres(home.url, { max: 1, onnotice: () => {} })
    browser = await launchChromium()
    simulation.writeHistory({ builds: 300, days: 20 })
    const api = await simulation.startApi()
    // Pages of history are slow to come until we let go; those of the cycles, whose lists have no real end, are not.
    const isHistory = (query: URLSearchParams) =>
      query.has('created_from') && Date.parse(query.get('created_to') ?? '') < Date.now() + 86_400_000
    api.beforeAnswer = ({ kind, query }) =>
      holdHistory && kind === 'builds' && isHistory(query) ? { kind: 'delay', ms: 3_000 } : undefined
    // Cycles come only when they are asked for.
    const settings = {
      DATABASE_URL: home.url,
      RECONCILE_INTERVAL: '1h',
      WEBHOOK_SECRET: 's'.repeat(16),
      LOG_LEVEL: 'info',
    }
    service = await startService({
      ...settings,
      BUILDKITE_API_URL: api.url,
      BUILDKITE_API_TOKEN: demoToken.token,
      API_BUDGET_SHARE: '1',
      BACKFILL_DAYS: '25',
    })
    guarded = await startService({ ...settings, ROLES: 'web', ADMIN_TOKEN: adminToken })
    await until(async () => (await cyclesOf('hot')) > 0, 'a first cycle', 40_000)
  })

  afterEach(async () => {
    await context?.close()
    context = undefined
    await sql`delete from sync.deliveries`
    await sql`delete from sync.findings`
    await sql`delete from sync.failures`
  })

  afterAll(async () => {
    await browser?.close()
    await service?.stop()
    await guarded?.stop()
    await simulation.stop()
    await sql?.end({ timeout: 1 })
    await home?.drop()
  })

  async function visit(options: Parameters<Browser['newContext']>[0] = {}, url = service.privateUrl): Promise<Page> {
    context = await browser.newContext(options)
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    await page.goto(url)
    return page
  }

  async function number(query: postgres.PendingQuery<postgres.Row[]>): Promise<number> {
    const [row] = z.array(z.object({ n: z.number() })).parse(await query)
    return row?.n ?? 0
  }
  const cyclesOf = (kind: string) =>
    number(sql`select count(*)::int as n from sync.cycles where kind = ${kind} and error is null`)
  const failedLeft = () => number(sql`select count(*)::int as n from sync.deliveries where status = 'failed'`)
  const insertFailed = (key: string, error = 'It was not to be.') => sql`
    insert into sync.deliveries (key, event, received_at, observed_at, status, error, failed_at, payload)
    values (${key}, 'ping', now(), now(), 'failed', ${error}, now(), '{"event": "ping"}')`

  const insertFailing = (subject: string, error = 'Buildkite answered 504.') =>
    sql`insert into sync.failures (kind, organization_id, subject, code, error, tries, first_failed_at, last_failed_at, next_try_at)
    select 'window', id, ${subject}, 'http_504', ${error}, 2, now() - interval '4 minutes', now(), now() + interval '4 minutes'
    from buildkite.organizations`

  it('keeps itself up to date without reloading', async () => {
    const page = await visit()
    await page.getByText('Live', { exact: true }).waitFor()
    await page.evaluate('window.marked = true')
    await insertFailed('live', 'Newly failed, and shown at once.')
    await page.getByText('Newly failed, and shown at once.').waitFor()
    await page.getByText('Nothing is waiting to be retried.').waitFor()
    await insertFailing('May')
    await page.getByRole('cell', { name: 'Part of the history May · acme' }).waitFor()
    await page.getByRole('cell', { name: /^2 tries next in/ }).waitFor()
    expect(await page.evaluate('window.marked')).toBe(true)
  })

  it('replays one failed delivery, and all of them', async () => {
    for (const key of ['a', 'b', 'c']) await insertFailed(key)
    const [newest] = await sql<{ id: string }[]>`select max(id) as id from sync.deliveries`
    const page = await visit()
    await page.getByRole('button', { name: `Replay delivery ${newest?.id}` }).click()
    await page.getByText('Replayed: 1 applied').waitFor()
    await until(async () => (await failedLeft()) === 2, 'one is no longer failed')
    await page.getByRole('button', { name: 'Replay all 2' }).click()
    await until(async () => (await failedLeft()) === 0, 'none is failed')
  })

  it('pauses the backfill in the middle, and lets it go on', async () => {
    const page = await visit()
    await page.getByRole('button', { name: 'Pause the backfill of acme' }).click()
    await page.getByText('The backfill stops within seconds').waitFor()
    expect(await number(sql`select count(*)::int as n from sync.pauses where task = 'backfill'`)).toBe(1)
    await page.getByText('Reading history is paused').waitFor()
    // The page leaves out on a busy machine what does not answer in time.
    const shown = z.object({
      organizations: z.array(z.object({ backfill: z.object({ done: z.boolean() }) })).nullable(),
    })
    const isDone = async () => shown.parse(await service.status()).organizations?.[0]?.backfill.done
    await until(async () => (await isDone()) === false, 'history is not read')
    holdHistory = false
    await page.getByRole('button', { name: 'Resume the backfill of acme' }).click()
    await until(isDone, 'the rest of history is read', 40_000)
    expect(await number(sql`select count(*)::int as n from sync.pauses`)).toBe(0)
  })

  it('runs a cycle when asked', async () => {
    const before = await cyclesOf('hot')
    const page = await visit()
    await page.getByRole('button', { name: 'Sync now of acme' }).click()
    await page.getByText('Requested 1 sync').waitFor()
    await until(async () => (await cyclesOf('hot')) > before, 'another cycle ran')
  })

  it('has a span read again, and shows what that found', async () => {
    await until(
      async () => (await number(sql`select count(*)::int as n from buildkite.builds`)) > 100,
      'builds',
      40_000,
    )
    const [spoilt] = await sql<{ id: string; created_at: Date }[]>`
      update buildkite.builds set message = 'Spoilt' where id =
        (select id from buildkite.builds where finished_at < now() - interval '1 day' and not blocked order by created_at desc limit 1)
      returning id, created_at`
    if (!spoilt) throw new Error('The history holds no finished build.')
    const page = await visit()
    await page.getByText('Audit a time range').click()
    await page.getByLabel('Builds created from').fill(spoilt.created_at.toISOString().slice(0, 10))
    await page.getByLabel('to the end of').fill(day(0))
    await page.getByRole('button', { name: 'Run audit of acme' }).click()
    await page.getByText('The audit is queued').waitFor()
    await until(
      async () => (await number(sql`select count(*)::int as n from buildkite.builds where message = 'Spoilt'`)) === 0,
      'the build is healed',
      40_000,
    )
    await page
      .getByText(/^audit /)
      .first()
      .waitFor()
    await page.getByText('healed', { exact: true }).first().waitFor()
  })

  it('is read, and its forms work, with JavaScript off', async () => {
    await insertFailed('plain')
    const page = await visit({ javaScriptEnabled: false })
    const reloaded = async () => {
      await page.reload()
      return (await page.getByRole('heading', { level: 1 }).textContent())?.includes('1 warning')
    }
    await until(reloaded, 'a reload shows it')
    expect(await page.locator('#live').textContent()).toContain('Reload for newer figures')
    await page.getByRole('button', { name: 'Replay all 1' }).click()
    expect(await page.getByRole('status').textContent()).toContain('Replayed: 1 applied, 0 ignored, 0 failed again.')
    expect(await failedLeft()).toBe(0)
  })

  it.each([
    ['light', 'desktop', 1180],
    ['dark', 'desktop', 1180],
    ['light', 'phone', 390],
    ['dark', 'phone', 390],
  ] as const)('is accessible in %s on a %s', async (colorScheme, _screen, width) => {
    await insertFailed('seen')
    await insertFailing('May')
    await sql`insert into sync.findings (name, subject, result, detail, remedy, checked_at, since)
      values ('webhook_disabled', 'acme', 'failed', 'The webhook is off.', 'Turn it on.', now(), now())`
    const page = await visit({ colorScheme, viewport: { width, height: 900 }, reducedMotion: 'reduce' })
    await page.getByText('Live', { exact: true }).waitFor()
    await page.getByText('Audit a time range').click()
    expect(await violations(page)).toEqual([])
    expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
  })

  it.each([
    ['light', 1280],
    ['dark', 375],
  ] as const)(
    'has its other pages accessible in %s at %i px, without sideways scrolling',
    async (colorScheme, width) => {
      await insertFailed('opened', `It could not be applied: ${'x'.repeat(200)}`)
      const [failed] = await sql<{ id: string }[]>`select max(id) as id from sync.deliveries`
      const page = await visit({ colorScheme, viewport: { width, height: 900 } })
      const schema = ['schema', 'schema/analytics?open=builds', 'schema?q=branch']
      for (const path of [`deliveries/${failed?.id}`, 'history', 'history/audits', 'history/actions', ...schema]) {
        await page.goto(`${service.privateUrl}/${path}`)
        expect([path, ...(await violations(page))]).toEqual([path])
        const fits = await page.evaluate('document.documentElement.scrollWidth <= innerWidth')
        expect([path, fits]).toEqual([path, true])
      }
    },
  )

  it('keeps figures, errors and buttons in sight on a narrow phone', async () => {
    await insertFailed('long', `It could not be applied: ${'because of this and of that, '.repeat(40)}so it is.`)
    await insertFailing('builds created from 2026-05-01T00:00:00.000Z', 'The list fails, '.repeat(40))
    await sql`insert into sync.cycles (organization_id, kind, started_at, finished_at, error)
      select id, 'audit', now(), now(), ${'Buildkite could not be asked, '.repeat(30)} from buildkite.organizations limit 1`
    const page = await visit({ viewport: { width: 375, height: 800 } })
    await page.getByText('Live', { exact: true }).waitFor()
    const button = await page.getByRole('button', { name: /^Replay delivery/ }).boundingBox()
    expect((button?.x ?? 999) + (button?.width ?? 0)).toBeLessThan(375)
    const sideways = `[...document.querySelectorAll('.scroll')].filter((one) => one.scrollWidth > one.clientWidth).length`
    expect(await page.evaluate(sideways)).toBe(0)
    for (const text of ['It could not be applied', 'Buildkite could not be asked', 'The list fails']) {
      const error = page.getByText(text).first()
      expect((await error.boundingBox())?.height).toBeLessThan(80)
    }
    await sql`delete from sync.cycles where error is not null`
  })

  it('runs nothing that a name or an error text brings along', async () => {
    const nasty = `<img src=x onerror="window.hacked=1"></script><script>window.hacked=1</script>`
    await insertFailed('nasty', nasty)
    await sql`insert into sync.findings (name, subject, result, detail, remedy, checked_at, since)
      values (${nasty}, ${nasty}, 'failed', ${nasty}, ${nasty}, now(), now())`
    const page = await visit()
    await page.getByText('Live', { exact: true }).waitFor()
    await page.getByRole('cell', { name: nasty }).waitFor()
    expect(await page.evaluate('window.hacked')).toBeUndefined()
    expect(await page.locator('main img').count()).toBe(0)
  })

  it('asks for the token, begins a session, and ends it', async () => {
    const page = await visit({}, guarded.privateUrl)
    expect(await violations(page)).toEqual([])
    await page.getByLabel('Token').fill('a guess')
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByRole('alert').waitFor()
    await page.getByLabel('Token').fill(adminToken)
    await page.getByRole('button', { name: 'Sign in' }).click()
    await page.getByText('Live', { exact: true }).waitFor()
    const [cookie] = (await context?.cookies()) ?? []
    expect(cookie).toMatchObject({ httpOnly: true, sameSite: 'Strict', path: '/' })
    expect(`${cookie?.value} ${await page.content()} ${page.url()} ${guarded.output()}`).not.toContain(adminToken)
    await page.getByRole('button', { name: 'Sign out' }).click()
    await page.getByLabel('Token').waitFor()
    await page.goto(guarded.privateUrl)
    expect(await page.getByLabel('Token').isVisible()).toBe(true)
  })

  it('links the queue board, which reaches nothing but us', async () => {
    const page = await visit()
    const asked: string[] = []
    const complaints: string[] = []
    page.on('request', (request) => asked.push(request.url()))
    page.on('console', (message) => /Content Security Policy/.test(message.text()) && complaints.push(message.text()))
    await page.getByRole('link', { name: 'Queues' }).click()
    await page.getByText('reconcile').first().waitFor()
    expect(complaints).toEqual([])
    expect(asked.filter((url) => !url.startsWith(service.privateUrl) && !url.startsWith('data:'))).toEqual([])
  })

  it('lets the service end in order while somebody watches', async () => {
    const page = await visit({}, service.privateUrl)
    await page.getByText('Live', { exact: true }).waitFor()
    expect(await service.stop()).toBe(0)
    await page.getByText('Connecting again').waitFor()
  })
})

/** What axe finds wrong with the page as it stands, a line each. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const found = await page.evaluate('axe.run()')
  const shape = z.object({
    violations: z.array(z.object({ id: z.string(), nodes: z.array(z.object({ html: z.string() })) })),
  })
  return shape.parse(found).violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`)
}
