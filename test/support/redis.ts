import { Redis } from 'ioredis'
import { inject } from 'vitest'

/** The queue backends that this run can test, for `describe.each`: both, unless the run began by saying that there is no Redis. */
export function testQueueBackends(): ('redis' | 'postgres')[] {
  return inject('redisUrl') ? ['redis', 'postgres'] : ['postgres']
}

/** The run's Redis. It is shared: each test file uses a prefix of its own. Throws where there is none. */
export function testRedisUrl(): string {
  const url = inject('redisUrl')
  if (!url) throw new Error('This run has no Redis. Ask testQueueBackends() first.')
  return url
}

/** Deletes what a service that was given the run's Redis left there: the keys under its own prefix, not those of other test files. */
export async function flushTestRedis(): Promise<void> {
  const redis = new Redis(testRedisUrl(), { maxRetriesPerRequest: 1 })
  try {
    for await (const keys of redis.scanStream({ match: '{bk*', count: 1_000 })) {
      if (keys.length > 0) await redis.unlink(keys)
    }
  } finally {
    redis.disconnect()
  }
}
