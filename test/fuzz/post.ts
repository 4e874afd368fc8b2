import { Agent, request } from 'node:http'

/** A client that posts over connections kept open. */
export interface Poster {
  /** The status of the answer; rejects when there is none within 30 s. */
  post(body: Buffer, headers: Record<string, string>): Promise<number>
  close(): void
}

export function openPoster(url: string, connections: number): Poster {
  const agent = new Agent({ keepAlive: true, maxSockets: connections })
  return {
    post: (body, headers) =>
      new Promise((resolve, reject) => {
        const options = {
          method: 'POST',
          agent,
          headers: { ...headers, 'content-length': body.length },
          signal: AbortSignal.timeout(30_000),
        }
        const outgoing = request(url, options, (response) => {
          // A body that is too long is refused before it is read, and the connection then ends under our hands.
          response.on('error', () => {})
          response.on('close', () => resolve(response.statusCode ?? 0))
          response.resume()
        })
        outgoing.on('error', reject)
        outgoing.end(body)
      }),
    close: () => agent.destroy(),
  }
}
