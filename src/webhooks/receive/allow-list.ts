import { type IpRange, withinRanges } from '../../runtime/ip-range.ts'
import type { Log } from '../../runtime/log.ts'
import { HOUR, MINUTE, pause } from '../../runtime/time.ts'

/** Filters webhooks by address, before the signature is checked. It does not replace the signature: all Buildkite customers share the addresses. */
export interface AllowList {
  lets(address: string): boolean
  stop(): void
}

export interface AllowListParts {
  /** Reads Buildkite's addresses. */
  read(signal: AbortSignal): Promise<readonly IpRange[]>
  log: Log
  /** Milliseconds between reads, and between tries before the first successful read. */
  everyMs?: number
  againMs?: number
}

/** A list that never changes. */
export function fixedAllowList(ranges: readonly IpRange[]): AllowList {
  return { lets: withinRanges(ranges), stop: () => {} }
}

/**
 * Buildkite's own list, read at once and then hourly. Until the first successful read it accepts every address, because a refused
 * webhook is lost. Later failures keep the last good list.
 */
export function followedAllowList({ read, log, everyMs = HOUR, againMs = MINUTE }: AllowListParts): AllowList {
  const stop = new AbortController()
  let lets: ((address: string) => boolean) | undefined
  let hasWarned = false

  const refresh = async () => {
    try {
      lets = withinRanges(await read(stop.signal))
      hasWarned = false
    } catch (error) {
      if (stop.signal.aborted || hasWarned) return
      hasWarned = true
      const meanwhile = lets ? 'the last list stays in use' : 'webhooks are accepted from every address'
      log.warn({ err: error }, `Could not read the addresses of Buildkite's webhooks; ${meanwhile}.`)
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
