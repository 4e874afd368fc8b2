import type { Answer } from './routes.ts'
import type { Build } from './shapes.ts'

/** How the API fails for one build, although all else works. */
export interface ReadFault {
  /** Each page of a builds list that holds the build answers 504: only when it carries jobs, or always. */
  list?: 'with_jobs' | 'always'
  /** The build's own GET answers 403 (its jobs too), or 504 when it carries jobs; the list of its jobs then still works. */
  get?: 'forbidden' | 'with_jobs'
}

export const timedOut: Answer = { status: 504, body: '<html><body><h1>504 Gateway Time-out</h1></body></html>' }
export const forbidden: Answer = { status: 403, body: { message: 'Forbidden' } }

type Faults = ReadonlyMap<Build, ReadFault>

/** Whether a page of a builds list with these builds fails. */
export function failsInList(faults: Faults, builds: readonly Build[], jobs: boolean): boolean {
  if (faults.size === 0) return false
  const ids = new Set(builds.map(({ id }) => id))
  return [...faults].some(([{ id }, { list }]) => ids.has(id) && (list === 'always' || (list === 'with_jobs' && jobs)))
}

/** What a build's own GET answers instead of the build; undefined when it works. */
export function failureOf(faults: Faults, build: Build, jobs: boolean): Answer | undefined {
  const { get } = faults.get(build) ?? {}
  if (get === 'forbidden') return forbidden
  return get === 'with_jobs' && jobs ? timedOut : undefined
}
