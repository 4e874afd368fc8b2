import type postgres from 'postgres'
import { asRow, compareRow, idOf, type Json, slugOf, typesOf } from './differences.ts'

/** The mirror says: of this pipeline's builds created from `from` (included) to `to`, I hold what Buildkite held at `at`, or later. */
export interface Claim {
  readonly what: 'builds' | 'jobs'
  readonly pipeline_id: string
  readonly from: Date
  readonly to: Date
  readonly at: Date
}

interface BuildLike {
  readonly id: string
  readonly created_at: string
  readonly pipeline: { readonly id: string }
  readonly jobs: readonly object[]
}

/** A recorded truth; see src/demo/recorder.ts. */
export interface PastTruth {
  readonly organizations: readonly object[]
  at(time: number): { readonly builds: readonly BuildLike[] }
  versionsOf(buildId: string): readonly { readonly at: number; readonly object: BuildLike | undefined }[]
}

interface Row extends Json {
  id: string
  deleted_at: Date | null
}

/** What no claim says. */
export interface Unclaimed {
  /** Columns by table, such as `builds: ['message']` where people edit builds without any webhook. */
  columns?: Readonly<Record<string, readonly string[]>>
  /** Whether rows may be unmarked although Buildkite has deleted their objects. */
  deletions?: boolean
}

/**
 * Returns a line for each false claim, and says why it is false: a build or job that Buildkite held at the claim's time is missing, its
 * row is none of the versions that were valid then or later, or a row is there that Buildkite held at no time since and that is not
 * marked as gone. A row is compared whole: half of one version and half of another is false.
 */
export async function falseClaims(
  sql: postgres.Sql,
  truth: PastTruth,
  claims: readonly Claim[],
  unclaimed: Unclaimed = {},
): Promise<string[]> {
  const organizationOf = new Map(truth.organizations.map((one) => [slugOf(one), idOf(one)]))
  const types = { builds: await typesOf(sql, 'builds'), jobs: await typesOf(sql, 'jobs') }
  const lines: string[] = []
  for (const claim of claims) {
    const rows = await rowsOf(sql, claim)
    const held = versionsSince(truth, claim, rows, organizationOf)
    const omitted = new Set(unclaimed.columns?.[claim.what])
    const report = (id: string, text: string) => lines.push(`${nameOf(claim)}: ${claim.what} ${id} ${text}`)
    for (const [id, { required, versions }] of held) {
      const row = rows.get(id)
      if (!row && required) report(id, 'is missing')
      if (!row) continue
      const found = versions.map((version) => compareRow(claim.what, id, row, version, types[claim.what], omitted))
      const nearest = found.sort((a, b) => a.length - b.length)[0]
      if (nearest?.length) report(id, `is no version since: ${nearest.join('; ')}`)
    }
    if (unclaimed.deletions) continue
    for (const [id, row] of rows)
      if (!held.has(id) && !row.deleted_at) report(id, 'is gone from Buildkite, but not marked')
  }
  return lines
}

const nameOf = ({ pipeline_id, from, to, at }: Claim) =>
  `pipeline ${pipeline_id} from ${from.toISOString()} to ${to.toISOString()} at ${at.toISOString()}`

interface Held {
  /** Whether Buildkite held it at the claim's time already. */
  required: boolean
  versions: object[]
}

/** By id, the builds or jobs of the claim that Buildkite held at its time or later, in every version since. */
function versionsSince(
  truth: PastTruth,
  claim: Claim,
  rows: ReadonlyMap<string, Row>,
  organizationOf: ReadonlyMap<string, string>,
): Map<string, Held> {
  const time = claim.at.getTime()
  const found = new Map<string, Held>()
  const known = new Set<object>()
  const add = (object: object, required: boolean, row: object) => {
    if (known.has(object)) return
    known.add(object)
    const held = found.get(idOf(object))
    if (held) held.versions.push(row)
    else found.set(idOf(object), { required, versions: [row] })
  }
  const ids = new Set([...rows.values()].map((row) => String(claim.what === 'builds' ? row.id : row.build_id)))
  for (const build of truth.at(time).builds) if (isClaimed(claim, build)) ids.add(build.id)
  for (const buildId of ids) {
    const versions = truth.versionsOf(buildId)
    const first = versions.findLastIndex(({ at }) => at <= time)
    for (const [position, { object }] of versions.entries()) {
      if (!object || position < first) continue
      if (claim.what === 'builds') add(object, position === first, asRow(object, organizationOf))
      else for (const job of object.jobs) add(job, position === first, { ...job, build_id: buildId })
    }
  }
  return found
}

const isClaimed = ({ pipeline_id, from, to }: Claim, { pipeline, created_at }: BuildLike) =>
  pipeline.id === pipeline_id && created_at >= from.toISOString() && created_at < to.toISOString()

async function rowsOf(sql: postgres.Sql, { what, pipeline_id, from, to }: Claim): Promise<Map<string, Row>> {
  const inside = sql`b.pipeline_id = ${pipeline_id} and b.created_at >= ${from} and b.created_at < ${to}`
  const rows =
    what === 'builds'
      ? await sql<Row[]>`select b.* from buildkite.builds b where ${inside}`
      : await sql<Row[]>`
          select j.*, coalesce(j.deleted_at, b.deleted_at) as deleted_at
          from buildkite.jobs j join buildkite.builds b on b.id = j.build_id where ${inside}`
  return new Map(rows.map((row) => [row.id, row]))
}
