/** Turns of work that callers share. */
export interface SharedTurns<T> {
  /** Resolves after a turn that began after this call. A turn's failure reaches all who share it. */
  take(argument: T): Promise<void>
  /** Whether a caller waits for a turn that has not begun. */
  isNextAwaited(): boolean
}

/** Runs `work` for all who ask, one turn at a time. All who ask during a turn share the next one. */
export function sharedTurns<T>(work: (argument: T) => Promise<void>): SharedTurns<T> {
  let current: Promise<void> | undefined
  let next: Promise<void> | undefined

  const run = (argument: T): Promise<void> => {
    const turn = work(argument).finally(() => {
      // Where a next turn was asked for it follows at once, and what is asked until then shares it.
      if (!next) current = undefined
    })
    current = turn
    return turn
  }

  return {
    take(argument) {
      if (!current) return run(argument)
      const begin = () => {
        next = undefined
        return run(argument)
      }
      next ??= current.then(begin, begin)
      return next
    },
    isNextAwaited: () => next !== undefined,
  }
}
