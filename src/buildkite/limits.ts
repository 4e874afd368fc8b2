import { z } from 'zod'
import { HOUR, MINUTE, SECOND } from '../time.ts'

/** The two limits that count every call: the token's user, and the organization with all its users together. */
export type LimitScope = 'user' | 'organization'

/** One limit as an answer showed it; what the answer did not say is undefined. Calls a minute, and milliseconds from now. */
export interface SeenLimit {
  readonly limit: number | undefined
  readonly remaining: number | undefined
  readonly resetMs: number | undefined
}

export type LimitsSeen = Partial<Record<LimitScope, SeenLimit>>

/** Buildkite's windows last a minute or five. A timer set for very long runs out at once, and one for no time would ask again and again. */
const LONGEST_RESET = HOUR
const SHORTEST_WAIT = SECOND

type Headers = Record<string, string | string[] | undefined>

const refusal = z.looseObject({
  scope: z.string().optional().catch(undefined),
  limit: z.number().nonnegative().max(1e9).optional().catch(undefined),
  reset: z.number().optional().catch(undefined),
})

/** Reads both families of rate-limit headers, in today's spelling and in the older ones. All of them are optional. */
export function limitsOfHeaders(headers: Headers): LimitsSeen {
  const seen: { user?: SeenLimit; organization?: SeenLimit } = {}
  const user = limitOf(headers, ['ratelimit-user-', 'rate-limit-user-'])
  if (user) seen.user = user
  const organization = limitOf(headers, ['ratelimit-', 'rate-limit-', 'x-ratelimit-'])
  if (organization) seen.organization = organization
  return seen
}

/**
 * The limits as a 429 shows them: the exhausted ones have `remaining` 0 and the time to wait, whatever was left unsaid.
 * Which are exhausted: those without any remaining by the headers, and the one that the body names; if nothing says, both.
 */
export function limitsOfRefusal(headers: Headers, body: unknown): LimitsSeen {
  const seen = limitsOfHeaders(headers)
  const parsed = refusal.safeParse(body)
  const told = parsed.success ? parsed.data : undefined
  const named: LimitScope | undefined = told?.scope
    ? told.scope.includes('user')
      ? 'user'
      : 'organization'
    : undefined
  const empty = scopes.filter((scope) => seen[scope]?.remaining === 0 || scope === named)
  const exhausted = empty.length > 0 ? empty : scopes
  const toldMs = told?.reset === undefined ? secondsOf(headers['retry-after']) : told.reset * SECOND
  const result: { user?: SeenLimit; organization?: SeenLimit } = { ...seen }
  for (const scope of exhausted) {
    // The headers' reset belongs to their scope even when the body is silent; the larger one is the one that is safe.
    const own = empty.length > 0 ? seen[scope]?.resetMs : undefined
    const inBody = scope === named || own === undefined ? toldMs : undefined
    const unsaid = own === undefined && inBody === undefined
    const limit = seen[scope]?.limit ?? (scope === named ? told?.limit : undefined)
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
