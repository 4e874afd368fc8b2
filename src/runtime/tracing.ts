import { AsyncLocalStorage } from 'node:async_hooks'
import type { Context, Span as RecordedSpan } from '@opentelemetry/api'
import { type Log, throttledWarn } from './log.ts'
import { MINUTE, withDeadline } from './time.ts'

/** Attributes of a span: names and numbers, never payloads, queries or secrets. */
export type Attributes = Readonly<Record<string, string | number | boolean | undefined>>

export interface SpanOptions {
  /** The kind of span; `internal` by default. */
  readonly kind?: 'server' | 'client' | 'producer' | 'consumer'
  /** Spans that led to this one, from {@link Tracing.current}. The new span continues the first and links to the others. */
  readonly from?: readonly string[] | undefined
}

/** A running span. */
export interface Span {
  /** Adds attributes that became known after the start. */
  set(attributes: Attributes): void
}

/** Traces the work of one process. `undefined` in its place means that tracing is off, which costs nothing. */
export interface Tracing {
  span<T>(name: string, attributes: Attributes, work: (span: Span) => Promise<T>, options?: SpanOptions): Promise<T>
  /** The current span as a W3C traceparent, to pass to another process in a job. */
  current(): string | undefined
  /** Sends the remaining spans, within `deadlineMs`. */
  close(deadlineMs: number): Promise<void>
}

const untraced: Span = { set: () => {} }

/** Runs `work` in a child of the current span, or just runs it if tracing is off. Rejects as `work` does. */
export function span<T>(
  tracing: Tracing | undefined,
  name: string,
  attributes: Attributes,
  work: (span: Span) => Promise<T>,
  options?: SpanOptions,
): Promise<T> {
  return tracing ? tracing.span(name, attributes, work, options) : work(untraced)
}

type Env = Readonly<Record<string, string | undefined>>

/** Whether OpenTelemetry's standard variables enable traces: they name an OTLP endpoint, and none of them disables traces. */
export function wantsTraces(env: Env): boolean {
  const endpoint = env.OTEL_EXPORTER_OTLP_TRACES_ENDPOINT || env.OTEL_EXPORTER_OTLP_ENDPOINT
  const exporter = env.OTEL_TRACES_EXPORTER || 'otlp'
  return Boolean(endpoint) && exporter === 'otlp' && !/^true$/i.test(env.OTEL_SDK_DISABLED ?? '')
}

/**
 * Opens tracing if the environment enables it. The SDK is loaded only then, and reads its other variables itself. An unavailable
 * collector loses spans and nothing else.
 */
export async function openTracing(env: Env, log: Log): Promise<Tracing | undefined> {
  if (!wantsTraces(env)) return undefined
  const { ROOT_CONTEXT, SpanKind, SpanStatusCode, trace } = await import('@opentelemetry/api')
  const { BasicTracerProvider, BatchSpanProcessor } = await import('@opentelemetry/sdk-trace-base')
  const { OTLPTraceExporter } = await import('@opentelemetry/exporter-trace-otlp-http')
  const { defaultResource, detectResources, envDetector, resourceFromAttributes } = await import(
    '@opentelemetry/resources'
  )
  const exporter = new OTLPTraceExporter()
  const mayWarn = throttledWarn(MINUTE, Date.now)
  const provider = new BasicTracerProvider({
    resource: defaultResource()
      .merge(resourceFromAttributes({ 'service.name': 'buildkite-mirror' }))
      .merge(detectResources({ detectors: [envDetector] })),
    spanProcessors: [
      new BatchSpanProcessor({
        export: (spans, done) =>
          exporter.export(spans, (result) => {
            if (result.error && mayWarn()) {
              log.warn({ spans: spans.length }, `Spans could not be exported and are lost: ${result.error.message}`)
            }
            done(result)
          }),
        shutdown: () => exporter.shutdown(),
        forceFlush: () => exporter.forceFlush(),
      }),
    ],
  })
  const tracer = provider.getTracer('buildkite-mirror')
  const contexts = new AsyncLocalStorage<Context>()
  const kinds = {
    server: SpanKind.SERVER,
    client: SpanKind.CLIENT,
    producer: SpanKind.PRODUCER,
    consumer: SpanKind.CONSUMER,
  }
  return {
    async span(name, attributes, work, { kind, from = [] } = {}) {
      const [first, ...others] = from.flatMap((text) => readTraceparent(text) ?? [])
      const parent = first ? trace.setSpanContext(ROOT_CONTEXT, first) : (contexts.getStore() ?? ROOT_CONTEXT)
      const options = {
        kind: kind ? kinds[kind] : SpanKind.INTERNAL,
        attributes: defined(attributes),
        links: others.map((context) => ({ context })),
      }
      const recorded = tracer.startSpan(name, options, parent)
      try {
        const set = (more: Attributes) => void recorded.setAttributes(defined(more))
        return await contexts.run(trace.setSpan(parent, recorded), () => work({ set }))
      } catch (error) {
        // The message is left out, because a driver's message may hold SQL and parameters.
        recorded.setAttribute('error.type', errorType(error)).setStatus({ code: SpanStatusCode.ERROR })
        throw error
      } finally {
        recorded.end()
      }
    },
    current() {
      const context = contexts.getStore()
      const recorded = context && trace.getSpan(context)
      return recorded && traceparentOf(recorded)
    },
    async close(deadlineMs) {
      await withDeadline(provider.shutdown(), deadlineMs, 'The trace collector').catch(() => {})
    },
  }
}

function traceparentOf(recorded: RecordedSpan): string {
  const { traceId, spanId, traceFlags } = recorded.spanContext()
  return `00-${traceId}-${spanId}-${traceFlags.toString(16).padStart(2, '0')}`
}

function readTraceparent(text: string) {
  const [, traceId, spanId, flags] = /^00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})$/.exec(text) ?? []
  if (!traceId || !spanId || !flags) return undefined
  return { traceId, spanId, traceFlags: Number.parseInt(flags, 16), isRemote: true }
}

function defined(attributes: Attributes): Record<string, string | number | boolean> {
  const given: Record<string, string | number | boolean> = {}
  for (const [name, value] of Object.entries(attributes)) if (value !== undefined) given[name] = value
  return given
}

function errorType(error: unknown): string {
  if (!(error instanceof Error)) return 'unknown'
  return 'code' in error && typeof error.code === 'string' ? error.code : error.name
}
