import { BuildkiteError } from '../../runtime/errors.ts'

/** Client errors (4xx) that are temporary, so that they are no refusal. */
const passing = new Set([408, 425, 429])

/**
 * Why Buildkite refuses to show a list to the token's user, in a sentence. `undefined` when the error is not about the list: the token
 * is not accepted at all, or Buildkite is unreachable.
 */
export function refusalOfList(error: unknown): string | undefined {
  if (!(error instanceof BuildkiteError) || error.code === 'invalid_credentials') return undefined
  const { status, message, missingScopes } = error
  if (status === undefined || status < 400 || status >= 500 || passing.has(status)) return undefined
  if (missingScopes.length > 0) return message
  return `Buildkite does not show this list to the API token's user (HTTP ${status}).`
}
