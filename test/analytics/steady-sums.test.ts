import postgres from 'postgres'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { generateYear } from '../scale/generate.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let sql: postgres.Sql
beforeAll(async () => {
  database = await createTestDatabase()
  sql = postgres(database.url, { max: 1, onnotice: () => {} })
  await generateYear(sql, 4_000)
  await sql`insert into settings.deployment_rules (pipeline, branch, environment) values ('*', 'main', 'production')`
}, 60_000)
afterAll(async () => {
  await sql.end()
  await database.drop()
})

/** How often each table was read from end to end, and how many of its rows were looked at in any way, as Postgres counts them. */
async function reads() {
  await sql`select pg_stat_force_next_flush()`
  return sql<{ name: string; whole: number; rows: number }[]>`
    select relname as name, seq_scan::int as whole, (seq_tup_read + idx_tup_fetch)::int as rows
    from pg_stat_user_tables where schemaname = 'buildkite' and relname in ('builds', 'jobs') order by 1`
}

test("a day's sums are made from that day alone, whatever history lies around it", async () => {
  const day = (await sql<{ day: string }[]>`select (now() - interval '100 days')::date::text as day`)[0]?.day ?? ''
  const [builds, jobs] = await sql<{ n: number }[]>`
    select count(*)::int as n from buildkite.builds where created_at::date = ${day}
    union all select count(*)::int from buildkite.jobs where started_at::date = ${day}`
  const before = await reads()
  await sql`select sync.refresh_day(${day})`
  const after = await reads()
  expect(after.map(({ name, whole }) => [name, whole])).toEqual(before.map(({ name, whole }) => [name, whole]))
  const looked = after.map(({ rows }, index) => rows - (before[index]?.rows ?? 0))
  // A few looks at each, for a few kinds of sums: not one for each of the fifty pipelines that the rule names. A job is looked at for the
  // hour in which it starts and for the one in which it ends.
  expect(jobs?.n).toBeGreaterThan(50)
  expect(looked[1]).toBeLessThan(9 * (jobs?.n ?? 0))
  expect(looked[0]).toBeLessThan(15 * (builds?.n ?? 0) + 5 * (jobs?.n ?? 0))
  expect((await sql`select 1 from analytics.deployments where deployed_at::date = ${day}`).length).toBeGreaterThan(0)
})
