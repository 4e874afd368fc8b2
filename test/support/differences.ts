import { isDeepStrictEqual } from 'node:util'
import postgres from 'postgres'

export type Json = Record<string, unknown>

/** What of the simulated truth a comparison leaves out, with the reason stated where it is used. */
export interface Omissions {
  /** Columns by table, such as `jobs: ['group_key']`. */
  columns?: Readonly<Record<string, readonly string[]>>
  /** Whether additional rows that are marked as gone from Buildkite are allowed. */
  gone?: boolean
  /** Jobs to leave out altogether. */
  jobs?: (job: Json) => boolean
}

export interface TruthLike {
  readonly organizations: readonly object[]
  readonly pipelines: readonly object[]
  readonly builds: readonly object[]
}

/** Of the mirror alone; Buildkite knows nothing of them. */
const mirrorColumns = new Set([
  'observed_at',
  'verified_at',
  'first_seen_at',
  'first_seen_via',
  'changed_at',
  'deleted_at',
  'deleted_reason',
  'extra',
])

/** Secrets, which must be in no column: the comparison demands null. */
const secretKeys = new Set(['env', 'configuration', 'steps', 'webhook_url', 'badge_url', 'access_token'])

/** Objects inside that have rows of their own, or follow from rows. */
const nested: Readonly<Record<string, readonly string[]>> = {
  builds: ['jobs', 'pipeline', 'job_state_counts'],
  jobs: [],
  pipelines: [],
  organizations: [],
}

/**
 * Compares the mirror with the simulated truth, field by field, and returns each difference as a line (at most `limit`). It knows
 * nothing of our readers: a field's column is its path joined by `_`, and what has no column must lie in `extra`.
 */
export async function differences(url: string, truth: TruthLike, omit: Omissions = {}, limit = 20): Promise<string[]> {
  const sql = postgres(url, { max: 2, onnotice: () => {} })
  try {
    const organizationOf = new Map(truth.organizations.map((one) => [slugOf(one), idOf(one)]))
    const jobs = truth.builds.flatMap((build) => jobsOf(build).filter((job) => !omit.jobs?.(job)))
    const builds = truth.builds.map((build) => asRow(build, organizationOf))
    const lines = [
      ...(await compareTable(sql, 'organizations', truth.organizations, omit)),
      ...(await compareTable(sql, 'pipelines', truth.pipelines, omit)),
      ...(await compareTable(sql, 'builds', builds, omit)),
      ...(await compareTable(sql, 'jobs', jobs, omit)),
    ]
    const more = lines.length > limit ? [`… and ${lines.length - limit} more`] : []
    return [...lines.slice(0, limit), ...more]
  } finally {
    await sql.end({ timeout: 1 })
  }
}

/** A build with the ids of its pipeline and organization, as its row has them. */
export const asRow = (build: object, organizationOf: ReadonlyMap<string, string>): object => ({
  ...build,
  pipeline_id: idOf(field(build, 'pipeline')),
  organization_id: organizationOf.get(String(field(build, 'url')).split('/organizations/')[1]?.split('/')[0] ?? ''),
})

/** The jobs of a build with the build's id, as their rows have it. */
const jobsOf = (build: object): Json[] => listOf(build, 'jobs').map((job) => ({ ...job, build_id: idOf(build) }))

/** The type of each column of a table of the mirror. */
export async function typesOf(
  sql: postgres.Sql | postgres.TransactionSql,
  name: string,
): Promise<ReadonlyMap<string, string>> {
  const columns = await sql<{ column_name: string; data_type: string }[]>`
    select column_name, data_type from information_schema.columns where table_schema = 'buildkite' and table_name = ${name}`
  return new Map(columns.map(({ column_name, data_type }) => [column_name, data_type]))
}

async function compareTable(sql: postgres.Sql, name: string, objects: readonly object[], omit: Omissions) {
  const rows = new Map<string, Json>()
  for (const row of await sql<Json[]>`select * from ${sql(`buildkite.${name}`)}`) rows.set(String(row.id), row)
  const types = await typesOf(sql, name)
  const lines: string[] = []
  const known = new Set(objects.map(idOf))
  const gone = omit.gone ? await goneFrom(sql, name) : new Set<string>()
  for (const id of rows.keys()) {
    if (!known.has(id) && !omit.jobs && !gone.has(id)) lines.push(`${name} ${id}: is not in the truth`)
  }
  for (const object of objects) {
    const id = idOf(object)
    const row = rows.get(id)
    if (row) lines.push(...compareRow(name, id, row, object, types, new Set(omit.columns?.[name])))
    else lines.push(`${name} ${id}: is missing`)
  }
  return lines
}

