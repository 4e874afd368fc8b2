import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { Redis } from 'ioredis'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

/** Several servers of Redis that belong together. */
export interface RedisGroup {
  /** As REDIS_URL names it. */
  readonly url: string
  /** Ends the server that holds the keys, or that is the primary, with SIGKILL. */
  killPrimary(): Promise<void>
  stop(): Promise<void>
}

interface Server {
  readonly port: number
  kill(): Promise<void>
}

/** Three nodes without replicas. */
export async function startRedisCluster(): Promise<Omit<RedisGroup, 'killPrimary'>> {
  const folder = await mkdtemp(join(tmpdir(), 'bkm-cluster-'))
  const nodes = await Promise.all(
    [1, 2, 3].map(async (node) => {
      const bus = await freePort()
      return launch(folder, [
        ...`--cluster-enabled yes --cluster-config-file ${join(folder, `${node}.conf`)} --cluster-port ${bus}`.split(
          ' ',
        ),
        ...`--dir ${folder} --appendonly no`.split(' '),
      ])
    }),
  )
  const addresses = nodes.map(({ port }) => `127.0.0.1:${port}`)
  await promisify(execFile)('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes'])
  const isReady = ({ port }: Server) => ask(port, async (one) => /cluster_state:ok/.test(await one.cluster('INFO')))
  await until(async () => (await Promise.all(nodes.map(isReady))).every(Boolean), 'the cluster is ready', 60_000)
  return {
    // The others are found by the first.
    url: `redis://${addresses[0]}?cluster=true&node=${addresses[1]}`,
    stop: () => stopAll(folder, nodes),
  }
}

/** A primary with a replica, and three Sentinels that promote the replica if the primary is gone. */
export async function startRedisSentinels(): Promise<RedisGroup> {
  const folder = await mkdtemp(join(tmpdir(), 'bkm-sentinel-'))
  const primary = await launch(folder, ['--appendonly', 'no'])
  const replica = await launch(folder, ['--appendonly', 'no', '--replicaof', '127.0.0.1', String(primary.port)])
  const isLinked = () => ask(replica.port, async (one) => /master_link_status:up/.test(await one.info('replication')))
  await until(isLinked, 'the replica follows the primary', 30_000)
  const sentinels = await Promise.all([1, 2, 3].map((sentinel) => launchSentinel(folder, sentinel, primary.port)))
  const knowsAll = ({ port }: Server) =>
    ask(port, async (one) => {
      const [, ...parts] = (await one.call('SENTINEL', 'MASTER', 'mirror')) as string[]
      const fieldOf = (name: string) => parts[parts.indexOf(name) + 1]
      return fieldOf('num-slaves') === '1' && fieldOf('num-other-sentinels') === '2'
    })
  await until(async () => (await Promise.all(sentinels.map(knowsAll))).every(Boolean), 'Sentinels know all', 60_000)
  const [first, ...others] = sentinels.map(({ port }) => `127.0.0.1:${port}`)
  return {
    url: `redis://${first}?sentinel=mirror${others.map((one) => `&node=${one}`).join('')}`,
    killPrimary: () => primary.kill(),
    stop: () => stopAll(folder, [...sentinels, replica, primary]),
  }
}

async function launchSentinel(folder: string, sentinel: number, primaryPort: number): Promise<Server> {
  const file = join(folder, `sentinel-${sentinel}.conf`)
  const lines = [
    `sentinel monitor mirror 127.0.0.1 ${primaryPort} 2`,
    'sentinel down-after-milliseconds mirror 1000',
    'sentinel failover-timeout mirror 5000',
  ]
  await writeFile(file, `${lines.join('\n')}\n`)
  return launch(folder, [], file)
}

/** Starts a server, or a Sentinel if there is a file with its configuration. */
async function launch(folder: string, options: readonly string[], sentinelFile?: string): Promise<Server> {
  const port = await freePort()
  const mode = sentinelFile === undefined ? [] : [sentinelFile, '--sentinel']
  const all = [...mode, '--port', String(port), '--bind', '127.0.0.1', '--save', '', ...options]
  const args = sentinelFile === undefined ? all : all.filter((_, index) => index < 6)
  const child = spawn('redis-server', args, { cwd: folder, stdio: 'ignore' })
  const ended = once(child, 'exit')
  await until(() => ask(port, async (one) => (await one.ping()) === 'PONG'), 'redis-server answers', 30_000)
  return {
    port,
    async kill() {
      if (child.exitCode !== null || child.signalCode !== null) return
      child.kill('SIGKILL')
      await ended
    },
  }
}

async function stopAll(folder: string, servers: readonly Server[]): Promise<void> {
  await Promise.all(servers.map((server) => server.kill()))
  await rm(folder, { recursive: true, force: true })
}

async function ask<T>(port: number, question: (client: Redis) => Promise<T>): Promise<T> {
  const client = new Redis(port, '127.0.0.1', { lazyConnect: true, maxRetriesPerRequest: 1 })
  client.on('error', () => {})
  try {
    return await question(client)
  } finally {
    client.disconnect()
  }
}
