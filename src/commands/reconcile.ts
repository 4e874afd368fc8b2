import { refreshRollups } from '../analytics/rollups.ts'
import { refusalOf } from '../reconcile/builds/build-writer.ts'
import { type CycleReport, reconcileOnce } from '../reconcile/cycle/cycle.ts'
import { Tally, type TallyColumns } from '../reconcile/cycle/tally.ts'
import type { Command } from './shell/command.ts'
import { count, type Paint, paintFor, table, whileWaiting } from './shell/terminal.ts'
import { forEachSource, printJson, withFreshPipelines, withSources } from './sources.ts'

export const reconcile: Command = {
  name: 'reconcile',
  summary: 'run one cycle now and print what it found',
  about:
    'Reads the pipelines, every build created or finished since the watermark, every open build, and builds missing from those\n' +
    'lists. Corrects the mirror and moves the watermark, as the service does every RECONCILE_INTERVAL. Can run beside the service.\n' +
    'Exit code 0 only if all organizations were read and Postgres accepted every build.',
  options: {
    organization: { value: '<slug>', about: 'only this organization' },
    json: { about: 'print JSON' },
  },
  run: (values, io) =>
    withSources(values, io, 'reconcile', async (context) => {
      const { deps } = context
      const outcomes = await forEachSource<CycleReport>(context, io, async (source, fail) => {
        const work = withFreshPipelines(deps, source, fail, () => reconcileOnce(deps, source))
        const report = await whileWaiting(io.stderr, io.env, `${source.slug}: reading changes`, work)
        const refused = refusalOf(report?.refused ?? [])
        if (refused) io.stderr.write(`${source.slug}: ${refused}\n`)
        if (!report) io.stderr.write(`${source.slug}: a cycle is already running in the service or another command.\n`)
        return report
      })
      const reports = outcomes.flatMap(({ result }) => result ?? [])
      if (values.json) printJson(io, outcomes, nothing)
      else if (reports.length > 0) io.stdout.write(`${describe(reports, paintFor(io.stdout, io.env))}\n`)
      await refreshRollups(deps.db)
      const allRead = outcomes.every(({ error, result }) => error === null && result?.refused.length === 0)
      return allRead ? 0 : 1
    }),
}

const nothing: Readonly<Record<string, null>> &
  Record<Exclude<keyof CycleReport, 'organization' | keyof TallyColumns>, null> = {
  kind: null,
  watermark_from: null,
  watermark_to: null,
  started_at: null,
  finished_at: null,
  ...Object.fromEntries(Object.keys(new Tally().columns()).map((column) => [column, null])),
  refused: null,
}

const legend = `Builds + jobs. missing, healed: absent or wrong, because a webhook was lost or is over 10 s late. in flight: it may still arrive.
completed: the API added data that no webhook carries. confirmed: already correct.`

function describe(reports: readonly CycleReport[], paint: Paint): string {
  const header = [
    'organization',
    'read up to',
    'requests',
    'builds read',
    'missing',
    'healed',
    'in flight',
    'completed',
    'confirmed',
  ]
  const both = (builds: number, jobs: number) => `${count(builds)} + ${count(jobs)}`
  const rows = reports.map((report) => [
    report.organization,
    report.watermark_to.toISOString(),
    count(report.requests),
    count(report.builds_read),
    both(report.builds_missing, report.jobs_missing),
    both(report.builds_healed, report.jobs_healed),
    both(report.builds_in_flight, report.jobs_in_flight),
    both(report.builds_completed, report.jobs_completed),
    both(report.builds_confirmed, report.jobs_confirmed),
  ])
  return `${table([header, ...rows], paint)}\n\n${legend}`
}
