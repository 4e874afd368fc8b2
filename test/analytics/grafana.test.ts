import { readdirSync, readFileSync } from 'node:fs'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { HOUR, MINUTE } from '../../src/runtime/time.ts'
import type { Scene } from '../reconcile/scene.ts'
import { openDemoHistory } from './demo-history.ts'

const folder = new URL('../../docs/deploy/grafana/', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, folder), 'utf8')
const dashboard = z.object({
  uid: z.string(),
  templating: z.object({ list: z.array(z.object({ name: z.string(), query: z.string() })) }),
  panels: z.array(
    z.object({
      id: z.number(),
      title: z.string(),
      description: z.string().min(10),
      type: z.enum(['timeseries', 'table']),
      datasource: z.object({ uid: z.string() }),
      targets: z.array(z.object({ rawSql: z.string(), format: z.string() })).length(1),
    }),
  ),
})
/** Of Prometheus, not of Postgres: test/http/alerts.test.ts looks at it. */
const operations = 'operations.json'
const dashboards = readdirSync(new URL('dashboards/', folder))
  .filter((file) => file !== operations)
  .map((file) => ({ file, ...dashboard.parse(JSON.parse(read(`dashboards/${file}`))) }))
const panels = dashboards.flatMap(({ file, panels }) => panels.map((panel) => ({ file, ...panel })))

/** Grafana's macros, as its Postgres data source writes them out, over all of the demo's history. */
function expanded(query: string): string {
  const [from, to] = [`'2026-03-01T00:00:00Z'`, `'2026-04-05T00:00:00Z'`]
  return query
    .replaceAll(/\$__timeGroupAlias\((\w+), \$__interval\)/g, `date_bin('5 minutes', $1, 'epoch') as "time"`)
    .replaceAll(/\$__timeFilter\(((?:[^()]|\([^()]*\))*)\)/g, `$1 between ${from} and ${to}`)
    .replaceAll('$__timeFrom()', from)
    .replaceAll('$__timeTo()', to)
    .replaceAll('$pipeline', `select pipeline from analytics.pipelines`)
}

let scene: Scene
let sql: postgres.Sql
beforeAll(async () => {
  scene = await openDemoHistory()
  // A time zone that no panel may go by.
  sql = postgres(scene.url, { max: 1, onnotice: () => {}, connection: { TimeZone: 'Asia/Kathmandu' } })
  await sql`set role buildkite_reader`
})
afterAll(async () => {
  await sql.end({ timeout: 1 })
  await scene.close()
})

describe('the dashboards', () => {
  it('are seven, each panel with an id of its own and the data source that is provisioned', () => {
    expect(dashboards.map(({ file }) => file)).toEqual([
      'costs.json',
      'data-quality.json',
      'delivery.json',
      'flaky-jobs.json',
      'overview.json',
      'pipelines.json',
      'queues.json',
    ])
    for (const { panels } of dashboards) expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const provisioned = /uid: (\S+)/.exec(read('provisioning/datasources/mirror.yml'))?.[1]
    expect(new Set(panels.map(({ datasource }) => datasource.uid))).toEqual(new Set([provisioned]))
  })

  it.each(panels)('$file: $title has rows for a reader', async ({ type, targets }) => {
    for (const { rawSql, format } of targets) {
      const rows = await sql.unsafe(expanded(rawSql))
      expect(rows.length).toBeGreaterThan(0)
      expect(format).toBe(type === 'timeseries' ? 'time_series' : 'table')
      if (type !== 'timeseries') continue
      // Days and hours are those of UTC, and a metric has one value at each of them.
      const step = rawSql.includes('queue_depths') ? 5 * MINUTE : HOUR
      for (const { time } of rows) expect(time).toEqual(new Date(Math.floor(Number(time) / step) * step))
      expect(new Set(rows.map(({ time, metric }) => `${Number(time)} ${metric}`)).size).toBe(rows.length)
    }
  })

  it('fill their variables', async () => {
    for (const { templating } of dashboards) {
      for (const { query } of templating.list) expect((await sql.unsafe(query)).length).toBeGreaterThan(0)
    }
  })
})
