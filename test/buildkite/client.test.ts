import { gzipSync } from 'node:zlib'
import fc from 'fast-check'
import { afterEach, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { BuildkiteError } from '../../src/runtime/errors.ts'
import {
  type Answered,
  askBuild,
  clientOf,
  closeAll,
  collect,
  errorOf,
  gatewayTimeout,
  me,
  openBudget,
  pageOf,
  type Seen,
  start,
  startStub,
  token,
} from './stub.ts'

afterEach(closeAll)

const thing = z.object({ id: z.number() })
const things = (count: number) => Array.from({ length: count }, (_, id) => ({ id }))

describe('the client', () => {
  it('sends the token only in the header, and says who it is', async () => {
    const { stub, client } = await start(() => ({ json: me }))
    await client.accessToken()
    expect(stub.seen[0]?.headers).toMatchObject({
      authorization: `Bearer ${token}`,
      'user-agent': expect.stringMatching(/^buildkite-mirror\/\d/),
    })
    expect(client.lines.join()).not.toContain(token)
  })

  it('reads the access token with its scopes, its expiry and its user', async () => {
    const { client } = await start(() => ({ json: me }))
    const { value } = await client.accessToken()
    expect(value).toMatchObject({
      uuid: 'u',
      scopes: ['read_builds'],
      expires_at: new Date('2027-01-02T03:04:05Z'),
      user: { email: 'a@b' },
    })
  })

  it('reads an access token that never expires', async () => {
    const { client } = await start(() => ({ json: { scopes: [], expires_at: null } }))
    expect((await client.accessToken()).value).toEqual({ scopes: [] })
  })

  it('reads an access token whose answer has only scopes', async () => {
    const { client } = await start(() => ({ json: { scopes: ['graphql'], user: 7 } }))
    expect((await client.accessToken()).value).toEqual({ scopes: ['graphql'] })
  })

  it('dates a read by when its request started', async () => {
    const { client } = await start(() => ({ json: me }))
    const before = Date.now()
    const { at } = await client.accessToken()
    expect(at.getTime()).toBeGreaterThanOrEqual(before)
    expect(at.getTime()).toBeLessThanOrEqual(Date.now())
  })

  it('dates a read by the clock of Buildkite when ours is wrong', async () => {
    const { client } = await start(() => ({ json: me }), { clock: () => Date.now() - 3_600_000 })
    const { at } = await client.accessToken()
    expect(Math.abs(at.getTime() - Date.now())).toBeLessThan(2_000)
  })

  it('reads lists to the page without a next link, and never follows a link elsewhere', async () => {
    const { stub, client } = await start(({ query }) => pageOf(things(230), query))
    expect(await collect(client.pipelines('acme'))).toEqual(things(230))
    expect(stub.seen.map(({ path }) => path)).toEqual(Array(3).fill('/v2/organizations/acme/pipelines'))
    expect(await collect(client.organizations())).toEqual(things(230))
  })

  it('skips nothing of a numbered list when others leave or join it at any moment', async () => {
    let list: { id: number }[] = []
    let changes: (readonly [number, number, boolean])[] = []
    let since = 0
    let added = 0
    const stub = await startStub(({ query, index }) => {
      const asked = index - since
      for (const [at, which, leaves] of changes) {
        if (at !== asked) continue
        if (leaves) list.splice(which, 1)
        else list.splice(which, 0, { id: 10_000 + added++ })
      }
      return asked === slowAt ? gatewayTimeout : pageOf(list, query)
    })
    let slowAt = -1
    const client = clientOf(stub.url)
    const change = fc.tuple(fc.nat(12), fc.nat(400), fc.boolean())
    await fc.assert(
      fc.asyncProperty(
        fc.nat(400),
        fc.array(change, { maxLength: 8 }),
        fc.integer({ min: -1, max: 5 }),
        async (count, given, slow) => {
          list = things(count)
          changes = given
          slowAt = slow
          since = stub.seen.length
          const read = new Set((await collect(client.pipelines('acme'))).map((one) => thing.parse(one).id))
          expect(list.filter(({ id }) => id < 10_000 && !read.has(id))).toEqual([])
        },
      ),
      { numRuns: 200 },
    )
  })

  it('keeps its place in a numbered list when pages become smaller', async () => {
    const { client } = await start(({ query, index }) => (index === 1 ? { status: 502 } : pageOf(things(230), query)))
    expect(await collect(client.pipelines('acme'))).toEqual(things(230))
  })

  const webhook = (id: string) => ({ id, provider: { id: 'webhook' }, enabled: true, settings: {} })

  it('reads lists with cursors, and uses only the query of a cursor', async () => {
    const next = 'https://elsewhere.invalid/v2/other?after=abc%3D&per_page=100&access_token=x'
    const { stub, client } = await start(({ query }) => ({
      json: query.has('after')
        ? { items: [webhook('3')], links: { next: null } }
        : { items: [webhook('1'), webhook('2')], links: { self: 'x', next } },
    }))
    const found = await client.services.webhooks('acme', 'hot')
    expect(found.map(({ id }) => id)).toEqual(['1', '2', '3'])
    expect(stub.seen[1]?.path).toBe('/v2/organizations/acme/services')
    expect(Object.fromEntries(stub.seen[1]?.query ?? [])).toEqual({ after: 'abc=', per_page: '100' })
  })

  it('stops with an error when cursors go round in a circle', async () => {
    const { client } = await start(() => ({ json: { items: [1], links: { next: '?after=a' } } }))
    expect((await errorOf(client.services.webhooks('acme', 'hot'))).message).toContain('never end')
  })

  it('reads one build, and gives undefined when it is gone', async () => {
    const { client, stub } = await start(({ index }) =>
      index ? { status: 404, json: { message: 'No build found' } } : { json: { id: 1 } },
    )
    expect((await askBuild(client))?.value).toEqual({ id: 1 })
    expect(await askBuild(client)).toBeUndefined()
    expect(stub.seen[0]?.path).toBe('/v2/organizations/acme/pipelines/web/builds/7')
  })

  it('unpacks compressed answers', async () => {
    const { client } = await start(() => (response) => {
      response.writeHead(200, { 'content-encoding': 'gzip' })
      response.end(gzipSync(JSON.stringify({ id: 'packed' })))
    })
    expect((await askBuild(client))?.value).toEqual({ id: 'packed' })
  })

  it('asks the budget of the user and of the organization before each request, and tells it each answer', async () => {
    const budget = openBudget()
    const { client, stub } = await start(() => ({ json: {}, headers: { 'RateLimit-User-Remaining': '9' } }), { budget })
    await askBuild(client)
    expect(budget.takes).toEqual([[expect.stringMatching(/^user:[0-9a-f]{12}$/), 'organization:acme']])
    expect(budget.reports).toMatchObject([{ user: { remaining: 9 } }])
    expect(client.limits).toMatchObject({ user: { remaining: 9 } })
    expect(stub.seen).toHaveLength(1)
  })

  it('shares the budget of a user among all tokens of that user, once it knows whose they are', async () => {
    const budget = openBudget()
    const one = await start(() => ({ json: me }), { budget })
    const other = await start(() => ({ json: me }), { budget, token: 'another' })
    for (const { client } of [one, other]) await client.accessToken()
    for (const { client } of [one, other]) await askBuild(client)
    const [user, another, first, second] = budget.takes.map(([scope]) => scope)
    expect(user).not.toBe(another)
    expect(first).toBe(second)
    expect(JSON.stringify(budget.takes)).not.toContain(me.user.email)
  })
})

describe('a refusal', () => {
  const cases: [string, Answered, string, RegExp][] = [
    [
      '401',
      { status: 401, json: { message: 'Authentication required.' } },
      'invalid_credentials',
      /BUILDKITE_API_TOKEN/,
    ],
    [
      '403 that names a scope',
      { status: 403, json: { message: "Your access token doesn't have the read_builds scope" } },
      'invalid_permissions',
      /lacks the scope read_builds/,
    ],
    [
      '403 whose headers show a scope missing',
      { status: 403, json: { message: 'Forbidden' }, headers: { 'x-oauth-scopes': 'read_user, read_pipelines' } },
      'invalid_permissions',
      /lacks the scope read_builds/,
    ],
    [
      '403 of a token with all scopes',
      { status: 403, json: { message: 'Forbidden' }, headers: { 'x-oauth-scopes': 'read_builds,read_pipelines' } },
      'invalid_permissions',
      /"acme".*though it has the scope read_builds.*IP addresses.*HTTPS_PROXY/,
    ],
    [
      'redirect',
      { status: 302, headers: { location: 'https://elsewhere.invalid' } },
      'unavailable',
      /redirect.*BUILDKITE_API_URL/,
    ],
    ['422', { status: 422, json: { message: 'Validation Failed' } }, 'unavailable', /HTTP 422.*Validation Failed/],
  ]
  it.each(cases)('with %s says what is wrong and what to do, at once', async (_name, answer, code, message) => {
    const { client, stub } = await start(() => answer)
    const error = await errorOf(askBuild(client))
    expect(error).toBeInstanceOf(BuildkiteError)
    expect(error).toMatchObject({ code, message: expect.stringMatching(message) })
    expect(stub.seen.length).toBe(1)
  })

  it('of a list names the organization that does not exist', async () => {
    const { client } = await start(() => ({ status: 404, json: { message: 'No organization found' } }))
    expect(await errorOf(collect(client.pipelines('acme')))).toMatchObject({
      code: 'no_resources',
      message: expect.stringMatching(/"acme".*BUILDKITE_ORGANIZATIONS/),
    })
  })

  it('with a bare 403 is explained by asking for the scopes of the token', async () => {
    const answer =
      (scopes: string[]) =>
      ({ path }: Seen) =>
        path.endsWith('/access-token') ? { json: { ...me, scopes } } : { status: 403, json: { message: 'Forbidden' } }
    const lacking = await start(answer(['read_user']))
    expect((await errorOf(askBuild(lacking.client))).message).toContain('lacks the scope read_builds')
    const addressed = await start(answer(['read_builds']))
    expect((await errorOf(askBuild(addressed.client))).message).toContain('IP addresses')
    const silent = await start(() => ({ status: 403, text: 'no' }))
    expect((await errorOf(askBuild(silent.client))).message).toContain('IP addresses')
  })

  it('never repeats the token, even when the server does', async () => {
    const { client } = await start(() => ({ status: 422, json: { message: `bad ${token}` } }))
    const error = await errorOf(askBuild(client))
    expect(`${error.stack} ${JSON.stringify(error)} ${client.lines}`).not.toContain(token)
  })
})
