import { execFile } from 'node:child_process'
import { promisify } from 'node:util'
import { beforeAll, describe, expect, it } from 'vitest'
import { runCommand } from '../support/service.ts'

const execute = promisify(execFile)
let script: string

beforeAll(async () => {
  const { code, stdout } = await runCommand(['completion', 'bash'], {})
  expect(code).toBe(0)
  script = stdout
})

/** What bash offers for the last of `words`, asked the way readline asks. */
async function offered(...words: string[]): Promise<string[]> {
  const ask = `eval "$SCRIPT"; COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); $(complete -p buildkite-mirror | sed 's/.*-F \\([^ ]*\\).*/\\1/'); printf '%s\\n' "\${COMPREPLY[@]}"`
  const { stdout } = await execute('bash', ['--norc', '-c', ask, 'bash', 'buildkite-mirror', ...words], {
    env: { PATH: process.env.PATH ?? '', SCRIPT: script },
  })
  return stdout.split('\n').filter(Boolean)
}

describe('completion in bash', () => {
  it('offers every command that the help names', async () => {
    const { stdout } = await runCommand(['--help'], {})
    const names = [...(stdout.split('Settings')[0] ?? '').matchAll(/^ {2}([a-z-]+) {2}/gm)].map(
      ([, name]) => name ?? '',
    )
    expect(names.length).toBeGreaterThan(9)
    expect((await offered('')).sort()).toEqual([...names, '--help', '--version', 'help'].sort())
  })

  it.each([
    [['ver'], ['verify']],
    [['re'], ['reconcile', 'replay']],
    [['backfill', '--f'], ['--from']],
    [['backfill', '--from', ''], []],
    [
      ['verify', '--from', '2026-01-01', '--he'],
      ['--heal', '--help'],
    ],
    [
      ['completion', ''],
      ['bash', 'zsh', 'fish', '--help'],
    ],
    [['nonsense', ''], []],
  ])('after %j it offers %j', async (words, expected) => {
    expect(await offered(...words)).toEqual(expect.arrayContaining(expected))
    if (expected.length === 0) expect(await offered(...words)).toEqual([])
  })
})

describe('completion', () => {
  it.each(['zsh', 'fish'])('has a script for %s that names every command with its options', async (shell) => {
    const { code, stdout } = await runCommand(['completion', shell], {})
    expect(code).toBe(0)
    for (const word of ['serve', 'backfill', 'move', 'completion', 'organization']) expect(stdout).toContain(word)
  })

  it.each([[['completion']], [['completion', 'tcsh']]])('%j is bad usage, with the shells there are', async (args) => {
    const { code, stderr } = await runCommand(args, {})
    expect([code, stderr]).toEqual([2, 'Choose a shell: buildkite-mirror completion bash|zsh|fish.\n'])
  })
})

const noDate = (option: string, text: string) =>
  `--${option} is "${text}", which is not a date. Write it like 2026-01-31 or 2026-01-31T12:00:00Z.`

describe('what is typed wrong', () => {
  it.each<[string[], string]>([
    [['reconcil'], 'There is no command "reconcil". Did you mean reconcile? See buildkite-mirror --help.'],
    [['bakcfill'], 'There is no command "bakcfill". Did you mean backfill? See buildkite-mirror --help.'],
    [['x'], 'There is no command "x". See buildkite-mirror --help.'],
    [
      ['backfill', '--form', '2026-01-01'],
      'backfill has no option --form. Did you mean --from? See buildkite-mirror backfill --help.',
    ],
    [
      ['verify', '--org=a'],
      'verify has no option --org. Did you mean --organization? See buildkite-mirror verify --help.',
    ],
    [['status', '--zzz'], 'status has no option --zzz. See buildkite-mirror status --help.'],
    [
      ['move', '--to', 'postgres://u:hunter2@x/y'],
      '--to has a password, and every user of this machine can read the arguments of a command. ' +
        'Set DATABASE_URL, or DATABASE_URL_FILE, to the target instead, and leave out --to.',
    ],
    [
      ['move', '--to', 'mysql://u@x'],
      '--to is not a postgres: or postgresql: URL. Write it like postgres://user@host:5432/buildkite.',
    ],
    [
      ['move'],
      'The target is missing: set DATABASE_URL, or give --to postgres://user@host:5432/name (without a password).',
    ],
    [['status', 'now'], 'Unexpected argument "now". See buildkite-mirror status --help.'],
    [['backfill', '--from', '2026-02-30'], noDate('from', '2026-02-30')],
    [['verify', '--from', '2026-11-31'], noDate('from', '2026-11-31')],
    [['backfill', '--from', '2026-01-01', '--to', '2026-02-29T12:00:00Z'], noDate('to', '2026-02-29T12:00:00Z')],
    [['replay', '--since', '2026-04-31'], noDate('since', '2026-04-31')],
    [['backfill', '--from', '2026-01-01x'], noDate('from', '2026-01-01x')],
    [['backfill', '--from', 'yesterday'], noDate('from', 'yesterday')],
  ])('%j is answered with the remedy and exit code 2', async (args, answer) => {
    const { code, stdout, stderr } = await runCommand(args, {})
    expect({ code, stdout, stderr }).toEqual({ code: 2, stdout: '', stderr: `${answer}\n` })
  })
})
