import { Queue, Worker } from 'bullmq'
import type { RedisOptions } from 'ioredis'
import { messageOf } from '../runtime/errors.ts'
import { readRedisUrl } from '../runtime/redis-url.ts'
import { tlsFault } from '../runtime/store-url.ts'
import { DeadlineError } from '../runtime/time.ts'
import { type Engine, type Outage, type QueueWarning, workerOptions } from './engine.ts'
import { connectToRedis, type RedisClient } from './redis-connection.ts'

/** BullMQ on Redis. */
export function redisEngine(redisUrl: string, onError: (error: Error) => void): Engine {
  const address = readRedisUrl(redisUrl)
  const connect = (options: RedisOptions) => {
    const client = connectToRedis(address, options)
    client.on('error', onError)
    return client
  }
  // A producer must fail fast, because a webhook waits for it.
  let producer: RedisClient | undefined
  // Why the producer's last connection attempt failed; undefined while it is connected.
  let fault: Outage | undefined
  const producing = () => {
    if (producer) return producer
    producer = connect({ enableOfflineQueue: false, maxRetriesPerRequest: 1, commandTimeout: 1_500 })
    producer.on('error', (error) => {
      fault = networkFault(error) ?? fault
    })
    producer.on('ready', () => {
      fault = undefined
    })
    return producer
  }
  // A worker must wait: with commandTimeout it would never work again after its first timeout. socketTimeout detects a dead socket.
  let worker: RedisClient | undefined
  const working = () => {
    worker ??= connect({ maxRetriesPerRequest: null, socketTimeout: 30_000 })
    return worker
  }
  return {
    backend: 'redis',
    prepare: async () => {},
    openQueue(name, prefix, onQueueError) {
      const queue = new Queue(name, { connection: producing(), prefix, streams: { events: { maxLen: 1_000 } } })
      queue.on('error', onQueueError)
      return queue
    },
    openWorker(name, prefix, processor, settings, onWorkerError) {
      const { concurrency, backoff } = settings
      const worker = new Worker<unknown, void>(name, processor, {
        ...workerOptions,
        connection: working(),
        prefix,
        concurrency,
        settings: { backoffStrategy: backoff },
      })
      worker.on('error', onWorkerError)
      return worker
    },
    check: () => checkRedis(producing()),
    outOfReach(error) {
      const known = networkFault(error) ?? fault
      if (known) return known
      if (error === undefined) return undefined
      if (disconnected.test(messageOf(error))) return { fact: 'Redis cannot be reached (the connection is lost).' }
      const isSilent = timedOut.test(messageOf(error)) || error instanceof DeadlineError
      return isSilent ? { fact: 'Redis does not answer.' } : undefined
    },
    close() {
      producer?.disconnect()
      worker?.disconnect()
    },
  }
}

/** Messages of ioredis about a missing connection; they depend on what it was doing. */
const disconnected =
  /Stream isn't writeable|Connection is closed|max retries per request|All sentinels are unreachable|Failed to refresh slots|None of startup nodes|Cluster isn't ready|READONLY|CLUSTERDOWN/
const timedOut = /Command timed out|Socket timeout/

/** For errors of TLS or with a system code such as ECONNREFUSED. Errors that Redis itself answers have none. */
function networkFault(error: unknown): Outage | undefined {
  const code = error instanceof Error && 'code' in error ? error.code : undefined
  const isSystem = typeof code === 'string' && /^E[A-Z_]+$/.test(code)
  return tlsFault('Redis', error) ?? (isSystem ? { fact: `Redis cannot be reached (${code}).` } : undefined)
}

async function checkRedis(client: RedisClient): Promise<QueueWarning[]> {
  await client.ping()
  const warnings: QueueWarning[] = []
  const policy = await setting(client, 'maxmemory-policy')
  if (policy !== undefined && policy !== 'noeviction') {
    warnings.push({
      name: 'redis_eviction',
      fact: `Redis may evict jobs when its memory is full (maxmemory-policy is "${policy}").`,
      remedy: 'Set it to noeviction.',
    })
  }
  if ((await setting(client, 'appendonly')) === 'no') {
    warnings.push({
      name: 'redis_persistence',
      fact:
        'Redis has no append-only file, so a crash of Redis loses queued jobs. They are recovered from Postgres, ' +
        'except deliveries that arrived while Postgres was down.',
      remedy: 'Set appendonly to yes.',
    })
  }
  return warnings
}

/** Managed Redis services often forbid CONFIG. Settings that cannot be read cause no warning. */
async function setting(client: RedisClient, name: string): Promise<string | undefined> {
  try {
    const answer = await client.config('GET', name)
    return Array.isArray(answer) && typeof answer[1] === 'string' ? answer[1] : undefined
  } catch {
    return undefined
  }
}
