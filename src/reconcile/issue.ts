import { asStoreError } from '../database/connection.ts'
import { BuildkiteError, type BuildkiteErrorCode, messageOf, StoreError } from '../runtime/errors.ts'

/** Something that keeps the mirror from being complete, described so that a person can fix it. */
export interface Issue {
  /** The subject: `token 1`, `organization acme`, `BUILDKITE_API_TOKEN`. */
  readonly subject: string
  readonly code: BuildkiteErrorCode | 'expires_soon' | 'store' | 'internal'
  readonly message: string
  readonly remedy: string
  /** The scopes that a token lacks, if that is why. */
  readonly missingScopes?: readonly string[]
}

const remedies: Record<BuildkiteErrorCode, string> = {
  invalid_credentials:
    'Create an API access token with the scopes read_builds, read_pipelines and read_organizations, and set BUILDKITE_API_TOKEN to it.',
  invalid_permissions:
    "Give the token the scopes read_builds, read_pipelines and read_organizations, and make sure that this machine's address is allowed.",
  no_resources:
    'Grant the token access to the organization, make sure that its user is a member, and check BUILDKITE_ORGANIZATIONS.',
  unavailable:
    'Nothing to do: the request is retried. If it lasts, check buildkitestatus.com, BUILDKITE_API_URL and HTTPS_PROXY.',
}

const storeRemedies: Record<StoreError['store'], string> = {
  postgres: 'Check that Postgres answers and has free space; the work is retried.',
  redis:
    'Check that Redis answers at REDIS_URL and has free memory; webhooks are stored in Postgres, and the work is retried.',
}

/** Turns an error of the database driver into a StoreError. Leaves a bug of ours unchanged. */
export function classify(error: unknown, doing: string): unknown {
  if (error instanceof BuildkiteError || error instanceof StoreError) return error
  const failure = asStoreError(error, doing)
  return failure.kind === 'transient' || failure.code !== undefined ? failure : error
}

/** An error as a problem of `subject`. */
export function issueOf(subject: string, error: unknown): Issue {
  if (error instanceof BuildkiteError) {
    const { code, fact, remedy = remedies[code], missingScopes } = error
    return { subject, code, message: fact, remedy, ...(missingScopes.length > 0 && { missingScopes }) }
  }
  if (error instanceof StoreError) {
    return { subject, code: 'store', message: error.message, remedy: storeRemedies[error.store] }
  }
  const remedy = 'This is a bug in the service: please report it with the log around it.'
  return { subject, code: 'internal', message: messageOf(error), remedy }
}

/** A problem found without an error, with the remedy of its code. */
export function problem(subject: string, code: BuildkiteErrorCode, message: string): Issue {
  return { subject, code, message, remedy: remedies[code] }
}

/** Builds that Buildkite shows but Postgres rejects. */
export function unstorable(subject: string, message: string): Issue {
  const remedy = 'The other builds are mirrored. This is a bug in the service: please report it with the log around it.'
  return { subject, code: 'store', message, remedy }
}
