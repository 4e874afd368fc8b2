import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Redis } from 'ioredis'
import { freePort } from './service.ts'
import { until } from './until.ts'

/** A Redis of a test's own, which it may fill, freeze and kill. */
export interface RedisServer {
  readonly url: string
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
  const options = `--bind 127.0.0.1 --port ${port} --dir ${folder} --appendonly yes --maxmemory-policy noeviction`
  const child = spawn('redis-server', [...options.split(' '), '--save', ''], { stdio: 'ignore' })
  const missing = once(child, 'error').then(() => {
    throw new NoRedisServer('There is no redis-server to start. Install it: apt-get install redis-server.')
  })
  const url = `redis://127.0.0.1:${port}`
  const client = new Redis(url, { lazyConnect: true, retryStrategy: () => 50, maxRetriesPerRequest: null })
  client.on('error', () => {})
  try {
    await Promise.race([missing, until(async () => (await client.ping()) === 'PONG', 'redis-server answers')])
  } finally {
    client.disconnect()
  }
  return {
    url,
    async stop() {
      const exited = once(child, 'exit')
      child.kill('SIGKILL')
      await exited
      await rm(folder, { recursive: true, force: true })
    },
  }
}
