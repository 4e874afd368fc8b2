import type { Priority } from '../buildkite/http/budget.ts'
import type { WebhookService } from '../buildkite/services.ts'
import type { Database } from '../database/connection.ts'
import { asStoreError } from '../database/connection.ts'
import type { Queues } from '../queue/queues.ts'
import type { Discovery } from '../reconcile/access/access.ts'
import type { OrganizationFacts } from '../reconcile/access/token.ts'
import { issueOf } from '../reconcile/issue.ts'
import type { Config } from '../runtime/config.ts'
import { BuildkiteError } from '../runtime/errors.ts'
import type { MirrorFilter } from '../runtime/scope.ts'
import { checkClock } from './checks/clock.ts'
import { checkConnections } from './checks/connections.ts'
import { checkDeploymentRules, readDeploymentRules } from './checks/deployment-rules.ts'
import { checkDisk, readDisk } from './checks/disk.ts'
import { checkMigrations, checkMirror, readMigrations, readMirror } from './checks/mirror.ts'
import { checkNamedPipelines, checkPipelines, type SeenPipeline } from './checks/pipelines.ts'
import { checkPostgresState, readPostgres } from './checks/postgres.ts'
import { checkQueueState, readQueue } from './checks/queue.ts'
import { checkTokens } from './checks/tokens.ts'
import { checkSecret, checkServices } from './checks/webhooks.ts'
import { type CheckName, type CheckResult, failure, ok, warning } from './finding.ts'

/** The settings that the checks use. */
export type CheckConfig = Pick<
  Config,
  | 'roles'
  | 'apiTokens'
  | 'apiUrl'
  | 'organizations'
  | 'pipelinesInclude'
  | 'webhookSecrets'
  | 'webhookAuth'
  | 'webhookToleranceMs'
  | 'databaseUrl'
  | 'dataDir'
  | 'redisUrl'
  | 'reconcileIntervalMs'
>

/** The results, and the names of the checks that could not run, whose results are unknown. */
export interface Examination {
  readonly findings: readonly CheckResult[]
  readonly unseen: readonly CheckName[]
}

export interface BuildkiteChecks {
  readonly config: CheckConfig
  readonly filter: MirrorFilter
  /** Undefined without a token. */
  readonly discovery: Discovery | undefined
  /**
   * The pipelines of an organization, wanted or not, from the cheapest source; undefined while they are unknown.
   * May throw BuildkiteError.
   */
  readonly pipelines: (organization: OrganizationFacts) => Promise<readonly SeenPipeline[] | undefined>
  readonly priority: Priority
  readonly signal?: AbortSignal | undefined
}

/**
 * Checks tokens, organizations, pipelines, clock and webhook services. Costs one request for each organization, plus those of
 * `discovery` and `pipelines`. @throws StoreError from a shared budget; the signal's reason when it aborts.
 */
export async function checkBuildkite(checks: BuildkiteChecks): Promise<Examination> {
  const { config, discovery } = checks
  const findings = [
    ...checkTokens(discovery, config.organizations),
    ...checkConnections(config),
    ...checkSecret(config),
  ]
  const unseen = new Set<CheckName>(discovery?.complete === false ? [...ofBuildkite, ...ofWebhooks] : [])
  const skew = discovery?.tokens.find(({ client }) => client.skew)?.client.skew
  findings.push(...checkClock(skew, config.webhookToleranceMs))
  const everywhere: SeenPipeline[] = []
  let complete = discovery?.complete === true
  const wanted = new Map(discovery?.tokens.flatMap((token) => token.wanted.map((one) => [one.id, one] as const)))
  for (const organization of wanted.values()) {
    const pipelines = await orRefusal(organization, () => checks.pipelines(organization))
    if ('refusal' in pipelines) {
      findings.push(pipelines.refusal)
      for (const name of ofWebhooks) unseen.add(name)
      complete = false
      continue
    }
    if (pipelines.value) findings.push(...checkPipelines(organization.slug, pipelines.value, checks.filter))
    else complete = false
    everywhere.push(...(pipelines.value ?? []))
    const webhooks = await checkWebhooks(checks, organization, pipelines.value ?? [])
    findings.push(...webhooks.findings)
    for (const name of webhooks.unseen) unseen.add(name)
  }
  if (wanted.size > 0 && complete) findings.push(...checkNamedPipelines(config.pipelinesInclude, everywhere))
  return { findings, unseen: [...unseen] }
}

/**
 * The checks that need only the stores and no request to Buildkite. postgres_jit is not among them: after the setting changes, old and
 * new connections disagree, and each run gets any of them.
 */
