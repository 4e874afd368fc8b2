import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { sendPage, wantsJson } from '../pages/send.ts'
import type { GuardParts } from './guard.ts'
import { endedSession } from './session.ts'
import { signInPage } from './sign-in-page.ts'
import { roleOf } from './tokens.ts'

const form = z.object({ token: z.string().max(10_000) })

/** Adds `/sign-in` and `/sign-out`: a person enters a token once and then has a session. */
export function signInRoutes(app: FastifyInstance, { access, refuseTry }: GuardParts): void {
  app.get('/sign-in', async (request, reply) => {
    if (!access || (await access.sessions.find(request.headers.cookie))) return reply.redirect('/', 303)
    return sendPage(reply, signInPage())
  })
  app.post('/sign-in', async (request, reply) => {
    if (!access) return reply.redirect('/', 303)
    const given = form.safeParse(request.body).data?.token.trim()
    const role = given === undefined ? undefined : roleOf(access.tokens, given)
    request.visitor = { who: role ?? 'unknown', via: 'form' }
    // The right token is always accepted, as in a header: wrong guesses from the same address must not lock people out.
    if (!role) return (await refuseTry(request, reply)) ? reply : refuse(reply, wantsJson(request))
    const { session, cookie } = await access.sessions.begin(role, cameByTls(request.headers.origin))
    request.visitor = { who: role, via: 'form', session }
    reply.header('set-cookie', cookie)
    return wantsJson(request) ? reply.send({ signed_in: true }) : reply.redirect('/', 303)
  })
  app.post('/sign-out', async (request, reply) => {
    const { session } = request.visitor
    if (session) await access?.sessions.end(session)
    reply.header('set-cookie', endedSession(cameByTls(request.headers.origin)))
    return wantsJson(request) ? reply.send({ signed_in: false }) : reply.redirect('/sign-in', 303)
  })
}

function refuse(reply: FastifyReply, json: boolean): FastifyReply {
  reply.code(401)
  const fault = 'That is not a token of this service.'
  return json ? reply.send({ error: fault }) : sendPage(reply, signInPage(fault))
}

/** TLS ends at a proxy, if at all, so only the browser's Origin shows it. */
function cameByTls(origin: string | undefined): boolean {
  return origin?.startsWith('https:') ?? false
}
