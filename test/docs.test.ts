import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { findingNames } from '../src/reconcile/doctor/finding.ts'

const root = new URL('../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

/** Each `test/….test.ts` in a row of the table, with the title that follows it up to the cell's or the part's end. */
function namedTests(markdown: string): { path: string; title: string | undefined }[] {
  const cells = markdown.matchAll(/`(test\/[\w/-]+\.test\.ts)`(?:: ([^|;]+))?/g)
  return [...cells].map(([, path = '', title]) => ({ path, title: title?.trim() }))
}

describe('docs/operations/failure-modes.md', () => {
  const named = namedTests(read('docs/operations/failure-modes.md'))

  it('names tests that exist, in their words', () => {
    expect(named.length).toBeGreaterThan(25)
    const wrong = named.filter(({ path, title }) => {
      if (!existsSync(new URL(path, root))) return true
      return title !== undefined && !read(path).includes(title)
    })
    expect(wrong).toEqual([])
  })
})

describe('docs/how-it-works/05-completeness.md', () => {
  it('names tests that exist', () => {
    const named = [...read('docs/how-it-works/05-completeness.md').matchAll(/`(test\/[\w/-]+(?:\.test)?\.ts)`/g)].map(
      ([, path = '']) => path,
    )
    expect(named.length).toBeGreaterThan(8)
    expect(named.filter((path) => !existsSync(new URL(path, root)))).toEqual([])
  })
})

describe('.github/CONTRIBUTING.md', () => {
  const text = read('.github/CONTRIBUTING.md')

  it('names files and scripts that exist', () => {
    const paths = [...text.matchAll(/`((?:src|test|docs|drizzle)\/[\w./-]+)`/g)].map(([, path = '']) => path)
    expect(paths.length).toBeGreaterThan(15)
    expect(paths.filter((path) => !existsSync(new URL(path, root)))).toEqual([])
    const { scripts } = JSON.parse(read('package.json'))
    const named = [...text.matchAll(/npm run ([\w:]+)/g)].map(([, name = '']) => name)
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([])
  })
})

describe('README.md', () => {
  it('names every command', () => {
    const commands = readdirSync(new URL('src/commands', root))
      .filter((file) => /export const \w+: Command = \{/.test(read(`src/commands/${file}`)))
      .map((file) => file.replace('.ts', ''))
    expect(commands.length).toBeGreaterThan(7)
    expect(commands.filter((name) => !read('README.md').includes(`| \`${name}\` |`))).toEqual([])
  })
})

describe('docs/reference/checks.md', () => {
  it('lists every finding, in the words of the program', () => {
    const rows = [...read('docs/reference/checks.md').matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, name, about]) => [
      name,
      about,
    ])
    expect(rows).toEqual(Object.entries(findingNames))
  })
})
