import type { FastifyReply, FastifyRequest } from 'fastify'
import { html } from '../pages/html.ts'
import { page } from '../pages/layout.ts'
import { sendPage, wantsHtml } from '../pages/send.ts'
import type { TryLimiter } from './login-throttle.ts'
import type { Sessions } from './session.ts'
import { signInPage } from './sign-in-page.ts'
import type { Tokens } from './tokens.ts'
import { recognize } from './visitor.ts'

export interface GuardParts {
  /** Undefined when there is no ADMIN_TOKEN. */
  readonly access: { readonly tokens: Tokens; readonly sessions: Sessions } | undefined
  /** Shared by the header and the form, so that alternating between them gains no extra tries. */
  readonly refuseTry: TryLimiter
}

type Guard = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>

/** The only path that is served without a session. */
const SIGN_IN = '/sign-in'
/** The only path to which a reader may post. */
const SIGN_OUT = '/sign-out'

/**
 * With a token, admits only requests that carry it or a session that began with it; a reader's only if they change nothing. Without one,
 * the listener is on loopback (config.ts enforces that). A page in the operator's browser can still reach it by a host name that
 * resolves to 127.0.0.1. So only loopback's own names are served.
 */
export function guard({ access, refuseTry }: GuardParts): Guard {
  return async (request, reply) => {
    const crossSite = foreign(request, access !== undefined)
    if (crossSite) return forbid(request, reply, crossSite)
    if (!access) {
      if (!isLoopbackHost(request.headers.host)) {
        return forbid(request, reply, 'Open localhost or 127.0.0.1, or set ADMIN_TOKEN.')
      }
      request.visitor = { who: 'local', via: 'none' }
      return undefined
    }
    const path = request.url.split('?')[0]
    if (path === SIGN_IN) return undefined
    request.visitor = await recognize(request, access.tokens, access.sessions)
    const { who, via } = request.visitor
    if (who === 'admin' || (who === 'reader' && (isLook(request) || path === SIGN_OUT))) return undefined
    if (who === 'reader') return forbid(request, reply, 'READER_TOKEN may look, not act. Use ADMIN_TOKEN.')
    // The right token is always accepted: wrong guesses through the same proxy must not lock Prometheus out.
    if (via !== 'none' && (await refuseTry(request, reply))) return reply
    reply.code(401).header('www-authenticate', 'Bearer realm="buildkite-mirror"')
    if (wantsHtml(request)) return sendPage(reply, signInPage())
    return reply.send({ error: 'Send the header Authorization: Bearer <ADMIN_TOKEN>.' })
  }
}

/** Whether a request only reads. */
export function isLook({ method }: FastifyRequest): boolean {
  return method === 'GET' || method === 'HEAD'
}

/**
 * Returns the reason to refuse a request that changes something and may come from another site's page (CSRF); undefined if there is
 * none. GET needs no check, as the browser keeps other sites from reading the answer. A browser names the origin of a POST in Origin
 * or Sec-Fetch-Site. Programs send neither, but they do not send forms either; without a preflight a page can post only those types.
 *
 * Sec-Fetch-Site: same-origin compares the names that the browser saw, whatever Host a proxy sends. With a token that is enough.
 * Without one, a page may have reached us by its own host name (DNS rebinding), so Origin and Host must also agree.
 */
function foreign(request: FastifyRequest, hasToken: boolean): string | undefined {
  if (isLook(request)) return undefined
  const { headers } = request
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return 'The request comes from another site.'
  if (hasToken && site === 'same-origin') return undefined
  if (origin !== undefined) {
    if (URL.canParse(origin) && new URL(origin).host === host) return undefined
    const differ = `The request comes from a page at ${origin}, but its Host header is ${host ?? '(none)'}.`
    return `${differ} A proxy in between must forward the Host header; in nginx: proxy_set_header Host $http_host;`
  }
  const type = headers['content-type'] ?? ''
  const isForm = /^\s*(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)/i.test(type)
  const isUnknown = isForm && site === undefined && headers.authorization === undefined
  return isUnknown ? 'A form must be sent with the header Origin or Sec-Fetch-Site.' : undefined
}

/** Refuses with 403: as a page for browsers, as JSON for programs. */
function forbid(request: FastifyRequest, reply: FastifyReply, why: string): FastifyReply {
  reply.code(403)
  if (!wantsHtml(request)) return reply.send({ error: why })
  const body = html`<main class="narrow"><h1>Refused</h1><p class="break">${why}</p><p><a href="/">To the status page</a></p></main>`
  return sendPage(reply, page({ title: 'Refused', body }))
}

/** Whether a Host header names this machine by loopback: localhost, 127.0.0.0/8 or ::1, with any port. */
export function isLoopbackHost(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host)
}
