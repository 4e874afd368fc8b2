import type { Log } from '../runtime/log.ts'
import type { Issue } from './issue.ts'

/** The current problems, by the task that found them. */
export interface IssueTracker {
  /** Sets the current problems of `source`; an empty list resolves them. Logs a problem when it appears and when it is resolved. */
  replace(source: string, problems: readonly Issue[]): void
  all(): Issue[]
}

export function openIssueTracker(log: Log): IssueTracker {
  const book = new Map<string, readonly Issue[]>()
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

function isSame(one: Issue, other: Issue): boolean {
  return one.subject === other.subject && one.code === other.code && one.message === other.message
}
