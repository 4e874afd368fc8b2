import { randomBytes } from 'node:crypto'
import { memoryBudget } from '../../buildkite/http/budget.ts'
import { WEBHOOK_PATH } from '../../buildkite/webhook-path.ts'
import { listedPipelines } from '../../diagnostics/checks/pipelines.ts'
import { type Discovery, openAccess } from '../../reconcile/access/access.ts'
import type { InspectedToken, OrganizationFacts } from '../../reconcile/access/token.ts'
import { type Config, readConfig } from '../../runtime/config.ts'
import { BuildkiteError, ConfigError } from '../../runtime/errors.ts'
import { createLog } from '../../runtime/log.ts'
import { mirrorFilter } from '../../runtime/scope.ts'
import type { Command, Io, Values } from '../shell/command.ts'
import { tellUnseen } from '../unseen.ts'
import {
  conclude,
  lackText,
  newSecretText,
  type Registration,
  type RegistrationRequest,
  type RegistrationResult,
  SERVICE_SCOPES,
} from './outcome.ts'
import { planRegistration, type Wanted } from './plan.ts'

export const register: Command = {
  name: 'register',
  summary: 'create or correct the webhook in Buildkite that sends to the service',
  about:
    'Creates the webhook service with the REST API, or finds it by its URL, token or description, and corrects differences: events,\n' +
    'scope, branch filter, mode, token, enabled. The token is WEBHOOK_SECRET, or a new one that is printed once. A second run changes nothing.\n' +
    'Needs the scopes read_organizations, read_notification_services and write_notification_services, and read_pipelines for --pipelines.\n' +
    'Without them it prints the steps to do by hand.',
  options: {
    url: {
      value: '<url>',
      about: `where Buildkite sends webhooks: https://your-host, with or without ${WEBHOOK_PATH}`,
    },
    pipelines: { value: '<slugs>', about: 'only these pipelines, slugs separated by commas (default: all)' },
    organization: { value: '<slug>', about: 'only this organization (default: all that are mirrored)' },
    new: { about: 'add another webhook service, for a second mirror' },
    replace: {
      about: `take over the service that ends in ${WEBHOOK_PATH}, even if nothing else shows that it is ours`,
    },
    'dry-run': { about: 'print what would be done, and change nothing' },
    json: { about: 'print JSON' },
  },
  async run(values, io) {
    const config = readConfig(io.env)
    const asked = readAsked(values, config)
    if (config.apiTokens.length === 0) {
      throw new ConfigError('BUILDKITE_API_TOKEN is not set. Set it to a token that may change notification services.')
    }
    const filter = mirrorFilter(config)
    const log = createLog('silent')
    const access = openAccess(config, { budget: memoryBudget(config.apiBudgetShare), filter, log, clock: Date.now })
    try {
      const discovery = await access.current()
      const code = await registerAndTell(discovery, asked, io)
      return tellUnseen(discovery, config, values, io) && code === 0 ? 1 : code
    } finally {
      await access.close()
    }
  },
}

function readAsked(values: Values, config: Config): RegistrationRequest {
  const list = typeof values.pipelines === 'string' ? values.pipelines.split(',').map((one) => one.trim()) : undefined
  const pipelines = list?.filter(Boolean)
  if (pipelines?.length === 0)
    throw new ConfigError('--pipelines names no pipeline. Write slugs, like --pipelines a,b.')
  if (values.new && values.replace) throw new ConfigError('--new and --replace exclude each other. Give one of them.')
  return {
    url: readUrl(values.url),
    mode: config.webhookAuth,
    secrets: config.webhookSecrets,
    another: values.new === true,
    replace: values.replace === true,
    pipelines,
    organization: typeof values.organization === 'string' ? values.organization : undefined,
    dryRun: values['dry-run'] === true,
    json: values.json === true,
  }
}

