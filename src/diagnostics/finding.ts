import type { FindingResult } from '../database/schema.ts'

/** The checks, by the name of the fault that each detects. The names are stable: scripts and alerts use them. */
export const checkNames = {
  token_missing: 'BUILDKITE_API_TOKEN is not set',
  token_invalid: 'Buildkite does not accept the token: mistyped, revoked or expired',
  token_expires_soon: 'the token expires within a week',
  token_sent_elsewhere: 'BUILDKITE_API_URL sends the token to another host than api.buildkite.com',
  scope_missing: 'the token lacks a scope that the mirror needs',
  access_refused: 'Buildkite refuses the token for another reason, such as an IP restriction',
  api_unreachable: "Buildkite's API does not answer",
  organization_not_visible: 'no token sees an organization to mirror, or one that BUILDKITE_ORGANIZATIONS names',
  pipelines_hidden: "the token's user cannot see pipelines that should be mirrored",
  pipelines_all_excluded: 'PIPELINES_INCLUDE and PIPELINES_EXCLUDE exclude every pipeline',
  clock_skew: "our clock and Buildkite's differ",
  webhook_secret_missing: 'WEBHOOK_SECRET is not set',
  webhook_check_skipped: "the token's user may not read webhook services, although the token has the scope",
  webhook_missing: 'no webhook service sends to us',
  webhook_disabled: 'the webhook service was disabled by a user, or marked as broken by Buildkite',
  webhook_events_missing: 'the webhook service does not send all events that the mirror uses',
  webhook_pipelines_hidden: 'the webhook service covers only some pipelines, teams or clusters',
  webhook_branch_filter: 'the webhook service has a branch filter',
  webhook_token_mode: 'the webhook service uses another token mode than WEBHOOK_AUTH: every webhook is refused',
  webhook_secret_mismatch:
    "the webhook service's token is not the first in WEBHOOK_SECRET; if it is none of them, every webhook is refused",
  webhook_silence: 'the API shows new builds of an organization, but no webhook arrived for them',
  postgres_plain_text: 'passwords and rows travel to Postgres on another machine in plain text',
  redis_plain_text: 'passwords and jobs travel to Redis on another machine in plain text',
  queue_unreachable: "the queue's store does not answer",
  redis_eviction: 'Redis may evict jobs when its memory is full',
  redis_persistence: 'Redis has no append-only file',
  postgres_unreachable: 'Postgres does not answer',
  postgres_version: 'Postgres is too old',
  postgres_read_only: 'Postgres is a standby, or sessions are read-only',
  postgres_jit: 'jit is on: compiling the plans of the views takes longer than running them',
  postgres_connections: 'Postgres allows fewer connections than one process of the service opens',
  disk_space: 'the disk under DATA_DIR is nearly full',
  migrations_pending: 'the schema is older than the program',
  delivery_lag: 'a received webhook has waited too long to be applied',
  deliveries_failed: 'webhooks could not be applied',
  watermark_lag: 'no cycle of an organization has completed recently',
  claim_lag: 'cycles run, but the completeness claim is old: the list of pipelines fails or is not read',
  work_failing: 'a unit of work has failed for a quarter of an hour, or three times in a row',
  deployment_rule_unmatched: 'a rule in settings.deployment_rules matches no pipeline',
  deployment_rules_overlap: 'rules for builds and rules for a step match the same pipeline',
  lease_lost: 'a process stopped renewing its lease within the last hour: frozen, disconnected or killed',
} as const

export type CheckName = keyof typeof checkNames

/** What each check is about, for people: a label that reads well whether or not there is a fault. */
export const checkLabels: Readonly<Record<CheckName, string>> = {
  token_missing: 'API token set',
  token_invalid: 'API token accepted',
  token_expires_soon: 'API token expiry',
  token_sent_elsewhere: "API token's host",
  scope_missing: "API token's scopes",
  access_refused: 'API access',
  api_unreachable: 'API reachable',
  organization_not_visible: 'organizations visible',
  pipelines_hidden: 'pipelines visible',
  pipelines_all_excluded: 'pipelines mirrored',
  clock_skew: 'clock',
  webhook_secret_missing: 'webhook secret set',
  webhook_check_skipped: 'webhook services',
  webhook_missing: 'webhook registered',
  webhook_disabled: 'webhook enabled',
  webhook_events_missing: 'webhook events',
  webhook_pipelines_hidden: 'webhook pipelines',
  webhook_branch_filter: 'webhook branches',
  webhook_token_mode: 'webhook authentication',
  webhook_secret_mismatch: 'webhook secret',
  webhook_silence: 'webhooks arriving',
  postgres_plain_text: 'Postgres encryption',
  redis_plain_text: 'Redis encryption',
  queue_unreachable: 'queue',
  redis_eviction: 'Redis eviction',
  redis_persistence: 'Redis persistence',
  postgres_unreachable: 'Postgres',
  postgres_version: 'Postgres version',
  postgres_read_only: 'Postgres writable',
  postgres_jit: 'Postgres jit',
  postgres_connections: 'Postgres connections',
  disk_space: 'disk space',
  migrations_pending: 'schema',
  delivery_lag: 'webhook delay',
  deliveries_failed: 'webhooks applied',
  watermark_lag: 'syncs',
  claim_lag: 'completeness claim',
  work_failing: 'failing work',
  deployment_rule_unmatched: 'deployment rules match',
  deployment_rules_overlap: 'deployment rules distinct',
  lease_lost: 'leases',
}

export function isCheckName(name: string): name is CheckName {
  return Object.hasOwn(checkNames, name)
}

/** The result of one check. */
export interface CheckResult {
  readonly name: CheckName
  /** The organization's slug or the token's label; empty where there is only one subject. */
  readonly subject: string
  readonly result: FindingResult
  /** The result in a sentence, without secrets. */
  readonly detail: string
  /** Buildkite's error class, if there is one, in the codes that users of DX's connector know. */
  readonly code?: string
  readonly remedy?: string
}

export const ok = (name: CheckName, subject: string, detail: string): CheckResult => {
  return { name, subject, result: 'ok', detail }
}

export const warning = (name: CheckName, subject: string, detail: string, remedy: string): CheckResult => {
  return { name, subject, result: 'warning', detail, remedy }
}

export const failure = (
  name: CheckName,
  subject: string,
  detail: string,
  remedy: string,
  code?: string,
): CheckResult => {
  return { name, subject, result: 'failed', detail, remedy, ...(code === undefined ? {} : { code }) }
}
