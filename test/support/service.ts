import { type ChildProcess, spawn } from 'node:child_process'
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { freePort } from './free-port.ts'
import { until } from './until.ts'

const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

/** The built service as a process of its own, the way a user runs it. */
export interface ServiceProcess {
  readonly publicUrl: string
  readonly privateUrl: string
  readonly process: ChildProcess
  /** Everything it has written so far. */
  output(): string
  /** `/status` of the private listener. */
  status(): Promise<Record<string, unknown>>
  /** Ends it with a signal and returns its exit code, or the signal's name. */
  stop(signal?: NodeJS.Signals): Promise<number | string>
}

/** Starts `buildkite-mirror serve` with these settings and nothing else, and waits until it is ready. `program` is another build of it. */
export async function startService(
  settings: Record<string, string>,
  ready = true,
  program = cli,
): Promise<ServiceProcess> {
  if (!existsSync(program)) throw new Error('dist/cli.js is missing. Run npm run build, or npm test, which does.')
  const [port, adminPort] = await Promise.all([freePort(), freePort()])
  const child = spawn(process.execPath, [program, 'serve'], {
    env: {
      PATH: process.env.PATH ?? '',
      HOST: '127.0.0.1',
      PORT: String(port),
      ADMIN_PORT: String(adminPort),
      LOG_LEVEL: 'info',
      ...settings,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  for (const stream of [child.stdout, child.stderr]) stream?.on('data', (chunk) => (output += String(chunk)))
  const ended = new Promise<number | string>((resolve) => {
    child.once('exit', (code, signal) => resolve(code ?? signal ?? 'unknown'))
  })
  const service: ServiceProcess = {
    publicUrl: `http://127.0.0.1:${port}`,
    privateUrl: `http://127.0.0.1:${adminPort}`,
    process: child,
    output: () => output,
    async status() {
      const response = await fetch(`${service.privateUrl}/status`)
      return (await response.json()) as Record<string, unknown>
    },
    async stop(signal = 'SIGTERM') {
      child.kill(signal)
      return ended
    },
  }
  if (ready) {
    const answersReady = async () => (await fetch(`${service.publicUrl}/health/ready`)).status === 200
    await untilService(service, answersReady, 'the service becomes ready').catch((error: unknown) => {
      child.kill('SIGKILL')
      throw error
    })
  }
  return service
}

/** Waits for something that a starting process does. A busy machine may be slow: it fails when the process ended, or after 5 minutes. */
export async function untilService(
  { process, output }: Pick<ServiceProcess, 'process' | 'output'>,
  condition: () => boolean | Promise<boolean>,
  what: string,
): Promise<void> {
  const hasEnded = () => process.exitCode !== null || process.signalCode !== null
  const attempt = async () => hasEnded() || (await condition())
  try {
    await until(attempt, what, 300_000, 50)
    if (hasEnded()) throw new Error('The service ended early')
  } catch (error) {
    throw new Error(`${what}: no. The service said:\n${output()}`, { cause: error })
  }
}

/** Runs another command of the built command line to its end. `program` is another build of it. */
export async function runCommand(
  args: readonly string[],
  settings: Record<string, string>,
  interrupted?: Promise<unknown>,
  program = cli,
): Promise<{ code: number | string; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, [program, ...args], {
    env: { PATH: process.env.PATH ?? '', LOG_LEVEL: 'warn', ...settings },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let stdout = ''
  let stderr = ''
  child.stdout.on('data', (chunk) => (stdout += String(chunk)))
  child.stderr.on('data', (chunk) => (stderr += String(chunk)))
  void interrupted?.then(() => child.kill('SIGINT'))
  const code = await new Promise<number | string>((resolve) => {
    child.once('close', (exit, signal) => resolve(exit ?? signal ?? 'unknown'))
  })
  return { code, stdout, stderr }
}
