import { sql } from 'drizzle-orm'
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest'
import { sign } from '../../src/buildkite/signature.ts'
import { WEBHOOK_PATH } from '../../src/buildkite/webhook-path.ts'
import { deliveries } from '../../src/database/schema.ts'
import { type ReceiverSettings, readRequest } from '../../src/webhooks/receive/read-request.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { buildPayload, deliveriesOf, type Stage, secret, setStage } from './stage.ts'

let database: TestDatabase
const stages: Stage[] = []
beforeAll(async () => {
  database = await createTestDatabase()
})
afterEach(async () => {
  for (const stage of stages) await stage.database.db.delete(deliveries)
  for (const stage of stages.splice(0)) await stage.close()
})
afterAll(() => database.drop())

async function receiver(settings: Partial<ReceiverSettings> = {}): Promise<Stage> {
  const stage = await setStage({ backend: 'postgres', databaseUrl: database.url, settings })
  stages.push(stage)
  return stage
}

describe('a signed delivery', () => {
  test('is answered 202 and is in the inbox, as of the time in its signature', async () => {
    const stage = await receiver()
    const payload = buildPayload()
    const body = JSON.stringify(payload)
    const at = Math.floor(Date.now() / 1000) * 1000 - 60_000
    const answer = await stage.post('build.running', body, {
      'x-buildkite-signature': sign(body, secret, at),
      'x-buildkite-request': 'r-1',
    })
    expect(answer.status).toBe(202)
    const [row, ...more] = await deliveriesOf(stage)
    expect(more).toEqual([])
    expect(row).toMatchObject({
      event: 'build.running',
      request_id: 'r-1',
      status: 'pending',
      observed_at: new Date(at),
    })
    expect(JSON.parse(row?.payload ?? '')).toEqual(payload)
  })

  test('sent again byte by byte is answered 202 and kept once', async () => {
    const stage = await receiver()
    const body = JSON.stringify(buildPayload())
    const header = { 'x-buildkite-signature': sign(body, secret, Date.now()) }
    for (let i = 0; i < 3; i += 1) expect((await stage.post('build.running', body, header)).status).toBe(202)
    expect(await deliveriesOf(stage)).toHaveLength(1)
    expect(stage.counted.get('deliveries_duplicate_total')).toBe(2)
  })

  test('replayed with other headers over HTTP is a duplicate, and its event is the signed one', async () => {
    const stage = await receiver()
    const url = await stage.app.listen({ host: '127.0.0.1', port: 0 })
    const body = JSON.stringify(buildPayload())
    const signature = sign(body, secret, Date.now())
    for (let i = 0; i < 20; i += 1) {
      const headers = {
        'content-type': 'application/json',
        'x-buildkite-event': `invented.${i}`,
        'x-buildkite-request': `r-${i}`,
        'x-buildkite-signature': signature,
      }
      expect((await fetch(url + WEBHOOK_PATH, { method: 'POST', headers, body })).status).toBe(202)
    }
    expect((await deliveriesOf(stage)).map((row) => row.event)).toEqual(['build.running'])
    expect(stage.counted.get('deliveries_duplicate_total')).toBe(19)
  })

  test('is accepted with any of several secrets', async () => {
    const stage = await receiver({ secrets: ['new', 'old'] })
    for (const each of ['new', 'old']) {
      const body = JSON.stringify(buildPayload())
      const answer = await stage.post('build.running', body, { 'x-buildkite-signature': sign(body, each, Date.now()) })
      expect(answer.status).toBe(202)
    }
  })

  test.each(['ping', 'build.invented', 'cluster_token.registration_blocked'])(
    'of the event %s is kept',
    async (event) => {
      const stage = await receiver()
      expect((await stage.post(event, { event, unheard: { of: [1] } })).status).toBe(202)
      expect((await deliveriesOf(stage)).map((row) => row.event)).toEqual([event])
    },
  )

  test('is kept without secrets, NUL characters and lone surrogates', async () => {
    const stage = await receiver()
    const payload = { ...buildPayload(), pipeline: { env: { KEY: 'canary' }, provider: { webhook_url: 'canary' } } }
    const body = JSON.stringify(payload).replace('"m"', '"a\\u0000b\\ud800c"')
    expect((await stage.post('build.running', body)).status).toBe(202)
    const [row] = await deliveriesOf(stage)
    expect(row?.payload).not.toContain('canary')
    expect(JSON.parse(row?.payload ?? '').build.message).toBe('ab\ufffdc')
  })

  test('is never refused because strangers knock', async () => {
    const stage = await receiver()
    const statuses = new Set<number>()
    for (let i = 0; i < 100; i += 1) {
      statuses.add((await stage.post('ping', {}, { 'x-buildkite-signature': undefined })).status)
    }
    expect(statuses).toEqual(new Set([401, 429]))
    expect((await stage.post('build.running', buildPayload())).status).toBe(202)
  })
})

