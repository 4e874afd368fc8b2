import { afterEach, describe, expect, it } from 'vitest'
import { memoryBudget } from '../../src/buildkite/http/budget.ts'
import { type Answered, askPipeline, closeAll, collect, errorOf, openBudget, start, token } from './stub.ts'

afterEach(closeAll)

describe('a 429', () => {
  it('makes the client wait for the reset of the exhausted limit and send the same request again, as often as necessary', async () => {
    const headers = {
      'RateLimit-Remaining': '50',
      'RateLimit-Reset': '9',
      'RateLimit-User-Remaining': '0',
      'RateLimit-User-Reset': '42',
    }
    const budget = openBudget()
    const { client, stub } = await start(
      ({ index }) => (index < 8 ? { status: 429, headers, json: {} } : { json: { id: 1 } }),
      { budget },
    )
    expect((await askPipeline(client))?.value).toEqual({ id: 1 })
    expect(client.waited).toEqual(Array(8).fill(42_000))
    expect(budget.takes.length).toBe(9)
    expect(new Set(stub.seen.map(({ path }) => path)).size).toBe(1)
  })

  it('stops every other call of the user until then', async () => {
    let now = Date.now()
    const wait = async (ms: number) => {
      now += ms
    }
    const budget = memoryBudget(1, () => now, wait)
    const begun = now
    const { client } = await start(
      ({ index }) => (index === 0 ? { status: 429, json: { scope: 'rest_user', reset: 30 } } : { json: {} }),
      { budget, wait },
    )
    await askPipeline(client)
    expect(now - begun).toBeGreaterThanOrEqual(30_000)
    expect(now - begun).toBeLessThan(33_000)
  })

  it('ends when the caller gives up', async () => {
    const abort = new AbortController()
    const wait = async () => abort.abort()
    const { client, stub } = await start(() => ({ status: 429, json: {} }), { wait })
    expect((await errorOf(client.build('acme', 'web', 7, 'hot', abort.signal))).name).toBe('AbortError')
    expect(stub.seen.length).toBe(1)
  })
})

describe('a fault', () => {
  const faults: [string, Answered][] = [
    ['a 500', { status: 500, json: { message: 'oops' } }],
    ['a 502 in HTML', { status: 502, text: '<html>Bad gateway</html>' }],
    ['HTML with status 200', { text: '<html>Sign in</html>' }],
    ['an empty answer', { text: '' }],
    [
      'a body that is cut off',
      (response) => {
        response.writeHead(200, { 'content-length': '100' })
        response.write('{"id":')
        setImmediate(() => response.destroy())
      },
    ],
    ['a connection that is closed', (response) => void response.destroy()],
    ['an answer that never comes', () => {}],
    [
      'an answer that never ends',
      (response) => {
        response.writeHead(200)
        response.write('{"id":')
      },
    ],
  ]

  // Long enough for a loaded machine to accept a connection; only answers that never end wait for it.
  const timeoutMs = 500

  it.each(faults)('such as %s is tried again', async (_name, fault) => {
    const { client } = await start(({ index }) => (index < 2 ? fault : { json: { id: 1 } }), { timeoutMs })
    expect((await askPipeline(client))?.value).toEqual({ id: 1 })
    expect(client.waited.length).toBe(2)
  })

  it.each(faults)('such as %s ends as "unavailable" after five retries', async (_name, fault) => {
    const { client, stub } = await start(() => fault, { timeoutMs })
    expect(await errorOf(askPipeline(client))).toMatchObject({ code: 'unavailable' })
    expect(stub.seen.length).toBe(6)
  })

  it('is retried with pauses that may double, none longer than its share', async () => {
    const { client } = await start(() => ({ status: 500 }), { backoffMs: 1_000 })
    await errorOf(askPipeline(client))
    for (const [index, ms] of client.waited.entries()) expect(ms).toBeLessThanOrEqual(1_000 * 2 ** index)
  })

  it('of a server that is not there says so', async () => {
    const { client, stub } = await start(() => ({ json: {} }))
    await stub.close()
    expect((await errorOf(askPipeline(client))).message).toMatch(/unreachable.*ECONNREFUSED/)
  })

  it('is raised for a clock that is days off, because the read has no usable time', async () => {
    const { client } = await start(() => ({ json: { id: 1 }, headers: { date: 'Fri, 31 Dec 9999 23:59:59 GMT' } }))
    const error = await errorOf(askPipeline(client))
    expect(error).toMatchObject({ name: 'BuildkiteError', code: 'unavailable' })
    expect(error.message).toMatch(/clock/)
  })

  it('has a message of one line, whatever the server says, without anything that looks like a token', async () => {
    const message = `No\r\nlevel:fatal \u0000 ${token} bkua_of_somebody_else`
    const { client } = await start(() => ({ status: 422, json: { message } }))
    const text = (await errorOf(askPipeline(client))).message
    expect(text).toMatch(/\(HTTP 422\)\. Its message: "No level:fatal .*"\.$/)
    expect(text).not.toMatch(/bkua_/)
  })

  it('of a list that goes on for ever without anything new ends', async () => {
    const link = { link: '<https://x.invalid/?page=2>; rel="next"' }
    const { client, stub } = await start(() => ({ json: [{ id: 'x' }, { name: 'of no id' }], headers: link }))
    for (const list of [client.organizations(), client.builds('a', { created_to: new Date() }, 'hot')]) {
      expect((await errorOf(collect(list))).message).toContain('a list that ends')
    }
    expect(stub.seen.length).toBeLessThan(300)
  })

  it('of a server that is no Buildkite says what to check', async () => {
    const { client } = await start(() => ({ json: { hello: 'world' } }))
    for (const work of [
      client.accessToken(),
      collect(client.organizations()),
      collect(client.builds('a', { created_to: new Date() }, 'hot')),
    ]) {
      expect((await errorOf(work)).message).toContain('BUILDKITE_API_URL')
    }
  })

  it('is never made of giving up: an abort ends the request at once', async () => {
    const abort = new AbortController()
    const { client, stub } = await start(() => () => abort.abort())
    expect((await errorOf(client.build('acme', 'web', 7, 'hot', abort.signal))).name).toBe('AbortError')
    expect(stub.seen.length).toBe(1)
  })

  it('is never made of closing: what is under way ends with an AbortError', async () => {
    const { client, stub } = await start(() => () => void client.close())
    expect((await errorOf(askPipeline(client))).name).toBe('AbortError')
    expect(stub.seen.length).toBe(1)
  })
})
