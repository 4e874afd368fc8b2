import axe from 'axe-core'
import type { Browser, BrowserContext, Page } from 'playwright-core'
import postgres from 'postgres'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { openDemoHistory } from '../analytics/demo-history.ts'
import { type ExploreListener, openExplore } from '../http/explore-listener.ts'
import type { Scene } from '../reconcile/scene.ts'
import { findChromium, launchChromium } from '../support/chromium.ts'

const texts = z.array(z.string())

// Without one the run has said so, and with CI set it has failed.
describe.skipIf(!findChromium())('/explore in a browser', () => {
  let scene: Scene
  let sql: postgres.Sql
  let explore: ExploreListener
  let browser: Browser
  let context: BrowserContext | undefined
  let base = ''
  /** A page of each kind, with as much on it as the history has. */
  const pages: Record<string, string> = {}

  beforeAll(async () => {
    scene = await openDemoHistory()
    sql = postgres(scene.url, { max: 1, onnotice: () => {} })
    explore = await openExplore(scene.url, { clock: () => scene.simulation.clock.now() })
    base = await explore.app.listen({ host: '127.0.0.1', port: 0 })
    browser = await launchChromium()
    const [build] = await sql`
      select pipeline, build_number from analytics.builds as build order by attempts desc,
        (select count(*) from analytics.approvals as gate where gate.build_id = build.id and gate.unblocked_at is not null) desc limit 1`
    const pipeline = `/explore/acme/pipelines/${build?.pipeline}`
    Object.assign(pages, {
      overview: '/explore/acme',
      filtered: `/explore/acme?days=90&pipeline=${build?.pipeline}&branch=main`,
      pipeline,
      build: `${pipeline}/builds/${build?.build_number}`,
      search: '/explore/acme/search?q=main',
    })
  })
  afterEach(async () => {
    await context?.close()
    context = undefined
  })
  afterAll(async () => {
    await browser?.close()
    await explore?.close()
    await sql?.end({ timeout: 1 })
    await scene?.close()
  })

  /** Opens a page without JavaScript of its own. Axe and the checks run all the same. */
  async function visit(path: string, options: Parameters<Browser['newContext']>[0] = {}): Promise<Page> {
    await context?.close()
    context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...options })
    const page = await context.newPage()
    page.setDefaultTimeout(20_000)
    await page.goto(path.startsWith('/') ? `${base}${path}` : path)
    return page
  }
  const cells = async (page: Page, card: string, column: number) =>
    texts.parse(
      await page.evaluate(
        `[...[...document.querySelectorAll('.card')].find((one) => one.querySelector('h2')?.textContent === '${card}').querySelectorAll('tbody tr')].map((row) => row.cells[${column}].textContent)`,
      ),
    )

  it('is filtered, sorted and searched without JavaScript, and every state has its own address', async () => {
    const page = await visit('/explore', { javaScriptEnabled: false })
    await page.getByRole('heading', { level: 1, name: 'acme' }).waitFor()
    const figure = async (title: string) =>
      page.locator('.figure', { hasText: title }).locator('b').first().textContent()
    const all = await figure('Builds')
    await page.getByRole('link', { name: '7 days' }).click()
    expect(new URL(page.url()).search).toBe('?days=7')
    expect(await figure('Builds')).not.toBe(all)
    await page.getByLabel('Branch', { exact: true }).fill('main')
    await page.getByLabel('Pipeline', { exact: true }).selectOption({ index: 1 })
    await page.getByLabel('Team', { exact: true }).selectOption({ index: 1 })
    await page.getByRole('button', { name: 'Apply' }).click()
    const query = new URL(page.url()).searchParams
    expect([query.get('days'), query.get('branch')]).toEqual(['7', 'main'])
    expect(query.get('team')).toBeTruthy()
    expect(await page.getByLabel('Branch', { exact: true }).inputValue()).toBe('main')
    expect(await page.getByLabel('Pipeline', { exact: true }).inputValue()).toBe(query.get('pipeline'))
    await page.getByRole('link', { name: 'Clear' }).click()
    expect(new URL(page.url()).search).toBe('?days=7')
    await page.goto(`${base}/explore/acme?days=90`)
    await page.getByLabel('Tag', { exact: true }).selectOption({ index: 1 })
    await page.getByRole('button', { name: 'Apply' }).click()
    expect(new URL(page.url()).searchParams.get('tag')).toBeTruthy()
  })

  it('sorts its table by a column and back, and keeps that in the address', async () => {
    const page = await visit('/explore/acme?days=90')
    await page.getByRole('columnheader', { name: 'Pipeline' }).getByRole('link').click()
    expect(await page.getByRole('columnheader', { name: 'Pipeline' }).getAttribute('aria-sort')).toBe('ascending')
    const up = await cells(page, 'Pipelines', 0)
    await page.getByRole('columnheader', { name: 'Pipeline' }).getByRole('link').click()
    expect(await page.getByRole('columnheader', { name: 'Pipeline' }).getAttribute('aria-sort')).toBe('descending')
    expect(await cells(page, 'Pipelines', 0)).toEqual([...up].reverse())
    expect(new URL(page.url()).search).toBe('?days=90&sort=-name')
    await page.reload()
    expect(await cells(page, 'Pipelines', 0)).toEqual([...up].reverse())
  })

  it('leads from the status page to a build and its retries, and to Buildkite', async () => {
    const page = await visit('/')
    await page.getByRole('link', { name: 'Explore' }).click()
    await page.getByRole('region', { name: 'Pipelines' }).getByRole('link').nth(8).click()
    await page
      .getByRole('region', { name: 'Builds' })
      .or(page.getByRole('region', { name: 'Last builds' }))
      .getByRole('link')
      .first()
      .click()
    expect(new URL(page.url()).pathname).toMatch(/^\/explore\/acme\/pipelines\/[^/]+\/builds\/\d+$/)
    await page.goto(`${base}${pages.build}`)
    await page.getByRole('link', { name: 'retried' }).first().click()
    const target = new URL(page.url()).hash
    expect(await page.locator(`[id="${target.slice(1)}"]`).count()).toBe(1)
    expect(await page.getByRole('link', { name: 'Open in Buildkite' }).getAttribute('href')).toMatch(
      /^https:\/\/buildkite\.com\//,
    )
    await page.getByRole('link', { name: 'Status' }).click()
    await page.getByRole('link', { name: 'Explore' }).waitFor()
  })

  it('finds a build by its number, commit and author from every page', async () => {
    const [one] =
      await sql`select build_number, left(commit, 9) as commit, author_name from analytics.builds where author_name is not null order by created_at desc limit 1`
    for (const q of [`#${one?.build_number}`, String(one?.commit), String(one?.author_name)]) {
      const page = await visit(pages.overview ?? '', { javaScriptEnabled: false })
      await page.getByRole('searchbox').fill(q)
      await page.getByRole('button', { name: 'Search' }).click()
      expect(new URL(page.url()).searchParams.get('q')).toBe(q)
      await page
        .getByRole('link', { name: `#${one?.build_number}` })
        .first()
        .waitFor()
      await page.getByRole('link', { name: '7 days' }).click()
      expect(new URL(page.url()).searchParams.get('days')).toBe('7')
    }
  })

  it('shows the SQL and the numbers of a chart when asked', async () => {
    const page = await visit(pages.overview ?? '', { javaScriptEnabled: false })
    await page.getByText('SQL and numbers of Builds a day').click()
    await page.getByLabel('SQL of Builds a day', { exact: true }).waitFor()
    expect(await page.getByRole('region', { name: 'Numbers of Builds a day' }).getByRole('row').count()).toBe(31)
  })

  it.each([
    ['light', 1280],
    ['dark', 375],
  ] as const)('is accessible and legible in %s at %i px, and asks nobody else', async (colorScheme, width) => {
    for (const [name, path] of Object.entries(pages)) {
      const requests: string[] = []
      const complaints: string[] = []
      const page = await visit('about:blank', { colorScheme, viewport: { width, height: 900 } })
      page.on('request', (request) => requests.push(request.url()))
      page.on('console', (message) => complaints.push(message.text()))
      await page.goto(`${base}${path}`)
      expect([name, ...complaints]).toEqual([name])
      expect([name, ...requests.filter((url) => !url.startsWith(base) && !url.startsWith('data:'))]).toEqual([name])
      expect([name, ...texts.parse(await page.evaluate(illegible))]).toEqual([name])
      await page.evaluate('for (const one of [...document.querySelectorAll("details")].slice(0, 2)) one.open = true')
      expect([name, ...(await violations(page))]).toEqual([name])
      expect(await page.evaluate('document.documentElement.scrollWidth <= innerWidth')).toBe(true)
    }
  })
})

