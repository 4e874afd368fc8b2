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
    await new Promise((again) => setTimeout(again, everyMs))
  }
}

function isTruthy<T>(value: T): value is Exclude<T, false | undefined | null | 0 | ''> {
  return Boolean(value)
}
