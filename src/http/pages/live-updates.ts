import type { FastifyReply } from 'fastify'
import { type Clock, pause, SECOND } from '../../runtime/time.ts'
import type { RecentStatus } from '../status/recent-status.ts'
import type { Status } from '../status/status.ts'
import { livePieces } from './status-page.ts'

/** How often viewers are sent what has changed. */
const EVERY = 2 * SECOND
/** A viewer that accepts no data for this long is disconnected. */
const PATIENCE = 30 * SECOND
/** More browsers than an office has. */
const MOST_VIEWERS = 100

/** What a viewer may see, and for how long. */
interface Permission {
  /** Whether the pieces show buttons. */
  readonly mayAct: boolean
  /** Asked before each update: a session may expire, or be signed out in another process. */
  readonly mayStay: () => Promise<boolean>
}

interface Viewer extends Permission {
  readonly reply: FastifyReply
  /** What the viewer was last sent, by piece. */
  readonly seen: Map<string, string>
  /** Since when the viewer accepts no data; undefined while it does. */
  blockedSince: number | undefined
}

type Piece = Readonly<{ id: string; html: string }>

/** Sends the status page's live pieces to everybody who watches. */
export class LiveUpdates {
  readonly #status: RecentStatus
  readonly #clock: Clock
  readonly #viewers = new Set<Viewer>()
  readonly #stop = new AbortController()
  #sending = false

  constructor(status: RecentStatus, clock: Clock) {
    this.#status = status
    this.#clock = clock
  }

  /** Whether one more viewer may follow. */
  get hasRoom(): boolean {
    return this.#viewers.size < MOST_VIEWERS && !this.#stop.signal.aborted
  }

  /** Sends the live pieces as server-sent events until the viewer leaves or may no longer stay, or `close` is called. */
  follow(reply: FastifyReply, permission: Permission): void {
    reply.hijack()
    const { raw } = reply
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-content-type-options': 'nosniff',
      // nginx: do not buffer the response.
      'x-accel-buffering': 'no',
    })
    const viewer: Viewer = { reply, ...permission, seen: new Map(), blockedSince: undefined }
    raw.on('drain', () => {
      viewer.blockedSince = undefined
    })
    raw.on('close', () => this.#viewers.delete(viewer))
    raw.on('error', () => this.#viewers.delete(viewer))
    raw.write('retry: 3000\n\n')
    this.#viewers.add(viewer)
    if (!this.#sending) void this.#sendWhileWatched()
  }

  close(): void {
    this.#stop.abort()
    for (const viewer of this.#viewers) this.#disconnect(viewer)
  }

  async #sendWhileWatched(): Promise<void> {
    this.#sending = true
    while (this.#viewers.size > 0 && !this.#stop.signal.aborted) {
      const status = await this.#status.fresh(EVERY / 2)
      if (status) await this.#sendToAll(status)
      await pause(EVERY, this.#stop.signal)
    }
    this.#sending = false
  }

  async #sendToAll(status: Status): Promise<void> {
    const piecesFor = (mayAct: boolean) =>
      [...livePieces(status, mayAct)].map(([id, markup]) => ({ id, html: markup.source }))
    const [toRead, toAct] = [piecesFor(false), piecesFor(true)]
    const send = async (viewer: Viewer) => {
      if (await viewer.mayStay()) this.#send(viewer, viewer.mayAct ? toAct : toRead)
      else this.#disconnect(viewer)
    }
    await Promise.all([...this.#viewers].map(send))
  }

  #send(viewer: Viewer, pieces: readonly Piece[]): void {
    const { blockedSince } = viewer
    if (blockedSince !== undefined && this.#clock() - blockedSince > PATIENCE) this.#disconnect(viewer)
    // A slow reader skips the updates in between and gets the newest one later, so nothing piles up.
    else if (blockedSince === undefined) this.#sendNews(viewer, pieces)
  }

  #sendNews(viewer: Viewer, pieces: readonly Piece[]): void {
    const { seen, reply } = viewer
    const news = pieces.filter(({ id, html }) => seen.get(id) !== html)
    for (const { id, html } of news) seen.set(id, html)
    const text = news.length > 0 ? `event: facts\ndata: ${JSON.stringify(news)}\n\n` : ': all as before\n\n'
    if (!reply.raw.write(text)) viewer.blockedSince = this.#clock()
  }

  #disconnect(viewer: Viewer): void {
    this.#viewers.delete(viewer)
    if (viewer.blockedSince === undefined) viewer.reply.raw.end()
    else viewer.reply.raw.destroy()
  }
}
