import rateLimit from '@fastify/rate-limit'
import type { FastifyInstance, FastifyRequest } from 'fastify'
import type { BoardQueue } from '../queue/queues.ts'
import type { Config } from '../runtime/config.ts'
import type { Log } from '../runtime/log.ts'
import { type ActionParts, actionRoutes, noticeOf } from './actions.ts'
import { AuditLog } from './auth/audit-log.ts'
import { guard } from './auth/guard.ts'
import { limitTries } from './auth/login-throttle.ts'
import { openSessions } from './auth/session.ts'
import { signInRoutes } from './auth/sign-in.ts'
import { recognize, stranger } from './auth/visitor.ts'
import type { ExploreParts } from './explore/query.ts'
import { exploreRoutes } from './explore/routes.ts'
import { buildListener, nothingHere } from './listener.ts'
import type { Meters } from './metrics/registry.ts'
import { LiveUpdates } from './pages/live-updates.ts'
import { recordRoutes } from './pages/records/routes.ts'
import { type ReadCatalog, schemaRoutes } from './pages/schema/routes.ts'
import { sendPage } from './pages/send.ts'
import { statusPage } from './pages/status-page.ts'
import { queueBoardRoutes } from './queue-board.ts'
import { RecentStatus } from './status/recent-status.ts'
import type { Status } from './status/status.ts'

export interface PrivateDeps {
  readonly log: Log
  readonly config: Pick<Config, 'adminToken' | 'readerToken' | 'trustProxy'>
  readonly status: () => Promise<Status>
  readonly meters: Meters
  /** The schemas, tables, columns and comments of the database. */
  readonly catalog: ReadCatalog
  /** What the page's actions need. */
  readonly actions: ActionParts
  /** Where the pages under /explore read. */
  readonly explore: ExploreParts
  /** The queues that the queue board shows. */
  readonly board: () => BoardQueue[]
}

const FORM = 'application/x-www-form-urlencoded'

/** Builds the listener for the operator: the status page, its actions and its JSON, `/explore`, the queue board, `/schema` and `/metrics`. It does not listen yet. */
export async function buildPrivateApp(deps: PrivateDeps): Promise<FastifyInstance> {
  const { log, meters, actions } = deps
  const { db, clock } = actions
  const { adminToken, readerToken, trustProxy } = deps.config
  const app = buildListener(log, trustProxy)
  const tokens = adminToken === undefined ? undefined : { admin: adminToken, reader: readerToken }
  const access = tokens && { tokens, sessions: openSessions(tokens, db, log, clock) }
  const audit = new AuditLog({ db, log, clock, record: meters.record })
  const status = new RecentStatus(deps.status, log, clock)
  const updates = new LiveUpdates(status, clock)
  await app.register(rateLimit, { global: false })
  const entrance = { access, refuseTry: limitTries(app) }
  app.decorateRequest('visitor')
  app.addHook('onRequest', async (request) => {
    request.visitor = stranger
  })
  app.addHook('onRequest', guard(entrance))
  app.addHook('onSend', async (request, reply) => {
    await audit.add(request, reply)
    reply.header('x-content-type-options', 'nosniff')
    if (!reply.hasHeader('cache-control')) reply.header('cache-control', 'no-store')
  })
  app.addHook('onListen', async () => void status.keepFresh())
  // An open event stream would keep the listener open.
  app.addHook('preClose', async () => {
    updates.close()
    status.close()
  })
  app.addHook('onClose', () => audit.flush())
  app.addContentTypeParser<string>(FORM, { parseAs: 'string' }, async (_request: FastifyRequest, body: string) =>
    Object.fromEntries(new URLSearchParams(body)),
  )
  app.setNotFoundHandler(nothingHere)
  app.get('/', async ({ visitor, query }, reply) => {
    const options = {
      notice: noticeOf(query),
      signedIn: visitor.session !== undefined,
      mayAct: visitor.who !== 'reader',
    }
    return sendPage(reply, statusPage(await status.latest(), options))
  })
  app.get('/events', async (request, reply) => {
    if (!updates.hasRoom) return reply.code(503).send({ error: 'Too many viewers. Reload the page instead.' })
    const { who } = request.visitor
    const mayStay = async () => !access || (await recognize(request, access.tokens, access.sessions)).who === who
    updates.follow(reply, { mayAct: who !== 'reader', mayStay })
    return reply
  })
  app.get('/status', async () => deps.status())
  app.get('/metrics', async (_request, reply) => {
    const { type, body } = await meters.page()
    return reply.header('content-type', type).send(body)
  })
  schemaRoutes(app, deps.catalog, clock)
  recordRoutes(app, db, clock)
  actionRoutes(app, actions, () => status.forget())
  exploreRoutes(app, deps.explore, clock)
  queueBoardRoutes(app, deps.board)
  signInRoutes(app, entrance)
  return app
}
