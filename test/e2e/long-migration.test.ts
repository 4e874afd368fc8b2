import postgres from 'postgres'
import { expect, test } from 'vitest'
import { createTestDatabase } from '../support/database.ts'
import { startService, untilService } from '../support/service.ts'

const secret = 'the-secret-of-migrations'

test('a service whose migration takes long accepts webhooks meanwhile', async () => {
  const database = await createTestDatabase()
  const sql = postgres(database.url, { max: 1, onnotice: () => {} })
  const settings = { DATABASE_URL: database.url, WEBHOOK_SECRET: secret, WEBHOOK_AUTH: 'token', ROLES: 'web' }
  await sql.begin(async (tx) => {
    // As another process does whose migration takes long.
    await tx`select pg_advisory_xact_lock(hashtextextended('buildkite-mirror migrate', 0))`
    const service = await startService(settings, false)
    try {
      await untilService(service, async () => (await fetch(`${service.publicUrl}/health/live`)).ok, 'it listens')
      const answer = await fetch(`${service.publicUrl}/webhooks/buildkite`, {
        method: 'POST',
        headers: { 'x-buildkite-token': secret, 'x-buildkite-event': 'ping', 'content-type': 'application/json' },
        body: '{"event":"ping"}',
      })
      expect(answer.status).toBe(202)
      expect(service.output()).not.toContain('"Started."')
    } finally {
      await service.stop()
    }
  })
  await sql.end({ timeout: 1 })
  await database.drop()
}, 120_000)
