import type { WebhookService } from '../../buildkite/services.ts'

/** Where our receiver listens, whatever the host and the path before it are called. */
export const RECEIVER_PATH = '/webhooks/buildkite'

/** How register describes what it makes, and knows it again. */
export const DESCRIPTION = 'buildkite-mirror'

/**
 * Why a webhook service may be ours: its token is in WEBHOOK_SECRET, or it is described as ours. One whose URL ends like ours is only
 * `alike`: other tools call their path so too. Undefined for any other.
 */
export type Kinship = 'held' | 'described' | 'alike'

export function kinship(service: WebhookService, secrets: readonly string[]): Kinship | undefined {
  if (secrets.length > 0 && service.hasToken(secrets)) return 'held'
  if (service.description.trim().toLowerCase() === DESCRIPTION) return 'described'
  return pathOf(service.url).endsWith(RECEIVER_PATH) ? 'alike' : undefined
}

/** The services of the nearest kinship that there is, those that are enabled first. */
export function nearestKin(
  services: readonly WebhookService[],
  secrets: readonly string[],
  kinships: readonly Kinship[],
): readonly WebhookService[] {
  const nearest = kinships.find((one) => services.some((service) => kinship(service, secrets) === one))
  const kin = services.filter((service) => nearest !== undefined && kinship(service, secrets) === nearest)
  return kin.sort((a, b) => Number(b.enabled) - Number(a.enabled))
}

/** Whether both lead to the same place: a slash at the end does not matter to the receiver. */
export function sameUrl(a: string, b: string): boolean {
  return a === b || (URL.canParse(a) && URL.canParse(b) && unslashed(a) === unslashed(b))
}

const unslashed = (url: string) => new URL(url).href.replace(/\/+$/, '')

/** What a person knows a service by: description, URL, state. Neither its token nor what else may be secret. */
export function describeService({ description, url, enabled }: WebhookService): string {
  const name = description.trim() ? JSON.stringify(description.trim()) : 'without a description'
  return `${name}, ${publicUrl(url)}, ${enabled ? 'enabled' : 'disabled'}`
}

/** A webhook's URL without what may be secret in it. */
export function publicUrl(url: string): string {
  if (!URL.canParse(url)) return 'an address that is no URL'
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

function pathOf(url: string): string {
  return URL.canParse(url) ? new URL(url).pathname.replace(/\/+$/, '') : ''
}
