/** A pseudo-random generator: the same seed gives the same numbers, and so the same simulation. */
export interface Random {
  /** From 0 to below 1. */
  next(): number
  /** An integer from `min` to `max`, both included. */
  int(min: number, max: number): number
  chance(probability: number): boolean
  pick<T>(list: readonly [T, ...T[]]): T
  /** An item of a list that may be empty. */
  choose<T>(list: readonly T[]): T | undefined
  hex(digits: number): string
  /** A UUID of version 7: its first 48 bits are the time `at`, as in Buildkite's ids. */
  uuid(at: number): string
}

/** Creates a generator from a seed (sfc32 with an FNV hash of the seed). */
export function createRandom(seed: number | string): Random {
  const next32 = generator(String(seed))
  const next = () => next32() / 4_294_967_296
  const hex = (digits: number) => {
    let text = ''
    while (text.length < digits) text += next32().toString(16).padStart(8, '0')
    return text.slice(0, digits)
  }
  const int = (min: number, max: number) => min + Math.floor(next() * (max - min + 1))
  return {
    next,
    int,
    hex,
    chance: (probability) => next() < probability,
    pick: (list) => list[int(0, list.length - 1)] ?? list[0],
    choose: (list) => list[int(0, list.length - 1)],
    uuid(at) {
      const time = Math.trunc(at).toString(16).padStart(12, '0')
      const rest = hex(18)
      const variant = '89ab'[Number.parseInt(rest.charAt(3), 16) & 3]
      return `${time.slice(0, 8)}-${time.slice(8)}-7${rest.slice(0, 3)}-${variant}${rest.slice(4, 7)}-${hex(12)}`
    },
  }
}

/** The FNV-1a hash of a text: 32 bits. */
export function hashOf(text: string): number {
  let hash = 2_166_136_261
  for (const character of text) hash = Math.imul(hash ^ (character.codePointAt(0) ?? 0), 16_777_619) >>> 0
  return hash
}

function generator(seed: string): () => number {
  const hash = hashOf(seed)
  let a = hash
  let b = hash ^ 0x9e3779b9
  let c = hash ^ 0x243f6a88
  let counter = 1
  const step = () => {
    const sum = (((a + b) | 0) + counter++) | 0
    a = b ^ (b >>> 9)
    b = (c + (c << 3)) | 0
    c = (((c << 21) | (c >>> 11)) + sum) | 0
    return sum >>> 0
  }
  for (let i = 0; i < 12; i++) step()
  return step
}

/** The simulation's clock. `pass` advances a virtual clock and does nothing on the real one. */
export interface DemoClock {
  /** Milliseconds since the epoch. */
  now(): number
  pass(ms: number): void
}

/** A clock that only `pass` advances. */
export function virtualClock(start: number): DemoClock {
  let now = start
  return {
    now: () => now,
    pass(ms) {
      now += ms
    },
  }
}

/** The wall clock, which advances by itself. */
export const realClock: DemoClock = { now: () => Date.now(), pass: () => undefined }
