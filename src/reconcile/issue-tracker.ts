import type { Log } from '../runtime/log.ts'
import type { Problem } from './issue.ts'

/** The current problems, by the task that found them. */
export interface ProblemBook {
  /** Sets the current problems of `source`; an empty list resolves them. Logs a problem when it appears and when it is resolved. */
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
      if (problems.length === 0 && before.length > 0) log.info(`${before[0]?.subject}: resolved.`)
      if (problems.length === 0) book.delete(source)
      else book.set(source, problems)
    },
    all: () => [...book.values()].flat(),
  }
}

function isSame(one: Problem, other: Problem): boolean {
  return one.subject === other.subject && one.code === other.code && one.message === other.message
}
