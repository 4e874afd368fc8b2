import { expect, it } from 'vitest'
import { whereToLook } from '../../src/commands/serve.ts'
import { paintFor } from '../../src/commands/shell/terminal.ts'
import { readConfig } from '../../src/runtime/config.ts'

const plain = paintFor({ isTTY: false }, {})
const look = (env: Record<string, string>) => whereToLook(readConfig(env), 8080, 8081, plain)

it('serve ends its start with where to look, where webhooks go, how to query, and the next step', () => {
  expect(look({ WEBHOOK_SECRET: 's'.repeat(16), BUILDKITE_API_TOKEN: 'token' }).split('\n')).toEqual([
    '  Status page  http://127.0.0.1:8081/',
    '  Explore      http://127.0.0.1:8081/explore',
    '  Webhook URL  http://localhost:8080/webhooks/buildkite',
    '  SQL          psql "$(cat data/postgres.url)"',
    '  Next step    buildkite-mirror check',
  ])
})

it('the next step is the first thing that is missing', () => {
  expect(look({})).toContain('Next step    set BUILDKITE_API_TOKEN, or see it with data: buildkite-mirror demo')
  expect(look({ BUILDKITE_API_TOKEN: 'token' })).toContain('Next step    buildkite-mirror register --url')
  const worker = look({ BUILDKITE_API_TOKEN: 'token', ROLES: 'worker', DATABASE_URL: 'postgres://me@db/mirror' })
  expect(worker).toContain('SQL          psql "$DATABASE_URL"')
  expect(worker).not.toContain('Webhook URL')
})
