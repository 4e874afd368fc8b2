import { describe, expect, it } from 'vitest'
import { cached, readiness } from '../../src/http/status/health.ts'
import type { Probes } from '../../src/http/status/probes.ts'
import { problem } from '../../src/reconcile/issue.ts'
import { healthy } from './sample.ts'

const down = (why: string) => ({ ok: false, why }) as const
const statusOf = (facts: Partial<Probes>) => readiness({ ...healthy, ...facts }).status
const worker = new Set(['worker'] as const)

const eviction = { name: 'redis_eviction', fact: 'Redis evicts.', remedy: 'Set it to noeviction.' } as const

describe('readiness', () => {
  it('is ok when all is well', () => {
    expect(readiness(healthy)).toEqual({ status: 'ok', reasons: [] })
  })

  it.each<[string, Partial<Probes>, string]>([
    ['a receiver with only the queue left stays in service', { database: down('no') }, 'degraded'],
    ['a receiver with only the database left stays in service', { queue: down('no') }, 'degraded'],
    ['a receiver with no store left leaves', { database: down('no'), queue: down('no') }, 'unavailable'],
    ['a receiver on an old schema stays in service', { database: { ok: true, value: 1 } }, 'degraded'],
    ['a worker on an old schema leaves', { roles: worker, database: { ok: true, value: 1 } }, 'unavailable'],
    ['a worker without the database leaves', { roles: worker, database: down('no') }, 'unavailable'],
    ['a worker without the queue leaves', { roles: worker, queue: down('no') }, 'unavailable'],
    ['a stuck worker leaves', { roles: worker, idleMs: 600_000 }, 'unavailable'],
    ['a receiver whose worker is stuck stays in service', { idleMs: 600_000 }, 'degraded'],
    ['a delivery passed by degrades', { oldestPendingMs: 600_000 }, 'degraded'],
    ['old deliveries are no fault of a process without workers', { oldestPendingMs: 600_000, idleMs: undefined }, 'ok'],
    ['a refused token degrades', { problems: [problem('token', 'invalid_credentials', 'no')] }, 'degraded'],
    ['a warning of the queue changes nothing', { queue: { ok: true, value: [eviction] } }, 'ok'],
    ['a closing process leaves', { closing: true }, 'unavailable'],
  ])('%s', (_name, facts, status) => {
    expect(statusOf(facts)).toBe(status)
  })

  it('gives every reason in a sentence', () => {
    const { reasons } = readiness({
      ...healthy,
      database: { ok: true, value: 2 },
      queue: { ok: true, value: [eviction] },
      problems: [problem('token', 'invalid_permissions', 'A scope is missing.')],
    })
    expect(reasons).toEqual([
      {
        code: 'migrations_pending',
        text: 'The database needs 2 more migrations for this version. Run buildkite-mirror migrate.',
      },
      { code: 'redis_eviction', text: 'Redis evicts. Set it to noeviction.' },
      { code: 'invalid_permissions', text: 'A scope is missing.' },
    ])
  })

  it('does not call a worker stuck while its stores are down', () => {
    expect(readiness({ ...healthy, idleMs: 600_000, database: down('Gone.') }).reasons).toEqual([
      { code: 'database_unreachable', text: 'Gone.' },
    ])
  })
})

describe('cached facts', () => {
  it('are gathered once a second, and shared by those who ask meanwhile', async () => {
    let now = 0
    let gathered = 0
    const facts = cached(
      async () => ++gathered,
      () => now,
    )
    expect(await Promise.all([facts(), facts()])).toEqual([1, 1])
    now = 999
    expect(await facts()).toBe(1)
    now = 1000
    expect(await facts()).toBe(2)
  })

  it('are not kept when gathering failed', async () => {
    let calls = 0
    const facts = cached(
      () => (++calls === 1 ? Promise.reject(new Error('no')) : Promise.resolve('yes')),
      () => 0,
    )
    await expect(facts()).rejects.toThrow('no')
    expect(await facts()).toBe('yes')
  })
})
