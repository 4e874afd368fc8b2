import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'

/** Labels of one event; those that its metric does not declare are left out. */
export type MeterLabels = Readonly<Record<string, string | number>>

interface Declared {
  kind: 'counter' | 'gauge' | 'histogram'
  name: string
  help: string
  labels: readonly string[]
  buckets?: number[]
}

const declare = <const T extends Record<string, Declared>>(all: T) => all

/**
 * Every metric of the service. The key is the occurrence by which the other rooms speak of it; `name` is what the page shows after
 * its prefix. Durations are in seconds, as Prometheus wants them.
 */
const declared = declare({
  answered: {
    kind: 'counter',
    name: 'webhook_requests_total',
    help: 'Webhook requests, by the HTTP status of the answer.',
    labels: ['status'],
  },
  answer_seconds: {
    kind: 'histogram',
    name: 'webhook_answer_seconds',
    help: 'From the arrival of a webhook request to its answer.',
    labels: [],
    buckets: [0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5],
  },
  kept: {
    kind: 'counter',
    name: 'deliveries_kept_total',
    help: 'Deliveries kept for the first time, by the store that took them (postgres, or queue while Postgres was down).',
    labels: ['via'],
  },
  duplicate: {
    kind: 'counter',
    name: 'deliveries_duplicate_total',
    help: 'Deliveries that had been kept before.',
    labels: [],
  },
  settled: {
    kind: 'counter',
    name: 'deliveries_settled_total',
    help: 'Deliveries that the worker is done with, by status (applied, ignored, failed).',
    labels: ['status'],
  },
  swept: {
    kind: 'counter',
    name: 'deliveries_swept_total',
    help: 'Deliveries enqueued again because their job was lost or never made.',
    labels: [],
  },
  cycles_total: {
    kind: 'counter',
    name: 'cycles_total',
    help: 'Reconcile cycles that ran to their end, by kind (hot, warm).',
    labels: ['kind'],
  },
  cycle_seconds: {
    kind: 'histogram',
    name: 'cycle_seconds',
    help: 'Duration of a reconcile cycle, by kind.',
    labels: ['kind'],
    buckets: [0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800],
  },
  queue_jobs: {
    kind: 'gauge',
    name: 'queue_jobs',
    help: 'Jobs in the queue, by queue and state (waiting, active, delayed, failed).',
    labels: ['queue', 'state'],
  },
  pending: { kind: 'gauge', name: 'deliveries_pending', help: 'Deliveries kept and not yet applied.', labels: [] },
  failed: { kind: 'gauge', name: 'deliveries_failed', help: 'Deliveries that could not be applied.', labels: [] },
  oldest_pending: {
    kind: 'gauge',
    name: 'deliveries_oldest_pending_seconds',
    help: 'Age of the oldest delivery not yet applied; 0 when there is none.',
    labels: [],
  },
  watermark_age: {
    kind: 'gauge',
    name: 'watermark_age_seconds',
    help: 'Age of the watermark: everything created or finished before it is verified.',
    labels: ['organization'],
  },
  store_up: {
    kind: 'gauge',
    name: 'store_up',
    help: '1 when the store answers, by store (database, queue).',
    labels: ['store'],
  },
})

/** The metrics that can be counted. */
export type MeterName = keyof typeof declared

/** Counts what happens, and shows it to Prometheus. */
export interface Meters {
  /**
   * Adds `n` to a counter, sets a gauge to it, or observes it in a histogram. Given to rooms that know no HTTP as a callback:
   * a name that is not declared is left uncounted, for measuring must not break the work that is measured.
   */
  on(what: string, n: number, labels?: MeterLabels): void
  /** The page for Prometheus, after asking every source for its present figures; one that fails or is late leaves them out. */
  page(): Promise<{ type: string; body: string }>
  /** Adds a source: called at every scrape, it sets gauges. */
  onScrape(source: () => Promise<void>): void
  /** Forgets a gauge's values, so that what no longer exists is no longer shown. */
  forget(what: MeterName): void
}

const PREFIX = 'buildkite_mirror_'
/** Some label values come from outside: beyond so many different ones of a label, the rest are counted as `other`. */
const VALUES_PER_LABEL = 100

/** Makes the registry with every metric in it, and those of the Node process. */
export function createMeters(): Meters {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const instruments = new Map<string, Instrument>()
  for (const [what, metric] of Object.entries<Declared>(declared)) {
    instruments.set(what, makeInstrument(registry, metric))
  }
  const sources: (() => Promise<void>)[] = []
  return {
    on: (what, n, labels = {}) => instruments.get(what)?.count(n, labels),
    async page() {
      await Promise.allSettled(sources.map((source) => source()))
      return { type: registry.contentType, body: await registry.metrics() }
    },
    onScrape: (source) => void sources.push(source),
    forget: (what) => instruments.get(what)?.reset(),
  }
}

interface Instrument {
  count(n: number, labels: MeterLabels): void
  reset(): void
}

function makeInstrument(registry: Registry, metric: Declared): Instrument {
  const pick = labelPicker(metric.labels)
  const options = {
    name: PREFIX + metric.name,
    help: metric.help,
    labelNames: [...metric.labels],
    registers: [registry],
  }
  if (metric.kind === 'counter') {
    const counter = new Counter(options)
    return { count: (n, labels) => n > 0 && counter.inc(pick(labels), n), reset: () => counter.reset() }
  }
  if (metric.kind === 'gauge') {
    const gauge = new Gauge(options)
    return { count: (n, labels) => gauge.set(pick(labels), n), reset: () => gauge.reset() }
  }
  const histogram = new Histogram({ ...options, buckets: metric.buckets ?? [] })
  return { count: (n, labels) => histogram.observe(pick(labels), n), reset: () => histogram.reset() }
}

function labelPicker(names: readonly string[]): (labels: MeterLabels) => Record<string, string> {
  const seen = new Map(names.map((name) => [name, new Set<string>()]))
  return (labels) => {
    const picked: Record<string, string> = {}
    for (const [name, values] of seen) {
      const value = String(labels[name] ?? 'unknown')
      if (values.size < VALUES_PER_LABEL) values.add(value)
      picked[name] = values.has(value) ? value : 'other'
    }
    return picked
  }
}
