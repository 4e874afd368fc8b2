import { appendFile, chown, copyFile, readFile, rm, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { type Embedded, startEmbedded } from '../../src/database/embedded/embedded.ts'
import { createLog } from '../../src/runtime/log.ts'
import type { Certificate } from './certificates.ts'
import { superuserUrl } from './embedded-superuser.ts'
import { makeFolder } from './folder.ts'

/** A PostgreSQL of a test's own: to be crashed, or where so many processes connect that they would leave other tests none of the machine's. */
export interface OwnPostgres {
  /** A superuser's URL, to an empty database. */
  readonly url: string
  /** Ends it as a power cut would; it starts again by itself, and recovers. */
  crash(): Promise<void>
  /**
   * Takes new connections only with TLS and this certificate. With `clientCa`, only clients that this CA certified; without, none is
   * asked for a certificate.
   */
  demandTls(certificate: Certificate, clientCa?: string): Promise<void>
  stop(): Promise<void>
}

export async function startOwnPostgres(): Promise<OwnPostgres> {
  const folder = await makeFolder('bkm-own-')
  const embedded: Embedded = await startEmbedded(folder, createLog('silent'))
  const cluster = join(folder, 'postgres')
  const signal = async (name: NodeJS.Signals) => {
    const [pid] = (await readFile(join(cluster, 'postmaster.pid'), 'utf8')).split('\n')
    process.kill(Number(pid), name)
  }
  return {
    url: await superuserUrl(folder, embedded.url),
    crash: () => signal('SIGQUIT'),
    async demandTls({ cert, key }, clientCa) {
      const { uid, gid } = await stat(cluster)
      for (const [from, name] of [
        [cert, 'server.crt'],
        [key, 'server.key'],
        [clientCa ?? cert, 'root.crt'],
      ] as const) {
        await copyFile(from, join(cluster, name))
        await chown(join(cluster, name), uid, gid)
      }
      await appendFile(join(cluster, 'postgresql.conf'), "ssl = on\nssl_ca_file = 'root.crt'\n")
      const more = clientCa === undefined ? '' : ' clientcert=verify-ca'
      await writeFile(join(cluster, 'pg_hba.conf'), `hostssl all all 127.0.0.1/32 trust${more}\n`)
      await signal('SIGHUP')
    },
    async stop() {
      await embedded.stop()
      await rm(folder, { recursive: true, force: true })
    },
  }
}
