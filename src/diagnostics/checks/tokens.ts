import type { Discovery } from '../../reconcile/access/access.ts'
import { type InspectedToken, REQUIRED_SCOPES } from '../../reconcile/access/token.ts'
import type { Issue } from '../../reconcile/issue.ts'
import { type CheckName, type CheckResult, failure, ok, warning } from '../finding.ts'

/** Checks the tokens and the organizations that they see (pure). `organizations` are BUILDKITE_ORGANIZATIONS. */
export function checkTokens(discovery: Discovery | undefined, organizations: readonly string[]): CheckResult[] {
  if (!discovery || discovery.tokens.length === 0) {
    const detail =
      'BUILDKITE_API_TOKEN is not set: the mirror has only what webhooks report, and does not recover lost ones.'
    const remedy = `Set it to a token with the scopes ${REQUIRED_SCOPES.join(', ')}.`
    return [warning('token_missing', '', detail, remedy)]
  }
  return [...discovery.tokens.flatMap(checkToken), ...checkNames(discovery, organizations)]
}

function checkToken({ label, token, problems, wanted }: InspectedToken): CheckResult[] {
  const faults = problems.map(faultOf)
  const seen = (name: CheckName) => faults.some((fault) => fault.name === name)
  const found: CheckResult[] = [...faults]
  const add = (name: CheckName, detail: string) => {
    if (!seen(name)) found.push(ok(name, label, detail))
  }
  if (token && !seen('token_invalid')) {
    add('token_invalid', 'Buildkite accepts the token.')
    const expiry = token.expires_at
      ? `The token expires at ${token.expires_at.toISOString()}.`
      : 'The token never expires.'
    add('token_expires_soon', expiry)
    add('scope_missing', `The token has the scopes ${token.scopes.join(', ')}.`)
  }
  if (wanted.length > 0) add('organization_not_visible', `The token sees ${wanted.map(({ slug }) => slug).join(', ')}.`)
  return found
}

const names: Record<Issue['code'], CheckName> = {
  invalid_credentials: 'token_invalid',
  invalid_permissions: 'access_refused',
  no_resources: 'organization_not_visible',
  unavailable: 'api_unreachable',
  expires_soon: 'token_expires_soon',
  store: 'api_unreachable',
  internal: 'api_unreachable',
}

function faultOf({ subject, code, message, remedy, missingScopes }: Issue): CheckResult {
  const name = missingScopes ? 'scope_missing' : names[code]
  if (code === 'expires_soon') return warning(name, subject, message, remedy)
  return failure(name, subject, message, remedy, code)
}

/** Checks that a token sees each name without a glob in BUILDKITE_ORGANIZATIONS, so that a typo is noticed (pure). */
export function checkNames({ tokens, complete }: Discovery, organizations: readonly string[]): CheckResult[] {
  const visible = new Set(tokens.flatMap(({ wanted }) => wanted.map(({ slug }) => slug.toLowerCase())))
  // A token that sees no organization has its own finding.
  if (!complete || visible.size === 0) return []
  const unseen = organizations.filter((slug) => !/[*?]/.test(slug) && !visible.has(slug.toLowerCase()))
  const remedy = 'Check the spelling, and that the token is granted to the organization and its user is a member.'
  return unseen.map((slug) => {
    const detail = `BUILDKITE_ORGANIZATIONS names ${slug}, which no token sees.`
    return failure('organization_not_visible', slug, detail, remedy, 'no_resources')
  })
}
