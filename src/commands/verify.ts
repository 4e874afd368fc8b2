import { listedPipelines } from '../diagnostics/checks/pipelines.ts'
import { type Discrepancy, recordDrift } from '../reconcile/audit/drift.ts'
import type { Unreadable } from '../reconcile/audit/unreadable.ts'
import { recheckAfter, type VerifyReport, verifySpan } from '../reconcile/audit/verify.ts'
import type { Source } from '../reconcile/context.ts'
import { BuildkiteError, ConfigError } from '../runtime/errors.ts'
import { stopOnSignal } from '../runtime/signals.ts'
import { formatDuration } from '../runtime/time.ts'
import { type Command, givenSpan, type Values } from './shell/command.ts'
import { nearest } from './shell/nearest.ts'
import { count, type Paint, ProgressBar, paintFor, table } from './shell/terminal.ts'
import { forEachSource, printJson, type Sources, wholeSpan, withSources } from './sources.ts'

export const verify: Command = {
  name: 'verify',
  summary: 'compare a span of history with Buildkite, field by field',
  about:
    'Reads every build created in the span from the API, with its jobs, and compares it with the mirror in both directions. Prints\n' +
    'differences in what analytics.data_coverage calls complete. Builds that changed later are read again after RECONCILE_INTERVAL and\n' +
    'count as in flight if the next cycles can still update them. With --heal, corrects the mirror and records the differences in\n' +
    'sync.drift; without it, writes nothing. Exit code 0 only if all organizations were read, everything could be compared, and no\n' +
    'difference remains. Can run beside the service.',
  options: {
    from: { value: '<date>', about: 'first day or time of created_at (default: BACKFILL_DAYS ago)' },
    to: { value: '<date>', about: 'end, not included (default: now)' },
    pipeline: { value: '<slug>', about: 'only this pipeline, in the organizations that have it' },
    organization: { value: '<slug>', about: 'only this organization' },
    sample: { value: '<n>', about: 'only about n builds: pages of a hundred at random positions in the span' },
    heal: { about: 'correct the mirror' },
    json: { about: 'print JSON' },
  },
  async run(values, io) {
    const given = givenSpan(values)
    const sample = sampleSize(values)
    const pipeline = typeof values.pipeline === 'string' ? values.pipeline : undefined
    const heal = values.heal === true
    return withSources(values, io, 'verify', async (context) => {
      const { deps, config } = context
      const signal = stopOnSignal()
      const span = wholeSpan(given, context)
      const sources = pipeline === undefined ? context.sources : await sourcesWith(pipeline, context)
      const recheckAfterMs = recheckAfter(config.reconcileIntervalMs)
      const outcomes = await forEachSource<VerifyReport>(
        { ...context, sources },
        io,
        async (source) => {
          const bar = new ProgressBar(values.json ? io.stderr : io.stdout, source.slug, io.env)
          const report = await verifySpan(deps, source, {
            span,
            pipeline,
            sample,
            heal,
            priority: 'absent',
            recheckAfterMs,
            signal,
            onProgress: ({ builds, requests }) =>
              bar.show({ done: builds, expected: sample, requests, rateLeft: undefined }),
            onPause: (builds, ms) =>
              bar.note(`${source.slug}: reading ${count(builds)} builds in flight again in ${formatDuration(ms)}`),
          }).catch((error: unknown) => {
            bar.end(`${source.slug}: ${signal.aborted ? 'stopped' : 'failed'}.`)
            throw error
          })
          if (heal) await recordDrift(deps.db, source.id, 'verify', report.findings, new Date())
          bar.end(lastWord(report))
          return report
        },
        signal,
      )
      if (values.json)
        printJson(
          io,
          outcomes.map((one) => ({ ...one, result: one.result && withCounts(one.result) })),
          nothing,
        )
      else for (const { result } of outcomes) if (result) io.stdout.write(describe(result, paintFor(io.stdout, io.env)))
      return outcomes.every(({ error, result }) => error === null && result && isRight(result)) ? 0 : 1
    })
  },
}

/** Whether no difference remains and everything could be compared. Builds in flight are not an error. */
function isRight({ findings, unreadable }: VerifyReport): boolean {
  return unreadable.length === 0 && findings.every(({ healed }) => healed)
}

const nothing: Record<Exclude<keyof VerifyReport, 'organization'> | 'different' | 'healed', null> = {
  from: null,
  to: null,
  builds: null,
  jobs: null,
  builds_in_flight: null,
  jobs_in_flight: null,
  requests: null,
  different: null,
  healed: null,
  findings: null,
  unreadable: null,
  read_at: null,
}

/** The report with the counts of the summary line. */
function withCounts(report: VerifyReport) {
  const { findings } = report
  return { ...report, different: findings.length, healed: findings.filter(({ healed }) => healed).length }
}

