import { type IpRange, withinRanges } from '../ip-range.ts'
import type { Log } from '../log.ts'
import { HOUR, MINUTE, pause } from '../time.ts'

/** Who may send webhooks at all, by address. A filter before the signature, and never a replacement: Buildkite's customers share them. */
export interface AllowList {
  lets(address: string): boolean
  stop(): void
}

export interface AllowListParts {
  /** Asks Buildkite for its addresses. */
  read(signal: AbortSignal): Promise<readonly IpRange[]>
  log: Log
  /** Time between readings, and until the next try while there has been none; in milliseconds. */
  everyMs?: number
  againMs?: number
}

/** A list that stays as it is. */
export function fixedAllowList(ranges: readonly IpRange[]): AllowList {
  return { lets: withinRanges(ranges), stop: () => {} }
}

/**
 * Buildkite's own list, read at once and then hourly. It fails open: until it has been read everybody is let in, for a webhook refused
 * is lost; afterwards the last good list stays in use.
 */
export function followedAllowList({ read, log, everyMs = HOUR, againMs = MINUTE }: AllowListParts): AllowList {
  const stop = new AbortController()
  let lets: ((address: string) => boolean) | undefined
  let told = false

  const refresh = async () => {
    try {
      lets = withinRanges(await read(stop.signal))
      told = false
    } catch (error) {
      if (stop.signal.aborted || told) return
      told = true
      const meanwhile = lets ? 'the last list stays in use' : 'webhooks are taken from every address'
      log.warn({ err: error }, `The addresses of Buildkite's webhooks could not be read; ${meanwhile}.`)
    }
  }
  const keepFresh = async () => {
    while (!stop.signal.aborted) {
      await refresh()
      await pause(lets ? everyMs : againMs, stop.signal)
    }
  }
  void keepFresh()
  return {
    lets: (address) => lets?.(address) ?? true,
    stop: () => stop.abort(),
  }
}
