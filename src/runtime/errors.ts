/** An error in the configuration or the command line. Exit code 2; the message names the setting, what is wrong and the remedy. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** Why a request to Buildkite failed. Users of DX's connector know the first three codes. */
export type BuildkiteErrorCode = 'invalid_credentials' | 'invalid_permissions' | 'no_resources' | 'unavailable'

/** An error that separates what happened from what to do about it. The message has both. */
class ErrorWithRemedy extends Error {
  /** What happened. */
  readonly fact: string
  /** What to do, if that is known. */
  readonly remedy: string | undefined

  constructor(fact: string, { remedy, cause }: { remedy?: string | undefined; cause?: unknown }) {
    super(remedy === undefined ? fact : `${fact} ${remedy}`, cause === undefined ? undefined : { cause })
    this.fact = fact
    this.remedy = remedy
  }
}

/**
 * Buildkite's API refused or failed; `code` says which kind. `remedy` is set if it is more specific than the one for the code. Never
 * holds a token or a body.
 */
export class BuildkiteError extends ErrorWithRemedy {
  override name = 'BuildkiteError'
  readonly code: BuildkiteErrorCode
  /** The HTTP status, if there was an answer. */
  readonly status: number | undefined
  /** For `invalid_permissions`: the scopes that the token lacks, if that is the cause. */
  readonly missingScopes: readonly string[]

  constructor(
    code: BuildkiteErrorCode,
    fact: string,
    options: {
      status?: number | undefined
      missingScopes?: readonly string[]
      remedy?: string | undefined
      cause?: unknown
    } = {},
  ) {
    super(fact, options)
    this.code = code
    this.status = options.status
    this.missingScopes = options.missingScopes ?? []
  }
}

/** Whether a later retry can succeed (`transient`) or not (`permanent`). */
export type StoreErrorKind = 'transient' | 'permanent'

/** Postgres, Redis or the queue failed. Holds the SQLSTATE or errno, never SQL, parameters or payloads. */
export class StoreError extends ErrorWithRemedy {
  override name = 'StoreError'
  readonly kind: StoreErrorKind
  /** SQLSTATE (`23505`) or system code (`ECONNREFUSED`), if there was one. */
  readonly code: string | undefined
  readonly store: 'postgres' | 'redis'

  constructor(
    kind: StoreErrorKind,
    fact: string,
    options: {
      code?: string | undefined
      store?: 'postgres' | 'redis'
      remedy?: string | undefined
      cause?: unknown
    } = {},
  ) {
    super(fact, options)
    this.kind = kind
    this.code = options.code
    this.store = options.store ?? 'postgres'
  }
}

/** A path for an error message. Anything else is not repeated: it may be a secret in the wrong place. */
export function shownPath(text: string): string {
  return /^\.{0,2}\/[^@?]*$/.test(text) ? text : `a file (${text.length} characters, not shown)`
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
