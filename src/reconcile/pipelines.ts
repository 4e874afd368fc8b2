import { and, eq, isNull, lt } from 'drizzle-orm'
import { z } from 'zod'
import { cycles, pipelines, watermarks } from '../database/schema.ts'
import { markDeleted } from '../mirror/apply.ts'
import { observePipelines } from '../mirror/observe.ts'
import { adoptOrphans } from '../mirror/orphans.ts'
import { keepObserved, type ReconcileDeps, type Source } from './deps.ts'

const pipelineFacts = z.object({ id: z.guid().toLowerCase(), slug: z.string().nullish().catch(null) })

const unreadableInList =
  'The list of pipelines holds something without an id that can be used. No pipeline is marked as gone, for it may be that one.'

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
 * Reads all pipelines of an organization, archived ones too, and marks those that the complete list lacks. One that a list once held is
 * `not_listed`: whether it was deleted or our user may no longer see it, a list cannot tell. One that only webhooks know is `hidden`; so
 * is, from then on, any of which a webhook comes after it was marked. The mark goes when a list holds it again.
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
  let unreadable = 0
  let firstReadAt: Date | undefined
  for await (const page of source.client.pipelines(source.slug, 'hot', signal)) {
    signal?.throwIfAborted()
    requests += 1
    firstReadAt ??= page.at
    const all = page.value.flatMap((raw) => {
      const parsed = pipelineFacts.safeParse(raw)
      return parsed.success ? [{ raw, facts: parsed.data }] : []
    })
    unreadable += page.value.length - all.length
    for (const { facts } of all) listed.add(facts.id)
    const wanted = all.filter(({ facts }) => deps.scope.pipeline(facts.slug ?? '')).map(({ raw }) => raw)
    const observed = observePipelines(wanted, page.at, { storeEnv: deps.storeEnv, organizationId: source.id })
    const report = await keepObserved(deps, observed)
    read += wanted.length
    inserted += report.pipelines.inserted
    updated += report.pipelines.updated
  }
  const at = firstReadAt ?? startedAt
  if (unreadable > 0) deps.log.error({ organization: source.slug, unreadable }, unreadableInList)
  const unlisted = unreadable > 0 ? 0 : await markUnlisted(deps, source, listed, at)
  await adoptOrphans(deps.db, source.id, deps.clock)
  await record(deps, source, at, { startedAt, requests })
  return { requests, read, inserted, updated, unlisted }
}

async function markUnlisted({ db }: ReconcileDeps, source: Source, listed: ReadonlySet<string>, at: Date) {
  // A pipeline that a webhook told of while we were paging is no older than our first page.
  const held = await db
    .select({ id: pipelines.id, verified_at: pipelines.verified_at })
    .from(pipelines)
    .where(and(eq(pipelines.organization_id, source.id), isNull(pipelines.deleted_at), lt(pipelines.observed_at, at)))
  const gone = held.filter(({ id }) => !listed.has(id))
  const ids = (rows: typeof held) => rows.map(({ id }) => id)
  await markDeleted(db, 'pipelines', ids(gone.filter(({ verified_at }) => verified_at !== null)), 'not_listed', at)
  await markDeleted(db, 'pipelines', ids(gone.filter(({ verified_at }) => verified_at === null)), 'hidden', at)
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
