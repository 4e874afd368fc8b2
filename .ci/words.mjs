// Fails on words and patterns that have no good use in this project, in everything that people read: see .ci/words.txt.

import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'

const patterns = readFileSync(new URL('words.txt', import.meta.url), 'utf8')
  .split('\n')
  .filter((line) => line && !line.startsWith('#'))
  .map((line) => {
    const [pattern, instead] = line.split(/\s+→\s+/)
    return { pattern: new RegExp(pattern, 'i'), instead }
  })
const read = [
  'src',
  'drizzle/functions',
  'drizzle/grants.sql',
  'drizzle/triggers',
  'drizzle/views',
  'test',
  'docs',
  'README.md',
  'CHANGELOG.md',
  '.github',
  '.ci/run',
  'docker-compose.yml',
  'Dockerfile',
]
const files = execFileSync('git', ['ls-files', ...read], { encoding: 'utf8' }).split('\n')
let hits = 0
const readable = files.filter((name) => /(\.(ts|mjs|sql|md|ya?ml|json)|run|Dockerfile)$/.test(name))
for (const file of readable) {
  readFileSync(file, 'utf8')
    .split('\n')
    .forEach((line, index) => {
      for (const { pattern, instead } of patterns) {
        const found = pattern.exec(line)
        if (!found) continue
        hits += 1
        console.error(`${file}:${index + 1}: "${found[0]}": ${instead}`)
      }
    })
}
if (hits > 0) console.error(`${hits} words of .ci/words.txt. Say it plainly, or remove a pattern that has a good use.`)
process.exitCode = hits > 0 ? 1 : 0
