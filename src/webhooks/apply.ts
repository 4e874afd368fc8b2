import { and, asc, eq, inArray, sql } from 'drizzle-orm'
import { slugsOf } from '../buildkite/urls.ts'
import type { Db } from '../database/connection.ts'
import { type DeliveryStatus, deliveries } from '../database/schema.ts'
import { messageOf, StoreError } from '../errors.ts'
import type { Log } from '../log.ts'
import { applyObservations } from '../mirror/apply.ts'
import { combine, type Observations } from '../mirror/observation.ts'
import { observeWebhook, PayloadError } from '../mirror/observe.ts'
import { isObject } from '../mirror/reader.ts'
import type { DeliveriesJob, KeptDelivery } from '../queue/queues.ts'
import type { Scope } from '../scope.ts'
import type { Clock } from '../time.ts'
import type { OnOccurrence } from './occurrence.ts'
import { asked } from './query.ts'

export interface ApplyParts {
  db: Db
  scope: Scope
  storeEnv: boolean
  log: Log
  clock?: Clock
  on?: OnOccurrence
}

/** How much payload is held in memory and applied in one transaction. */
const batchBytes = 4 * 1024 * 1024
const batchSize = 200

/** What reading a delivery came to. */
type Outcome = { observed: Observations } | { ignored: true } | { error: string }

interface Pending {
  id: number
  event: string
  observed_at: Date
  payload: string | null
}

interface Readable {
  id: number
  observed: Observations
}

/**
 * The delivery worker's handler: brings the deliveries of a job into the mirror and settles each as `applied`, `ignored` or
 * `failed`. Whatever is settled is passed over, so any job may run again.
 * @throws StoreError `transient` when the database is away; nothing is lost then. A delivery that can never be applied does not
 * throw: it is settled as `failed`, with its error, and the others go on.
 */
export function deliveryHandler(parts: ApplyParts): (job: DeliveriesJob) => Promise<void> {
  return async (job) => {
    const ids = 'kept' in job ? await moveToInbox(parts, job.kept) : job.ids
    for (const batch of await pendingBatches(parts.db, ids)) await applyBatch(parts, batch)
  }
}

/**
 * Deliveries that came while Postgres was away get their rows now. Returns the ids of all of them, also of those moved before.
 * Each is tried alone when all together are refused: the job is their only copy, and one must not keep the others out.
 */
async function moveToInbox(parts: ApplyParts, kept: readonly KeptDelivery[]): Promise<number[]> {
  try {
    return await insertKept(parts, kept)
  } catch (error) {
    if (kept.length === 1 || !isPoison(error)) throw error
    const moved: number[] = []
    for (const delivery of kept) moved.push(...(await insertKept(parts, [delivery]).catch(() => [])))
    for (const batch of await pendingBatches(parts.db, moved)) await applyBatch(parts, batch)
    throw error
  }
}

async function insertKept({ db, clock = Date.now }: ApplyParts, kept: readonly KeptDelivery[]): Promise<number[]> {
  const rows = kept.map((delivery) => ({
    ...delivery,
    received_at: new Date(delivery.received_at),
    observed_at: new Date(delivery.observed_at),
    enqueued_at: new Date(clock()),
  }))
  const unique = [...new Map(rows.map((row) => [row.key, row])).values()]
  return asked(`move ${unique.length} deliveries from the queue to the inbox`, async () => {
    await db.insert(deliveries).values(unique).onConflictDoNothing({ target: deliveries.key })
    const keys = unique.map((row) => row.key)
    const found = await db.select({ id: deliveries.id }).from(deliveries).where(inArray(deliveries.key, keys))
    return found.map((row) => row.id)
  })
}

/** The ids that are still to be settled, oldest first, in batches that fit into memory. */
async function pendingBatches(db: Db, ids: readonly number[]): Promise<number[][]> {
  if (ids.length === 0) return []
  const bytes = sql<number>`coalesce(octet_length(${deliveries.payload}), 0)`
  const rows = await asked('look up deliveries', async () =>
    db.select({ id: deliveries.id, bytes }).from(deliveries).where(pendingAmong(ids)).orderBy(asc(deliveries.id)),
  )
  const batches: number[][] = []
  let batch: number[] = []
  let size = 0
  for (const row of rows) {
    if (batch.length >= batchSize || (batch.length > 0 && size + row.bytes > batchBytes)) {
      batches.push(batch)
      batch = []
      size = 0
    }
    batch.push(row.id)
    size += row.bytes
  }
  if (batch.length > 0) batches.push(batch)
  return batches
}

