import { hasEmbedded, startEmbedded } from '../database/embedded/embedded.ts'
import { type MoveProgress, type MoveReport, moveDatabase } from '../database/move.ts'
import { type Config, readConfig } from '../runtime/config.ts'
import { ConfigError } from '../runtime/errors.ts'
import { createLog } from '../runtime/log.ts'
import { stopOnSignal } from '../runtime/signals.ts'
import type { Command, Io, Values } from './shell/command.ts'
import { count, ProgressBar, paintFor, table } from './shell/terminal.ts'

export const move: Command = {
  name: 'move',
  summary: 'move the mirror from the embedded PostgreSQL to your own',
  about:
    'Copies everything from the embedded PostgreSQL in DATA_DIR to an empty database, and compares every table by rows and\n' +
    'checksum. Stop the service first. It is all or nothing: after an error, Ctrl-C or a kill, the target is still empty.\n' +
    'DATA_DIR is never changed. The queue is not moved: the service enqueues waiting deliveries again from the inbox.',
  options: {
    to: {
      value: '<url>',
      about: 'the empty database, as postgres://user@host:5432/name, without a password (default: DATABASE_URL)',
    },
    json: { about: 'print JSON at the end' },
  },
  async run(values, io) {
    const { from, to } = placesOf(values, io)
    const signal = stopOnSignal()
    const log = createLog('warn')
    const source = await startEmbedded(from, log)
    const out = values.json ? io.stderr : io.stdout
    const bar = new ProgressBar(out, 'move', io.env)
    try {
      const onProgress = (progress: MoveProgress) => show(bar, progress)
      const report = await moveDatabase({ from: source.url, to, onProgress, signal })
      bar.end('Copied and compared.')
      if (values.json) io.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
      else print(report, from, io)
      return 0
    } catch (error) {
      if (!signal.aborted) throw error
      bar.end('Stopped. The target is still empty, and DATA_DIR was not changed.')
      return 1
    } finally {
      await source.stop()
    }
  },
}

/** @throws ConfigError when there is nothing to move, or no target. */
function placesOf({ to }: Values, { env }: Io): { from: string; to: string } {
  if (typeof to === 'string' && hasPassword(to)) {
    throw new ConfigError(
      '--to has a password, and every user of this machine can read the arguments of a command. ' +
        'Set DATABASE_URL, or DATABASE_URL_FILE, to the target instead, and leave out --to.',
    )
  }
  const config = typeof to === 'string' ? readWith(to, env) : readConfig(env)
  if (!config.databaseUrl) {
    throw new ConfigError(
      'The target is missing: set DATABASE_URL, or give --to postgres://user@host:5432/name (without a password).',
    )
  }
  if (!hasEmbedded(config.dataDir)) {
    throw new ConfigError(
      `There is no embedded PostgreSQL in DATA_DIR=${config.dataDir}. Set DATA_DIR to the folder that the service used.`,
    )
  }
  return { from: config.dataDir, to: config.databaseUrl }
}

function hasPassword(text: string): boolean {
  const url = URL.canParse(text) ? new URL(text) : undefined
  return url !== undefined && (url.password !== '' || url.searchParams.has('password'))
}

/** Reads `--to` as if it were DATABASE_URL, so that errors have the same text. */
function readWith(to: string, env: Io['env']): Config {
  try {
    return readConfig({ ...env, DATABASE_URL: to, DATABASE_URL_FILE: undefined })
  } catch (error) {
    if (error instanceof ConfigError)
      throw new ConfigError(error.message.replace(/^DATABASE_URL /m, '--to ').replace('user:password@', 'user@'))
    throw error
  }
}

function show(bar: ProgressBar, { doing, table: name, rows, expected }: MoveProgress): void {
  if (doing === 'copy' && rows > 0) bar.show({ done: rows, expected, unit: `rows of ${name}` })
  else bar.note(doing === 'commit' ? 'committing …' : `${doing === 'copy' ? 'copying' : 'comparing'} ${name} …`)
}

function print({ tables, leftOut }: MoveReport, from: string, io: Io): void {
  const paint = paintFor(io.stdout, io.env)
  const rows = tables.map(({ name, rows: n, checksum }) => [name, count(n), checksum, paint.green('equal')])
  io.stdout.write(`\n${table([['table', 'rows', 'checksum', 'source and target'], ...rows], paint)}\n\n`)
  for (const name of leftOut) io.stdout.write(`note: ${name} was not moved: it is not a table of this version.\n`)
  const all = tables.reduce((sum, { rows: n }) => sum + n, 0)
  io.stdout.write(
    `${paint.bold(`Moved ${count(all)} rows in ${tables.length} tables; every checksum is equal.`)}\n` +
      'Set DATABASE_URL to the new database and start the service. Create the grants to your own roles again there.\n' +
      `${from} was not changed: keep it until you have checked the new database, then delete it.\n`,
  )
}
