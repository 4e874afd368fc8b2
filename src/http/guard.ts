import { createHash, timingSafeEqual } from 'node:crypto'
import type { FastifyReply, FastifyRequest } from 'fastify'
import { html } from './html.ts'
import { page } from './page.ts'
import { sendPage, wantsHtml } from './send.ts'
import type { Sessions } from './session.ts'
import { signInPage, tooManyTries } from './sign-in.ts'
import type { Tries } from './tries.ts'

export interface GuardParts {
  readonly adminToken: string | undefined
  /** Undefined where there is no token. */
  readonly sessions: Sessions | undefined
  /** Shared by the header and the form: who is wrong by both in turn is slowed as soon. */
  readonly tries: Tries
}

type Guard = (request: FastifyRequest, reply: FastifyReply) => Promise<FastifyReply | undefined>

/** What whoever has no session yet may ask for. */
const SIGN_IN = '/sign-in'

/**
 * With a token: only who brings it, or a session begun with it, enters. Without one the listener is on loopback (config.ts sees to
 * that), but a web page in the operator's browser can still reach it by a name of its own that resolves to 127.0.0.1, so only
 * loopback's own names are served.
 */
export function guard({ adminToken, sessions, tries }: GuardParts): Guard {
  return async (request, reply) => {
    const { headers, url } = request
    const whence = foreign(request, adminToken !== undefined)
    if (whence) return forbid(request, reply, whence)
    if (adminToken === undefined || !sessions) {
      if (isLoopbackHost(headers.host)) return undefined
      return forbid(request, reply, 'Ask for localhost or 127.0.0.1, or set ADMIN_TOKEN.')
    }
    if (url.split('?')[0] === SIGN_IN) return undefined
    if (sessions.endOf(headers.cookie) !== undefined) return undefined
    if (headers.authorization !== undefined) {
      // The right one is always taken: whoever guesses from behind the same proxy must not lock Prometheus out.
      if (bearsToken(headers.authorization, adminToken)) return undefined
      const wait = tries.waitOf(request.ip)
      if (wait > 0) return tooManyTries(request, reply, wait)
      tries.wrong(request.ip)
    }
    reply.code(401).header('www-authenticate', 'Bearer realm="buildkite-mirror"')
    if (wantsHtml(request)) return sendPage(reply, signInPage())
    return reply.send({ error: 'Send the header Authorization: Bearer <ADMIN_TOKEN>.' })
  }
}

/**
 * Why another site's page in the operator's browser may have sent this, which would change something; undefined when none has.
 * Reading is the browser's to refuse. A browser tells in one of two headers whence a post comes. Programs send neither, but they do
 * not send forms either, and what else a page can post without being asked first is plain text.
 *
 * A browser that calls a post same-origin has compared what it saw itself, whatever name a proxy asks us by: with a token that
 * decides. Without one a page may have come to us by a name of its own, so Origin and Host must agree besides.
 */
function foreign({ method, headers }: FastifyRequest, hasToken: boolean): string | undefined {
  if (method === 'GET' || method === 'HEAD') return undefined
  const { origin, host } = headers
  const site = headers['sec-fetch-site']
  if (site !== undefined && site !== 'same-origin' && site !== 'none') return 'Not from the page of another site.'
  if (hasToken && site === 'same-origin') return undefined
  if (origin !== undefined) {
    if (URL.canParse(origin) && new URL(origin).host === host) return undefined
    const differ = `This comes from a page at ${origin}, but was asked of the Host ${host ?? '(none)'}.`
    return `${differ} A proxy in between must pass the Host header on; in nginx: proxy_set_header Host $http_host;`
  }
  const type = headers['content-type'] ?? ''
  const isForm = /^\s*(application\/x-www-form-urlencoded|multipart\/form-data|text\/plain)/i.test(type)
  const isUnknown = isForm && site === undefined && headers.authorization === undefined
  return isUnknown ? 'A form must tell by the header Origin or Sec-Fetch-Site where it comes from.' : undefined
}

/** Refuses with 403: a person by a page, a program by JSON. */
function forbid(request: FastifyRequest, reply: FastifyReply, why: string): FastifyReply {
  reply.code(403)
  if (!wantsHtml(request)) return reply.send({ error: why })
  const body = html`<main class="narrow"><h1>Refused</h1><p class="break">${why}</p><p><a href="/">To the page</a></p></main>`
  return sendPage(reply, page({ title: 'Refused', body }))
}

/** Whether a Host header names this machine by loopback: localhost, 127.0.0.0/8 or ::1, with any port. */
export function isLoopbackHost(host: string | undefined): boolean {
  return host !== undefined && /^(localhost|127(\.\d{1,3}){3}|\[::1\])(:\d+)?$/i.test(host)
}

/** Whether an Authorization header bears `token`, compared in constant time. */
export function bearsToken(header: string | undefined, token: string): boolean {
  const given = /^Bearer +(\S.*)$/i.exec(header ?? '')?.[1]
  return given !== undefined && isSameText(given.trim(), token)
}

/** Compares two secrets in a time that tells nothing of them. */
export function isSameText(one: string, other: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest()
  return timingSafeEqual(digest(one), digest(other))
}
