import { createHash } from 'node:crypto'
import { BuildkiteError, messageOf } from '../../runtime/errors.ts'
import { type Clock, DAY, formatDuration, monotonicBeside, pause, SECOND } from '../../runtime/time.ts'
import { readHttpDate } from '../timestamp.ts'
import { type Budget, kindOf, type Priority } from './budget.ts'
import { ExchangeError, type HttpResponse, type Write } from './exchange.ts'
import { type LimitsSeen, limitsOfHeaders, limitsOfRefusal, waitOf } from './limits.ts'
import { linkSignals } from './link-signals.ts'
import { FailedAnswerError, messageOfBody, type RequestedResource, refusalError, scopesMissingBy } from './refusal.ts'
import { Sender, type SenderOptions } from './sender.ts'
import { BuildkiteClock, type Skew } from './skew.ts'

export interface TransportOptions extends SenderOptions {
  readonly budget: Budget
  readonly clock?: Clock | undefined
  /** Monotonic clock that times requests. Default performance.now, or `clock` if a test clock is given. */
  readonly monotonic?: Clock | undefined
  /** The longest first pause between retries; each later one may be twice as long. Default 500 ms. */
  readonly backoffMs?: number | undefined
  /** Waits; replaced in tests. */
  readonly wait?: typeof pause | undefined
}

export interface Ask extends RequestedResource {
  /** The path with its query. Called for each try, because a failed one may make the page smaller. */
  readonly path: () => string
  readonly priority: Priority
  readonly signal?: AbortSignal | undefined
  /** Called when a smaller page may succeed: the response was slow, cut off or too large, or a gateway timed out. */
  readonly onTrouble?: () => void
  /** How many failed answers (FailedAnswerError) end the request. Without it, they are retried like network faults. */
  readonly tries?: number | undefined
  /** The method and body of a request that changes something. */
  readonly write?: Write
  /** A secret in the body, which no error message may repeat. */
  readonly secret?: string | undefined
}

/** A complete response of 200 with JSON. */
export interface Reply {
  readonly value: unknown
  /** The time, on Buildkite's clock, at which the value was true. */
  readonly at: Date
  readonly link: string | undefined
  /** Size of the decompressed body, in bytes. */
  readonly bytes: number
  readonly tookMs: number
}

/** The result of one try; after an error it may be retried. */
type Attempt = { reply: Reply; isTimeCertain: boolean } | { waitMs?: undefined; error: BuildkiteError }

const RETRIES = 5
/** How often a read is repeated because the clocks contradict each other. After that the earliest possible time is used. */
const TIME_CHECKS = 2
const LONGEST_BACKOFF_MS = 30 * SECOND

/**
 * If the clocks differ by more than this, one of them is wrong, and it is unknown which. Then a read has no reliable time. A watermark
 * from it could be in the future, and the mirror would skip everything until then.
 */
const CLOCKS_APART = DAY

/** Identifies a token or its user in budgets and logs without revealing it. */
export function fingerprint(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, 12)
}

/** Sends the requests of one token within the budget, and retries them. */
export class Transport {
  /** The limits in the last response. */
  limits: LimitsSeen = {}
  readonly #options: TransportOptions
  readonly #clock: BuildkiteClock
  readonly #sender: Sender
  readonly #closing = new AbortController()
  #user: string

  constructor(options: TransportOptions) {
    this.#options = options
    const { clock = Date.now, monotonic = monotonicBeside(clock) } = options
    this.#clock = new BuildkiteClock(clock, monotonic)
    this.#user = options.token
    this.#sender = new Sender(options, this.#clock)
  }

