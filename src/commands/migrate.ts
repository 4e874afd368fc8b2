import { withDatabase } from '../database/find-postgres.ts'
import { readConfig } from '../runtime/config.ts'
import { createLog } from '../runtime/log.ts'
import type { Command } from './shell/command.ts'
import { whileWaiting } from './shell/terminal.ts'

export const migrate: Command = {
  name: 'migrate',
  summary: "migrate the database to this version's schema",
  about:
    'Applies the pending migrations and exits. The service does the same at start, unless AUTO_MIGRATE is false: then run\n' +
    'this before a rolling upgrade. Several machines may run it at once.',
  options: {},
  async run(_values, io) {
    const config = { ...readConfig(io.env), autoMigrate: true }
    const work = withDatabase(config, createLog(config.logLevel), 'migrate', async () => {})
    await whileWaiting(io.stderr, io.env, 'migrating', work)
    io.stdout.write('The database has the schema of this version.\n')
    return 0
  },
}
