import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import os from 'node:os'
import { parseArgs } from 'node:util'
import { accept } from './accept.ts'
import { apply } from './apply.ts'
import { backfill } from './backfill.ts'
import type { Bench, Row } from './bench.ts'
import { freshness } from './freshness.ts'
import { outage } from './outage.ts'
import { scale } from './scale.ts'
import { size } from './size.ts'
import { soak } from './soak.ts'
import { openStores, type Stores } from './stores.ts'
import { bytes } from './words.ts'

// npm run bench [-- --quick] [--only accept,apply] [--most 100000] [--minutes 60] [--write] [--keep]
// Starts what it needs, measures the service against the limit of this machine in the same run, and prints one table. Nothing here
// passes or fails: a figure is to be read beside its limit. --write puts the table into docs/benchmarks.md,
// --most bounds the histories, in builds, --minutes the soak; --keep leaves the history of a million builds for the next run.

const courses: Record<string, (bench: Bench) => Promise<Row[]>> = {
  accept,
  apply,
  freshness,
  outage,
  scale,
  size,
  backfill,
  soak,
}
const { values } = parseArgs({
  options: {
    quick: { type: 'boolean' },
    only: { type: 'string' },
    write: { type: 'boolean' },
    keep: { type: 'boolean' },
    most: { type: 'string' },
    minutes: { type: 'string' },
  },
})
// The soak takes an hour, and one short round does not show the effect of more processes.
const apart = values.quick ? ['soak', 'scale'] : ['soak']
const chosen = values.only?.split(',') ?? Object.keys(courses).filter((name) => !apart.includes(name))
const unknown = chosen.filter((name) => !courses[name])
if (unknown.length > 0) {
  process.stderr.write(`There is no course ${unknown.join(', ')}. There are: ${Object.keys(courses).join(', ')}.\n`)
  process.exit(2)
}

const most = Number(values.most ?? 1_000_000)
if (!(most >= 1_000)) {
  process.stderr.write(`--most is "${values.most}". Use a number of builds, 1000 or more.\n`)
  process.exit(2)
}

const minutes = Number(values.minutes ?? 60)
if (!(minutes >= 1)) {
  process.stderr.write(`--minutes is "${values.minutes}". Use a number of minutes, 1 or more.\n`)
  process.exit(2)
}

const begun = Date.now()
const say = (text: string) => process.stderr.write(`${Math.round((Date.now() - begun) / 1_000)} s  ${text}\n`)
const stores = await openStores()
const bench: Bench = { stores, quick: values.quick === true, keep: values.keep === true, most, minutes, say }
const rows: Row[] = []
try {
  for (const name of chosen) {
    rows.push(...((await courses[name]?.(bench)) ?? []))
    // After each course, so that a run cut short leaves what it has measured.
    if (values.write) keep(page(rows, stores))
  }
} finally {
  await stores.stop()
}
process.stdout.write(page(rows, stores))

/** Puts the table into docs/benchmarks.md, between its marks. */
function keep(table: string): void {
  const file = new URL('../../docs/benchmarks.md', import.meta.url)
  const before = readFileSync(file, 'utf8')
  writeFileSync(
    file,
    before.replace(/(<!-- table -->\n).*(<!-- \/table -->)/s, (_, open, close) => `${open}${table}${close}`),
  )
}

function verdict(reached: boolean | undefined): string {
  if (reached === undefined) return '–'
  return reached ? 'yes' : '**no**'
}

function page(found: readonly Row[], { postgres }: Stores): string {
  const cpus = os.cpus()
  const lines = found.map(({ course, what, ours, limit, result, reach, reached }) =>
    ['', course, what, ours, limit, result, reach, verdict(reached), ''].join(' | ').trim(),
  )
  return [
    `${new Date().toISOString().slice(0, 10)}, ${cpus.length} cores (${cpus[0]?.model}), ${bytes(os.totalmem())} of memory, Node ${process.versions.node}, ` +
      `${postgres}, ${redisVersion()}; ${Math.round((Date.now() - begun) / 1_000)} s in all${values.quick ? ', the quick run' : ''}.`,
    '',
    '| course | what | ours | the limit | result | to reach | reached |',
    '|---|---|---|---|---|---|---|',
    ...lines,
    '',
  ].join('\n')
}

function redisVersion(): string {
  return `Redis ${/v=([\d.]+)/.exec(execFileSync('redis-server', ['--version'], { encoding: 'utf8' }))?.[1]}`
}
