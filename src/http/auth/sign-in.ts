import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { sendPage, wantsJson } from '../pages/send.ts'
import { type GuardParts, isSameText } from './guard.ts'
import { endedSession } from './session.ts'
import { signInPage } from './sign-in-page.ts'

const form = z.object({ token: z.string().max(10_000) })

/** Adds `/sign-in` and `/sign-out`: a person enters the ADMIN_TOKEN once and then has a session. */
export function signInRoutes(app: FastifyInstance, { adminToken, sessions, refuseTry }: GuardParts): void {
  app.get('/sign-in', async (request, reply) => {
    if (!sessions || sessions.endOf(request.headers.cookie) !== undefined) return reply.redirect('/', 303)
    return sendPage(reply, signInPage())
  })
  app.post('/sign-in', async (request, reply) => {
    if (adminToken === undefined || !sessions) return reply.redirect('/', 303)
    const given = form.safeParse(request.body).data?.token.trim()
    // The right token is always accepted, as in a header: wrong guesses from the same address must not lock people out.
    if (given === undefined || !isSameText(given, adminToken)) {
      return (await refuseTry(request, reply)) ?? refuse(reply, wantsJson(request))
    }
    reply.header('set-cookie', sessions.begin(cameByTls(request.headers.origin)))
    return wantsJson(request) ? reply.send({ signed_in: true }) : reply.redirect('/', 303)
  })
  app.post('/sign-out', async (request, reply) => {
    reply.header('set-cookie', endedSession(cameByTls(request.headers.origin)))
    return wantsJson(request) ? reply.send({ signed_in: false }) : reply.redirect('/sign-in', 303)
  })
}

function refuse(reply: FastifyReply, json: boolean): FastifyReply {
  reply.code(401)
  const fault = 'That is not the ADMIN_TOKEN of this service.'
  return json ? reply.send({ error: fault }) : sendPage(reply, signInPage(fault))
}

/** TLS ends at a proxy, if at all, so only the browser's Origin shows it. */
function cameByTls(origin: string | undefined): boolean {
  return origin?.startsWith('https:') ?? false
}
