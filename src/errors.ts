/** A fault in what the user configured or typed. Exit code 2; the message names the setting, its value's fault and the remedy. */
export class ConfigError extends Error {
  override name = 'ConfigError'
}

/** Why Buildkite did not give us what we asked for. The first three are the codes users of DX's connector know. */
export type BuildkiteErrorCode = 'invalid_credentials' | 'invalid_permissions' | 'no_resources' | 'unavailable'

/** Buildkite's API refused or failed; `code` says which kind, the message says what to do. Never holds a token or a body. */
export class BuildkiteError extends Error {
  override name = 'BuildkiteError'
  readonly code: BuildkiteErrorCode
  /** The HTTP status, where there was one. */
  readonly status: number | undefined
  /** For `invalid_permissions`: the scopes that the token lacks, if that is why. */
  readonly missingScopes: readonly string[]
  /** What happened, without what to do; and that, where it is known better than the code tells. The message is both. */
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

/** Whether trying the same thing again later can succeed (`transient`) or never will (`permanent`). */
export type StoreErrorKind = 'transient' | 'permanent'

/** Postgres, Redis or the queue failed. Holds the SQLSTATE or errno, never SQL, parameters or payloads. */
export class StoreError extends Error {
  override name = 'StoreError'
  readonly kind: StoreErrorKind
  /** SQLSTATE (`23505`) or system code (`ECONNREFUSED`), where there was one. */
  readonly code: string | undefined
  readonly store: 'postgres' | 'redis'

  constructor(
    kind: StoreErrorKind,
    message: string,
    options: { code?: string | undefined; store?: 'postgres' | 'redis'; cause?: unknown } = {},
  ) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause })
    this.kind = kind
    this.code = options.code
    this.store = options.store ?? 'postgres'
  }
}

/** The message of anything thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
