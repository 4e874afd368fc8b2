import { createHmac, randomBytes } from 'node:crypto'
import { and, eq, gt, inArray } from 'drizzle-orm'
import { type Db, withStoreError } from '../../database/connection.ts'
import { sessions } from '../../database/schema.ts'
import type { Log } from '../../runtime/log.ts'
import { type Clock, HOUR, SECOND } from '../../runtime/time.ts'
import { ask } from '../status/probes.ts'
import type { TokenRole, Tokens } from './tokens.ts'

/** A working day. */
const LASTS = 8 * HOUR
const NAME = 'buildkite_mirror_session'

/** One person's session. */
export interface Session {
  /** The key of its row. It does not give access. */
  readonly key: string
  readonly role: TokenRole
  /** When it expires (ms since the epoch). */
  readonly endsAt: number
}

/** Sessions of people who signed in with a token. */
export interface Sessions {
  /** Begins a session, and returns it with its Set-Cookie value; `secure` if the browser uses TLS. */
  begin(role: TokenRole, secure: boolean): Promise<{ session: Session; cookie: string }>
  /** The session in a Cookie header; undefined if it is missing, unknown, signed out or expired. */
  find(cookies: string | undefined): Promise<Session | undefined>
  /** Ends a session in every process. @throws StoreError */
  end(session: Session): Promise<void>
}

/**
 * Sessions in Postgres. The cookie is a random id; the row's key is an HMAC of the token with that id. So the cookie alone says nothing
 * about the token, the row alone opens nothing, sign-out is valid for all processes, and a new token ends all sessions of the old one.
 *
 * While Postgres does not answer, a process recognizes the sessions that it has seen, so that the page can still be read. No action
 * works without Postgres.
 */
export function openSessions(tokens: Tokens, db: Db, log: Log, clock: Clock): Sessions {
  const seen = new Map<string, Session>()
  const roles = (['admin', 'reader'] as const).filter((role) => tokens[role] !== undefined)
  const keyOf = (role: TokenRole, id: string) =>
    createHmac('sha256', id).update(`${role} ${tokens[role]}`).digest('base64url')
  return {
    async begin(role, secure) {
      const id = randomBytes(32).toString('base64url')
      const session = { key: keyOf(role, id), role, endsAt: clock() + LASTS }
      const row = { key: session.key, ends_at: new Date(session.endsAt) }
      const stored = await ask('The database', () => db.insert(sessions).values(row))
      if (!stored.ok) log.warn(`A session is valid in this process only, until Postgres is back. ${stored.why}`)
      for (const { key, endsAt } of seen.values()) if (endsAt <= clock()) seen.delete(key)
      seen.set(session.key, session)
      return { session, cookie: cookie(id, LASTS / SECOND, secure) }
    },
    async find(cookies) {
      const id = sessionIn(cookies)
      if (!/^[\w-]{43}$/.test(id)) return undefined
      const keys = new Map(roles.map((role) => [keyOf(role, id), role]))
      const ours = and(inArray(sessions.key, [...keys.keys()]), gt(sessions.ends_at, new Date(clock())))
      const found = await ask('The database', () => db.select().from(sessions).where(ours))
      if (!found.ok) {
        return [...keys.keys()].map((key) => seen.get(key)).find((one) => one !== undefined && one.endsAt > clock())
      }
      for (const key of keys.keys()) seen.delete(key)
      const [row] = found.value
      const role = row && keys.get(row.key)
      if (!role) return undefined
      const session = { key: row.key, role, endsAt: row.ends_at.getTime() }
      seen.set(session.key, session)
      return session
    },
    async end({ key }) {
      await withStoreError('end a session', () => db.delete(sessions).where(eq(sessions.key, key)))
      seen.delete(key)
    },
  }
}

/** The Set-Cookie value that removes a session's cookie. */
export function endedSession(secure: boolean): string {
  return cookie('', 0, secure)
}

/** Whether a Cookie header has a cookie of ours, valid or not. */
export function hasSession(cookies: string | undefined): boolean {
  return sessionIn(cookies) !== ''
}

function cookie(value: string, seconds: number, secure: boolean): string {
  return `${NAME}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`
}

function sessionIn(cookies: string | undefined): string {
  const pairs = (cookies ?? '').split(';').map((pair) => pair.trim())
  return pairs.find((pair) => pair.startsWith(`${NAME}=`))?.slice(NAME.length + 1) ?? ''
}
