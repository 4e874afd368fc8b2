import { withDeadline } from '../time.ts'

interface Openable {
  waitUntilReady(): Promise<unknown>
  close(): Promise<void>
}

/** Something of BullMQ's that is opened in the background and again after a failure, until it is closed. */
export interface Opening<T> {
  /** The opened thing, or `undefined` while its store is out of reach. */
  readonly current: T | undefined
  /** The opened thing as soon as there is one; rejects after `ms`, with the last failure as cause. */
  within(ms: number): Promise<T>
  /** No further tries. Closing what is open is up to the caller. */
  stop(): void
}

/**
 * Opens by `open` and tries again every second until it is ready. BullMQ remembers a failed first connection for ever (Postgres)
 * or awaits it for ever (Redis), so neither a queue nor a worker made while the store is down would recover by itself.
 */
export function keepOpening<T extends Openable>(open: () => Promise<T>, onError: (error: Error) => void): Opening<T> {
  let current: T | undefined
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let settle: (value: T) => void = () => {}
  const opened = new Promise<T>((resolve) => {
    settle = resolve
  })
  const attempt = async () => {
    let candidate: T | undefined
    try {
      candidate = await open()
      await candidate.waitUntilReady()
      if (stopped) return void candidate.close().catch(() => {})
      current = candidate
      settle(candidate)
    } catch (error) {
      candidate?.close().catch(() => {})
      if (stopped) return
      onError(error instanceof Error ? error : new Error(String(error)))
      timer = setTimeout(attempt, 1_000)
      timer.unref()
    }
  }
  void attempt()
  return {
    get current() {
      return current
    },
    within: (ms) => (current ? Promise.resolve(current) : withDeadline(opened, ms, 'The queue')),
    stop() {
      stopped = true
      clearTimeout(timer)
    },
  }
}
