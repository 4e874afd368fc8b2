import { createRandom, type Random } from '../../src/simulator/random.ts'

/** What can go wrong, and for how long it may last, in milliseconds at least and at most. */
export const faultKinds = {
  /** A process of the service is killed with -9, and started again when the time is over. */
  'service killed': [0, 2_000],
  /** Every process is stopped by SIGTERM and started again, one after the other. */
  'rolling restart': [0, 0],
  'redis frozen': [200, 6_000],
  'redis killed': [0, 3_000],
  'redis flushed': [0, 0],
  'redis cut off': [200, 4_000],
  'redis half-open': [200, 6_000],
  /** PostgreSQL ends at once, without a shutdown, and recovers. */
  'postgres crashed': [0, 0],
  'postgres cut off': [200, 4_000],
  'postgres half-open': [200, 6_000],
  'api in html': [500, 4_000],
  'api cut': [500, 4_000],
  'api hanging': [500, 3_000],
  'api slow': [500, 4_000],
  'api limit of the organization': [100, 1_000],
  'api limit of the user': [100, 1_000],
  'webhooks dropped': [500, 5_000],
  'webhooks doubled': [500, 5_000],
  'webhooks late': [500, 5_000],
  'webhook outage': [500, 5_000],
} as const satisfies Record<string, readonly [number, number]>

export type FaultKind = keyof typeof faultKinds

export interface Fault {
  readonly kind: FaultKind
  /** Milliseconds after the start. */
  readonly at: number
  readonly lasts: number
  /** Which of several processes it hits. */
  readonly target: number
}

/** Everything that one run of chaos does, as its seed says. */
export interface Plan {
  readonly seed: number
  readonly queue: 'redis' | 'postgres'
  /** The roles of each process. */
  readonly processes: readonly string[]
  /** How far Buildkite's clock is ahead of ours, in milliseconds. */
  readonly skew: number
  readonly lastsMs: number
  readonly faults: readonly Fault[]
}

const all = 'web,worker,reconciler'
const layouts = [
  [all],
  [all],
  [all, all],
  ['web,worker', 'reconciler'],
  [all, all, all],
  ['web', 'worker', 'web,reconciler'],
]

/** The plan of a seed; pure. `queue` and `lastsMs` are the caller's where given. */
export function planOf(seed: number, lastsMs: number, queue?: 'redis' | 'postgres'): Plan {
  const random = createRandom(`chaos ${seed}`)
  const drawn = random.pick<'redis' | 'postgres'>(['redis', 'postgres'])
  const chosen = queue ?? drawn
  const processes = random.choose(layouts) ?? [all]
  const skew = random.chance(0.3) ? random.int(-180, 180) * 1_000 : 0
  const count = Math.max(2, Math.round((lastsMs / 1_000) * (0.25 + random.next() * 0.5)))
  const faults = Array.from({ length: count }, () => drawFault(random, lastsMs, processes.length, chosen))
  return { seed, queue: chosen, processes, skew, lastsMs, faults: harmless(faults.sort((a, b) => a.at - b.at)) }
}

function drawFault(random: Random, lastsMs: number, processes: number, queue: 'redis' | 'postgres'): Fault {
  const kinds = Object.keys(faultKinds).filter(isFaultKind)
  const possible = kinds.filter((kind) => queue === 'redis' || !kind.startsWith('redis'))
  const kind = random.choose(possible) ?? 'service killed'
  const [shortest, longest] = faultKinds[kind]
  const at = random.int(0, lastsMs)
  return { kind, at, lasts: random.int(shortest, longest), target: random.int(0, processes - 1) }
}

function isFaultKind(name: string): name is FaultKind {
  return name in faultKinds
}

/** How long deliveries that came while Postgres was unavailable may stay in the queue alone. */
const QUEUE_ALONE = 8_000

/**
 * Leaves out faults that no service can survive. While Postgres is unavailable, only the queue has new deliveries, so deleting its data
 * deletes these deliveries.
 */
function harmless(faults: readonly Fault[]): Fault[] {
  const away = faults.filter(({ kind }) => kind.startsWith('postgres'))
  return faults.filter(
    ({ kind, at }) =>
      kind !== 'redis flushed' || !away.some((one) => at >= one.at - 500 && at <= one.at + one.lasts + QUEUE_ALONE),
  )
}
