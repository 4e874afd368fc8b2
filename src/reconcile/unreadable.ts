import type { UnlistableRange } from '../buildkite/client.ts'
import { slugsOf } from '../buildkite/urls.ts'
import { failuresOf, recordFailure } from '../database/failures.ts'
import { BuildkiteError, type BuildkiteErrorCode } from '../errors.ts'
import { isObject, isUuid, parseTime } from '../mirror/reader.ts'
import type { ReconcileDeps, Source } from './deps.ts'
import type { Span } from './spans.ts'

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
  readonly code: BuildkiteErrorCode | 'no_id' | 'jobs_unreadable' | 'not_read'
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
        return reason === undefined ? [] : [unreadable(build, 'jobs_unreadable', reason)]
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

/** A stretch of created_at that no list shows. */
export function unlistable({ from, to, error: { code, status, fact } }: UnlistableRange): Unreadable {
  return { ...unreadable({}, code, fact), created_from: from, created_to: to, status: status ?? null }
}

/** A stretch that cycles and backfills have found to be unlistable, and now avoid. */
export type KnownUnlistable = Unreadable & Span

/** The stretches within a span that are recorded as unlistable. */
export async function knownUnlistable({ db }: ReconcileDeps, source: Source, span: Span): Promise<KnownUnlistable[]> {
  const known = await failuresOf(db, source.id, ['builds_list'])
  return known.flatMap(({ created_from: from, created_to: to, code, error }) => {
    if (!from || !to || from >= span.to || to <= span.from) return []
    const status = Number(/^http_(\d+)$/.exec(code)?.[1] ?? Number.NaN)
    const known = { ...unreadable({}, 'unavailable', error), created_from: from, created_to: to }
    return [{ ...known, status: Number.isNaN(status) ? null : status, from, to }]
  })
}

/** Records in sync.failures the builds that Buildkite refuses to show, so that the cycles try them again. @throws StoreError */
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
