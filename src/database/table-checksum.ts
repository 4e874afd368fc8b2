import type pg from 'pg'

/** The content of a table in two numbers, which do not depend on the order of its rows. */
export interface Checksum {
  readonly rows: number
  /** 16 hex digits. */
  readonly checksum: string
}

/**
 * Counts the rows of `table` and adds up the hashes of their texts. Servers of different major versions give the same result: SHA-256
 * does not depend on the server, unlike Postgres's own hash functions, and the settings that affect texts are fixed here.
 * `table` and `columns` must be quoted. Needs an open transaction, whose settings it changes.
 */
export async function checksumOf(client: pg.Client, table: string, columns: readonly string[]): Promise<Checksum> {
  await client.query(`
    set local timezone = 'UTC'; set local datestyle = 'ISO, YMD'; set local intervalstyle = 'postgres';
    set local extra_float_digits = 1; set local bytea_output = 'hex'`)
  const { rows } = await client.query<{ rows: string; sum: string }>(`
    select count(*) as rows, coalesce(sum(hash), 0) as sum
    from (
      select ('x' || encode(substr(sha256(convert_to(row(${columns.join(', ')})::text, 'UTF8')), 1, 8), 'hex'))::bit(64)::bigint as hash
      from ${table}
    ) as hashes`)
  const sum = BigInt(rows[0]?.sum ?? '0')
  return { rows: Number(rows[0]?.rows ?? 0), checksum: BigInt.asUintN(64, sum).toString(16).padStart(16, '0') }
}
