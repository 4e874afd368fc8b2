import { z } from 'zod'
import type { AccessToken, ApiRead, BuildkiteClient } from '../../buildkite/client.ts'
import { BuildkiteError } from '../../runtime/errors.ts'
import type { MirrorFilter } from '../../runtime/scope.ts'
import { DAY, formatDuration } from '../../runtime/time.ts'
import type { Source } from '../context.ts'
import { type Issue, issueOf, problem } from '../issue.ts'

export const REQUIRED_SCOPES = ['read_builds', 'read_pipelines', 'read_organizations'] as const

const WARN_BEFORE_EXPIRY = 7 * DAY

/** A token, its permissions, and what it sees. */
export interface InspectedToken {
  /** Its name in messages: `token`, or `token 2` when there are several. */
  readonly label: string
  readonly token: AccessToken | undefined
  readonly client: BuildkiteClient
  readonly missingScopes: readonly string[]
  /** Organizations in scope that it sees, even if it may not read their builds. */
  readonly wanted: readonly OrganizationFacts[]
  /** The wanted organizations whose builds it may read. */
  readonly sources: readonly Source[]
  /** Every organization that it sees, in scope or not, unparsed. */
  readonly organizations: readonly ApiRead<unknown[]>[]
  readonly problems: readonly Issue[]
  /** False when Buildkite did not answer, which is no evidence about the token. */
  readonly answered: boolean
}

/** The identity of an organization. */
export type OrganizationFacts = z.infer<typeof organizationFacts>

const organizationFacts = z.object({ id: z.string(), slug: z.string() })

/**
 * Reads what a token is and sees. Costs one request for the token, and one for each page of its organizations.
 * @throws the signal's reason, and StoreError from a shared budget; Buildkite's errors are in the result's problems.
 */
export async function inspectToken(
  label: string,
  client: BuildkiteClient,
  filter: MirrorFilter,
  now: number,
  signal?: AbortSignal,
): Promise<InspectedToken> {
  const nothing = { label, client, token: undefined, missingScopes: [], wanted: [], sources: [], organizations: [] }
  let token: AccessToken | undefined
  try {
    token = (await client.accessToken(signal)).value
    const missingScopes = REQUIRED_SCOPES.filter((required) => !token?.scopes.includes(required))
    const problems = [...scopeProblems(label, missingScopes), ...expiryProblems(label, token, now)]
    if (missingScopes.includes('read_organizations')) {
      return { ...nothing, token, missingScopes, problems, answered: true }
    }
    const organizations: ApiRead<unknown[]>[] = []
    for await (const page of client.organizations(signal)) organizations.push(page)
    const seen = organizations.flatMap(({ value }) =>
      value.flatMap((raw) => organizationFacts.safeParse(raw).data ?? []),
    )
    const wanted = seen.filter(({ slug }) => filter.organization(slug))
    if (wanted.length === 0) problems.push(noOrganization(label, seen))
    const sources = missingScopes.includes('read_builds') ? [] : wanted.map(({ id, slug }) => ({ id, slug, client }))
    return { label, client, token, missingScopes, wanted, sources, organizations, problems, answered: true }
  } catch (error) {
    if (!(error instanceof BuildkiteError)) throw error
    return { ...nothing, token, problems: [issueOf(label, error)], answered: error.code !== 'unavailable' }
  }
}

function scopeProblems(label: string, missing: readonly string[]): Issue[] {
  if (missing.length === 0) return []
  const scopes = missing.length === 1 ? `scope ${missing[0]}` : `scopes ${missing.join(', ')}`
  return [{ ...problem(label, 'invalid_permissions', `The API token lacks the ${scopes}.`), missingScopes: missing }]
}

function expiryProblems(label: string, { expires_at }: AccessToken, now: number): Issue[] {
  if (!expires_at) return []
  const left = expires_at.getTime() - now
  if (left <= 0) {
    return [problem(label, 'invalid_credentials', `The API token expired at ${expires_at.toISOString()}.`)]
  }
  if (left > WARN_BEFORE_EXPIRY) return []
  return [
    {
      subject: label,
      code: 'expires_soon',
      message: `The API token expires in ${formatDuration(left)}, at ${expires_at.toISOString()}.`,
      remedy: 'Create a new token in time, add it to BUILDKITE_API_TOKEN, and remove the old one afterwards.',
    },
  ]
}

function noOrganization(label: string, seen: readonly { slug: string }[]): Issue {
  const message =
    seen.length === 0
      ? 'The API token sees no organization.'
      : `The API token sees ${seen.map(({ slug }) => slug).join(', ')}, but BUILDKITE_ORGANIZATIONS names none of these.`
  return problem(label, 'no_resources', message)
}
