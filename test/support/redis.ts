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
