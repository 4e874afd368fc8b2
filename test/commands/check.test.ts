import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { demoToken } from '../../src/simulator/api/api.ts'
import { type CheckStage, openCheckRedis, openCheckStage, secret } from '../reconcile/checks-stage.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { runCommand } from '../support/service.ts'

let stage: CheckStage
let redis: RedisServer | undefined
beforeAll(async () => {
  redis = await openCheckRedis()
})
afterAll(() => redis?.stop())
beforeEach(async () => {
  stage = await openCheckStage(redis)
})
afterEach(() => stage.close())

const check = (...args: string[]) =>
  runCommand(['check', ...args], {
    BUILDKITE_API_URL: stage.scene.api.url,
    BUILDKITE_API_TOKEN: demoToken.token,
    DATABASE_URL: stage.scene.url,
    WEBHOOK_SECRET: secret,
    ...(stage.redis ? { REDIS_URL: stage.redis.url } : {}),
  })

describe('check', () => {
  it('finds nothing on a healthy set-up, and exits 0', async () => {
    const { code, stdout, stderr } = await check()
    expect(stderr).toBe('')
    expect(stdout).toContain('No problems found.')
    expect(stdout).not.toMatch(/^(warning|failed)/m)
    expect(stdout).not.toContain(secret)
    expect(code).toBe(0)
  })

  it('exits 0 with a warning, and 1 with a failure, each with its remedy', async () => {
    stage.service.branch_configuration = 'main'
    const warned = await check()
    expect(warned.code).toBe(0)
    expect(warned.stdout).toMatch(/^warning {2}webhook branches/m)
    expect(warned.stdout).toMatch(/webhook branches, acme \[webhook_branch_filter\]: Run buildkite-mirror register/)
    stage.service.enabled = false
    expect((await check()).code).toBe(1)
  })

  it('tells machines the names, and the codes of a refused token', async () => {
    stage.scene.api.tokens = []
    const { code, stdout } = await check('--json')
    expect(code).toBe(1)
    expect(JSON.parse(stdout)).toContainEqual({
      name: 'token_invalid',
      subject: 'token',
      result: 'failed',
      code: 'invalid_credentials',
      detail: expect.any(String),
      remedy: expect.any(String),
    })
  })

  it('sees pipelines with the eyes of the token, not of the mirror', async () => {
    for (const pipeline of stage.scene.simulation.truth.pipelines) stage.scene.simulation.truth.hidden.add(pipeline)
    const { code, stdout } = await check()
    expect(code).toBe(1)
    expect(stdout).toMatch(/^failed +pipelines visible +acme +no_resources: /m)
  })
})