/** The URL that Buildkite sends to, with our path added. @throws ConfigError */
function readUrl(given: string | boolean | undefined): string {
  const example = 'Write it like --url https://mirror.example.com.'
  if (typeof given !== 'string') throw new ConfigError(`--url is missing. ${example}`)
  if (!URL.canParse(given)) throw new ConfigError(`--url is not a URL. ${example}`)
  const url = new URL(given)
  const loopback = ['localhost', '127.0.0.1', '[::1]'].includes(url.hostname)
  if (url.protocol !== 'https:' && !(url.protocol === 'http:' && loopback)) {
    throw new ConfigError(`--url must begin with https://, because webhooks cross the internet. ${example}`)
  }
  // Tests the text, because URL reports a lone ? or # as empty but keeps it.
  if (url.username || url.password || /[?#]/.test(given)) {
    throw new ConfigError(`--url has a user, a ? or a #. ${example}`)
  }
  const path = url.pathname.replace(/\/+$/, '')
  url.pathname = path.endsWith(WEBHOOK_PATH) ? path : path + WEBHOOK_PATH
  return url.href
}

/** Registers, and reports what was done even if an error ends it. Returns the exit code. */
async function registerAndTell(discovery: Discovery, asked: RegistrationRequest, io: Io): Promise<number> {
  const done: Registration = { outcomes: [], newSecret: undefined }
  // Prints the secret before the first service gets it, because an interrupted run could not print it later. JSON is printed at the end.
  const announce = (secret: string) => {
    if (!asked.json && done.newSecret === undefined) io.stdout.write(newSecretText(secret))
    done.newSecret = secret
  }
  let ended = false
  try {
    await registerAll(discovery, asked, done.outcomes, announce)
    ended = true
  } finally {
    if (!ended && done.newSecret !== undefined) conclude(done, asked, discovery, io)
  }
  return conclude(done, asked, discovery, io)
}

async function registerAll(
  discovery: Discovery,
  asked: RegistrationRequest,
  outcomes: RegistrationResult[],
  announce: (secret: string) => void,
): Promise<void> {
  const seen = new Map(discovery.tokens.flatMap((token) => token.wanted.map((one) => [one.id, one] as const)))
  const chosen = [...seen.values()].filter(
    ({ slug }) => asked.organization === undefined || slug === asked.organization,
  )
  if (chosen.length === 0 && seen.size > 0) {
    const slugs = [...seen.values()].map(({ slug }) => slug).join(', ')
    throw new ConfigError(`--organization is "${asked.organization}", which no token sees. They see: ${slugs}.`)
  }
  const scopeIds = await resolvePipelines(discovery, chosen, asked.pipelines)
  const [given] = asked.secrets
  const made = randomBytes(32).toString('hex')
  const takeSecret = () => {
    if (given === undefined) announce(made)
    return given ?? made
  }
  for (const organization of chosen) {
    const ids = scopeIds.get(organization.id)
    // An organization without any of the requested pipelines needs no webhook.
    if (ids?.length === 0) continue
    const wanted = { ...asked, scopeIds: ids }
    const token = tokenFor(discovery, organization, 'write_notification_services')
    const lacking = lackedBy(token, SERVICE_SCOPES)
    if (asked.pipelines && ids === undefined) lacking.push('read_pipelines')
    if (!token || lacking.length > 0) {
      outcomes.push({ organization: organization.slug, refused: lackText(lacking), byHand: true })
      continue
    }
    outcomes.push(await registerOne(token, organization, wanted, { takeSecret, dryRun: asked.dryRun }))
  }
}

/** A token that sees an organization and has `scope`, else any token that sees it, to report what it lacks. */
function tokenFor({ tokens }: Discovery, { id }: OrganizationFacts, scope: string): InspectedToken | undefined {
  const seeing = tokens.filter(({ wanted }) => wanted.some((one) => one.id === id))
  return seeing.find(({ token }) => token?.scopes.includes(scope)) ?? seeing[0]
}

const lackedBy = (token: InspectedToken | undefined, scopes: readonly string[]) =>
  scopes.filter((scope) => !token?.token?.scopes.includes(scope))

async function registerOne(
  token: InspectedToken,
  { slug }: OrganizationFacts,
  wanted: Wanted,
  { takeSecret, dryRun }: { takeSecret: () => string; dryRun: boolean },
): Promise<RegistrationResult> {
  const { services } = token.client
  try {
    const plan = planRegistration(await services.webhooks(slug, 'hot'), wanted)
    const done = !dryRun && (plan.kind === 'create' || plan.kind === 'correct')
    if (done && plan.kind === 'create') await services.create(slug, { ...plan.wish, token: takeSecret() })
    if (done && plan.kind === 'correct') {
      if (Object.keys(plan.wish).length > 0) await services.change(slug, plan.service.id, plan.wish)
      if (plan.enable) await services.enable(slug, plan.service.id)
    }
    return { organization: slug, plan, done }
  } catch (error) {
    if (!(error instanceof BuildkiteError)) throw error
    return { organization: slug, refused: error.message, byHand: error.code === 'invalid_permissions' }
  }
}

/**
 * The ids of the requested pipelines by organization. Empty if no pipelines were requested; without organizations whose pipelines no
 * token may read. @throws ConfigError for a pipeline that no token sees.
 */
async function resolvePipelines(
  discovery: Discovery,
  organizations: readonly OrganizationFacts[],
  slugs: readonly string[] | undefined,
): Promise<ReadonlyMap<string, readonly string[]>> {
  const found = new Map<string, readonly string[]>()
  if (!slugs) return found
  const known = new Set<string>()
  for (const organization of organizations) {
    const token = tokenFor(discovery, organization, 'read_pipelines')
    if (lackedBy(token, ['read_pipelines']).length > 0) continue
    const pipelines = (await listedPipelines(token?.client, organization.slug)) ?? []
    const chosen = pipelines.filter(({ slug }) => slugs.includes(slug))
    for (const { slug } of chosen) known.add(slug)
    found.set(
      organization.id,
      chosen.map(({ id }) => id),
    )
  }
  const unknown = slugs.filter((slug) => !known.has(slug))
  const readAll = found.size === organizations.length
  if (readAll && unknown.length > 0)
    throw new ConfigError(`--pipelines names ${unknown.join(', ')}, which no token sees.`)
  return found
}
