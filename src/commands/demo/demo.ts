import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { openDatabase } from '../../database/connection.ts'
import { startEmbedded } from '../../database/embedded/embedded.ts'
import { ConfigError } from '../../runtime/errors.ts'
import { createLog } from '../../runtime/log.ts'
import { onStopSignals } from '../../runtime/signals.ts'
import { MINUTE, pause, SECOND } from '../../runtime/time.ts'
import { type Api, demoToken } from '../../simulator/api/api.ts'
import type { Build } from '../../simulator/model/shapes.ts'
import { createRandom, realClock } from '../../simulator/random.ts'
import { createSimulation, type Simulation } from '../../simulator/simulation.ts'
import type { Webhooks } from '../../simulator/webhooks/webhooks.ts'
import type { Command, Io, Values } from '../shell/command.ts'
import { labelled, paintFor } from '../shell/terminal.ts'
import { runDemoApi } from './api.ts'
import { type Comparison, compare, isWhole } from './comparison.ts'
import { type DemoService, StoppedEarly, startDemoService } from './mirror-process.ts'
import { proofLines, Screen, type Sight } from './view.ts'

export const demo: Command = {
  name: 'demo',
  summary: 'watch the service mirror a simulated Buildkite',
  about:
    'Starts a simulated Buildkite organization with some history and builds that run while you watch, and next to it the real\n' +
    'service with its own PostgreSQL. It loses some webhooks on purpose, and the reconciler finds the missing data.\n' +
    'The first Ctrl-C ends the simulated builds, waits until the mirror has healed, and shows the proof; the second stops at once.\n' +
    'It installs nothing, nothing leaves this machine, and at the end everything is removed.',
  options: {
    builds: { value: '<n>', about: 'builds of history at the start (default 3000)' },
    seconds: { value: '<s>', about: 'stop after this time, once the mirror is complete (default: until Ctrl-C)' },
    drop: { value: '<share>', about: 'share of webhooks that get lost, from 0 to 1 (default 0.1)' },
    'rate-limit': { value: '<n>', about: "the API's requests a minute, or none (default 200)" },
    seed: { value: '<text>', about: 'seed of the simulation (default 1)' },
    keep: { about: 'keep the database at the end' },
    'api-only': {
      about: 'only the simulated Buildkite, to try register and serve on; no service, no database',
    },
    port: { value: '<n>', about: 'with --api-only: port of the API on 127.0.0.1 (default: a free port)' },
    json: { about: 'print only a summary as JSON at the end' },
  },
  async run(values, io) {
    const options = readOptions(values)
    const stops = listenForStops()
    stops.stop.addEventListener('abort', () => io.stderr.write('\nStopping …\n'))
    return options.apiOnly ? runDemoApi(options, io, stops.end) : runDemo(options, io, stops)
  },
}

/** How the user ends the demo. */
interface Stops {
  /** Aborts at the first Ctrl-C: the demo settles. */
  readonly settle: AbortSignal
  /** Aborts at the second one, or at SIGTERM: the demo stops at once. */
  readonly stop: AbortSignal
  /** Aborts at the first of both. */
  readonly end: AbortSignal
}

function listenForStops(): Stops {
  const settle = new AbortController()
  const stop = new AbortController()
  onStopSignals(
    (signal) => (signal === 'SIGINT' ? settle : stop).abort(),
    () => (stop.signal.aborted ? process.exit(130) : stop.abort()),
  )
  return { settle: settle.signal, stop: stop.signal, end: AbortSignal.any([settle.signal, stop.signal]) }
}

interface DemoOptions {
  builds: number
  seconds: number | undefined
  drop: number
  rateLimit: number | undefined
  seed: string
  keep: boolean
  json: boolean
  apiOnly: boolean
  port: number
}

/** Options without effect on the API alone: it loses no webhooks on purpose, and has no database and no summary. */
const OF_THE_WHOLE = ['drop', 'keep', 'json']

