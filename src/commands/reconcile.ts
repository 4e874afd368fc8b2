import { refreshRollups } from '../mirror/rollups.ts'
import { type CycleReport, reconcileOnce } from '../reconcile/cycle.ts'
import { refusalOf } from '../reconcile/pages.ts'
import { refreshPipelines } from '../reconcile/pipelines.ts'
import type { Command } from './command.ts'
import { withSources } from './sources.ts'
import { count, type Paint, paintFor, table, whileWaiting } from './terminal.ts'

export const reconcile: Command = {
  name: 'reconcile',
  summary: 'run one cycle now and print what it found',
  about:
    'Reads pipelines, and every build created or finished since the watermark, open, or missing from those lists; mends the\n' +
    'mirror and moves the watermark. The same as the service does every RECONCILE_INTERVAL; safe beside it.\n' +
    'Exit code 0 only when all organizations were read, and Postgres took every build.',
  options: {
    organization: { value: '<slug>', about: 'only this organization' },
    json: { about: 'print JSON' },
  },
  run: (values, io) =>
    withSources(values, io, 'reconcile', async ({ deps, sources }) => {
      const reports: CycleReport[] = []
      for (const source of sources) {
        const cycle = refreshPipelines(deps, source).then(() => reconcileOnce(deps, source))
        const report = await whileWaiting(io.stderr, io.env, `${source.slug}: reading what changed`, cycle)
        const refused = refusalOf(report?.refused ?? [])
        if (refused) io.stderr.write(`${source.slug}: ${refused}\n`)
        if (report) reports.push(report)
        else io.stderr.write(`${source.slug}: a cycle is running already, in the service or another command.\n`)
      }
      await refreshRollups(deps.db)
      if (values.json) io.stdout.write(`${JSON.stringify(reports, null, 2)}\n`)
      else if (reports.length > 0) io.stdout.write(`${describe(reports, paintFor(io.stdout, io.env))}\n`)
      return reports.length === sources.length && reports.every(({ refused }) => refused.length === 0) ? 0 : 1
    }),
}

function describe(reports: readonly CycleReport[], paint: Paint): string {
  const header = [
    'organization',
    'verified up to',
    'requests',
    'builds read',
    'missing',
    'healed',
    'jobs missing',
    'healed',
  ]
  const rows = reports.map((report) => [
    report.organization,
    report.watermark_to.toISOString(),
    count(report.requests),
    count(report.builds_read),
    count(report.builds_missing),
    count(report.builds_healed),
    count(report.jobs_missing),
    count(report.jobs_healed),
  ])
  return table([header, ...rows], paint)
}
