import { RateLimitError, WaitingError } from 'bullmq'
import { messageOf, StoreError } from '../runtime/errors.ts'
import { MINUTE, pause, SECOND, withDeadline } from '../runtime/time.ts'
import type { BareQueue, BareWorker, Engine, QueueJob, QueueName } from './engine.ts'
import { keepOpening, type Opening } from './opening.ts'

/** A worker of one queue. It runs until it is closed. */
export interface RunningWorker {
  /** Takes no further jobs; running ones continue. */
  pause(): void
  /** Aborts the handlers' signal and waits for them, at most `deadlineMs`. The queue hands out unfinished jobs again. */
  close(deadlineMs: number): Promise<void>
  /** When the worker last finished a job, ran one for a plausible time, or had nothing to do (ms since the epoch). */
  readonly lastProgressAt: number
}

/** No handler should take this long. A longer run no longer counts as progress. */
const clampPause = 15 * MINUTE
/** How long the whole queue pauses between tries while the infrastructure is down. */
const rest = 2 * SECOND

export interface WorkerParts {
  engine: Engine
  /** Resolves when the engine's store is ready for use. */
  prepared: () => Promise<void>
  /** Resolves when the location of the jobs is known. */
  prefix: () => Promise<string>
  name: QueueName
  queue: () => Opening<BareQueue>
  concurrency: number
  handle: (data: unknown, signal: AbortSignal) => Promise<void>
  onError: (error: Error) => void
}

export function startWorker(parts: WorkerParts): RunningWorker {
  const { engine, prepared, name, queue, concurrency, onError } = parts
  const stop = new AbortController()
  const atWork = new Map<symbol, number>()
  let lastProgressAt = Date.now()

  const process = async (job: QueueJob, token?: string): Promise<void> => {
    const run = Symbol()
    atWork.set(run, Date.now())
    try {
      await parts.handle(job.data, stop.signal)
      lastProgressAt = Date.now()
    } catch (error) {
      throw await errorToThrow(error, job, token)
    } finally {
      atWork.delete(run)
    }
  }

  /** Decides what BullMQ does after a failed run. */
  const errorToThrow = async (error: unknown, job: QueueJob, token: string | undefined): Promise<Error> => {
    if (stop.signal.aborted) {
      // Our own shutdown ended the run: another process takes the job at once, and no attempt is used up.
      await job.moveToWait(token)
      return new WaitingError()
    }
    if (error instanceof StoreError && error.kind === 'transient') {
      onError(error)
      await opening.current?.rateLimit(rest)
      return new RateLimitError()
    }
    lastProgressAt = Date.now()
    return forQueue(error)
  }

  const opening = keepOpening<BareWorker>(async () => {
    await prepared()
    return engine.openWorker(name, await parts.prefix(), process, { concurrency, backoff }, onError)
  }, onError)

  const probe = setInterval(async () => {
    const now = Date.now()
    if ([...atWork.values()].some((since) => now - since < clampPause)) lastProgressAt = now
    if (!opening.current?.isRunning() || atWork.size > 0) return
    const counts = await queue()
      .current?.getJobCounts('waiting')
      .catch(() => undefined)
    if (counts?.waiting === 0) lastProgressAt = now
  }, 2 * SECOND)
  probe.unref()

  return {
    get lastProgressAt() {
      return lastProgressAt
    },
    pause() {
      opening.current?.pause(true).catch(onError)
    },
    async close(deadlineMs) {
      const until = Date.now() + deadlineMs
      clearInterval(probe)
      opening.stop()
      stop.abort()
      const worker = opening.current
      if (!worker) return
      await worker.pause(true).catch(onError)
      while (atWork.size > 0 && Date.now() < until) await pause(20)
      // If its store is unavailable, close() never returns, and a second close(true) would only wait for the first.
      const closed = worker.close(atWork.size > 0)
      await withDeadline(closed, Math.max(until - Date.now(), 100), `The ${name} worker`).catch((error) => {
        onError(error)
        worker.disconnect().catch(() => {})
      })
    },
  }
}

/** The worker of this deployment's queue, and a second one for the queue of the previous version. */
export function bothWorkers(own: RunningWorker, older: RunningWorker): RunningWorker {
  return {
    pause() {
      own.pause()
      older.pause()
    },
    async close(deadlineMs) {
      await Promise.all([own.close(deadlineMs), older.close(deadlineMs)])
    },
    get lastProgressAt() {
      return own.lastProgressAt
    },
  }
}

/** From 1 s, doubled up to 5 minutes, with jitter so that many jobs do not return at once. */
export function backoff(attemptsMade: number): number {
  const ms = Math.min(SECOND * 2 ** Math.min(attemptsMade - 1, 20), 5 * MINUTE)
  return Math.round(ms * (0.75 + Math.random() * 0.5))
}

/** BullMQ stores the message and stack of each failure for people to read, so they must be short and hold no SQL or payload. */
function forQueue(error: unknown): Error {
  const leaky = error instanceof Error && 'params' in error && 'query' in error
  const safe = new Error(leaky ? 'A query failed.' : messageOf(error).slice(0, 500))
  if (error instanceof Error) safe.name = error.name
  safe.stack = `${safe.name}: ${safe.message}`
  return safe
}
