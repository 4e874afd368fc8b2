/** Combines two signals. On Node 20, AbortSignal.any keeps everything attached to a long-lived signal in memory. */
export function linkSignals(
  one: AbortSignal,
  other: AbortSignal | undefined,
): { signal: AbortSignal; release(): void } {
  const both = new AbortController()
  const sources = other ? [one, other] : [one]
  const abort = () => both.abort(sources.find((source) => source.aborted)?.reason)
  for (const source of sources) source.addEventListener('abort', abort, { once: true })
  if (sources.some((source) => source.aborted)) abort()
  return {
    signal: both.signal,
    release: () => {
      for (const source of sources) source.removeEventListener('abort', abort)
    },
  }
}
