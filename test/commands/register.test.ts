import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { mirroredEvents } from '../../src/buildkite/services.ts'
import { type Api, demoToken } from '../../src/simulator/api/api.ts'
import { MOST_WEBHOOKS } from '../../src/simulator/api/service-routes.ts'
import type { Services } from '../../src/simulator/model/services.ts'
import { createSimulation, type Simulation } from '../../src/simulator/simulation.ts'
import { runCommand } from '../support/service.ts'
import { until } from '../support/until.ts'

let simulation: Simulation
let api: Api
let services: Services

beforeEach(async () => {
  simulation = createSimulation({ seed: 5, pipelines: 3, organizations: ['acme'] })
  api = await simulation.startApi()
  const [organization] = simulation.truth.organizations
  if (!organization) throw new Error('The simulation has no organization.')
  services = simulation.truth.servicesOf(organization)
})
afterEach(() => simulation.stop())

const host = 'https://mirror.example.com'
const url = `${host}/webhooks/buildkite`

function register(args: readonly string[] = [], settings: Record<string, string> = {}, interrupted?: Promise<unknown>) {
  const reach = { BUILDKITE_API_URL: api.url, BUILDKITE_API_TOKEN: demoToken.token }
  const to = args.includes('--url') ? [] : ['--url', host]
  return runCommand(['register', ...to, ...args], { ...reach, ...settings }, interrupted)
}
const writes = () => api.requests.filter(({ method }) => method !== 'GET').map(({ kind }) => kind)
const only = () => {
  const [service, ...others] = services.all
  if (!service || others.length > 0) throw new Error(`There are ${services.all.length} services.`)
  return service
}

