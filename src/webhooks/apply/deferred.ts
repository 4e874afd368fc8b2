import { throttledWarn } from '../../runtime/log.ts'
import { MINUTE, pause, SECOND } from '../../runtime/time.ts'
import { type ApplyParts, applyDue } from './process-deliveries.ts'

/** Retries deferred deliveries. */
export interface DeferredRetries {
  stop(deadlineMs: number): Promise<void>
}

const EVERY = 10 * SECOND

/** Retries each deferred delivery when it is due, one at a time. Uses at most half of the time, so that it does not delay others. */
export function startDeferredRetries(parts: ApplyParts, everyMs = EVERY): DeferredRetries {
  const stop = new AbortController()
  const { signal } = stop
  const mayWarn = throttledWarn(MINUTE, Date.now)
  const running = (async () => {
    while (!signal.aborted) {
      const began = Date.now()
      const more = await applyDue(parts).catch((error) => {
        if (mayWarn()) parts.log.warn({ err: error }, 'Could not retry deferred deliveries; trying again soon.')
        return false
      })
      await pause(more ? Date.now() - began : everyMs, signal)
    }
  })()
  return {
    async stop(deadlineMs) {
      stop.abort()
      await Promise.race([running, pause(deadlineMs)])
    },
  }
}
