import postgres from 'postgres'
import { refreshRollups } from '../../src/analytics/rollups.ts'
import { openDatabase } from '../../src/database/connection.ts'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { generateYear } from '../scale/generate.ts'
import type { Stores } from './stores.ts'

/** A history to measure beside; `kept` when it was there before and stays for the next run. */
export interface History {
  readonly builds: number
  readonly url: string
  readonly kept: boolean
}

/**
 * A database with a year of `builds` builds, ten times as many jobs and three times as many deliveries in it, as test/scale/generate.sql makes them. The one of a million
 * takes minutes to make: with `keep` it is left for the next run, under a name of its own.
 */
export async function historyOf(builds: number, stores: Stores, keep: boolean): Promise<History> {
  const name = `bkb_year_${builds}`
  const there = await stores.find(name)
  if (there) {
    await migrate(there)
    return { builds, url: there, kept: true }
  }
  const url = await generated(builds, stores)
  return keep ? { builds, url: await stores.keep(url, name), kept: true } : { builds, url, kept: false }
}

async function generated(builds: number, stores: Stores): Promise<string> {
  const url = await stores.create()
  const sql = postgres(url, { max: 1, onnotice: () => {} })
  await generateYear(sql, builds)
  // Builds the rollups of a month too, or the first measurement would have to; nothing here reads further back.
  await sql`delete from sync.stale_days where day < current_date - 30`
  await sql.end()
  const database = openDatabase(url, { name: 'bench' })
  await refreshRollups(database.db)
  await database.close()
  return url
}
