import { stripVTControlCharacters } from 'node:util'
import { expect, test } from 'vitest'
import { isWhole } from '../../src/commands/demo/comparison.ts'
import { picture, plainLine, proofLines, type Sight } from '../../src/commands/demo/view.ts'
import { paintFor } from '../../src/commands/shell/terminal.ts'

const plain = paintFor({ isTTY: false }, {})
const coloured = paintFor({ isTTY: true }, {})

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
      buildsInFlight: 1,
      jobsInFlight: 2,
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
  const text = picture(sight, plain).join('\n')
  expect(text).toContain('builds             3,000     2,900  ███████████████████░  150 behind')
  expect(text).toContain('jobs              20,000    20,000  ████████████████████  all')
  expect(text).toContain('1,000 sent, 5 refused; 100 more lost on purpose')
  expect(text).toContain('6, the last 4s ago; history: 9 of 10 parts read')
  expect(text).toContain('8 builds and 13 jobs before or without their webhook')
  expect(text).toContain('webhooks of 40 builds; 38 of these are complete again')
})

test('every line fits a terminal of 80 columns, with numbers of six digits too', () => {
  const many = Object.fromEntries(Object.keys(sight.comparison?.work ?? {}).map((key) => [key, 123_456]))
  const comparison = sight.comparison && {
    ...sight.comparison,
    kinds: [{ kind: 'jobs' as const, truth: 923_456, mirror: 123_456, behind: 800_000 }],
    work: { ...sight.comparison.work, ...many, lastCycleAt: new Date(5_000) },
    lost: { builds: 123_456, whole: 123_456 },
  }
  const webhooks = { sent: 923_456, dropped: 123_456, accepted: 0, answers: { 503: 123_456 } }
  const doing = 'settling: all builds have finished; the mirror heals what got lost'
  const lines = picture({ ...sight, comparison, webhooks, doing, elapsedMs: 3_725_000 }, coloured)
  expect(lines.filter((line) => stripVTControlCharacters(line).length > 79)).toEqual([])
  expect(lines.join('')).toContain('\x1b[')
})

test('the proof at the end says what is equal, and what was lost and healed', () => {
  expect(sight.comparison && proofLines(sight.comparison, sight.webhooks, plain)).toEqual([
    '✓ The mirror equals the simulated Buildkite: 3,000 builds, 20,000 jobs.',
    '✓ 100 webhooks of 40 builds were lost; all are healed.',
  ])
})

test('before there are tables the view says so', () => {
  const early = { ...sight, comparison: undefined }
  expect(picture(early, plain).join('\n')).toContain('The mirror has no tables yet.')
  expect(plainLine(early)).toContain('no tables yet')
})

test('a mirror is whole when nothing is behind, and not before it was looked at', () => {
  expect(isWhole(undefined)).toBe(false)
  expect(isWhole(sight.comparison)).toBe(false)
})
