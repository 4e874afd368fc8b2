import { mirroredEvents, type TokenMode, type WebhookService, type WebhookWish } from '../buildkite/services.ts'
import {
  DESCRIPTION,
  describeService,
  kinship,
  nearestKin,
  publicUrl,
  RECEIVER_PATH,
  sameUrl,
} from '../reconcile/doctor/our-webhook.ts'

/** What the webhook of an organization is to be like. */
export interface Wanted {
  readonly url: string
  readonly mode: TokenMode
  /** WEBHOOK_SECRET: any of them will do; none leaves the token of a service as it is. */
  readonly secrets: readonly string[]
  /** The pipelines to be limited to; undefined for all. */
  readonly scopeIds: readonly string[] | undefined
  /** Whether to make one although another, that has another URL, may be ours. */
  readonly another: boolean
  /** Whether to take over one of which only the end of the URL is like ours. */
  readonly replace: boolean
}

/** What is to be done, and what to tell of it: `changes` are done to the service, `notes` are for the user. */
export type Plan = { readonly changes: readonly string[]; readonly notes: readonly string[] } & (
  | { readonly kind: 'create'; readonly wish: WebhookWish & { url: string } }
  | { readonly kind: 'correct'; readonly service: WebhookService; readonly wish: WebhookWish; readonly enable: boolean }
  | { readonly kind: 'keep'; readonly service: WebhookService }
  | { readonly kind: 'ambiguous' }
)

/**
 * Decides how an organization's webhooks become what is wanted (pure). Taken for ours is what has the URL, else what has our token, else
 * what is described as ours; what only ends like it may be another tool's, and is taken over when that is asked for.
 */
export function planRegistration(services: readonly WebhookService[], wanted: Wanted): Plan {
  const same = services.filter(({ url }) => sameUrl(url, wanted.url))
  const there = nearestKin(same, wanted.secrets, ['held', 'described'])[0] ?? same[0]
  if (there) return correct(there, wanted)
  if (wanted.another) return create(wanted)
  const [ours, ...more] = nearestKin(services, wanted.secrets, ['held', 'described'])
  if (ours) return more.length === 0 ? correct(ours, wanted) : ambiguous([ours, ...more], several)
  const [alike, ...others] = nearestKin(services, wanted.secrets, ['alike'])
  if (!alike) return create(wanted)
  if (others.length > 0) return ambiguous([alike, ...others], several)
  return wanted.replace ? correct(alike, wanted) : ambiguous([alike], doubtful)
}

const several =
  'Several webhook services may be ours. Give the URL of one of them as it is to correct that one, or --new to add one.'
const doubtful =
  `A webhook service ends in ${RECEIVER_PATH}, but nothing else says that it is ours: it may be another tool's. ` +
  'Give --replace to take it over, or --new to add one beside it.'

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
    `events: ${mirroredEvents.length}, all that are sent of builds, jobs and agents`,
    `pipelines: ${scopeText(scopeIds)}; branches: all`,
    `proof: ${mode}`,
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
  const wish: WebhookWish = Object.assign({}, ...wishes.map((one) => one.wish))
  return { kind: 'correct', service, wish, enable: !service.enabled, changes, notes }
}

interface Fix {
  readonly wish: WebhookWish
  readonly change: string
}

type Fixer = (service: WebhookService, wanted: Wanted) => Fix | undefined

/** What was another tool's is told apart from then on. */
const fixDescription: Fixer = (service, { url, secrets }) =>
  sameUrl(service.url, url) || kinship(service, secrets) !== 'alike'
    ? undefined
    : {
        wish: { description: DESCRIPTION },
        change: `description: ${JSON.stringify(service.description)} became "${DESCRIPTION}"`,
      }

const fixUrl: Fixer = (service, { url }) =>
  service.url === url ? undefined : { wish: { url }, change: `URL: ${publicUrl(service.url)} became ${url}` }

/** Events beyond ours are left: somebody may have asked for them, and the mirror keeps them as ignored. */
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
  tokenMode === mode ? undefined : { wish: { tokenMode: mode }, change: `proof: ${tokenMode} became ${mode}` }

/** A token that Buildkite does not tell is set again: otherwise it might be another one for ever. */
const fixToken: Fixer = (service, { secrets: [first, ...others] }) => {
  if (first === undefined || service.hasToken([first, ...others])) return undefined
  return { wish: { token: first }, change: 'token: set to WEBHOOK_SECRET' }
}

function scopeText(scopeIds: readonly string[] | undefined): string {
  if (!scopeIds) return 'all'
  return scopeIds.length === 1 ? '1 that was named' : `the ${scopeIds.length} that were named`
}
