import type { OwnPostgres } from '../support/own-postgres.ts'
import { begin, isOrderly, lift } from './faults.ts'
import type { Fault, Plan } from './plan.ts'
import { type Stage, setStage } from './stage.ts'
import { judge, type Verdict } from './verdict.ts'

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms))

/** Runs a plan to its verdict. `tell` gets a line for everything that is done. */
export async function runChaos(
  plan: Plan,
  postgres: OwnPostgres,
  tell: (line: string) => void = () => {},
): Promise<Verdict & { output: string }> {
  const stage = await setStage(plan, postgres)
  try {
    await Promise.all(stage.members.map((member) => stage.start(member, true)))
    const begun = Date.now()
    const at = () => `${((Date.now() - begun) / 1_000).toFixed(1)} s`
    const stop = stage.simulation.live({ everyMs: 50, atOnce: 6, steps: 3 })
    const sick: { from: number; to: number }[] = []
    const under = plan.faults.map(async (fault) => {
      await pause(fault.at)
      tell(`${at()}: ${fault.kind}${fault.lasts > 0 ? ` for ${fault.lasts} ms` : ''}`)
      await suffer(stage, fault, sick)
    })
    await Promise.all([pause(plan.lastsMs), ...under])
    stop()
    await lift(stage)
    stage.webhooks.catchUp()
    await stage.webhooks.settled()
    const liftedAt = Date.now()
    tell(`${at()}: all faults are lifted; ${stage.webhooks.stats.sent} webhooks sent`)
    const verdict = await judge(stage, liftedAt, sick)
    const late = await endAll(stage)
    return { ...verdict, faults: [...verdict.faults, ...late], output: stage.output() }
  } finally {
    await stage.close()
  }
}

async function suffer(stage: Stage, fault: Fault, sick: { from: number; to: number }[]): Promise<void> {
  const from = Date.now()
  const end = await begin(stage, fault)
  const spell = { from, to: Number.POSITIVE_INFINITY }
  if (/^(redis|postgres)/.test(fault.kind)) sick.push(spell)
  await pause(fault.lasts)
  await end()
  spell.to = Date.now()
}

/** With all stores well, each process must end by SIGTERM in order. */
async function endAll(stage: Stage): Promise<string[]> {
  const ends = await Promise.all(stage.members.map((member) => stage.end(member, 'SIGTERM')))
  return ends.flatMap((end) => (end && !isOrderly(end) ? [`SIGTERM: ended with ${end.code} after ${end.ms} ms`] : []))
}
