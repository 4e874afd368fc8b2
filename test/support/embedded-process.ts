import { startEmbedded } from '../../src/database/embedded/embedded.ts'
import { createLog } from '../../src/runtime/log.ts'

// A process of its own for tests that kill one: starts the embedded PostgreSQL, tells its URL and waits for the end.
const { url } = await startEmbedded(process.argv[2] ?? '', createLog('silent'))
process.send?.(url)
setInterval(() => {}, 60_000)
