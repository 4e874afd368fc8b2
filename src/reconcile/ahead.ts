/**
 * Yields what `source` yields, asking for the next value while the present one is being worked on: the next page travels while this
 * one is written. Never more than one ahead. When the reader stops early the value under way is dropped and `source` is closed.
 */
export async function* oneAhead<T>(source: AsyncGenerator<T>): AsyncGenerator<T> {
  let coming = source.next()
  try {
    for (;;) {
      const { value, done } = await coming
      if (done) return
      coming = source.next()
      // If the reader fails meanwhile, nobody awaits this one: its failure must not become an unhandled rejection.
      coming.catch(() => {})
      yield value
    }
  } finally {
    // A generator queues return() behind a pending next(): not awaited, so that nobody waits for a request they gave up on.
    source.return(undefined).catch(() => {})
  }
}

/**
 * Yields what `work` makes of each value of `source`, in order, with two values at work at a time: one is written by Postgres while
 * the next is read here. When a value fails, or the reader stops early, what is under way comes to its end first; a failure of
 * `source` is passed on after all values before it.
 */
export async function* twoAtOnce<T, R>(source: AsyncGenerator<T>, work: (value: T) => Promise<R>): AsyncGenerator<R> {
  let underway: Promise<R> | undefined
  try {
    for (;;) {
      const step = await source.next().then(asStep, (failure: unknown) => ({ failure }))
      const before = underway
      underway = 'value' in step ? work(step.value) : undefined
      // Awaited one turn later: until then its failure must not count as unhandled.
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
