import { createHmac } from 'node:crypto'
import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'

/** The time limit for a response, as at Buildkite. */
const timeoutMs = 5_000

/** Posts JSON as Buildkite does, over connections that stay open. */
export class Poster {
  readonly #http: HttpAgent
  readonly #https: HttpsAgent

  constructor(connections: number) {
    this.#http = new HttpAgent({ keepAlive: true, maxSockets: connections })
    this.#https = new HttpsAgent({ keepAlive: true, maxSockets: connections })
  }

  /** The status of the response, or 0 when none came in time or the URL is invalid. */
  post(url: string, body: string, headers: Record<string, string>): Promise<number> {
    return new Promise<number>((resolve) => {
      const secure = url.toLowerCase().startsWith('https:')
      const outgoing = (secure ? requestHttps : requestHttp)(
        url,
        {
          method: 'POST',
          agent: secure ? this.#https : this.#http,
          signal: AbortSignal.timeout(timeoutMs),
          headers: {
            'Content-Type': 'application/json',
            'Content-Length': Buffer.byteLength(body),
            'User-Agent': 'Buildkite-Request',
            Accept: '*/*',
            'Accept-Encoding': 'gzip;q=1.0,deflate;q=0.6,identity;q=0.3',
            ...headers,
          },
        },
        (response) => {
          response.resume()
          response.on('close', () => resolve(response.statusCode ?? 0))
        },
      )
      outgoing.on('error', () => resolve(0))
      outgoing.end(body)
    }).catch(() => 0)
  }

  close(): void {
    this.#http.destroy()
    this.#https.destroy()
  }
}

/** The value of the signature header; `timestamp` is in seconds since the epoch. */
export function signature(body: string, secret: string, timestamp: number): string {
  return `timestamp=${timestamp},signature=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`
}
