import { createHmac } from 'node:crypto'
import { Agent as HttpAgent, request as requestHttp } from 'node:http'
import { Agent as HttpsAgent, request as requestHttps } from 'node:https'
import { type Change, type Job, type Organization, secretMark } from '../model/shapes.ts'
import type { Truth } from '../model/state.ts'
import { createRandom } from '../random.ts'
import { olderWebhook } from './older-webhook.ts'

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
  /** The share in the format of an older version of Buildkite: fewer keys and whole seconds; see `older-webhook.ts`. */
  older?: number
  seed?: number | string
  /** Decides what happens to each change, instead of `drop`. */
  choose?: (change: Change) => Fate
  /** The organization of the service, for the ping; default the first. */
  organization?: Organization
  /** The time limit for a response; Buildkite waits about 5 s. */
  timeoutMs?: number
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

export interface Webhooks {
  readonly stats: WebhookStats
  /** Every request with its response, in the order of the responses. Only with `keep`, because it grows without limit. */
  readonly log: SentWebhook[]
  keep: boolean
  /** The destination from now on. */
  url: string | (() => string)
  drop: number
  twice: number
  late: number
  older: number
  choose: ((change: Change) => Fate) | undefined
  /** Sends all late webhooks now. */
  catchUp(): void
  /** Sends nothing until `resume`; changes wait. */
  pause(): void
  resume(): void
  /** Sends the ping that Buildkite sends when the service's settings change. */
  ping(): void
  /** Resolves when at most `left` webhooks (default none) are still waiting or running. Ignores waiting ones while paused. */
  settled(left?: number): Promise<void>
  /** Stops listening. Drops waiting webhooks, and waits for running ones. */
  stop(): Promise<void>
}

interface Waiting {
  event: string
  /** Returns the body, and the time at which it was signed in milliseconds since the epoch. */
  render: () => { body: string; at: number }
}

/** A late webhook comes after at most this many others. */
const latest = 60

