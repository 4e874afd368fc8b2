import { createHash } from 'node:crypto'
import { readdirSync, readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import type pg from 'pg'

// Each view, function, trigger and group role's grants have one definition: a file in drizzle/. A change of a file needs no migration.
// Functions in plpgsql fix their search_path. Otherwise a role that may write to a schema of the caller's path could plant functions.
// Functions in SQL need none, because Postgres parses their bodies once, at creation. With `set` it could not inline them into views.

/** A file that `migrate` applies when it has changed. It may be applied any number of times. */
export interface Definition {
  /** Path in drizzle/. */
  readonly name: string
  readonly checksum: string
  readonly sql: string
}

const folder = fileURLToPath(new URL('../../../drizzle/', import.meta.url))

/** In the order in which to apply them. Triggers come last because they lock tables. Function bodies are not checked, so functions come first. */
const KINDS = ['functions', 'views', 'grants', 'triggers']

/** The names of the definitions that every database has: not those of grants, because a server need not have our roles. */
export function requiredDefinitions(): string[] {
  return definitionNames().filter((name) => !isGrants(name))
}

function isGrants(name: string): boolean {
  return kindOf(name) === 'grants'
}

function definitionNames(): string[] {
  const paths = readdirSync(folder, { recursive: true, encoding: 'utf8' }).map((path) => path.replaceAll('\\', '/'))
  return paths.filter((path) => path.endsWith('.sql') && KINDS.includes(kindOf(path))).sort()
}

/** The definitions of this code, in the order in which to apply them. */
export function readDefinitions(): Definition[] {
  return inDependencyOrder(
    definitionNames().map((name) => {
      const sql = readFileSync(`${folder}${name}`, 'utf8')
      return { name, sql, checksum: createHash('sha256').update(sql).digest('hex') }
    }),
  )
}

/** Sorts by kind, and within a kind so that each follows the ones that its SQL names (pure). */
export function inDependencyOrder(definitions: readonly Definition[]): Definition[] {
  const byKey = new Map(definitions.map((definition) => [keyOf(definition.name), definition]))
  const ordered = new Set<Definition>()
  const seen = new Set<Definition>()
  const add = (definition: Definition) => {
    if (seen.has(definition)) return
    seen.add(definition)
    for (const used of namesIn(definition.sql)) {
      const other = byKey.get(`${kindOf(definition.name)} ${used}`)
      if (other) add(other)
    }
    ordered.add(definition)
  }
  for (const kind of KINDS) for (const one of definitions) if (kindOf(one.name) === kind) add(one)
  return [...ordered]
}

function kindOf(name: string): string {
  return name.split('/', 1)[0] ?? ''
}

/** `views analytics.builds` for `views/analytics/builds.sql`. */
function keyOf(name: string): string {
  const [kind, ...path] = name.replace(/\.sql$/, '').split('/')
  return `${kind} ${path.join('.')}`
}

/** The names with a schema in `sql`, outside comments and strings. */
function namesIn(sql: string): string[] {
  return sql.replace(/--.*|'(?:[^']|'')*'/g, ' ').match(/\b[a-z]\w*\.[a-z]\w*\b/g) ?? []
}

/** The tables that the triggers among `definitions` belong to. */
export function triggerTables(definitions: readonly Definition[]): string[] {
  const tables = definitions.flatMap(({ name }) => /^triggers\/([^/]+)\//.exec(name)?.[1] ?? [])
  return [...new Set(tables)].sort((a, b) => LOCK_ORDER.indexOf(a) - LOCK_ORDER.indexOf(b))
}

/** The order in which deliveries and pages are merged. In a different order the two would block each other. */
const LOCK_ORDER = [
  'buildkite.organizations',
  'buildkite.pipelines',
  'buildkite.builds',
  'buildkite.build_attempts',
  'buildkite.jobs',
  'buildkite.agents',
  'buildkite.agent_connections',
  'buildkite.cluster_queues',
  'settings.deployment_rules',
]

/** The `definitions` that differ from those last applied to the database, without the grants of roles that the server does not have. */
export async function changedDefinitions(client: pg.Client, definitions: readonly Definition[]): Promise<Definition[]> {
  const { rows } = await client.query<{ name: string; checksum: string }>('select name, checksum from sync.definitions')
  const applied = new Map(rows.map(({ name, checksum }) => [name, checksum]))
  const { rows: roles } = await client.query<{ name: string }>(
    `select format('grants/%s.sql', rolname) as name from pg_roles`,
  )
  const grants = new Set(roles.map(({ name }) => name))
  return definitions.filter(
    ({ name, checksum }) => applied.get(name) !== checksum && (!isGrants(name) || grants.has(name)),
  )
}

/** Applies one definition in the open transaction of `client`, and records it. */
export async function applyDefinition(client: pg.Client, { name, checksum, sql }: Definition): Promise<void> {
  await client.query(sql)
  await client.query(
    `insert into sync.definitions (name, checksum) values ($1, $2)
     on conflict (name) do update set checksum = excluded.checksum, applied_at = excluded.applied_at`,
    [name, checksum],
  )
}
