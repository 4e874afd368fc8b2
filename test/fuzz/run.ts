// npm run fuzz -- --seed N --count 100000 [--only webhooks|lists|settings|connections]
//
// Prints progress, figures and findings. Exit 1 on any finding, or when memory was not flat (report.ts says what that means).

import { parseArgs } from 'node:util'
import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import postgres from 'postgres'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { findPostgres } from '../support/services.ts'
import { fuzzConnections } from './connections.ts'
import { fuzzLists } from './lists.ts'
import { type FuzzReport, memoryFault, mib } from './report.ts'
import { fuzzSettings } from './settings.ts'
import { fuzzWebhooks } from './webhooks.ts'

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: String(Date.now() % 1_000_000) },
    count: { type: 'string', default: '100000' },
    only: { type: 'string' },
  },
})
const { seed, only } = values
const count = Number(values.count)
if (!Number.isInteger(count) || count < 10) throw new RangeError('--count is a whole number, 10 or more.')

setFlagsFromString('--expose-gc')
globalThis.gc = runInNewContext('gc')

/** A round of lists is a whole cycle, with dozens of mutated objects: a fiftieth as many take about as long. */
const campaigns: Record<string, (databaseUrl: string) => Promise<FuzzReport>> = {
  settings: () => fuzzSettings({ seed, count, onTenth }),
  lists: (databaseUrl) => fuzzLists(databaseUrl, { seed, count: Math.ceil(count / 50), onTenth }),
  webhooks: (databaseUrl) =>
    fuzzWebhooks({ databaseUrl, redisUrl: process.env.TEST_REDIS_URL }, { seed, count, onTenth }),
  // A tenth as many: each is a connection, and some wait.
  connections: (databaseUrl) =>
    fuzzConnections(
      { databaseUrl, redisUrl: process.env.TEST_REDIS_URL },
      { seed, count: Math.ceil(count / 10), onTenth },
    ),
}

const reported = new Set<string>()

function onTenth({ name, sent, seconds, findings, memory }: FuzzReport): void {
  const { held = 0, rss = 0 } = memory.at(-1) ?? {}
  const rate = (sent / seconds).toFixed(0)
  console.log(`${name}: ${sent} at ${rate}/s, held ${mib(held)}, rss ${mib(rss)}, findings ${findings.length}`)
  for (const finding of findings) {
    if (!reported.has(finding)) console.log(`FINDING ${finding}`)
    reported.add(finding)
  }
}

console.log(`seed ${seed}, count ${count}`)
const server = await findPostgres()
const admin = postgres(server.url, { max: 1, onnotice: () => {} })
let faults = 0
try {
  for (const [name, campaign] of Object.entries(campaigns)) {
    if (only !== undefined && only !== name) continue
    const database = `bkm_${Date.now()}_fuzz`
    await admin.unsafe(`create database ${database}`)
    const url = new URL(server.url)
    url.pathname = `/${database}`
    await migrate(url.href)
    const report = await campaign(url.href)
    await admin.unsafe(`drop database ${database} with (force)`)
    console.log(JSON.stringify(report.outcomes, null, 2))
    const found = [...report.findings, memoryFault(report)].filter((finding) => finding !== undefined)
    for (const finding of found) if (!reported.has(finding)) console.log(`FINDING ${finding}`)
    faults += found.length
  }
} finally {
  await admin.end()
  await server.stop()
}
console.log(
  faults === 0 ? 'No findings.' : `${faults} findings. The same again: npm run fuzz -- --seed ${seed} --count ${count}`,
)
process.exit(faults === 0 ? 0 : 1)
