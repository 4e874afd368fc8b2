import { sql } from 'drizzle-orm'
import type { Transaction } from '../database/connection.ts'
import { pipeline_coverage, watermarks, windows } from '../database/schema.ts'
import type { ReconcileDeps, Source } from './deps.ts'

/** What a complete list of pipelines changed. */
export interface CoverageChange {
  /** Pipelines that are covered from this list on: they need a backfill of their own unless it was the first list. */
  readonly listed: number
  /** Pipelines whose claim ends with the list before this one. */
  readonly unlisted: number
}

/**
 * Takes in a complete list of pipelines, read from `at` on, Buildkite's clock; `listed` are those to be mirrored. A pipeline that the
 * list lacks keeps the claim it had when a list last held it. One that is new, or back after a break, is covered only by what is
 * read from now on. Undefined when a newer list was taken in meanwhile: then this one changes nothing.
 */
export async function takeInList(
  tx: Transaction,
  { scope, clock }: Pick<ReconcileDeps, 'scope' | 'clock'>,
  source: Source,
  listed: readonly string[],
  at: Date,
): Promise<CoverageChange | undefined> {
  const now = new Date(clock())
  await tx.insert(watermarks).values({ organization_id: source.id, updated_at: now }).onConflictDoNothing()
  const { rows } = await tx.execute<{ is_newer: boolean }>(sql`
    select coalesce(pipelines_read_at <= ${at}, true) as is_newer from ${watermarks} where organization_id = ${source.id} for update`)
  if (!rows[0]?.is_newer) return undefined
  const ids = sql`${sql.param(listed)}::uuid[]`
  const gone = await tx.execute<{ count: number }>(sql`
    with claim as materialized (
      select pipeline_id, complete_from, as_of from analytics.data_coverage where organization_id = ${source.id} and is_current
    ), gone as (
      update ${pipeline_coverage} as coverage set unlisted_at = ${at},
        covered_from = (select complete_from from claim where claim.pipeline_id = coverage.pipeline_id),
        covered_until = (select as_of from claim where claim.pipeline_id = coverage.pipeline_id)
      where organization_id = ${source.id} and unlisted_at is null and pipeline_id <> all (${ids})
      returning pipeline_id
    ), unread as (
      delete from ${windows} using gone where ${windows.pipeline_id} = gone.pipeline_id
    )
    select count(*)::int as count from gone`)
  const added = await tx.execute(sql`
    insert into ${pipeline_coverage} as known (pipeline_id, organization_id, listed_since)
    select id, ${source.id}::uuid, ${at}::timestamptz from unnest(${ids}) as id
    on conflict (pipeline_id) do update set
      organization_id = excluded.organization_id, listed_since = excluded.listed_since,
      unlisted_at = null, covered_from = null, covered_until = null
    where known.unlisted_at is not null or known.organization_id <> excluded.organization_id`)
  await tx.execute(sql`
    update ${watermarks} set pipelines_read_at = ${at}, pipelines_wanted = ${JSON.stringify(scope.patterns)}::jsonb,
      pipelines_listed_by = ${source.client.fingerprint}, updated_at = ${now}
    where organization_id = ${source.id}`)
  return { listed: added.rowCount ?? 0, unlisted: gone.rows[0]?.count ?? 0 }
}