  /**
   * Sends a request until it succeeds. Waits after each 429 without a limit, and retries faults of network and server five times. A POST
   * whose response was lost is not repeated, because it may have succeeded.
   * @throws BuildkiteError when Buildkite refuses or stays unavailable; the signal's reason when it aborts.
   */
  async ask(ask: Ask): Promise<Reply> {
    const link = linkSignals(this.#closing.signal, ask.signal)
    try {
      return await this.#persist(ask, link.signal)
    } finally {
      link.release()
    }
  }

  /** How far Buildkite's clock is ahead of ours, by the last responses; `undefined` before the first. */
  get skew(): Skew | undefined {
    return this.#clock.skew
  }

  /** Buildkite's current time; `undefined` before the first answer. */
  now(): Date | undefined {
    return this.#clock.now()
  }

  /** Sets the token's user. Buildkite limits users, not tokens, so all tokens of a user must share one budget. */
  belongsTo(user: string): void {
    this.#user = user
  }

  /** Fingerprint of the user after `belongsTo`, of the token before. */
  get fingerprint(): string {
    return fingerprint(this.#user)
  }

  /** Ends every pending request and wait; they reject with an AbortError. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.#sender.close()
  }

  async #persist(ask: Ask, signal: AbortSignal): Promise<Reply> {
    const wait = this.#options.wait ?? pause
    let timeChecks = 0
    let failedAnswers = 0
    for (let failures = 0; ; ) {
      const fault = await this.#try(ask, signal)
      if ('reply' in fault) {
        if (fault.isTimeCertain || ask.write || timeChecks >= TIME_CHECKS) return fault.reply
        timeChecks += 1
        this.#options.log.debug({ at: fault.reply.at }, "Buildkite's clock, or ours, is wrong. Repeating the request.")
        continue
      }
      if (fault.waitMs !== undefined) {
        const asked = performance.now()
        await wait(fault.waitMs, signal)
        this.#recordWait(asked, ask.priority)
        continue
      }
      failures += 1
      if (fault.error instanceof FailedAnswerError) failedAnswers += 1
      if (ask.tries !== undefined && failedAnswers >= ask.tries) throw fault.error
      if (failures > RETRIES || ask.write?.method === 'POST') throw fault.error
      const ceiling = Math.min(LONGEST_BACKOFF_MS, (this.#options.backoffMs ?? 500) * 2 ** (failures - 1))
      const waitMs = Math.round(Math.random() * ceiling)
      this.#options.log.warn({ attempt: failures, wait_ms: waitMs }, `${messageOf(fault.error)} Retrying.`)
      await wait(waitMs, signal)
    }
  }

  async #try(ask: Ask, signal: AbortSignal): Promise<Attempt | { waitMs: number }> {
    signal.throwIfAborted()
    const scopes = this.#scopesOf(ask)
    await this.#take(scopes, ask.priority, signal)
    let answer: HttpResponse
    try {
      answer = await this.#sender.send(ask.path(), signal, ask.write)
    } catch (error) {
      if (!(error instanceof ExchangeError)) throw error
      const message = `Buildkite's API is unreachable: ${error.message}.`
      if (!error.page) return { error: unavailable(message, undefined, error) }
      ask.onTrouble?.()
      return { error: new FailedAnswerError(message, { cause: error }) }
    }
    const limited = answer.status === 429
    const seen = limited ? limitsOfRefusal(answer.headers, answer.body) : limitsOfHeaders(answer.headers)
    this.limits = { ...this.limits, ...seen }
    this.#recordLimits(scopes, seen)
    await this.#options.budget.report(scopes, seen)
    if (limited) {
      const waitMs = waitOf(seen)
      this.#options.log.warn(
        { wait_ms: waitMs },
        "Buildkite's rate limit is used up (HTTP 429); waiting for its reset.",
      )
      return { waitMs }
    }
    return this.#evaluate(ask, answer, signal)
  }

  async #evaluate(ask: Ask, answer: HttpResponse, signal: AbortSignal): Promise<Attempt> {
    const { status, body, bytes, headers, sent, seen } = answer
    if (status >= 500 || status === 408 || status === 425) {
      // A gateway that timed out because the response took too long returns these too.
      ask.onTrouble?.()
      return { error: new FailedAnswerError(`Buildkite's API failed (HTTP ${status}).`, { status }) }
    }
    if (status !== 200 && !(ask.write && status === 201)) {
      const secrets = [this.#options.token, ask.secret].filter((secret) => secret !== undefined && secret !== '')
      const message = secrets.reduce((text, secret) => text?.replaceAll(secret ?? '', '…'), messageOfBody(body))
      const scopes = status === 403 ? await this.#tokenScopes(ask, answer, message, signal) : undefined
      throw refusalError({ status, message, scopes }, ask)
    }
    if (body === undefined) {
      ask.onTrouble?.()
      const message = "Buildkite's API returned something that is not JSON (HTTP 200)."
      return { error: new FailedAnswerError(message, { status }) }
    }
    const date = first(headers.date)
    const time = this.#clock.observe(sent, seen, date)
    const apartMs = Math.abs(readHttpDate(date) - sent.wall)
    // A write must not be repeated, and its time is not used.
    if (!ask.write && !time) return { error: unavailable(clockWasSet, status) }
    if (!ask.write && apartMs > CLOCKS_APART) return { error: unavailable(clocksApart(apartMs), status) }
    const { at, isCertain: isTimeCertain } = time ?? { at: new Date(sent.wall), isCertain: false }
    const tookMs = this.#clock.moment().steady - sent.steady
    return { reply: { value: body, at, link: first(headers.link), bytes, tookMs }, isTimeCertain }
  }

  async #take(scopes: readonly string[], priority: Priority, signal: AbortSignal): Promise<void> {
    const asked = performance.now()
    await this.#options.budget.take(scopes, priority, signal)
    this.#recordWait(asked, priority)
  }

  #recordWait(since: number, priority: Priority): void {
    this.#options.record?.('api_budget_wait_seconds_total', (performance.now() - since) / SECOND, { priority })
  }

  #recordLimits(scopes: readonly string[], seen: LimitsSeen): void {
    for (const scope of scopes) {
      const { limit, remaining } = seen[kindOf(scope)] ?? {}
      if (limit !== undefined) this.#options.record?.('api_limit', limit, { scope })
      if (remaining !== undefined) this.#options.record?.('api_limit_remaining', remaining, { scope })
    }
  }

  /** For a 403 without a reason: the token's scopes, from this response or another request. Rejects only when aborted. */
  async #tokenScopes(
    ask: Ask,
    answer: HttpResponse,
    message: string | undefined,
    signal: AbortSignal,
  ): Promise<readonly string[] | undefined> {
    if (!ask.scope || scopesMissingBy(message).length > 0) return undefined
    const scopesHeader = first(answer.headers['x-oauth-scopes'])
    if (scopesHeader !== undefined) return scopesHeader.split(/[,\s]+/)
    try {
      await this.#take(this.#scopesOf({}), ask.priority, signal)
      const { status, body } = await this.#sender.send('/access-token', signal)
      const scopes = typeof body === 'object' && body !== null && 'scopes' in body ? body.scopes : undefined
      return status === 200 && Array.isArray(scopes) ? scopes.filter((scope) => typeof scope === 'string') : undefined
    } catch (error) {
      if (error instanceof ExchangeError) return undefined
      throw error
    }
  }

  #scopesOf({ organization }: RequestedResource): string[] {
    const user = `user:${this.fingerprint}`
    return organization === undefined ? [user] : [user, `organization:${organization}`]
  }
}

const clockWasSet = "This machine's clock was changed during a request to Buildkite's API."

function clocksApart(ms: number): string {
  return `Buildkite's clock and ours differ by ${formatDuration(ms)}. Set this machine's clock.`
}

function unavailable(message: string, status?: number, cause?: unknown): BuildkiteError {
  return new BuildkiteError('unavailable', message, { status, cause })
}

function first(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? value.join(', ') : value
}
