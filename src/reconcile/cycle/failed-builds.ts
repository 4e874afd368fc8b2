import { and, asc, eq, isNull, sql } from 'drizzle-orm'
import { clearFailure, dueAt } from '../../database/failures.ts'
import { builds, failures, pipelines } from '../../database/schema.ts'
import type { BuildReader } from '../builds/build-reader.ts'
import type { PageReport } from '../builds/build-writer.ts'
import type { ReconcileDeps, Source } from '../context.ts'

/** How many builds that could not be read or stored one cycle retries. */
const READS = 5

/**
 * Retries individually the builds that could not be read or stored and whose back-off is over, longest due first.
 * @throws BuildkiteError when the token is rejected; StoreError.
 */
export async function retryFailedBuilds(
  deps: ReconcileDeps,
  source: Source,
  reader: BuildReader,
  signal?: AbortSignal,
): Promise<PageReport[]> {
  const pages: PageReport[] = []
  let reads = 0
  for (const row of await dueBuilds(deps, source)) {
    const { subject, slug, number, build_id: id, pipeline_id, url, created_at } = row
    const unit = { kind: 'build', organizationId: source.id, subject, buildId: id ?? undefined } as const
    if (slug === null || number === null) continue
    if (!deps.filter.pipeline(slug)) {
      // If the pipeline comes back into scope, it is backfilled.
      await clearFailure(deps.db, unit)
      continue
    }
    if (reads === READS) break
    signal?.throwIfAborted()
    reads += 1
    const named = { ...unit, pipelineSlug: slug, buildNumber: number, pipelineId: pipeline_id ?? undefined }
    const { page } =
      id === null
        ? await reader.readNumbered({ number, slug, pipelineId: pipeline_id }, named, { forget: true })
        : await reader.readKnown({ id, number, url, pipeline_id, created_at }, slug, named)
    if (page) pages.push(page)
  }
  return pages
}

/** The failed builds that are due, with what the mirror knows of them. The slug of their pipeline may have changed. */
function dueBuilds({ db, clock }: ReconcileDeps, source: Source) {
  const pipelineId = sql<string | null>`coalesce(${builds.pipeline_id}, ${failures.pipeline_id})`
  return db
    .select({
      subject: failures.subject,
      build_id: failures.build_id,
      pipeline_id: pipelineId,
      slug: sql<string | null>`coalesce(${pipelines.slug}, ${failures.pipeline_slug})`,
      number: sql<number | null>`coalesce(${builds.number}, ${failures.build_number})`.mapWith(Number),
      url: builds.url,
      created_at: builds.created_at,
    })
    .from(failures)
    .leftJoin(builds, eq(builds.id, failures.build_id))
    .leftJoin(pipelines, eq(pipelines.id, pipelineId))
    .where(
      and(
        eq(failures.organization_id, source.id),
        eq(failures.kind, 'build'),
        isNull(failures.cleared_at),
        dueAt(failures.next_try_at, new Date(clock())),
      ),
    )
    .orderBy(asc(failures.next_try_at), asc(failures.id))
}
