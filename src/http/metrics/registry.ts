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
  /** Sets the series of a histogram that is counted elsewhere. */
  show(what: MetricName, series: readonly CountedHistogram[]): void
}

/** One series of a histogram: the number of values in each bucket alone, by upper bound; Infinity for the last. */
export interface CountedHistogram {
  readonly labels: Readonly<Record<string, string>>
  readonly buckets: ReadonlyMap<number, number>
  readonly sum: number
}

/** Some label values come from outside. After this many different values of a label, the rest are counted as `other`. */
const VALUES_PER_LABEL = 100

/** Creates the registry with all metrics, including those of the Node process. */
export function createMeters(): Meters {
  const registry = new Registry()
  collectDefaultMetrics({ register: registry })
  const instruments = new Map<string, Instrument>()
  const counted = new Map<string, CountedMetric>()
  for (const [name, metric] of Object.entries(metrics)) {
    if (metric.isCountedElsewhere) counted.set(name, new CountedMetric(name, metric))
    else instruments.set(name, makeInstrument(registry, name, metric))
  }
  const sources: (() => Promise<void>)[] = []
  return {
    record(what, n, labels = {}) {
      if (Number.isFinite(n)) instruments.get(what)?.count(n, labels)
    },
    async page() {
      await Promise.allSettled(sources.map((source) => source()))
      const own = await registry.metrics()
      return { type: registry.contentType, body: [own, ...[...counted.values()].map((one) => one.page())].join('\n') }
    },
    onScrape: (source) => void sources.push(source),
    forget(what) {
      instruments.get(what)?.forget()
      const metric = counted.get(what)
      if (metric) metric.series = []
    },
    show(what, series) {
      const metric = counted.get(what)
      if (metric) metric.series = series
    },
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

/** A histogram that is counted elsewhere, in the format of https://prometheus.io/docs/instrumenting/exposition_formats/. */
class CountedMetric {
  series: readonly CountedHistogram[] = []
  readonly #name: string
  readonly #head: string
  readonly #bounds: readonly number[]

  constructor(name: string, { help, kind, buckets = [] }: Metric) {
    this.#name = PREFIX + name
    this.#head = `# HELP ${this.#name} ${help}\n# TYPE ${this.#name} ${kind}\n`
    this.#bounds = [...buckets, Number.POSITIVE_INFINITY]
  }

  page(): string {
    return this.#head + this.series.flatMap((one) => this.#linesOf(one)).join('')
  }

  #linesOf({ labels, buckets, sum }: CountedHistogram): string[] {
    const given = Object.entries(labels).map(([name, value]) => `${name}="${escaped(value)}"`)
    let count = 0
    const lines = this.#bounds.map((bound) => {
      count += buckets.get(bound) ?? 0
      const le = `le="${Number.isFinite(bound) ? bound : '+Inf'}"`
      return `${this.#name}_bucket{${[...given, le].join(',')}} ${count}\n`
    })
    const of = `{${given.join(',')}}`
    return [...lines, `${this.#name}_sum${of} ${sum}\n`, `${this.#name}_count${of} ${count}\n`]
  }
}

const escaped = (value: string) => value.replaceAll('\\', '\\\\').replaceAll('"', '\\"').replaceAll('\n', '\\n')

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
