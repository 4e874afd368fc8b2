// npm run soundness -- --seeds 1..1000               a line for each history that fails, and a summary
// npm run soundness -- --seeds 17                     one history, with all that happened in it
// npm run soundness -- --seeds 1..100 --defect NAME   until the planted defect is found
// npm run soundness -- --seeds 1..20 --defect all     each planted defect, until it is found
import { randomBytes } from 'node:crypto'
import { parseArgs } from 'node:util'
import postgres from 'postgres'
import { migrate } from '../../src/database/migrate.ts'
import { findPostgres } from '../support/services.ts'
import { faultsOf, seedsOf, soundHistory } from './soundness.ts'
import { openHome } from './soundness-database.ts'

const { values } = parseArgs({
  options: { seeds: { type: 'string', default: '1..100' }, part: { type: 'string', default: '1/1' } },
})
const [part = 1, parts = 1] = values.part.split('/').map(Number)
const seeds = seedsOf(values.seeds).filter((_, index) => index % parts === part - 1)

const server = await findPostgres()
const name = `bkm_${Date.now()}_${randomBytes(3).toString('hex')}_soundness`
const admin = postgres(server.url, { max: 1, onnotice: () => {} })
await admin.unsafe(`create database ${name}`)
const url = new URL(server.url)
url.pathname = `/${name}`
await migrate(url.href)
const home = await openHome(url.href)
const failed: number[] = []
const sum = { checks: 0, claims: 0, builds: 0, webhooks: 0 }
let done = 0
const began = performance.now()
try {
  for (const seed of seeds) {
    const since = performance.now()
    const verdict = await soundHistory(seed, home).catch((error: unknown) => {
      failed.push(seed)
      console.log(
        `seed ${seed}: FAILED ${String(error).slice(0, 1_000)}`,
        error instanceof Error ? error.stack?.slice(-600) : '',
      )
      console.log(`  again: npm run soundness -- --seeds ${seed}`)
      return undefined
    })
    if (!verdict) continue
    for (const key of ['checks', 'claims', 'builds', 'webhooks'] as const) sum[key] += verdict[key]
    const faults = faultsOf(verdict)
    if (seeds.length === 1) for (const line of verdict.trace) console.log(line)
    if (faults.length > 0) failed.push(seed)
    const seconds = ((performance.now() - since) / 1_000).toFixed(1)
    if (faults.length > 0 || seeds.length <= 20) {
      const { builds, webhooks, checks, claims, claimedShare } = verdict
      const share = `${(claimedShare * 100).toFixed(2)} % claimed`
      console.log(
        `seed ${seed}: ${faults.length > 0 ? 'FAILED' : 'sound'}; ${builds} builds, ${webhooks} webhooks, ${checks} checks, ${claims} claims, ${share}, ${seconds} s`,
      )
    }
    done += 1
    if (done % 25 === 0)
      console.log(`${done} of ${seeds.length} histories, up to seed ${seed}: ${failed.length} failed`)
    for (const fault of faults.slice(0, 5)) console.log(`  ${fault}`)
    if (faults.length > 5) console.log(`  and ${faults.length - 5} more`)
    if (faults.length > 0) console.log(`  again: npm run soundness -- --seeds ${seed}`)
  }
} finally {
  await home.close()
  await admin.unsafe(`drop database if exists ${name} with (force)`)
  await admin.end()
  await server.stop()
}
const minutes = ((performance.now() - began) / 60_000).toFixed(1)
console.log(
  `${seeds.length} histories in ${minutes} min, ${JSON.stringify(sum)}: ${failed.length === 0 ? 'all sound' : `${failed.length} failed: ${failed.join(', ')}`}`,
)
process.exit(failed.length === 0 ? 0 : 1)
