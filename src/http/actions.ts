import { and, eq, inArray, isNotNull, isNull, or } from 'drizzle-orm'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import type { Db } from '../database/connection.ts'
import { organizations, watermarks } from '../database/schema.ts'
import type { Queues } from '../queue/queues.ts'
import { pauseBackfill, resumeBackfill } from '../reconcile/backfill/pause.ts'
import { StoreError } from '../runtime/errors.ts'
import type { Log } from '../runtime/log.ts'
import { type Clock, DAY, DeadlineError, SECOND, withDeadline } from '../runtime/time.ts'
import type { ApplyParts } from '../webhooks/apply/process-deliveries.ts'
import { type ReplayReport, replay, requeue, type Selection } from '../webhooks/apply/replay.ts'
import { dayOf, spanBounds } from './pages/date-bounds.ts'
import { count, some } from './pages/format.ts'
import { html } from './pages/html.ts'
import { page } from './pages/layout.ts'
import { sendPage, wantsJson } from './pages/send.ts'
import type { Notice } from './pages/status-page.ts'

export interface ActionParts {
  readonly db: Db
  readonly queues: Pick<Queues, 'ask'>
  /** What applying deliveries needs in addition to the database; undefined in a process that leaves it to the workers. */
  readonly apply: Omit<ApplyParts, 'db'> | undefined
  readonly log: Log
  readonly clock: Clock
  /** Aborted as soon as the process is closing. */
  readonly closing: AbortSignal
}

/** How long a browser waits for a replay. A longer replay continues in the background. */
const WAITS = 5 * SECOND

/** The action cannot be done; the message says why. */
class ActionRefusal extends Error {
  readonly status: 400 | 404
  constructor(status: 400 | 404, message: string) {
    super(message)
    this.status = status
  }
}

type ActionResult = Readonly<Record<string, unknown>>
type Action = (parts: ActionParts, body: unknown) => Promise<ActionResult>

/** The actions by the end of their path. An action answers programs with JSON, and redirects browsers to the page. */
const actions: Readonly<Record<string, Action>> = {
  replay: replayDeliveries,
  cycle: runCycle,
  'backfill/pause': pauseOne,
  'backfill/resume': resumeOne,
  audit: auditSpan,
}

/** Adds `POST /actions/…`. Calls `changed` after each action that succeeded. */
export function actionRoutes(app: FastifyInstance, parts: ActionParts, changed: () => void): void {
  for (const [name, action] of Object.entries(actions)) {
    app.post(`/actions/${name}`, async (request, reply) => {
      try {
        const outcome = await action(parts, request.body)
        changed()
        return await answer(request, reply, name, outcome)
      } catch (error) {
        const known = error instanceof ActionRefusal || (error instanceof StoreError && error.kind === 'transient')
        if (!known) throw error
        return refuse(request, reply, error instanceof ActionRefusal ? error.status : 503, error.message)
      }
    })
  }
}

async function answer(request: FastifyRequest, reply: FastifyReply, name: string, outcome: ActionResult) {
  if (wantsJson(request)) return reply.send({ done: name, ...outcome })
  const figures = Object.entries(outcome).flatMap(([key, value]): [string, string][] =>
    typeof value === 'number' || typeof value === 'boolean' ? [[key, String(value)]] : [],
  )
  return reply.redirect(`/?${new URLSearchParams([['done', name], ...figures])}`, 303)
}

function refuse(request: FastifyRequest, reply: FastifyReply, status: number, message: string) {
  reply.code(status)
  if (wantsJson(request)) return reply.send({ error: message })
  const body = html`<main class="narrow"><h1>The action failed</h1><p>${message}</p><p><a href="/">Back to the status page</a></p></main>`
  return sendPage(reply, page({ title: 'Action failed', body }))
}

/**
 * What to say about the action that redirected to the page, from the query that it added. Anybody can write such a link, so this uses
 * only numbers from it, in fixed sentences.
 */
export function noticeOf(query: unknown): Notice | undefined {
  const figures = z.record(z.string(), z.unknown()).safeParse(query).data ?? {}
  const n = (key: string) => (/^\d{1,9}$/.test(String(figures[key])) ? Number(figures[key]) : 0)
  switch (figures.done) {
    case 'replay': {
      if (figures.running === 'true') return { text: 'The replay continues in the background.' }
      const failed = n('failed')
      const parts = [
        `${count(n('applied'))} applied`,
        `${count(n('ignored'))} ignored`,
        `${count(failed)} failed again`,
      ]
      if (n('without_payload') > 0) parts.push(`${count(n('without_payload'))} without a payload`)
      return { text: `Replayed: ${parts.join(', ')}.`, bad: failed > 0 }
    }
    case 'cycle':
      return { text: `Requested ${some(n('organizations'), 'sync')}. Results appear below within seconds.` }
    case 'backfill/pause':
      return { text: 'The backfill stops within seconds, whichever process runs it.' }
    case 'backfill/resume':
      return { text: 'The backfill continues where it stopped.' }
    case 'audit':
      return { text: 'The audit is queued. Its result will appear under "Last syncs and audits".' }
    default:
      return undefined
  }
}

const replayBody = z.union([
  z.object({ id: z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER) }),
  z.object({ failed: z.literal(['all', true]) }),
])

