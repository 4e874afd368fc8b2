import { type Clock, MINUTE, SECOND } from '../time.ts'

/** So often a minute an address is told that it was wrong. */
const PER_MINUTE = 10
/** More addresses than this at once are forgotten together: memory must not grow with whoever tries. */
const REMEMBERED = 10_000

/**
 * How often each address was wrong about the ADMIN_TOKEN lately, in a form or a header. It slows programs that heed a 429 and keeps
 * nobody from guessing on, for the right token is always taken: against that stands the length that config.ts demands beyond loopback.
 */
export interface Tries {
  /** How many seconds `address`, wrong once more, is to wait; 0 when it was not wrong too often. */
  waitOf(address: string): number
  /** Takes note that `address` was wrong. */
  wrong(address: string): void
}

export function openTries(clock: Clock): Tries {
  const tries = new Map<string, { until: number; n: number }>()
  const current = (address: string) => {
    const known = tries.get(address)
    return known && clock() < known.until ? known : undefined
  }
  return {
    waitOf(address) {
      const known = current(address)
      return known && known.n >= PER_MINUTE ? Math.ceil((known.until - clock()) / SECOND) : 0
    },
    wrong(address) {
      const known = current(address)
      if (known) {
        known.n += 1
        return
      }
      if (tries.size >= REMEMBERED) tries.clear()
      tries.set(address, { until: clock() + MINUTE, n: 1 })
    },
  }
}