/** In the page: texts smaller than 12 px, cut or overlapping texts of charts, and what scrolls sideways. */
const illegible = `(() => {
  const found = []
  if (document.documentElement.scrollWidth > innerWidth) found.push('the page scrolls sideways')
  for (const one of document.querySelectorAll('.scroll, .spans')) if (one.scrollWidth > one.clientWidth) found.push((one.ariaLabel ?? one.className) + ' scrolls sideways')
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const parent = walker.currentNode.parentElement
    if (walker.currentNode.data.trim() && !parent.closest('title') && parseFloat(getComputedStyle(parent).fontSize) < 12) found.push('small: ' + walker.currentNode.data)
  }
  for (const chart of document.querySelectorAll('.chart, .fall')) {
    const card = chart.closest('.card').getBoundingClientRect()
    const labels = [...chart.querySelectorAll('text')].map((text) => ({ text: text.textContent, box: text.getBoundingClientRect() }))
    for (const [index, { text, box }] of labels.entries()) {
      if (box.left < card.left || box.right > card.right || box.top < card.top || box.bottom > card.bottom) found.push('cut: ' + text)
      for (const other of labels.slice(index + 1)) {
        const apart = box.right <= other.box.left || other.box.right <= box.left || box.bottom <= other.box.top || other.box.bottom <= box.top
        if (!apart) found.push(text + ' overlaps ' + other.text)
      }
    }
  }
  for (const one of document.querySelectorAll('.figure b, .figure h2, .state, button, th')) if (one.scrollWidth > one.clientWidth + 1 && !one.closest('.unseen') && getComputedStyle(one).display !== 'inline') found.push('cut: ' + one.textContent)
  return found
})()`

/** What axe finds wrong with the page, a line each. */
async function violations(page: Page): Promise<string[]> {
  await page.evaluate(axe.source)
  const found = await page.evaluate('axe.run()')
  const shape = z.object({
    violations: z.array(z.object({ id: z.string(), nodes: z.array(z.object({ html: z.string() })) })),
  })
  return shape.parse(found).violations.map(({ id, nodes }) => `${id}: ${nodes.map((node) => node.html).join(' | ')}`)
}
