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
