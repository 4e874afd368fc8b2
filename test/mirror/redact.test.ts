import { describe, expect, it } from 'vitest'
import { redact } from '../../src/buildkite/redact.ts'

describe('redact', () => {
  it('removes environments, step definitions and credentials at any depth', () => {
    const payload = {
      build: { env: { TOKEN: 'x' }, id: '1' },
      pipeline: {
        configuration: 'env: …',
        steps: [{ env: { A: 'b' } }],
        provider: { id: 'github', webhook_url: 'https://secret' },
      },
      agent: { access_token: 'x', name: 'a' },
    }
    expect(redact(payload, { storeEnv: false })).toEqual({
      build: { id: '1' },
      pipeline: { provider: { id: 'github' } },
      agent: { name: 'a' },
    })
  })

  it('keeps environments with storeEnv, and never credentials', () => {
    const payload = { env: { A: 'b' }, provider: { webhook_url: 'https://secret' }, access_token: 'x' }
    expect(redact(payload, { storeEnv: true })).toEqual({ env: { A: 'b' }, provider: {} })
  })

  it("leaves the users' own keys alone: meta-data and matrix may call things env or token", () => {
    const payload = { meta_data: { env: 'production', token: 'blue' }, matrix: { env: 'a' } }
    expect(redact(payload, { storeEnv: false })).toEqual(payload)
  })

  it('cleans text that Postgres refuses', () => {
    expect(redact({ message: 'a\0b\ud800c' }, { storeEnv: false })).toEqual({ message: 'ab\ufffdc' })
  })

  it('shares what needs no change, and leaves what it was given as it was', () => {
    const job = { id: '1', agent: { name: 'a' }, list: [{ a: 1 }] }
    expect(redact(job, { storeEnv: false })).toBe(job)
    const build = {
      before: { b: 1 },
      env: { A: 'secret' },
      jobs: [job, { token: 'secret', after: 'a\0b' }],
      'k\0ey': 1,
    }
    const given = structuredClone(build)
    const kept = redact(build, { storeEnv: false }) as typeof build
    expect(kept).toEqual({ before: { b: 1 }, jobs: [job, { after: 'ab' }], key: 1 })
    expect(kept.jobs[0]).toBe(job)
    expect(build).toEqual(given)
  })

  it('survives any nesting and prototype keys', () => {
    let deep: unknown = 'end'
    for (let level = 0; level < 50_000; level++) deep = [deep]
    expect(() => JSON.stringify(redact({ deep }, { storeEnv: false }))).not.toThrow()
    const hostile: unknown = JSON.parse(
      '{"__proto__": {"polluted": true}, "constructor": {"prototype": 1}, "a": "b\\u0000"}',
    )
    const kept = redact(hostile, { storeEnv: false })
    expect(JSON.stringify(kept)).toBe('{"__proto__":{"polluted":true},"constructor":{"prototype":1},"a":"b"}')
    expect(Object.getPrototypeOf(kept)).toBe(Object.prototype)
    const disguised: unknown = JSON.parse('{"to\\u0000ken": "secret", "__pro\\u0000to__": {"polluted": true}, "a": 1}')
    expect(JSON.stringify(redact(disguised, { storeEnv: false }))).toBe('{"__proto__":{"polluted":true},"a":1}')
    expect(Object.hasOwn(Object.prototype, 'polluted')).toBe(false)
  })
})
