import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import type { Certificate } from './certificates.ts'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

/** A Redis of a test's own, which it may fill, freeze and kill. */
export interface RedisServer {
  readonly url: string
  /** Takes connections and answers nothing, until `thaw`. */
  freeze(): void
  thaw(): void
  /** Ends it with SIGKILL; `start` brings it back on the same port with what its append-only file holds. */
  kill(): Promise<void>
  start(): Promise<void>
  /** Runs commands in it, whatever its certificate. */
  command(...args: [string, ...string[]]): Promise<unknown>
  /** Deletes everything in it. */
  flush(): Promise<void>
  stop(): Promise<void>
}

interface TlsOfRedis extends Certificate {
  /** The CA of the clients' certificates. */
  readonly ca: string
  /** Whether clients need a certificate. */
  readonly clients: 'yes' | 'no'
}

/** There is no redis-server on this machine. */
export class NoRedisServer extends Error {}

/**
 * Starts the system's redis-server on a free port, with an append-only file as in production.
 * With `tls`, it takes connections only with TLS.
 * @throws NoRedisServer
 */
export async function startRedisServer(tls?: TlsOfRedis): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'bkm-redis-'))
  const port = await freePort()
  const url = tls ? `rediss://localhost:${port}` : `redis://127.0.0.1:${port}`
  let child = await launch(folder, port, url, tls)
  const kill = async () => {
    if (child.exitCode !== null || child.signalCode !== null) return
    const exited = once(child, 'exit')
    child.kill('SIGKILL')
    await exited
  }
  return {
    url,
    freeze: () => void child.kill('SIGSTOP'),
    thaw: () => void child.kill('SIGCONT'),
    kill,
    async start() {
      await kill()
      child = await launch(folder, port, url, tls)
    },
    command: (name, ...args) => withClient(url, tls, (client) => client.call(name, ...args)),
    flush: () => withClient(url, tls, async (client) => void (await client.flushall())),
    async stop() {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function launch(folder: string, port: number, url: string, tls?: TlsOfRedis): Promise<ChildProcess> {
  const listening = tls
    ? `--port 0 --tls-port ${port} --tls-cert-file ${tls.cert} --tls-key-file ${tls.key} --tls-ca-cert-file ${tls.ca} --tls-auth-clients ${tls.clients}`
    : `--port ${port}`
  const options = `--bind 127.0.0.1 ${listening} --dir ${folder} --appendonly yes --maxmemory-policy noeviction`
  const child = spawn('redis-server', [...options.split(' '), '--save', ''], { stdio: 'ignore' })
  const missing = once(child, 'error').then(() => {
    throw new NoRedisServer('There is no redis-server to start. Install it: apt-get install redis-server.')
  })
  const answers = () => withClient(url, tls, async (client) => (await client.ping()) === 'PONG')
  await Promise.race([missing, until(answers, 'redis-server answers')])
  return child
}

async function withClient<T>(
  url: string,
  tls: TlsOfRedis | undefined,
  work: (client: Redis) => Promise<T>,
): Promise<T> {
  // Speaks to itself with its own certificate, sound or not.
  const own = tls && { cert: readFileSync(tls.cert), key: readFileSync(tls.key), rejectUnauthorized: false }
  const client = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => 50,
    maxRetriesPerRequest: null,
    ...(own ? { tls: own } : {}),
  })
  client.on('error', () => {})
  try {
    return await work(client)
  } finally {
    client.disconnect()
  }
}
