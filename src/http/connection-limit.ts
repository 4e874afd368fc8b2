import type { Server } from 'node:http'

/** Each open connection may hold its headers (16 KiB) and what was read ahead (at most 64 KiB). */
const MAX_CONNECTIONS = 2_000
/** The other half stays for addresses that sent an authentic webhook within the last hour. */
const MAX_UNPROVEN = 1_000
const MAX_PER_UNPROVEN_ADDRESS = 250

/** Closes connections over the limits at once. `isProven` exempts an address from all but the total. */
export function limitConnections(server: Server, isProven: (address: string) => boolean): void {
  const open = new Map<string, number>()
  let unproven = 0
  server.maxConnections = MAX_CONNECTIONS
  server.on('connection', (socket) => {
    const address = socket.remoteAddress ?? ''
    if (isProven(address)) return
    const own = open.get(address) ?? 0
    if (unproven >= MAX_UNPROVEN || own >= MAX_PER_UNPROVEN_ADDRESS) {
      socket.destroy()
      return
    }
    unproven += 1
    open.set(address, own + 1)
    socket.once('close', () => {
      unproven -= 1
      const left = (open.get(address) ?? 0) - 1
      if (left > 0) open.set(address, left)
      else open.delete(address)
    })
  })
}
