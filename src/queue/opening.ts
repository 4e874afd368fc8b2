import { withDeadline } from '../runtime/time.ts'

interface Openable {
  waitUntilReady(): Promise<unknown>
  close(): Promise<void>
}

/** A queue or worker of BullMQ that is opened in the background, and again after a failure, until it is closed. */
export interface Opening<T> {
  /** The opened queue or worker; `undefined` while its store is unavailable. */
  readonly current: T | undefined
  /** Resolves as soon as it is open; rejects after `ms`. */
  within(ms: number): Promise<T>
  /** Stops further tries. The caller closes what is open. */
  stop(): void
}

/**
 * Calls `open` every second until the result is ready. BullMQ remembers a failed first connection for ever (Postgres) or awaits it
 * for ever (Redis). So a queue or worker that was created while the store was down would not recover by itself.
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