function pendingAmong(ids: readonly number[]) {
  return and(inArray(deliveries.id, [...ids]), eq(deliveries.status, 'pending'))
}

async function applyBatch(parts: ApplyParts, ids: readonly number[]): Promise<void> {
  const rows: Pending[] = await asked('read deliveries', async () =>
    parts.db
      .select({
        id: deliveries.id,
        event: deliveries.event,
        observed_at: deliveries.observed_at,
        payload: deliveries.payload,
      })
      .from(deliveries)
      .where(pendingAmong(ids)),
  )
  const readable: Readable[] = []
  const ignored: number[] = []
  for (const row of rows) {
    const outcome = readDelivery(row, parts)
    if ('observed' in outcome) readable.push({ id: row.id, observed: outcome.observed })
    else if ('ignored' in outcome) ignored.push(row.id)
    else await settle(parts, [row.id], 'failed', outcome.error)
  }
  await settle(parts, ignored, 'ignored')
  await applyReadable(parts, readable)
}

/** Reads one delivery; pure. */
function readDelivery(row: Pending, { scope, storeEnv }: Pick<ApplyParts, 'scope' | 'storeEnv'>): Outcome {
  if (row.payload === null) return { error: 'Its payload was dropped.' }
  const kind = row.event.split('.')[0] ?? ''
  if (!['ping', 'build', 'job', 'agent'].includes(kind)) return { ignored: true }
  try {
    const payload: unknown = JSON.parse(row.payload)
    if (!isWanted(payload, scope)) return { ignored: true }
    return { observed: observeWebhook(row.event, payload, row.observed_at, { storeEnv }) }
  } catch (error) {
    if (error instanceof PayloadError) return { error: error.message }
    return { error: `It could not be read: ${error instanceof Error ? error.name : 'unknown error'}.` }
  }
}

/** Most payloads name no organization: its slug, and often the pipeline's, stand in the objects' URLs. */
function isWanted(payload: unknown, scope: Scope): boolean {
  const { organization, pipeline, project, build, job, agent } = asObject(payload)
  const subjects = [pipeline, project, build, job, agent].map((subject) => slugsOf(asObject(subject).url))
  const organizations = [asObject(organization).slug, ...subjects.map((slugs) => slugs.organization)]
  const pipelines = [asObject(pipeline).slug, asObject(project).slug, ...subjects.map((slugs) => slugs.pipeline)]
  return (
    organizations.every((slug) => typeof slug !== 'string' || scope.organization(slug)) &&
    pipelines.every((slug) => typeof slug !== 'string' || scope.pipeline(slug))
  )
}

function asObject(value: unknown): Record<string, unknown> {
  return isObject(value) ? value : {}
}

/** Applies all at once; when one of them cannot be, halves until it is found alone. */
async function applyReadable(parts: ApplyParts, readable: readonly Readable[]): Promise<void> {
  if (readable.length === 0) return
  const { db, clock = Date.now } = parts
  const ids = readable.map((one) => one.id)
  try {
    await applyObservations(db, combine(readable.map((one) => one.observed)), new Date(clock()))
  } catch (error) {
    if (!isPoison(error)) throw error
    if (readable.length === 1) return settle(parts, ids, 'failed', messageOf(error))
    const middle = Math.ceil(readable.length / 2)
    await applyReadable(parts, readable.slice(0, middle))
    return applyReadable(parts, readable.slice(middle))
  }
  await settle(parts, ids, 'applied')
}

/** Whether the data is at fault, and not the database's reach, state, schema or permissions (SQLSTATE class 42, 3D, 3F). */
function isPoison(error: unknown): boolean {
  if (!(error instanceof StoreError)) return true
  return error.kind === 'permanent' && !/^(42|3D|3F|28)/.test(error.code ?? '')
}

async function settle(
  { db, log, clock = Date.now, on = () => {} }: ApplyParts,
  ids: readonly number[],
  status: DeliveryStatus,
  error?: string,
): Promise<void> {
  if (ids.length === 0) return
  await asked('settle deliveries', async () => {
    await db
      .update(deliveries)
      .set({
        status,
        error: error?.slice(0, 1_000) ?? null,
        applied_at: status === 'applied' ? new Date(clock()) : null,
        attempts: sql`${deliveries.attempts} + 1`,
      })
      .where(pendingAmong(ids))
  })
  if (status === 'failed') log.warn({ delivery: ids[0], error }, 'A delivery could not be applied and is set aside.')
  on('settled', ids.length, { status })
}
