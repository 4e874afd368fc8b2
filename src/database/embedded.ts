import { ConfigError } from '../errors.ts'
import type { Log } from '../log.ts'

export interface EmbeddedPostgres {
  readonly url: string
  stop(deadlineMs?: number): Promise<void>
}

export async function startEmbedded(_dataDir: string, _log: Log): Promise<EmbeddedPostgres> {
  throw new ConfigError('The embedded PostgreSQL is not here yet. Set DATABASE_URL.')
}
