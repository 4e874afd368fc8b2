/** Values below this depth are cut. Buildkite's payloads have under ten levels; Postgres and V8 overflow their stacks far beyond. */
const MAX_DEPTH = 40

/** What to do with a key of an object. */
type KeyRule = 'plain' | 'secret' | 'env' | 'free'

/** Exact keys. Environments and step definitions are stored only with STORE_ENV: people may put secrets there. */
const rulesByKey: ReadonlyMap<string, KeyRule> = new Map(
  Object.entries({
    // Anyone who has one of these addresses can use it.
    webhook_url: 'secret',
    badge_url: 'secret',
    env: 'env',
    configuration: 'env',
    steps: 'env',
    // Their keys are chosen by users: a meta-data key or a matrix dimension named `env` or `token` is neither.
    meta_data: 'free',
    matrix: 'free',
  }),
)

/** Keys of credentials at their end: `token`, `agent_token`, `clientSecret`, `private-key`, `token_value`. */
const SECRET_KEY =
  /(token|secret|password|passwd|passphrase|credential|authorization|cookie|jwt|(api|access|private|signing|ssh)[-_ ]?key)s?([-_ ]?(value|key|text|hash|base64))?$/i

/** The rules of keys seen before. Payloads repeat some hundred keys; a hostile one may have more, so it starts again when full. */
const knownKeys = new Map<string, { name: string; rule: KeyRule }>()
const MAX_KNOWN_KEYS = 2_000
const MAX_KNOWN_KEY = 100

function ruleOf(key: string): { name: string; rule: KeyRule } {
  const known = knownKeys.get(key)
  if (known) return known
  const name = redactText(key)
  const rule = rulesByKey.get(name) ?? (SECRET_KEY.test(name) ? 'secret' : 'plain')
  if (knownKeys.size >= MAX_KNOWN_KEYS) knownKeys.clear()
  const found = { name, rule }
  if (key.length <= MAX_KNOWN_KEY) knownKeys.set(key, found)
  return found
}

/**
 * A payload that is safe to store: without secrets and NUL characters, with lone surrogates replaced (Postgres rejects both), and with
 * limited nesting. docs/operations/stored-data.md lists what it leaves. Everything that is logged, queued or stored passes through here. Never changes `value`. Parts without changes
 * are shared with it: that is nearly all of a page, and copying it took longer than parsing it.
 */
export function redact(value: unknown, options: { storeEnv: boolean }): unknown {
  return safe(value, options.storeEnv, true, 0)
}

/** A stored row as {@link redact} would leave it. What a row has of environments was stored because STORE_ENV was on. */
export function redactRow<Row extends object>(row: Row): Row {
  return redact(row, { storeEnv: true }) as Row
}

function safe(value: unknown, storeEnv: boolean, guarded: boolean, depth: number): unknown {
  if (typeof value === 'string') return redactText(value)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
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
    const { name, rule } = ruleOf(key)
    const secret = guarded && (rule === 'secret' || (rule === 'env' && !storeEnv))
    const isOwn = rule === 'free' || name === 'env'
    const kept = secret ? undefined : safe(inner, storeEnv, guarded && !isOwn, depth + 1)
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

/** {@link cleanText} without the credentials in its URLs. Takes time in proportion to the text, whatever the text. */
export function redactText(text: string): string {
  const clean = cleanText(text)
  if (!clean.includes('://')) return clean
  const anonymous = clean.includes('@') ? clean.replace(USERINFO, withoutCredentials) : clean
  return anonymous.includes('=') ? anonymous.replace(URL_AFTER_SCHEME, withoutSecretParameters) : anonymous
}

const USERINFO = /:\/\/([^\s/?#"'<>\\]*)@/g
const URL_AFTER_SCHEME = /:\/\/[^\s"'<>]+/g
/** A parameter whose name ends like a credential's, in a query or a fragment. `sig` and `signature` are in signed URLs. */
const SECRET_PARAMETER =
  /([?&#;](?:[\w.%-]{0,60}?(?:token|secret|password|passwd|credential|signature|authorization|jwt|(?:api|access|private)[-_]?key)s?|sig|auth|pwd|pass)=)[^&#;]*/gi

/** The user of another scheme than HTTP is no credential: `ssh://git@github.com`. */
function withoutCredentials(matched: string, userinfo: string, offset: number, text: string): string {
  const isHttp = /https?$/i.test(text.slice(Math.max(0, offset - 5), offset))
  return isHttp || userinfo.includes(':') ? '://' : matched
}

function withoutSecretParameters(url: string): string {
  return url.replace(SECRET_PARAMETER, '$1REDACTED')
}
