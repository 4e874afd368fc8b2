// A program of its own, so that its work does not delay the clients that a test measures: strangers who flood the receiver until it is
// killed. Arguments: the port.
import net from 'node:net'
import { setTimeout as sleep } from 'node:timers/promises'
import { sign } from '../../src/buildkite/signature.ts'
import { WEBHOOK_PATH } from '../../src/buildkite/webhook-path.ts'

const MiB = 1024 * 1024
const port = Number(process.argv[2])
const piece = Buffer.alloc(64 * 1024, ' ')
const oneByteChunks = Buffer.from('1\r\na\r\n'.repeat(2_000))

interface Stranger {
  from: string
  headers: string
  bytes: Buffer
  /** How much to send; without an end if it is not given. */
  total?: number
}

/** Sends as fast as the server reads, with a well-formed and fresh signature that signs nothing. Begins again half a second after it is cut off. */
async function flood({ from, headers, bytes, total = Number.POSITIVE_INFINITY }: Stranger): Promise<void> {
  for (;;) {
    const socket = net.connect({ host: '127.0.0.1', port, localAddress: from })
    const closed = new Promise((resolve) => socket.once('close', resolve))
    socket.on('error', () => {})
    socket.resume()
    const signature = `X-Buildkite-Signature: ${sign('', 'not the secret', Date.now())}`
    const head = ['Host: x', 'Content-Type: application/json', signature, headers]
    socket.write(`POST ${WEBHOOK_PATH} HTTP/1.1\r\n${head.join('\r\n')}\r\n\r\n`)
    let sent = 0
    const pump = () => {
      while (sent < total && !socket.destroyed) {
        const next = bytes.subarray(0, Math.min(bytes.length, total - sent))
        sent += next.length
        if (!socket.write(next)) return
      }
    }
    socket.on('drain', pump)
    pump()
    await closed
    await sleep(500)
  }
}

for (let n = 0; n < 128; n++) {
  // Half of them come from the address of the honest sender. Of each half, one part sends whole bodies; the other holds back the last byte.
  const from = n % 2 === 0 ? '127.0.0.1' : `127.0.0.${2 + (n % 32)}`
  const total = n % 4 < 2 ? 10 * MiB : 10 * MiB - 1
  void flood({ from, headers: `Content-Length: ${10 * MiB}`, bytes: piece, total })
}
for (let n = 0; n < 16; n++) {
  const from = n % 2 === 0 ? '127.0.0.1' : `127.0.0.${100 + n}`
  void flood({ from, headers: 'Transfer-Encoding: chunked', bytes: oneByteChunks })
}
