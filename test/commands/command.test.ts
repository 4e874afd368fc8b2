import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { type Command, commandHelp, parseMoment } from '../../src/commands/shell/command.ts'
import { completionOf } from '../../src/commands/shell/completion.ts'
import { paintFor } from '../../src/commands/shell/terminal.ts'

const read = (path: string) => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8')

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

describe('docs/reference/cli.md', () => {
  // When it fails after a change of a command: npm run docs:cli regenerates the page.
  it('shows the help of every command', async () => {
    const plain = paintFor(process.stdout, { NO_COLOR: '1' })
    const commands = await Promise.all(commandFiles().map(loadCommand))
    const table = commands.map(({ name, summary }) => `| [\`${name}\`](#${name}) | ${summary} |`)
    const helps = commands.map((one) => `### ${one.name}\n\n\`\`\`text\n${commandHelp(one, plain)}\`\`\`\n`)
    const blocks = {
      commands: ['| command | what it does |', '|---|---|', ...table].join('\n'),
      help: `\n${helps.join('\n')}`,
    }
    let page = read('docs/reference/cli.md')
    for (const [name, text] of Object.entries(blocks)) {
      const block = new RegExp(`<!-- ${name} -->\\n[\\s\\S]*?<!-- /${name} -->`)
      expect(page).toMatch(block)
      page = page.replace(block, () => `<!-- ${name} -->\n${text}\n<!-- /${name} -->`)
    }
    await expect(page).toMatchFileSnapshot('../../docs/reference/cli.md')
  })

  interface CommandFile {
    readonly name: string
    readonly path: string
    readonly exported: string
  }

  /** The commands in the order in which the program lists them, with their files. */
  function commandFiles(): CommandFile[] {
    const found = [
      ...read('src/cli.ts').matchAll(
        /^ {2}'?([\w-]+)'?: async \(\) => \(await import\('\.\/(commands\/[^']+)'\)\)\.(\w+)/gm,
      ),
    ]
    expect(found.length).toBeGreaterThan(10)
    return found.map(([, name = '', path = '', exported = '']) => ({ name, path, exported }))
  }

  async function loadCommand({ name, path, exported }: CommandFile): Promise<Command> {
    if (name === 'completion') return completionOf(async () => [])
    const file: Record<string, Command> = await import(/* @vite-ignore */ `../../src/${path}`)
    const command = file[exported]
    if (!command) throw new RangeError(`src/${path} exports no ${exported}.`)
    return command
  }
})
