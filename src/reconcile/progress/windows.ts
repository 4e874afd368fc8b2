import { and, desc, eq, gt, isNull, lt, type SQL, sql } from 'drizzle-orm'
import type { Db, Transaction } from '../../database/connection.ts'
import { backOff, clearFailure, recordFailure } from '../../database/failures.ts'
import { watermarks, windows } from '../../database/schema.ts'
import { answeredBy, type ReconcileDeps, type Source } from '../context.ts'
import { type Density, gaps, halve, nextWindow, type TimeRange } from './time-range.ts'
import { doesCount } from './watermark.ts'

export type Window = typeof windows.$inferSelect

/** The pipeline whose list a window is read from; undefined for the organization's list. */
export interface ListedPipeline {
  readonly id: string
  readonly slug: string
}

/** A window's range of `created_at`. */
export function spanOf(window: Window): TimeRange {
  return { from: window.created_from, to: window.created_to }
}

function through(pipeline: ListedPipeline | undefined): SQL {
  return pipeline === undefined ? isNull(windows.pipeline_id) : eq(windows.pipeline_id, pipeline.id)
}

/** The windows of an organization's list, or of a pipeline's, that overlap a span; newest first. */
export async function windowsIn(
  db: Db | Transaction,
  organizationId: string,
  span: TimeRange,
  pipeline?: ListedPipeline,
): Promise<Window[]> {
  return db
    .select()
    .from(windows)
    .where(
      and(
        eq(windows.organization_id, organizationId),
        through(pipeline),
        lt(windows.created_from, span.to),
        gt(windows.created_to, span.from),
      ),
    )
    .orderBy(desc(windows.created_to))
}

/**
 * The newest unread part of `span`: a window that is unfinished or failed and is due again, or a new one, sized by the builds in the
 * last one. `undefined` when nothing is due. A failed window does not delay older ones; `isDue` decides when it is retried.
 */
export async function claimWindow(
  db: Db,
  organizationId: string,
  span: TimeRange,
  isDue: (window: Window) => boolean,
  pipeline?: ListedPipeline,
): Promise<Window | undefined> {
  const known = await windowsIn(db, organizationId, span, pipeline)
  const begun = known.find((window) => window.status !== 'done' && isDue(window))
  const [gap] = gaps(span, known.map(spanOf))
  if (begun && (!gap || begun.created_to >= gap.to)) return begun
  if (!gap) return undefined
  const next = nextWindow(gap, await lastDensity(db, organizationId, pipeline))
  return db.transaction(async (tx) => {
    const row = { organization_id: organizationId, pipeline_id: pipeline?.id ?? null }
    const [window] = await tx
      .insert(windows)
      .values({ ...row, created_from: next.from, created_to: next.to })
      .returning()
    return window
  })
}

async function lastDensity(
  db: Db,
  organizationId: string,
  pipeline: ListedPipeline | undefined,
): Promise<Density | undefined> {
  const [last] = await db
    .select()
    .from(windows)
    .where(and(eq(windows.organization_id, organizationId), through(pipeline), eq(windows.status, 'done')))
    .orderBy(desc(windows.finished_at), desc(windows.id))
    .limit(1)
  return last && { ms: last.created_to.getTime() - last.created_from.getTime(), builds: last.builds }
}

export async function beginWindow({ db, clock }: ReconcileDeps, window: Window): Promise<void> {
  const started_at = window.started_at ?? new Date(clock())
  await db.transaction((tx) =>
    tx.update(windows).set({ status: 'running', started_at, error: null }).where(eq(windows.id, window.id)),
  )
}

/**
 * Matches the window only while the pipelines are listed for the same filter and token as here. Otherwise the read is not recorded,
 * because the coverage contains other pipelines.
 */
function stillListed({ filter }: ReconcileDeps, { client }: Source, window: Window) {
  const { pipelines_read_at, pipeline_filter, pipelines_listed_by, organization_id } = watermarks
  return and(
    eq(windows.id, window.id),
    sql`not exists (
      select from ${watermarks} where ${organization_id} = ${window.organization_id} and ${pipelines_read_at} is not null
        and (${pipeline_filter} is distinct from ${JSON.stringify(filter.patterns)}::jsonb
          or ${pipelines_listed_by} is distinct from ${client.fingerprint}))`,
  )
}

/**
 * Records a committed page; after a kill the window resumes here. `at` is the page's time on Buildkite's clock: the first page dates
 * the window. False when the window is no longer ours to read.
 */
