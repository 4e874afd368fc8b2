/** What is cut below this depth; Buildkite's own payloads stay under ten, and Postgres and V8 both end in a stack overflow far beyond. */
const MAX_DEPTH = 40

/** Never stored: a capability or a credential whatever the settings say. */
const SECRET_KEYS = new Set(['access_token', 'api_key', 'token', 'webhook_url'])

/** Stored only with STORE_ENV: environments and step definitions, where people keep secrets (an `env` of a step included). */
const ENV_KEYS = new Set(['env', 'configuration', 'steps'])

/** The users' own vocabulary: a meta-data key or a matrix dimension called `env` is no environment. */
const FREE_KEYS = new Set(['meta_data', 'matrix'])

/**
 * A payload as it is safe to keep: secrets removed, NUL characters removed and lone surrogates replaced (Postgres refuses both),
 * nesting bounded. Everything that is logged, queued or stored passes through here first. What needs no change is shared with
 * `value`, which itself is never changed: nearly all of a page is shared, and copying it took longer than parsing it.
 */
export function redact(value: unknown, options: { storeEnv: boolean }): unknown {
  return safe(value, options.storeEnv, true, 0)
}

function safe(value: unknown, storeEnv: boolean, guarded: boolean, depth: number): unknown {
  if (typeof value === 'string') return cleanText(value)
  if (typeof value !== 'object' || value === null) return value
  if (depth >= MAX_DEPTH) return null
  if (Array.isArray(value)) return safeList(value, storeEnv, guarded, depth)
  return safeObject(value as Record<string, unknown>, storeEnv, guarded, depth)
}

function safeList(list: unknown[], storeEnv: boolean, guarded: boolean, depth: number): unknown[] {
  let copy: unknown[] | undefined
  for (let index = 0; index < list.length; index++) {
    const item = list[index]
    const kept = safe(item, storeEnv, guarded, depth + 1)
    if (kept === item) continue
    copy ??= [...list]
    copy[index] = kept
  }
  return copy ?? list
}

function safeObject(
  object: Record<string, unknown>,
  storeEnv: boolean,
  guarded: boolean,
  depth: number,
): Record<string, unknown> {
  let copy: Record<string, unknown> | undefined
  for (const key in object) {
    const inner = object[key]
    const name = cleanText(key)
    const secret = guarded && (SECRET_KEYS.has(name) || (!storeEnv && ENV_KEYS.has(name)))
    const kept = secret ? undefined : safe(inner, storeEnv, guarded && !FREE_KEYS.has(name), depth + 1)
    if (!copy) {
      if (!secret && kept === inner && name === key) continue
      copy = upTo(key, object)
    }
    if (!secret) put(copy, name, kept)
  }
  return copy ?? object
}

/** A copy of what stands before `key`. */
function upTo(key: string, object: Record<string, unknown>): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const before in object) {
    if (before === key) break
    put(copy, before, object[before])
  }
  return copy
}

/** Assigning a key `__proto__` would set the prototype; this makes it a key like others. */
function put(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
}

/** Text that Postgres accepts: without NUL, with lone surrogates replaced by U+FFFD. */
export function cleanText(text: string): string {
  const wellFormed = text.toWellFormed()
  return wellFormed.includes('\0') ? wellFormed.replaceAll('\0', '') : wellFormed
}
