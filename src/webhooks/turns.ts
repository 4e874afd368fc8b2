/**
 * Runs `work` for whoever asks, one turn at a time. Whoever asks during a turn shares the next one with all others who do: only a turn
 * that begins after the question answers it. A turn's failure reaches all who share it.
 */
export function sharedTurns<T>(work: (argument: T) => Promise<void>): (argument: T) => Promise<void> {
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

  return (argument) => {
    if (!current) return run(argument)
    const begin = () => {
      next = undefined
      return run(argument)
    }
    next ??= current.then(begin, begin)
    return next
  }
}
