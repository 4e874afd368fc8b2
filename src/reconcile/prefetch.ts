/**
 * Prefetches one value: requests the next value of `source` while the reader works on the present one, so that a page travels while
 * the last is written. If the reader stops early, drops the pending value and closes `source`.
 */
export async function* prefetch<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  let coming = source.next()
  try {
    for (;;) {
      const { value, done } = await coming
      if (done) return
      coming = source.next()
      // If the reader fails, nobody awaits this promise; its failure must not become an unhandled rejection.
      coming.catch(() => {})
      yield value
    }
  } finally {
    // A generator queues return() behind a pending next(). Not awaited, so that nobody waits for an abandoned request.
    source.return(undefined).catch(() => {})
  }
}

/**
 * Maps the values of `source` with `work`, in order, two at a time: Postgres writes one value while the next is read. If a value fails
 * or the reader stops early, waits for the pending work first. Throws a failure of `source` after the results of all values before it.
 */
export async function* mapOrdered<T, R>(source: AsyncGenerator<T>, work: (value: T) => Promise<R>): AsyncGenerator<R> {
  let underway: Promise<R> | undefined
  try {
    for (;;) {
      const step = await source.next().then(asStep, (failure: unknown) => ({ failure }))
      const before = underway
      underway = 'value' in step ? work(step.value) : undefined
      // Awaited in the next iteration; until then a failure must not count as unhandled.
      underway?.catch(() => {})
      if (before) yield await before
      if ('failure' in step) throw step.failure
      if (!underway) return
    }
  } finally {
    await Promise.allSettled([underway])
    await source.return(undefined)
  }
}

function asStep<T>(result: IteratorResult<T, unknown>): { value: T } | { ended: true } {
  return result.done ? { ended: true } : { value: result.value }
}
