import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { MINUTE } from '../../runtime/time.ts'
import { sendPage, wantsHtml } from '../pages/send.ts'
import { signInPage } from './sign-in-page.ts'

/** How many wrong tries a minute an address gets an ordinary answer to; later ones get 429. */
const PER_MINUTE = 10

/**
 * Counts a wrong try, and answers it with 429 if its address had too many. Returns whether it answered: the reply itself is thenable,
 * and a promise of it resolves to undefined.
 */
export type TryLimiter = (request: FastifyRequest, reply: FastifyReply) => Promise<boolean>

/**
 * Limits how often an address may send a wrong token, in a form or a header. This slows only programs that follow a 429. It is
 * not the protection, because the right token is always accepted: the length that config.ts requires beyond loopback is.
 * `app` must have the plugin @fastify/rate-limit.
 */
export function limitTries(app: FastifyInstance): TryLimiter {
  const count = app.createRateLimit({ max: PER_MINUTE, timeWindow: MINUTE })
  return async (request, reply) => {
    const tries = await count(request)
    if (tries.isAllowed || !tries.isExceeded) return false
    const fault = 'Too many wrong tries. The right token is still accepted.'
    reply.code(429).header('retry-after', tries.ttlInSeconds)
    if (wantsHtml(request)) sendPage(reply, signInPage(fault))
    else reply.send({ error: fault })
    return true
  }
}
