import type postgres from 'postgres'
import { type Claim, falseClaims, rememberingCompare, type Unclaimed } from '../support/claims.ts'
import type { World } from './soundness-world.ts'

/** A row of analytics.data_coverage, as far as it matters here. */
interface Coverage {
  pipeline_id: string | null
  complete_from: Date | null
  complete_to: Date | null
  as_of: Date | null
  jobs_as_of: Date | null
  wanted_from: Date | null
  is_listed: boolean
  is_current: boolean
}

/** What was claimed at one moment, and what of it was false. */
export interface Checked {
  readonly claims: number
  readonly falsehoods: readonly string[]
}

/** Compares what the mirror claims with what Buildkite held at the stated times. */
export class ClaimChecker {
  readonly #world: World
  readonly #sql: postgres.Sql
  readonly #parts: boolean
  readonly #compare = rememberingCompare()

  /** @param parts whether webhooks may bring parts of what is newer. */
  constructor(world: World, sql: postgres.Sql, parts: boolean) {
    this.#world = world
    this.#parts = parts
    this.#sql = sql
  }

  /** Takes every row of analytics.data_coverage as a claim of builds and one of jobs. All is read in one snapshot. */
  async check(): Promise<Checked> {
    const checked = await this.#sql.begin('isolation level repeatable read', async (tx) => {
      const claims = (await coverageOf(tx)).flatMap(claimsOf)
      const unclaimed = { ...this.#unclaimed(), builds: await this.#exceptions(tx) }
      return {
        claims: claims.length,
        falsehoods: await falseClaims(tx, this.#world.truth, claims, unclaimed, this.#compare),
      }
    })
    return checked
  }

  /**
   * Where mirror and Buildkite differ now, in what the token shows of the history that is wanted. With `exceptions`, builds that the
   * mirror names as unconfirmed are left out.
   */
  async differences(
    isMirrored: (pipeline: { id: string; slug: string }) => boolean,
    exceptions: boolean,
  ): Promise<string[]> {
    const { truth } = this.#world
    const at = new Date(this.#world.now())
    return this.#sql.begin(async (tx) => {
      const [wanted] = await tx<{ from: Date }[]>`select max(backfill_from) as from from sync.watermarks`
      const claims = truth.pipelines.filter(isMirrored).flatMap(({ id }) =>
        (['builds', 'jobs'] as const).map((what) => ({
          what,
          pipeline_id: id,
          from: wanted?.from ?? new Date(0),
          to: new Date(at.getTime() + 1),
          at,
        })),
      )
      const unclaimed = { ...this.#unclaimed(), ...(exceptions && { builds: await this.#exceptions(tx) }) }
      return falseClaims(tx, truth, claims, unclaimed, this.#compare)
    })
  }

  /** The share of the wanted time that is claimed, from 0 to 1: the mean over the pipelines that are listed. */
  async claimedShare(): Promise<number> {
    const rows = (await coverageOf(this.#sql)).filter(({ is_listed, pipeline_id }) => is_listed && pipeline_id)
    const pipelines = new Set(rows.map(({ pipeline_id }) => pipeline_id))
    const shares = rows.filter(({ is_current }) => is_current).map(shareOf)
    return pipelines.size === 0 ? 1 : shares.reduce((sum, share) => sum + share, 0) / pipelines.size
  }

  /** What the audit finds, and no claim covers until then: deletions and changes without a webhook. */
  #unclaimed(): Unclaimed {
    const { edits, renames, deletions } = this.#world.silent
    const edited = edits ? ['message', 'meta_data'] : []
    const buildAddresses = ['url', 'web_url', 'rebuilt_from_url', 'triggered_from_build_pipeline_slug']
    const jobAddresses = ['build_url', 'web_url', 'log_url', 'raw_log_url', 'artifacts_url', 'unblock_url']
    const triggered = ['triggered_build_url', 'triggered_build_web_url']
    return {
      deletions,
      parts: this.#parts,
      columns: {
        builds: [...edited, ...(renames ? buildAddresses : [])],
        jobs: renames ? [...jobAddresses, ...triggered] : [],
      },
    }
  }

  /** The builds that sync.failures and sync.unlisted_builds name as unconfirmed, as analytics.data_coverage counts them. */
  async #exceptions(tx: postgres.TransactionSql): Promise<(id: string) => boolean> {
    const ranges = await tx<{ from: string; to: string }[]>`
      select to_char(created_from at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as from,
        to_char(created_to at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"') as to
      from sync.failures where kind = 'builds_list'`
    const named = await tx<{ id: string | null; pipeline: string | null; number: string | null }[]>`
      select build_id as id, coalesce(pipeline_id::text, pipeline_slug) as pipeline, build_number as number
      from sync.failures where kind = 'build'
      union all
      select build_id, null, null from sync.unlisted_builds where last_status is distinct from 200`
    const ids = new Set(named.map(({ id }) => id))
    const numbers = new Set(named.map(({ pipeline, number }) => `${pipeline} #${number}`))
    return (id) => {
      if (ids.has(id)) return true
      const build = this.#world.builds.get(id)
      if (!build) return false
      const isWithin = ({ from, to }: { from: string; to: string }) => build.created_at >= from && build.created_at < to
      const names = [build.pipeline.id, build.pipeline.slug].map((pipeline) => `${pipeline} #${build.number}`)
      return names.some((name) => numbers.has(name)) || ranges.some(isWithin)
    }
  }
}

async function coverageOf(sql: postgres.Sql | postgres.TransactionSql): Promise<Coverage[]> {
  return sql<Coverage[]>`
    select pipeline_id, complete_from, complete_to, as_of, jobs_as_of, wanted_from, is_listed, is_current
    from analytics.data_coverage`
}

function claimsOf({ pipeline_id, complete_from: from, complete_to: to, as_of, jobs_as_of }: Coverage): Claim[] {
  if (!pipeline_id || !from || !to || !as_of) return []
  const builds = { what: 'builds', pipeline_id, from, to, at: as_of } as const
  return jobs_as_of ? [builds, { ...builds, what: 'jobs', at: jobs_as_of }] : [builds]
}

function shareOf({ complete_from, as_of, wanted_from }: Coverage): number {
  if (!complete_from || !as_of || !wanted_from) return 0
  const from = Math.max(complete_from.getTime(), wanted_from.getTime())
  return (as_of.getTime() - from) / (as_of.getTime() - wanted_from.getTime())
}
