import type { Log } from '../../runtime/log.ts'
import type { RecordMetric } from '../../runtime/record-metric.ts'
import { SECOND } from '../../runtime/time.ts'
import { type Span, span, type Tracing } from '../../runtime/tracing.ts'
import { endpointOf } from '../urls.ts'
import { exchange, type HttpResponse, type Write } from './exchange.ts'
import { openDispatcher, type ProxyRoute } from './proxy.ts'
import type { BuildkiteClock } from './skew.ts'

export interface SenderOptions {
  readonly token: string
  /** Such as `https://api.buildkite.com/v2`, without a trailing slash. */
  readonly apiUrl: string
  readonly proxy?: ProxyRoute | undefined
  readonly log: Log
  /** Receives requests, waits and limits, for metrics. */
  readonly record?: RecordMetric | undefined
  readonly tracing?: Tracing | undefined
  /** For one request, up to the last byte of its response. Default 30 s. */
  readonly timeoutMs?: number | undefined
  readonly userAgent?: string | undefined
}

/** Sends single requests of one token, with a span, metrics and a log line for each. */
export class Sender {
  readonly #options: SenderOptions
  readonly #clock: BuildkiteClock
  readonly #dispatcher

  constructor(options: SenderOptions, clock: BuildkiteClock) {
    this.#options = options
    this.#clock = clock
    this.#dispatcher = openDispatcher(options.proxy)
  }

  /** Ends the requests that are under way. */
  close(): Promise<void> {
    return this.#dispatcher.destroy()
  }

  /** @throws ExchangeError, or the signal's reason. */
  send(path: string, signal: AbortSignal, write?: Write): Promise<HttpResponse> {
    const endpoint = endpointOf(path)
    const method = write?.method ?? 'GET'
    const about = { 'http.request.method': method, 'url.template': endpoint }
    const work = async (traced: Span) => {
      const answer = await this.#exchange(path, endpoint, signal, write)
      traced.set({ 'http.response.status_code': answer.status })
      return answer
    }
    return span(this.#options.tracing, `${method} ${endpoint}`, about, work, { kind: 'client' })
  }

  async #exchange(path: string, endpoint: string, signal: AbortSignal, write?: Write): Promise<HttpResponse> {
    const { apiUrl, token, userAgent, timeoutMs, log, record } = this.#options
    const began = performance.now()
    let status = 'none'
    try {
      const answer = await exchange(apiUrl + path, {
        dispatcher: this.#dispatcher,
        headers: { authorization: `Bearer ${token}`, 'user-agent': userAgent ?? 'buildkite-mirror' },
        timeoutMs: timeoutMs ?? 30 * SECOND,
        moment: () => this.#clock.moment(),
        signal,
        write,
      })
      status = String(answer.status)
      log.debug(
        { path, status: answer.status, took_ms: Math.round(performance.now() - began) },
        'Sent a request to Buildkite.',
      )
      return answer
    } finally {
      record?.('api_requests_total', 1, { endpoint, status })
      record?.('api_request_seconds', (performance.now() - began) / SECOND, { endpoint })
    }
  }
}
