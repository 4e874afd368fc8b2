/** Values below this depth are cut. Buildkite's payloads have under ten levels; Postgres and V8 overflow their stacks far beyond. */
const MAX_DEPTH = 40

/** Credentials and capabilities; never stored, whatever the settings. */
const SECRET_KEYS = new Set(['access_token', 'api_key', 'token', 'webhook_url'])

/** Stored only with STORE_ENV: environments and step definitions (with the `env` of a step), where people may put secrets. */
const ENV_KEYS = new Set(['env', 'configuration', 'steps'])

/** Objects whose keys users choose: a meta-data key or a matrix dimension named `env` is not an environment. */
const FREE_KEYS = new Set(['meta_data', 'matrix'])

/**
 * A payload that is safe to store: without secrets and NUL characters, with lone surrogates replaced (Postgres rejects both), and with
 * limited nesting. Everything that is logged, queued or stored passes through here first. Never changes `value`. Parts without changes
 * are shared with it: that is nearly all of a page, and copying it took longer than parsing it.
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

/** A copy of the fields before `key`. */
function upTo(key: string, object: Record<string, unknown>): Record<string, unknown> {
  const copy: Record<string, unknown> = {}
  for (const before in object) {
    if (before === key) break
    put(copy, before, object[before])
  }
  return copy
}

/** Assigning a key `__proto__` would set the prototype; this defines it as an ordinary key. */
function put(object: Record<string, unknown>, key: string, value: unknown): void {
  if (key !== '__proto__') object[key] = value
  else Object.defineProperty(object, key, { value, writable: true, enumerable: true, configurable: true })
}

/** Text that Postgres accepts: without NUL, with lone surrogates replaced by U+FFFD. */
export function cleanText(text: string): string {
  const wellFormed = text.toWellFormed()
  return wellFormed.includes('\0') ? wellFormed.replaceAll('\0', '') : wellFormed
}