/** Rows that are marked as gone, and jobs of builds that are. */
async function goneFrom(sql: postgres.Sql, name: string): Promise<Set<string>> {
  const rows =
    name === 'jobs'
      ? await sql<{ id: string }[]>`
          select j.id from buildkite.jobs j join buildkite.builds b on b.id = j.build_id
          where j.deleted_at is not null or b.deleted_at is not null`
      : await sql<{ id: string }[]>`select id from ${sql(`buildkite.${name}`)} where deleted_at is not null`
  return new Set(rows.map(({ id }) => id))
}

/** Where a row differs from its object in Buildkite, a line for each column. */
function compareRow(
  name: string,
  id: string,
  row: Json,
  object: object,
  types: ReadonlyMap<string, string>,
  omitted: ReadonlySet<string>,
): string[] {
  return compareColumns(name, row, object, types, omitted).map((column) => `${name} ${id}: ${inWords(column)}`)
}

/** A column whose value is not what Buildkite has. */
export interface DifferentColumn {
  readonly column: string
  readonly is: unknown
  /** Undefined where the row only must have some value. */
  readonly should: unknown
}

export function inWords({ column, is, should }: DifferentColumn): string {
  return `${column} is ${JSON.stringify(is)}${should === undefined ? '' : `, truth ${JSON.stringify(should)}`}`
}

/** The columns of a row that differ from its object in Buildkite. */
export function compareColumns(
  name: string,
  row: Json,
  object: object,
  types: ReadonlyMap<string, string>,
  omitted: ReadonlySet<string>,
): DifferentColumn[] {
  const expected = new Map<string, unknown>()
  const extra: Json = {}
  for (const [key, value] of Object.entries(object)) {
    if (!nested[name]?.includes(key)) flatten(name, [key], value, types, expected, extra)
  }
  const different: DifferentColumn[] = []
  for (const column of types.keys()) {
    if (mirrorColumns.has(column) || omitted.has(column)) continue
    // A pipeline's organization is in its URL only.
    if (name === 'pipelines' && column === 'organization_id') {
      if (row[column] === null) different.push({ column, is: null, should: undefined })
      continue
    }
    const [is, should] = [comparable(row[column]), comparable(expected.get(column) ?? null)]
    if (is !== should && !isDeepStrictEqual(is, should)) different.push({ column, is, should })
  }
  if (!omitted.has('extra') && !isDeepStrictEqual(row.extra, extra)) {
    different.push({ column: 'extra', is: row.extra, should: extra })
  }
  return different
}

function flatten(
  name: string,
  path: readonly string[],
  value: unknown,
  types: ReadonlyMap<string, string>,
  expected: Map<string, unknown>,
  extra: Json,
): void {
  const column = path.join('_')
  const key = path.at(-1) ?? ''
  if (secretKeys.has(key) || value === undefined) return
  const isObject = typeof value === 'object' && value !== null && !Array.isArray(value)
  const hasColumns = types.has(column) || [...types.keys()].some((one) => one.startsWith(`${column}_`))
  if (value === null && hasColumns) return
  if (column === 'author' && typeof value === 'string') {
    expected.set('author_name', value)
    return
  }
  const type = types.get(column)
  if (type) {
    expected.set(column, type.startsWith('timestamp') && typeof value === 'string' ? readTime(value) : value)
    return
  }
  // Of the agent inside a job two columns stay; the rest is the agent's own row.
  if (name === 'jobs' && path[0] === 'agent' && path.length > 1) return
  if (isObject && (hasColumns || Object.keys(value).length > 0)) {
    for (const [inner, innerValue] of Object.entries(value)) {
      flatten(name, [...path, inner], innerValue, types, expected, extra)
    }
    return
  }
  put(extra, path, value)
}

function put(target: Json, path: readonly string[], value: unknown): void {
  const [key, ...rest] = path
  if (key === undefined) return
  if (rest.length === 0) {
    target[key] = value
    return
  }
  const inner = typeof target[key] === 'object' && target[key] !== null ? (target[key] as Json) : {}
  target[key] = inner
  put(inner, rest, value)
}

function readTime(text: string): Date {
  return new Date(/ UTC$/.test(text) ? text.replace(' UTC', 'Z').replace(' ', 'T') : text)
}

/** bigint columns come as text; dates compare by their moment. */
function comparable(value: unknown): unknown {
  if (value instanceof Date) return value.toISOString()
  if (typeof value === 'number') return String(value)
  return value
}

function field(object: unknown, key: string): unknown {
  return typeof object === 'object' && object !== null ? (object as Json)[key] : undefined
}

function listOf(object: unknown, key: string): Json[] {
  const list = field(object, key)
  return Array.isArray(list) ? (list as Json[]) : []
}

export function idOf(object: unknown): string {
  return String(field(object, 'id'))
}

export function slugOf(object: unknown): string {
  return String(field(object, 'slug'))
}
