import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { demoToken } from '../../src/demo/api.ts'
import { openScene, type Scene } from '../reconcile/scene.ts'
import { runCommand } from '../support/service.ts'

let scene: Scene
beforeEach(async () => {
  const clock = { now: () => Date.now(), pass: () => undefined }
  scene = await openScene({ clock, pipelines: 2, organizations: ['acme', 'globex'] })
  await scene.complete({ builds: 20, days: 3, jobs: 1 })
  // One token for each organization, and one whose days are over.
  const token = (name: string, slug: string, more = {}) => ({
    ...demoToken,
    token: name,
    user: name,
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

  it('is told of beside a token at fault, and is bad usage when it is what is asked for', async () => {
    const beside = await runCommand(['reconcile'], {
      ...settings('of-acme,over'),
      BUILDKITE_ORGANIZATIONS: 'nope,acme',
    })
    expect(beside.stderr).toMatch(/^token 2: invalid_credentials: .*\nnope: no_resources: /)
    expect(beside.code).toBe(1)
    expect((await runNamed('nope,acme', 'reconcile', '--organization', 'nope')).code).toBe(2)
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
