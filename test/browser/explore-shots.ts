import type { Browser } from 'playwright-core'
import type postgres from 'postgres'
import { until } from '../support/until.ts'

/** Prices of the queues, so that the pages show costs. */
const rates = [
  { queue: 'default', per_minute: 0.02 },
  { queue: 'deploy', per_minute: 0.04 },
]

const shapes = [
  { name: 'desktop', width: 1280, height: 1130, dark: false, scale: 1 },
  { name: 'phone', width: 375, height: 900, dark: false, scale: 1.5 },
  { name: 'dark', width: 1280, height: 1130, dark: true, scale: 1 },
] as const

/** Makes the pictures of the pages under /explore of one organization, once its totals are computed. */
export async function exploreShots(
  browser: Browser,
  base: string,
  sql: postgres.Sql,
  organization: string,
  folder: string,
): Promise<void> {
  await sql`insert into settings.queue_rates ${sql(rates)} on conflict do nothing`
  // As if the list of pipelines that confirms all this had come already.
  const age = sql`interval '15 minutes'`
  await sql`update sync.pipeline_coverage set listed_since = now() - interval '30 days'`
  await sql`
    update sync.windows set verified_at = verified_at - ${age}, verified_until = verified_until - ${age},
      first_verified_at = first_verified_at - ${age}, first_verified_until = first_verified_until - ${age}`
  await sql`update sync.watermarks set confirmed_to = greatest(backfill_to, pipelines_read_at - interval '2 minutes')`
  const isComputed = async () => {
    // The service takes a twentieth of the time for this.
    await sql`select sync.refresh_rollups()`
    return (await sql`select from sync.stale_days where day < (now() at time zone 'UTC')::date limit 1`).length === 0
  }
  await until(isComputed, 'the totals of all days are computed', 240_000, 500)
  const [build] = await sql<{ pipeline: string; build_number: string }[]>`
    select build.pipeline, build.build_number from analytics.builds as build
    cross join lateral (
      select count(*) as jobs, count(*) filter (where retried) as retried, count(*) filter (where type = 'manual' and unblocked.at is not null) as gates
      from analytics.jobs as job
      left join lateral (select gate.unblocked_at as at from analytics.approvals as gate where gate.job_id = job.id) as unblocked on true
      where job.build_id = build.id
    ) as its
    where build.organization = ${organization} and build.pipeline in ('web-app', 'data-jobs') and build.result = 'passed' and build.created_at between now() - interval '9 days' and now() - interval '1 day'
      and build.run_seconds > 240
    order by least(its.retried, 1) + least(its.gates, 1) desc, its.jobs desc, build.run_seconds limit 1`
  if (!build) throw new Error('No build of the last days passed.')
  const pipeline = `/explore/${organization}/pipelines/${build.pipeline}`
  const pages = {
    overview: `/explore/${organization}`,
    pipeline,
    build: `${pipeline}/builds/${build.build_number}`,
    search: `/explore/${organization}/search?q=Grace`,
  }
  for (const { name, width, height, dark, scale } of shapes) {
    const context = await browser.newContext({
      viewport: { width, height },
      colorScheme: dark ? 'dark' : 'light',
      deviceScaleFactor: scale,
    })
    const page = await context.newPage()
    for (const [file, path] of Object.entries(pages)) {
      await page.goto(`${base}${path}`)
      const whole = Number(await page.evaluate('document.documentElement.scrollHeight'))
      // A short page would end in a blank half.
      await page.setViewportSize({ width, height: Math.min(height, whole) })
      await page.screenshot({ path: `${folder}explore-${file}-${name}.png` })
      await page.setViewportSize({ width, height })
    }
    await context.close()
  }
}
