import type postgres from 'postgres'
import { untilProgress } from './until.ts'

interface Sent {
  readonly status: number | undefined
  readonly request_id: string
  readonly body: string
}

/** Waits until no delivery is pending. */
export function allApplied(sql: postgres.Sql): Promise<void> {
  const pending = async () =>
    (await sql<{ n: number }[]>`select count(*)::int as n from sync.deliveries where status = 'pending'`)[0]?.n ?? -1
  return untilProgress(pending, 0, 'every delivery is applied', 60_000)
}

/** Waits until no delivery is pending. Returns how many webhooks were answered with 202, and the bodies of those that were not applied. */
export async function acceptedIn(sql: postgres.Sql, log: readonly Sent[]): Promise<{ count: number; lost: string[] }> {
  await allApplied(sql)
  const kept = await sql<{ request_id: string }[]>`select request_id from sync.deliveries where status = 'applied'`
  const ids = new Set(kept.map(({ request_id }) => request_id))
  // Of two webhooks with the same body and time, one is stored: the other looks like a replay of it.
  const applied = new Set(log.filter(({ request_id }) => ids.has(request_id)).map(({ body }) => body))
  const accepted = log.filter(({ status }) => status === 202)
  return { count: accepted.length, lost: accepted.map(({ body }) => body).filter((body) => !applied.has(body)) }
}
