import { createRandom } from '../../../src/simulator/random.ts'
import { slugOf } from './builds.ts'
import { type Deployment, seriesOf } from './deployments.ts'
import type { Facts } from './facts.ts'
import type { Incident } from './history.ts'
import type { Maybe } from './values.ts'

const HOUR = 3_600_000
const none = { organization: '*', environment: 'production', resolved_at: null, deployment_id: null }

/** Incidents of about half of the services that were deployed: resolved and open, with and without a cause. */
export function makeIncidents(facts: Facts): Incident[] {
  const series = seriesOf(facts).sort((a, b) => (`${a[0]?.id}` < `${b[0]?.id}` ? -1 : 1))
  const random = createRandom(`incidents of ${series.length}`)
  const all = series.flat()
  const make = (of: readonly Deployment[]): Omit<Incident, 'id'>[] => {
    const one = random.pick(of as [Deployment, ...Deployment[]])
    const next = of.find(({ at }) => at > one.at)
    const { organization_id, environment } = one
    const organization = random.chance(0.5) ? '*' : (slugOf(facts, organization_id) ?? '*')
    const started_at = one.at + random.pick([0, 0, 1, -1, random.int(1, 60 * HOUR), -50 * 24 * HOUR])
    const resolved_at = random.pick<Maybe<number>>([
      null,
      next?.at ?? null,
      (next?.at ?? one.at) - 1,
      started_at - 1,
      started_at + HOUR,
      one.at + random.int(HOUR, 90 * HOUR),
    ])
    const ofAnyService = random.choose(all)?.id ?? null
    const deployment_id = random.pick([null, null, one.id, 'nothing', random.choose(of)?.id ?? null, ofAnyService])
    return [{ organization, service: one.service ?? '', environment, started_at, resolved_at, deployment_id }]
  }
  const made = series
    .filter(() => random.chance(0.5))
    .flatMap((of) => Array.from({ length: random.int(1, 4) }, () => make(of)).flat())
  const [first] = all
  const others = first
    ? [
        { ...none, service: 'no such service', started_at: first.at },
        { ...none, organization: 'no-such', service: `${first.service}`, started_at: first.at },
      ]
    : []
  return [...made, ...others].map((incident, index) => ({ id: `INC-${index}`, ...incident }))
}
