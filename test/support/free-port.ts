import { once } from 'node:events'
import net from 'node:net'

// Below the ephemeral range (32768 and up on Linux, 49152 elsewhere): a port from there may be taken before our process listens on it. Test
// files that run in parallel have their own ranges.
const rangeSize = 3_000
const first = 12_000 + rangeSize * (Number(process.env.VITEST_POOL_ID ?? 0) % 6)
let next = Math.floor(Math.random() * rangeSize)

/** A free port of 127.0.0.1 outside the ephemeral range, for a process that gets its port when it starts. */
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