/** @throws ConfigError for options that have no effect together. */
function demandFit(values: Values): void {
  const idle = values['api-only'] ? OF_THE_WHOLE.find((name) => values[name] !== undefined) : undefined
  if (idle) throw new ConfigError(`--${idle} has no effect with --api-only. Leave out one of them.`)
  if (values.port !== undefined && !values['api-only']) {
    throw new ConfigError('--port has no effect without --api-only. Leave it out, or add --api-only.')
  }
}

function readOptions(values: Values): DemoOptions {
  demandFit(values)
  const number = (name: string, fallback: number, from: number, to: number) => {
    const given = values[name]
    const value = given === undefined ? fallback : Number(given)
    if (given !== '' && value >= from && value <= to) return value
    throw new ConfigError(`--${name} is "${given}". Use a number from ${from} to ${to}.`)
  }
  return {
    builds: Math.trunc(number('builds', 3_000, 0, 200_000)),
    seconds: values.seconds === undefined ? undefined : number('seconds', 0, 1, 86_400),
    drop: number('drop', 0.1, 0, 1),
    rateLimit: values['rate-limit'] === 'none' ? undefined : number('rate-limit', 200, 1, 1_000_000),
    seed: typeof values.seed === 'string' ? values.seed : '1',
    keep: values.keep === true,
    json: values.json === true,
    apiOnly: values['api-only'] === true,
    port: Math.trunc(number('port', 0, 0, 65_535)),
  }
}

async function runDemo(options: DemoOptions, io: Io, stops: Stops): Promise<number> {
  const say = (text: string) => options.json || io.stdout.write(`${text}\n`)
  const folder = await mkdtemp(join(tmpdir(), 'buildkite-mirror-demo-'))
  // For root: the user that runs PostgreSQL must pass through.
  await chmod(folder, 0o711)
  // Runs in reverse order at the end, also after an error.
  const undo: (() => Promise<unknown>)[] = []
  if (!options.keep) undo.push(() => rm(folder, { recursive: true, force: true }))
  try {
    say('Starting PostgreSQL …')
    const embedded = await startEmbedded(folder, createLog('warn'))
    undo.push(() => embedded.stop())
    const simulation = createSimulation({ seed: options.seed, clock: realClock })
    undo.push(() => simulation.stop())
    simulation.writeHistory({ builds: options.builds, days: 30 })
    const api = await simulation.startApi({ limits: { organization: options.rateLimit, user: options.rateLimit } })
    const secret = createRandom(`${options.seed} ${Date.now()}`).hex(32)
    say('Starting the service …')
    const service = await startDemoService(
      {
        databaseUrl: embedded.url,
        apiUrl: api.url,
        token: demoToken.token,
        secret,
        logFile: join(folder, 'service.log'),
        dataDir: folder,
      },
      stops.end,
    )
    const killAtExit = () => service.kill()
    process.once('exit', killAtExit)
    undo.push(async () => {
      const how = await service.stop(20 * SECOND)
      process.off('exit', killAtExit)
      say(how === 'gracefully' ? 'The service has stopped.' : 'The service had to be killed.')
    })
    const paint = paintFor(io.stdout, io.env)
    const block = labelled(
      [
        ['Status page', service.privateUrl],
        ['Explore', `${service.privateUrl}explore`],
        ['Webhook URL', service.webhookUrl],
        ['SQL', `psql "$(cat ${join(folder, 'postgres.url')})"`],
        ['Ctrl-C', 'settles and shows the proof; a second Ctrl-C stops at once'],
      ],
      paint,
    )
    say(`\nThe service mirrors a simulated Buildkite.\n\n${block}\n`)
    return await watch({ options, io, stops, simulation, api, service, secret, url: embedded.url })
  } catch (error) {
    if (stops.stop.aborted || error instanceof StoppedEarly) return 0
    throw error
  } finally {
    for (const step of undo.reverse()) await step()
    if (options.keep) say(`Kept: DATA_DIR=${folder} (the log of the service is service.log in it)`)
  }
}

interface Watching {
  options: DemoOptions
  io: Io
  stops: Stops
  simulation: Simulation
  api: Api
  service: DemoService
  secret: string
  url: string
}

