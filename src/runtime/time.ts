/** Returns the current time in milliseconds since the epoch. A parameter, so that tests can control it. */
export type Clock = () => number

/** The machine's monotonic clock if `clock` is the real one, else `clock` itself, so that tests control both. */
export function monotonicBeside(clock: Clock): Clock {
  return clock === Date.now ? () => performance.now() : clock
}

export const SECOND = 1_000
export const MINUTE = 60 * SECOND
export const HOUR = 60 * MINUTE
export const DAY = 24 * HOUR

const units = { ms: 1, s: SECOND, m: MINUTE, h: HOUR, d: DAY } as const

/** Parses `30s`, `5m`, `2h`, `1d` or `250ms` to milliseconds; `undefined` for anything else. */
export function parseDuration(text: string): number | undefined {
  const match = /^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(text.trim())
  if (!match?.[1] || !match[2]) return undefined
  return Number(match[1]) * units[match[2] as keyof typeof units]
}

/** Formats milliseconds like `45s`, `3m 20s`, `2h 5m` or `4d 1h`. */
export function formatDuration(ms: number): string {
  if (ms < SECOND) return `${Math.round(ms)}ms`
  const seconds = Math.round(ms / SECOND)
  if (seconds < 60) return `${seconds}s`
  const minutes = Math.floor(seconds / 60)
  if (minutes < 60) return seconds % 60 ? `${minutes}m ${seconds % 60}s` : `${minutes}m`
  const hours = Math.floor(minutes / 60)
  if (hours < 24) return minutes % 60 ? `${hours}h ${minutes % 60}m` : `${hours}h`
  return hours % 24 ? `${Math.floor(hours / 24)}d ${hours % 24}h` : `${Math.floor(hours / 24)}d`
}

/**
 * Resolves with the value of `work`, or rejects after `ms` with an error that names `what`. The work itself continues. Neither BullMQ,
 * ioredis nor pg has a timeout for every call, so every wait that a caller depends on uses this.
 */
export async function withDeadline<T>(work: Promise<T>, ms: number, what: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const deadline = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineError(`${what} did not answer within ${formatDuration(ms)}`)), ms)
  })
  try {
    return await Promise.race([work, deadline])
  } finally {
    clearTimeout(timer)
  }
}

export class DeadlineError extends Error {
  override name = 'DeadlineError'
}

/** Waits `ms`, or until `signal` aborts; never rejects. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted) return Promise.resolve()
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      signal?.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal?.addEventListener('abort', done, { once: true })
  })
}
