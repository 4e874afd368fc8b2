import { z } from 'zod'
import { MINUTE } from '../runtime/time.ts'
import type { Priority } from './http/budget.ts'
import type { Transport } from './http/transport.ts'
import { cursorPages, notBuildkite } from './lists/lists.ts'
import { verifyToken } from './signature.ts'

export type TokenMode = 'signature' | 'token'

/** The events that the mirror uses: all that Buildkite sends about builds, jobs and agents. */
export const mirroredEvents = [
  'build.scheduled',
  'build.running',
  'build.failing',
  'build.finished',
  'build.skipped',
  'job.scheduled',
  'job.started',
  'job.finished',
  'job.activated',
  'job.promised_exit_status',
  'agent.connected',
  'agent.lost',
  'agent.disconnected',
  'agent.stopping',
  'agent.stopped',
  'agent.blocked',
] as const

/** A webhook among an organization's notification services. Its token can be compared, but not read. */
export interface WebhookService {
  readonly id: string
  readonly description: string
  readonly url: string
  /** False when a user disabled it or Buildkite marked it as broken. */
  readonly enabled: boolean
  /** `all`, `some_projects`, `some_teams` or `some_clusters`. */
  readonly scope: string
  readonly scopeIds: readonly string[]
  /** Branch filter; empty for all branches. */
  readonly branches: string
  readonly tokenMode: string
  readonly events: readonly string[]
  /** Whether its token is one of these; undefined when Buildkite did not return the token. */
  hasToken(secrets: readonly string[]): boolean | undefined
}

/** The settings of a webhook service. An omitted setting stays unchanged, or has Buildkite's default in a new service. */
export interface WebhookConfig {
  readonly description?: string
  readonly url?: string
  readonly token?: string
  readonly tokenMode?: TokenMode
  readonly events?: readonly string[]
  readonly scope?: 'all' | 'some_projects'
  readonly scopeIds?: readonly string[]
  readonly branches?: string
}

/**
 * The notification services of organizations, as one token may see and change them. Reading needs the scope
 * read_notification_services, writing needs write_notification_services. Both need a user who may change notification services.
 * All methods throw BuildkiteError.
 */
export interface Services {
  /** Every webhook of the organization, oldest first. */
  webhooks(organization: string, priority: Priority, signal?: AbortSignal): Promise<WebhookService[]>
  create(organization: string, wish: WebhookConfig & { url: string }): Promise<WebhookService>
  change(organization: string, id: string, wish: WebhookConfig): Promise<WebhookService>
  /** Enables a service, even if Buildkite has marked it as broken. */
  enable(organization: string, id: string): Promise<WebhookService>
}

const text = z.string().nullish().catch(undefined)
const texts = z.array(z.string()).nullish().catch(undefined)
const webhook = z.looseObject({
  id: z.string(),
  provider: z.looseObject({ id: z.literal('webhook') }),
  description: text,
  enabled: z.boolean(),
  scope: text,
  scope_uuids: texts,
  branch_configuration: text,
  settings: z.looseObject({ url: text, token: text, token_mode: text, events: texts }),
})

/** Reads and changes notification services through `transport`. */
export function openServices(transport: Transport): Services {
  const home = (organization: string) => `/organizations/${encodeURIComponent(organization)}/services`
  const write = async (
    organization: string,
    path: string,
    method: 'POST' | 'PATCH' | 'PUT',
    wish?: WebhookConfig,
    extra: Record<string, unknown> = {},
  ): Promise<WebhookService> => {
    const body = wish === undefined ? undefined : { ...extra, ...bodyOf(wish) }
    const { value } = await transport.ask({
      path: () => home(organization) + path,
      write: body === undefined ? { method } : { method, body },
      secret: wish?.token,
      priority: 'hot',
      organization,
      scope: 'write_notification_services',
    })
    const service = readWebhook(value)
    if (!service) throw notBuildkite('a webhook service')
    return service
  }
  return {
    async webhooks(organization, priority, signal) {
      const options = { priority, organization, scope: 'read_notification_services', slowMs: MINUTE, signal } as const
      const found: WebhookService[] = []
      for await (const { value } of cursorPages(transport, home(organization), options)) {
        found.push(...value.flatMap((item) => readWebhook(item) ?? []))
      }
      return found
    },
    create: (organization, wish) => write(organization, '', 'POST', wish, { provider: 'webhook' }),
    change: (organization, id, wish) => write(organization, `/${encodeURIComponent(id)}`, 'PATCH', wish),
    enable: (organization, id) => write(organization, `/${encodeURIComponent(id)}/enable`, 'PUT'),
  }
}

/** Parses a notification service; undefined if it is not a webhook. */
function readWebhook(value: unknown): WebhookService | undefined {
  const parsed = webhook.safeParse(value)
  if (!parsed.success) return undefined
  const { id, description, enabled, scope, scope_uuids, branch_configuration, settings } = parsed.data
  const { token } = settings
  return {
    id,
    description: description ?? '',
    url: settings.url ?? '',
    enabled,
    scope: scope ?? 'all',
    scopeIds: scope_uuids ?? [],
    branches: branch_configuration?.trim() ?? '',
    // Buildkite's default, and once the only mode.
    tokenMode: settings.token_mode ?? 'token',
    events: settings.events ?? [],
    hasToken: (secrets) => (token ? verifyToken(token, secrets) : undefined),
  }
}

/** The settings in Buildkite's format; undefined values are omitted from the JSON. */
function bodyOf({ description, url, token, tokenMode, events, scope, scopeIds, branches }: WebhookConfig) {
  const settings = { url, token, token_mode: tokenMode, events }
  const hasSettings = Object.values(settings).some((value) => value !== undefined)
  return {
    description,
    scope,
    scope_uuids: scopeIds,
    branch_configuration: branches,
    ...(hasSettings ? { settings } : {}),
  }
}
