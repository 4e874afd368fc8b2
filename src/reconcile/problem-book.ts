import type { Log } from '../log.ts'
import type { Problem } from './problem.ts'

/** What is wrong now, by what met it. */
export interface ProblemBook {
  /** Sets what `source` finds wrong now, none for all well; logs a problem when it comes and when it goes, not in between. */
  replace(source: string, problems: readonly Problem[]): void
  all(): Problem[]
}

export function openProblemBook(log: Log): ProblemBook {
  const book = new Map<string, readonly Problem[]>()
  return {
    replace(source, problems) {
      const before = book.get(source) ?? []
      for (const one of problems) {
        if (!before.some((other) => isSame(one, other))) {
          log.warn({ code: one.code }, `${one.subject}: ${one.message} ${one.remedy}`)
        }
      }
      if (problems.length === 0 && before.length > 0) log.info(`${before[0]?.subject}: all is well again.`)
      if (problems.length === 0) book.delete(source)
      else book.set(source, problems)
    },
    all: () => [...book.values()].flat(),
  }
}

function isSame(one: Problem, other: Problem): boolean {
  return one.subject === other.subject && one.code === other.code && one.message === other.message
}
