import { z } from 'zod'
import { messageOf } from './errors.ts'
import { type IpRange, isLoopback, parseRange } from './ip-range.ts'
import { DAY, parseDuration } from './time.ts'

// The formats of settings: each parses the text of a variable, or says what is wrong with it and what to write instead.

export const list = z.string().transform((text): readonly string[] =>
  text
    .split(',')
    .map((part) => part.trim())
    .filter(Boolean),
)

/** A value for an error message. A long or unusual value is not repeated: it may be a secret in the wrong line. */
export const shown = (text: string) =>
  /^[\x20-\x7e]{0,16}$/.test(text) ? `"${text}"` : `a value of ${text.length} characters (not shown)`

/** Node timers longer than 24.8 days fire at once. */
const LONGEST_DURATION = 20 * DAY

export const duration = z.string().transform((text, context) => {
  const ms = parseDuration(text)
  if (ms !== undefined && ms >= 1 && ms <= LONGEST_DURATION) return ms
  const fault = ms === undefined ? 'not a duration' : 'not a duration from 1ms to 20d'
  context.addIssue({ code: 'custom', message: `is ${shown(text)}, ${fault}. Write it like 30s, 5m or 2h.` })
  return z.NEVER
})

export const url = (protocols: readonly string[], example: string) =>
  z.string().superRefine((text, context) => {
    // The value may hold a password, so it is never repeated in the message.
    const parsed = URL.canParse(text) ? new URL(text) : undefined
    if (parsed && protocols.includes(parsed.protocol) && isDecodable(parsed)) return
    context.addIssue({ code: 'custom', message: `is not a ${protocols.join(' or ')} URL. Write it like ${example}.` })
  })

/** The URL of a store, which `read` must understand. */
export const storeUrl = (protocols: readonly string[], example: string, read: (text: string) => unknown) =>
  url(protocols, example).superRefine((text, context) => {
    if (!url(protocols, example).safeParse(text).success) return
    try {
      read(text)
    } catch (error) {
      context.addIssue({ code: 'custom', message: messageOf(error) })
    }
  })

/** Database drivers decode percent-encoding, and throw if it is invalid. */
function isDecodable({ username, password, pathname }: URL): boolean {
  try {
    for (const part of [username, password, pathname]) decodeURIComponent(part)
    return true
  } catch {
    return false
  }
}

/** The address that paths are appended to. */
export const baseUrl = url(['https:', 'http:'], 'https://api.buildkite.com/v2').superRefine((text, context) => {
  const parsed = URL.canParse(text) ? new URL(text) : undefined
  if (!parsed) return
  if (/[?#]/.test(text) || parsed.username !== '' || parsed.password !== '')
    context.addIssue({ code: 'custom', message: 'has a user, a ? or a #. Write it like https://api.buildkite.com/v2.' })
  if (parsed.protocol === 'http:' && !isLoopback(hostOf(parsed))) {
    const message =
      'begins with http: and names another machine, so the API token would travel in plain text. Use https:.'
    context.addIssue({ code: 'custom', message })
  }
})

/** The host of a URL, an IPv6 address without brackets. */
export const hostOf = ({ hostname }: URL) => hostname.replace(/^\[|\]$/g, '')

/** Whether a token can be sent in an Authorization header. */
const isSendable = (token: string) => /^[\x20-\x7e]+$/.test(token)
const unsendable =
  'has characters that are not allowed in an HTTP header. Copy it again: it has only ASCII letters, digits and signs.'

export const tokens = list.refine((all) => all.every(isSendable), unsendable)

/**
 * 16 hexadecimal digits are 64 bits. Guessing those offline, from one signed webhook or one session cookie, takes centuries at a
 * billion guesses a second.
 */
const SHORTEST_SECRET = 16
const isLong = (secret: string) => secret.length >= SHORTEST_SECRET
const tooShort = `has fewer than ${SHORTEST_SECRET} characters and can be guessed. Generate a longer one, for example with openssl rand -hex 24.`

/** Secrets that this service checks. Their length protects them; Buildkite's tokens are Buildkite's to protect. */
export const token = z.string().refine(isSendable, unsendable).refine(isLong, tooShort)
export const secrets = list.refine((all) => all.every(isLong), tooShort)

export const number = (check: (value: number) => boolean, fault: string) =>
  z.string().transform((text, context) => {
    const value = Number(text)
    if (text.trim() !== '' && check(value)) return value
    context.addIssue({ code: 'custom', message: `is ${shown(text)}. ${fault}` })
    return z.NEVER
  })

export const port = number((n) => Number.isInteger(n) && n >= 0 && n <= 65_535, 'Use a whole number from 0 to 65535.')

export const flag = z.string().transform((text, context) => {
  if (/^(true|1|yes|on)$/i.test(text)) return true
  if (/^(false|0|no|off)$/i.test(text)) return false
  context.addIssue({ code: 'custom', message: `is ${shown(text)}. Use true or false.` })
  return z.NEVER
})

export const oneOf = <const T extends string>(values: readonly T[]) =>
  z.string().transform((text, context) => {
    const value = values.find((candidate) => candidate === text.trim())
    if (value) return value
    context.addIssue({ code: 'custom', message: `is ${shown(text)}. Use ${values.join(' or ')}.` })
    return z.NEVER
  })

export const ranges = list.transform((parts, context): readonly IpRange[] => {
  const known = parts.map(parseRange)
  const wrong = parts.find((_, index) => known[index] === undefined)
  if (wrong === undefined) return known.filter((range) => range !== undefined)
  context.addIssue({
    code: 'custom',
    message: `names ${shown(wrong)}. Write addresses like 192.0.2.0/24,198.51.100.12.`,
  })
  return z.NEVER
})

export const allowedIps = z.string().transform((text, context): readonly IpRange[] | 'buildkite' => {
  if (text.trim() === 'buildkite') return 'buildkite'
  const parsed = ranges.safeParse(text)
  if (parsed.success && parsed.data.length > 0) return parsed.data
  const fault = parsed.error?.issues[0]?.message ?? 'names no address.'
  context.addIssue({ code: 'custom', message: `${fault} Or write buildkite.` })
  return z.NEVER
})

const roleNames = ['web', 'worker', 'reconciler'] as const
export type Role = (typeof roleNames)[number]

export const roles = z.string().transform((text, context): ReadonlySet<Role> => {
  const named = text.split(',').map((part) => part.trim())
  const wrong = named.filter((part) => !roleNames.some((role) => role === part))
  if (wrong.length === 0) return new Set(roleNames.filter((role) => named.includes(role)))
  context.addIssue({ code: 'custom', message: `names ${shown(wrong.join(', '))}. Use any of ${roleNames.join(', ')}.` })
  return z.NEVER
})
