import { expect, test } from 'vitest'
import { type Metric, metrics, PREFIX } from '../../src/http/metrics/definitions.ts'
import { createMeters } from '../../src/http/metrics/registry.ts'

// When it fails after a change of src/http/metrics/definitions.ts: npm run docs:metrics regenerates the page.
test('docs/reference/metrics.md is what the declarations say', async () => {
  await expect(asMarkdown(Object.entries(metrics))).toMatchFileSnapshot('../../docs/reference/metrics.md')
})

test('the page shows every declared metric, under its name, kind and help', async () => {
  const meters = createMeters()
  const { body } = await meters.page()
  for (const [name, { kind, help }] of Object.entries(metrics)) {
    expect(body).toContain(`# TYPE ${PREFIX}${name} ${kind}\n`)
    expect(body).toContain(`# HELP ${PREFIX}${name} ${help}\n`)
  }
})

test('names end as Prometheus wants them: counters in _total, times in their unit', () => {
  for (const [name, { kind, unit }] of Object.entries(metrics)) {
    expect(name).toMatch(/^[a-z][a-z_]*$/)
    expect([name, name.endsWith('_total')]).toEqual([name, kind === 'counter'])
    expect([name, /_seconds(_total)?$/.test(name)]).toEqual([name, unit === 'seconds'])
  }
})

test('a value that was never reported is not shown as 0, and a value that is no number is not counted', async () => {
  const meters = createMeters()
  for (const n of [Number.NaN, Number.POSITIVE_INFINITY, -1]) {
    for (const what of [
      'deliveries_processed_total',
      'deliveries_requeued_total',
      'deliveries_pending',
      'webhook_request_duration_seconds',
    ])
      expect(() => meters.record(what, n)).not.toThrow()
  }
  expect(value(await meters.page(), 'deliveries_requeued_total')).toBe(0)
  expect(value(await meters.page(), 'deliveries_oldest_pending_seconds')).toBeUndefined()
  meters.record('deliveries_oldest_pending_seconds', 7)
  expect(value(await meters.page(), 'deliveries_oldest_pending_seconds')).toBe(7)
  meters.forget('deliveries_oldest_pending_seconds')
  expect(value(await meters.page(), 'deliveries_oldest_pending_seconds')).toBeUndefined()
})

test('a histogram that the database counted is shown as Prometheus wants it', async () => {
  const meters = createMeters()
  const labels = { organization: 'acme', cluster: '', queue: 'a "quoted"\\ one\n' }
  meters.show('job_wait_seconds', [
    {
      labels,
      buckets: new Map([
        [5, 2],
        [60, 1],
        [Number.POSITIVE_INFINITY, 1],
      ]),
      sum: 20_050.5,
    },
  ])
  const lines = (await meters.page()).body.split('\n').filter((line) => line.startsWith(`${PREFIX}job_wait_seconds`))
  const of = 'organization="acme",cluster="",queue="a \\"quoted\\"\\\\ one\\n"'
  const bucket = (le: string, n: number) => `${PREFIX}job_wait_seconds_bucket{${of},le="${le}"} ${n}`
  expect(lines).toEqual([
    ...['1', '5', '15', '30'].map((le) => bucket(le, le === '1' ? 0 : 2)),
    ...['60', '120', '300', '600', '1800', '3600', '14400'].map((le) => bucket(le, 3)),
    bucket('+Inf', 4),
    `${PREFIX}job_wait_seconds_sum{${of}} 20050.5`,
    `${PREFIX}job_wait_seconds_count{${of}} 4`,
  ])
  meters.forget('job_wait_seconds')
  expect((await meters.page()).body).not.toContain('job_wait_seconds_bucket')
})

function value({ body }: { body: string }, name: string): number | undefined {
  const line = body.split('\n').find((one) => one.startsWith(`${PREFIX}${name} `))
  return line === undefined ? undefined : Number(line.split(' ').at(-1))
}

function asMarkdown(all: readonly [string, Metric][]): string {
  const labels = ({ labels: given }: Metric) =>
    Object.entries(given)
      .map(([name, values]) => `\`${name}\`: ${values}`)
      .join('<br>')
  const line = ([name, one]: [string, Metric]) =>
    `| \`${PREFIX}${name}\` | ${one.kind} | ${one.unit} | ${labels(one)} | ${one.help} |`
  return `# Metrics

\`/metrics\` of the private listener shows these metrics to Prometheus. \`npm run docs:metrics\` regenerates this page from
\`src/http/metrics/definitions.ts\`. Released names do not change.

- **Counters and histograms** count what one process did. Add them up over replicas. A histogram has \`_bucket\`, \`_sum\`
  and \`_count\`.
- **Gauges** of inbox, queues, watermarks, backfill, drift and budget are read from the stores. They are the same in every
  replica, so take the \`max\`. If the store does not answer within a second, the gauge is missing, not 0.
- **Labels** have at most 100 values. Further values count as \`other\`. Most series of a counter with labels begin when
  they are first counted.

Node's own metrics have their usual names, such as \`process_resident_memory_bytes\`, \`process_cpu_seconds_total\`,
\`nodejs_eventloop_lag_p99_seconds\` and \`nodejs_heap_size_used_bytes\`.

| Metric | Type | Unit | Labels | Meaning |
|---|---|---|---|---|
${all.map(line).join('\n')}
`
}
