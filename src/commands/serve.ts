import { join } from 'node:path'
import { type Config, copyToProcess, readConfig } from '../runtime/config.ts'
import { createLog } from '../runtime/log.ts'
import { createShutdown } from '../runtime/shutdown.ts'
import { SECOND } from '../runtime/time.ts'
import { openTracing } from '../runtime/tracing.ts'
import type { Command } from './shell/command.ts'
import { isLive, labelled, type Paint, paintFor } from './shell/terminal.ts'

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
    const { publicPort, privatePort } = await startService(config, log, shutdown, tracing)
    // For people only: elsewhere stdout is a log of JSON lines.
    if (isLive(io.stdout, io.env) && !shutdown.signal.aborted) {
      const block = whereToLook(config, publicPort, privatePort, paintFor(io.stdout, io.env))
      io.stdout.write(`\n${block}\n\n`)
    }
    // Never resolves: shutdown ends the process.
    return new Promise<number>(() => {})
  },
}

/** Where to look, where webhooks go, and what to do next. */
export function whereToLook(config: Config, publicPort: number, privatePort: number, paint: Paint): string {
  const page = urlOf(config.adminHost, privatePort)
  const receives = config.roles.has('web')
  return labelled(
    [
      ['Status page', page],
      ['Explore', `${page}explore`],
      ...(receives ? [['Webhook URL', `${urlOf(config.host, publicPort)}webhooks/buildkite`] as const] : []),
      ['SQL', config.databaseUrl ? 'psql "$DATABASE_URL"' : `psql "$(cat ${join(config.dataDir, 'postgres.url')})"`],
      ['Next step', nextStep(config)],
    ],
    paint,
  )
}

function urlOf(host: string, port: number): string {
  const everywhere = host === '0.0.0.0' || host === '::'
  return `http://${everywhere ? 'localhost' : host.includes(':') ? `[${host}]` : host}:${port}/`
}

function nextStep({ apiTokens, webhookSecrets, roles }: Config): string {
  if (apiTokens.length === 0) return 'set BUILDKITE_API_TOKEN, or see it with data: buildkite-mirror demo'
  if (roles.has('web') && webhookSecrets.length === 0) return 'buildkite-mirror register --url https://your-host'
  return 'buildkite-mirror check'
}
