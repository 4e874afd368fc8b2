import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
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
  /** Deletes everything in it. */
  flush(): Promise<void>
  stop(): Promise<void>
}

/** There is no redis-server on this machine. */
export class NoRedisServer extends Error {}

/**
 * Starts the system's redis-server on a free port, with an append-only file as in production.
 * @throws NoRedisServer
 */
export async function startRedisServer(): Promise<RedisServer> {
  const folder = await mkdtemp(join(tmpdir(), 'bkm-redis-'))
  const port = await freePort()
  const url = `redis://127.0.0.1:${port}`
  let child = await launch(folder, port, url)
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
      child = await launch(folder, port, url)
    },
    flush: () => withClient(url, async (client) => void (await client.flushall())),
    async stop() {
      await kill()
      await rm(folder, { recursive: true, force: true })
    },
  }
}

async function launch(folder: string, port: number, url: string): Promise<ChildProcess> {
  const options = `--bind 127.0.0.1 --port ${port} --dir ${folder} --appendonly yes --maxmemory-policy noeviction`
  const child = spawn('redis-server', [...options.split(' '), '--save', ''], { stdio: 'ignore' })
  const missing = once(child, 'error').then(() => {
    throw new NoRedisServer('There is no redis-server to start. Install it: apt-get install redis-server.')
  })
  const answers = () => withClient(url, async (client) => (await client.ping()) === 'PONG')
  await Promise.race([missing, until(answers, 'redis-server answers')])
  return child
}

async function withClient<T>(url: string, work: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => 50, maxRetriesPerRequest: null })
  client.on('error', () => {})
  try {
    return await work(client)
  } finally {
    client.disconnect()
  }
}
