import { type Config, readConfig } from '../config.ts'
import { ConfigError } from '../errors.ts'
import { createLog, type Log } from '../log.ts'
import { type Discovery, openAccess } from '../reconcile/access.ts'
import { type ReconcileDeps, reconcileDeps, type Source } from '../reconcile/deps.ts'
import { discover } from '../reconcile/discover.ts'
import { sharedBudget } from '../reconcile/shared-budget.ts'
import type { InspectedToken } from '../reconcile/token.ts'
import type { Io, Values } from './command.ts'
import { withDatabase } from './stores.ts'
import { tellUnseen } from './unseen.ts'

/** What a command that reads Buildkite's API works with. */
export interface Sources {
  readonly config: Config
  readonly log: Log
  readonly deps: ReconcileDeps
  /** The organizations asked for by `--organization`, or all. */
  readonly sources: readonly Source[]
}

/**
 * Runs a command's work on the organizations that the tokens can read, sharing database, budget and locks with a running service.
 * Problems of the tokens are printed, and organizations named without a glob that none sees; the exit code is then 1, unless a token
 * only expires soon or `--organization` is not concerned.
 * @throws ConfigError without a token, or for an organization that none of them sees.
 */
export async function withSources(
  values: Values,
  io: Io,
  name: string,
  work: (context: Sources) => Promise<number>,
): Promise<number> {
  const config = readConfig(io.env)
  if (config.apiTokens.length === 0) {
    throw new ConfigError(
      'BUILDKITE_API_TOKEN is not set, so there is nothing to read from. Set it to a token with the scopes ' +
        'read_builds, read_pipelines and read_organizations.',
    )
  }
  const log = createLog(config.logLevel === 'info' ? 'warn' : config.logLevel)
  return withDatabase(config, log, name, async ({ db }) => {
    const deps = reconcileDeps(config, db, log, Date.now)
    const budget = sharedBudget(db, config.apiBudgetShare)
    const access = openAccess(config, { budget, scope: deps.scope, log, clock: Date.now })
    try {
      const discovery = await discover(deps, access)
      for (const { subject, code, message, remedy } of discovery.problems) {
        io.stderr.write(`${subject}: ${code}: ${message} ${remedy}\n`)
      }
      const someUnseen = tellUnseen(discovery, config, values, io)
      const sources = choose(discovery.sources, values.organization)
      if (sources.length === 0) return 1
      const code = await work({ config, log, deps, sources })
      const lacking = someUnseen || mayLack(discovery, values.organization)
      return code === 0 && lacking ? 1 : code
    } finally {
      await access.close()
    }
  })
}

/** Whether a fault of the tokens may leave out something of what is asked for: of one organization, or of all. */
function mayLack({ tokens }: Discovery, wanted: string | boolean | undefined): boolean {
  const faulty = ({ problems }: InspectedToken) => problems.some(({ code }) => code !== 'expires_soon')
  if (typeof wanted !== 'string') return tokens.some(faulty)
  // The first token that can read an organization does; those after it are not asked.
  const reader = tokens.findIndex(({ sources }) => sources.some(({ slug }) => slug === wanted))
  const maySee = ({ organizations, wanted: seen }: InspectedToken) =>
    organizations.length === 0 || seen.some(({ slug }) => slug === wanted)
  return tokens.slice(0, reader + 1).some((token) => faulty(token) && maySee(token))
}

function choose(sources: readonly Source[], wanted: string | boolean | undefined): readonly Source[] {
  if (typeof wanted !== 'string' || sources.length === 0) return sources
  const chosen = sources.filter(({ slug }) => slug === wanted)
  if (chosen.length > 0) return chosen
  const known = sources.map(({ slug }) => slug).join(', ')
  throw new ConfigError(`--organization is "${wanted}", which no token sees. They see: ${known}.`)
}
