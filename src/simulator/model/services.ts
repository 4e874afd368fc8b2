import { createRandom, type Random } from '../random.ts'
import type { Organization, Person } from './shapes.ts'

// Notification services: the webhooks of an organization in Buildkite's REST API.

export interface Service {
  id: string
  graphql_id: string
  url: string
  provider: { id: string; name: string }
  description: string
  enabled: boolean
  scope: string
  scope_uuids: string[]
  branch_configuration: string
  build_states: Record<string, boolean>
  settings: { url: string; version: number; token: string; token_mode: string; events: string[]; tls_verify: boolean }
  created_at: string
  created_by: Person
}

/** The services of one organization. Calls the listeners after each change. */
export interface Services {
  readonly all: readonly Service[]
  onChange(listener: (service: Service) => void): () => void
  /** Calls the listeners after a service was changed directly. */
  changed(service: Service): void
  add(service: Service): void
  readonly random: Random
}

export function foundServices(seed: string, organization: Organization): Services {
  const all: Service[] = []
  const listeners = new Set<(service: Service) => void>()
  const changed = (service: Service) => {
    for (const listener of listeners) listener(service)
  }
  return {
    all,
    random: createRandom(`${seed} services of ${organization.slug}`),
    onChange(listener) {
      listeners.add(listener)
      return () => listeners.delete(listener)
    },
    changed,
    add(service) {
      all.push(service)
      changed(service)
    },
  }
}
