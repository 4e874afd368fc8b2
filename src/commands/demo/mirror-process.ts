import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { closeSync, openSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { settings } from '../../runtime/config.ts'
import { messageOf } from '../../runtime/errors.ts'
import { pause, SECOND, withDeadline } from '../../runtime/time.ts'

/** The real service, run in its own process next to the simulated Buildkite. */
export interface DemoService {
  /** The URL that receives webhooks. */
  readonly webhookUrl: string
  /** The URL of the status page. */
  readonly privateUrl: string
  /** Resolves with an error message when the service exits unexpectedly. */
  readonly died: Promise<string>
  /** Stops it with SIGTERM, and with SIGKILL after `deadlineMs`. Returns which of them was needed. */
  stop(deadlineMs: number): Promise<'gracefully' | 'by force'>
  kill(): void
}

/** The user ended the demo before the service answered. */
export class StoppedEarly extends Error {}

export interface DemoServiceOptions {
  databaseUrl: string
  apiUrl: string
  token: string
  secret: string
  /** The file for all output of the service. */
  logFile: string
  dataDir: string
}

/**
 * Starts `serve` of this same program and waits until it answers.
 * @throws Error with the end of its log if it does not start.
 */
export async function startDemoService(options: DemoServiceOptions, signal: AbortSignal): Promise<DemoService> {
  const [port, adminPort] = await freePorts(2)
  const url = `http://127.0.0.1:${port}`
  const log = openSync(options.logFile, 'a')
  // In its own process group, so that a Ctrl-C on the terminal reaches only us, and we stop the service in order.
  const child = spawn(process.execPath, [...process.execArgv, process.argv[1] ?? '', 'serve'], {
    detached: true,
    stdio: ['ignore', log, log],
    env: { ...process.env, ...environment(options, String(port), String(adminPort)) },
  })
  closeSync(log)
  const ended = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(messageOf(error)))
    child.once('exit', (code, by) => resolve(`exit ${by ?? code}`))
  })
  const died = ended.then(
    async (how) => `The service exited (${how}). The end of its log:\n${await tail(options.logFile)}`,
  )
  const service: DemoService = {
    webhookUrl: `${url}/webhooks/buildkite`,
    privateUrl: `http://127.0.0.1:${adminPort}/`,
    died,
    stop: (deadlineMs) => stop(child, ended, deadlineMs),
    kill: () => child.kill('SIGKILL'),
  }
  try {
    await untilLive(url, child, signal)
  } catch (error) {
    service.kill()
    if (error instanceof StoppedEarly) throw error
    throw new Error(`${messageOf(error)} The end of its log:\n${await tail(options.logFile)}`)
  }
  return service
}

/** Keeps settings of the user's environment and `.env` out of the demo: an empty setting counts as not set. */
function environment(options: DemoServiceOptions, port: string, adminPort: string): Record<string, string> {
  return {
    ...Object.fromEntries(settings.flatMap(({ name }) => [name, `${name}_FILE`]).map((name) => [name, ''])),
    https_proxy: '',
    no_proxy: '',
    DATABASE_URL: options.databaseUrl,
    DATA_DIR: options.dataDir,
    BUILDKITE_API_URL: options.apiUrl,
    BUILDKITE_API_TOKEN: options.token,
    WEBHOOK_SECRET: options.secret,
    HOST: '127.0.0.1',
    PORT: port,
    ADMIN_PORT: adminPort,
    RECONCILE_INTERVAL: '10s',
    API_BUDGET_SHARE: '1',
    LOG_LEVEL: 'warn',
  }
}

async function untilLive(url: string, child: ChildProcess, signal: AbortSignal): Promise<void> {
  const deadline = Date.now() + 60 * SECOND
  while (Date.now() < deadline && !signal.aborted) {
    if (child.exitCode !== null || child.signalCode !== null) throw new Error('The service did not start.')
    const live = await fetch(`${url}/health/live`, { signal: AbortSignal.timeout(SECOND) }).catch(() => undefined)
    await live?.body?.cancel()
    if (live?.ok) return
    await pause(100, signal)
  }
  throw signal.aborted ? new StoppedEarly() : new Error('The service did not answer within 60 s.')
}

async function stop(
  child: ChildProcess,
  ended: Promise<unknown>,
  deadlineMs: number,
): Promise<'gracefully' | 'by force'> {
  child.kill('SIGTERM')
  try {
    await withDeadline(ended, deadlineMs, 'The service')
    return 'gracefully'
  } catch {
    child.kill('SIGKILL')
    await ended
    return 'by force'
  }
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '')
  return text.trimEnd().split('\n').slice(-15).join('\n') || '(empty)'
}

/** Ports that are free now. */
async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer().listen(0, '127.0.0.1'))
  await Promise.all(servers.map((server) => once(server, 'listening')))
  return Promise.all(
    servers.map(async (server) => {
      const address = server.address()
      await once(server.close(), 'close')
      return typeof address === 'object' && address ? address.port : 0
    }),
  )
}
