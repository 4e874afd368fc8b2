import { and, desc, eq, gt, lt, sql } from 'drizzle-orm'
import type { Db } from '../database/connection.ts'
import { windows } from '../database/schema.ts'
import type { ReconcileDeps } from './deps.ts'
import { type Density, gaps, halve, nextWindow, type Span } from './spans.ts'
import { isFor } from './watermark.ts'

export type Window = typeof windows.$inferSelect

/** A window's part of `created_at`. */
export function spanOf(window: Window): Span {
  return { from: window.created_from, to: window.created_to }
}

/** The windows of an organization that touch a span, newest first. */
export async function windowsIn(db: Db, organizationId: string, span: Span): Promise<Window[]> {
  return db
    .select()
    .from(windows)
    .where(
      and(
        eq(windows.organization_id, organizationId),
        lt(windows.created_from, span.to),
        gt(windows.created_to, span.from),
      ),
    )
    .orderBy(desc(windows.created_to))
}

/**
 * The newest part of `span` still to be read: a window that was begun or set aside, or a new one, sized by what the last one held.
 * `undefined` when all is read.
 */
export async function claimWindow(db: Db, organizationId: string, span: Span): Promise<Window | undefined> {
  const known = await windowsIn(db, organizationId, span)
  const begun = known.find(({ status }) => status !== 'done')
  const [gap] = gaps(span, known.map(spanOf))
  if (begun && (!gap || begun.created_to >= gap.to)) return begun
  if (!gap) return undefined
  const next = nextWindow(gap, await lastDensity(db, organizationId))
  const [window] = await db
    .insert(windows)
    .values({ organization_id: organizationId, created_from: next.from, created_to: next.to })
    .returning()
  return window
}

async function lastDensity(db: Db, organizationId: string): Promise<Density | undefined> {
  const [last] = await db
    .select()
    .from(windows)
    .where(and(eq(windows.organization_id, organizationId), eq(windows.status, 'done')))
    .orderBy(desc(windows.finished_at), desc(windows.id))
    .limit(1)
  return last && { ms: last.created_to.getTime() - last.created_from.getTime(), builds: last.builds }
}

export async function beginWindow(db: Db, window: Window, now: Date): Promise<void> {
  await db
    .update(windows)
    .set({ status: 'running', started_at: window.started_at ?? now, error: null })
    .where(eq(windows.id, window.id))
}

/** What notes of windows are written with. */
type Noting = Pick<ReconcileDeps, 'db' | 'scope'>

/** The window, as long as it is for the pipelines that were read: what was read for fewer than are wanted is noted nowhere. */
function stillFor({ scope }: Noting, window: Window) {
  return and(eq(windows.id, window.id), isFor(scope, window.organization_id))
}

/** Notes a page that is committed: from here the window goes on after a kill. */
export async function noteProgress(
  deps: Noting,
  window: Window,
  page: { walkedTo: Date; builds: number; requests: number },
): Promise<void> {
  await deps.db
    .update(windows)
    .set({
      walked_to: page.walkedTo,
      builds: sql`${windows.builds} + ${page.builds}`,
      requests: sql`${windows.requests} + ${page.requests}`,
    })
    .where(stillFor(deps, window))
}

/** Ends a window. `verifiedAt` is the time on Buildkite's clock from which on it is known to be right, except for what `error` names. */
export async function finishWindow(
  deps: Noting,
  window: Window,
  verifiedAt: Date,
  now: Date,
  error: string | undefined,
): Promise<void> {
  await deps.db
    .update(windows)
    .set({ status: 'done', finished_at: now, verified_at: verifiedAt, error: error ?? null })
    .where(stillFor(deps, window))
}

export async function failWindow(db: Db, window: Window, error: string): Promise<void> {
  await db.update(windows).set({ status: 'pending', error }).where(eq(windows.id, window.id))
}

/**
 * Cuts what is left of a window below `walkedTo` in two, for Buildkite will not list it whole; what is read stays as a finished
 * window. False when nothing can be cut: more builds than Buildkite lists were created within one millisecond.
 */
export async function splitWindow(
  deps: Noting,
  window: Window,
  walkedTo: Date,
  verifiedAt: Date,
  now: Date,
): Promise<boolean> {
  const halves = halve({ from: window.created_from, to: walkedTo })
  if (!halves) return false
  await deps.db.transaction(async (tx) => {
    const rest = { created_from: walkedTo, status: 'done', finished_at: now, verified_at: verifiedAt } as const
    const { rowCount } =
      walkedTo < window.created_to
        ? await tx.update(windows).set(rest).where(stillFor(deps, window))
        : await tx.delete(windows).where(stillFor(deps, window))
    if (rowCount === 0) return
    await tx
      .insert(windows)
      .values(
        halves.map(({ from, to }) => ({ organization_id: window.organization_id, created_from: from, created_to: to })),
      )
  })
  return true
}