/** Sends a webhook for every change of the state, with the body at the time of dispatch. Never retries. */
export function startWebhooks(truth: Truth, now: () => number, options: WebhookOptions): Webhooks {
  const { concurrency = 8, timeoutMs = 5_000, mode = 'signature', secret } = options
  const random = createRandom(`webhooks ${options.seed ?? 1}`)
  const agents = {
    http: new HttpAgent({ keepAlive: true, maxSockets: concurrency }),
    https: new HttpsAgent({ keepAlive: true, maxSockets: concurrency }),
  }
  const queue: Waiting[] = []
  let head = 0
  let active = 0
  let paused = false
  let held: { after: number; waiting: Waiting }[] = []
  let waiters: { left: number; resolve: () => void }[] = []
  const sender = { id: truth.people[0].id, name: truth.people[0].name }

  const webhooks: Webhooks = {
    stats: { sent: 0, dropped: 0, accepted: 0, answers: {} },
    log: [],
    keep: false,
    url: options.url,
    drop: options.drop ?? 0,
    twice: options.twice ?? 0,
    late: options.late ?? 0,
    older: options.older ?? 0,
    choose: options.choose,
    catchUp() {
      queue.push(...held.map(({ waiting }) => waiting))
      held = []
      pump()
    },
    pause() {
      paused = true
    },
    resume() {
      paused = false
      pump()
    },
    ping() {
      const organization = options.organization ?? truth.organizations[0]
      const service = { id: random.uuid(now()), provider: 'webhook', settings: { url: webhooks.url } }
      const render = () => ({ body: JSON.stringify({ event: 'ping', service, organization, sender }), at: now() })
      queue.push({ event: 'ping', render })
      pump()
    },
    settled: (left = 0) =>
      new Promise((resolve) => {
        waiters.push({ left, resolve })
        setImmediate(pump)
      }),
    async stop() {
      unsubscribe()
      queue.length = 0
      head = 0
      await webhooks.settled()
      agents.http.destroy()
      agents.https.destroy()
    },
  }

  const unsubscribe = truth.onChange((change) => {
    const fate = webhooks.choose?.(change) ?? draw()
    if (fate === 'drop') {
      webhooks.stats.dropped++
      return
    }
    const older = webhooks.older > 0 && random.chance(webhooks.older)
    const render = () => {
      const body = renderChange(truth, change, sender)
      return { body: JSON.stringify(older ? olderWebhook(body, random) : body), at: now() }
    }
    if (fate === 'late') {
      // Rendered after this turn, because the caller may still be changing the object.
      setImmediate(() => {
        const rendered = render()
        held.push({ after: random.int(1, latest), waiting: { event: change.event, render: () => rendered } })
      })
      return
    }
    const waiting = { event: change.event, render }
    queue.push(waiting)
    if (fate === 'twice') queue.push(waiting)
    for (const one of held) one.after--
    queue.push(...held.filter(({ after }) => after <= 0).map((one) => one.waiting))
    held = held.filter(({ after }) => after > 0)
    // Not at once: the caller may still be changing the object, and Buildkite renders later too.
    setImmediate(pump)
  })

  function draw(): Fate {
    if (random.chance(webhooks.drop)) return 'drop'
    if (webhooks.twice > 0 && random.chance(webhooks.twice)) return 'twice'
    return webhooks.late > 0 && random.chance(webhooks.late) ? 'late' : 'send'
  }

  function pump(): void {
    while (!paused && active < concurrency && head < queue.length) {
      const next = queue[head++]
      if (!next) break
      active++
      void dispatch(next).finally(() => {
        active--
        pump()
      })
    }
    if (head === queue.length) {
      queue.length = 0
      head = 0
    }
    const left = active + (paused ? 0 : queue.length - head)
    for (const waiter of waiters) if (left <= waiter.left) waiter.resolve()
    waiters = waiters.filter((waiter) => left > waiter.left)
  }

  async function dispatch({ event, render }: Waiting): Promise<void> {
    const { body, at } = render()
    const requestId = random.uuid(now())
    webhooks.stats.sent++
    const proof: Record<string, string> =
      mode === 'token'
        ? { 'X-Buildkite-Token': secret }
        : { 'X-Buildkite-Signature': signature(body, secret, Math.floor(at / 1_000)) }
    const url = typeof webhooks.url === 'function' ? webhooks.url() : webhooks.url
    const status = await post(url, agents, timeoutMs, body, {
      'X-Buildkite-Event': event,
      'X-Buildkite-Request': requestId,
      ...proof,
    })
    if (status >= 200 && status < 300) webhooks.stats.accepted++
    const name = status === 0 ? 'error' : String(status)
    webhooks.stats.answers[name] = (webhooks.stats.answers[name] ?? 0) + 1
    if (webhooks.keep) webhooks.log.push({ event, request_id: requestId, url, body, status, answered_at: Date.now() })
  }

  return webhooks
}

/** The value of the signature header; `timestamp` is in seconds since the epoch. */
function signature(body: string, secret: string, timestamp: number): string {
  return `timestamp=${timestamp},signature=${createHmac('sha256', secret).update(`${timestamp}.${body}`).digest('hex')}`
}

/** The status of the response, or 0 when none came in time or the URL is invalid. */
function post(
  url: string,
  agents: { http: HttpAgent; https: HttpsAgent },
  timeoutMs: number,
  body: string,
  headers: Record<string, string>,
): Promise<number> {
  return new Promise<number>((resolve) => {
    const secure = url.toLowerCase().startsWith('https:')
    const outgoing = (secure ? requestHttps : requestHttp)(
      url,
      {
        method: 'POST',
        agent: secure ? agents.https : agents.http,
        signal: AbortSignal.timeout(timeoutMs),
        headers: {
          'Content-Type': 'application/json',
          'Content-Length': Buffer.byteLength(body),
          'User-Agent': 'Buildkite-Request',
          Accept: '*/*',
          'Accept-Encoding': 'gzip;q=1.0,deflate;q=0.6,identity;q=0.3',
          ...headers,
        },
      },
      (response) => {
        response.resume()
        response.on('close', () => resolve(response.statusCode ?? 0))
      },
    )
    outgoing.on('error', () => resolve(0))
    outgoing.end(body)
  }).catch(() => 0)
}

/** The body of a webhook: the build without jobs and env, and the pipeline with all its secrets. */
export function renderChange(
  truth: Truth,
  change: Change,
  sender: { id: string; name: string },
): Record<string, unknown> {
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
