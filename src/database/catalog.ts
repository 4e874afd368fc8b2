import { sql } from 'drizzle-orm'
import { asStoreError, type Db } from './connection.ts'

export interface CatalogColumn {
  readonly name: string
  readonly type: string
  readonly nullable: boolean
  readonly comment: string | null
  /** A value of some row as text, cut to 60 characters; null if the relation is empty or too slow to query. */
  readonly example: string | null
}

export interface CatalogRelation {
  readonly name: string
  readonly kind: 'table' | 'view'
  readonly comment: string | null
  /** The columns of the primary key; empty for a view. */
  readonly key: readonly string[]
  readonly columns: readonly CatalogColumn[]
}

export interface CatalogFunction {
  readonly signature: string
  readonly comment: string | null
}

export interface CatalogSchema {
  readonly name: string
  readonly comment: string | null
  readonly relations: readonly CatalogRelation[]
  readonly functions: readonly CatalogFunction[]
}

/** The schemas of our tables, views and functions, in the order in which to show them. */
export const OUR_SCHEMAS = ['analytics', 'buildkite', 'settings', 'sync']
/** The number of rows that are read for examples. */
const SAMPLE = 200
// Which checksum is the smallest depends on the roles of the server.
const withoutExample = new Set(['checksum', 'payload'])

/**
 * Reads the database's own description: every schema, table, view and column, with its comment and an example from its rows. The
 * examples of a large mirror take seconds.
 * @throws StoreError when the database is unavailable.
 */
export async function readCatalog(db: Db, withExamples = true): Promise<CatalogSchema[]> {
  try {
    const catalog: CatalogSchema[] = []
    for (const name of OUR_SCHEMAS) catalog.push(await readSchema(db, name, withExamples))
    return catalog
  } catch (error) {
    throw asStoreError(error, 'read the catalog of the database')
  }
}

async function readSchema(db: Db, schema: string, withExamples: boolean): Promise<CatalogSchema> {
  const described = await db.execute<{ comment: string | null }>(
    sql`select obj_description(oid, 'pg_namespace') as comment from pg_namespace where nspname = ${schema}`,
  )
  const { rows } = await db.execute<
    Omit<CatalogRelation, 'columns'> & { columns: Omit<CatalogColumn, 'example'>[]; readable: string[] }
  >(sql`
    select relname as name, case relkind when 'v' then 'view' else 'table' end as kind, obj_description(c.oid, 'pg_class') as comment,
      array(select attname::text from pg_index join pg_attribute on attrelid = c.oid and attnum = any (indkey)
        where indrelid = c.oid and indisprimary order by array_position(indkey::int2[], attnum)) as key,
      (select json_agg(json_build_object('name', attname, 'type', format_type(atttypid, atttypmod), 'nullable', not attnotnull,
          'comment', col_description(attrelid, attnum)) order by attnum)
        from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped) as columns,
      array(select attname::text from pg_attribute where attrelid = c.oid and attnum > 0 and not attisdropped
        and has_schema_privilege(c.relnamespace, 'usage') and has_column_privilege(attrelid, attnum, 'select')) as readable
    from pg_class c where relnamespace = ${schema}::regnamespace and relkind in ('r', 'p', 'v', 'm') order by relname`)
  const functions = await db.execute<{ signature: string; comment: string | null }>(sql`
    select proname || '(' || pg_get_function_arguments(oid) || ') → ' || pg_get_function_result(oid) as signature,
      obj_description(oid, 'pg_proc') as comment
    from pg_proc where pronamespace = ${schema}::regnamespace and prorettype <> 'trigger'::regtype and obj_description(oid, 'pg_proc') is not null
    order by 1`)
  const relations: CatalogRelation[] = []
  for (const { readable, ...relation } of rows) {
    const examples = withExamples ? await examplesOf(db, schema, relation.name, readable) : {}
    const columns = relation.columns.map((column) => ({ ...column, example: examples[column.name] ?? null }))
    relations.push({ ...relation, columns })
  }
  return { name: schema, comment: described.rows[0]?.comment ?? null, relations, functions: functions.rows }
}

/** The minimum of each column that our role may read over some rows, so that the same rows give the same examples. */
async function examplesOf(
  db: Db,
  schema: string,
  relation: string,
  columns: readonly string[],
): Promise<Record<string, string | null>> {
  const names = columns.filter((name) => !withoutExample.has(name)).map((name) => sql.identifier(name))
  if (names.length === 0) return {}
  const values = names.map((name) => sql`min(left(${name}::text, 60)) as ${name}`)
  try {
    return await db.transaction(
      async (tx) => {
        await tx.execute(sql`set local statement_timeout = '2s'`)
        const { rows } = await tx.execute<Record<string, string | null>>(
          sql`select ${sql.join(values, sql`, `)} from (select ${sql.join(names, sql`, `)} from ${sql.identifier(schema)}.${sql.identifier(relation)} limit ${sql.raw(String(SAMPLE))}) as sample`,
        )
        return rows[0] ?? {}
      },
      { accessMode: 'read only' },
    )
  } catch (error) {
    // A view may be too slow on a large mirror, or fail on a value (class 22); then it has no examples.
    const code = asStoreError(error, 'read examples').code ?? ''
    if (code === '57014' || code.startsWith('22')) return {}
    throw error
  }
}
