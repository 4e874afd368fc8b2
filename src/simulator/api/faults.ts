import type { Random } from '../random.ts'

/** How one request fails or gets a wrong response. */
export type Fault =
  | { kind: 'delay'; ms: number }
  | { kind: 'status'; status: number; message: string }
  | { kind: 'html'; status: number }
  /** The connection ends in the middle of the body. */
  | { kind: 'cut' }
  /** No response ever arrives. */
  | { kind: 'hang' }
  | { kind: 'limit'; scope: 'rest' | 'rest_user'; reset: number }
  /** The response is correct, but its `Date` is off by this much. */
  | { kind: 'date'; ms: number }

/** A fault that repeats, for some time or always. */
export interface Trouble {
  /** Kinds of requests, as the request log names them: `pipelines`, `builds`, `build`, … */
  kinds: readonly string[]
  fault: Fault
  /** The share of those requests that fail, from 0 to 1, chosen by the API's seed. Default: all. */
  share?: number
  /** It ends after this many requests. */
  times?: number
  /** It ends at this time on the simulation's clock, in milliseconds since the epoch. */
  until?: number
}

/** The active faults of an API. */
export interface Troubles {
  /** Returns the function that ends it. */
  add(trouble: Trouble): () => void
  /** The faults that apply to a request of that kind now. */
  meet(kind: string): Fault[]
}

export function createTroubles(random: Random, now: () => number): Troubles {
  const all = new Map<Trouble, number>()
  return {
    add(trouble) {
      all.set(trouble, 0)
      return () => all.delete(trouble)
    },
    meet(kind) {
      const faults: Fault[] = []
      for (const [trouble, met] of all) {
        const { kinds, fault, share = 1, times = Number.POSITIVE_INFINITY, until = Number.POSITIVE_INFINITY } = trouble
        if (met >= times || now() >= until) all.delete(trouble)
        else if (kinds.includes(kind) && (share === 1 || random.chance(share))) {
          all.set(trouble, met + 1)
          faults.push(fault)
        }
      }
      return faults
    },
  }
}
