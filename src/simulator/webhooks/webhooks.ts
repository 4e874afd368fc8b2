import { type Change, type Job, type Organization, secretMark } from '../model/shapes.ts'
import type { Truth } from '../model/state.ts'
import { createRandom, type Random } from '../random.ts'
import { Poster, signature } from './post.ts'
import { SendQueue } from './send-queue.ts'

export interface WebhookOptions {
  /** The destination; a function is called for each request. */
  url: string | (() => string)
  /** The webhook's token: the key of the signature, or in `token` mode the value that is sent. */
  secret: string
  mode?: 'signature' | 'token'
  /** How many requests run at the same time; default 8. */
  concurrency?: number
  /** The share of webhooks that is lost, from 0 to 1; the seed determines which ones. */
  drop?: number
  /** The shares that are sent twice, and late: after newer webhooks, with the body of the time at which they were due. */
  twice?: number
  late?: number
  seed?: number | string
  /** Decides what happens to each change, instead of `drop`. */
  choose?: (change: Change) => Fate
  /** The organization of the service, for the ping; default the first. */
  organization?: Organization
}

interface Sender {
  id: string
  name: string
}

/** What happens to one webhook. */
export type Fate = 'send' | 'drop' | 'twice' | 'late'

export interface WebhookStats {
  /** Requests sent, without the lost changes. */
  sent: number
  dropped: number
  /** Answered with 2xx. */
  accepted: number
  /** Responses by status; `error` where there was none. */
  answers: Record<string, number>
}

/** A request and its response. */
export interface SentWebhook {
  event: string
  request_id: string
  url: string
  body: string
  /** Milliseconds since the epoch on the wall clock. */
  answered_at: number
  /** 0 when there was no response. */
  status: number
}

interface Waiting {
  event: string
  /** Returns the body, and the time at which it was signed in milliseconds since the epoch. */
  render: () => { body: string; at: number }
}

/** A late webhook comes after at most this many others. */
const latest = 60

/** Sends a webhook for every change of the state, with the body at the time of dispatch. Never retries. */
export class Webhooks {
  readonly stats: WebhookStats = { sent: 0, dropped: 0, accepted: 0, answers: {} }
  /** Every request with its response, in the order of the responses. Only with `keep`, because it grows without limit. */
  readonly log: SentWebhook[] = []
  keep = false
  /** The destination from now on. */
  url: string | (() => string)
  drop: number
  twice: number
  late: number
  choose: ((change: Change) => Fate) | undefined
  readonly #truth: Truth
  readonly #now: () => number
  readonly #options: WebhookOptions
  readonly #random: Random
  readonly #sender: Sender
  readonly #poster: Poster
  readonly #queue: SendQueue<Waiting>
  readonly #unsubscribe: () => void

  constructor(truth: Truth, now: () => number, options: WebhookOptions) {
    const { concurrency = 8, seed = 1, drop = 0, twice = 0, late = 0 } = options
    this.url = options.url
    this.drop = drop
    this.twice = twice
    this.late = late
    this.choose = options.choose
    this.#truth = truth
    this.#now = now
    this.#options = options
    this.#random = createRandom(`webhooks ${seed}`)
    this.#sender = { id: truth.people[0].id, name: truth.people[0].name }
    this.#poster = new Poster(concurrency)
    this.#queue = new SendQueue((waiting) => this.#dispatch(waiting), concurrency)
    this.#unsubscribe = truth.onChange((change) => this.#take(change))
  }

  /** Sends all late webhooks now. */
  catchUp(): void {
    this.#queue.sendHeld()
  }

  /** Sends nothing until `resume`; changes wait. */
  pause(): void {
    this.#queue.pause()
  }

  resume(): void {
    this.#queue.resume()
  }

  /** Sends the ping that Buildkite sends when the service's settings change. */
  ping(): void {
    const organization = this.#options.organization ?? this.#truth.organizations[0]
    const service = { id: this.#random.uuid(this.#now()), provider: 'webhook', settings: { url: this.url } }
    const body = { event: 'ping', service, organization, sender: this.#sender }
    this.#queue.add({ event: 'ping', render: () => ({ body: JSON.stringify(body), at: this.#now() }) })
    this.#queue.pump()
  }

  /** Resolves when at most `left` webhooks (default none) are still waiting or running. Ignores waiting ones while paused. */
  settled(left = 0): Promise<void> {
    return this.#queue.settled(left)
  }

  /** Stops listening. Drops waiting webhooks, and waits for running ones. */
  async stop(): Promise<void> {
    this.#unsubscribe()
    this.#queue.clear()
    await this.settled()
    this.#poster.close()
  }

  #take(change: Change): void {
    const fate = this.choose?.(change) ?? this.#drawFate()
    if (fate === 'drop') {
      this.stats.dropped++
      return
    }
    const { event } = change
    const render = () => {
      return { body: JSON.stringify(renderChange(this.#truth, change, this.#sender)), at: this.#now() }
    }
    if (fate === 'late') {
      // Rendered after this turn, because the caller may still be changing the object.
      setImmediate(() => {
        const rendered = render()
        this.#queue.hold({ event, render: () => rendered }, this.#random.int(1, latest))
      })
      return
    }
    const waiting = { event, render }
    this.#queue.add(waiting)
    if (fate === 'twice') this.#queue.add(waiting)
    this.#queue.passHeld()
    // Not at once: the caller may still be changing the object, and Buildkite renders later too.
    setImmediate(() => this.#queue.pump())
  }

  #drawFate(): Fate {
    if (this.#random.chance(this.drop)) return 'drop'
    if (this.twice > 0 && this.#random.chance(this.twice)) return 'twice'
    return this.late > 0 && this.#random.chance(this.late) ? 'late' : 'send'
  }

  async #dispatch({ event, render }: Waiting): Promise<void> {
    const { mode = 'signature', secret } = this.#options
    const { body, at } = render()
    const requestId = this.#random.uuid(this.#now())
    this.stats.sent++
    const proof: Record<string, string> =
      mode === 'token'
        ? { 'X-Buildkite-Token': secret }
        : { 'X-Buildkite-Signature': signature(body, secret, Math.floor(at / 1_000)) }
    const url = typeof this.url === 'function' ? this.url() : this.url
    const status = await this.#poster.post(url, body, {
      'X-Buildkite-Event': event,
      'X-Buildkite-Request': requestId,
      ...proof,
    })
    if (status >= 200 && status < 300) this.stats.accepted++
    const name = status === 0 ? 'error' : String(status)
    this.stats.answers[name] = (this.stats.answers[name] ?? 0) + 1
    if (this.keep) this.log.push({ event, request_id: requestId, url, body, status, answered_at: Date.now() })
  }
}

/** The body of a webhook: the build without jobs and env, and the pipeline with all its secrets. */
export function renderChange(truth: Truth, change: Change, sender: Sender): Record<string, unknown> {
  const { event, build, job, agent } = change
  if (agent) {
    const running = truth.running.get(agent)
    return { event, agent: { ...agent, job: running ? withoutAgent(running) : null }, sender }
  }
  if (!build) return { event, sender }
  const { jobs: _, env: __, pipeline, ...rest } = build
  const trimmed = { event, build: rest, pipeline, sender }
  return job ? { ...trimmed, job: renderJob(job) } : trimmed
}

const withoutAgent = ({ agent: _, ...rest }: Extract<Job, { type: 'script' }>) => rest

/** Old agents sent their token; a mirror must not store it. */
const renderJob = (job: Job) =>
  job.type === 'script' && job.agent ? { ...job, agent: { ...job.agent, access_token: `${secretMark}-agent` } } : job
