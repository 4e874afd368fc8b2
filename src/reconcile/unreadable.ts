import { slugsOf } from '../buildkite/urls.ts'
import type { BuildkiteError, BuildkiteErrorCode } from '../errors.ts'
import { isObject, isUuid, parseTime } from '../mirror/reader.ts'

/** Something of Buildkite that could not be compared, because it could not be read. */
export interface Unreadable {
  /** Null when it has no id that can be used, or is a stretch of a list. */
  readonly build_id: string | null
  /** Slug of the pipeline. */
  readonly pipeline: string | null
  readonly number: number | null
  /** When it was created; or the part of created_at that no list shows. */
  readonly created_from: Date | null
  readonly created_to: Date | null
  readonly code: BuildkiteErrorCode | 'no_id' | 'jobs' | 'not_read'
  /** The HTTP status, where there was one. */
  readonly status: number | null
  readonly reason: string
}

type Raw = Record<string, unknown>

/** Divides what a list holds: builds that have an id, and what is unreadable in it. A build some of whose jobs have no id is in both. */
export function readable(listed: readonly unknown[]): { builds: Raw[]; unreadable: Unreadable[] } {
  const builds = listed.filter(isObject).filter(({ id }) => isUuid(id))
  const nameless = listed.filter((one) => !isObject(one) || !isUuid(one.id))
  return {
    builds,
    unreadable: [
      ...nameless.map((one) => unreadable(isObject(one) ? one : {}, 'no_id', 'It has no id that can be used.')),
      ...builds.flatMap((build) => {
        const reason = faultOfJobs(build)
        return reason === undefined ? [] : [unreadable(build, 'jobs', reason)]
      }),
    ],
  }
}

/** Why some of a build's jobs cannot be compared; undefined when all can. */
export function faultOfJobs({ jobs }: Raw): string | undefined {
  if (!Array.isArray(jobs)) return 'Its jobs are not there.'
  const nameless = jobs.filter((job) => !isObject(job) || !isUuid(job.id)).length
  return nameless > 0 ? `${nameless} of its jobs have no id that can be used.` : undefined
}

/** A build that Buildkite refuses to show. */
export function refused(build: Raw, { code, status, fact }: BuildkiteError): Unreadable {
  return { ...unreadable(build, code, fact), status: status ?? null }
}

/** What a build says of itself, and why it cannot be read. */
export function unreadable(build: Raw, code: Unreadable['code'], reason: string): Unreadable {
  const { pipeline, number } = slugsOf(build.url)
  const created = parseTime(build.created_at) ?? null
  return {
    build_id: isUuid(build.id) ? build.id.toLowerCase() : null,
    pipeline: pipeline ?? null,
    number: number ?? null,
    created_from: created,
    created_to: created,
    code,
    status: null,
    reason,
  }
}
