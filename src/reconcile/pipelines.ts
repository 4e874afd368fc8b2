import { and, eq, isNull, lt } from 'drizzle-orm'
import { z } from 'zod'
import { cycles, pipelines, watermarks } from '../database/schema.ts'
import { applyObservations, markDeleted } from '../mirror/apply.ts'
import { observePipelines } from '../mirror/observe.ts'
import type { ReconcileDeps, Source } from './deps.ts'

const pipelineFacts = z.object({ id: z.string(), slug: z.string() })

/** What reading all pipelines of an organization found. */
export interface PipelinesReport {
  readonly requests: number
  /** Pipelines listed that are in scope. */
  readonly read: number
  readonly inserted: number
  readonly updated: number
  /** Pipelines that the mirror holds and the list no longer has. */
  readonly unlisted: number
}

/**
 * Reads all pipelines of an organization, archived ones too, and marks those that the complete list lacks as `not_listed`. Whether
 * they were deleted or our user lost access cannot be told from a list, so nothing else is done; the mark goes when one is seen again.
 * @throws BuildkiteError, StoreError.
 */
export async function refreshPipelines(
  deps: ReconcileDeps,
  source: Source,
  signal?: AbortSignal,
): Promise<PipelinesReport> {
  const startedAt = new Date(deps.clock())
  const listed = new Set<string>()
  let requests = 0
  let read = 0
  let inserted = 0
  let updated = 0
  let firstReadAt: Date | undefined
  for await (const page of source.client.pipelines(source.slug, 'hot', signal)) {
    signal?.throwIfAborted()
    requests += 1
    firstReadAt ??= page.at
    const all = page.value.flatMap((raw) => {
      const parsed = pipelineFacts.safeParse(raw)
      return parsed.success ? [{ raw, facts: parsed.data }] : []
    })
    for (const { facts } of all) listed.add(facts.id)
    const wanted = all.filter(({ facts }) => deps.scope.pipeline(facts.slug)).map(({ raw }) => raw)
    const observed = observePipelines(wanted, page.at, { storeEnv: deps.storeEnv })
    const report = await applyObservations(deps.db, observed, new Date(deps.clock()))
    read += wanted.length
    inserted += report.pipelines.inserted
    updated += report.pipelines.updated
  }
  const at = firstReadAt ?? startedAt
  const unlisted = await markUnlisted(deps, source, listed, at)
  await record(deps, source, at, { startedAt, requests })
  return { requests, read, inserted, updated, unlisted }
}

async function markUnlisted({ db }: ReconcileDeps, source: Source, listed: ReadonlySet<string>, at: Date) {
  // A pipeline that a webhook told of while we were paging is no older than our first page.
  const held = await db
    .select({ id: pipelines.id })
    .from(pipelines)
    .where(and(eq(pipelines.organization_id, source.id), isNull(pipelines.deleted_at), lt(pipelines.observed_at, at)))
  const gone = held.map(({ id }) => id).filter((id) => !listed.has(id))
  await markDeleted(db, 'pipelines', gone, 'not_listed', at)
  return gone.length
}

async function record(
  { db, clock }: ReconcileDeps,
  source: Source,
  at: Date,
  read: { startedAt: Date; requests: number },
): Promise<void> {
  const now = new Date(clock())
  await db
    .insert(watermarks)
    .values({ organization_id: source.id, pipelines_read_at: at, updated_at: now })
    .onConflictDoUpdate({ target: watermarks.organization_id, set: { pipelines_read_at: at, updated_at: now } })
  await db.insert(cycles).values({
    organization_id: source.id,
    kind: 'pipelines',
    started_at: read.startedAt,
    finished_at: now,
    requests: read.requests,
  })
}
