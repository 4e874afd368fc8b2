import { once } from 'node:events'
import net from 'node:net'

// Below the range that the system gives to whoever asks for any port or connects to somewhere (32768 and up on Linux, 49152 elsewhere):
// a port from there can be another's by the time that a process of ours listens on it. Test files that run side by side have ranges of their own.
const rangeSize = 3_000
const first = 12_000 + rangeSize * (Number(process.env.VITEST_POOL_ID ?? 0) % 6)
let next = Math.floor(Math.random() * rangeSize)

/** A port of 127.0.0.1 that nobody listens on and that nobody is given by chance: for a process that is told its port when it starts. */
export async function freePort(): Promise<number> {
  for (let tries = 0; tries < rangeSize; tries++) {
    const port = first + (next++ % rangeSize)
    if (await isFree(port)) return port
  }
  throw new Error(`No port from ${first} to ${first + rangeSize - 1} is free.`)
}

async function isFree(port: number): Promise<boolean> {
  const server = net.createServer().listen(port, '127.0.0.1')
  try {
    await once(server, 'listening')
  } catch {
    return false
  }
  const closed = once(server, 'close')
  server.close()
  await closed
  return true
}
