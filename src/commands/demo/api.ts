import { ConfigError } from '../../runtime/errors.ts'
import { pause, SECOND } from '../../runtime/time.ts'
import { demoToken } from '../../simulator/api/api.ts'
import { realClock } from '../../simulator/random.ts'
import { createSimulation } from '../../simulator/simulation.ts'
import type { Io } from '../shell/command.ts'

export interface DemoApiOptions {
  readonly builds: number
  /** How long it runs; undefined for no end. */
  readonly seconds: number | undefined
  readonly rateLimit: number | undefined
  readonly seed: string
  readonly port: number
}

/**
 * Runs only the simulated Buildkite, until `stopping` aborts or its seconds are over. It has an API, changing builds, and webhooks to
 * the services that are registered with it. @throws ConfigError if the port is in use.
 */
export async function runDemoApi(options: DemoApiOptions, io: Io, stopping: AbortSignal): Promise<number> {
  const { builds, seconds, rateLimit, seed, port } = options
  const simulation = createSimulation({ seed, clock: realClock })
  try {
    simulation.writeHistory({ builds, days: 30 })
    const api = await simulation
      .startApi({ port, limits: { organization: rateLimit, user: rateLimit } })
      .catch((error: unknown) => {
        throw new ConfigError(`Cannot listen on port ${port}. Choose another one with --port.`, { cause: error })
      })
    simulation.startDispatch()
    simulation.live({ everyMs: 500, atOnce: 4, steps: 1 })
    const [organization] = simulation.truth.organizations
    const end = seconds === undefined ? 'Press Ctrl-C to stop.' : `It stops after ${seconds} s, or with Ctrl-C.`
    io.stdout.write(
      `A simulated Buildkite with the organization "${organization?.slug}" and ${builds} builds. For the commands of buildkite-mirror:\n\n` +
        `  export BUILDKITE_API_URL=${api.url}\n  export BUILDKITE_API_TOKEN=${demoToken.token}\n\n` +
        `Builds come and go, and webhooks are sent to each registered service. ${end}\n`,
    )
    if (seconds !== undefined) await pause(seconds * SECOND, stopping)
    else if (!stopping.aborted)
      await new Promise((resolve) => stopping.addEventListener('abort', resolve, { once: true }))
    return 0
  } finally {
    await simulation.stop()
  }
}
