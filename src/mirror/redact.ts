/** What is cut below this depth; Buildkite's own payloads stay under ten, and Postgres and V8 both end in a stack overflow far beyond. */
const MAX_DEPTH = 40

/** Never stored: a capability or a credential whatever the settings say. */
const SECRET_KEYS = new Set(['access_token', 'api_key', 'token', 'webhook_url', '__proto__'])

/** Stored only with STORE_ENV: environments and step definitions, where people keep secrets (an `env` of a step included). */
const ENV_KEYS = new Set(['env', 'configuration', 'steps'])

/** The users' own vocabulary: a meta-data key or a matrix dimension called `env` is no environment. */
const FREE_KEYS = new Set(['meta_data', 'matrix'])

/**
 * A copy of a payload that is safe to keep: secrets removed, NUL characters removed and lone surrogates replaced (Postgres refuses
 * both), nesting bounded. Everything that is logged, queued or stored passes through here first.
 */
export function redact(value: unknown, options: { storeEnv: boolean }): unknown {
  return copy(value, options.storeEnv, true, 0)
}

function copy(value: unknown, storeEnv: boolean, guarded: boolean, depth: number): unknown {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= MAX_DEPTH) return null
  if (Array.isArray(value)) return value.map((item) => copy(item, storeEnv, guarded, depth + 1))
  const result: Record<string, unknown> = {}
  for (const [key, inner] of Object.entries(value)) {
    if (key === '__proto__') continue
    if (guarded && (SECRET_KEYS.has(key) || (!storeEnv && ENV_KEYS.has(key)))) continue
    result[cleanText(key)] = copy(inner, storeEnv, guarded && !FREE_KEYS.has(key), depth + 1)
  }
  return result
}

/** Text that Postgres accepts: without NUL, with lone surrogates replaced by U+FFFD. */
export function cleanText(text: string): string {
  const wellFormed = text.toWellFormed()
  return wellFormed.includes('\0') ? wellFormed.replaceAll('\0', '') : wellFormed
}
