import type { FastifyRequest } from 'fastify'
import { hasSession, type Session, type Sessions } from './session.ts'
import { bearerIn, roleOf, type TokenRole, type Tokens } from './tokens.ts'

/** Who sent a request, and how it showed that. The audit log records both. */
export interface Visitor {
  /** local: no token is set, so everybody on loopback may act. unknown: without a right token. */
  readonly who: TokenRole | 'local' | 'unknown'
  readonly via: 'session' | 'bearer' | 'form' | 'none'
  readonly session?: Session
}

declare module 'fastify' {
  interface FastifyRequest {
    visitor: Visitor
  }
}

export const stranger: Visitor = { who: 'unknown', via: 'none' }

/** Recognizes who sent a request by its session or its Authorization header. */
export async function recognize({ headers }: FastifyRequest, tokens: Tokens, sessions: Sessions): Promise<Visitor> {
  const session = await sessions.find(headers.cookie)
  if (session) return { who: session.role, via: 'session', session }
  if (headers.authorization !== undefined) {
    const given = bearerIn(headers.authorization)
    return { who: (given && roleOf(tokens, given)) || 'unknown', via: 'bearer' }
  }
  return { who: 'unknown', via: hasSession(headers.cookie) ? 'session' : 'none' }
}
