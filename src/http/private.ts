import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import type { Config } from '../config.ts'
import type { CatalogSchema } from '../database/catalog.ts'
import type { Log } from '../log.ts'
import { buildListener, nothingHere } from './listener.ts'
import type { Meters } from './metrics.ts'
import { schemaPage } from './schema-page.ts'
import type { Status } from './status.ts'

export interface PrivateDeps {
  readonly log: Log
  readonly config: Pick<Config, 'adminHost' | 'adminToken'>
  readonly status: () => Promise<Status>
  readonly meters: Meters
  /** What the database says of itself. */
  readonly catalog: () => Promise<CatalogSchema[]>
}

/** Builds the listener for the operator: `/` (a page that links the rest), `/status`, `/schema` and `/metrics`. It does not listen yet. */
export async function buildPrivateApp(deps: PrivateDeps): Promise<FastifyInstance> {
  const app = buildListener(deps.log)
  app.addHook('onRequest', guard(deps.config))
  app.addHook('onSend', async (_request, reply) => {
    reply.header('cache-control', 'no-store').header('x-content-type-options', 'nosniff')
  })
  app.setNotFoundHandler(nothingHere)
  app.get('/status', async () => deps.status())
  app.get('/metrics', async (_request, reply) => {
    const { type, body } = await deps.meters.page()
    return reply.header('content-type', type).send(body)
  })
  app.get('/schema', async (request, reply) => {
    const catalog = await deps.catalog()
    return wantsJson(request) ? catalog : sendPage(reply, schemaPage(catalog))
  })
  app.get('/', async (_request, reply) => sendPage(reply, page))
  return app
}

function sendPage(reply: FastifyReply, html: string): FastifyReply {
  return reply
    .header('content-security-policy', "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
    .type('text/html; charset=utf-8')
    .send(html)
}

/** Whether JSON is asked for by name; browsers ask for HTML, and curl for anything. */
function wantsJson({ headers }: FastifyRequest): boolean {
  return /\bapplication\/json\b/i.test(headers.accept ?? '')
}

type Guard = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>

/**
 * With a token: only who brings it enters. Without one the listener is on loopback (config.ts sees to that), but a web page in the
 * operator's browser can still reach it by a name of its own that resolves to 127.0.0.1, so only loopback's own names are served.
 */
function guard(config: PrivateDeps['config']): Guard {
  const { adminToken } = config
  return async (request, reply) => {
    if (isCrossSite(request)) return reply.code(403).send({ error: 'Not from the page of another site.' })
    if (adminToken === undefined) {
      if (isLoopbackHost(request.headers.host)) return undefined
      return reply.code(403).send({ error: 'Ask for localhost or 127.0.0.1, or set ADMIN_TOKEN.' })
    }
    if (bearsToken(request.headers.authorization, adminToken)) return undefined
    return reply
      .code(401)
      .header('www-authenticate', 'Bearer realm="buildkite-mirror"')
      .send({ error: 'Send the header Authorization: Bearer <ADMIN_TOKEN>.' })
  }
}

/**
 * Whether another site's page in the operator's browser sends this, and it would change something. Reading is the browser's to refuse;
 * programs send neither header.
 */
function isCrossSite({ method, headers }: FastifyRequest): boolean {
  if (method === 'GET' || method === 'HEAD') return false
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return true
  if (headers.origin === undefined) return false
  return !URL.canParse(headers.origin) || new URL(headers.origin).host !== headers.host
}

/** Whether a Host header names this machine by loopback: localhost, 127.0.0.0/8 or ::1, with any port. */
export function isLoopbackHost(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host)
}

/** Whether an Authorization header bears `token`, compared in constant time. */
export function bearsToken(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S.*)$/i.exec(header ?? '')?.[1]
  if (given === undefined) return false
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(given.trim()), digest(token))
}

const page = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>buildkite-mirror</title>
<style>body { font: 16px/1.5 system-ui, sans-serif; margin: 4rem auto; max-width: 40rem; padding: 0 1rem }</style>
<h1>buildkite-mirror</h1>
<ul>
<li><a href="/status">/status</a>: how complete the mirror is, and what is wrong, as JSON</li>
<li><a href="/schema">/schema</a>: every table, view and column, with its meaning and an example</li>
<li><a href="/metrics">/metrics</a>: figures for Prometheus</li>
</ul>
</html>
`