export const ofStores: readonly CheckName[] = [
  'queue_unreachable',
  'redis_eviction',
  'redis_persistence',
  'postgres_unreachable',
  'postgres_version',
  'postgres_read_only',
  'postgres_connections',
  'disk_space',
  'migrations_pending',
  'delivery_lag',
  'deliveries_failed',
  'watermark_lag',
  'claim_lag',
  'work_failing',
  'deployment_rule_unmatched',
  'deployment_rules_overlap',
  'lease_lost',
  'webhook_silence',
]

/** The checks that need Buildkite. */
const ofBuildkite: readonly CheckName[] = [
  'token_invalid',
  'token_expires_soon',
  'scope_missing',
  'organization_not_visible',
  'pipelines_hidden',
  'pipelines_all_excluded',
  'clock_skew',
  'webhook_check_skipped',
]

const ofWebhooks: readonly CheckName[] = [
  'webhook_missing',
  'webhook_disabled',
  'webhook_events_missing',
  'webhook_pipelines_hidden',
  'webhook_branch_filter',
  'webhook_token_mode',
  'webhook_secret_mismatch',
]

async function checkWebhooks(
  { config, filter, discovery, priority, signal }: BuildkiteChecks,
  { id, slug }: OrganizationFacts,
  pipelines: readonly SeenPipeline[],
): Promise<Examination> {
  const may = discovery?.tokens.find(
    ({ token, wanted }) =>
      token?.scopes.includes('read_notification_services') && wanted.some((organization) => organization.id === id),
  )
  if (!may) {
    const detail = 'Webhook services were not checked: no token has the optional scope read_notification_services.'
    return { findings: [ok('webhook_check_skipped', slug, detail)], unseen: [] }
  }
  let services: WebhookService[]
  try {
    services = await may.client.services.webhooks(slug, priority, signal)
  } catch (error) {
    if (!(error instanceof BuildkiteError)) throw error
    if (error.code === 'unavailable') {
      return {
        findings: [failure('api_unreachable', slug, error.message, issueOf(slug, error).remedy, error.code)],
        unseen: ofWebhooks,
      }
    }
    const remedy =
      'Give the user the permission "Change Notification Services", or remove the scope read_notification_services from the token.'
    return { findings: [warning('webhook_check_skipped', slug, error.message, remedy)], unseen: [] }
  }
  const webhooks = {
    organization: slug,
    services,
    pipelines: pipelines.filter((one) => !one.archived && filter.pipeline(one.slug)),
  }
  return { findings: checkServices(webhooks, config), unseen: [] }
}

async function orRefusal<T>(
  { slug }: OrganizationFacts,
  work: () => Promise<T>,
): Promise<{ value: T } | { refusal: CheckResult }> {
  try {
    return { value: await work() }
  } catch (error) {
    if (!(error instanceof BuildkiteError)) throw error
    const { remedy } = issueOf(slug, error)
    const unavailable = error.code === 'unavailable'
    return {
      refusal: failure(unavailable ? 'api_unreachable' : 'access_refused', slug, error.message, remedy, error.code),
    }
  }
}

/** Checks Postgres, its disk, the schema and the mirror. Never rejects: a read that fails becomes a finding. */
export async function checkPostgres(
  database: Pick<Database, 'db'>,
  config: CheckConfig,
  filter: MirrorFilter,
  now: number,
): Promise<CheckResult[]> {
  const { db } = database
  try {
    const postgres = await readPostgres(db)
    const disk = config.databaseUrl === undefined ? await readDisk(config.dataDir) : undefined
    const { missing, used } = await readMigrations(db)
    const findings = [
      ...checkPostgresState(postgres, config.redisUrl === undefined),
      ...checkDisk(postgres.databaseBytes, disk),
      checkMigrations(missing, used),
    ]
    if (missing > 0) return findings
    const expected = {
      webhooks: config.webhookSecrets.length > 0,
      cyclesEveryMs: config.apiTokens.length > 0 ? config.reconcileIntervalMs : undefined,
    }
    return [
      ...findings,
      ...checkMirror(await readMirror(db, filter, now), now, expected),
      ...checkDeploymentRules(await readDeploymentRules(db)),
    ]
  } catch (error) {
    const remedy = 'Check DATABASE_URL, that Postgres runs, and that it accepts connections from here.'
    const { fact, remedy: known = remedy } = asStoreError(error, 'check Postgres')
    return [failure('postgres_unreachable', '', fact, known)]
  }
}

/** Checks the queue's store. Never rejects. */
export async function checkQueue(queues: Queues): Promise<CheckResult[]> {
  return checkQueueState(await readQueue(queues))
}
