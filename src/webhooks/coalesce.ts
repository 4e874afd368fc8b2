/** Coalesces runs of the same work. */
export interface CoalescedRuns<T> {
  /** Resolves after a run that began after this call. An error rejects all callers that share the run. */
  take(argument: T): Promise<void>
  /** Whether a caller waits for a run that has not begun. */
  isNextAwaited(): boolean
}

/** Runs `work` one run at a time. All callers during a run share the next one. */
export function coalesceRuns<T>(work: (argument: T) => Promise<void>): CoalescedRuns<T> {
  let current: Promise<void> | undefined
  let next: Promise<void> | undefined

  const start = (argument: T): Promise<void> => {
    const run = work(argument).finally(() => {
      // If a next run is waiting, it starts at once, and callers until then share it.
      if (!next) current = undefined
    })
    current = run
    return run
  }

  return {
    take(argument) {
      if (!current) return start(argument)
      const begin = () => {
        next = undefined
        return start(argument)
      }
      next ??= current.then(begin, begin)
      return next
    },
    isNextAwaited: () => next !== undefined,
  }
}
