import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { organizations } from '../../src/database/schema.ts'
import type { Access } from '../../src/reconcile/access/access.ts'
import { discover } from '../../src/reconcile/access/discover.ts'
import { DAY, HOUR, MINUTE } from '../../src/runtime/time.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { accessOf } from './access-of.ts'
import { openScene, type Scene } from './scene.ts'

let scene: Scene
let access: Access

beforeEach(async () => {
  scene = await openScene({ organizations: ['acme', 'zenith'], pipelines: 1 })
})
afterEach(async () => {
  await access.close()
  await scene.close()
})

async function look(tokens?: readonly string[]) {
  access = accessOf(scene, tokens)
  return access.current()
}
const slugs = (discovery: { sources: readonly { slug: string }[] }) => discovery.sources.map(({ slug }) => slug).sort()

describe('access', () => {
  it('finds every organization of a token, and keeps them', async () => {
    access = accessOf(scene)
    const discovery = await discover(scene.deps, access)
    expect(slugs(discovery)).toEqual(['acme', 'zenith'])
    expect(discovery).toMatchObject({ problems: [], complete: true })
    const rows = await scene.database.db.select().from(organizations)
    expect(rows.map(({ slug }) => slug).sort()).toEqual(['acme', 'zenith'])
  })

  it('puts the organizations of several tokens together, each served by the first that can', async () => {
    const reader = { ...demoToken, organizations: ['acme'] }
    const other = { ...demoToken, token: 'other', uuid: 'other', user: 'grace' }
    scene.api.tokens = [reader, other]
    const discovery = await look([reader.token, other.token])
    expect(slugs(discovery)).toEqual(['acme', 'zenith'])
    expect(discovery.sources.find(({ slug }) => slug === 'acme')?.client).toBe(discovery.tokens[0]?.sources[0]?.client)
  })

  it('names a wrong token invalid_credentials', async () => {
    const { problems, sources, complete } = await look(['wrong'])
    expect(problems).toMatchObject([
      { subject: 'token', code: 'invalid_credentials', remedy: expect.stringMatching(/token/) },
    ])
    expect(sources).toEqual([])
    expect(complete).toBe(true)
  })

  it('names the scopes that are missing, and reads nothing with a token that cannot read builds', async () => {
    scene.api.tokens = [{ ...demoToken, scopes: ['read_organizations'] }]
    const { problems, sources } = await look()
    expect(problems).toMatchObject([
      { code: 'invalid_permissions', message: expect.stringMatching(/read_builds.*read_pipelines/) },
    ])
    expect(sources).toEqual([])
  })

  it('names a token that sees no organization no_resources', async () => {
    scene.api.tokens = [{ ...demoToken, organizations: [] }]
    expect((await look()).problems).toMatchObject([{ code: 'no_resources' }])
  })

  it('warns of a token that expires soon, and still uses it', async () => {
    scene.api.tokens = [{ ...demoToken, expiresAt: scene.simulation.clock.now() + 2 * DAY }]
    const { problems, sources } = await look()
    expect(problems).toMatchObject([{ code: 'expires_soon' }])
    expect(sources.length).toBe(2)
  })

  it('asks again after ten minutes when all is well, and costs nothing before', async () => {
    await look()
    scene.api.forget()
    scene.simulation.clock.pass(9 * MINUTE)
    await access.current()
    expect(scene.api.requests).toEqual([])
    scene.simulation.clock.pass(2 * MINUTE)
    await access.current()
    expect(scene.api.requests.length).toBe(2)
  })

  it('recovers within a minute after the token is fixed', async () => {
    scene.api.tokens = []
    expect((await look()).problems.length).toBe(1)
    scene.api.tokens = [demoToken]
    scene.simulation.clock.pass(MINUTE)
    expect(await access.current()).toMatchObject({ problems: [], sources: [{ slug: 'acme' }, { slug: 'zenith' }] })
  })

  it('keeps what it knew while Buildkite is down', async () => {
    await look()
    scene.api.beforeAnswer = () => ({ kind: 'html', status: 502 })
    scene.simulation.clock.pass(HOUR)
    const discovery = await access.current()
    expect(discovery).toMatchObject({ complete: false, problems: [{ code: 'unavailable' }] })
    expect(slugs(discovery)).toEqual(['acme', 'zenith'])
  })
})
