import type { FastifyReply, FastifyRequest } from 'fastify'
import type { Db } from '../../database/connection.ts'
import { audit_log } from '../../database/schema.ts'
import { type Log, throttledWarn } from '../../runtime/log.ts'
import type { RecordMetric } from '../../runtime/record-metric.ts'
import { type Clock, MINUTE } from '../../runtime/time.ts'
import { ask } from '../status/probes.ts'
import { isLook } from './guard.ts'

interface AuditLogParts {
  readonly db: Db
  readonly log: Log
  readonly clock: Clock
  readonly record: RecordMetric
}

type Entry = Omit<typeof audit_log.$inferInsert, 'id' | 'at' | 'times'>

/** How many different refusals a minute have entries of their own; the others share one. A flood may come from many addresses. */
const MOST_REFUSALS = 50
/** The fields of an action's body that say what it was applied to. The token of a sign-in is not among them. */
const TARGETS = ['id', 'failed', 'organization', 'from', 'to']

/**
 * Writes a line to the log and a row to sync.audit_log for each request that acts, signs in or out, or carries a wrong token. Refusals
 * that repeat are counted, and written once a minute. While Postgres does not answer, only the log has the lines.
 */
export class AuditLog {
  readonly #parts: AuditLogParts
  readonly #refusals = new Map<string, { entry: Entry; more: number }>()
  readonly #mayWarn: () => boolean
  #timer: NodeJS.Timeout | undefined

  constructor(parts: AuditLogParts) {
    this.#parts = parts
    this.#mayWarn = throttledWarn(MINUTE, parts.clock)
  }

  /** Records a request with its answer, before the answer is sent: a client that hangs up early leaves its line too. */
  async add(request: FastifyRequest, { statusCode }: FastifyReply): Promise<void> {
    const { visitor, method, ip, body } = request
    const { who, via, session } = visitor
    const isRefused = statusCode === 401 || statusCode === 403 || statusCode === 429
    const isWrongToken = isRefused && who === 'unknown' && via !== 'none'
    if (isWrongToken) this.#parts.record('tokens_refused_total', 1, { via })
    else if (isLook(request)) return
    const result = isRefused ? 'refused' : statusCode < 400 ? 'done' : 'failed'
    const route = `${method} ${request.routeOptions.url ?? '*'}`
    this.#parts.record('audited_requests_total', 1, { request: route, who, result })
    const entry = { who, via, session: session?.key.slice(0, 8) ?? null, address: ip, request: route, result }
    if (who === 'unknown' || isRefused) await this.#addRefusal({ ...entry, target: null })
    else await this.#write({ ...entry, target: targetOf(body) }, 1)
  }

  /** Writes the refusals that were only counted so far. */
  async flush(): Promise<void> {
    clearTimeout(this.#timer)
    this.#timer = undefined
    const refusals = [...this.#refusals.values()]
    this.#refusals.clear()
    for (const { entry, more } of refusals) if (more > 0) await this.#write(entry, more)
  }

  async #addRefusal(entry: Entry): Promise<void> {
    const others = { ...entry, via: 'none', session: null, address: 'others', request: '*' }
    const keyOf = (one: Entry) => Object.values(one).join(' ')
    const isKnown = this.#refusals.has(keyOf(entry))
    const counted = isKnown || this.#refusals.size < MOST_REFUSALS ? entry : others
    const open = this.#refusals.get(keyOf(counted))
    if (open) {
      open.more += 1
      return
    }
    this.#refusals.set(keyOf(counted), { entry: counted, more: 0 })
    this.#timer ??= setTimeout(() => void this.flush(), MINUTE).unref()
    await this.#write(counted, 1)
  }

  async #write(entry: Entry, times: number): Promise<void> {
    const { db, log, clock } = this.#parts
    const level = entry.result === 'done' ? 'info' : 'warn'
    log[level]({ audit: { ...entry, times } }, `Audit: ${entry.request} by ${entry.who} ${entry.result}.`)
    const row = { ...entry, at: new Date(clock()), times }
    const stored = await ask('The database', () => db.insert(audit_log).values(row))
    if (!stored.ok && this.#mayWarn()) log.warn(`sync.audit_log lacks entries that are in this log. ${stored.why}`)
  }
}

function targetOf(body: unknown): string | null {
  if (typeof body !== 'object' || body === null) return null
  const fields = Object.entries(body).filter(([key]) => TARGETS.includes(key))
  return fields.map(([key, value]) => `${key}=${String(value).slice(0, 100)}`).join(' ') || null
}
