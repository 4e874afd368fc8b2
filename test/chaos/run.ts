import { parseArgs } from 'node:util'
import { type OwnPostgres, startOwnPostgres } from '../support/own-postgres.ts'
import { runChaos } from './chaos.ts'
import { type Plan, planOf } from './plan.ts'

// npm run chaos -- --seed 7 --minutes 2            one run, with all its output
// npm run chaos -- --seed 1 --runs 200 --parallel 2  many short runs, a line each

const { values } = parseArgs({
  options: {
    seed: { type: 'string', default: '1' },
    minutes: { type: 'string', default: '0.15' },
    runs: { type: 'string', default: '1' },
    parallel: { type: 'string', default: '1' },
    queue: { type: 'string' },
  },
})
const queue = values.queue === 'redis' || values.queue === 'postgres' ? values.queue : undefined
const [seed, minutes, runs, parallel] = [values.seed, values.minutes, values.runs, values.parallel].map(Number)
if (!seed || !minutes || !runs || !parallel || (values.queue !== undefined && !queue)) {
  console.error('Usage: npm run chaos -- [--seed N] [--minutes M] [--runs K] [--parallel P] [--queue redis|postgres]')
  process.exit(2)
}

const lastsMs = minutes * 60_000
const plans = Array.from({ length: runs }, (_, index) => planOf(seed + index, lastsMs, queue))
const failed: number[] = []
await Promise.all(Array.from({ length: parallel }, work))
console.log(
  failed.length === 0 ? `${runs} runs, all well.` : `${failed.length} of ${runs} runs failed: ${failed.join(', ')}`,
)
process.exit(failed.length === 0 ? 0 : 1)

/** Takes one plan after the other, with a PostgreSQL of its own. */
async function work(): Promise<void> {
  const postgres = await startOwnPostgres()
  for (let plan = plans.shift(); plan; plan = plans.shift()) await one(plan, postgres)
  await postgres.stop()
}

async function one(plan: Plan, postgres: OwnPostgres): Promise<void> {
  const print = runs === 1 ? console.log : () => {}
  print(
    `seed ${plan.seed}: queue on ${plan.queue}, processes ${plan.processes.join(' | ')}, clocks ${plan.skew / 1_000} s apart`,
  )
  const kinds = plan.faults.map(({ kind }) => kind).join(', ')
  try {
    const { webhooks, cycles, recoveredMs, faults, output } = await runChaos(plan, postgres, print)
    const answers = JSON.stringify(webhooks.answers)
    const figures = `${webhooks.sent} webhooks ${answers}, ${cycles} cycles, equal ${(recoveredMs / 1_000).toFixed(1)} s after`
    console.log(
      `seed ${plan.seed} ${plan.queue} ${plan.processes.length}: ${faults.length === 0 ? 'well' : 'FAILED'}; ${figures}; ${kinds}`,
    )
    for (const fault of faults) console.log(`  ${fault}`)
    if (faults.length > 0) failed.push(plan.seed)
    if (faults.length > 0 && runs === 1) console.log(output)
  } catch (error) {
    failed.push(plan.seed)
    console.log(`seed ${plan.seed} ${plan.queue}: FAILED; ${kinds}`, error)
  }
  if (failed.at(-1) === plan.seed) {
    console.log(`  again: npm run chaos -- --seed ${plan.seed} --minutes ${minutes}${queue ? ` --queue ${queue}` : ''}`)
  }
}
