import { stripVTControlCharacters } from 'node:util'
import { describe, expect, it } from 'vitest'
import { isColoured, isLive, paintFor, progressLine, table } from '../../src/commands/shell/terminal.ts'
import { runCommand } from '../support/service.ts'

const terminal = { isTTY: true }
const pipe = { isTTY: false }

describe('colours', () => {
  it.each<[string, { isTTY: boolean }, Record<string, string>, boolean]>([
    ['a terminal has them', terminal, {}, true],
    ['a pipe has none', pipe, {}, false],
    ['NO_COLOR takes them away', terminal, { NO_COLOR: '1' }, false],
    ['an empty NO_COLOR does not', terminal, { NO_COLOR: '' }, true],
    ['a dumb terminal has none', terminal, { TERM: 'dumb' }, false],
    ['FORCE_COLOR puts them into a pipe', pipe, { FORCE_COLOR: '1' }, true],
    ['FORCE_COLOR overrules NO_COLOR', pipe, { FORCE_COLOR: '3', NO_COLOR: '1' }, true],
    ['FORCE_COLOR=0 takes them away', terminal, { FORCE_COLOR: '0' }, false],
  ])('%s', (_name, out, env, expected) => {
    expect(isColoured(out, env)).toBe(expected)
    expect(paintFor(out, env).red('x')).toBe(expected ? '\x1b[31mx\x1b[39m' : 'x')
  })

  it('are no matter of drawing over lines: that takes a terminal', () => {
    expect(isLive(pipe, { FORCE_COLOR: '1' })).toBe(false)
    expect(isLive(terminal, { TERM: 'dumb' })).toBe(false)
    expect(isLive(terminal, { NO_COLOR: '1' })).toBe(true)
  })

  it('reach the help through FORCE_COLOR, and change nothing but the look', async () => {
    const plain = await runCommand(['--help'], {})
    const coloured = await runCommand(['--help'], { FORCE_COLOR: '1' })
    expect(plain.stdout).not.toContain('\x1b')
    expect(coloured.stdout).toContain('\x1b[36mserve')
    expect(stripVTControlCharacters(coloured.stdout)).toBe(plain.stdout)
  })
})

describe('a table', () => {
  it('is aligned, whatever colours are in its cells', () => {
    const paint = paintFor(terminal, {})
    const rows = [
      ['name', 'state', 'n'],
      ['a', 'ok', '1'],
      ['longer', 'failed', '22'],
    ]
    const plain = 'name    state   n\na       ok      1\nlonger  failed  22'
    expect(table(rows)).toBe(plain)
    const coloured = table(
      rows.map(([name = '', state = '', n = '']) => [name, paint.green(state), n]),
      paint,
    )
    expect(coloured).toContain('\x1b[')
    expect(stripVTControlCharacters(coloured)).toBe(plain)
  })
})

describe('a line of progress', () => {
  it('says how far, of what, and how long still', () => {
    expect(progressLine('move', { done: 50, expected: 200, unit: 'rows of buildkite.jobs' }, 10_000, 8)).toBe(
      'move  ██░░░░░░  25%  50 of about 200 rows of buildkite.jobs  30s left',
    )
    expect(progressLine('acme', { done: 3, requests: 2, rateLeft: 9 }, 1_000, 0)).toBe(
      'acme  3 builds  2 requests  9 left this minute',
    )
  })
})
