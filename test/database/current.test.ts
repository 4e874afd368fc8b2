import { expect, test } from 'vitest'
import { migrate, setUpRoles } from '../../src/database/migrations/migrate.ts'
import { createTestDatabase } from '../support/database.ts'
import { dumpSchema } from '../support/pg-dump.ts'

// When it fails after a change of the schema: npm run db:current writes the file again. Review what changed in it.
test('drizzle/current.sql is the schema of a new database with its roles', async ({ skip }) => {
  const database = await createTestDatabase({ empty: true })
  try {
    await setUpRoles(database.url)
    await migrate(database.url)
    const schema = await dumpSchema(database.url)
    if (schema === undefined) return skip('PostgreSQL 15 only')
    await expect(schema).toMatchFileSnapshot('../../drizzle/current.sql')
  } finally {
    await database.drop()
  }
})
