import { readConfig } from '../config.ts'
import { createLog } from '../log.ts'
import type { Command } from './command.ts'
import { withDatabase } from './stores.ts'
import { whileWaiting } from './terminal.ts'

export const migrate: Command = {
  name: 'migrate',
  summary: 'bring the database to the schema of this version',
  about:
    'Applies the pending migrations and ends. The service does the same when it starts, unless AUTO_MIGRATE is false: then run\n' +
    'this before a rolling upgrade. Safe to run from many machines at once.',
  options: {},
  async run(_values, io) {
    const config = { ...readConfig(io.env), autoMigrate: true }
    const work = withDatabase(config, createLog(config.logLevel), 'migrate', async () => {})
    await whileWaiting(io.stderr, io.env, 'migrating', work)
    io.stdout.write('The database has the schema of this version.\n')
    return 0
  },
}
