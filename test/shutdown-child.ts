// A process that does nothing but close, for shutdown.test.ts. The first argument says how.
import { createLog } from '../src/runtime/log.ts'
import { createShutdown } from '../src/runtime/shutdown.ts'

const [way] = process.argv.slice(2)
const shutdown = createShutdown(createLog('info', 'stdout'))
const alive = setInterval(() => {}, 1_000)
if (way === 'hang') shutdown.add('the hanging store', () => new Promise(() => {}), 60_000)
shutdown.add('the timer', () => clearInterval(alive), 1_000)
shutdown.install()
if (way === 'crash') setTimeout(() => Promise.reject(new Error('A part broke.')), 10)
if (way === 'give up') setTimeout(() => shutdown.run('Postgres ended', new Error('It must run.')), 10)
process.stdout.write('ready\n')
