import { mirroredEvents, type TokenMode, type WebhookConfig, type WebhookService } from '../../buildkite/services.ts'
import { WEBHOOK_PATH } from '../../buildkite/webhook-path.ts'
import {
  closestMatch,
  DESCRIPTION,
  describeService,
  publicUrl,
  sameUrl,
  webhookMatch,
} from '../../diagnostics/match-webhook.ts'

/** The wanted webhook of an organization. */
export interface Wanted {
  readonly url: string
  readonly mode: TokenMode
  /** WEBHOOK_SECRET: the service's token becomes the first; the others identify it. Without any, its token is not changed. */
  readonly secrets: readonly string[]
  /** The pipelines that send webhooks; undefined for all. */
  readonly scopeIds: readonly string[] | undefined
  /** Whether to create another one even if one with a different URL may be ours. */
  readonly another: boolean
  /** Whether to take over one that resembles ours only by the end of its URL. */
  readonly replace: boolean
}

/** What to do, and how to report it: `changes` apply to the service, `notes` are for the user. */
export type Plan = { readonly changes: readonly string[]; readonly notes: readonly string[] } & (
  | { readonly kind: 'create'; readonly wish: WebhookConfig & { url: string } }
  | {
      readonly kind: 'correct'
      readonly service: WebhookService
      readonly wish: WebhookConfig
      readonly enable: boolean
    }
  | { readonly kind: 'keep'; readonly service: WebhookService }
  | { readonly kind: 'ambiguous' }
)

/**
 * Plans how to reach the wanted webhook of an organization (pure). A service is ours if it has the URL, else our token, else our
 * description. A service that only ends in the same path may be another tool's, and is taken over only on request.
 */
export function planRegistration(services: readonly WebhookService[], wanted: Wanted): Plan {
  const same = services.filter(({ url }) => sameUrl(url, wanted.url))
  const there = closestMatch(same, wanted.secrets, ['held', 'described'])[0] ?? same[0]
  if (there) return correct(there, wanted)
  if (wanted.another) return create(wanted)
  const [ours, ...more] = closestMatch(services, wanted.secrets, ['held', 'described'])
  if (ours) return more.length === 0 ? correct(ours, wanted) : ambiguous([ours, ...more], several)
  const [alike, ...others] = closestMatch(services, wanted.secrets, ['alike'])
  if (!alike) return create(wanted)
  if (others.length > 0) return ambiguous([alike, ...others], several)
  return wanted.replace ? correct(alike, wanted) : ambiguous([alike], doubtful)
}

const several =
  'Several webhook services may be ours. Give the exact URL of one of them to correct it, or --new to add another one.'
const doubtful =
  `A webhook service ends in ${WEBHOOK_PATH}, but nothing else shows that it is ours: it may be another tool's. ` +
  'Give --replace to take it over, or --new to add another one.'

function ambiguous(services: readonly WebhookService[], note: string): Plan {
  return {
    kind: 'ambiguous',
    changes: [],
    notes: [...services.map((one) => `There is ${describeService(one)}.`), note],
  }
}

function create({ url, mode, scopeIds }: Wanted): Plan {
  const wish = {
    description: DESCRIPTION,
    url,
    tokenMode: mode,
    events: mirroredEvents,
    scope: scopeIds ? 'some_projects' : 'all',
    ...(scopeIds ? { scopeIds } : {}),
    branches: '',
  } as const
  const changes = [
    `URL: ${url}`,
    `events: ${mirroredEvents.length}, all events of builds, jobs and agents`,
    `pipelines: ${scopeText(scopeIds)}; branches: all`,
    `authentication: ${mode}`,
  ]
  return { kind: 'create', wish, changes, notes: [] }
}

function correct(service: WebhookService, wanted: Wanted): Plan {
  const wishes = [fixDescription, fixUrl, fixEvents, fixScope, fixBranches, fixMode, fixToken].flatMap(
    (fix) => fix(service, wanted) ?? [],
  )
  const changes = wishes.map(({ change }) => change)
  if (!service.enabled) changes.push('enabled: it was disabled')
  const notes =
    wanted.secrets.length > 0
      ? []
      : [
          "It keeps its token, which is not shown here: copy it from the service's page in Buildkite into WEBHOOK_SECRET, " +
            'or set WEBHOOK_SECRET to a new one and run this again.',
        ]
  if (changes.length === 0) return { kind: 'keep', service, changes, notes }
  const wish: WebhookConfig = Object.assign({}, ...wishes.map((one) => one.wish))
  return { kind: 'correct', service, wish, enable: !service.enabled, changes, notes }
}

interface Fix {
  readonly wish: WebhookConfig
  readonly change: string
}

type Fixer = (service: WebhookService, wanted: Wanted) => Fix | undefined

/** Gives a service that was another tool's our description, so that it is recognised from then on. */
const fixDescription: Fixer = (service, { url, secrets }) =>
  sameUrl(service.url, url) || webhookMatch(service, secrets) !== 'alike'
    ? undefined
    : {
        wish: { description: DESCRIPTION },
        change: `description: ${JSON.stringify(service.description)} became "${DESCRIPTION}"`,
      }

const fixUrl: Fixer = (service, { url }) =>
  service.url === url ? undefined : { wish: { url }, change: `URL: ${publicUrl(service.url)} became ${url}` }

/** Keeps events that we do not use: somebody may want them, and the mirror stores them as ignored. */
const fixEvents: Fixer = ({ events }) => {
  const missing = mirroredEvents.filter((event) => !events.includes(event))
  if (missing.length === 0) return undefined
  return { wish: { events: [...events, ...missing] }, change: `events: added ${missing.join(', ')}` }
}

const fixScope: Fixer = (service, { scopeIds }) => {
  const same = scopeIds
    ? service.scope === 'some_projects' && [...service.scopeIds].sort().join() === [...scopeIds].sort().join()
    : service.scope === 'all'
  if (same) return undefined
  const was = service.scope === 'all' ? 'all' : `${service.scope} (${service.scopeIds.length})`
  return {
    wish: { scope: scopeIds ? 'some_projects' : 'all', scopeIds: scopeIds ?? [] },
    change: `pipelines: ${was} became ${scopeText(scopeIds)}`,
  }
}

const fixBranches: Fixer = ({ branches }) =>
  branches === '' ? undefined : { wish: { branches: '' }, change: `branch filter: "${branches}" was removed` }

const fixMode: Fixer = ({ tokenMode }, { mode }) =>
  tokenMode === mode ? undefined : { wish: { tokenMode: mode }, change: `authentication: ${tokenMode} became ${mode}` }

/** Sets a token that Buildkite does not show again, because it may differ from ours. */
const fixToken: Fixer = (service, { secrets }) => {
  const [first, ...others] = secrets
  if (first === undefined || service.hasToken([first])) return undefined
  const change = others.length > 0 ? 'token: set to the first value of WEBHOOK_SECRET' : 'token: set to WEBHOOK_SECRET'
  return { wish: { token: first }, change }
}

function scopeText(scopeIds: readonly string[] | undefined): string {
  if (!scopeIds) return 'all'
  return `${scopeIds.length} selected`
}
