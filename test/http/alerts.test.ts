import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { metrics, PREFIX } from '../../src/http/metrics/definitions.ts'
import { createMeters } from '../../src/http/metrics/registry.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

const rules = z
  .object({
    groups: z.array(
      z.object({
        name: z.string(),
        rules: z.array(
          z.strictObject({
            alert: z.string().regex(/^[A-Z][A-Za-z]+$/),
            expr: z.string(),
            for: z
              .string()
              .regex(/^\d+[smh]$/)
              .optional(),
            labels: z.strictObject({ severity: z.enum(['critical', 'warning']) }),
            annotations: z.strictObject({ summary: z.string().min(10), runbook_url: z.string() }),
          }),
        ),
      }),
    ),
  })
  .parse(parse(read('docs/deploy/prometheus/alerts.yml')))
const alerts = rules.groups.flatMap((group) => group.rules)

const dashboard = z
  .object({
    uid: z.string(),
    panels: z.array(
      z.object({
        id: z.number(),
        title: z.string(),
        description: z.string().min(10),
        type: z.enum(['timeseries', 'stat']),
        datasource: z.object({ type: z.literal('prometheus'), uid: z.string() }),
        gridPos: z.object({ x: z.number(), y: z.number(), w: z.number(), h: z.number() }),
        targets: z.array(z.object({ refId: z.string(), expr: z.string(), legendFormat: z.string() })).min(1),
      }),
    ),
  })
  .parse(JSON.parse(read('docs/deploy/grafana/dashboards/operations.json')))
const panelExprs = dashboard.panels.flatMap(({ title, targets }) =>
  targets.map(({ expr, legendFormat }) => ({ title, expr, legendFormat })),
)

/** What Prometheus itself adds to every series. */
const targetLabels = ['job', 'instance']
/** The words of PromQL that our expressions use; whatever else stands there as a name is taken for a metric. */
const words = new Set(
  'sum min max rate increase delta changes histogram_quantile min_over_time vector scalar clamp_min by and or unless'.split(
    ' ',
  ),
)

/** Every series that can be asked for, with its labels: ours, and those of the Node process. */
const series = new Map<string, readonly string[]>([['up', targetLabels]])
for (const [name, { kind, labels }] of Object.entries(metrics)) {
  const own = [...Object.keys(labels), ...targetLabels]
  if (kind !== 'histogram') series.set(PREFIX + name, own)
  else {
    series.set(`${PREFIX}${name}_bucket`, [...own, 'le'])
    for (const part of ['sum', 'count']) series.set(`${PREFIX}${name}_${part}`, own)
  }
}
const page = (await createMeters().page()).body
for (const [, name = ''] of page.matchAll(/^# TYPE ((?:process|nodejs)_\w+) /gm)) series.set(name, targetLabels)

/** The faults of an expression, as far as names and labels go: pure, and strict enough to notice a renamed metric. */
function faultsOf(expr: string): string[] {
  const faults: string[] = []
  const used = new Set<string>()
  const bare = expr
    .replaceAll('$__rate_interval', '5m')
    .replaceAll(/\[[\dsmhd:]+\]/g, '')
    .replaceAll(/([a-z_]\w*)\s*\{([^}]*)\}/g, (_, name: string, matchers: string) => {
      const text = matchers.replaceAll(/"[^"]*"/g, '""')
      for (const [, label = ''] of text.matchAll(/(\w+)\s*(?:=~|!~|!=|=)/g)) {
        if (!series.get(name)?.includes(label)) faults.push(`${name} has no label ${label}`)
      }
      return name
    })
  const grouped: string[] = []
  const flat = bare.replaceAll(/\b(?:by|on|without|ignoring)\s*\(([^)]*)\)/g, (_, labels: string) => {
    grouped.push(...labels.split(',').map((label) => label.trim()))
    return ' '
  })
  for (const [name] of flat.matchAll(/[a-zA-Z_]\w*/g)) {
    if (series.has(name)) used.add(name)
    else if (!words.has(name)) faults.push(`${name} is no metric of ours`)
  }
  if (used.size + faults.length === 0) faults.push('it asks for no metric')
  for (const label of grouped) {
    if (![...used].some((name) => series.get(name)?.includes(label)))
      faults.push(`no metric here has the label ${label}`)
  }
  return faults
}

