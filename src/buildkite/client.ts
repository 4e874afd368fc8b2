import { z } from 'zod'
import { SECOND } from '../runtime/time.ts'
import { programVersion } from '../runtime/version.ts'
import { foundOrNot, hasBuildsBefore, readBuild } from './build.ts'
import type { Priority } from './http/budget.ts'
import type { LimitsSeen } from './http/limits.ts'
import type { Skew } from './http/skew.ts'
import { Transport, type TransportOptions } from './http/transport.ts'
import { type BuildsFilter, type BuildsPage, walkBuilds } from './lists/builds.ts'
import { ListMemory } from './lists/list-memory.ts'
import { type ApiRead, type ListOptions, type NumberedPage, notBuildkite, numberedPages } from './lists/lists.ts'
import { openServices, type Services } from './services.ts'
import { readTime } from './timestamp.ts'

export { DeepListingError, FailedAnswerError } from './http/refusal.ts'
export type { BuildsFilter, BuildsPage, UnlistableRange } from './lists/builds.ts'
export type { ApiRead } from './lists/lists.ts'

/**
 * Buildkite's REST API as one token sees it. Objects are returned unparsed.
 *
 * Every method waits for the budget, waits after each 429, and retries faults of network and server. All throw BuildkiteError when
 * Buildkite refuses or stays unavailable, and the signal's reason (an AbortError) when it aborts or the client is closed.
 */
export interface BuildkiteClient {
  accessToken(signal?: AbortSignal): Promise<ApiRead<AccessToken>>
  organizations(signal?: AbortSignal): AsyncGenerator<ApiRead<unknown[]>>
  /** All pipelines of an organization, including archived ones; `no_resources` when the token does not see the organization. */
  pipelines(organization: string, priority?: Priority, signal?: AbortSignal): AsyncGenerator<NumberedPage>
  /**
   * An organization's builds, newest first. They include their jobs unless the filter or a page says otherwise. Throws DeepListingError
   * when the filter's span must be halved.
   */
  builds(
    organization: string,
    filter: BuildsFilter,
    priority: Priority,
    signal?: AbortSignal,
  ): AsyncGenerator<BuildsPage>
  /**
   * One build with its jobs; undefined when it is gone or this token can no longer see it (404). `at` is the earliest time of the
   * responses it was assembled from.
   */
  build(
    organization: string,
    pipeline: string,
    number: number,
    priority: Priority,
    signal?: AbortSignal,
  ): Promise<ApiRead<unknown> | undefined>
  /** One pipeline; undefined when it is gone or this token can no longer see it (404). */
  pipeline(
    organization: string,
    slug: string,
    priority: Priority,
    signal?: AbortSignal,
  ): Promise<ApiRead<unknown> | undefined>
  /** Whether an organization has any build created before `moment`. One request. */
  hasBuildsBefore(organization: string, moment: Date, priority: Priority, signal?: AbortSignal): Promise<boolean>
  /** Any list within an organization with page numbers; `path` has the parts of the path below the organization's. */
  list(
    organization: string,
    path: readonly string[],
    options: { priority: Priority; query?: Readonly<Record<string, string>>; signal?: AbortSignal | undefined },
  ): AsyncGenerator<ApiRead<unknown[]>>
  /** The notification services, including webhooks. */
  readonly services: Services
  close(): Promise<void>
  /** A fingerprint of the token's user, the same for all tokens of a user. A fingerprint of the token until accessToken() is read. */
  readonly fingerprint: string
  /** How far Buildkite's clock is ahead of ours, by the `Date` of its last responses; undefined before the first. */
  readonly skew: Skew | undefined
  /** Buildkite's current time: at most a second late; the earlier value if uncertain. Undefined before the first answer. */
  now(): Date | undefined
  /** The rate limits in the last response. */
  readonly limits: LimitsSeen
}

export type ClientOptions = Omit<TransportOptions, 'userAgent'>

const text = z.string().optional().catch(undefined)

const accessToken = z.object({
  uuid: text,
  description: text,
  scopes: z.array(z.string()),
  expires_at: z.unknown().optional().transform(readTime),
  user: z.object({ name: text, email: text }).optional().catch(undefined),
})

/** The token's properties and scopes. */
export type AccessToken = z.infer<typeof accessToken>

/** Opens a client, which connects with the first request. Close it to end pending requests. */
export function createClient(options: ClientOptions): BuildkiteClient {
  const timeoutMs = options.timeoutMs ?? 30 * SECOND
  const transport = new Transport({ ...options, timeoutMs, userAgent: `buildkite-mirror/${programVersion()}` })
  const slowMs = timeoutMs / 3
  const memory = new ListMemory({ slowMs, clock: options.clock ?? Date.now })
  const organizationPath = (slug: string) => `/organizations/${encodeURIComponent(slug)}`
  const listing = (asked: Omit<ListOptions, 'slowMs'>): ListOptions => ({ ...asked, slowMs })

  return {
    async accessToken(signal) {
      const { value, at } = await transport.ask({ path: () => '/access-token', priority: 'hot', signal })
      const token = accessToken.safeParse(value).data
      if (!token) throw notBuildkite('an access token')
      if (token.user?.email) transport.belongsTo(token.user.email)
      return { value: token, at }
    },
    organizations: (signal) =>
      numberedPages(transport, '/organizations', listing({ priority: 'hot', scope: 'read_organizations', signal })),
    pipelines: (organization, priority = 'hot', signal) =>
      numberedPages(
        transport,
        `${organizationPath(organization)}/pipelines`,
        listing({ priority, organization, scope: 'read_pipelines', signal }),
      ),
    builds: (organization, filter, priority, signal) =>
      walkBuilds(transport, organization, filter, { priority, signal, memory, log: options.log }),
    build: (organization, pipeline, number, priority, signal) =>
      readBuild(transport, { organization, pipeline, number }, { priority, signal, memory }),
    pipeline: (organization, slug, priority, signal) => {
      const path = () => `${organizationPath(organization)}/pipelines/${encodeURIComponent(slug)}`
      return foundOrNot(transport.ask({ path, priority, organization, scope: 'read_pipelines', signal }))
    },
    hasBuildsBefore: (organization, moment, priority, signal) =>
      hasBuildsBefore(transport, organization, moment, { priority, signal }),
    list: (organization, path, { priority, query, signal }) =>
      numberedPages(
        transport,
        [organizationPath(organization), ...path.map(encodeURIComponent)].join('/'),
        listing({ priority, organization, signal }),
        query,
      ),
    services: openServices(transport),
    close: () => transport.close(),
    now: () => transport.now(),
    get fingerprint() {
      return transport.fingerprint
    },
    get skew() {
      return transport.skew
    },
    get limits() {
      return transport.limits
    },
  }
}
