import type { Build } from '../model/shapes.ts'
import type { ApiResponse } from './answer.ts'

/** How the API fails for one build while everything else works. */
export interface ReadFault {
  /** Each page of a builds list that contains the build returns 504: only with jobs, or always. */
  list?: 'with_jobs' | 'always'
  /** GET of the build returns 403 (also for its jobs), or 504 when it includes jobs; then the list of its jobs still works. */
  get?: 'forbidden' | 'with_jobs'
}

export const timedOut: ApiResponse = { status: 504, body: '<html><body><h1>504 Gateway Time-out</h1></body></html>' }
export const forbidden: ApiResponse = { status: 403, body: { message: 'Forbidden' } }

type Faults = ReadonlyMap<Build, ReadFault>

/** Whether a page of a builds list with these builds fails. */
export function failsInList(faults: Faults, builds: readonly Build[], jobs: boolean): boolean {
  if (faults.size === 0) return false
  const ids = new Set(builds.map(({ id }) => id))
  return [...faults].some(([{ id }, { list }]) => ids.has(id) && (list === 'always' || (list === 'with_jobs' && jobs)))
}

/** The failure that GET of a build returns; undefined when it works. */
export function failureOf(faults: Faults, build: Build, jobs: boolean): ApiResponse | undefined {
  const { get } = faults.get(build) ?? {}
  if (get === 'forbidden') return forbidden
  return get === 'with_jobs' && jobs ? timedOut : undefined
}
