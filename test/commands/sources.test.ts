import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { demoToken } from '../../src/simulator/api/api.ts'
import { startBuild } from '../../src/simulator/lifecycle/build-lifecycle.ts'
import { openScene, type Scene } from '../reconcile/scene.ts'
import { runCommand } from '../support/service.ts'

let scene: Scene
beforeEach(async () => {
  const clock = { now: () => Date.now(), pass: () => undefined }
  scene = await openScene({ clock, pipelines: 2, organizations: ['acme', 'globex'] })
  // As the same user as the commands: the first list of another user confirms nothing, and a backfill waits for two minutes.
  await scene.source.client.accessToken()
  await scene.complete({ builds: 20, days: 3, jobs: 1 })
  // One token for each organization, and one whose days are over.
  const token = (name: string, slug: string, more = {}) => ({
    ...demoToken,
    token: name,
    organizations: [slug],
    ...more,
  })
  const expired = { expiresAt: Date.now() - 1_000 }
  scene.api.tokens = [token('of-acme', 'acme'), token('of-globex', 'globex'), token('over', 'globex', expired)]
})
afterEach(() => scene.close())

const settings = (tokens: string) => ({
  BUILDKITE_API_URL: scene.api.url,
  BUILDKITE_API_TOKEN: tokens,
  DATABASE_URL: scene.url,
})
const run = (command: string, tokens: string, ...args: string[]) => runCommand([command, ...args], settings(tokens))

describe('a command that reads Buildkite', () => {
  it.each(['verify', 'backfill', 'reconcile'])(
    '%s exits 1 when one of the tokens is refused, for organizations may be left out',
    async (command) => {
      const { code, stdout, stderr } = await run(command, 'of-acme,over')
      expect(stdout).toContain('acme')
      expect(stderr).toMatch(/^token 2: invalid_credentials: /m)
      expect(code).toBe(1)
    },
  )

  it('exits 0 when every token does, also when one soon expires', async () => {
    const soon = scene.api.tokens.find(({ token }) => token === 'of-globex')
    if (soon) soon.expiresAt = Date.now() + 60_000
    const { code, stderr } = await run('reconcile', 'of-acme,of-globex')
    expect(stderr).toMatch(/^token 2: expires_soon: /m)
    expect(code).toBe(0)
  })

  it('exits 0 of the one organization asked for when the token at fault is another, and 1 when it may be its own', async () => {
    const acme = ['--organization', 'acme']
    expect((await run('reconcile', 'of-acme,over', ...acme)).code).toBe(0)
    expect((await run('reconcile', 'over,of-acme', ...acme)).code).toBe(1)
    const short = scene.api.tokens.find(({ token }) => token === 'of-globex')
    if (short) short.scopes = short.scopes.filter((scope) => scope !== 'read_builds')
    expect((await run('reconcile', 'of-globex,of-acme', ...acme)).code).toBe(0)
    expect((await run('reconcile', 'of-globex,of-acme')).code).toBe(1)
  })
})

describe('an organization that Buildkite refuses', () => {
  const both = 'of-acme,of-globex'
  const refuse = (path: string) => {
    scene.api.beforeAnswer = (request) =>
      request.path.startsWith(`/organizations/acme${path}`)
        ? { kind: 'status', status: 403, message: 'Forbidden' }
        : undefined
  }

  it.each(['verify', 'backfill', 'reconcile'])('is named by %s, which does the others and exits 1', async (command) => {
    refuse('')
    const { code, stdout, stderr } = await run(command, both)
    expect(stderr.match(/^acme: .*/gm)).toEqual([expect.stringContaining('acme: invalid_permissions: ')])
    expect(stdout).toContain('globex')
    expect(code).toBe(1)
  })

  it.each(['verify', 'backfill', 'reconcile'])('has an error and no values in the JSON of %s', async (command) => {
    refuse('/builds')
    const { code, stdout } = await run(command, both, '--json')
    const [acme, globex, ...others] = JSON.parse(stdout)
    const error = { code: 'invalid_permissions', message: expect.any(String), remedy: expect.any(String) }
    expect(acme).toMatchObject({ organization: 'acme', requests: null, error })
    expect(globex).toMatchObject({ organization: 'globex', requests: expect.any(Number), error: null })
    expect(Object.keys(acme)).toEqual(Object.keys(globex))
    expect({ code, others }).toEqual({ code: 1, others: [] })
  })

  it.each(['backfill', 'reconcile'])(
    'is still read by %s when only its list of pipelines cannot be',
    async (command) => {
      // The same token has listed the pipelines before: another one may see others, so that nothing is read before that.
      expect((await run('reconcile', both)).code).toBe(0)
      refuse('/pipelines')
      const { code, stdout } = await run(command, both, '--json')
      const [acme] = JSON.parse(stdout)
      expect(acme).toMatchObject({ requests: expect.any(Number), error: { code: 'invalid_permissions' } })
      expect(code).toBe(1)
    },
  )
})

