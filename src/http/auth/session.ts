import { createHmac, hkdfSync, randomBytes, timingSafeEqual } from 'node:crypto'
import { type Clock, HOUR, SECOND } from '../../runtime/time.ts'

/** A working day. */
const LASTS = 8 * HOUR
const NAME = 'buildkite_mirror_session'

/** Sessions of people who signed in with the ADMIN_TOKEN. */
export interface Sessions {
  /** A Set-Cookie value for a new session; `secure` if the browser uses TLS. */
  begin(secure: boolean): string
  /** When the session in a Cookie header ends (ms since the epoch); undefined if it is missing, not ours, or over. */
  endOf(cookies: string | undefined): number | undefined
}

/**
 * Stateless sessions: a cookie holds its end, a random part, and a MAC over both. The MAC's key is derived from the token. So the
 * cookie reveals nothing about the token, is valid in every replica, and becomes invalid when the token changes.
 */
export function openSessions(adminToken: string, clock: Clock): Sessions {
  const key = Buffer.from(hkdfSync('sha256', adminToken, '', 'buildkite-mirror session', 32))
  const macOf = (text: string) => createHmac('sha256', key).update(text).digest('base64url')
  return {
    begin(secure) {
      const text = `${clock() + LASTS}.${randomBytes(12).toString('base64url')}`
      return cookie(`${text}.${macOf(text)}`, LASTS / SECOND, secure)
    },
    endOf(cookies) {
      const [end = '', random = '', mac = ''] = sessionIn(cookies).split('.')
      const given = Buffer.from(mac)
      const right = Buffer.from(macOf(`${end}.${random}`))
      if (given.length !== right.length || !timingSafeEqual(given, right)) return undefined
      return Number(end) > clock() ? Number(end) : undefined
    },
  }
}

/** The Set-Cookie value that ends a session. */
export function endedSession(secure: boolean): string {
  return cookie('', 0, secure)
}

function cookie(value: string, seconds: number, secure: boolean): string {
  return `${NAME}=${value}; Path=/; Max-Age=${seconds}; HttpOnly; SameSite=Strict${secure ? '; Secure' : ''}`
}

function sessionIn(cookies: string | undefined): string {
  const pairs = (cookies ?? '').split(';').map((pair) => pair.trim())
  return pairs.find((pair) => pair.startsWith(`${NAME}=`))?.slice(NAME.length + 1) ?? ''
}
