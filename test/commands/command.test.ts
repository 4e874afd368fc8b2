import { describe, expect, it } from 'vitest'
import { parseMoment } from '../../src/commands/shell/command.ts'

describe('a day or a moment', () => {
  it.each([
    ['2026-01-31', '2026-01-31T00:00:00.000Z'],
    ['2024-02-29', '2024-02-29T00:00:00.000Z'],
    ['2026-01-31T12:00:00Z', '2026-01-31T12:00:00.000Z'],
    ['2026-01-31 23:30:00+00', '2026-01-31T23:30:00.000Z'],
    ['2026-01-31T23:30:00-05:00', '2026-02-01T04:30:00.000Z'],
  ])('%s is %s', (text, moment) => {
    expect(parseMoment('from', text).toISOString()).toBe(moment)
  })

  it.each(['2026-02-29', '2026-13-01', '2026-00-10', '2026-02-30 10:00', '2026-01-31T25:00:00Z', '31.1.2026', ''])(
    '%j is none',
    (text) => {
      expect(() => parseMoment('from', text)).toThrow(`--from is "${text}", which is not a date.`)
    },
  )
})
