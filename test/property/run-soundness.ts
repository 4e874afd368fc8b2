// npm run soundness -- --seeds 1..1000               a line for each history that fails, and a summary
// npm run soundness -- --seeds 17                     one history, with all that happened in it
// npm run soundness -- --seeds 1..50 --defect all     each planted defect, until two histories have found it
// npm run soundness -- --seeds 1..50 --defect lag     those with this text in their name
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { findPostgres } from '../support/services.ts'
import { defects } from './defects.ts'
import { faultsOf, seedsOf, soundHistory, type Verdict } from './soundness.ts'
import { openHome } from './soundness-database.ts'
import type { Planted } from './soundness-service.ts'

const { values } = parseArgs({
  options: {
    seeds: { type: 'string', default: '1..100' },
    part: { type: 'string', default: '1/1' },
    defect: { type: 'string' },
  },
})
const [part = 1, parts = 1] = values.part.split('/').map(Number)
const seeds = seedsOf(values.seeds).filter((_, index) => index % parts === part - 1)

const server = await findPostgres()
const name = `bkm_${Date.now()}_${randomBytes(3).toString('hex')}_soundness`
const admin = postgres(server.url, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
// Most queries are too short to be worth compiling.
await admin.unsafe(`alter database ${name} set jit = off`)
const url = new URL(server.url)
url.pathname = `/${name}`
await migrate(url.href)
const home = await openHome(url.href)
let isWell = false
try {
  isWell = values.defect === undefined ? await proveSound() : await findDefects(values.defect)
} finally {
  await home.close()
  await admin.unsafe(`drop database if exists ${name} with (force)`)
  await admin.end()
  await server.stop()
}
process.exit(isWell ? 0 : 1)

async function proveSound(): Promise<boolean> {
  const failed: number[] = []
  const sum = { checks: 0, claims: 0, builds: 0, webhooks: 0 }
  const began = performance.now()
  for (const [index, seed] of seeds.entries()) {
    const since = performance.now()
    const { verdict, faults } = await live(seed)
    if (faults.length > 0) failed.push(seed)
    for (const key of ['checks', 'claims', 'builds', 'webhooks'] as const) sum[key] += verdict?.[key] ?? 0
    if (seeds.length === 1) for (const line of verdict?.trace ?? []) console.log(line)
    if (faults.length > 0 || seeds.length <= 20)
      console.log(summaryOf(seed, verdict, faults, performance.now() - since))
    for (const fault of faults.slice(0, 5)) console.log(`  ${fault}`)
    if (faults.length > 5) console.log(`  and ${faults.length - 5} more`)
    if (faults.length > 0) console.log(`  again: npm run soundness -- --seeds ${seed}`)
    if ((index + 1) % 25 === 0) console.log(`${index + 1} of ${seeds.length} histories: ${failed.length} failed`)
  }
  const minutes = ((performance.now() - began) / 60_000).toFixed(1)
  const result = failed.length === 0 ? 'all sound' : `${failed.length} failed: ${failed.join(', ')}`
  console.log(`${seeds.length} histories in ${minutes} min, ${JSON.stringify(sum)}: ${result}`)
  return failed.length === 0
}

/** Plants one defect after the other, and says which seeds find it first. */
async function findDefects(named: string): Promise<boolean> {
  const wanted = defects.filter((defect) => named === 'all' || defect.name.includes(named))
  if (wanted.length === 0) throw new RangeError(`No planted defect has "${named}" in its name.`)
  let isWell = true
  for (const { name: defect, planted } of wanted) {
    const found: string[] = []
    for (const seed of seeds) {
      const faults = faultsOf(await soundHistory(seed, home, planted))
      if (faults[0]) found.push(`${seed} (${faults[0].slice(0, 160)})`)
      if (found.length === 2) break
    }
    console.log(found.length > 0 ? `FOUND ${defect}: by seed ${found.join(', and ')}` : `NOT FOUND ${defect}`)
    isWell &&= found.length > 0
  }
  return isWell
}

async function live(seed: number, planted?: Planted): Promise<{ verdict?: Verdict; faults: string[] }> {
  try {
    const verdict = await soundHistory(seed, home, planted)
    return { verdict, faults: faultsOf(verdict) }
  } catch (error) {
    return { faults: [`${String(error).slice(0, 1_000)} ${error instanceof Error ? error.stack?.slice(-600) : ''}`] }
  }
}

function summaryOf(seed: number, verdict: Verdict | undefined, faults: readonly string[], ms: number): string {
  const { builds, webhooks, checks, claims, claimedShare } = verdict ?? {}
  const figures = `${builds} builds, ${webhooks} webhooks, ${checks} checks, ${claims} claims`
  const share = `${((claimedShare ?? 0) * 100).toFixed(2)} % claimed`
  return `seed ${seed}: ${faults.length > 0 ? 'FAILED' : 'sound'}; ${figures}, ${share}, ${(ms / 1_000).toFixed(1)} s`
}
