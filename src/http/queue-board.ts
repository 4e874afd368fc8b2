import { readdirSync, readFileSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { extname, join } from 'node:path'
import { createBullBoard } from '@bull-board/api'
import type {
  AppControllerRoute,
  AppViewRoute,
  BullBoardQueues,
  ControllerHandlerReturnType,
  IServerAdapter,
  UIConfig,
} from '@bull-board/api/typings/app'
import type { FastifyInstance } from 'fastify'
import type { BoardQueue } from '../queue/queues.ts'
import { escaped } from './pages/html.ts'

const AT = '/queues'

/** bull-board is served unchanged: it may run its own scripts and inline styles, and connect only to us. */
const policy = [
  "default-src 'none'",
  "script-src 'self'",
  "style-src 'self' 'unsafe-inline'",
  "img-src 'self' data:",
  "font-src 'self'",
  "connect-src 'self'",
  "form-action 'none'",
  "base-uri 'self'",
  "frame-ancestors 'none'",
].join('; ')

const types: Readonly<Record<string, string>> = {
  '.js': 'text/javascript; charset=utf-8',
  '.css': 'text/css; charset=utf-8',
  '.json': 'application/json; charset=utf-8',
  '.svg': 'image/svg+xml',
  '.png': 'image/png',
  '.ico': 'image/x-icon',
}

/** Stores what bull-board gives its server. bull-board calls every setter once, when it is created. */
class Board implements IServerAdapter {
  queues: BullBoardQueues = new Map()
  views = ''
  statics = ''
  entry: AppViewRoute | undefined
  routes: AppControllerRoute[] = []
  config: UIConfig = {}
  onError: (error: Error) => ControllerHandlerReturnType = () => ({ status: 500, body: 'failed' })

  setQueues(queues: BullBoardQueues): this {
    this.queues = queues
    return this
  }
  setViewsPath(path: string): this {
    this.views = path
    return this
  }
  setStaticPath(_route: string, path: string): this {
    this.statics = path
    return this
  }
  setEntryRoute(route: AppViewRoute): this {
    this.entry = route
    return this
  }
  setErrorHandler(handler: (error: Error) => ControllerHandlerReturnType): this {
    this.onError = handler
    return this
  }
  setApiRoutes(routes: AppControllerRoute[]): this {
    this.routes = routes
    return this
  }
  setUIConfig(config: UIConfig): this {
    this.config = config
    return this
  }
}

/**
 * Adds the queue board at `/queues/`: bull-board, read-only. Its Fastify plugin would bring a template engine, a file server, and a
 * page that loads fonts from other hosts. Only its GET routes are served.
 */
export function queueBoardRoutes(app: FastifyInstance, openQueues: () => BoardQueue[]): void {
  const board = new Board()
  const { replaceQueues } = createBullBoard({
    queues: openQueues(),
    serverAdapter: board,
    options: {
      uiConfig: {
        boardTitle: 'buildkite-mirror queues',
        hideDocsLink: true,
        miscLinks: [{ text: 'Back to the status page', url: '/' }],
      },
    },
  })
  const page = entryPage(board)
  const files = new Set(readdirSync(board.statics, { recursive: true, encoding: 'utf8' }))

  app.get(AT, async (_request, reply) => reply.redirect(`${AT}/`, 301))
  app.get(`${AT}/static/*`, async (request, reply) => {
    const { '*': path = '' } = paramsOf(request.params)
    const type = types[extname(path)]
    // Serves only files that existed at start, so no path leads out of the folder.
    if (!files.has(path) || type === undefined) return reply.callNotFound()
    const body = await readFile(join(board.statics, path))
    return reply.type(type).header('cache-control', 'private, max-age=3600').send(body)
  })
  for (const { method, route, handler } of board.routes) {
    if (![method].flat().includes('get')) continue
    for (const path of [route].flat()) {
      app.get(`${AT}${path}`, async (request, reply) => {
        replaceQueues(openQueues())
        const query = { ...paramsOf(request.query) }
        const params = paramsOf(request.params)
        try {
          const answer = await handler({
            queues: board.queues,
            uiConfig: board.config,
            query,
            params,
            body: {},
            headers: {},
          })
          return reply.code(answer.status ?? 200).send(answer.body)
        } catch (error) {
          const answer = board.onError(error instanceof Error ? error : new Error(String(error)))
          return reply.code(answer.status ?? 500).send(answer.body)
        }
      })
    }
  }
  for (const path of [board.entry?.route ?? '/'].flat()) {
    app.get(`${AT}${path}`, async (_request, reply) =>
      reply.header('content-security-policy', policy).type('text/html; charset=utf-8').send(page),
    )
  }
}

/** bull-board's page with its placeholders filled in, and without its links to fonts on other hosts. */
function entryPage({ entry, config, views }: Board): string {
  if (!entry) throw new Error('bull-board has no entry page.')
  const { name, params } = entry.handler({ basePath: AT, uiConfig: config })
  const filled = readFileSync(join(views, name), 'utf8')
    .replace(/<link href="https:[^>]*>/g, '')
    .replace(/<%([=-])\s*(\w+)\s*%>/g, (_all, sign: string, key: string) => {
      const value = params[key] ?? ''
      return sign === '=' ? escaped(value) : value
    })
  if (filled.includes('<%'))
    throw new Error('The page of bull-board has a placeholder that this version cannot fill in.')
  return filled
}

function paramsOf(given: unknown): Record<string, string> {
  if (typeof given !== 'object' || given === null) return {}
  return Object.fromEntries(Object.entries(given).map(([key, value]) => [key, String(value)]))
}
