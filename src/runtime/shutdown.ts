import { messageOf } from './errors.ts'
import type { Log } from './log.ts'
import { onStopSignals } from './signals.ts'
import { type Clock, formatDuration, SECOND, withDeadline } from './time.ts'

/** Maximum time for all closers together. Kubernetes kills after 30 s, Docker after 10 s. */
const TOTAL = 25 * SECOND

/** Closes what the process opened, in reverse order. The time is bounded even if a store no longer answers. */
export interface Shutdown {
  /** Adds a closer. Closers run one after another, the last added first, because later parts depend on earlier ones. */
  add(name: string, close: (deadlineMs: number) => Promise<void> | void, deadlineMs: number): void
  /**
   * Runs every closer once; a second call waits for the first. A closer that fails or takes too long is logged and skipped.
   * Resolves with the exit code: 0, or 1 if `cause` (the error that ended the process) is given. Takes 25 s at most.
   * After {@link install} the process exits with that code.
   */
  run(reason: string, cause?: unknown): Promise<number>
  /** From now on SIGTERM, SIGINT and uncaught errors run the closers and exit. A second signal exits with 1 at once. */
  install(): void
  /** Aborted as soon as closing begins. */
  readonly signal: AbortSignal
}

interface Closer {
  name: string
  close: (deadlineMs: number) => Promise<void> | void
  deadlineMs: number
}

/** Creates the process's shutdown; `clock` in milliseconds, monotonic by default. */
export function createShutdown(log: Log, clock: Clock = () => performance.now()): Shutdown {
  const closers: Closer[] = []
  const begun = new AbortController()
  let running: Promise<number> | undefined
  let installed = false

  async function closeAll(reason: string, cause: unknown): Promise<number> {
    const start = clock()
    if (cause === undefined) log.info({ reason }, `Shutting down (${reason}).`)
    else log.fatal({ reason, err: cause }, `Shutting down (${reason}): ${messageOf(cause)}`)
    begun.abort()
    for (const closer of closers) {
      const deadline = Math.max(0, Math.min(closer.deadlineMs, start + TOTAL - clock()))
      await closeOne(closer, deadline, log)
    }
    log.info(`Shut down in ${formatDuration(clock() - start)}.`)
    return cause === undefined ? 0 : 1
  }

  const shutdown: Shutdown = {
    signal: begun.signal,
    add(name, close, deadlineMs) {
      closers.unshift({ name, close, deadlineMs })
    },
    run(reason, cause) {
      running ??= closeAll(reason, cause).then((code) => (installed ? process.exit(code) : code))
      return running
    },
    install() {
      installed = true
      const exit = (signal: string) => {
        log.warn(`${signal} again: exiting without waiting.`)
        process.exit(1)
      }
      onStopSignals((signal) => void shutdown.run(signal), exit)
      const onFatal = (error: unknown) => {
        if (running) log.error({ err: error }, 'Error while shutting down.')
        else void shutdown.run('uncaught error', error ?? new Error('unknown'))
      }
      process.on('uncaughtException', onFatal)
      process.on('unhandledRejection', onFatal)
    },
  }
  return shutdown
}

async function closeOne(closer: Closer, deadlineMs: number, log: Log): Promise<void> {
  try {
    // Called even when no time is left, because most closers finish their work at once.
    const closing = Promise.resolve(closer.close(deadlineMs))
    await withDeadline(closing, deadlineMs, `Closing ${closer.name}`)
    log.debug(`Closed ${closer.name}.`)
  } catch (error) {
    log.warn({ err: error }, `Could not close ${closer.name}: ${messageOf(error)}`)
  }
}