async function replayDeliveries({ db, apply, log, closing }: ActionParts, body: unknown): Promise<ActionResult> {
  const asked = read(replayBody, body, 'Set id to the id of a delivery, or failed to all.')
  const selection: Selection = 'id' in asked ? { ids: [asked.id], failed: true } : { failed: true }
  if (!apply) {
    refuseUnknown(await requeue(db, selection))
    return { running: true }
  }
  const running = replay({ db, ...apply }, selection, undefined, closing)
  running.catch((error: unknown) => log.warn({ err: error }, 'A replay failed.'))
  let report: ReplayReport
  try {
    report = await withDeadline(running, WAITS, 'The replay')
  } catch (error) {
    if (error instanceof DeadlineError) return { running: true }
    throw error
  }
  refuseUnknown(report.unknown)
  const { applied, ignored, failed, pending, without_payload } = report
  return { running: false, applied, ignored, failed, pending, without_payload }
}

function refuseUnknown(ids: readonly number[]): void {
  if (ids.length > 0) throw new ActionRefusal(404, `There is no delivery ${ids.join(', ')}.`)
}

/** The slug of an organization, or its id. */
const organizationText = z.string().min(1).max(500)

const cycleBody = z.object({ organization: organizationText.optional() }).nullish()

async function runCycle({ db, queues }: ActionParts, body: unknown): Promise<ActionResult> {
  const asked = read(cycleBody, body, 'Set organization to a slug or an id, or leave it out for all organizations.')
  const ids = asked?.organization ? [await knownOrganization(db, asked.organization)] : await everyOrganization(db)
  for (const organization of ids) await queues.ask({ task: 'hot', organization })
  return { organizations: ids.length }
}

const oneBody = z.object({ organization: organizationText })

async function pauseOne({ db, clock }: ActionParts, body: unknown): Promise<ActionResult> {
  const asked = read(oneBody, body, 'Set organization to a slug or an id.')
  const organization = await knownOrganization(db, asked.organization)
  await pauseBackfill(db, organization, new Date(clock()))
  return { organization, paused: true }
}

async function resumeOne({ db, queues }: ActionParts, body: unknown): Promise<ActionResult> {
  const asked = read(oneBody, body, 'Set organization to a slug or an id.')
  const organization = await knownOrganization(db, asked.organization)
  await resumeBackfill(db, organization)
  // The backfill's schedule starts it within a minute anyway, so an unavailable queue is no reason to fail.
  await queues.ask({ task: 'backfill', organization }).catch(() => {})
  return { organization, paused: false }
}

/** A day, as a form sends it, or a time. */
const whenText = z.union([z.iso.date(), z.iso.datetime({ offset: true })])
const auditBody = z.object({ organization: organizationText, from: z.string(), to: z.string() })

async function auditSpan({ db, queues, clock }: ActionParts, body: unknown): Promise<ActionResult> {
  const words =
    'Set organization to a slug or an id, and from and to to days (2026-01-31) or times (2026-01-31T12:00:00Z).'
  const asked = read(auditBody, body, words)
  const from = readWhen('from', asked.from)
  // A day as `to` includes the whole day.
  const to = new Date(readWhen('to', asked.to).getTime() + (asked.to.length === 10 ? DAY : 0))
  if (from >= to) throw new ActionRefusal(400, 'from must be earlier than to.')
  const { first, last } = spanBounds(clock())
  if (from < first || to.getTime() > last.getTime() + DAY) {
    throw new ActionRefusal(400, `from and to must be between ${dayOf(first)} and ${dayOf(last)}. Check their years.`)
  }
  const organization = await knownOrganization(db, asked.organization)
  const span = { from: from.toISOString(), to: to.toISOString() }
  await queues.ask({ task: 'verify', organization, ...span })
  return { organization, ...span }
}

function readWhen(name: string, text: string): Date {
  if (whenText.safeParse(text).success) return new Date(text)
  throw new ActionRefusal(
    400,
    `${name} is "${text}", which is not a date. Write it like 2026-01-31 or 2026-01-31T12:00:00Z.`,
  )
}

function read<T>(shape: z.ZodType<T>, body: unknown, advice: string): T {
  const parsed = shape.safeParse(body)
  if (!parsed.success) throw new ActionRefusal(400, advice)
  return parsed.data
}

/** The id of the organization with this slug or id. */
async function knownOrganization(db: Db, name: string): Promise<string> {
  const isId = z.uuid().safeParse(name).success
  const isNamed = isId
    ? eq(organizations.id, name)
    : and(eq(organizations.slug, name), isNull(organizations.deleted_at))
  const [row] = await db.select({ id: organizations.id }).from(organizations).where(isNamed)
  if (!row) throw new ActionRefusal(404, 'The mirror has no organization with this slug or id.')
  return row.id
}

/** The organizations that are reconciled, and all that the API confirmed. */
async function everyOrganization(db: Db): Promise<string[]> {
  const marked = db.select({ id: watermarks.organization_id }).from(watermarks)
  const rows = await db
    .select({ id: organizations.id })
    .from(organizations)
    .where(or(inArray(organizations.id, marked), isNotNull(organizations.verified_at)))
  return rows.map(({ id }) => id)
}
