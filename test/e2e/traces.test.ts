import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { wantsTraces } from '../../src/runtime/tracing.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { type CollectedSpan, type Collector, startCollector } from '../support/collector.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { freePort } from '../support/free-port.ts'
import { flushTestRedis, testQueueBackends, testRedisUrl } from '../support/redis.ts'
import { type ServiceProcess, startService } from '../support/service.ts'
import { until } from '../support/until.ts'

const secret = 'hunter2-of-the-traces'
const redis = testQueueBackends().includes('redis')

let home: TestDatabase
let simulation: Simulation
let apiUrl: string
let collector: Collector

beforeAll(async () => {
  home = await createTestDatabase()
  simulation = createSimulation({ seed: 5, stepMs: [1, 5] })
  const api = await simulation.startApi()
  apiUrl = api.url
  simulation.writeHistory({ builds: 30, days: 3 })
  collector = await startCollector()
})
afterAll(async () => {
  await simulation.stop()
  await collector.stop()
  if (redis) await flushTestRedis()
  await home.drop()
})

/** Makes the process name on its standard error each module of OpenTelemetry's that it loads. */
const tellLoading = () => {
  const hook = `export async function resolve(name, context, next) {
    const found = await next(name, context)
    if (found.url.includes('@opentelemetry/')) process._rawDebug('LOADED ' + found.url)
    return found
  }`
  const asUrl = (code: string) => `data:text/javascript;base64,${Buffer.from(code).toString('base64')}`
  return `--import ${asUrl(`import { register } from 'node:module'; register('${asUrl(hook)}')`)}`
}

const start = (settings: Record<string, string>) =>
  startService({
    DATABASE_URL: home.url,
    ...(redis ? { REDIS_URL: testRedisUrl() } : {}),
    BUILDKITE_API_URL: apiUrl,
    BUILDKITE_API_TOKEN: demoToken.token,
    WEBHOOK_SECRET: secret,
    WEBHOOK_TOLERANCE: '1d',
    RECONCILE_INTERVAL: '1s',
    API_BUDGET_SHARE: '1',
    NODE_OPTIONS: tellLoading(),
    ...settings,
  })

/** Lets builds live, and resolves when all their webhooks are answered. */
async function live(service: ServiceProcess): Promise<Record<string, number>> {
  const webhooks = simulation.startWebhooks({ url: `${service.publicUrl}/webhooks/buildkite`, secret })
  await simulation.play({ builds: 3 })
  await webhooks.settled()
  await webhooks.stop()
  return webhooks.stats.answers
}

const applied = async (service: ServiceProcess) => {
  const { deliveries } = (await service.status()) as { deliveries: { pending: number } | null }
  return deliveries?.pending === 0
}

describe('without an endpoint for traces', () => {
  it('the service works, and loads nothing of OpenTelemetry', async () => {
    const service = await start({ OTEL_SERVICE_NAME: 'mirror-of-acme', OTEL_TRACES_EXPORTER: 'otlp' })
    const answers = await live(service)
    await until(() => applied(service), 'all is applied', 30_000)
    expect(await service.stop()).toBe(0)
    expect(Object.keys(answers)).toEqual(['202'])
    expect(service.output()).not.toContain('LOADED')
  })

  it.each([
    [{}, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318' }, true],
    [{ OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: 'http://c:4318/v1/traces' }, true],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318', OTEL_SDK_DISABLED: 'true' }, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318', OTEL_TRACES_EXPORTER: 'none' }, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: 'http://c:4318', OTEL_TRACES_EXPORTER: 'otlp' }, true],
    [{ OTEL_TRACES_EXPORTER: 'otlp' }, false],
    [{ OTEL_EXPORTER_OTLP_ENDPOINT: '' }, false],
  ])('%o asks for traces: %s', (env, wanted) => expect(wantsTraces(env)).toBe(wanted))
})

