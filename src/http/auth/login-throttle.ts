import { type Clock, MINUTE, SECOND } from '../../runtime/time.ts'

/** How many wrong tries a minute an address gets an ordinary answer to; later ones get 429. */
const PER_MINUTE = 10
/** At this many addresses all are forgotten, so that memory does not grow with the number of clients. */
const REMEMBERED = 10_000

/**
 * How often each address sent a wrong ADMIN_TOKEN recently, in a form or a header. This slows only programs that follow a 429. It is
 * not the protection, because the right token is always accepted: the length that config.ts requires beyond loopback is.
 */
export interface Tries {
  /** How many seconds `address` must wait after another wrong try; 0 if it has tries left. */
  waitOf(address: string): number
  /** Records a wrong try of `address`. */
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
