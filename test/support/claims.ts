import type postgres from 'postgres'
import {
  asRow,
  compareColumns,
  type DifferentColumn,
  idOf,
  inWords,
  type Json,
  slugOf,
  typesOf,
} from './differences.ts'

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

/** A recorded truth; see src/simulator/model/recorder.ts. */
export interface PastTruth {
  readonly organizations: readonly object[]
  at(time: number): { readonly builds: readonly BuildLike[] }
  versionsOf(buildId: string): readonly { readonly at: number; readonly object: BuildLike | undefined }[]
}

interface Row extends Json {
  id: string
  /** Of a job. */
  build_id?: string
  deleted_at: Date | null
}

/** What no claim says. */
export interface Unclaimed {
  /** Columns by table, such as `builds: ['message']` where people edit builds without any webhook. */
  columns?: Readonly<Record<string, readonly string[]>>
  /** Whether rows may be unmarked although Buildkite has deleted their objects. */
  deletions?: boolean
  /** Whether webhooks may have brought a part of what is newer: then each column must be that of some version, not the whole row. */
  parts?: boolean
  /** Builds that the mirror names as unconfirmed: neither they nor their jobs are compared. */
  builds?: (id: string) => boolean
}

/**
 * Returns a line for each false claim, and says why it is false: a build or job that Buildkite held at the claim's time, and still holds,
 * is missing; its row is none of the versions that were valid then or later; or a row is there that Buildkite held at no time since and
 * that is not marked as gone. A row is compared whole: half of one version and half of another is false.
 * `compare` may remember what it compared before.
 */
export async function falseClaims(
  sql: postgres.Sql | postgres.TransactionSql,
  truth: PastTruth,
  claims: readonly Claim[],
  unclaimed: Unclaimed = {},
  compare: typeof compareColumns = compareColumns,
): Promise<string[]> {
  const organizationOf = new Map(truth.organizations.map((one) => [slugOf(one), idOf(one)]))
  const types = { builds: await typesOf(sql, 'builds'), jobs: await typesOf(sql, 'jobs') }
  const lines: string[] = []
  for (const claim of claims) {
    const rows = await rowsOf(sql, claim)
    const held = versionsSince(truth, claim, rows, organizationOf, unclaimed)
    const omitted = new Set(unclaimed.columns?.[claim.what])
    const report = (id: string, text: string) => lines.push(`${nameOf(claim)}: ${claim.what} ${id} ${text}`)
    for (const [id, { required, versions }] of held) {
      const row = rows.get(id)
      if (!row && required) report(id, 'is missing')
      if (!row) continue
      const differ = (version: object) => compare(claim.what, row, version, types[claim.what], omitted)
      // Of what came later, a webhook may know a part only.
      const isUnknown = ({ is }: DifferentColumn) => !required && is === null
      const wrong = unclaimed.parts
        ? columnsOfNone(versions, differ).filter((column) => !isUnknown(column))
        : differentFromAll(versions, differ)
      if (wrong.length > 0) report(id, `is no version since: ${wrong.map(inWords).join('; ')}`)
    }
    if (unclaimed.deletions) continue
    for (const [id, row] of rows) {
      if (held.has(id) || row.deleted_at || unclaimed.builds?.(row.build_id ?? id)) continue
      report(id, 'is gone from Buildkite, but not marked')
    }
  }
  return lines
}

type Differ = (version: object) => readonly DifferentColumn[]

/** The columns in which a row differs from the version that is nearest to it. */
function differentFromAll(versions: readonly object[], differ: Differ): readonly DifferentColumn[] {
  let nearest: readonly DifferentColumn[] | undefined
  for (const version of versions) {
    const different = differ(version)
    if (!nearest || different.length < nearest.length) nearest = different
    if (nearest.length === 0) break
  }
  return nearest && nearest.length > 0 ? nearest : columnsOfNone(versions, differ)
}

