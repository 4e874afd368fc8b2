/** Asks every `everyMs` until `condition` gives something truthy and returns it; rejects after `ms`, with the condition's last error as cause. */
export async function until<T>(
  condition: () => T | Promise<T>,
  what: string,
  ms = 15_000,
  everyMs = 10,
): Promise<Exclude<T, false | undefined | null | 0 | ''>> {
  const deadline = Date.now() + ms
  let cause: unknown
  for (;;) {
    try {
      const value = await condition()
      if (isTruthy(value)) return value
    } catch (error) {
      cause = error
    }
    if (Date.now() > deadline) throw new Error(`It did not happen within ${ms} ms: ${what}`, { cause })
    await sleep(everyMs)
  }
}

/**
 * Waits until `progress` returns `goal`, while its value changes: a busy machine is slow, and is stuck only if nothing has changed for
 * `idleMs`. An error counts as no change. Rejects with the last progress in the message and the last error as cause.
 */
export async function untilProgress<T extends number | string | boolean>(
  progress: () => T | Promise<T>,
  goal: T | ((value: T) => boolean),
  what: string,
  idleMs = 30_000,
  everyMs = 50,
): Promise<void> {
  const isReached = typeof goal === 'function' ? goal : (value: T) => value === goal
  let last: T | undefined
  let cause: unknown
  let changedAt = Date.now()
  for (;;) {
    try {
      const value = await progress()
      if (isReached(value)) return
      if (value !== last) changedAt = Date.now()
      last = value
    } catch (error) {
      cause = error
    }
    if (Date.now() - changedAt > idleMs) {
      throw new Error(`Nothing changed for ${idleMs} ms at ${String(last)}: ${what}`, { cause })
    }
    await sleep(everyMs)
  }
}

function sleep(ms: number): Promise<void> {
  return new Promise((again) => setTimeout(again, ms))
}

function isTruthy<T>(value: T): value is Exclude<T, false | undefined | null | 0 | ''> {
  return Boolean(value)
}