export async function recordProgress(
  deps: ReconcileDeps,
  source: Source,
  window: Window,
  page: { at: Date; walkedTo: Date; builds: number; requests: number },
): Promise<boolean> {
  const { rowCount } = await deps.db.transaction((tx) =>
    tx
      .update(windows)
      .set({
        scanned_to: page.walkedTo,
        builds: sql`${windows.builds} + ${page.builds}`,
        requests: sql`${windows.requests} + ${page.requests}`,
        first_verified_at: sql`coalesce(${windows.first_verified_at}, ${page.at.toISOString()}::timestamptz)`,
      })
      .where(stillListed(deps, source, window)),
  )
  return rowCount === 1
}

/** Finishes a window: its builds are verified as of its first page, except those in `error`. `at` is the time of its last page. */
export async function finishWindow(
  deps: ReconcileDeps,
  source: Source,
  window: Window,
  error: string | undefined,
  at: Date,
): Promise<void> {
  const done = {
    status: 'done',
    finished_at: new Date(deps.clock()),
    ...readUntil(source, at),
    tries: 0,
    next_try_at: null,
  } as const
  await deps.db.transaction(async (tx) => {
    await tx
      .update(windows)
      .set({ ...done, error: error ?? null })
      .where(stillListed(deps, source, window))
    if (window.tries > 0) await clearFailure(tx, windowUnit(source, window))
  })
}

/** The read times of a finished window. */
function readUntil(source: Source, at: Date) {
  const until = answeredBy(source, at)
  return { first_verified_until: until, verified_at: sql`${windows.first_verified_at}`, verified_until: until }
}

/** Records that all builds of a finished window were read again from `at` on, by an audit or for pipelines that appeared later. */
export async function renewWindow(deps: ReconcileDeps, source: Source, window: Window, at: Date): Promise<void> {
  const until = answeredBy(source, at)
  const renewed = { verified_at: at, verified_until: until, error: null, tries: 0, next_try_at: null }
  await deps.db.transaction(async (tx) => {
    // A list of pipelines that does not confirm this read either waits for this lock, or its result is visible here.
    const ofOrganization = eq(watermarks.organization_id, source.id)
    const [mark] = await tx.select().from(watermarks).where(ofOrganization).for('key share')
    if (window.pipeline_id === null && !doesCount(mark, at)) return
    await tx
      .update(windows)
      .set(renewed)
      .where(stillListed(deps, source, window))
    if (window.tries > 0) await clearFailure(tx, windowUnit(source, window))
  })
}

/** Records that a window could not be read; it is due again after a back-off. */
export async function failWindow(
  deps: ReconcileDeps,
  source: Source,
  window: Window,
  failure: unknown,
  error: string,
): Promise<void> {
  const now = new Date(deps.clock())
  const tries = window.tries + 1
  await deps.db.transaction(async (tx) => {
    await tx
      .update(windows)
      .set({
        ...(window.status !== 'done' && { status: 'pending' }),
        error,
        tries,
        next_try_at: new Date(now.getTime() + backOff(tries)),
      })
      .where(eq(windows.id, window.id))
    await recordFailure(tx, windowUnit(source, window), failure, now)
  })
}

function windowUnit(source: Source, { created_from, created_to, pipeline_id }: Window) {
  const whose = pipeline_id === null ? source.slug : `pipeline ${pipeline_id}`
  const subject = `${whose}: builds created from ${created_from.toISOString()} to ${created_to.toISOString()}`
  return { kind: 'window', organizationId: source.id, subject } as const
}

/**
 * Halves the unread part of a window below `walkedTo`, because Buildkite does not list it as a whole. The read part stays as a finished
 * window, read until `at`. False if it cannot be halved: more builds than Buildkite lists were created within one millisecond.
 */
export async function splitWindow(
  deps: ReconcileDeps,
  source: Source,
  window: Window,
  walkedTo: Date,
  at: Date,
): Promise<boolean> {
  const halves = halve({ from: window.created_from, to: walkedTo })
  if (!halves) return false
  const finished_at = new Date(deps.clock())
  await deps.db.transaction(async (tx) => {
    const rest = {
      created_from: walkedTo,
      status: 'done',
      finished_at,
      ...readUntil(source, at),
    } as const
    const { rowCount } =
      walkedTo < window.created_to
        ? await tx
            .update(windows)
            .set(rest)
            .where(stillListed(deps, source, window))
        : await tx.delete(windows).where(stillListed(deps, source, window))
    if (rowCount === 0) return
    const { organization_id, pipeline_id } = window
    await tx
      .insert(windows)
      .values(halves.map(({ from, to }) => ({ organization_id, pipeline_id, created_from: from, created_to: to })))
  })
  return true
}