/** The anchors that a page's headings get. */
const anchors = (markdown: string) =>
  [...markdown.matchAll(/^#+ (.+)$/gm)].map(([, title = '']) => title.toLowerCase().replaceAll(' ', '-'))

describe('the check of expressions', () => {
  it.each([
    ['sum(buildkite_mirror_no_such_thing)', 'buildkite_mirror_no_such_thing is no metric of ours'],
    [
      'max(buildkite_mirror_deliveries_failed{status="x"}) > 0',
      'buildkite_mirror_deliveries_failed has no label status',
    ],
    ['sum by (shape) (buildkite_mirror_store_up)', 'no metric here has the label shape'],
    [
      'rate(buildkite_mirror_cycle_duration_seconds[5m])',
      'buildkite_mirror_cycle_duration_seconds is no metric of ours',
    ],
    ['vector(1)', 'it asks for no metric'],
  ])('finds what is wrong with %s', (expr, fault) => expect(faultsOf(expr)).toEqual([fault]))
})

describe('docs/deploy/prometheus/alerts.yml', () => {
  const sections = anchors(read('docs/operations/runbook.md'))

  it.each(alerts)(
    '$alert asks for metrics and labels that there are, and leads to its section of the runbook',
    ({ expr, annotations }) => {
      expect(faultsOf(expr)).toEqual([])
      const [file, anchor] = annotations.runbook_url.split('#')
      expect(file).toBe('docs/operations/runbook.md')
      expect(sections).toContain(anchor)
    },
  )

  it('has each alert once, and the runbook a section for each and no other', () => {
    expect(new Set(alerts.map(({ alert }) => alert)).size).toBe(alerts.length)
    const led = alerts.map(({ annotations }) => annotations.runbook_url.split('#')[1])
    expect(sections.filter((section) => section !== 'runbook').toSorted()).toEqual(led.toSorted())
  })

  it('says in each summary only what its labels and its value tell', () => {
    for (const { annotations } of alerts) {
      for (const [, used = ''] of annotations.summary.matchAll(/\{\{ ([^}]*) \}\}/g)) {
        expect(used).toMatch(/^(\$value|\$labels\.\w+)( \| humanize\w+)?$/)
      }
    }
  })
})

describe('docs/deploy/grafana/dashboards/operations.json', () => {
  it.each(panelExprs)('$title: $expr', ({ expr, legendFormat }) => {
    expect(faultsOf(expr)).toEqual([])
    for (const [, label = ''] of legendFormat.matchAll(/\{\{(\w+)\}\}/g)) expect(expr + targetLabels).toContain(label)
  })

  it('shows every metric of ours', () => {
    const shown = panelExprs.map(({ expr }) => expr).join('\n')
    const missing = Object.keys(metrics).filter((name) => !new RegExp(`${PREFIX}${name}(_bucket)?\\b`).test(shown))
    expect(missing).toEqual([])
  })

  it('has panels with ids of their own that do not overlap, of the data source that is provisioned', () => {
    const { panels } = dashboard
    expect(new Set(panels.map(({ id }) => id)).size).toBe(panels.length)
    const source = z
      .object({ datasources: z.array(z.object({ uid: z.string(), type: z.string() })).length(1) })
      .parse(parse(read('docs/deploy/grafana/provisioning/datasources/prometheus.yml'))).datasources[0]
    for (const { datasource } of panels) expect(datasource).toEqual({ type: source?.type, uid: source?.uid })
    const cells = panels.flatMap(({ gridPos: { x, y, w, h } }) =>
      Array.from({ length: w * h }, (_, index) => `${x + (index % w)} ${y + Math.floor(index / w)}`),
    )
    expect(new Set(cells).size).toBe(cells.length)
  })
})

describe('docker-compose.yml', () => {
  const service = z.looseObject({
    image: z.string().optional(),
    profiles: z.array(z.string()).optional(),
    entrypoint: z.array(z.string()).optional(),
    volumes: z.array(z.string()).default([]),
    ports: z.array(z.string()).default([]),
  })
  const compose = z
    .object({ services: z.record(z.string(), service) })
    .parse(parse(read('docker-compose.yml'), { merge: true }))
  const { prometheus } = compose.services

  it('runs a pinned Prometheus behind the profile of Grafana, on this machine only', () => {
    expect(prometheus?.image).toMatch(/^prom\/prometheus:v\d+\.\d+\.\d+$/)
    expect(prometheus?.profiles).toEqual(['grafana'])
    expect(prometheus?.ports.every((port) => port.startsWith('127.0.0.1:'))).toBe(true)
  })

  it('gives it ADMIN_TOKEN as a file, which its configuration names and does not hold', () => {
    expect(prometheus?.entrypoint?.[2]).toContain('umask 077 && printf %s "$$ADMIN_TOKEN" > /run/admin_token')
    const config = z
      .object({
        rule_files: z.array(z.string()),
        scrape_configs: z.array(
          z.object({
            job_name: z.literal('buildkite-mirror'),
            authorization: z.strictObject({ type: z.literal('Bearer'), credentials_file: z.string() }),
            static_configs: z.array(z.object({ targets: z.array(z.string()) })),
          }),
        ),
      })
      .parse(parse(read('docs/deploy/prometheus/prometheus.yml')))
    expect(config.scrape_configs[0]?.authorization.credentials_file).toBe('/run/admin_token')
    expect(config.scrape_configs[0]?.static_configs[0]?.targets).toEqual(['mirror:8081'])
    const mounted = prometheus?.volumes.map((volume) => volume.split(':')[1])
    for (const file of [...config.rule_files, '/etc/prometheus/prometheus.yml']) expect(mounted).toContain(file)
  })
})
