import { type Home, openHome } from '../../property/soundness-database.ts'
import { asAdmin, createTestDatabase } from '../../support/database.ts'
import { compareSeed, type Mode, type Outcome } from './second.ts'

/** A database of the test's own, whose sessions are in a time zone that no number may depend on. */
export interface Stage {
  compare(seed: number, modes?: readonly Mode[]): Promise<Outcome>
  close(): Promise<void>
}

export async function openStage(): Promise<Stage> {
  const database = await createTestDatabase()
  const name = new URL(database.url).pathname.slice(1)
  await asAdmin((sql) => sql.unsafe(`alter database ${name} set "TimeZone" = 'Asia/Kathmandu'`))
  const home: Home = await openHome(database.url)
  return {
    compare: (seed, modes) => compareSeed(seed, home, database.url, modes),
    async close() {
      await home.close()
      await database.drop()
    },
  }
}
