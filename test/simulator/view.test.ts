import { expect, test } from 'vitest'
import { isWhole } from '../../src/commands/demo/comparison.ts'
import { picture, plainLine, type Sight } from '../../src/commands/demo/view.ts'

const sight: Sight = {
  elapsedMs: 65_000,
  doing: 'builds come and go',
  comparison: {
    kinds: [
      { kind: 'builds', truth: 3_000, mirror: 2_900, behind: 150 },
      { kind: 'jobs', truth: 20_000, mirror: 20_000, behind: 0 },
    ],
    work: {
      cycles: 6,
      lastCycleAt: new Date(5_000),
      buildsMissing: 3,
      buildsHealed: 4,
      jobsMissing: 5,
      jobsHealed: 6,
      windows: 10,
      windowsDone: 9,
    },
    lost: { builds: 40, whole: 38 },
  },
  webhooks: { sent: 1_000, dropped: 100, accepted: 990, answers: { 202: 990, 503: 4, error: 1 } },
  requests: { total: 77, limited: 0 },
  now: 9_000,
}

test('the picture shows the truth beside the mirror, and what was lost, found and healed', () => {
  const text = picture(sight).join('\n')
  expect(text).toContain('builds             3,000     2,900  ███████████████████░  150 behind')
  expect(text).toContain('jobs              20,000    20,000  ████████████████████  all')
  expect(text).toContain('1,000 sent, 990 accepted, 5 refused; 100 more lost on purpose')
  expect(text).toContain('6 cycles, the last 4s ago; backfill 9 of 10 windows')
  expect(text).toContain('3 builds and 5 jobs that were missing, 4 and 6 that were out of date')
  expect(text).toContain('lost webhooks were about 40 builds; 38 of these are complete')
})

test('before there are tables the view says so', () => {
  const early = { ...sight, comparison: undefined }
  expect(picture(early).join('\n')).toContain('The mirror has no tables yet.')
  expect(plainLine(early)).toContain('no tables yet')
})

test('a mirror is whole when nothing is behind, and not before it was looked at', () => {
  expect(isWhole(undefined)).toBe(false)
  expect(isWhole(sight.comparison)).toBe(false)
})
