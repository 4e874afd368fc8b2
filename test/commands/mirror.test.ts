import { readdir, rm } from 'node:fs/promises'
import postgres from 'postgres'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { makeFolder } from '../support/folder.ts'
import { freePort } from '../support/free-port.ts'
import { runCommand } from '../support/service.ts'

let database: TestDatabase
let folder: string
beforeEach(async () => {
  database = await createTestDatabase({ empty: true })
  folder = await makeFolder('bkm-mirror-')
})
afterEach(async () => {
  await database.drop()
  await rm(folder, { recursive: true, force: true })
})

const schemas = async () => {
  const sql = postgres(database.url, { max: 1, onnotice: () => {} })
  const rows =
    await sql`select nspname from pg_namespace where nspname in ('buildkite', 'sync', 'analytics', 'drizzle')`
  await sql.end()
  return rows.length
}

describe.each([[['status']], [['replay', '--failed']]])('%s', (command) => {
  it('makes no mirror where there is none', async () => {
    const nowhere = await runCommand(command, { DATA_DIR: folder })
    expect(nowhere).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(`no mirror in DATA_DIR (${folder}),`),
    })
    expect(await readdir(folder)).toEqual([])
    const empty = await runCommand(command, { DATABASE_URL: database.url })
    expect(empty).toMatchObject({ code: 2, stderr: expect.stringContaining('There is no mirror in this database.') })
    expect(await schemas()).toBe(0)
  })

  it('brings none up to date, which may be a newer program than the service', async () => {
    expect(await runCommand(['migrate'], { DATABASE_URL: database.url })).toMatchObject({ code: 0 })
    const sql = postgres(database.url, { max: 1, onnotice: () => {} })
    await sql`delete from drizzle.__drizzle_migrations where id = (select max(id) from drizzle.__drizzle_migrations)`
    await sql.end()
    const behind = await runCommand(command, { DATABASE_URL: database.url })
    const said = 'The database needs 1 more migration for this version. Run buildkite-mirror migrate first.'
    expect(behind).toMatchObject({ code: 2, stderr: expect.stringContaining(said) })
  })

  it('says where it looked, without the password, when no database is there', async () => {
    const port = await freePort()
    const gone = await runCommand(command, { DATABASE_URL: `postgres://mirror:a-secret@127.0.0.1:${port}/ci` })
    expect(gone.code).toBe(1)
    expect(gone.stderr).toContain(`(ECONNREFUSED). Check DATABASE_URL (127.0.0.1:${port}/ci)`)
    expect(gone.stderr).not.toContain('a-secret')
  })
})
