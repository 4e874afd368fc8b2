import { BuildkiteError, ConfigError } from '../errors.ts'
import type { Source } from '../reconcile/deps.ts'
import { listedPipelines } from '../reconcile/doctor/pipelines.ts'
import { type Finding, recordDrift } from '../reconcile/drift.ts'
import { type VerifyReport, verifySpan } from '../reconcile/verify.ts'
import { DAY } from '../time.ts'
import { type Command, givenSpan, type Values } from './command.ts'
import { nearest } from './nearest.ts'
import { type Sources, withSources } from './sources.ts'
import { count, type Paint, ProgressBar, paintFor, table } from './terminal.ts'

export const verify: Command = {
  name: 'verify',
  summary: 'compare a span of history with Buildkite, field by field',
  about:
    'Reads every build created in the span from the API once more, with its jobs, compares all with the mirror, both ways, and\n' +
    'prints what differs. Writes nothing without --heal, which sets the mirror right and records what it found in sync.drift.\n' +
    'Exit code 0 only when all organizations were read, and nothing differs or all that did is healed. Safe beside a running service.',
  options: {
    from: { value: '<date>', about: 'first day or moment of created_at (default: BACKFILL_DAYS ago)' },
    to: { value: '<date>', about: 'end, not included (default: now)' },
    pipeline: { value: '<slug>', about: 'only this pipeline, in the organizations that have it' },
    organization: { value: '<slug>', about: 'only this organization' },
    sample: { value: '<n>', about: 'only about n builds: pages of a hundred at random places of the span' },
    heal: { about: 'set the mirror right' },
    json: { about: 'print JSON' },
  },
  async run(values, io) {
    const given = givenSpan(values)
    const sample = sampleSize(values)
    const pipeline = typeof values.pipeline === 'string' ? values.pipeline : undefined
    const heal = values.heal === true
    return withSources(values, io, 'verify', async (context) => {
      const stop = new AbortController()
      const onSignal = () => (stop.signal.aborted ? process.exit(130) : stop.abort())
      process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
      const span = wholeSpan(given, context)
      const sources = pipeline === undefined ? context.sources : await sourcesWith(pipeline, context)
      const reports: VerifyReport[] = []
      for (const source of sources) {
        const bar = new ProgressBar(values.json ? io.stderr : io.stdout, source.slug, io.env)
        const onProgress = ({ builds, requests }: { builds: number; requests: number }) =>
          bar.show({ done: builds, expected: sample, requests, rateLeft: undefined })
        const asked = { span, pipeline, sample, heal, priority: 'absent', onProgress, signal: stop.signal } as const
        const report = await verifySpan(context.deps, source, asked).catch((error: unknown) => {
          if (!stop.signal.aborted) throw error
        })
        if (!report) {
          bar.end(`${source.slug}: stopped.`)
          return 1
        }
        if (heal) await recordDrift(context.deps.db, source.id, 'verify', report.findings, new Date())
        bar.end(lastWord(report))
        reports.push(report)
      }
      if (values.json) io.stdout.write(`${JSON.stringify(reports, null, 2)}\n`)
      else for (const { findings } of reports) io.stdout.write(describe(findings, paintFor(io.stdout, io.env)))
      return reports.every(({ findings }) => findings.every(({ healed }) => healed)) ? 0 : 1
    })
  },
}

function sampleSize({ sample }: Values): number | undefined {
  if (typeof sample !== 'string') return undefined
  if (/^[1-9]\d{0,8}$/.test(sample)) return Number(sample)
  throw new ConfigError(`--sample is "${sample}", not a number of builds. Write it like 500.`)
}

function wholeSpan({ from, to }: ReturnType<typeof givenSpan>, { config }: Sources): { from: Date; to: Date } {
  const end = to ?? new Date()
  return { from: from ?? new Date(end.getTime() - config.backfillDays * DAY), to: end }
}

/**
 * The organizations that have a pipeline, with those whose pipelines the token may not list: their builds it may read all the same.
 * @throws ConfigError when none has it, or it is not mirrored.
 */
async function sourcesWith(pipeline: string, { deps, sources }: Sources): Promise<readonly Source[]> {
  if (!deps.scope.pipeline(pipeline)) {
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

/** The slugs of an organization's pipelines; undefined when the token may not list them. @throws BuildkiteError */
async function slugsOf({ client, slug }: Source): Promise<string[] | undefined> {
  try {
    return (await listedPipelines(client, slug))?.map((one) => one.slug)
  } catch (error) {
    if (error instanceof BuildkiteError && error.code === 'invalid_permissions') return undefined
    throw error
  }
}

function lastWord({ organization, builds, jobs, requests, findings }: VerifyReport): string {
  const compared = `${count(builds)} builds and ${count(jobs)} jobs compared in ${count(requests)} requests`
  if (findings.length === 0) return `${organization}: ${compared}: no difference.`
  const of = (wanted: Finding['kind']) => count(findings.filter(({ kind }) => kind === wanted).length)
  const kinds = `${of('missing')} missing, ${of('different')} different, ${of('surplus')} gone from Buildkite`
  const healed = findings.filter((finding) => finding.healed).length
  const end = healed > 0 ? `; ${count(healed)} healed` : ''
  return `${organization}: ${compared}: ${count(findings.length)} differences (${kinds})${end}.`
}

/** How many differences are printed; --json has them all. */
const PRINTED = 50

function describe(findings: readonly Finding[], paint: Paint): string {
  if (findings.length === 0) return ''
  const rows = findings
    .slice(0, PRINTED)
    .map(({ kind, build_id, job_id, columns, reason, healed }) => [
      job_id ? 'job' : 'build',
      job_id ?? build_id,
      kind === 'surplus' ? `gone${reason ? ` (${reason})` : ''}` : kind,
      columns.map(({ column, mirror, buildkite }) => `${column}: ${brief(mirror)} → ${brief(buildkite)}`).join('; '),
      healed ? paint.green('healed') : '',
    ])
  const left = findings.length - rows.length
  const more = left > 0 ? `… and ${count(left)} more; --json prints all.\n` : ''
  return `${table([['what', 'id', 'difference', 'mirror → Buildkite', ''], ...rows], paint)}\n${more}`
}

function brief(value: unknown): string {
  const text = JSON.stringify(value) ?? 'nothing'
  return text.length > 60 ? `${text.slice(0, 59)}…` : text
}
