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

  it.each([
    ['https://user:token@github.com/acme/web.git', 'https://github.com/acme/web.git'],
    ['https://ghp_token@github.com/acme/web.git', 'https://github.com/acme/web.git'],
    ['see HTTPS://u:p@w@host/ and http://x@y, thanks', 'see HTTPS://host/ and http://y, thanks'],
    ['ssh://git@github.com/acme/web.git', 'ssh://git@github.com/acme/web.git'],
    ['ssh://git:secret@github.com/acme/web.git', 'ssh://github.com/acme/web.git'],
    ['git@github.com:acme/web.git', 'git@github.com:acme/web.git'],
    ['https://x/?a=1&access_token=s3cret&b=2', 'https://x/?a=1&access_token=REDACTED&b=2'],
    ['https://x/#access_token=s3cret', 'https://x/#access_token=REDACTED'],
    [
      'https://x/?private_token=s;api_key=t&API-Key=u',
      'https://x/?private_token=REDACTED;api_key=REDACTED&API-Key=REDACTED',
    ],
    [
      'https://s3/?X-Amz-Credential=AKIA&X-Amz-Date=1&X-Amz-Signature=ab',
      'https://s3/?X-Amz-Credential=REDACTED&X-Amz-Date=1&X-Amz-Signature=REDACTED',
    ],
    ['https://blob/?sv=1&sig=ab%2Bc', 'https://blob/?sv=1&sig=REDACTED'],
    ['https://a/?next=https://u:p@b/?token=t', 'https://a/?next=https://b/?token=REDACTED'],
    ['https://x/a@b?q=1&design=2&tokens_used=3', 'https://x/a@b?q=1&design=2&tokens_used=3'],
  ])('in the URL %s', (text, kept) => {
    expect(redact({ repository: text }, { storeEnv: false })).toEqual({ repository: kept })
    expect(redact({ meta_data: { [text]: [text] } }, { storeEnv: false })).toEqual({ meta_data: { [kept]: [kept] } })
    expect(redact({ repository: kept }, { storeEnv: false })).toEqual({ repository: kept })
  })

  it.each([
    'password',
    'client_secret',
    'agent_token',
    'secrets',
    'clientSecret',
    'private-key',
    'AWS_SECRET_ACCESS_KEY',
    'token_value',
    'cluster_token',
    'badge_url',
    'Authorization',
  ])('removes the key %s, except among keys that users choose', (key) => {
    const holder = { id: '1', [key]: { value: 's3cret' } }
    expect(redact({ agent: holder }, { storeEnv: true })).toEqual({ agent: { id: '1' } })
    for (const own of ['meta_data', 'matrix', 'env']) {
      expect(redact({ [own]: holder }, { storeEnv: true })).toEqual({ [own]: holder })
    }
  })

  it('keeps keys that only look similar', () => {
    const payload = {
      step_key: 'a',
      group_key: 'b',
      privacy: 'secret',
      tokens_used: 1,
      author: { name: 'n' },
      design: 2,
      agent_query_rules: [],
    }
    expect(redact(payload, { storeEnv: false })).toBe(payload)
  })

  it('takes time in proportion to the text', () => {
    const hostile = [
      '://'.repeat(1_000_000),
      `://a${'@=?&'.repeat(500_000)}`,
      `://${'a'.repeat(3_000_000)}`,
      `://?${'a?a.a&a'.repeat(400_000)}@=`,
    ]
    for (const text of hostile) {
      const begun = performance.now()
      redact({ text }, { storeEnv: false })
      expect(performance.now() - begun).toBeLessThan(2_000)
    }
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