describe('bad input', () => {
  const body = JSON.stringify(buildPayload())
  const now = () => Date.now()
  test.each<[string, () => Record<string, string | undefined>]>([
    ['no signature', () => ({ 'x-buildkite-signature': undefined })],
    ['a wrong secret', () => ({ 'x-buildkite-signature': sign(body, 'wrong', now()) })],
    ['a signature of other bytes', () => ({ 'x-buildkite-signature': sign(`${body} `, secret, now()) })],
    ['a time too old', () => ({ 'x-buildkite-signature': sign(body, secret, now() - 302_000) })],
    ['a time too far ahead', () => ({ 'x-buildkite-signature': sign(body, secret, now() + 302_000) })],
    ['a token instead', () => ({ 'x-buildkite-signature': undefined, 'x-buildkite-token': secret })],
    ['nonsense for a signature', () => ({ 'x-buildkite-signature': 'timestamp=x,signature=y' })],
  ])('with %s gets 401 without detail, and nothing is stored', async (_name, headers) => {
    const stage = await receiver()
    const answer = await stage.post('build.running', body, headers())
    expect(answer.status).toBe(401)
    expect(JSON.parse(answer.body)).toEqual({ error: 'unauthorized' })
    expect(await deliveriesOf(stage)).toEqual([])
  })

  test.each(['not json', '[1]', 'null', '"text"', ''])('that is %j, well signed, gets 400', async (text) => {
    const stage = await receiver()
    const answer = await stage.post('ping', text)
    expect(answer.status).toBe(400)
    expect(await deliveriesOf(stage)).toEqual([])
  })

  test('with more values than the bound is stored without its content and fails by name', async () => {
    const stage = await receiver()
    const pairs = Array.from({ length: 600_000 }, (_, n) => `"k${n}":${n}`).join(',')
    const answer = await stage.post('build.finished', `{"event":"build.finished","build":{"id":1},${pairs}}`)
    expect(answer.status).toBe(202)
    stage.work()
    await until(async () => (await deliveriesOf(stage)).some(({ status }) => status === 'failed'), 'it has failed')
    const [row] = (await deliveriesOf(stage)).filter(({ status }) => status === 'failed')
    expect(row).toMatchObject({ event: 'build.finished', payload: null })
    expect(row?.error).toBe('The payload has 600004 values, more than 50000. It was not stored; the API has its data.')
  })

  test('is not what a large payload of Buildkite is: much text, and ten thousand keys of meta-data', async () => {
    const stage = await receiver()
    const meta_data = Object.fromEntries(
      Array.from({ length: 10_000 }, (_, n) => [`key-${n}`, 'a, b, {c} '.repeat(20)]),
    )
    const { build, ...rest } = buildPayload({ number: 4_711 })
    const payload = { ...rest, build: { ...build, meta_data, message: 'a, [b], {c} "d" '.repeat(300_000) } }
    expect((await stage.post('build.running', payload)).status).toBe(202)
    const rows = await deliveriesOf(stage)
    expect(rows.find((row) => row.payload?.includes('4711'))?.error).toBeNull()
  })

  test('of a receiver whose database lacks the newest migration is stored, and needs no queue for that', async () => {
    const stage = await receiver()
    await stage.database.db.execute(sql`alter table sync.erased_people rename to not_yet`)
    expect((await stage.post('build.running', buildPayload({ number: 5 }))).status).toBe(202)
    await stage.database.db.execute(sql`alter table sync.not_yet rename to erased_people`)
    expect(stage.counted.get('deliveries_accepted_total postgres')).toBe(1)
  })

  test('of another content type gets 415, over 10 MiB 413', async () => {
    const stage = await receiver()
    expect((await stage.post('ping', body, { 'content-type': 'text/plain' })).status).toBe(415)
    const big = JSON.stringify({ text: 'x'.repeat(10 * 1024 * 1024) })
    expect((await stage.post('ping', big)).status).toBe(413)
    const fits = JSON.stringify({ text: 'x'.repeat(10 * 1024 * 1024 - 100) })
    expect((await stage.post('ping', fits)).status).toBe(202)
  })

  test('to a receiver without a secret gets 503 and the reason', async () => {
    const stage = await receiver({ secrets: [] })
    const answer = await stage.post('ping', {})
    expect(answer.status).toBe(503)
    expect(answer.body).toContain('WEBHOOK_SECRET')
    expect([stage.counted.get('webhook_requests_total off'), stage.counted.get('webhook_requests_total 503')]).toEqual([
      1,
      undefined,
    ])
    expect(await deliveriesOf(stage)).toEqual([])
  })
})

describe('in token mode', () => {
  test('the token is asked for, and a signature does not replace it', async () => {
    const stage = await receiver({ auth: 'token' })
    const token = { 'x-buildkite-signature': undefined, 'x-buildkite-token': secret }
    expect((await stage.post('ping', {}, token)).status).toBe(202)
    expect((await stage.post('ping', {}, { ...token, 'x-buildkite-token': 'wrong' })).status).toBe(401)
    expect((await stage.post('ping', {})).status).toBe(401)
  })

  test('equal bodies of different requests are different deliveries', async () => {
    const stage = await receiver({ auth: 'token' })
    const token = { 'x-buildkite-signature': undefined, 'x-buildkite-token': secret }
    for (const id of ['1', '2', '2']) await stage.post('ping', {}, { ...token, 'x-buildkite-request': id })
    expect(await deliveriesOf(stage)).toHaveLength(2)
  })
})

test('many requests at once share inserts and jobs', async () => {
  const stage = await receiver()
  const answers = await Promise.all(
    Array.from({ length: 300 }, (_, number) => stage.post('build.running', buildPayload({ number: number + 1 }))),
  )
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([202]))
  expect(await deliveriesOf(stage)).toHaveLength(300)
  expect((await stage.queues.depth()).deliveries.waiting).toBeLessThan(100)
})

test('the event is the body’s, else the header’s, else unknown', () => {
  const settings: ReceiverSettings = { secrets: [secret], auth: 'token', toleranceMs: 1, storeEnv: false }
  const read = (event: string | undefined, body: object) => {
    const raw = Buffer.from(JSON.stringify(body))
    const reading = readRequest({ raw, event, token: secret, signature: undefined, requestId: undefined }, settings, 0)
    return reading.ok ? reading.delivery.event : reading.error
  }
  expect(read('job.started', { event: 'job.finished' })).toBe('job.finished')
  expect(read('job.started', {})).toBe('job.started')
  expect(read('job.started', { event: 7 })).toBe('job.started')
  expect(read(undefined, {})).toBe('unknown')
})
