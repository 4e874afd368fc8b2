import { branchPattern } from '../api/query.ts'
import type { Service } from '../model/services.ts'
import type { Change, Organization } from '../model/shapes.ts'
import type { Truth } from '../model/state.ts'
import { Webhooks } from './webhooks.ts'

/** Sends webhooks to the registered services. */
export interface Dispatch {
  /** Resolves when every pending webhook has been answered or has failed. */
  settled(): Promise<void>
  stop(): Promise<void>
}

/**
 * Sends webhooks to each enabled service of each organization, including services that are registered, changed or disabled later. Sends
 * only the events, pipelines and branches of the service. A new or changed service gets a ping first.
 */
export function startDispatch(truth: Truth, now: () => number, seed: number | string): Dispatch {
  const senders = new Map<string, Webhooks>()
  const stopping: Promise<void>[] = []
  const unsubscribes = truth.organizations.map((organization) => {
    const services = truth.servicesOf(organization)
    for (const service of services.all) restart(organization, service)
    return services.onChange((service) => restart(organization, service))
  })

  function restart(organization: Organization, service: Service): void {
    const before = senders.get(service.id)
    if (before) stopping.push(before.stop())
    senders.delete(service.id)
    if (!service.enabled) return
    const { url, token, token_mode } = service.settings
    const mode = token_mode === 'signature' ? 'signature' : 'token'
    const webhooks = new Webhooks(truth, now, {
      url,
      secret: token,
      mode,
      seed: `${seed} ${service.id}`,
      organization,
      choose: (change) => (isFor(truth, organization, service, change) ? 'send' : 'drop'),
    })
    senders.set(service.id, webhooks)
    webhooks.ping()
  }

  return {
    async settled() {
      for (const webhooks of senders.values()) await webhooks.settled()
    },
    async stop() {
      for (const unsubscribe of unsubscribes) unsubscribe()
      await Promise.all([...stopping, ...[...senders.values()].map((webhooks) => webhooks.stop())])
    },
  }
}

function isFor(truth: Truth, organization: Organization, service: Service, change: Change): boolean {
  const { event, build, agent } = change
  const of = build?.pipeline ?? agent
  if (!service.settings.events.includes(event) || (of && truth.organizationOf(of) !== organization)) return false
  if (!build) return true
  if (service.scope === 'some_projects' && !service.scope_uuids.includes(build.pipeline.id)) return false
  const patterns = service.branch_configuration.split(/\s+/).filter(Boolean)
  return patterns.length === 0 || patterns.some((pattern) => matches(pattern, build.branch))
}

function matches(pattern: string, branch: string): boolean {
  return pattern.startsWith('!') ? !matches(pattern.slice(1), branch) : branchPattern(pattern).test(branch)
}
