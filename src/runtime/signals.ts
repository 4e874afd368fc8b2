/** npm forwards a Ctrl-C that the terminal has already sent to its child. A second signal within this time (ms) is that copy. */
const ECHO = 250

type OnSignal = (signal: NodeJS.Signals) => void

/** Calls `first` at the first SIGINT or SIGTERM, and `later` at each one after that. */
export function onStopSignals(first: OnSignal, later: OnSignal = () => process.exit(130)): void {
  let firstAt: number | undefined
  const onSignal = (signal: NodeJS.Signals) => {
    if (firstAt === undefined) {
      firstAt = performance.now()
      first(signal)
    } else if (performance.now() - firstAt > ECHO) later(signal)
  }
  process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
}

/** Aborts at the first SIGINT or SIGTERM, and exits at the second. */
export function stopOnSignal(): AbortSignal {
  const stop = new AbortController()
  onStopSignals(() => stop.abort())
  return stop.signal
}
