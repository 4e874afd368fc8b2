import { copyToProcess, readConfig } from '../runtime/config.ts'
import { createLog } from '../runtime/log.ts'
import { createShutdown } from '../runtime/shutdown.ts'
import { SECOND } from '../runtime/time.ts'
import { openTracing } from '../runtime/tracing.ts'
import type { Command } from './shell/command.ts'

export const serve: Command = {
  name: 'serve',
  summary: 'run the service: receive webhooks, apply them, reconcile',
  about:
    'Runs until SIGTERM or SIGINT, then shuts down gracefully; a second signal exits at once. ROLES chooses what this process\n' +
    'does, so that several machines can share the work: web receives, worker applies, reconciler reads the API.',
  options: {},
  async run(_values, io) {
    const config = readConfig(io.env)
    const log = createLog(config.logLevel, 'stdout')
    const shutdown = createShutdown(log)
    shutdown.install()
    const tracing = await openTracing(copyToProcess(io.env, 'OTEL_'), log)
    if (tracing) shutdown.add('tracing', (ms) => tracing.close(ms), 2 * SECOND)
    // Loaded only now: with Fastify and BullMQ, every other command would start more slowly and take more memory.
    const { startService } = await import('../wiring.ts')
    await startService(config, log, shutdown, tracing)
    // Never resolves: shutdown ends the process.
    return new Promise<number>(() => {})
  },
}
