import { MINUTE, SECOND } from '../time.ts'

/** Half-open, in milliseconds of `created_at`. */
export interface Bounds {
  readonly from: number
  readonly to: number
}

/** What the part of a list from some moment up to the end of the search shows. */
export type Probe = 'nothing' | 'a build' | 'failure'

/** How exactly a build is located. The organization's list then shows the rest of that minute in a few pages. */
const PRECISION = MINUTE

/** Each step of the search for the age of a build reaches this many times as far as the one before. */
const STRIDE = 8

/**
 * Finds when the newest build within `from` and `to` was created, to a minute, where that build makes each list fail that holds it.
 * Undefined when a build is listed after all. For a build that is d minutes older than `to`, it costs about log8(d) + log2(d) probes,
 * of which about log2(d)/2 fail.
 */
export async function locateNewest(
  { from, to }: Bounds,
  probe: (from: number) => Promise<Probe>,
): Promise<Bounds | undefined> {
  let [low, high] = [from, to]
  let middle = wholeSecond(to - PRECISION)
  for (let isFound = false; high - low > PRECISION; ) {
    const shown = middle > low ? await probe(middle) : 'failure'
    if (shown === 'a build') return undefined
    if (shown === 'failure') {
      isFound = true
      low = Math.max(low, middle)
    } else high = middle
    middle = wholeSecond(isFound ? (low + high) / 2 : to - (to - middle) * STRIDE)
  }
  return { from: low, to: high }
}

function wholeSecond(ms: number): number {
  return Math.floor(ms / SECOND) * SECOND
}
