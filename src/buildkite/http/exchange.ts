import { promisify } from 'node:util'
import { gunzip } from 'node:zlib'
import { type Dispatcher, request } from 'undici'
import type { Moment } from './skew.ts'

/** One request and its response, of any status. */
export interface HttpResponse {
  readonly status: number
  readonly headers: Record<string, string | string[] | undefined>
  /** The parsed JSON; undefined when the body was empty or something else, such as a proxy's HTML. */
  readonly body: unknown
  /** Size of the decompressed body, in bytes. */
  readonly bytes: number
  readonly sent: Moment
  /** When its headers arrived. */
  readonly seen: Moment
}

/** The method and body of a request that changes something; `body` becomes JSON. */
export interface Write {
  readonly method: 'POST' | 'PATCH' | 'PUT'
  readonly body?: unknown
}

/** No response, or an incomplete one. `page` says whether a smaller page may help (slow, cut off, too large). */
export class ExchangeError extends Error {
  override name = 'ExchangeError'
  readonly page: boolean

  constructor(message: string, page: boolean, cause: unknown) {
    super(message, { cause })
    this.page = page
  }
}

/** Larger decompressed responses are not read; a page of builds has a few megabytes. */
const LARGEST_BODY_BYTES = 256 * 1024 * 1024

const unpack = promisify(gunzip)

/**
 * Sends one request (a GET unless `write` is given) and reads the whole response within `timeoutMs`.
 * @throws ExchangeError when that fails; the signal's reason when it aborts.
 */
export async function exchange(
  url: string,
  options: {
    dispatcher: Dispatcher
    headers: Record<string, string>
    timeoutMs: number
    /** Reads our clocks. */
    moment: () => Moment
    signal: AbortSignal
    write?: Write | undefined
  },
): Promise<HttpResponse> {
  const { dispatcher, timeoutMs, moment, signal, write } = options
  signal.throwIfAborted()
  const limit = new AbortController()
  const timer = setTimeout(() => limit.abort(), timeoutMs)
  const stop = () => limit.abort()
  signal.addEventListener('abort', stop, { once: true })
  const sent = moment()
  let seen: Moment | undefined
  try {
    const headers = { ...options.headers, accept: 'application/json', 'accept-encoding': 'gzip' }
    const body = write?.body === undefined ? undefined : JSON.stringify(write.body)
    const response = await request(url, {
      dispatcher,
      method: write?.method ?? 'GET',
      headers: body === undefined ? headers : { ...headers, 'content-type': 'application/json' },
      body: body ?? null,
      signal: limit.signal,
      headersTimeout: 0,
      bodyTimeout: 0,
    })
    seen = moment()
    const packed = Buffer.from(await response.body.arrayBuffer())
    const gzipped = response.headers['content-encoding'] === 'gzip' && packed.length > 0
    const raw = gzipped ? await unpack(packed, { maxOutputLength: LARGEST_BODY_BYTES }) : packed
    const { statusCode: status, headers: responseHeaders } = response
    return { status, headers: responseHeaders, body: parse(raw), bytes: raw.length, sent, seen }
  } catch (error) {
    signal.throwIfAborted()
    if (limit.signal.aborted) throw new ExchangeError(`no complete response within ${timeoutMs} ms`, true, error)
    const what = seen === undefined ? 'the request failed' : 'the response was cut off or too large'
    throw new ExchangeError(`${what} (${codeOf(error)})`, seen !== undefined, error)
  } finally {
    clearTimeout(timer)
    signal.removeEventListener('abort', stop)
  }
}

function parse(raw: Buffer): unknown {
  if (raw.length === 0) return undefined
  try {
    return JSON.parse(raw.toString('utf8'))
  } catch {
    return undefined
  }
}

function codeOf(error: unknown): string {
  if (error instanceof Error && 'code' in error && typeof error.code === 'string') return error.code
  return error instanceof Error ? error.message : 'unknown reason'
}
