import { withHome } from '../database/find-postgres.ts'
import { migrate as migrateDatabase, setUpRoles } from '../database/migrations/migrate.ts'
import { readConfig } from '../runtime/config.ts'
import { createLog } from '../runtime/log.ts'
import type { Command } from './shell/command.ts'
import { whileWaiting } from './shell/terminal.ts'

export const migrate: Command = {
  name: 'migrate',
  summary: "migrate the database to this version's schema",
  about:
    'Applies the pending migrations and exits. The service does the same at start, unless AUTO_MIGRATE is false: then run\n' +
    'this before a rolling upgrade. Several machines may run it at once. Without REDIS_URL it also creates the schema of the queue.',
  options: {
    roles: {
      about: 'first create the database roles of docs/operations/database-roles.md, and make buildkite_owner the owner',
    },
  },
  async run(values, io) {
    const config = readConfig(io.env)
    const log = createLog(config.logLevel)
    const work = withHome(config, log, async (url) => {
      if (values.roles) await setUpRoles(url, log)
      await migrateDatabase(url, log)
      if (config.redisUrl) return
      // Loaded only now, because loading BullMQ is slow.
      const { migrateQueue } = await import('../queue/postgres.ts')
      await migrateQueue(url)
    })
    await whileWaiting(io.stderr, io.env, 'migrating', work)
    io.stdout.write('The database has the schema of this version.\n')
    return 0
  },
}
