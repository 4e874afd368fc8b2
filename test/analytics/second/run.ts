// npx tsx test/analytics/second/run.ts --seeds 1..50          a line for each history, and what differs
// npx tsx test/analytics/second/run.ts --seeds 7 --mode rest  one way of mirroring only
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { migrate } from '../../../src/database/migrations/migrate.ts'
import { openHome } from '../../property/soundness-database.ts'
import { findPostgres } from '../../support/services.ts'
import { compareSeed, type Mode, modes } from './second.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1..50' },
    mode: { type: 'string' },
    lines: { type: 'string', default: '12' },
  },
})
const [first = 1, last = first] = values.seeds.split('..').map(Number)
const wanted = modes.filter((mode: Mode) => values.mode === undefined || values.mode === mode)

const server = await findPostgres()
const name = `bkm_${Date.now()}_${randomBytes(3).toString('hex')}_second`
const admin = postgres(server.url, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
await admin.unsafe(`alter database ${name} set jit = off`)
await admin.unsafe(`alter database ${name} set "TimeZone" = 'Asia/Kathmandu'`)
const url = new URL(server.url)
url.pathname = `/${name}`
await migrate(url.href)
const home = await openHome(url.href)
let failed = 0
const compared = new Map<string, number>()
try {
  for (let seed = first; seed <= last; seed++) {
    const began = performance.now()
    const { rows, differences } = await compareSeed(seed, home, url.href, wanted)
    for (const [view, count] of rows) compared.set(view, (compared.get(view) ?? 0) + count)
    const sum = [...rows.values()].reduce((all, count) => all + count, 0)
    if (differences.length > 0) failed += 1
    const took = ((performance.now() - began) / 1_000).toFixed(1)
    console.log(`seed ${seed}: ${sum} rows, ${differences.length} differences, ${took} s`)
    for (const line of differences.slice(0, Number(values.lines))) console.log(`  ${line}`)
    const by = new Map<string, number>()
    for (const line of differences) {
      const key = /: (in [^:]+: )?([\w.]+(: [a-z ]+)?)/.exec(line)?.[2] ?? line
      by.set(key, (by.get(key) ?? 0) + 1)
    }
    for (const [key, times] of by) console.log(`    ${times} × ${key}`)
  }
} finally {
  await home.close()
  await admin.unsafe(`drop database if exists ${name} with (force)`)
  await admin.end()
  await server.stop()
}
for (const [view, count] of compared) console.log(`${count} rows of ${view}`)
console.log(failed === 0 ? 'No differences.' : `${failed} histories differ.`)
process.exit(failed === 0 ? 0 : 1)
