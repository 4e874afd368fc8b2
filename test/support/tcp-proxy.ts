import net from 'node:net'

/** Stands between a client and a server, and fails as networks fail. */
export interface TcpProxy {
  /** The target's URL, by way of the proxy. */
  readonly url: string
  /** Every connection breaks, new ones are refused at once. */
  cut(): Promise<void>
  /** Connections stay open and new ones are taken, but nothing passes any more. */
  hang(): void
  /** All is well again; connections that hung are broken. */
  restore(): Promise<void>
  /** New connections lead to this host and port, and those that are open break. */
  moveTo(url: string): void
  /** How many bytes the target has sent so far. */
  sent(): number
  close(): Promise<void>
}

/** Starts a proxy to the host and port of `targetUrl`. Each connection is passed on `connectDelayMs` after it was opened. */
export async function startTcpProxy(targetUrl: string, defaultPort: number, connectDelayMs = 0): Promise<TcpProxy> {
  const target = new URL(targetUrl)
  let to = { host: target.hostname, port: Number(target.port || defaultPort) }
  const sockets = new Set<net.Socket>()
  let hanging = false
  let listening = 0
  let sent = 0

  const server = net.createServer((client) => {
    sockets.add(client)
    client.on('close', () => sockets.delete(client)).on('error', () => client.destroy())
    if (hanging) return
    if (connectDelayMs > 0) setTimeout(passOn, connectDelayMs, client)
    else passOn(client)
  })
  const passOn = (client: net.Socket) => {
    if (client.destroyed) return
    const upstream = net.connect(to)
    sockets.add(upstream)
    upstream.on('close', () => {
      sockets.delete(upstream)
      client.destroy()
    })
    upstream.on('error', () => client.destroy())
    upstream.on('data', (data) => {
      sent += data.length
    })
    client.on('close', () => upstream.destroy())
    client.pipe(upstream)
    upstream.pipe(client)
  }
  const listen = () =>
    new Promise<void>((resolve, reject) => {
      server.once('error', reject)
      server.listen(listening, '127.0.0.1', () => {
        const address = server.address()
        if (address && typeof address === 'object') listening = address.port
        resolve()
      })
    })
  const breakAll = () => {
    for (const socket of sockets) socket.destroy()
  }
  const stop = () =>
    new Promise<void>((resolve) => {
      if (!server.listening) return resolve()
      server.close(() => resolve())
      breakAll()
    })
  await listen()
  const url = new URL(targetUrl)
  url.hostname = '127.0.0.1'
  url.port = String(listening)

  return {
    url: url.href,
    cut: stop,
    hang() {
      hanging = true
      for (const socket of sockets) socket.unpipe()
    },
    async restore() {
      hanging = false
      breakAll()
      if (!server.listening) await listen()
    },
    moveTo(url) {
      const { hostname, port } = new URL(url)
      to = { host: hostname, port: Number(port || defaultPort) }
      breakAll()
    },
    sent: () => sent,
    close: stop,
  }
}
