import { randomBytes } from 'node:crypto'
import postgres from 'postgres'
import { inject } from 'vitest'

/** A database of a test's own. */
export interface TestDatabase {
  readonly url: string
  /** Drops the database. Rejects when a connection to it was left open, naming whose: a leak is a fault. */
  drop(): Promise<void>
}

let count = 0

/** A fresh database with the schema in it (a copy of the run's template), or an empty one. Drop it in afterAll. */
export async function createTestDatabase(options: { empty?: boolean } = {}): Promise<TestDatabase> {
  const template = inject('templateDatabase')
  count += 1
  const name = template.replace('template', `${process.pid}_${count}_${randomBytes(3).toString('hex')}`)
  await asAdmin(async (sql) => {
    await sql.unsafe(`create database ${name} template ${options.empty ? 'template0' : template} strategy file_copy`)
    // As `check` tells operators to: compiling a plan takes 0.15 s, and each new pipeline has one to adopt its builds.
    await sql.unsafe(`alter database ${name} set jit = off`)
    // No test crashes this server: those that do have one of their own.
    await sql.unsafe(`alter database ${name} set synchronous_commit = off`)
  })
  const url = new URL(inject('postgresUrl'))
  url.pathname = `/${name}`
  return {
    url: url.href,
    async drop() {
      const left = await connectionsLeft(name)
      await asAdmin((sql) => sql.unsafe(`drop database if exists ${name} with (force)`))
      if (left.length > 0)
        throw new Error(`A test left connections open: ${left.join(', ')}. Close them before drop().`)
    },
  }
}

/** Runs `work` with a superuser's connection to the server's maintenance database. */
export async function asAdmin<T>(work: (sql: postgres.Sql) => Promise<T>): Promise<T> {
  const sql = postgres(inject('postgresUrl'), { max: 1, onnotice: () => {} })
  try {
    return await work(sql)
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** Names of the clients still connected to `database` after a moment's grace: the server notices a hang-up a little later. */
async function connectionsLeft(database: string): Promise<string[]> {
  const deadline = Date.now() + 3_000
  return asAdmin(async (sql) => {
    for (;;) {
      const rows = await sql<{ application_name: string }[]>`
        select application_name from pg_stat_activity where datname = ${database} and backend_type = 'client backend'`
      if (rows.length === 0 || Date.now() > deadline) return rows.map((row) => row.application_name || 'unnamed')
      await new Promise((again) => setTimeout(again, 25))
    }
  })
}