describe('verify', () => {
  const acme = ['--organization', 'acme']

  it('does not report an empty mirror as equal to Buildkite', async () => {
    const everywhere = scene.simulation.truth.builds
    for (const build of everywhere) Object.assign(build, { id: `no-uuid-${build.number}` })
    await scene.database.db.execute(sql`truncate buildkite.builds, buildkite.jobs`)
    const { code, stdout } = await run('verify', 'of-acme', ...acme)
    const mine = everywhere.filter(({ url }) => url.includes('/acme/'))
    expect(stdout).toContain(`acme: 0 builds and 0 jobs compared in 1 requests: ${mine.length} unreadable.`)
    expect(stdout).toContain(`${mine[0]?.pipeline.slug}#${mine[0]?.number}`)
    expect(stdout).not.toContain('no difference')
    expect(code).toBe(1)
  })

  it('exits 0 with builds in flight, and reports their number', async () => {
    const [pipeline] = scene.simulation.truth.pipelines
    if (!pipeline) throw new Error('There is no pipeline.')
    const build = startBuild(scene.simulation.truth, pipeline, Date.now(), scene.simulation.mix)
    const settled = { ...settings('of-acme'), RECONCILE_INTERVAL: '1s' }
    const { code, stdout } = await runCommand(['verify', ...acme], settled)
    expect(stdout).toMatch(/^acme: .*: no difference; 1 builds and \d+ jobs in flight\.$/m)
    expect(code).toBe(0)
    const json = await runCommand(['verify', ...acme, '--json'], settled)
    expect(JSON.parse(json.stdout)).toMatchObject([
      {
        builds_in_flight: 1,
        jobs_in_flight: build.jobs.length,
        different: 0,
        healed: 0,
        findings: [],
        unreadable: [],
        error: null,
      },
    ])
    // Healing writes it, and so needs no second look.
    const healed = await run('verify', 'of-acme', ...acme, '--heal')
    expect(healed.stdout).toMatch(/: no difference\.$/m)
  })
})

describe('an organization that BUILDKITE_ORGANIZATIONS names and no token sees', () => {
  const runNamed = (names: string, command: string, ...args: string[]) =>
    runCommand([command, ...args], { ...settings('of-acme'), BUILDKITE_ORGANIZATIONS: names })

  it.each(['verify', 'backfill', 'reconcile'])('is named by %s, which does the others and exits 1', async (command) => {
    const { code, stdout, stderr } = await runNamed('nope,acme', command)
    expect(stdout).toContain('acme')
    expect(stderr).toBe(
      'nope: no_resources: BUILDKITE_ORGANIZATIONS names nope, which no token sees. ' +
        'Check the spelling, and that the token is granted to the organization and its user is a member.\n',
    )
    expect(code).toBe(1)
  })

  it('is not complained of when it is a glob, or when another one is asked for', async () => {
    expect(await runNamed('nope*,acme', 'reconcile')).toMatchObject({ code: 0, stderr: '' })
    expect(await runNamed('nope,acme', 'reconcile', '--organization', 'acme')).toMatchObject({ code: 0, stderr: '' })
  })

  it('is reported beside a faulty token, and is bad usage when --organization names it', async () => {
    const beside = await runCommand(['reconcile'], {
      ...settings('of-acme,over'),
      BUILDKITE_ORGANIZATIONS: 'nope,acme',
    })
    expect(beside.stderr).toMatch(/^token 2: invalid_credentials: .*\nnope: no_resources: /)
    expect(beside.code).toBe(1)
    expect((await runNamed('nope,acme', 'reconcile', '--organization', 'nope')).code).toBe(2)
  })
})

describe('verify of a pipeline', () => {
  const both = 'of-acme,of-globex'

  it('reads the organizations that have it and leaves out those that do not', async () => {
    const { truth } = scene.simulation
    const globex = truth.organization('globex')
    const added = globex && truth.addPipeline(globex, Date.now())
    const { code, stdout, stderr } = await run('verify', both, '--pipeline', added?.slug ?? '')
    expect(stdout).toMatch(/^globex: 0 builds and 0 jobs compared in 1 requests: no difference\.$/m)
    expect({ code, stderr, others: stdout.includes('acme:') }).toEqual({ code: 0, stderr: '', others: false })
  })

  it.each([
    ['that there is not', 'nope', 'no token sees in acme, globex. Check the spelling'],
    ['that is mistyped', 'monolit', 'no token sees in acme, globex. Did you mean monolith?'],
  ])('%s is bad usage, reported before any build is read', async (_what, slug, words) => {
    scene.api.forget()
    const { code, stdout, stderr } = await run('verify', both, '--pipeline', slug)
    expect({ code, stdout }).toEqual({ code: 2, stdout: '' })
    expect(stderr).toContain(`--pipeline is "${slug}", which ${words}`)
    expect(scene.api.count('builds')).toBe(0)
  })

  it('that is not mirrored is bad usage', async () => {
    const excluding = { ...settings('of-acme'), PIPELINES_EXCLUDE: 'mono*' }
    const { code, stderr } = await runCommand(['verify', '--pipeline', 'monolith'], excluding)
    expect(stderr).toBe(
      '--pipeline is "monolith", which is not mirrored. Check PIPELINES_INCLUDE and PIPELINES_EXCLUDE.\n',
    )
    expect(code).toBe(2)
  })

  it('reads its builds also when the token may not list pipelines, and exits 1 for that', async () => {
    const short = scene.api.tokens.find(({ token }) => token === 'of-acme')
    if (short) short.scopes = short.scopes.filter((scope) => scope !== 'read_pipelines')
    const { code, stdout, stderr } = await run('verify', 'of-acme', '--pipeline', 'monolith')
    expect(stdout).toMatch(/^acme: [1-9]\d* builds .*: no difference\.$/m)
    expect(stderr).toMatch(/^token: invalid_permissions: .*read_pipelines/)
    expect(code).toBe(1)
  })
})

describe('a build that Postgres would not take', () => {
  it.each(['reconcile', 'backfill'])('is named by %s, which exits 1', async (command) => {
    await scene.database.db.execute(
      sql`alter table buildkite.builds add constraint no_poison check (message is distinct from 'poison')`,
    )
    const poison = scene.simulation.startBuild()
    poison.message = 'poison'
    const { code, stderr } = await run(command, 'of-acme,of-globex')
    expect(stderr).toContain(`1 build could not be stored: ${poison.id}.`)
    expect(code).toBe(1)
  })
})
