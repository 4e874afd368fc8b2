import { readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { type Embedded, startEmbedded } from '../../src/database/embedded/embedded.ts'
import { createLog } from '../../src/runtime/log.ts'
import { superuserUrl } from './embedded-superuser.ts'
import { makeFolder } from './folder.ts'

/** A PostgreSQL of a test's own: to be crashed, or where so many processes connect that they would leave other tests none of the machine's. */
export interface OwnPostgres {
  /** A superuser's URL, to an empty database. */
  readonly url: string
  /** Ends it as a power cut would; it starts again by itself, and recovers. */
  crash(): Promise<void>
  stop(): Promise<void>
}

export async function startOwnPostgres(): Promise<OwnPostgres> {
  const folder = await makeFolder('bkm-own-')
  const embedded: Embedded = await startEmbedded(folder, createLog('silent'))
  return {
    url: await superuserUrl(folder, embedded.url),
    async crash() {
      const [pid] = (await readFile(join(folder, 'postgres', 'postmaster.pid'), 'utf8')).split('\n')
      process.kill(Number(pid), 'SIGQUIT')
    },
    async stop() {
      await embedded.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
