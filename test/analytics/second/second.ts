import type { Home } from '../../property/soundness-database.ts'
import { compareView, openReader, zones } from './compare.ts'
import { factsOf } from './facts.ts'
import type { History, Lists } from './history.ts'
import { arrivalsOf, type Lived, live, noLists, readAll, readLists, readPlaces } from './live.ts'
import { applyOrganizations, applyPayloads, emptyMirror, finishMirror, mirrorByRest } from './mirror.ts'
import { views } from './views.ts'

export const modes = ['rest', 'webhooks', 'mixed'] as const
export type Mode = (typeof modes)[number]

export interface Outcome {
  readonly rows: number
  readonly differences: string[]
}

/** Lives a history, and compares each view with the second implementation, mirrored in each way. */
export async function compareSeed(
  seed: number,
  home: Home,
  url: string,
  only: readonly Mode[] = modes,
): Promise<Outcome> {
  const lived = await live(seed)
  const differences: string[] = []
  let rows = 0
  try {
    for (const mode of only) {
      await emptyMirror(home, url)
      const history = await mirror(mode, home, lived)
      const found = await compareMirror(url, history)
      rows += found.rows
      differences.push(...found.differences.map((line) => `seed ${seed}, ${mode}: ${line}`))
    }
  } finally {
    await lived.simulation.stop()
  }
  return { rows, differences }
}

async function mirror(mode: Mode, home: Home, lived: Lived): Promise<History> {
  const { db } = home.database
  const now = lived.simulation.clock.now()
  const lists = await readLists(lived)
  const settings = settingsOf(lived, lists)
  if (mode === 'rest') {
    const history = { payloads: await readAll(lived), lists, ...settings }
    await mirrorByRest(db, lived)
    await finishMirror(home, history)
    return history
  }
  if (mode === 'webhooks') {
    const payloads = arrivalsOf(lived, mode).filter(({ via }) => via === 'webhook')
    const history = { payloads, lists: noLists(lists), ...settings }
    await applyOrganizations(db, history, now)
    await applyPayloads(db, payloads)
    await finishMirror(home, history)
    return history
  }
  // REST does not always have the last word of builds.
  const last = lived.seed % 2 === 0 ? await readAll(lived) : await readPlaces(lived)
  const payloads = [...arrivalsOf(lived, mode), ...last]
  const history = { payloads, lists, ...settings }
  await applyOrganizations(db, history, now)
  await applyPayloads(db, payloads)
  await mirrorByRest(db, lived, false)
  await finishMirror(home, history)
  return history
}

/** Rules and rates that overlap, and one of each that nothing matches. */
function settingsOf(
  { simulation, seed }: Lived,
  lists: readonly Lists[],
): Pick<History, 'rules' | 'rates' | 'oldestDelivery'> {
  const rule = { branch: '*', step: null, organization: '*', environment: 'production', service: null, enabled: true }
  const rules = [
    { ...rule, pipeline: '*', step: 'deploy' },
    { ...rule, pipeline: 'web-*', branch: 'main', environment: 'staging' },
    { ...rule, pipeline: 'monolith', branch: 'm*n', organization: 'acme', service: 'everything' },
    { ...rule, pipeline: '*', step: '*rigger*', organization: 'g*' },
    { ...rule, pipeline: '*', enabled: false },
    { ...rule, pipeline: simulation.truth.pipelines[0]?.id ?? '', step: 'Image *', branch: 'feature/*' },
  ]
  const rate = { queue: 'default', cluster: '*', per_minute: 0.008, currency: 'USD' }
  const rates = [
    rate,
    { ...rate, cluster: 'Open source', per_minute: 0.25, currency: 'EUR' },
    { ...rate, cluster: String(lists[0]?.clusters[0]?.id), per_minute: 0.5 },
    { ...rate, queue: 'deploy', cluster: 'Production', per_minute: 1 / 64 },
  ]
  const oldestDelivery = simulation.clock.now() - (seed % 3) * 7 * 86_400_000 - 3_600_000
  return { rules: rules.map((one, index) => ({ id: index + 1, ...one })), rates, oldestDelivery }
}

async function compareMirror(url: string, history: History): Promise<Outcome> {
  const facts = factsOf(history)
  const computed = views.map((view) => ({ view, rows: view.rows(facts) }))
  const differences: string[] = []
  for (const zone of zones) {
    const sql = openReader(url, zone)
    for (const { view, rows } of computed) {
      const found = await compareView(sql, view, rows)
      differences.push(...found.map((line) => (zone === 'UTC' ? line : `in ${zone}: ${line}`)))
    }
    await sql.end()
    // Another zone would say the same again.
    if (differences.length > 0) break
  }
  return { rows: computed.reduce((sum, { rows }) => sum + rows.length, 0), differences }
}