describe('register', () => {
  it('makes the webhook service with a secret of its own, which it prints once', async () => {
    const { code, stdout, stderr } = await register()
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    const [service] = [only()]
    expect(service).toMatchObject({
      enabled: true,
      scope: 'all',
      branch_configuration: '',
      provider: { id: 'webhook' },
    })
    expect(service.settings).toMatchObject({ url, token_mode: 'signature', events: [...mirroredEvents] })
    const [, printed] = /^ {2}WEBHOOK_SECRET=([0-9a-f]{64})$/m.exec(stdout) ?? []
    expect(printed).toBe(service.settings.token)
    expect(stdout.split(service.settings.token)).toHaveLength(2)
  })

  it('prints the new secret before Buildkite has it, in case the user interrupts it', async () => {
    api.beforeAnswer = ({ method }) => (method === 'POST' ? { kind: 'hang' } : undefined)
    const interrupted = until(() => api.count('create-service') > 0, 'the service is being made')
    const { code, stdout } = await register([], {}, interrupted)
    expect(code).toBe('SIGINT')
    expect(stdout).toMatch(/^ {2}WEBHOOK_SECRET=[0-9a-f]{64}$/m)
  })

  it('says that the secret is of no use when no service was made with it', async () => {
    api.beforeAnswer = ({ method }) => (method === 'POST' ? { kind: 'status', status: 422, message: 'no' } : undefined)
    const { code, stdout } = await register()
    expect(code).toBe(1)
    expect(stdout).toContain('no webhook service with the WEBHOOK_SECRET above')
  })

  it('says of a token that is refused what to do once, on a line of its own', async () => {
    api.tokens = []
    const { code, stdout, stderr } = await register()
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    const [fact, remedy, ...rest] = stderr.trimEnd().split('\n')
    expect(fact).toMatch(/^token: invalid_credentials: .*expired\.$/)
    expect(remedy).toMatch(/^Create a new token .* BUILDKITE_API_TOKEN to it\.$/)
    expect(rest).toEqual([])
  })

  it('reports an organization that is named and not visible, and registers the others', async () => {
    const { code, stderr } = await register([], { BUILDKITE_ORGANIZATIONS: 'nope,acme,more-*' })
    expect(code).toBe(1)
    expect(stderr).toMatch(/^nope: no_resources: BUILDKITE_ORGANIZATIONS names nope, which no token sees\..*\n$/)
    expect(services.all).toHaveLength(1)
    expect((await register(['--organization', 'acme'], { BUILDKITE_ORGANIZATIONS: 'nope,acme' })).code).toBe(0)
  })

  it('uses WEBHOOK_SECRET where there is one, and never prints it', async () => {
    const { code, stdout, stderr } = await register([], { WEBHOOK_SECRET: 'the-given-secret,the-older-secret' })
    expect(code).toBe(0)
    expect(only().settings.token).toBe('the-given-secret')
    expect(stdout + stderr).not.toContain('secret')
  })

  it('changes nothing when it is run again, with the secret or without', async () => {
    await register([], { WEBHOOK_SECRET: 'the-given-secret' })
    const before = JSON.stringify(services.all)
    api.forget()
    for (const settings of [{ WEBHOOK_SECRET: 'the-given-secret,the-older-secret' }, {}]) {
      const { code, stdout } = await register([], settings)
      expect(code).toBe(0)
      expect(stdout).toContain('nothing was changed')
      expect(stdout).not.toContain('the-given-secret')
    }
    expect(writes()).toEqual([])
    expect(JSON.stringify(services.all)).toBe(before)
  })

  it('corrects all that differs, and says what', async () => {
    await register()
    const service = only()
    const token = service.settings.token
    const [pipeline] = simulation.truth.pipelines
    Object.assign(service, {
      enabled: false,
      scope: 'some_projects',
      scope_uuids: [pipeline?.id],
      branch_configuration: 'main',
    })
    Object.assign(service.settings, {
      url: 'https://old.example.com/webhooks/buildkite',
      token_mode: 'token',
      events: ['ping', 'build.finished'],
    })
    const { code, stdout } = await register([], { WEBHOOK_SECRET: 'the-newer-secret' })
    expect(code).toBe(0)
    for (const text of [
      'old.example.com',
      'added build.scheduled',
      'branch filter: "main"',
      'some_projects (1) became all',
    ])
      expect(stdout).toContain(text)
    for (const text of ['token became signature', 'token: set to WEBHOOK_SECRET', 'enabled: it was disabled'])
      expect(stdout).toContain(text)
    expect(stdout).not.toContain(token)
    expect(service).toMatchObject({ enabled: true, scope: 'all', scope_uuids: [], branch_configuration: '' })
    expect(service.settings).toMatchObject({ url, token: 'the-newer-secret', token_mode: 'signature' })
    expect(new Set(service.settings.events)).toEqual(new Set(['ping', ...mirroredEvents]))
    api.forget()
    await register([], { WEBHOOK_SECRET: 'the-newer-secret' })
    expect(writes()).toEqual([])
  })

  it('limits the service to the pipelines that are named', async () => {
    const { code } = await register(['--pipelines', 'monolith,mobile'])
    expect(code).toBe(0)
    const named = simulation.truth.pipelines.filter(({ slug }) => ['monolith', 'mobile'].includes(slug))
    expect(only()).toMatchObject({ scope: 'some_projects', scope_uuids: named.map(({ id }) => id) })
    const unknown = await register(['--pipelines', 'monolith,mobbile'])
    expect(unknown).toMatchObject({ code: 2, stderr: expect.stringContaining('mobbile') })
  })

  it('only says what it would do when it is a dry run', async () => {
    const { code, stdout } = await register(['--dry-run'])
    expect(code).toBe(0)
    expect(stdout).toContain('Would create')
    expect(stdout).not.toContain('WEBHOOK_SECRET=')
    expect(services.all).toEqual([])
    expect(writes()).toEqual([])
  })

  it('speaks JSON', async () => {
    const { stdout } = await register(['--json'])
    expect(JSON.parse(stdout)).toMatchObject({
      organizations: [{ organization: 'acme', outcome: 'create', done: true }],
      webhook_secret: only().settings.token,
    })
  })

  it.each([
    [
      'the token lacks the scope',
      { scopes: demoToken.scopes.filter((scope) => !scope.includes('notification')) },
      'lacks the scope',
    ],
    ['its user may not', { admin: false }, 'administrator'],
  ])('says what to do by hand when %s', async (_why, change, reason) => {
    api.tokens = [{ ...demoToken, ...change }]
    const { code, stdout, stderr } = await register()
    expect(code).toBe(1)
    expect(stderr).toContain(reason)
    for (const text of [url, 'agent.stopped', 'HMAC signature', 'WEBHOOK_SECRET', 'write_notification_services'])
      expect(stdout).toContain(text)
    expect(services.all).toEqual([])
  })

  it('says what to do by hand, and which scopes it needs itself, when the token shows no organization', async () => {
    api.tokens = [{ ...demoToken, scopes: ['read_notification_services', 'write_notification_services'] }]
    const { code, stdout, stderr } = await register()
    expect(code).toBe(1)
    expect(stderr).toContain('token: invalid_permissions: The API token lacks the scope read_organizations.\n')
    expect(stderr + stdout).not.toContain('read_builds')
    for (const text of [url, 'read_organizations, read_notification_services and write', 'HMAC signature', 'Events: '])
      expect(stdout).toContain(text)
    const json = await register(['--json'])
    expect(JSON.parse(json.stdout)).toEqual({ organizations: [], webhook_secret: null })
    expect(json.stderr).toContain('lacks the scope read_organizations')
  })

  it('needs no more than the scopes that it names', async () => {
    const scopes = ['read_organizations', 'read_notification_services', 'write_notification_services']
    api.tokens = [{ ...demoToken, scopes }]
    const named = await register(['--pipelines', 'monolith'])
    expect(named).toMatchObject({ code: 1, stderr: 'acme: The API token lacks the scope read_pipelines.\n' })
    expect(named.stdout).toContain('Pipelines: monolith.')
    expect(services.all).toEqual([])
    expect(await register()).toMatchObject({ code: 0, stderr: '' })
    api.tokens = [{ ...demoToken, scopes: [...scopes, 'read_pipelines'] }]
    expect(await register(['--pipelines', 'monolith'])).toMatchObject({ code: 0, stderr: '' })
  })

  it('says what Buildkite finds fault with, and repeats no secret', async () => {
    const [first] = [await register().then(() => only())]
    for (let i = 1; i < MOST_WEBHOOKS; i++) {
      const copy = { ...first, id: `copy-${i}`, settings: { ...first.settings, url: `https://other.example.com/${i}` } }
      services.add(copy)
    }
    const full = await register(['--new', '--url', 'https://second.example.com'], {
      WEBHOOK_SECRET: 'the-given-secret',
    })
    expect(full).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('Validation Failed: base (too_many_webhooks)'),
    })
    api.beforeAnswer = ({ method }) =>
      method === 'PATCH' ? { kind: 'status', status: 422, message: 'the-given-secret is no good' } : undefined
    const refused = await register([], { WEBHOOK_SECRET: 'the-given-secret' })
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringContaining('HTTP 422') })
    expect(refused.stderr + refused.stdout).not.toContain('the-given-secret')
  })

  it('does not take over one of several with the same end of the URL unless one is named, and adds another with --new', async () => {
    await register()
    await register(['--new', '--url', 'https://staging.example.com'])
    expect(services.all.map(({ settings }) => new URL(settings.url).host)).toEqual([
      'mirror.example.com',
      'staging.example.com',
    ])
    const unsure = await register(['--url', 'https://third.example.com'])
    expect(unsure).toMatchObject({ code: 1, stdout: expect.stringContaining('Several webhook services') })
    expect((await register(['--url', 'https://staging.example.com/webhooks/buildkite/'])).stdout).toContain(
      'nothing was changed',
    )
  })

  describe("where another tool's webhook ends like ours", () => {
    const theirs = 'https://ci-dashboard.example.com/webhooks/buildkite?key=hidden'
    const token = 'the-token-of-the-dashboard'
    beforeEach(async () => {
      await register(['--url', 'https://ci-dashboard.example.com'], { WEBHOOK_SECRET: token })
      Object.assign(only(), { description: 'CI dashboard', branch_configuration: 'main' })
      only().settings.url = theirs
      api.forget()
    })

    it('leaves it, says what is there without its secrets, and asks', async () => {
      const before = JSON.stringify(services.all)
      const { code, stdout, stderr } = await register([], { WEBHOOK_SECRET: 'our-own-secret-here' })
      expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
      for (const text of [
        '"CI dashboard", https://ci-dashboard.example.com/webhooks/buildkite, enabled',
        '--replace',
        '--new',
      ])
        expect(stdout).toContain(text)
      for (const hidden of [token, 'hidden']) expect(stdout).not.toContain(hidden)
      expect(writes()).toEqual([])
      expect(JSON.stringify(services.all)).toBe(before)
    })

    it('takes it over with --replace, and knows it as ours from then on', async () => {
      const { code, stdout } = await register(['--replace'], { WEBHOOK_SECRET: 'our-own-secret-here' })
      expect(code).toBe(0)
      expect(stdout).toContain('description: "CI dashboard" became "buildkite-mirror"')
      expect(only()).toMatchObject({ description: 'buildkite-mirror', branch_configuration: '', settings: { url } })
      expect((await register([], { WEBHOOK_SECRET: 'our-own-secret-here' })).stdout).toContain('nothing was changed')
    })

    it('makes one beside it with --new', async () => {
      const before = JSON.stringify(only())
      expect((await register(['--new'], { WEBHOOK_SECRET: 'our-own-secret-here' })).code).toBe(0)
      expect(services.all.map(({ description }) => description)).toEqual(['CI dashboard', 'buildkite-mirror'])
      expect(JSON.stringify(services.all[0])).toBe(before)
      expect(await register(['--new', '--replace'])).toMatchObject({ code: 2 })
    })

    it('corrects one whose token is in WEBHOOK_SECRET, whatever it is called, and gives it the first token', async () => {
      const { code, stdout } = await register([], { WEBHOOK_SECRET: `the-newer-secret,${token}` })
      expect(code).toBe(0)
      expect(stdout).toContain('It is "CI dashboard"')
      expect(stdout).toContain('token: set to the first value of WEBHOOK_SECRET')
      expect(only()).toMatchObject({ description: 'CI dashboard', settings: { url, token: 'the-newer-secret' } })
    })
  })

  it.each([
    ['http://mirror.example.com', 'https://'],
    ['https://user:password@mirror.example.com', 'has a user'],
    ['https://mirror.example.com/?token=1', 'has a user'],
    ['https://mirror.example.com/webhooks/buildkite#', 'has a user'],
    ['https://mirror.example.com/webhooks/buildkite?', 'has a user'],
    ['mirror', 'not a URL'],
  ])('refuses --url %s', async (given, reason) => {
    const { code, stderr } = await register(['--url', given])
    expect(code).toBe(2)
    expect(stderr).toContain(reason)
    expect(stderr).not.toContain('password')
  })

  it('takes http for loopback, and a path before ours', async () => {
    await register(['--url', 'http://127.0.0.1:8080'])
    expect(only().settings.url).toBe('http://127.0.0.1:8080/webhooks/buildkite')
    await register(['--url', 'https://example.com/mirror/'])
    expect(only().settings.url).toBe('https://example.com/mirror/webhooks/buildkite')
  })
})
