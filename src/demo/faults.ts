import type { Random } from './random.ts'

/** How one request fails, or how its answer is wrong. */
export type Fault =
  | { kind: 'delay'; ms: number }
  | { kind: 'status'; status: number; message: string }
  | { kind: 'html'; status: number }
  /** The connection ends in the middle of the body. */
  | { kind: 'cut' }
  /** No answer ever comes. */
  | { kind: 'hang' }
  | { kind: 'limit'; scope: 'rest' | 'rest_user'; reset: number }
  /** The answer is right, but its `Date` is off by so much. */
  | { kind: 'date'; ms: number }

/** A fault that repeats, for a while or always. */
export interface Trouble {
  /** Kinds of requests, as the request log names them: `pipelines`, `builds`, `build`, … */
  kinds: readonly string[]
  fault: Fault
  /** The share of those requests that it meets, from 0 to 1; which ones follows from the API's seed. All where not given. */
  share?: number
  /** It ends after so many requests. */
  times?: number
  /** It ends at that time on the simulation's clock, in milliseconds since the epoch. */
  until?: number
}

/** The troubles of an API. */
export interface Troubles {
  /** Returns the way to end it. */
  add(trouble: Trouble): () => void
  /** The faults that a request of that kind meets now. */
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
