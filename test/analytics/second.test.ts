import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openStage, type Stage } from './second/stage.ts'

// A sample. More: test/analytics/second/seeds.test.ts, and npx tsx test/analytics/second/run.ts --seeds 1..50

let stage: Stage
beforeAll(async () => {
  stage = await openStage()
})
afterAll(() => stage.close())

describe('every row and column of analytics equals a second implementation, given only its definitions', () => {
  it.each([
    ['rest', 3],
    ['webhooks', 5],
    ['mixed', 2],
  ] as const)('of a history that came by %s, and changed (seed %i)', async (mode, seed) => {
    const { rows, differences } = await stage.compare(seed, [mode])
    expect(rows.get('builds')).toBeGreaterThan(10)
    expect(differences).toEqual([])
  })
})
