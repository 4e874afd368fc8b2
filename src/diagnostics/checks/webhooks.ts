import { mirroredEvents, type WebhookService } from '../../buildkite/services.ts'
import { WEBHOOK_PATH } from '../../buildkite/webhook-path.ts'
import type { Config } from '../../runtime/config.ts'
import { type CheckResult, failure, ok, warning } from '../finding.ts'
import { closestMatch, describeService, publicUrl } from '../match-webhook.ts'
import type { SeenPipeline } from './pipelines.ts'

const again = 'Run buildkite-mirror register --url https://your-host to fix it.'

export interface OrganizationWebhooks {
  readonly organization: string
  /** All webhooks of the organization. */
  readonly services: readonly WebhookService[]
  /** The pipelines that are mirrored. */
  readonly pipelines: readonly SeenPipeline[]
}

type WebhookConfig = Pick<Config, 'webhookSecrets' | 'webhookAuth'>

/** Checks that WEBHOOK_SECRET is set, if this process receives webhooks (pure). */
export function checkSecret({
  webhookSecrets,
  webhookAuth,
  roles,
}: WebhookConfig & Pick<Config, 'roles'>): CheckResult[] {
  if (webhookSecrets.length > 0)
    return [ok('webhook_secret_missing', '', `The service checks the ${webhookAuth} of webhooks.`)]
  if (!roles.has('web')) return []
  const detail =
    'WEBHOOK_SECRET is not set: the service answers webhooks with 503, and reads changes from the API only.'
  const remedy = 'Run buildkite-mirror register --url https://your-host, and set WEBHOOK_SECRET to what it prints.'
  return [warning('webhook_secret_missing', '', detail, remedy)]
}

/** Checks the webhook that sends to us (pure). */
export function checkServices(webhooks: OrganizationWebhooks, config: WebhookConfig): CheckResult[] {
  const { organization } = webhooks
  const [service] = closestMatch(webhooks.services, config.webhookSecrets, ['held', 'described', 'alike'])
  if (!service) {
    const detail = `No webhook service has a URL that ends in ${WEBHOOK_PATH}.`
    const remedy = 'Run buildkite-mirror register --url https://your-host to create one.'
    const expected = config.webhookSecrets.length > 0
    return [(expected ? failure : warning)('webhook_missing', organization, detail, remedy)]
  }
  return [
    ok('webhook_missing', organization, `Webhooks go to ${publicUrl(service.url)}.`),
    checkEnabled(organization, service),
    checkEvents(organization, service),
    checkScope(webhooks, service),
    checkBranches(organization, service),
    ...(config.webhookSecrets.length > 0 ? checkProof(organization, service, config) : []),
  ]
}

function checkEnabled(organization: string, { enabled }: WebhookService): CheckResult {
  if (enabled) return ok('webhook_disabled', organization, 'The webhook service is enabled.')
  const detail = 'The webhook service was disabled by a user, or marked as broken by Buildkite.'
  const remedy = `Make sure the service answers at its URL, then enable the webhook. ${again}`
  return failure('webhook_disabled', organization, detail, remedy)
}

function checkEvents(organization: string, { events }: WebhookService): CheckResult {
  const missing = mirroredEvents.filter((event) => !events.includes(event))
  if (missing.length === 0) {
    return ok(
      'webhook_events_missing',
      organization,
      `All ${mirroredEvents.length} events that the mirror uses are sent.`,
    )
  }
  const detail = `The webhook service does not send ${missing.join(', ')}: these changes come from the API only, later.`
  return warning('webhook_events_missing', organization, detail, again)
}

function checkScope(
  { organization, pipelines }: OrganizationWebhooks,
  { scope, scopeIds }: WebhookService,
): CheckResult {
  const name = 'webhook_pipelines_hidden'
  if (scope === 'all') return ok(name, organization, 'Webhooks come for all pipelines.')
  if (scope !== 'some_projects') {
    const of = scope === 'some_teams' ? 'teams' : scope === 'some_clusters' ? 'clusters' : scope
    return warning(name, organization, `Webhooks come only for some ${of}.`, again)
  }
  const hidden = pipelines.filter(({ id }) => !scopeIds.includes(id)).map(({ slug }) => slug)
  if (hidden.length === 0) return ok(name, organization, 'Webhooks come for all pipelines that are mirrored.')
  const some = hidden.length > 5 ? `${hidden.slice(0, 5).join(', ')} and ${hidden.length - 5} more` : hidden.join(', ')
  const remedy = 'Run buildkite-mirror register again, without --pipelines or with these too, or set PIPELINES_EXCLUDE.'
  return warning(name, organization, `No webhooks come for ${some}.`, remedy)
}

function checkBranches(organization: string, { branches }: WebhookService): CheckResult {
  if (branches === '') return ok('webhook_branch_filter', organization, 'Webhooks come for all branches.')
  const detail = `The webhook service has the branch filter "${branches}": changes on other branches come from the API only, later.`
  return warning('webhook_branch_filter', organization, detail, again)
}

function checkProof(organization: string, service: WebhookService, config: WebhookConfig): CheckResult[] {
  const { tokenMode } = service
  const [first = '', ...others] = config.webhookSecrets
  const differs = service.hasToken(config.webhookSecrets) === false
  const isOld = !differs && others.length > 0 && service.hasToken([first]) === false
  const mode =
    tokenMode === config.webhookAuth
      ? ok('webhook_token_mode', organization, `Webhooks are sent with a ${tokenMode}, as WEBHOOK_AUTH requires.`)
      : failure(
          'webhook_token_mode',
          organization,
          `The webhook service sends a ${tokenMode}, but WEBHOOK_AUTH requires a ${config.webhookAuth}: every webhook is refused.`,
          again,
        )
  const secret = differs
    ? failure(
        'webhook_secret_mismatch',
        organization,
        `The token of the webhook service (${describeService(service)}) is not in WEBHOOK_SECRET: every webhook is refused.`,
        'Run buildkite-mirror register to give the webhook service the token in WEBHOOK_SECRET. If it belongs to another tool, add --new.',
      )
    : isOld
      ? warning(
          'webhook_secret_mismatch',
          organization,
          'The webhook service still has a later value of WEBHOOK_SECRET as its token, not the first.',
          'Run buildkite-mirror register to give it the first value. Remove the later values only afterwards.',
        )
      : ok('webhook_secret_mismatch', organization, "WEBHOOK_SECRET holds the webhook service's token.")
  return [mode, secret]
}
