import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client'
import { type Metric, type MetricName, metrics, PREFIX } from './definitions.ts'

/** Labels of one event. Labels that its metric does not declare are ignored. */
export type MeterLabels = Readonly<Record<string, string | number>>

/** Collects metrics and shows them to Prometheus. */
export interface Meters {
  /**
   * Adds `n` to a counter, sets a gauge to it, or observes it in a histogram. Code that knows no HTTP gets it as a callback. It ignores
   * undeclared names and values that are not finite numbers, because metrics must not break the work that they measure.
   */
  record(what: string, n: number, labels?: MeterLabels): void
  /** The page for Prometheus. Asks every source for current values first, and leaves out those of a source that fails. */
  page(): Promise<{ type: string; body: string }>
  /** Adds a source, which sets gauges at every scrape. */
  onScrape(source: () => Promise<void>): void
  /** Removes a gauge's values, so that values that are gone or unknown are not shown. */
  forget(what: MetricName): void
}

/** Some label values come from outside. After this many different values of a label, the rest are counted as `other`. */
const VALUES_PER_LABEL = 100

/** Creates the registry with all metrics, including those of the Node process. */
export function createMeters(): Meters {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const instruments = new Map<string, Instrument>()
  for (const [name, metric] of Object.entries(metrics)) instruments.set(name, makeInstrument(registry, name, metric))
  const sources: (() => Promise<void>)[] = []
  return {
    record(what, n, labels = {}) {
      if (Number.isFinite(n)) instruments.get(what)?.count(n, labels)
    },
    async page() {
      await Promise.allSettled(sources.map((source) => source()))
      return { type: registry.contentType, body: await registry.metrics() }
    },
    onScrape: (source) => void sources.push(source),
    forget: (what) => instruments.get(what)?.forget(),
  }
}

interface Instrument {
  count(n: number, labels: MeterLabels): void
  forget(): void
}

function makeInstrument(registry: Registry, name: string, metric: Metric): Instrument {
  const names = Object.keys(metric.labels)
  const pick = labelPicker(names)
  const options = { name: PREFIX + name, help: metric.help, labelNames: names, registers: [registry] }
  if (metric.kind === 'counter') {
    const counter = new Counter(options)
    for (const labels of metric.begins ?? []) counter.inc(labels, 0)
    return { count: (n, labels) => n > 0 && counter.inc(pick(labels), n), forget: () => counter.reset() }
  }
  if (metric.kind === 'gauge') {
    const gauge = new Gauge(options)
    // A gauge without labels starts at 0 and resets to 0, which would look like a value where nothing is known.
    const forget = () => (names.length > 0 ? gauge.reset() : gauge.remove())
    forget()
    return { count: (n, labels) => gauge.set(pick(labels), n), forget }
  }
  const histogram = new Histogram({ ...options, buckets: [...(metric.buckets ?? [])] })
  return { count: (n, labels) => histogram.observe(pick(labels), n), forget: () => histogram.reset() }
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
