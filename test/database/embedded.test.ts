import { type ChildProcess, fork } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { sql } from 'drizzle-orm'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { openDatabase } from '../../src/database/connection.ts'
import { createCluster, readAddress } from '../../src/database/embedded/cluster.ts'
import { findEmbedded, startEmbedded } from '../../src/database/embedded/embedded.ts'
import { findPrograms, makeSymlinks } from '../../src/database/embedded/program.ts'
import { startServer, stopServer } from '../../src/database/embedded/server.ts'
import { migrate } from '../../src/database/migrations/migrate.ts'
import { ConfigError } from '../../src/runtime/errors.ts'
import { createLog } from '../../src/runtime/log.ts'
import { makeFolder } from '../support/folder.ts'
import { until } from '../support/until.ts'

const log = createLog('silent')
let folder: string
let dataDir: string
const stops: (() => Promise<void>)[] = []
beforeEach(async () => {
  folder = await makeFolder('bkm embedded ')
  dataDir = join(folder, 'data')
})
afterEach(async () => {
  for (const stop of stops.splice(0)) await stop()
  await rm(folder, { recursive: true, force: true })
})

async function start() {
  const server = await startEmbedded(dataDir, log)
  stops.push(() => server.stop())
  return server
}

/** A server with a superuser in postgres.url and no database yet, as earlier versions made it. */
async function startAsEarlierVersion(): Promise<{ url: string; stop(): Promise<void> }> {
  await mkdir(dataDir)
  const cluster = join(dataDir, 'postgres')
  const programs = await findPrograms(dataDir, cluster)
  const address = await readAddress(dataDir)
  await createCluster(dataDir, cluster, address, programs)
  const { url } = await startServer(dataDir, cluster, address, programs)
  await query(url('postgres'), 'create database buildkite')
  return { url: url('buildkite'), stop: () => stopServer(cluster, programs, 10_000) }
}

async function query(url: string, text: string): Promise<Record<string, unknown>[]> {
  const database = openDatabase(url, { name: 'test' })
  try {
    return (await database.db.execute(sql.raw(text))).rows
  } finally {
    await database.close()
  }
}

