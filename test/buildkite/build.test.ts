import { afterEach, describe, expect, it } from 'vitest'
import { HOUR } from '../../src/runtime/time.ts'
import { type Answered, askBuild, closeAll, errorOf, gatewayTimeout, me, type Seen, start } from './stub.ts'

afterEach(closeAll)

const jobs = Array.from({ length: 250 }, (_, index) => ({ id: `job-${index}` }))

/** A build whose whole answer fails; its parts work. */
function inParts({ path, query }: Seen): Answered {
  if (!path.endsWith('/jobs'))
    return query.get('exclude_jobs') === 'true' ? { json: { id: 'b', number: 7 } } : gatewayTimeout
  const begin = Number(query.get('after') ?? 0)
  const next = begin + 100 < jobs.length ? `https://x.invalid/jobs?after=${begin + 100}&per_page=100` : null
  return { json: { items: jobs.slice(begin, begin + 100), links: { next } } }
}

describe('a build whose full response fails', () => {
  it('is assembled from the build without jobs and its jobs, dated by the earliest response', async () => {
    const { client, stub } = await start(inParts)
    const before = Date.now()
    const read = await askBuild(client)
    expect(read?.value).toEqual({ id: 'b', number: 7, jobs })
    expect(stub.seen.map(({ query }) => Object.fromEntries(query))).toEqual([
      { include_retried_jobs: 'true', exclude_pipeline: 'true' },
      { include_retried_jobs: 'true', exclude_pipeline: 'true' },
      { exclude_jobs: 'true', exclude_pipeline: 'true' },
      { per_page: '100', include_retried_jobs: 'true' },
      { after: '100', per_page: '100' },
      { after: '200', per_page: '100' },
    ])
    expect(stub.seen[3]?.path).toBe('/v2/organizations/acme/pipelines/web/builds/7/jobs')
    expect(read?.at.getTime()).toBeGreaterThanOrEqual(before)
  })

  it('is read in parts at once for a day', async () => {
    let passed = 0
    const clock = () => Date.now() + passed
    const dated = (seen: Seen) => {
      const answer = inParts(seen)
      if (typeof answer === 'function') return answer
      return { ...answer, headers: { ...answer.headers, date: new Date(clock()).toUTCString() } }
    }
    const { client, stub } = await start(dated, { clock })
    await askBuild(client)
    stub.seen.length = 0
    passed = 20 * HOUR
    expect((await askBuild(client))?.value).toMatchObject({ jobs })
    expect(stub.seen.every(({ path, query }) => path.endsWith('/jobs') || query.has('exclude_jobs'))).toBe(true)
  })

  it('is undefined when it was deleted meanwhile, but not when only its jobs return 404', async () => {
    const gone = await start(({ query }) => (query.has('exclude_jobs') ? { status: 404, json: {} } : gatewayTimeout))
    expect(await askBuild(gone.client)).toBeUndefined()
    const jobless = await start((seen) => (seen.path.endsWith('/jobs') ? { status: 404, json: {} } : inParts(seen)))
    expect(await errorOf(askBuild(jobless.client))).toMatchObject({ code: 'unavailable', status: 504 })
  })

  it('costs a few requests when its parts fail too', async () => {
    const { client, stub } = await start(() => gatewayTimeout)
    expect(await errorOf(askBuild(client))).toMatchObject({ code: 'unavailable', status: 504 })
    expect(stub.seen.length).toBe(4)
  })

  it('is read in one request again after a temporary failure', async () => {
    const { client, stub } = await start(({ index }) =>
      index === 0 ? { status: 502 } : { json: { id: 'b', jobs: [] } },
    )
    expect((await askBuild(client))?.value).toEqual({ id: 'b', jobs: [] })
    expect(stub.seen.length).toBe(2)
  })
})

describe('whether there are builds before a given time', () => {
  const moment = new Date('2026-01-01')
  const ask = async (answer: (seen: Seen) => Answered) => {
    const { client, stub } = await start(answer)
    const found = await client.hasBuildsBefore('acme', moment, 'hot')
    return { found, requests: stub.seen.length }
  }
  const page = ({ query }: Seen) => Number(query.get('page'))

  it('takes one request', async () => {
    expect(await ask(() => ({ json: [] }))).toEqual({ found: false, requests: 1 })
    expect(await ask(() => ({ json: [{}] }))).toEqual({ found: true, requests: 1 })
  })

  it('is known even if the newest of them cannot be listed', async () => {
    expect((await ask((seen) => (page(seen) === 1 ? gatewayTimeout : { json: [{}] }))).found).toBe(true)
    expect((await ask((seen) => (page(seen) === 1 ? gatewayTimeout : { json: [] }))).found).toBe(true)
  })

  it('is not guessed from a temporary failure', async () => {
    expect((await ask(({ index }) => (index === 0 ? gatewayTimeout : { json: [] }))).found).toBe(false)
  })
})

describe('one pipeline', () => {
  it('is read by its slug, and is undefined when it is gone', async () => {
    const { client, stub } = await start(({ index }) => (index ? { status: 404, json: {} } : { json: { id: 'p' } }))
    expect((await client.pipeline('acme', 'a b', 'dimensions'))?.value).toEqual({ id: 'p' })
    expect(await client.pipeline('acme', 'a b', 'dimensions')).toBeUndefined()
    expect(stub.seen[0]?.path).toBe('/v2/organizations/acme/pipelines/a%20b')
  })
})

describe('the fingerprint', () => {
  it('is the same for all tokens of a user, once that is known', async () => {
    const one = await start(() => ({ json: me }), { token: 'one' })
    const two = await start(() => ({ json: me }), { token: 'two' })
    expect(one.client.fingerprint).not.toBe(two.client.fingerprint)
    await Promise.all([one.client.accessToken(), two.client.accessToken()])
    expect(one.client.fingerprint).toBe(two.client.fingerprint)
    expect(one.client.fingerprint).toMatch(/^[0-9a-f]{12}$/)
  })
})
