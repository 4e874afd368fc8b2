import * as fc from 'fast-check'
import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'

let database: TestDatabase
let sql: postgres.Sql
beforeAll(async () => {
  database = await createTestDatabase()
  sql = postgres(database.url, { max: 1, onnotice: () => {} })
})
afterAll(async () => {
  await sql.end()
  await database.drop()
})

const value = async (expression: string) =>
  (await sql.unsafe<{ value: unknown }[]>(`select ${expression} as value`))[0]?.value

describe('a whole second', () => {
  test.each([
    [0, 0],
    [0.499, 0],
    [0.5, 1],
    [1.5, 2],
    [2.499, 2],
    [2147472000, 2147472000],
    [9e15, 2147483647],
  ])('of %d s is %i', async (seconds, whole) => {
    expect(await value(`analytics.whole_seconds(${seconds})`)).toBe(whole)
  })

  test('of nothing is nothing', async () => {
    expect(await value('analytics.whole_seconds(null)')).toBeNull()
  })
})

test('a histogram has each second once, in order, with its count; nulls are left out', async () => {
  expect(await value('(select analytics.histogram(x) from (values (20), (null), (10), (20), (3)) as v (x))')).toEqual([
    3, 1, 10, 1, 20, 2,
  ])
  expect(await value('(select analytics.histogram(x) from (values (null::integer)) as v (x))')).toEqual([])
})

describe('a percentile', () => {
  test.each([
    ['{10,1,20,1}', 0.5, 10],
    ['{10,1,20,1}', 0.51, 20],
    ['{1,1,2,1,3,1,4,1,5,1,6,1,7,1,8,1,9,1,10,1}', 0.9, 9],
    ['{1,1,2,1,3,1,4,1,5,1,6,1,7,1,8,1,9,1,10,1}', 0.95, 10],
    ['{7,1000000}', 0, 7],
    ['{7,1,8,999999}', 1, 8],
    ['{}', 0.5, null],
    [null, 0.5, null],
  ])('of %s at %d is %s', async (histogram, p, seconds) => {
    expect(await value(`analytics.percentile(${histogram === null ? 'null' : `'${histogram}'`}, ${p})`)).toBe(seconds)
  })
})

test('merged from any parts, percentiles are those of all values', async () => {
  const seconds = fc.integer({ min: 0, max: 60 })
  const parts = fc.array(fc.array(seconds, { maxLength: 30 }), { minLength: 1, maxLength: 12 })
  await fc.assert(
    fc.asyncProperty(parts, fc.integer({ min: 1, max: 100 }), async (lists, percent) => {
      const all = lists.flat().sort((a, b) => a - b)
      const expected = all[Math.ceil((percent * all.length) / 100) - 1] ?? null
      const [row] = await sql<{ merged: number | null; count: string }[]>`
        select analytics.percentile(analytics.merge_histograms(histogram), ${percent}::numeric / 100) as merged,
          analytics.histogram_count(analytics.merge_histograms(histogram)) as count
        from (
          select (select analytics.histogram(one::integer) from json_array_elements_text(list) as one) as histogram
          from json_array_elements(${JSON.stringify(lists)}::text::json) as list
        ) as parts`
      expect([row?.merged, Number(row?.count)]).toEqual([expected, all.length])
    }),
    { numRuns: 200, endOnFailure: true },
  )
})

test('merging many histograms stays exact and small', async () => {
  const [row] = await sql<{ merged: number[]; count: string }[]>`
    select analytics.merge_histograms(array[n % 7, 2, n % 100 + 7, 1]) as merged,
      analytics.histogram_count(analytics.merge_histograms(array[n % 7, 2, n % 100 + 7, 1])) as count
    from generate_series(1, 20000) as n`
  expect(row?.merged.length).toBe(2 * 107)
  expect(row?.count).toBe('60000')
})
