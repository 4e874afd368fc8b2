import { MINUTE } from '../../runtime/time.ts'
import { floorSecond } from './place.ts'

/** Half-open, in milliseconds of `created_at`. */
export interface Bounds {
  readonly from: number
  readonly to: number
}

/** The result of a list from some time to the end of the search. */
export type Probe = 'nothing' | 'a build' | 'failure'

/** A build is located to this precision. The organization's list shows the other builds of that minute in a few pages. */
const PRECISION = MINUTE

/** Each step of the search for the age of a build reaches this many times as far as the previous one. */
const STRIDE = 8

/**
 * Finds, to a minute, when the newest build between `from` and `to` was created, if that build makes every list fail that contains it.
 * Returns undefined if a build can be listed. For a build that is d minutes older than `to`, it costs about log8(d) + log2(d) probes,
 * and about log2(d)/2 of them fail.
 */
export async function locateNewest(
  { from, to }: Bounds,
  probe: (from: number) => Promise<Probe>,
): Promise<Bounds | undefined> {
  let [low, high] = [from, to]
  let middle = floorSecond(to - PRECISION)
  for (let isFound = false; high - low > PRECISION; ) {
    const shown = middle > low ? await probe(middle) : 'failure'
    if (shown === 'a build') return undefined
    if (shown === 'failure') {
      isFound = true
      low = Math.max(low, middle)
    } else high = middle
    middle = floorSecond(isFound ? (low + high) / 2 : to - (to - middle) * STRIDE)
  }
  return { from: low, to: high }
}
