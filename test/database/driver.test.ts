import { sql } from 'drizzle-orm'
import postgres from 'postgres'
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/connection.ts'
import { createTestDatabase, type TestDatabase } from '../support/database.ts'
import { startTcpProxy, type TcpProxy } from '../support/tcp-proxy.ts'

// Why Drizzle runs on node-postgres: docs/decisions.md. On the day on which the second test fails, postgres.js may be reconsidered.

/** A transaction as far as this test needs it. */
interface Transaction {
  insert(text: string): Promise<unknown>
  /** Goes to the server and back. */
  ping(): Promise<unknown>
}

interface Driver {
  transaction(work: (tx: Transaction) => Promise<void>): Promise<unknown>
  close(): Promise<void>
}

const drivers = {
  'node-postgres': (url: string): Driver => {
    // Two connections: it keeps a broken one until its transaction has ended.
    const database = openDatabase(url, { name: 'driver test', connections: 2 })
    return {
      transaction: (work) =>
        database.db.transaction((tx) =>
          work({
            insert: async (text) => tx.execute(sql`insert into written values (${text})`),
            ping: async () => tx.execute(sql`select 1`),
          }),
        ),
      close: () => database.close(),
    }
  },
  'postgres.js': (url: string): Driver => {
    const bare = postgres(url, { max: 1, onnotice: () => {}, backoff: () => 0.01 })
    return {
      transaction: (work) =>
        bare.begin((tx) =>
          work({
            insert: async (text) => tx`insert into written values (${text})`,
            ping: async () => tx`select 1`,
          }),
        ),
      close: () => bare.end({ timeout: 1 }),
    }
  },
}

let home: TestDatabase
let proxy: TcpProxy
let direct: postgres.Sql
beforeAll(async () => {
  home = await createTestDatabase()
  proxy = await startTcpProxy(home.url, 5432)
  direct = postgres(home.url, { max: 1, onnotice: () => {} })
  await direct`create table written (text text)`
})
beforeEach(() => direct`truncate written`)
afterAll(async () => {
  await direct.end()
  await proxy.close()
  await home.drop()
})

function signal() {
  let give = () => {}
  const given = new Promise<void>((resolve) => {
    give = resolve
  })
  return { given, give }
}

/**
 * Cuts the connection of a transaction, begins another one, lets the first write once more, and rolls the second back.
 * Both fail, so nothing may be written. Returns what is.
 */
async function writtenByTwoFailedTransactions(driver: Driver): Promise<string[]> {
  const [begun, secondBegun, triedAgain] = [signal(), signal(), signal()]
  const first = driver.transaction(async (tx) => {
    await tx.insert('first, before the cut')
    begun.give()
    await secondBegun.given
    await tx.insert('first, after the cut').finally(triedAgain.give)
  })
  const firstFails = expect(first).rejects.toThrow()
  await begun.given
  await proxy.cut()
  await proxy.restore()
  const second = driver.transaction(async (tx) => {
    await tx.insert('second, rolled back')
    secondBegun.give()
    await triedAgain.given
    // Time for whatever else the first one sends.
    await tx.ping()
    throw new Error('Roll back.')
  })
  await expect(second).rejects.toThrow('Roll back.')
  await firstFails
  await driver.close()
  const rows = await direct<{ text: string }[]>`select text from written order by text`
  return rows.map(({ text }) => text)
}

describe('two transactions that fail, the first because its connection is cut,', () => {
  test('write nothing with node-postgres', async () => {
    expect(await writtenByTwoFailedTransactions(drivers['node-postgres'](proxy.url))).toEqual([])
  })

  test('write into each other with postgres.js, and the first commits the second', async () => {
    const written = await writtenByTwoFailedTransactions(drivers['postgres.js'](proxy.url))
    expect(written).toEqual(['first, after the cut', 'second, rolled back'])
  })
})
