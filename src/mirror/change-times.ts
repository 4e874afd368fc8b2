import { MINUTE } from '../runtime/time.ts'
import type {
  BuildRow,
  JobRow,
  MirrorColumns,
  MirrorRow,
  Observation,
  Observations,
  PartialRow,
} from './observation.ts'
import { hasFinished } from './rules.ts'

/** When the object of a difference changed, as far as known, in milliseconds since the epoch. */
export interface Evidence {
  /** When the object was created; undefined for kinds without such a date, like wait and block steps. */
  readonly createdAt: number | undefined
  /** The newest dated change of the object, in Buildkite or in the mirror; -Infinity when it has no date. */
  readonly changedAt: number
  /** The newest dated change of the build or of any of its jobs. */
  readonly buildChangedAt: number
  /** Whether the build may have changed later without a date: it has no finish in Buildkite. */
  readonly isOpen: boolean
  /** Whether the object has finished, according to Buildkite. */
  readonly hasFinish: boolean
  /** Whether REST confirmed the mirror's row and no webhook has changed it since. */
  readonly isConfirmed: boolean
}

/** The date columns of builds and jobs, without those that record when they were read. */
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

/** A date further ahead of the read than this is not a past change: a job can be scheduled for later. */
const FUTURE_MS = MINUTE

/** When builds and jobs changed, according to a REST page and the rows of the mirror. */
export class ChangeTimes {
  readonly #builds: ReadonlyMap<string, Observation<BuildRow>>
  readonly #jobs: ReadonlyMap<string, PartialRow<JobRow>>
  readonly #storedBuilds: ReadonlyMap<string, BuildRow>
  /** The jobs of each build, both in Buildkite and in the mirror. */
  readonly #jobsOf = new Map<string, (PartialRow<JobRow> | JobRow)[]>()
  readonly #changedAt = new Map<string, number>()

  constructor({ builds, jobs }: Observations, storedBuilds: readonly BuildRow[], storedJobs: readonly JobRow[]) {
    this.#builds = new Map(builds.map((one) => [one.fields.id, one]))
    this.#jobs = new Map(jobs.map(({ fields }) => [fields.id, fields]))
    this.#storedBuilds = new Map(storedBuilds.map((row) => [row.id, row]))
    for (const job of [...this.#jobs.values(), ...storedJobs]) {
      const list = this.#jobsOf.get(job.build_id ?? '')
      if (list) list.push(job)
      else this.#jobsOf.set(job.build_id ?? '', [job])
    }
  }

  /** The evidence for one object; `stored` is its row in the mirror. */
  of({ build_id, job_id }: { build_id: string; job_id: string | null }, stored: MirrorRow | undefined): Evidence {
    const build = this.#builds.get(build_id)?.fields
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
    const parts = [this.#builds.get(id)?.fields, this.#storedBuilds.get(id), ...(this.#jobsOf.get(id) ?? [])]
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
  // The time of the webhook that changed a row also counts as a date.
  return part.observed_at && isProvisional(part) ? [...times, part.observed_at.getTime()] : times
}

/** Whether a webhook changed the row and REST has not confirmed it yet. */
function isProvisional({ verified_at, observed_at }: Partial<MirrorColumns>): boolean {
  return !verified_at || (observed_at !== undefined && observed_at > verified_at)
}
