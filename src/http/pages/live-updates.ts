import type { FastifyReply } from 'fastify'
import type { Log } from '../../runtime/log.ts'
import { type Clock, pause, SECOND } from '../../runtime/time.ts'
import type { Status } from '../status/status.ts'
import { livePieces } from './status-page.ts'

/** How often the status is gathered while somebody watches, and while nobody does. */
const EVERY = 2 * SECOND
const AT_REST = 10 * SECOND
/** A status up to this age is shown at once and refreshed in the background. So the page opens quickly on a large mirror. */
const KEPT = 25 * SECOND
/** A viewer that accepts no data for this long is disconnected. */
const PATIENCE = 30 * SECOND
/** More browsers than an office has. */
const MOST_VIEWERS = 100

/** The status for all viewers, gathered once for all of them. */
export interface Feed {
  /** The status, at most {@link KEPT} old. Answers at once after {@link Feed.keep} was called. */
  latest(): Promise<Status>
  /** From now on gathers the status also while nobody watches, so that the page opens at once. */
  keep(): void
  /** Discards the gathered status, because an action has changed something. */
  forget(): void
  /** Sends the page's live pieces as server-sent events until the viewer leaves, the feed is closed, or the time `until` (ms). */
  follow(reply: FastifyReply, until: number | undefined): void
  /** Whether one more viewer may follow. */
  readonly hasRoom: boolean
  close(): void
}

interface Viewer {
  readonly reply: FastifyReply
  readonly until: number
  /** What the viewer was last sent, by piece. */
  readonly seen: Map<string, string>
  /** Since when the viewer accepts no data; undefined while it does. */
  blockedSince: number | undefined
}

export function openFeed(gather: () => Promise<Status>, log: Log, clock: Clock = Date.now): Feed {
  const viewers = new Set<Viewer>()
  const stop = new AbortController()
  let last: { at: number; status: Status } | undefined
  let gathering: Promise<Status> | undefined
  let running = false

  const gatherNow = (): Promise<Status> => {
    if (gathering) return gathering
    const mine = gather().then((status) => {
      // After forget(), this result is out of date and is not stored.
      if (gathering === mine) last = { at: clock(), status }
      return status
    })
    gathering = mine
    const done = () => {
      if (gathering === mine) gathering = undefined
    }
    mine.then(done, done)
    return mine
  }
  const complain = (error: unknown) => log.warn({ err: error }, 'The status could not be read.')
  const younger = (ms: number) => (last && clock() - last.at < ms ? last.status : undefined)

  const run = async () => {
    if (running) return
    running = true
    while (viewers.size > 0 && !stop.signal.aborted) {
      await Promise.resolve(younger(EVERY / 2) ?? gatherNow()).then(sendToAll, complain)
      await pause(EVERY, stop.signal)
    }
    running = false
  }
  const sendToAll = (status: Status) => {
    const pieces = [...livePieces(status)].map(([id, markup]) => ({ id, html: markup.source }))
    for (const viewer of viewers) send(viewer, pieces)
  }
  const send = (viewer: Viewer, pieces: readonly { id: string; html: string }[]) => {
    const { seen, reply, blockedSince } = viewer
    if (clock() > viewer.until || (blockedSince !== undefined && clock() - blockedSince > PATIENCE))
      return leave(viewer)
    // A slow reader skips the updates in between and gets the newest one later, so nothing piles up.
    if (blockedSince !== undefined) return
    const news = pieces.filter(({ id, html }) => seen.get(id) !== html)
    for (const { id, html } of news) seen.set(id, html)
    const text = news.length > 0 ? `event: facts\ndata: ${JSON.stringify(news)}\n\n` : ': all as before\n\n'
    if (!reply.raw.write(text)) viewer.blockedSince = clock()
  }
  const leave = (viewer: Viewer) => {
    viewers.delete(viewer)
    if (viewer.blockedSince === undefined) viewer.reply.raw.end()
    else viewer.reply.raw.destroy()
  }

  return {
    async latest() {
      const known = younger(KEPT)
      if (!known) return gatherNow()
      if (!younger(EVERY)) gatherNow().catch(complain)
      return known
    },
    keep() {
      void (async () => {
        while (!stop.signal.aborted) {
          if (!younger(AT_REST)) await gatherNow().catch(complain)
          await pause(AT_REST, stop.signal)
        }
      })()
    },
    forget() {
      last = undefined
      gathering = undefined
    },
    get hasRoom() {
      return viewers.size < MOST_VIEWERS && !stop.signal.aborted
    },
    follow(reply, until = Number.POSITIVE_INFINITY) {
      reply.hijack()
      const { raw } = reply
      raw.writeHead(200, {
        'content-type': 'text/event-stream; charset=utf-8',
        'cache-control': 'no-store',
        'x-content-type-options': 'nosniff',
        // nginx: do not buffer the response.
        'x-accel-buffering': 'no',
      })
      const viewer: Viewer = { reply, until, seen: new Map(), blockedSince: undefined }
      raw.on('drain', () => {
        viewer.blockedSince = undefined
      })
      raw.on('close', () => viewers.delete(viewer))
      raw.on('error', () => viewers.delete(viewer))
      raw.write('retry: 3000\n\n')
      viewers.add(viewer)
      void run()
    },
    close() {
      stop.abort()
      for (const viewer of viewers) leave(viewer)
    },
  }
}
