import { z } from 'zod'
import { BuildkiteError } from '../../runtime/errors.ts'
import { redactText } from '../redact.ts'

/** Buildkite does not list this deep (its 400): the same range must be requested in smaller windows. */
export class DeepListingError extends BuildkiteError {
  override name = 'DeepListingError'

  constructor() {
    super(
      'unavailable',
      'Buildkite does not list builds this deep (HTTP 400). Request a shorter range of created_at at a time.',
      { status: 400 },
    )
  }
}

/**
 * A response that failed because of its size or content, or because the API is down: a 5xx, a time-out, a truncated or non-JSON body.
 * A smaller page, or one without jobs, may succeed.
 */
export class FailedAnswerError extends BuildkiteError {
  override name = 'FailedAnswerError'

  constructor(message: string, options: { status?: number; cause?: unknown }) {
    super('unavailable', message, options)
  }
}

/** The context of a call that a refusal must mention: the scope that it needs, and its organization. */
export interface RequestedResource {
  readonly scope?: LimitBucket | undefined
  readonly organization?: string | undefined
}

export type LimitBucket =
  | 'read_organizations'
  | 'read_pipelines'
  | 'read_builds'
  | 'read_notification_services'
  | 'write_notification_services'

export interface Refusal {
  readonly status: number
  /** Buildkite's own `message`, when the body had one. */
  readonly message: string | undefined
  /** The token's scopes, if this response or a later check showed them. */
  readonly scopes: readonly string[] | undefined
}

const fault = z.looseObject({ field: z.string(), code: z.string().optional().catch(undefined) })
const envelope = z.looseObject({ message: z.string(), errors: z.array(fault).optional().catch(undefined) })

/** The `message` of an error body with the invalid fields, or undefined when it is not Buildkite's JSON. */
export function messageOfBody(body: unknown): string | undefined {
  const parsed = envelope.safeParse(body)
  if (!parsed.success) return undefined
  const { message, errors = [] } = parsed.data
  if (errors.length === 0) return message
  return `${message}: ${errors.map(({ field, code }) => (code ? `${field} (${code})` : field)).join(', ')}`
}

/** The missing scopes in a 403's message; empty when the message is about something else. */
export function scopesMissingBy(message: string | undefined): string[] {
  if (!message || !/scope/i.test(message)) return []
  return message.match(/\b(?:read|write|delete)_[a-z_]+\b|\bgraphql\b/g) ?? []
}

/** Converts a refusal (any 3xx or 4xx except 429) into an error with a remedy. */
export function refusalError(refusal: Refusal, asked: RequestedResource): BuildkiteError {
  const { status, message } = refusal
  if (status === 401) return new BuildkiteError('invalid_credentials', invalidToken, { status, remedy: newToken })
  if (status === 403) return forbidden(refusal, asked)
  if (status === 404) return notFound(asked)
  if (status === 400 && message && /\bdeep\b/i.test(message)) return new DeepListingError()
  if (status < 400) {
    const hint = 'Set BUILDKITE_API_URL to the address that it points to, if you trust it.'
    return new BuildkiteError('unavailable', `Buildkite's API returned a redirect (HTTP ${status}). ${hint}`, {
      status,
    })
  }
  const said = message ? ` Its message: "${plain(message)}".` : ''
  return new BuildkiteError('unavailable', `Buildkite refused the request (HTTP ${status}).${said}`, { status })
}

/** A foreign message as one line of a log, without anything that looks like one of Buildkite's tokens. */
function plain(message: string): string {
  return redactText(message)
    .replace(/\bbk[a-z]{1,4}_[\w-]+/g, '…')
    .slice(0, 200)
    .toWellFormed()
    .replace(/\p{Cc}+/gu, ' ')
}

const invalidToken = 'Buildkite does not accept the API token (HTTP 401): it is mistyped, revoked or expired.'

const newToken =
  'Create a new token under Personal Settings > API Access Tokens with the scopes read_builds, read_pipelines and read_organizations, and set ' +
  'BUILDKITE_API_TOKEN to it.'

const mayNotNotify =
  "Buildkite refuses the API token for the organization's notification services (HTTP 403). Its user must be an administrator " +
  'of the organization, or have the permission "Change Notification Services".'

const addressOrGrant =
  "Most likely the organization or the token allows only certain IP addresses: add this machine's address there, or set " +
  'HTTPS_PROXY so that calls leave from an allowed one. Otherwise the token is not granted to the organization, or its user may ' +
  "not see it: check both in Buildkite's settings."

function forbidden({ status, message, scopes }: Refusal, { scope, organization }: RequestedResource): BuildkiteError {
  const named = scopesMissingBy(message)
  const missing = named.length > 0 ? named : scope && scopes && !scopes.includes(scope) ? [scope] : []
  if (missing.length > 0) {
    const names = missing.length === 1 ? `the scope ${missing[0]}` : `the scopes ${missing.join(', ')}`
    const remedy = 'Add it to the token under Personal Settings > API Access Tokens; no restart is needed.'
    return new BuildkiteError('invalid_permissions', `The API token lacks ${names} (HTTP 403).`, {
      status,
      remedy,
      missingScopes: missing,
    })
  }
  if (scope?.endsWith('notification_services'))
    return new BuildkiteError('invalid_permissions', mayNotNotify, { status })
  const where = organization ? ` for the organization "${organization}"` : ''
  const known = scope && scopes ? `, although it has the scope ${scope}` : ''
  return new BuildkiteError('invalid_permissions', `Buildkite refuses the API token${where} (HTTP 403)${known}.`, {
    status,
    remedy: addressOrGrant,
  })
}

function notFound({ organization }: RequestedResource): BuildkiteError {
  const message = organization
    ? `Buildkite has no organization "${organization}" that this API token can see (HTTP 404). Check ` +
      'BUILDKITE_ORGANIZATIONS, and that the token is granted to the organization.'
    : 'Buildkite has nothing at this address (HTTP 404). Check BUILDKITE_API_URL: it ends in /v2.'
  return new BuildkiteError('no_resources', message, { status: 404 })
}
