import type { WebhookService } from '../buildkite/services.ts'
import { WEBHOOK_PATH } from '../buildkite/webhook-path.ts'

/** The description that `register` gives its webhook, and recognizes it by. */
export const DESCRIPTION = 'buildkite-mirror'

/**
 * Why a webhook service may be ours: its token is in WEBHOOK_SECRET, or its description is ours. A URL that ends in our path makes it
 * only `alike`, because other tools use the same path. Undefined for any other service.
 */
export type WebhookMatch = 'held' | 'described' | 'alike'

export function webhookMatch(service: WebhookService, secrets: readonly string[]): WebhookMatch | undefined {
  if (secrets.length > 0 && service.hasToken(secrets)) return 'held'
  if (service.description.trim().toLowerCase() === DESCRIPTION) return 'described'
  return pathOf(service.url).endsWith(WEBHOOK_PATH) ? 'alike' : undefined
}

/** The services with the closest match, enabled ones first. */
export function closestMatch(
  services: readonly WebhookService[],
  secrets: readonly string[],
  matches: readonly WebhookMatch[],
): readonly WebhookService[] {
  const closest = matches.find((one) => services.some((service) => webhookMatch(service, secrets) === one))
  const found = services.filter((service) => closest !== undefined && webhookMatch(service, secrets) === closest)
  return found.sort((a, b) => Number(b.enabled) - Number(a.enabled))
}

/** Whether both URLs reach the same place; the receiver ignores a trailing slash. */
export function sameUrl(a: string, b: string): boolean {
  return a === b || (URL.canParse(a) && URL.canParse(b) && unslashed(a) === unslashed(b))
}

const unslashed = (url: string) => new URL(url).href.replace(/\/+$/, '')

/** Describes a service to people: description, URL, state. Contains no token or other secret. */
export function describeService({ description, url, enabled }: WebhookService): string {
  const name = description.trim() ? JSON.stringify(description.trim()) : 'without a description'
  return `${name}, ${publicUrl(url)}, ${enabled ? 'enabled' : 'disabled'}`
}

/** A webhook's URL without the parts that may be secret. */
export function publicUrl(url: string): string {
  if (!URL.canParse(url)) return 'an invalid URL'
  const { protocol, host, pathname } = new URL(url)
  return `${protocol}//${host}${pathname}`
}

function pathOf(url: string): string {
  return URL.canParse(url) ? new URL(url).pathname.replace(/\/+$/, '') : ''
}
