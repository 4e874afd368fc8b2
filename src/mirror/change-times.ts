import { MINUTE } from '../time.ts'
import type { BuildRow, Draft, JobRow, MirrorColumns, MirrorRow, Observation, Observations } from './observation.ts'
import { hasFinished } from './rules.ts'

/** What is known of when an object of a difference changed, in milliseconds since the epoch. */
export interface Evidence {
  /** When the object itself was created; undefined where its kind has no such date, as waits and block steps. */
  readonly createdAt: number | undefined
  /** The newest dated change of the object, by Buildkite or by the mirror; -Infinity when it has no date. */
  readonly changedAt: number
  /** The newest dated change of the build or of any of its jobs. */
  readonly buildChangedAt: number
  /** Whether the build can have changed without a date since: Buildkite shows no finish of it. */
  readonly isOpen: boolean
  /** Whether the object has a finish, by Buildkite. */
  readonly hasFinish: boolean
  /** Whether REST confirmed the mirror's row and no webhook has changed it since. */
  readonly isConfirmed: boolean
}

/** The dates of which builds and jobs consist, beside those that say when they were read. */
const timeColumns = [
  'created_at',
  'scheduled_at',
  'runnable_at',
  'started_at',
  'failing_at',
  'finished_at',
  'expired_at',
  'unblocked_at',
  'promised_exit_status_at',
] as const

type Dated = { readonly [column in (typeof timeColumns)[number]]?: Date | null | undefined } & Partial<MirrorColumns>

/** A date further ahead of the read than this is no change that has happened: a job can be scheduled for later. */
const FUTURE_MS = MINUTE

/** When builds and jobs changed, by a page of REST and by the rows of the mirror. */
export class ChangeTimes {
  readonly #builds: ReadonlyMap<string, Observation<BuildRow>>
  readonly #jobs: ReadonlyMap<string, Draft<JobRow>>
  readonly #storedBuilds: ReadonlyMap<string, BuildRow>
  /** Of each build its jobs, as Buildkite and as the mirror has them. */
  readonly #jobsOf = new Map<string, (Draft<JobRow> | JobRow)[]>()
  readonly #changedAt = new Map<string, number>()

  constructor({ builds, jobs }: Observations, storedBuilds: readonly BuildRow[], storedJobs: readonly JobRow[]) {
    this.#builds = new Map(builds.map((one) => [one.draft.id, one]))
    this.#jobs = new Map(jobs.map(({ draft }) => [draft.id, draft]))
    this.#storedBuilds = new Map(storedBuilds.map((row) => [row.id, row]))
    for (const job of [...this.#jobs.values(), ...storedJobs]) {
      const list = this.#jobsOf.get(job.build_id ?? '')
      if (list) list.push(job)
      else this.#jobsOf.set(job.build_id ?? '', [job])
    }
  }

  /** The evidence about one object of which the mirror holds `stored`. */
  of({ build_id, job_id }: { build_id: string; job_id: string | null }, stored: MirrorRow | undefined): Evidence {
    const build = this.#builds.get(build_id)?.draft
    const seen: Dated | undefined = job_id === null ? build : this.#jobs.get(job_id)
    return {
      createdAt: seen?.created_at?.getTime(),
      changedAt: this.#newest(build_id, [seen, stored]),
      buildChangedAt: this.#buildChangedAt(build_id),
      isOpen: !build || !hasFinished(build) || !build.finished_at,
      hasFinish: Boolean(seen?.finished_at),
      isConfirmed: stored !== undefined && !isProvisional(stored),
    }
  }

  #buildChangedAt(id: string): number {
    const known = this.#changedAt.get(id)
    if (known !== undefined) return known
    const parts = [this.#builds.get(id)?.draft, this.#storedBuilds.get(id), ...(this.#jobsOf.get(id) ?? [])]
    const changedAt = this.#newest(id, parts)
    this.#changedAt.set(id, changedAt)
    return changedAt
  }

  #newest(buildId: string, parts: readonly (Dated | undefined)[]): number {
    const readAt = this.#builds.get(buildId)?.at.getTime() ?? Number.POSITIVE_INFINITY
    const times = parts.flatMap((part) => (part ? timesOf(part) : []))
    return times.reduce((newest, time) => (time <= readAt + FUTURE_MS ? Math.max(newest, time) : newest), -Infinity)
  }
}

function timesOf(part: Dated): number[] {
  const times = timeColumns.flatMap((column) => part[column]?.getTime() ?? [])
  // When a webhook changed a row is a date also where the payload has none.
  return part.observed_at && isProvisional(part) ? [...times, part.observed_at.getTime()] : times
}

/** Whether REST has yet to confirm what a webhook changed. */
function isProvisional({ verified_at, observed_at }: Partial<MirrorColumns>): boolean {
  return !verified_at || (observed_at !== undefined && observed_at > verified_at)
}