function sampleSize({ sample }: Values): number | undefined {
  if (typeof sample !== 'string') return undefined
  if (/^[1-9]\d{0,8}$/.test(sample)) return Number(sample)
  throw new ConfigError(`--sample is "${sample}", which is not a number of builds. Write it like 500.`)
}

/**
 * The organizations that have a pipeline, and those whose pipelines cannot be listed, because their builds may still be readable.
 * @throws ConfigError when none has it, or it is not mirrored.
 */
async function sourcesWith(pipeline: string, { deps, sources }: Sources): Promise<readonly Source[]> {
  if (!deps.filter.pipeline(pipeline)) {
    throw new ConfigError(
      `--pipeline is "${pipeline}", which is not mirrored. Check PIPELINES_INCLUDE and PIPELINES_EXCLUDE.`,
    )
  }
  const chosen: Source[] = []
  const known: string[] = []
  for (const source of sources) {
    const slugs = await slugsOf(source)
    known.push(...(slugs ?? []))
    if (slugs === undefined || slugs.includes(pipeline)) chosen.push(source)
  }
  if (chosen.length > 0) return chosen
  const meant = nearest(pipeline, known)
  const remedy = meant ? `Did you mean ${meant}?` : "Check the spelling, and that the token's user may see it."
  const where = sources.map(({ slug }) => slug).join(', ')
  throw new ConfigError(`--pipeline is "${pipeline}", which no token sees in ${where}. ${remedy}`)
}

/** The slugs of an organization's pipelines; undefined when they cannot be listed. */
async function slugsOf({ client, slug }: Source): Promise<string[] | undefined> {
  try {
    return (await listedPipelines(client, slug))?.map((one) => one.slug)
  } catch (error) {
    if (error instanceof BuildkiteError) return undefined
    throw error
  }
}

function lastWord(report: VerifyReport): string {
  const { organization, builds, jobs, builds_in_flight, jobs_in_flight, requests, findings, unreadable } = report
  const parts: string[] = []
  const inFlight = builds_in_flight + jobs_in_flight
  const of = (wanted: Discrepancy['kind']) => count(findings.filter(({ kind }) => kind === wanted).length)
  const healed = findings.filter((finding) => finding.healed).length
  if (findings.length > 0) {
    const kinds = `${of('missing')} missing, ${of('different')} different, ${of('unexpected')} gone from Buildkite`
    parts.push(`${count(findings.length)} ${findings.length === 1 ? 'difference' : 'differences'} (${kinds})`)
    // "no difference" only if something was compared.
  } else if (builds + jobs > 0 || inFlight + unreadable.length === 0) parts.push('no difference')
  if (healed > 0) parts.push(`${count(healed)} healed`)
  if (inFlight > 0) parts.push(`${count(builds_in_flight)} builds and ${count(jobs_in_flight)} jobs in flight`)
  if (unreadable.length > 0) parts.push(`${count(unreadable.length)} unreadable`)
  const compared = `${count(builds)} builds and ${count(jobs)} jobs compared in ${count(requests)} requests`
  return `${organization}: ${compared}: ${parts.join('; ')}.`
}

/** How many rows are printed; --json prints all. */
const PRINTED = 50

function describe({ findings, unreadable }: VerifyReport, paint: Paint): string {
  const rows = [
    ...findings.map(({ kind, build_id, job_id, columns, reason, healed }) => [
      job_id ? 'job' : 'build',
      job_id ?? build_id,
      kind === 'unexpected' ? `gone${reason ? ` (${reason})` : ''}` : kind,
      columns.map(({ column, mirror, buildkite }) => `${column}: ${brief(mirror)} → ${brief(buildkite)}`).join('; '),
      healed ? paint.green('healed') : '',
    ]),
    ...unreadable.map((one) => ['build', one.build_id ?? placeOf(one), 'unreadable', one.reason, '']),
  ]
  if (rows.length === 0) return ''
  const left = rows.length - PRINTED
  const more = left > 0 ? `… and ${count(left)} more; --json prints all.\n` : ''
  const header = ['what', 'id', 'difference', 'mirror → Buildkite', '']
  return `${table([header, ...rows.slice(0, PRINTED)], paint)}\n${more}`
}

/** Locates an unreadable entry without an id: its pipeline and number, or when it was created. */
function placeOf({ pipeline, number, created_from, created_to }: Unreadable): string {
  if (pipeline !== null && number !== null) return `${pipeline}#${number}`
  const [from, to] = [created_from?.toISOString(), created_to?.toISOString()]
  return from === undefined ? 'without an id' : from === to ? `created ${from}` : `created ${from} to ${to}`
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}
