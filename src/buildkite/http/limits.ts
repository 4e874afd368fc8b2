import { z } from 'zod'
import { HOUR, MINUTE, SECOND } from '../../runtime/time.ts'

/** The two limits that count every call: the token's user, and the organization with all its users together. */
export type LimitScope = 'user' | 'organization'

/** One limit as a response showed it; a field that the response lacked is undefined. Calls per minute, and milliseconds from now. */
export interface SeenLimit {
  readonly limit: number | undefined
  readonly remaining: number | undefined
  readonly resetMs: number | undefined
}

export type LimitsSeen = Partial<Record<LimitScope, SeenLimit>>

/** Buildkite's windows last one or five minutes. A longer timer could overflow and fire at once; a shorter wait would retry in a tight loop. */
const LONGEST_RESET = HOUR
const SHORTEST_WAIT = SECOND

type Headers = Record<string, string | string[] | undefined>

const refusal = z.looseObject({
  scope: z.string().optional().catch(undefined),
  limit: z.number().nonnegative().max(1e9).optional().catch(undefined),
  reset: z.number().optional().catch(undefined),
})

/** Reads both families of rate-limit headers, in the present and the older spellings. All of them are optional. */
export function limitsOfHeaders(headers: Headers): LimitsSeen {
  const seen: { user?: SeenLimit; organization?: SeenLimit } = {}
  const user = limitOf(headers, ['ratelimit-user-', 'rate-limit-user-'])
  if (user) seen.user = user
  const organization = limitOf(headers, ['ratelimit-', 'rate-limit-', 'x-ratelimit-'])
  if (organization) seen.organization = organization
  return seen
}

/**
 * The limits in a 429: the exhausted ones have `remaining` 0 and a time to wait, even if the response omits these. Exhausted are those
 * that the headers show without remaining calls, and the one named in the body; if nothing says which, both.
 */
export function limitsOfRefusal(headers: Headers, body: unknown): LimitsSeen {
  const seen = limitsOfHeaders(headers)
  const parsed = refusal.safeParse(body)
  const parsedBody = parsed.success ? parsed.data : undefined
  const named: LimitScope | undefined = parsedBody?.scope
    ? parsedBody.scope.includes('user')
      ? 'user'
      : 'organization'
    : undefined
  const empty = scopes.filter((scope) => seen[scope]?.remaining === 0 || scope === named)
  const exhausted = empty.length > 0 ? empty : scopes
  const bodyMs = parsedBody?.reset === undefined ? secondsOf(headers['retry-after']) : parsedBody.reset * SECOND
  const result: { user?: SeenLimit; organization?: SeenLimit } = { ...seen }
  for (const scope of exhausted) {
    // The headers' reset applies to its scope even if the body has none; the larger value is the safe one.
    const own = empty.length > 0 ? seen[scope]?.resetMs : undefined
    const inBody = scope === named || own === undefined ? bodyMs : undefined
    const unsaid = own === undefined && inBody === undefined
    const limit = seen[scope]?.limit ?? (scope === named ? parsedBody?.limit : undefined)
    const resetMs = unsaid ? MINUTE : Math.max(own ?? 0, inBody ?? 0)
    result[scope] = { limit, remaining: 0, resetMs: Math.min(Math.max(resetMs, SHORTEST_WAIT), LONGEST_RESET) }
  }
  return result
}

/** Milliseconds until the last of the exhausted limits is reset; 0 when none is exhausted. */
export function waitOf(seen: LimitsSeen): number {
  return Math.max(0, ...scopes.map((scope) => (seen[scope]?.remaining === 0 ? (seen[scope]?.resetMs ?? MINUTE) : 0)))
}

const scopes: readonly LimitScope[] = ['organization', 'user']

function limitOf(headers: Headers, prefixes: readonly string[]): SeenLimit | undefined {
  const read = (name: string) =>
    prefixes.map((prefix) => numberOf(headers[prefix + name])).find((value) => value !== undefined)
  const limit = read('limit')
  const remaining = read('remaining')
  const reset = read('reset')
  if (limit === undefined && remaining === undefined && reset === undefined) return undefined
  return { limit, remaining, resetMs: reset === undefined ? undefined : Math.min(reset * SECOND, LONGEST_RESET) }
}

function secondsOf(value: string | string[] | undefined): number | undefined {
  const seconds = numberOf(value)
  return seconds === undefined ? undefined : seconds * SECOND
}

function numberOf(value: string | string[] | undefined): number | undefined {
  const text = Array.isArray(value) ? value[0] : value
  if (text === undefined || !/^\s*\d{1,9}(\.\d{1,9})?\s*$/.test(text)) return undefined
  return Number(text)
}