async function watch(watching: Watching): Promise<number> {
  const { options, io, stops, simulation, api, service } = watching
  const { truth } = simulation
  const started = Date.now()
  const lost = new Set<Build>()
  const chance = createRandom(`lost ${options.seed}`)
  const webhooks = simulation.startWebhooks({
    url: service.webhookUrl,
    secret: watching.secret,
    choose({ build }) {
      if (!chance.chance(options.drop)) return 'send'
      if (build) lost.add(build)
      return 'drop'
    },
  })
  webhooks.ping()
  for (const agent of truth.agents) truth.tell({ event: 'agent.connected', agent }, started)
  const stopLive = simulation.live()

  const database = openDatabase(watching.url, { name: 'buildkite-mirror demo', connections: 2 })
  const screen = new Screen(io.stdout, io.env)
  let death: string | undefined
  void service.died.then((how) => {
    death = how
  })
  let comparison: Comparison | undefined
  let took = 0
  const look = async (doing: string, last = false) => {
    const asked = Date.now()
    comparison = await compare(database.db, truth, lost).catch(() => comparison)
    took = Date.now() - asked
    if (options.json) return
    screen.show(sightOf(doing, started, comparison, webhooks, api), last)
  }
  try {
    const end = options.seconds === undefined ? Number.POSITIVE_INFINITY : started + options.seconds * SECOND
    while (!stops.end.aborted && death === undefined && Date.now() < end) {
      await look('builds come and go')
      // Comparing a large mirror takes long and must not keep it busy.
      await pause(Math.max(io.stdout.isTTY ? 500 : SECOND, 5 * took), stops.end)
    }
    stopLive()
    if (!stops.stop.aborted && death === undefined) {
      await Promise.race([simulation.play(), aborted(stops.stop)])
      const deadline = Date.now() + 2 * MINUTE + backfillMs(options)
      do {
        await look('settling: all builds have finished; the mirror heals what got lost')
        await pause(Math.max(500, took), stops.stop)
      } while (!isWhole(comparison) && Date.now() < deadline && !stops.stop.aborted && death === undefined)
    }
    await look('the end', true)
  } finally {
    stopLive()
    await webhooks.stop()
    await database.close(SECOND)
  }
  if (death !== undefined && !stops.stop.aborted) throw new Error(death)
  return conclude(watching, sightOf('the end', started, comparison, webhooks, api))
}

/** About how long the backfill takes under the API's rate limit. */
const backfillMs = ({ builds, rateLimit }: DemoOptions) => (rateLimit ? (1.5 * MINUTE * builds) / 100 / rateLimit : 0)

function sightOf(
  doing: string,
  started: number,
  comparison: Comparison | undefined,
  webhooks: Webhooks,
  api: Api,
): Sight {
  const now = Date.now()
  const limited = api.requests.filter(({ status }) => status === 429).length
  const requests = { total: api.requests.length, limited }
  return { elapsedMs: now - started, doing, comparison, webhooks: webhooks.stats, requests, now }
}

/** Prints the result and returns the exit code: 1 if the mirror is not complete after it has settled. */
function conclude({ options, io, stops }: Watching, sight: Sight): number {
  const whole = isWhole(sight.comparison)
  const { comparison, webhooks, requests, elapsedMs } = sight
  if (options.json) {
    io.stdout.write(`${JSON.stringify({ whole, elapsed_ms: elapsedMs, ...comparison, webhooks, requests }, null, 2)}\n`)
  } else if (comparison && whole) {
    io.stdout.write(`\n${proofLines(comparison, webhooks, paintFor(io.stdout, io.env)).join('\n')}\n\n`)
  } else if (!stops.stop.aborted) {
    io.stdout.write('\nThe mirror does not equal the simulated Buildkite. Run with --keep and look into service.log.\n')
  }
  return whole || stops.stop.aborted ? 0 : 1
}

function aborted(signal: AbortSignal): Promise<unknown> {
  return signal.aborted ? Promise.resolve() : new Promise((resolve) => signal.addEventListener('abort', resolve))
}