describe('with an endpoint for traces', () => {
  const named = (name: string) => collector.spans.filter((span) => span.name === name)
  const parentOf = ({ traceId, parentSpanId }: CollectedSpan) =>
    collector.spans.find((span) => span.traceId === traceId && span.spanId === parentSpanId)

  beforeAll(async () => {
    const service = await start({
      OTEL_EXPORTER_OTLP_ENDPOINT: collector.url,
      OTEL_EXPORTER_OTLP_HEADERS: 'x-tenant=acme',
      OTEL_SERVICE_NAME: 'mirror-of-acme',
      OTEL_RESOURCE_ATTRIBUTES: 'deployment.environment=test',
      OTEL_BSP_SCHEDULE_DELAY: '100',
    })
    await live(service)
    await until(() => applied(service), 'all is applied', 30_000)
    await until(() => named('reconcile hot').some((span) => !span.failed), 'a cycle is traced', 30_000)
    await until(() => named('reconcile backfill').length > 0, 'the backfill is traced', 60_000)
    expect(await service.stop()).toBe(0)
    expect(service.output()).toContain('LOADED')
  })

  it('a webhook is one trace from its request through the queue to the merge', () => {
    const merges = named('merge').filter(({ attributes }) => attributes.via === 'webhook')
    const whole = merges.filter((merge) => {
      const apply = parentOf(merge)
      const request = apply && parentOf(apply)
      return apply?.name === 'deliveries apply' && request?.name === 'POST /webhooks/buildkite'
    })
    expect(whole.length).toBeGreaterThan(0)
    const [request] = named('POST /webhooks/buildkite')
    expect(request?.attributes).toMatchObject({
      'http.response.status_code': 202,
      'buildkite.event': expect.stringMatching(/^(build|job|agent)\./),
    })
    expect(named('inbox keep').every((keep) => parentOf(keep)?.name === 'POST /webhooks/buildkite')).toBe(true)
  })

  it('every request is continued, or linked to, by the job that its delivery went into', () => {
    const requests = named('POST /webhooks/buildkite')
    const followed = new Set(
      named('deliveries apply').flatMap(({ parentSpanId, links }) => [
        parentSpanId,
        ...links.map(({ spanId }) => spanId),
      ]),
    )
    expect(requests.filter(({ spanId }) => !followed.has(spanId))).toEqual([])
  })

  it('a cycle holds its requests to Buildkite and its merges, with what it found', () => {
    const children = (name: string) =>
      collector.spans.filter((span) => span.name === name && parentOf(span)?.name === 'reconcile hot')
    expect(children('GET /organizations/*/builds').length).toBeGreaterThan(2)
    expect(children('merge').length).toBeGreaterThan(0)
    const cycle = named('reconcile hot').find(({ attributes }) => attributes.requests !== undefined)
    expect(cycle?.attributes.organization).toBe(simulation.truth.organizations[0]?.slug)
    expect(named('GET /access-token').length).toBeGreaterThan(0)
  })

  it('follows the standard variables', () => {
    expect(collector.spans[0]?.resource).toMatchObject({
      'service.name': 'mirror-of-acme',
      'deployment.environment': 'test',
    })
    expect(collector.raw()).toContain('"x-tenant":"acme"')
  })

  it('tells no secret, no query and no payload', () => {
    const raw = collector.raw()
    expect(raw).not.toContain(secret)
    expect(raw).not.toContain(demoToken.token)
    expect(raw).not.toMatch(/\b(select|insert into|update) /i)
    expect(raw).not.toContain(new URL(home.url).pathname.slice(1))
    const messages = simulation.truth.builds.flatMap(({ message }) => (message && message.length > 8 ? [message] : []))
    expect(messages.length).toBeGreaterThan(10)
    expect(messages.filter((message) => raw.includes(message))).toEqual([])
  })
})

it('an unavailable collector loses spans and nothing else', async () => {
  const service = await start({
    OTEL_EXPORTER_OTLP_ENDPOINT: `http://127.0.0.1:${await freePort()}`,
    OTEL_BSP_SCHEDULE_DELAY: '100',
    OTEL_EXPORTER_OTLP_TIMEOUT: '500',
  })
  const answers = await live(service)
  await until(() => applied(service), 'all is applied', 30_000)
  await until(() => service.output().includes('could not be exported'), 'the loss is logged', 30_000)
  expect(await service.stop()).toBe(0)
  expect(Object.keys(answers)).toEqual(['202'])
})
