import net from 'node:net'
import { performance } from 'node:perf_hooks'

/** What a load came to. Latencies in milliseconds. */
export interface LoadReport {
  readonly perSecond: number
  readonly p50: number
  readonly p99: number
  readonly longest: number
  /** How many answers had which status. */
  readonly statuses: Readonly<Record<string, number>>
}

/** How requests are sent: one after another on each connection, or each at its moment, whether or not earlier ones were answered. */
export type Pace = { kind: 'closed' } | { kind: 'open'; perSecond: number }

/**
 * Sends every one of `requests` (whole HTTP/1.1 requests, as bytes) over `connections` kept open. Written on bare sockets so that it
 * takes little of the machine it measures. With an open pace a latency counts from the moment at which the request was due.
 */
export async function load(
  port: number,
  requests: readonly Buffer[],
  connections: number,
  pace: Pace,
): Promise<LoadReport> {
  const sockets = await Promise.all(Array.from({ length: connections }, () => connect(port)))
  const latencies: number[] = []
  const statuses: Record<string, number> = {}
  const begun = performance.now()
  const due = (index: number) => (pace.kind === 'open' ? begun + (index * 1_000) / pace.perSecond : performance.now())
  let next = 0
  const work = async (socket: net.Socket) => {
    for (;;) {
      const index = next++
      const request = requests[index]
      if (!request) return
      const at = due(index)
      if (at > performance.now()) await at_(at)
      const status = await exchange(socket, request)
      latencies.push(performance.now() - at)
      statuses[status] = (statuses[status] ?? 0) + 1
    }
  }
  await Promise.all(sockets.map(work))
  const seconds = (performance.now() - begun) / 1_000
  for (const socket of sockets) socket.destroy()
  latencies.sort((a, b) => a - b)
  return {
    perSecond: requests.length / seconds,
    p50: quantile(latencies, 0.5),
    p99: quantile(latencies, 0.99),
    longest: latencies.at(-1) ?? 0,
    statuses,
  }
}

/** The value below which `share` of the sorted values lie; 0 for none. */
export function quantile(sorted: readonly number[], share: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}

const at_ = (moment: number) => new Promise<void>((done) => setTimeout(done, Math.max(0, moment - performance.now())))

async function connect(port: number): Promise<net.Socket> {
  const socket = net.connect({ host: '127.0.0.1', port, noDelay: true })
  await new Promise<void>((resolve, reject) => socket.once('connect', resolve).once('error', reject))
  return socket
}

/** Sends one request and resolves with its answer's status, once the whole answer is there. */
function exchange(socket: net.Socket, request: Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    let answer = ''
    const onData = (chunk: Buffer) => {
      answer += chunk.toString('latin1')
      const end = answer.indexOf('\r\n\r\n')
      if (end < 0) return
      const length = Number(/\r\ncontent-length: (\d+)/i.exec(answer)?.[1] ?? 0)
      if (answer.length < end + 4 + length) return
      done()
      resolve(answer.slice(9, 12))
    }
    const onEnd = () => {
      done()
      reject(new Error('The server closed a connection without an answer.'))
    }
    const done = () => socket.off('data', onData).off('close', onEnd)
    socket.on('data', onData).on('close', onEnd)
    socket.write(request)
  })
}
