import type { UnlistableRange } from '../../buildkite/client.ts'
import { isObject, isUuid } from '../../buildkite/payload-reader.ts'
import { readTime } from '../../buildkite/timestamp.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import { failuresOf, recordFailure } from '../../database/failures.ts'
import { BuildkiteError, type BuildkiteErrorCode } from '../../runtime/errors.ts'
import { faultOfJobs } from '../builds/build-writer.ts'
import { errorOf } from '../builds/unlistable.ts'
import type { ReconcileDeps, Source } from '../context.ts'
import type { TimeRange } from '../progress/time-range.ts'

/** A build or range that could not be compared, because it could not be read. */
export interface Unreadable {
  /** Null if it has no usable id or is a range of a list. */
  readonly build_id: string | null
  /** Slug of the pipeline. */
  readonly pipeline: string | null
  readonly number: number | null
  /** When it was created, or the unlistable range of created_at. */
  readonly created_from: Date | null
  readonly created_to: Date | null
  readonly code: BuildkiteErrorCode | 'no_id' | 'jobs_unreadable' | 'not_read'
  /** The HTTP status, if there was one. */
  readonly status: number | null
  readonly reason: string
}

type Raw = Record<string, unknown>

/** Splits a list into builds with an id and unreadable entries. A build with some jobs without an id is in both. */
export function readable(listed: readonly unknown[]): { builds: Raw[]; unreadable: Unreadable[] } {
  const builds = listed.filter(isObject).filter(({ id }) => isUuid(id))
  const nameless = listed.filter((one) => !isObject(one) || !isUuid(one.id))
  return {
    builds,
    unreadable: [
      ...nameless.map((one) => unreadable(isObject(one) ? one : {}, 'no_id', 'It has no usable id.')),
      ...builds.flatMap((build) => {
        const reason = faultOfJobs(build)
        return reason === undefined ? [] : [unreadable(build, 'jobs_unreadable', reason)]
      }),
    ],
  }
}

/** A build that Buildkite refuses to show. */
export function refused(build: Raw, { code, status, fact }: BuildkiteError): Unreadable {
  return { ...unreadable(build, code, fact), status: status ?? null }
}

/** An unlistable range of created_at. */
export function unlistable({ from, to, error }: UnlistableRange): Unreadable {
  return { ...refused({}, error), created_from: from, created_to: to }
}

/** An unlistable range that cycles and backfills have recorded and now avoid. */
export type KnownUnlistable = Unreadable & TimeRange

/** The recorded unlistable ranges within a span. */
export async function knownUnlistable(
  { db }: ReconcileDeps,
  source: Source,
  span: TimeRange,
): Promise<KnownUnlistable[]> {
  const known = await failuresOf(db, source.id, ['builds_list'])
  return known.flatMap((row) => {
    const { created_from: from, created_to: to } = row
    if (!from || !to || from >= span.to || to <= span.from) return []
    return [{ ...refused({}, errorOf(row)), created_from: from, created_to: to, from, to }]
  })
}

/** Records in sync.failures the builds that Buildkite refuses to show, so that cycles retry them. @throws StoreError */
export async function recordUnreadable(
  { db, clock }: ReconcileDeps,
  source: Source,
  all: readonly Unreadable[],
): Promise<void> {
  for (const { build_id, pipeline, number, code, status, reason } of all) {
    if (pipeline === null || number === null || !isRefusal(code)) continue
    const unit = { kind: 'build', organizationId: source.id, subject: `${pipeline} #${number}` } as const
    await recordFailure(
      db,
      { ...unit, pipelineSlug: pipeline, buildNumber: number, buildId: build_id ?? undefined },
      new BuildkiteError(code, reason, { status: status ?? undefined }),
      new Date(clock()),
    )
  }
}

function isRefusal(code: Unreadable['code']): code is BuildkiteErrorCode {
  return code !== 'no_id' && code !== 'jobs_unreadable' && code !== 'not_read'
}

/** The identifying fields of a build, and why it cannot be read. */
export function unreadable(build: Raw, code: Unreadable['code'], reason: string): Unreadable {
  const { pipeline, number } = slugsOf(build.url)
  const created = readTime(build.created_at) ?? null
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
