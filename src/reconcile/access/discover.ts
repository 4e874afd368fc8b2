import { and, isNotNull, isNull } from 'drizzle-orm'
import { organizations } from '../../database/schema.ts'
import { markDeleted } from '../../mirror/apply.ts'
import { combine } from '../../mirror/observation.ts'
import { observeOrganizations } from '../../mirror/observe.ts'
import { keepObserved, type ReconcileDeps } from '../context.ts'
import type { Access, Discovery } from './access.ts'

/**
 * Determines what the tokens can read, and saves the organizations in scope.
 * @throws StoreError, or the signal's reason. Buildkite's refusals are in the discovery's problems.
 */
export async function discover(deps: ReconcileDeps, access: Access, signal?: AbortSignal): Promise<Discovery> {
  const discovery = await access.current(signal)
  const inScope = (raw: unknown) =>
    typeof raw === 'object' && raw !== null && 'slug' in raw && deps.filter.organization(String(raw.slug))
  const observed = discovery.tokens.flatMap(({ organizations }) =>
    organizations.map(({ value, at }) => observeOrganizations(value.filter(inScope), at)),
  )
  if (observed.length > 0) await keepObserved(deps, combine(observed))
  if (discovery.complete) await markUnseen(deps, discovery)
  return discovery
}

/** Marks organizations that a token once saw and none sees now. Their contents stay unchanged, because their state is unknown. */
async function markUnseen({ db }: ReconcileDeps, { tokens }: Discovery): Promise<void> {
  // The result of a token that was refused, or may not list organizations, is no evidence.
  if (tokens.some((token) => token.organizations.length === 0)) return
  const lists = tokens.flatMap((token) => token.organizations)
  const [first] = lists
  if (!first) return
  const seen = new Set(lists.flatMap(({ value }) => value.flatMap(idOf)))
  const held = await db
    .select({ id: organizations.id })
    .from(organizations)
    .where(and(isNull(organizations.deleted_at), isNotNull(organizations.verified_at)))
  const unseen = held.map(({ id }) => id).filter((id) => !seen.has(id))
  await markDeleted(db, 'organizations', unseen, 'no_access', first.at)
}

function idOf(raw: unknown): string[] {
  return typeof raw === 'object' && raw !== null && 'id' in raw ? [String(raw.id).toLowerCase()] : []
}
