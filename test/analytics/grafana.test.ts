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
  links: z.array(z.object({ type: z.literal('dashboards'), tags: z.array(z.string()) })).length(1),
  templating: z.object({ list: z.array(z.object({ name: z.string(), query: z.string() })) }),
  panels: z.array(
    z.object({
      id: z.number(),
      title: z.string(),
      description: z.string().min(10),
      type: z.enum(['timeseries', 'table']),
      datasource: z.object({ uid: z.string() }),
      fieldConfig: z.object({
        defaults: z.object({ unit: z.string().optional(), thresholds: z.object({}).optional() }),
        overrides: z.array(
          z.object({
            matcher: z.object({ id: z.enum(['byName', 'byRegexp']), options: z.string() }),
            properties: z.array(z.object({ id: z.string() })),
          }),
        ),
      }),
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
    .replaceAll('$organization', `select slug from buildkite.organizations`)
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

  it.each(dashboards)(
    '$file leads to the others, asks for an organization, and marks what is too high',
    ({ templating, panels }) => {
      expect(templating.list.map(({ name }) => name)).toContain('organization')
      for (const { targets } of panels) for (const { rawSql } of targets) expect(rawSql).toContain('in ($organization)')
      const isMarked = panels.some(
        ({ fieldConfig: { defaults, overrides } }) =>
          defaults.thresholds !== undefined ||
          overrides.some(({ properties }) => properties.some(({ id }) => id === 'thresholds')),
      )
      expect(isMarked).toBe(true)
    },
  )

  it.each(panels)('$file: $title has rows for a reader, with units', async ({ type, targets, fieldConfig }) => {
    for (const { rawSql, format } of targets) {
      const rows = await sql.unsafe(expanded(rawSql))
      expect(rows.length).toBeGreaterThan(0)
      const columns = rows.columns.map(({ name }) => name)
      const matches = ({ matcher: { id, options } }: (typeof fieldConfig.overrides)[number], column: string) =>
        id === 'byName' ? column === options : new RegExp(options.slice(1, -1)).test(column)
      for (const one of fieldConfig.overrides) expect(columns.some((column) => matches(one, column))).toBe(true)
      if (type === 'timeseries') expect(fieldConfig.defaults.unit).toBeDefined()
      const measures = type === 'table' ? columns.filter((column) => /seconds|rate$|minutes|hours$/.test(column)) : []
      const unitOf = (column: string) =>
        fieldConfig.overrides.some((one) => matches(one, column) && one.properties.some(({ id }) => id === 'unit'))
      expect(measures.filter((column) => !unitOf(column))).toEqual([])
      const builds = columns.filter((column) => column.endsWith('build_number'))
      const isLinked = (column: string) =>
        fieldConfig.overrides.some((one) => matches(one, column) && one.properties.some(({ id }) => id === 'links'))
      expect(builds.filter((column) => !isLinked(column))).toEqual([])
      if (builds.length > 0) expect(columns).toEqual(expect.arrayContaining(['organization', 'pipeline']))
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
      for (const { query } of templating.list) expect((await sql.unsafe(expanded(query))).length).toBeGreaterThan(0)
    }
  })
})