const postmaster = async () =>
  Number((await readFile(join(dataDir, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')[0])

/** Another process that has started the server on `dataDir` and runs until it is killed. */
async function startElsewhere(): Promise<{ child: ChildProcess; url: string }> {
  const child = fork(new URL('../support/embedded-process.ts', import.meta.url), [dataDir], {
    execArgv: ['--import', 'tsx'],
  })
  const url = await new Promise<string>((resolve, reject) => {
    child.once('message', (message) => resolve(String(message)))
    child.once('exit', () => reject(new Error('The other process ended.')))
  })
  return { child, url }
}

async function kill(child: ChildProcess): Promise<void> {
  const gone = new Promise((resolve) => child.once('exit', resolve))
  child.kill('SIGKILL')
  await gone
}

describe('the embedded PostgreSQL', () => {
  test('keeps its data over a stop and a start, at the same address', async () => {
    const first = await start()
    await query(first.url, 'create table kept (n int); insert into kept values (7)')
    await first.stop()
    expect(await findEmbedded(dataDir)).toBeUndefined()
    const second = await start()
    expect(second.url).toBe(first.url)
    expect(await query(second.url, 'select n from kept')).toEqual([{ n: 7 }])
  })

  test('is found by commands beside the service, through a file that only its owner may read', async () => {
    const { url } = await start()
    expect(await findEmbedded(dataDir)).toBe(url)
    expect((await readFile(join(dataDir, 'postgres.url'), 'utf8')).trim()).toBe(url)
    expect((await stat(join(dataDir, 'postgres.url'))).mode & 0o777).toBe(0o600)
  })

  test('speaks UTF-8 with C collation, checks its pages, listens on loopback only and asks for the password', async () => {
    const { url } = await start()
    const [row] = await query(
      url,
      `select current_setting('server_encoding') as encoding, current_setting('data_checksums') as checksums,
        current_setting('listen_addresses') as addresses, current_setting('synchronous_commit') as commit,
        (select datcollate from pg_database where datname = current_database()) as collation`,
    )
    expect(row).toEqual({ encoding: 'UTF8', checksums: 'on', addresses: '127.0.0.1', commit: 'on', collation: 'C' })
    const wrong = new URL(url)
    wrong.password = 'wrong'
    await expect(query(wrong.href, 'select 1')).rejects.toMatchObject({ cause: { code: '28P01' } })
  })

  test('left running by a killed process is taken over, with everything committed', async () => {
    const { child, url } = await startElsewhere()
    await query(url, 'create table kept (n int); insert into kept values (7)')
    const pid = await postmaster()
    await kill(child)
    const heir = await start()
    expect(await query(heir.url, 'select n from kept')).toEqual([{ n: 7 }])
    expect(await postmaster()).toBe(pid)
    await heir.stop()
    expect(existsSync(join(dataDir, 'postgres', 'postmaster.pid'))).toBe(false)
  })

  test('refuses a second service on the same folder, which the first does not notice', async () => {
    const { child, url } = await startElsewhere()
    const refused = startEmbedded(dataDir, log)
    await expect(refused).rejects.toThrow(ConfigError)
    await expect(refused).rejects.toThrow(`is in use by buildkite-mirror process ${child.pid}. Stop it first`)
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
    await kill(child)
    await start()
  })

  test('of two that start at the same moment exactly one runs', async () => {
    const outcomes = await Promise.allSettled([start(), start()])
    const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
    expect(refused).toHaveLength(1)
    expect(refused[0]?.reason).toBeInstanceOf(ConfigError)
  })

  test('killed with -9 is started again while the service runs, with everything committed', async () => {
    const { url } = await start()
    await query(url, 'create table kept (n int); insert into kept values (7)')
    process.kill(await postmaster(), 'SIGKILL')
    const rows = await until(() => query(url, 'select n from kept'), 'the server answers again')
    expect(rows).toEqual([{ n: 7 }])
  })

  test('killed with -9 while nobody watched recovers at the next start', async () => {
    const { child, url } = await startElsewhere()
    await query(url, 'create table kept (n int); insert into kept values (7)')
    await kill(child)
    process.kill(await postmaster(), 'SIGKILL')
    expect(await query((await start()).url, 'select n from kept')).toEqual([{ n: 7 }])
  })

  test('starts although its lock file names another process, as after a restart of a container', async () => {
    await (await start()).stop()
    const lock = [process.pid, join(dataDir, 'postgres'), 0, 5432, '', '127.0.0.1', '', 'ready']
    await writeFile(join(dataDir, 'postgres', 'postmaster.pid'), `${lock.join('\n')}\n`)
    const { url } = await start()
    expect(await query(url, 'select 1 as one')).toEqual([{ one: 1 }])
  })

  test.runIf(process.getuid?.() === 0)('as root refuses a folder that is closed to everybody else', async () => {
    const closed = join(folder, 'closed')
    await mkdir(closed, { mode: 0o700 })
    dataDir = join(closed, 'data')
    await expect(startEmbedded(dataDir, log)).rejects.toThrow(/PostgreSQL does not run as root, .* non-root user, or /)
  })

  test('gives nobody a superuser: its user owns the database, and cannot read files', async () => {
    const { url } = await start()
    await expect(query(url, "select pg_read_file('/etc/passwd')")).rejects.toMatchObject({ cause: { code: '42501' } })
    await expect(query(url, 'alter role buildkite superuser')).rejects.toMatchObject({ cause: { code: '42501' } })
    const [row] = await query(
      url,
      `select rolsuper, datdba::regrole::text as owner, (select count(*)::int from pg_roles where rolname = 'buildkite_helper') as helpers
       from pg_roles, pg_database where rolname = current_user and datname = current_database()`,
    )
    expect(row).toEqual({ rolsuper: false, owner: 'buildkite', helpers: 0 })
    const superuser = new URL(url)
    superuser.username = 'buildkite_superuser'
    await expect(query(superuser.href, 'select 1')).rejects.toMatchObject({ cause: { code: '28P01' } })
  })

  test('demotes the superuser of an earlier version, whose data, objects and roles stay usable at the same address', async () => {
    const before = await startAsEarlierVersion()
    await migrate(before.url)
    await query(
      before.url,
      `create table public.mine (n int); insert into mine values (7); create view public.seen as select id from buildkite.builds;
       create function public.one() returns int language sql return 1; create role bkm_analyst; create schema own; create table own.t ()`,
    )
    await before.stop()
    const { url } = await start()
    expect(url).toBe(before.url)
    await migrate(url)
    expect(await query(url, 'select n, one() from mine')).toEqual([{ n: 7, one: 1 }])
    await query(
      url,
      'grant buildkite_reader to bkm_analyst; grant usage on schema own to bkm_analyst; drop view seen; drop table own.t',
    )
    await query(url, 'alter table buildkite.builds add column added int')
    await expect(query(url, "select pg_read_file('/etc/passwd')")).rejects.toMatchObject({ cause: { code: '42501' } })
    const left = await query(
      url,
      `select relname from pg_class join pg_namespace n on n.oid = relnamespace
       where pg_get_userbyid(relowner) <> 'buildkite' and nspname !~ '^pg_' and nspname <> 'information_schema'`,
    )
    expect(left).toEqual([])
  })

  test('gets the symlinks of its libraries where npm ran no install scripts', async () => {
    const lib = join(folder, 'native', 'lib')
    await mkdir(lib, { recursive: true })
    await writeFile(join(lib, 'libpq.so.5.18'), 'library')
    const link = { source: 'native/lib/libpq.so.5.18', target: 'native/lib/libpq.so.5' }
    await writeFile(join(folder, 'native', 'pg-symlinks.json'), JSON.stringify([link]))
    await makeSymlinks(folder, 'a package')
    await makeSymlinks(folder, 'a package')
    expect(await readlink(join(lib, 'libpq.so.5'))).toBe('libpq.so.5.18')
    expect(await readFile(join(lib, 'libpq.so.5'), 'utf8')).toBe('library')
  })

  test('clears away what a start killed half-way left behind', async () => {
    const abandoned = join(dataDir, 'postgres.new-4194305-1234abcd')
    await mkdir(join(abandoned, 'data'), { recursive: true })
    await start()
    expect((await readdir(dataDir)).sort()).toEqual(['postgres', 'postgres.log', 'postgres.url'])
  })

  test('refuses data of another PostgreSQL in a sentence that says what to do', async () => {
    await (await start()).stop()
    await writeFile(join(dataDir, 'postgres', 'PG_VERSION'), '17\n')
    await expect(startEmbedded(dataDir, log)).rejects.toThrow(
      'holds data of PostgreSQL 17, but this version uses PostgreSQL 18',
    )
  })
})
