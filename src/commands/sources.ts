import { withDatabase } from '../database/find-postgres.ts'
import { type Discovery, openAccess } from '../reconcile/access/access.ts'
import { discover } from '../reconcile/access/discover.ts'
import { sharedBudget } from '../reconcile/access/rate-limit-store.ts'
import type { InspectedToken } from '../reconcile/access/token.ts'
import { type ReconcileDeps, reconcileDeps, type Source } from '../reconcile/context.ts'
import { classify, type Issue, issueOf } from '../reconcile/issue.ts'
import { refreshPipelines } from '../reconcile/pipelines/pipelines.ts'
import { type Config, readConfig } from '../runtime/config.ts'
import { ConfigError } from '../runtime/errors.ts'
import { createLog, type Log } from '../runtime/log.ts'
import { DAY } from '../runtime/time.ts'
import type { givenSpan, Io, Values } from './shell/command.ts'
import { tellUnseen } from './unseen.ts'

/** What a command needs to read Buildkite's API. */
export interface Sources {
  readonly config: Config
  readonly log: Log
  readonly deps: ReconcileDeps
  /** The organizations that `--organization` selects, or all. */
  readonly sources: readonly Source[]
}

/**
 * Runs a command's work on the organizations that the tokens can read. Shares database, budget and locks with a running service.
 * Prints problems of the tokens, and organizations named without a glob that no token sees. The exit code is then 1, unless a token
 * only expires soon or `--organization` is not affected.
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
      'BUILDKITE_API_TOKEN is not set. Set it to a token with the scopes ' +
        'read_builds, read_pipelines and read_organizations.',
    )
  }
  const log = createLog(config.logLevel === 'info' ? 'warn' : config.logLevel)
  return withDatabase(config, log, name, async ({ db }) => {
    const deps = reconcileDeps(config, db, log, Date.now)
    const budget = sharedBudget(db, config.apiBudgetShare)
    const access = openAccess(config, { budget, filter: deps.filter, log, clock: Date.now })
    try {
      const discovery = await discover(deps, access)
      for (const { subject, code, message, remedy } of discovery.problems) {
        io.stderr.write(`${subject}: ${code}: ${message} ${remedy}\n`)
      }
      const someUnseen = tellUnseen(discovery, config, values, io)
      const sources = choose(discovery.sources, values.organization)
      if (sources.length === 0) {
        if (values.json) io.stdout.write('[]\n')
        return 1
      }
      const code = await work({ config, log, deps, sources })
      const lacking = someUnseen || mayLack(discovery, values.organization)
      return code === 0 && lacking ? 1 : code
    } finally {
      await access.close()
    }
  })
}

/** Why a command failed for an organization; `error` in `--json`. */
export interface OrganizationError {
  readonly code: Issue['code'] | 'busy' | 'stopped'
  readonly message: string
  readonly remedy: string
}

/** The result of a command for one organization. */
export interface OrganizationResult<Result> {
  readonly source: Source
  readonly result: Result | undefined
  readonly error: OrganizationError | null
}

/** Another process does the same work for the organization. */
export const busy: OrganizationError = {
  code: 'busy',
  message: 'Another process is already doing this work.',
  remedy: 'None needed: the other process continues.',
}

const stopped: OrganizationError = {
  code: 'stopped',
  message: 'Stopped by a signal.',
  remedy: 'Run the command again.',
}

/**
 * Runs `work` for each organization, one after another. Prints an error and continues with the next organization. After an abort the
 * remaining ones count as stopped. @throws ConfigError
 */
export async function forEachSource<Result>(
  { sources, log }: Pick<Sources, 'sources' | 'log'>,
  io: Io,
  work: (source: Source, fail: (error: unknown) => void) => Promise<Result | undefined>,
  signal?: AbortSignal,
): Promise<OrganizationResult<Result>[]> {
  const outcomes: OrganizationResult<Result>[] = []
  for (const source of sources) {
    let error: OrganizationError | null = null
    const fail = (cause: unknown) => {
      error = errorOf(source, cause, log)
      io.stderr.write(`${source.slug}: ${error.code}: ${error.message} ${error.remedy}\n`)
    }
    let result: Result | undefined
    if (!signal?.aborted) {
      try {
        result = await work(source, fail)
      } catch (cause) {
        if (cause instanceof ConfigError) throw cause
        if (!signal?.aborted) fail(cause)
      }
    }
    if (result === undefined && error === null) error = signal?.aborted ? stopped : busy
    outcomes.push({ source, result, error })
  }
  return outcomes
}

/** The given span, without a `from` from BACKFILL_DAYS ago, without a `to` until now. */
export function wholeSpan({ from, to }: ReturnType<typeof givenSpan>, { config }: Sources): { from: Date; to: Date } {
  const end = to ?? new Date()
  return { from: from ?? new Date(end.getTime() - config.backfillDays * DAY), to: end }
}

/**
 * Reads the pipelines, then runs `work`. If the list of pipelines cannot be read, that counts as an error, but builds are still read.
 */
export async function withFreshPipelines<Result>(
  deps: ReconcileDeps,
  source: Source,
  fail: (error: unknown) => void,
  work: () => Promise<Result>,
): Promise<Result> {
  const failures: unknown[] = []
  await refreshPipelines(deps, source).catch((error: unknown) => failures.push(error))
  const result = await work()
  failures.forEach(fail)
  return result
}

/** Prints one object for each organization. Missing values are `null`, so that all objects have the same fields. */
export function printJson<Result extends object>(
  io: Io,
  outcomes: readonly OrganizationResult<Result>[],
  none: Readonly<Record<string, null>>,
): void {
  const rows = outcomes.map(({ source, result, error }) => ({ organization: source.slug, ...none, ...result, error }))
  io.stdout.write(`${JSON.stringify(rows, (_, value) => (value === undefined ? null : value), 2)}\n`)
}

function errorOf({ slug }: Source, cause: unknown, log: Log): OrganizationError {
  const { subject: _, ...error } = issueOf(slug, classify(cause, 'use the database'))
  if (error.code === 'internal') log.error({ err: cause, organization: slug }, 'A command failed for an organization.')
  return error
}

/** Whether a fault of the tokens may hide some of the requested data: of one organization, or of all. */
function mayLack({ tokens }: Discovery, wanted: string | boolean | undefined): boolean {
  const faulty = ({ problems }: InspectedToken) => problems.some(({ code }) => code !== 'expires_soon')
  if (typeof wanted !== 'string') return tokens.some(faulty)
  // The first token that can read an organization reads it; later tokens are not used.
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
