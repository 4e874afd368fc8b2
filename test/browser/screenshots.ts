/**
 * Makes docs/screenshots: the built service beside a simulated Buildkite with a believable history, looked at by Chromium. With the
 * argument `explore` only those of /explore.
 */
import { execFile } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import type { Browser } from 'playwright-core'
import postgres from 'postgres'
import { demoToken } from '../../src/simulator/api/api.ts'
import { realClock } from '../../src/simulator/random.ts'
import { createSimulation } from '../../src/simulator/simulation.ts'
import { launchChromium } from '../support/chromium.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { findPostgres } from '../support/services.ts'
import { until } from '../support/until.ts'
import { exploreShots } from './explore-shots.ts'

const folder = fileURLToPath(new URL('../../docs/screenshots/', import.meta.url))
const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))
const secret = 'the-secret-of-the-screenshots'
const fast = 'acme'
const slow = 'globex'
let slowness = 1_200
const onlyExplore = process.argv[2] === 'explore'

const server = await findPostgres()
const name = `screenshots_${process.pid}`
const admin = postgres(server.url, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
const url = new URL(server.url)
url.pathname = `/${name}`
const sql = postgres(url.href, { max: 2, onnotice: () => {} })
const simulation = createSimulation({
  seed: 'screenshots',
  clock: realClock,
  organizations: [fast, slow],
  pipelines: 6,
})
// Builds that others trigger count, so a history ends some time before its end. The shorter ones fill that.
for (const days of [90, 8, 0.7]) simulation.writeHistory({ builds: Math.round(100 * days), days })
const api = await simulation.startApi({ limits: { organization: 600, user: 600 } })
// One organization is still being read while we look.
api.beforeAnswer = ({ path, kind, query }) =>
  kind === 'builds' && path.includes(slow) && query.has('created_from') && query.has('created_to')
    ? { kind: 'delay', ms: slowness }
    : undefined
// So that the hourly check finds a webhook in each organization.
const registering = { BUILDKITE_API_URL: api.url, BUILDKITE_API_TOKEN: demoToken.token, WEBHOOK_SECRET: secret }
for (const organization of [fast, slow]) {
  const asked = ['register', '--url', 'https://mirror.example.com', '--organization', organization]
  await promisify(execFile)(process.execPath, [cli, ...asked], { env: { ...process.env, ...registering } })
}
let service: ServiceProcess | undefined
let browser: Browser | undefined
try {
  service = await start()
  const webhooks = simulation.startWebhooks({ url: `${service.publicUrl}/webhooks/buildkite`, secret, drop: 0.06 })
  simulation.live({ everyMs: onlyExplore ? 2_000 : 400, atOnce: 6 })
  await until(backfilled, 'the history of one organization is read, and half of the other', 240_000)
  browser = await launchChromium()
  // What is read of it would mark days again.
  slowness = 20_000
  await exploreShots(browser, service.privateUrl, sql, fast, folder)
  slowness = 1_200
  if (!onlyExplore) {
    await age()
    // It has read the past of the inbox already, and would not read it again.
    await service.stop()
    service = await start()
    webhooks.url = `${service.publicUrl}/webhooks/buildkite`
    await statusShots(browser, service)
  }
  await webhooks.stop()
} finally {
  await browser?.close()
  await service?.stop()
  await simulation.stop()
  await sql.end({ timeout: 1 })
  await admin.unsafe(`drop database if exists ${name} with (force)`)
  await admin.end({ timeout: 1 })
  await server.stop()
}

function start(): Promise<ServiceProcess> {
  return startService({
    DATABASE_URL: url.href,
    BUILDKITE_API_URL: api.url,
    BUILDKITE_API_TOKEN: demoToken.token,
    WEBHOOK_SECRET: secret,
    RECONCILE_INTERVAL: '5s',
  })
}

async function statusShots(chromium: Browser, running: ServiceProcess): Promise<void> {
  await driftAndMend(running)
  for (const shot of [
    { file: 'status-desktop', width: 1180, height: 1320, dark: false },
    { file: 'status-phone', width: 390, height: 1240, dark: false },
    { file: 'status-dark', width: 1180, height: 1320, dark: true },
  ]) {
    const context = await chromium.newContext({
      viewport: { width: shot.width, height: shot.height },
      colorScheme: shot.dark ? 'dark' : 'light',
      deviceScaleFactor: shot.width < 500 ? 1.5 : 1,
    })
    const page = await context.newPage()
    await page.goto(running.privateUrl)
    await page.getByText('Live', { exact: true }).waitFor()
    await page.screenshot({ path: `${folder}${shot.file}.png` })
    await context.close()
  }
}

async function backfilled(): Promise<boolean> {
  const rows = await sql<{ slug: string; read: number; owed: number }[]>`
    select o.slug, extract(epoch from w.backfill_to - w.backfill_from)::float8 as owed,
      (select coalesce(sum(extract(epoch from created_to - coalesce(case when status = 'done' then created_from end, scanned_to))), 0)::float8
       from sync.windows where organization_id = o.id) as read
    from buildkite.organizations o join sync.watermarks w on w.organization_id = o.id`
  const share = (slug: string) => {
    const row = rows.find((one) => one.slug === slug)
    return row ? row.read / row.owed : 0
  }
  return share(fast) >= 1 && share(slow) > 0.5
}

/** What months of running would have left: verifications of different ages, the hourly check's rows, two deliveries that failed. */
async function age(): Promise<void> {
  await sql`
    with gone as (
      delete from sync.windows w using buildkite.organizations o
      where o.id = w.organization_id and o.slug = ${fast} returning w.organization_id, w.created_from, w.created_to, w.builds),
    whole as (select organization_id, min(created_from) as low, max(created_to) as high, sum(builds) as builds from gone group by 1)
    insert into sync.windows (organization_id, created_from, created_to, status, builds, requests, started_at, finished_at, first_verified_at, first_verified_until, verified_at)
    select organization_id, low + (high - low) * n / 26, low + (high - low) * (n + 1) / 26, 'done', builds / 26, 4, now() - interval '20 days',
      now() - interval '20 days', now() - interval '20 days', now() - interval '20 days', now() - case when n > 23 then interval '9 hours' when n > 14 then interval '2 days' when n > 8 then interval '5 days' else interval '9 days' end
    from whole, generate_series(0, 25) as n`
  await sql`update sync.pipeline_coverage set listed_since = now() - interval '30 days'`
  await sql`update sync.watermarks set confirmed_to = greatest(backfill_to, pipelines_read_at - interval '2 minutes')`
  await sql`insert into sync.failures (kind, organization_id, subject, pipeline_slug, build_number, code, error, tries, first_failed_at, last_failed_at, next_try_at)
    select 'build', id, 'web-app #98', 'web-app', 98, 'http_504', 'Buildkite answered 504 for the build.', 2, now() - interval '4 minutes',
      now() - interval '3 minutes', now() + interval '2 minutes' from buildkite.organizations where slug = ${fast}`
  await sql`insert into sync.deliveries (key, event, received_at, observed_at, status, attempts, applied_at)
    select 'past ' || m || ' ' || n, 'job.finished', at, at, 'applied', 1, at + interval '80 milliseconds' * (1 + n % 4)
    from generate_series(2, 1430, 4) as m, lateral generate_series(1, (500 + 360 * sin(m / 230.0) + (m * 7919) % 121)::int) as n,
      lateral (select now() - m * interval '1 minute' - n * interval '0.25 seconds' as at) as moment`
  await sql`insert into sync.deliveries (key, event, received_at, observed_at, status, attempts, error, failed_at, payload) values
    ('s1', 'build.finished', now() - interval '41 minutes', now() - interval '41 minutes', 'failed', 1,
     'The build has no id.', now() - interval '41 minutes', '{}'),
    ('s2', 'job.finished', now() - interval '26 hours', now() - interval '26 hours', 'failed', 1,
     'finished_at: "soon" is not a time.', now() - interval '26 hours', '{}')`
  const findings = [
    'scopes',
    'webhook_enabled',
    'webhook_events',
    'clock',
    'postgres_version',
    'queue_persistence',
    'lag',
  ]
  for (const one of findings) {
    await sql`insert into sync.findings (name, subject, result, detail, checked_at, since)
      values (${one}, '', 'ok', 'As it should be.', now() - interval '12 minutes', now() - interval '9 days') on conflict do nothing`
  }
  await sql`insert into sync.findings (name, subject, result, detail, remedy, checked_at, since) values
    ('token_expiry', 'token 1', 'warning', 'The API token expires in 6 days, on 1 December.',
     'Create a new token in time, add it to BUILDKITE_API_TOKEN, and remove the old one afterwards.', now() - interval '12 minutes', now() - interval '1 day')
    on conflict do nothing`
}

/** Spoils three builds of the mirror behind its back, and has the audit find them. */
async function driftAndMend(running: ServiceProcess): Promise<void> {
  const [organization] = await sql<{ id: string }[]>`select id from buildkite.organizations where slug = ${fast}`
  const spoilt = await sql<{ created_at: Date }[]>`
    update buildkite.builds set message = 'Spoilt', branch = 'elsewhere' where id in (
      select id from buildkite.builds where organization_id = ${organization?.id ?? ''} and finished_at < now() - interval '2 days'
      order by created_at desc limit 3)
    returning created_at`
  const days = spoilt.map(({ created_at }) => created_at.toISOString().slice(0, 10)).sort()
  await fetch(`${running.privateUrl}/actions/audit`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', accept: 'application/json' },
    body: JSON.stringify({ organization: organization?.id, from: days[0], to: days.at(-1) }),
  })
  const healed = async () =>
    ((await sql<{ n: number }[]>`select count(*)::int as n from sync.drift where healed_at is not null`)[0]?.n ?? 0) > 0
  await until(healed, 'the audit finds what was spoilt', 120_000)
}
