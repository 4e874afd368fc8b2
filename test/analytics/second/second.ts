import type { Home } from '../../property/soundness-database.ts'
import { compareView, openReader, zones } from './compare.ts'
import { factsOf } from './facts.ts'
import type { History, Lists } from './history.ts'
import { liveOn } from './later.ts'
import { arrivalsOf, type Lived, live, noLists, readAll, readLists, readPlaces } from './live.ts'
import { applyOrganizations, applyPayloads, emptyMirror, finishMirror, mirrorByRest, storesEnv } from './mirror.ts'
import { views } from './views.ts'

export const modes = ['rest', 'webhooks', 'mixed'] as const
export type Mode = (typeof modes)[number]

export interface Outcome {
  /** How many rows of each view were compared. */
  readonly rows: ReadonlyMap<string, number>
  readonly differences: string[]
}

/** Lives a history, and compares each view with the second implementation, mirrored in each way, and after it has changed. */
export async function compareSeed(
  seed: number,
  home: Home,
  url: string,
  only: readonly Mode[] = modes,
): Promise<Outcome> {
  const lived = await live(seed)
  const differences: string[] = []
  const rows = new Map<string, number>()
  const compare = async (what: string, history: History) => {
    const found = await compareMirror(url, history)
    for (const [view, count] of found.rows) rows.set(view, (rows.get(view) ?? 0) + count)
    differences.push(...found.differences.map((line) => `seed ${seed}, ${what}: ${line}`))
  }
  try {
    // The last mirror lives on.
    const turn = seed % only.length
    const ordered = [...only.slice(turn), ...only.slice(0, turn)]
    for (const [index, mode] of ordered.entries()) {
      await emptyMirror(home, url)
      const history = await mirror(mode, home, lived)
      await compare(mode, history)
      if (index === ordered.length - 1) await compare(`${mode}, changed`, await change(mode, home, lived, history))
    }
  } finally {
    await lived.simulation.stop()
  }
  return { rows, differences }
}

async function mirror(mode: Mode, home: Home, lived: Lived): Promise<History> {
  const { db } = home.database
  const lists = await readLists(lived)
  const settings = settingsOf(lived, lists)
  if (mode === 'rest') {
    await mirrorByRest(db, lived)
    return finishMirror(home, { payloads: await readAll(lived), lists, ...settings })
  }
  await applyOrganizations(db, lists, lived.simulation.clock.now())
  if (mode === 'webhooks') {
    const payloads = arrivalsOf(lived, mode).filter(({ via }) => via === 'webhook')
    await applyPayloads(db, payloads, storesEnv(lived.seed))
    return finishMirror(home, { payloads, lists: noLists(lists), ...settings })
  }
  // REST does not always have the last word of builds.
  const last = lived.seed % 4 === 0 ? await readPlaces(lived) : await readAll(lived)
  const payloads = [...arrivalsOf(lived, mode), ...last]
  await applyPayloads(db, payloads, storesEnv(lived.seed))
  await mirrorByRest(db, lived, false)
  return finishMirror(home, { payloads, lists, ...settings })
}

/** Lives on, and mirrors what has changed since in the same way. */
async function change(mode: Mode, home: Home, lived: Lived, before: History): Promise<History> {
  const { db } = home.database
  const known = lived.payloads.length
  liveOn(lived)
  const lists = mode === 'webhooks' ? noLists(await readLists(lived)) : await readLists(lived)
  const webhooks = lived.payloads.slice(known)
  const read = mode === 'webhooks' ? [] : await readAll(lived)
  const news = [...(mode === 'rest' ? [] : webhooks), ...read]
  if (mode === 'rest') await mirrorByRest(db, lived)
  else await applyPayloads(db, news, storesEnv(lived.seed))
  if (mode === 'mixed') await mirrorByRest(db, lived, false)
  const [first, second, ...rules] = before.rules
  const changed =
    first && second
      ? [...rules, { ...second, branch: '*', environment: 'production' }, { ...first, step: 'image' }]
      : []
  const rates = before.rates
    .slice(1)
    .map((rate) => ({ ...rate, per_minute: rate.per_minute * 2, cluster: '*', queue: `${rate.queue}` }))
  return finishMirror(home, {
    ...before,
    payloads: [...before.payloads, ...news],
    lists,
    before,
    rules: changed,
    rates: rates.filter(({ queue }, index) => rates.findIndex((one) => one.queue === queue) === index),
  })
}

/** Rules and rates that overlap, and one of each that nothing matches. */
function settingsOf({ simulation, seed }: Lived, lists: readonly Lists[]): Omit<History, 'payloads' | 'lists'> {
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
  const withIds = rules.map((one, index) => ({ id: index + 1, ...one }))
  return {
    rules: withIds,
    rates,
    incidents: [],
    mirror: { watermarks: new Map(), deleted: new Set() },
    storeEnv: storesEnv(seed),
    oldestDelivery,
  }
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
  return { rows: new Map(computed.map(({ view, rows }) => [view.name, rows.length])), differences }
}
