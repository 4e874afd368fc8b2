/** An error in the configuration or the command line. Exit code 2; the message names the setting, what is wrong and the remedy. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** Why a request to Buildkite failed. Users of DX's connector know the first three codes. */
export type BuildkiteErrorCode = 'invalid_credentials' | 'invalid_permissions' | 'no_resources' | 'unavailable'

/** Buildkite's API refused or failed; `code` says which kind, the message says what to do. Never holds a token or a body. */
export class BuildkiteError extends Error {
  override name = 'BuildkiteError'
  readonly code: BuildkiteErrorCode
  /** The HTTP status, if there was an answer. */
  readonly status: number | undefined
  /** For `invalid_permissions`: the scopes that the token lacks, if that is the cause. */
  readonly missingScopes: readonly string[]
  /** What happened, without the remedy. `remedy` is set if it is more specific than the one for the code. The message has both. */
  readonly fact: string
  readonly remedy: string | undefined

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
    const { remedy } = options
    super(
      remedy === undefined ? fact : `${fact} ${remedy}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.code = code
    this.fact = fact
    this.remedy = remedy
    this.status = options.status
    this.missingScopes = options.missingScopes ?? []
  }
}

/** Whether a later retry can succeed (`transient`) or not (`permanent`). */
export type StoreErrorKind = 'transient' | 'permanent'

/** Postgres, Redis or the queue failed. Holds the SQLSTATE or errno, never SQL, parameters or payloads. */
export class StoreError extends Error {
  override name = 'StoreError'
  readonly kind: StoreErrorKind
  /** SQLSTATE (`23505`) or system code (`ECONNREFUSED`), if there was one. */
  readonly code: string | undefined
  readonly store: 'postgres' | 'redis'
  /** What happened, and what to do if that is known. The message has both. */
  readonly fact: string
  readonly remedy: string | undefined

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
    const { remedy } = options
    super(
      remedy === undefined ? fact : `${fact} ${remedy}`,
      options.cause === undefined ? undefined : { cause: options.cause },
    )
    this.kind = kind
    this.fact = fact
    this.remedy = remedy
    this.code = options.code
    this.store = options.store ?? 'postgres'
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
