/**
 * Runs `work` for whoever asks, at most `lanes` times at once. Whoever asks while all lanes are taken shares the next turn with all
 * others who do: a turn that begins after the question answers it. A turn's failure reaches all who share it.
 */
export function sharedTurns<T>(work: (argument: T) => Promise<void>, lanes: number): (argument: T) => Promise<void> {
  let running = 0
  let next: { promise: Promise<void>; begin: () => void } | undefined

  const run = async (argument: T) => {
    running += 1
    try {
      await work(argument)
    } finally {
      running -= 1
      next?.begin()
    }
  }

  return (argument) => {
    if (running < lanes && !next) return run(argument)
    if (!next) {
      let begin = () => {}
      const begun = new Promise<void>((resolve) => {
        begin = resolve
      })
      const promise = begun.then(() => {
        next = undefined
        return run(argument)
      })
      next = { promise, begin }
    }
    return next.promise
  }
}