/** The columns whose values are those of no version. */
function columnsOfNone(versions: readonly object[], differ: Differ): readonly DifferentColumn[] {
  let left: readonly DifferentColumn[] | undefined
  for (const version of versions) {
    const names = new Set(differ(version).map(({ column }) => column))
    left = left ? left.filter(({ column }) => names.has(column)) : differ(version)
    if (left.length === 0) break
  }
  return left ?? []
}

/** A `compare` for {@link falseClaims} that remembers: most rows and versions stay the same from one call to the next. */
export function rememberingCompare(): typeof compareColumns {
  const known = new Map<string, { row: string; found: WeakMap<object, DifferentColumn[]> }>()
  const texts = new WeakMap<object, string>()
  return (name, row, object, types, omitted) => {
    const key = `${name} ${row.id}`
    const text = texts.get(row) ?? JSON.stringify([row, [...omitted]])
    texts.set(row, text)
    const before = known.get(key)
    const found = before?.row === text ? before.found : new WeakMap<object, DifferentColumn[]>()
    if (found !== before?.found) known.set(key, { row: text, found })
    const different = found.get(object) ?? compareColumns(name, row, object, types, omitted)
    found.set(object, different)
    return different
  }
}

const nameOf = ({ pipeline_id, from, to, at }: Claim) =>
  `pipeline ${pipeline_id} from ${from.toISOString()} to ${to.toISOString()} at ${at.toISOString()}`

interface Held {
  /** Whether Buildkite held it at the claim's time already, and has not deleted it since. */
  required: boolean
  versions: object[]
}

/** By id, the builds or jobs of the claim that Buildkite held at its time or later, in every version since. */
function versionsSince(
  truth: PastTruth,
  claim: Claim,
  rows: ReadonlyMap<string, Row>,
  organizationOf: ReadonlyMap<string, string>,
  unclaimed: Unclaimed,
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
  const ids = new Set([...rows.values()].map((row) => row.build_id ?? row.id))
  for (const build of truth.at(time).builds) if (isClaimed(claim, build)) ids.add(build.id)
  for (const buildId of ids) {
    if (unclaimed.builds?.(buildId)) continue
    const versions = truth.versionsOf(buildId)
    const first = versions.findLastIndex(({ at }) => at <= time)
    const isHeld = versions.at(-1)?.object !== undefined
    // What the mirror has of a deleted build is as old as its last reading; the audit marks it.
    if (unclaimed.deletions && !isHeld) continue
    for (const [position, { object }] of versions.entries()) {
      if (!object || position < first) continue
      const required = position === first && isHeld
      if (claim.what === 'builds') add(object, required, buildRowOf(object, organizationOf))
      else for (const job of object.jobs) add(job, required, jobRowOf(job, buildId))
    }
  }
  return found
}

/** The same row for the same version, so that a comparison can cache it. */
const versionRows = new WeakMap<object, object>()

function buildRowOf(build: object, organizationOf: ReadonlyMap<string, string>): object {
  const row = versionRows.get(build) ?? asRow(build, organizationOf)
  versionRows.set(build, row)
  return row
}

function jobRowOf(job: object, buildId: string): object {
  const row = versionRows.get(job) ?? { ...job, build_id: buildId }
  versionRows.set(job, row)
  return row
}

const isClaimed = ({ pipeline_id, from, to }: Claim, { pipeline, created_at }: BuildLike) =>
  pipeline.id === pipeline_id && created_at >= from.toISOString() && created_at < to.toISOString()

async function rowsOf(
  sql: postgres.Sql | postgres.TransactionSql,
  { what, pipeline_id, from, to }: Claim,
): Promise<Map<string, Row>> {
  const inside = sql`b.pipeline_id = ${pipeline_id} and b.created_at >= ${from} and b.created_at < ${to}`
  const rows =
    what === 'builds'
      ? await sql<Row[]>`select b.* from buildkite.builds b where ${inside}`
      : await sql<Row[]>`
          select j.*, coalesce(j.deleted_at, b.deleted_at) as deleted_at
          from buildkite.jobs j join buildkite.builds b on b.id = j.build_id where ${inside}`
  return new Map(rows.map((row) => [row.id, row]))
}
