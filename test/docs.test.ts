import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { checkNames } from '../src/diagnostics/finding.ts'

const root = new URL('../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')

/** Each `test/….test.ts` in a row of the table, with the title that follows it up to the cell's or the part's end. */
function namedTests(markdown: string): { path: string; title: string | undefined }[] {
  const cells = markdown.matchAll(/`(test\/[\w/-]+\.test\.ts)`(?:: ([^|;]+))?/g)
  return [...cells].map(([, path = '', title]) => ({ path, title: title?.trim() }))
}

/** The relative links of a page, code blocks excluded. */
function linksOf(markdown: string): string[] {
  const text = markdown.replace(/^```.*?^```/gms, '').replace(/`[^`\n]*`/g, '')
  return [...text.matchAll(/\]\(([^)\s]+)\)/g)].map(([, link = '']) => link).filter((link) => !/^\w+:/.test(link))
}

/** The anchors that GitHub gives to a page's headings. */
function anchorsOf(markdown: string): Set<string> {
  const headings = markdown.replace(/^```.*?^```/gms, '').matchAll(/^#+ (.+)$/gm)
  return new Set(
    [...headings].map(([, title = '']) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N}\s_-]/gu, '')
        .replaceAll(' ', '-'),
    ),
  )
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

describe('README.md', () => {
  it('is short', () => {
    expect(read('README.md').trimEnd().split('\n').length).toBeLessThanOrEqual(130)
  })
})

describe('every page', () => {
  const folders = ['.', '.github', 'docs']
  const pages = folders.flatMap((folder) =>
    readdirSync(new URL(`${folder}/`, root), { recursive: folder === 'docs', encoding: 'utf8' })
      .filter((name) => name.endsWith('.md'))
      .map((name) => (folder === '.' ? name : `${folder}/${name}`)),
  )

  it.each(pages)('%s links only to files and headings that exist', (page) => {
    const broken = linksOf(read(page)).filter((link) => {
      const [path = '', anchor] = link.split('#')
      const target = path === '' ? new URL(page, root) : new URL(path, new URL(page, root))
      if (!existsSync(target)) return true
      return anchor !== undefined && !anchorsOf(readFileSync(target, 'utf8')).has(anchor)
    })
    expect(broken).toEqual([])
  })

  const { scripts } = JSON.parse(read('package.json'))

  it.each(pages)('%s names only files and scripts that exist', (page) => {
    const text = read(page)
    const paths = [...text.matchAll(/`((?:src|test|docs|drizzle|\.ci)\/[\w./-]*)`/g)].map(([, path = '']) => path)
    expect(paths.filter((path) => !existsSync(new URL(path, root)))).toEqual([])
    const named = [...text.matchAll(/npm\s+run\s+(\w[\w:-]*)/g)].map(([, name = '']) => name)
    expect(named.filter((name) => !Object.hasOwn(scripts, name))).toEqual([])
  })
})

describe('docs/reference/checks.md', () => {
  it('lists every finding, in the words of the program', () => {
    const rows = [...read('docs/reference/checks.md').matchAll(/^\| `(\w+)` \| (.*) \|$/gm)].map(([, name, about]) => [
      name,
      about,
    ])
    expect(rows).toEqual(Object.entries(checkNames))
  })
})
