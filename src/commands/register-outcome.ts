import { mirroredEvents } from '../buildkite/services.ts'
import type { Discovery } from '../reconcile/access.ts'
import { describeService } from '../reconcile/doctor/our-webhook.ts'
import type { Problem } from '../reconcile/problem.ts'
import type { InspectedToken } from '../reconcile/token.ts'
import type { Io } from './command.ts'
import type { Plan, Wanted } from './register-plan.ts'

// What `register` was asked for, what became of it, and how that is told.

/** What changing a webhook service takes, all of one token. */
export const SERVICE_SCOPES = ['read_notification_services', 'write_notification_services'] as const

/** What the command line and the settings ask for. */
export interface Asked extends Omit<Wanted, 'scopeIds'> {
  readonly pipelines: readonly string[] | undefined
  readonly organization: string | undefined
  readonly dryRun: boolean
  readonly json: boolean
}

/** What became of one organization. */
export type Outcome = { readonly organization: string } & (
  | { readonly plan: Plan; readonly done: boolean }
  /** Not for this token to do, or Buildkite said no. */
  | { readonly refused: string; readonly byHand: boolean }
)

/** All that was done so far. */
export interface Registration {
  readonly outcomes: Outcome[]
  /** Made by us, and about to be in a service, or in one already. */
  newSecret: string | undefined
}

export const newSecretText = (secret: string) =>
  `Put this into the service's environment; it is shown this once:\n\n  WEBHOOK_SECRET=${secret}\n\n`

/** Says what was done, the new secret in JSON, and what is left to do by hand. Returns the exit code. */
export function conclude({ outcomes, newSecret }: Registration, asked: Asked, discovery: Discovery, io: Io): number {
  const blind = outcomes.length === 0 ? discovery.tokens.map((token) => whyBlind(token, asked)) : []
  for (const { subject, code, message, remedy } of blind.flatMap(({ problems }) => problems)) {
    io.stderr.write(`${subject}: ${code}: ${message}\n${remedy}\n`)
  }
  const failed = outcomes.length === 0 || outcomes.some((one) => 'refused' in one || one.plan.kind === 'ambiguous')
  if (asked.json) {
    const shown = outcomes.map((one) => ('plan' in one ? describePlan(one) : one))
    io.stdout.write(`${JSON.stringify({ organizations: shown, webhook_secret: newSecret ?? null }, null, 2)}\n`)
    return failed ? 1 : 0
  }
  for (const outcome of outcomes) tell(outcome, io)
  if (newSecret !== undefined && outcomes.length > 0 && !outcomes.some(isMade)) {
    io.stdout.write(
      '\nBuildkite confirmed no webhook service with the WEBHOOK_SECRET above; use it only if one is there.\n',
    )
  }
  const refused = outcomes.some((one) => 'refused' in one && one.byHand)
  if (refused || blind.some(({ byHand }) => byHand)) io.stdout.write(stepsByHand(asked))
  return failed ? 1 : 0
}

/** Why a token shows no organization. What else it lacks matters to the service, not here. */
function whyBlind({ label, token, missingScopes, problems }: InspectedToken, asked: Asked) {
  const lacking = token ? scopesFor(asked).filter((scope) => !token.scopes.includes(scope)) : []
  const others = problems.filter(({ code }) => missingScopes.length === 0 || code !== 'invalid_permissions')
  if (lacking.length === 0) return { problems: others, byHand: false }
  const remedy = 'Give it what is missing and run this again, or make the webhook by hand.'
  const lack: Problem = { subject: label, code: 'invalid_permissions', message: lackText(lacking), remedy }
  return { problems: [lack, ...others], byHand: true }
}

/** Every scope that this command needs. */
const scopesFor = ({ pipelines }: Asked) => [
  'read_organizations',
  ...(pipelines ? ['read_pipelines'] : []),
  ...SERVICE_SCOPES,
]

const isMade = (outcome: Outcome) => 'plan' in outcome && outcome.done && outcome.plan.kind === 'create'

function describePlan(outcome: Extract<Outcome, { plan: Plan }>) {
  const { organization, plan, done } = outcome
  const service = 'service' in plan ? { service: describeService(plan.service) } : {}
  return { organization, outcome: plan.kind, done, ...service, changes: plan.changes, notes: plan.notes }
}

function tell(outcome: Outcome, io: Io): void {
  const { organization } = outcome
  if ('refused' in outcome) {
    io.stderr.write(`${organization}: ${outcome.refused}\n`)
    return
  }
  const { plan, done } = outcome
  const said = {
    create: done ? 'Made the webhook service.' : 'Would make the webhook service.',
    correct: done ? 'Corrected the webhook service.' : 'Would correct the webhook service.',
    keep: 'The webhook service is as it should be; nothing was changed.',
    ambiguous: 'Nothing was changed.',
  }[plan.kind]
  io.stdout.write(`${organization}: ${said}\n`)
  if ('service' in plan) io.stdout.write(`  It is ${describeService(plan.service)}.\n`)
  for (const line of [...plan.changes, ...plan.notes]) io.stdout.write(`  ${line}\n`)
}

function stepsByHand(asked: Asked): string {
  const { url, mode, secrets, pipelines } = asked
  const token =
    secrets.length > 0
      ? 'Token: the value of WEBHOOK_SECRET.'
      : 'Token: leave what Buildkite proposes, and copy it into WEBHOOK_SECRET of the service.'
  const proof =
    mode === 'signature'
      ? 'Choose "Send an HMAC signature in the X-Buildkite-Signature header".'
      : 'Choose "Send a token with each request".'
  const steps = [
    'In Buildkite, as an administrator: Settings > Notification Services > Webhook > Add.',
    `Webhook URL: ${url}`,
    `${token} ${proof}`,
    `Events: ${mirroredEvents.join(', ')}.`,
    `Pipelines: ${pipelines ? pipelines.join(', ') : 'all'}. Branch limiting: leave it empty.`,
    'Save. buildkite-mirror check then tells whether all is right.',
  ]
  const lines = steps.map((step, index) => `  ${index + 1}. ${step}`)
  return (
    `\nGive the token the scopes ${inWords(scopesFor(asked))},\n` +
    `of a user who may change notification services, and run this again; or do it by hand:\n\n${lines.join('\n')}\n`
  )
}

export const lackText = (scopes: readonly string[]) =>
  `The API token lacks the ${scopes.length === 1 ? 'scope' : 'scopes'} ${inWords(scopes)}.`

const inWords = (scopes: readonly string[]) =>
  scopes.length > 1 ? `${scopes.slice(0, -1).join(', ')} and ${scopes.at(-1)}` : scopes.join()
