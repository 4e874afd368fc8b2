import { inspect } from 'node:util'
import { afterEach, describe, expect, it } from 'vitest'
import type { WebhookService } from '../../src/buildkite/services.ts'
import { type Answered, closeAll, errorOf, start, token } from './stub.ts'

afterEach(closeAll)

const secret = 'the-token-of-the-webhook'
const home = '/v2/organizations/acme/services'

const shown = (id: string, change: Record<string, unknown> = {}) => ({
  id,
  provider: { id: 'webhook', name: 'Webhook' },
  description: 'ours',
  enabled: true,
  scope: 'all',
  scope_uuids: [],
  branch_configuration: '',
  settings: { url: 'https://example.com', token: secret, token_mode: 'signature', events: ['build.finished'] },
  ...change,
})
const page = (items: unknown[], next: string | null): Answered => ({ json: { items, links: { next } } })

describe('the notification services', () => {
  it('are read page by page at our own address, and those of other providers left out', async () => {
    const { client, stub } = await start(({ query }) =>
      query.get('after') === 'one'
        ? page([shown('two')], null)
        : page(
            [shown('one'), shown('chat', { provider: { id: 'slack' } })],
            `https://elsewhere.invalid/?after=one&api_key=${token}`,
          ),
    )
    const found = await client.services.webhooks('acme', 'hot')
    expect(found.map(({ id }) => id)).toEqual(['one', 'two'])
    expect(stub.seen.map(({ path }) => path)).toEqual([home, home])
    expect(stub.seen.every(({ query }) => !query.has('api_key'))).toBe(true)
  })

  it('have their token only as a question', async () => {
    const { client } = await start(() => page([shown('one'), shown('bare', { settings: {} })], null))
    const [service, bare] = await client.services.webhooks('acme', 'hot')
    expect(inspect(service, { depth: 9, showHidden: true }) + JSON.stringify(service)).not.toContain(secret)
    expect(service?.hasToken(['other', secret])).toBe(true)
    expect(service?.hasToken(['other'])).toBe(false)
    expect(bare).toMatchObject({ url: '', tokenMode: 'token', events: [] } satisfies Partial<WebhookService>)
    expect(bare?.hasToken([secret])).toBeUndefined()
  })

  it('are made once, even when the answer got lost, but changed and enabled again', async () => {
    const { client, stub } = await start(({ index, method }) =>
      method === 'POST' || index % 2 === 1 ? { status: 502, text: '<html>' } : { json: shown('one') },
    )
    const wish = { url: 'https://example.com', token: secret }
    expect(await errorOf(client.services.create('acme', wish))).toMatchObject({ code: 'unavailable', status: 502 })
    expect(stub.seen).toHaveLength(1)
    await client.services.change('acme', 'one', { branches: '' })
    await client.services.enable('acme', 'one')
    expect(stub.seen.slice(1).map(({ method, path }) => `${method} ${path}`)).toEqual([
      `PATCH ${home}/one`,
      `PATCH ${home}/one`,
      `PUT ${home}/one/enable`,
      `PUT ${home}/one/enable`,
    ])
  })

  it('wait out a 429 and then are made', async () => {
    const { client, stub } = await start(({ index }) =>
      index === 0 ? { status: 429, json: { message: 'wait', reset: 3 } } : { status: 201, json: shown('one') },
    )
    expect(await client.services.create('acme', { url: 'https://example.com' })).toMatchObject({ id: 'one' })
    expect(stub.seen).toHaveLength(2)
    expect(client.waited).toEqual([3_000])
  })

  it.each([
    [
      { status: 403, json: { message: "Your access token doesn't have the write_notification_services scope" } },
      'invalid_permissions',
      'lacks the scope write_notification_services',
    ],
    [
      { status: 403, json: { message: 'Forbidden' }, headers: { 'x-oauth-scopes': 'write_notification_services' } },
      'invalid_permissions',
      'Change Notification Services',
    ],
    [
      { status: 422, json: { message: `No: ${secret}`, errors: [{ field: 'settings.url', code: 'invalid' }] } },
      'unavailable',
      'No: …: settings.url (invalid)',
    ],
    [{ json: { id: 'one' } }, 'unavailable', 'a webhook service'],
  ])('%j is an error that tells no secret', async (answer, code, text) => {
    const { client } = await start(() => answer)
    const error = await errorOf(client.services.create('acme', { url: 'https://example.com', token: secret }))
    expect(error).toMatchObject({ code, message: expect.stringContaining(text) })
    expect(error.message + client.lines.join()).not.toContain(secret)
  })
})
