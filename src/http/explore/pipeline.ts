import { count } from '../pages/format.ts'
import { html, type Markup } from '../pages/html.ts'
import { compact, durationText, shareText } from './charts.ts'
import type { Completeness } from './figure.ts'
import { pathOf, type Scope } from './filters.ts'
import { lastBuilds } from './queries/builds.ts'
import { jobsOfPipeline } from './queries/jobs.ts'
import { type Reader, read, readTotals } from './query.ts'
import { buildColumns, tableCard } from './tables.ts'

/** What the page of a pipeline shows below its charts. */
export async function readPipelineLists(parts: Reader, scope: Scope) {
  const [jobs, builds] = await Promise.all([readTotals(parts, jobsOfPipeline(scope)), read(parts, lastBuilds(scope))])
  return { jobs, builds }
}
export type PipelineLists = Awaited<ReturnType<typeof readPipelineLists>>

/** The jobs of a pipeline, and its last builds. */
export function pipelineListsOf(
  { jobs, builds }: PipelineLists,
  scope: Scope,
  slug: string,
  completeness: Completeness,
  now: Date,
): Markup {
  const { filters, organization } = scope
  const ofBranches = filters.branch === undefined ? '' : ', of all branches'
  return html`${tableCard({
    title: 'Jobs',
    subtitle: `every try of command jobs${ofBranches}`,
    reading: jobs,
    completeness,
    empty: 'No job ended in this period.',
    all: jobs.rows[0]?.jobs,
    sorting: { path: pathOf(organization, 'pipelines', slug), filters, fallback: '-minutes' },
    columns: [
      { head: 'Job', shade: 'name', sort: 'name', cell: ({ job }) => job },
      { head: 'Tries', shade: 'n', sort: 'tries', cell: ({ tries }) => count(tries) },
      { head: 'Failed', shade: 'n', sort: 'hard', cell: ({ hard_failure_rate }) => shareText(hard_failure_rate) },
      { head: 'Flaky', shade: 'n wide', sort: 'flaky', cell: ({ flaky }) => count(flaky) },
      { head: 'p50', shade: 'n', sort: 'p50', cell: ({ p50_seconds }) => durationText(p50_seconds) },
      { head: 'p90', shade: 'n wide', sort: 'p90', cell: ({ p90_seconds }) => durationText(p90_seconds) },
      { head: 'Agent min', shade: 'n wide', sort: 'minutes', cell: ({ minutes }) => compact(Math.round(minutes)) },
    ],
  })}${tableCard({
    title: 'Last builds',
    subtitle: filters.branch && `of ${filters.branch}`,
    reading: builds,
    completeness,
    empty: 'No builds yet.',
    columns: buildColumns(organization, now, false),
    isStacked: true,
  })}`
}
