import { applyObservations } from '../mirror/apply.ts'
import { combine } from '../mirror/observation.ts'
import { observeOrganizations } from '../mirror/observe.ts'
import type { Access, Discovery } from './access.ts'
import type { ReconcileDeps } from './deps.ts'

/**
 * Finds out what the tokens can read, and keeps the organizations in scope.
 * @throws StoreError, or the signal's reason. What Buildkite refuses is told in the discovery's problems.
 */
export async function discover(deps: ReconcileDeps, access: Access, signal?: AbortSignal): Promise<Discovery> {
  const discovery = await access.current(signal)
  const inScope = (raw: unknown) =>
    typeof raw === 'object' && raw !== null && 'slug' in raw && deps.scope.organization(String(raw.slug))
  const observed = discovery.tokens.flatMap(({ organizations }) =>
    organizations.map(({ value, at }) => observeOrganizations(value.filter(inScope), at)),
  )
  if (observed.length > 0) await applyObservations(deps.db, combine(observed), new Date(deps.clock()))
  return discovery
}
