import { count } from '../pages/format.ts'
import { html, type Markup } from '../pages/html.ts'
import { buildsTable } from './builds-table.ts'
import { compact, durationText, shareText } from './charts.ts'
import { type Completeness, card } from './figure.ts'
import { pathOf, type Scope, type SortKey } from './filters.ts'
import { sortHead } from './frame.ts'
import { type BuildLine, lastBuilds } from './queries/builds.ts'
import { JOBS_SHOWN, jobsOfPipeline, type PipelineJobLine } from './queries/jobs.ts'
import { type ExploreParts, type Reading, read } from './query.ts'

/** What the page of a pipeline shows below its charts. */
export async function readPipelineLists(parts: ExploreParts, scope: Scope) {
  const [jobs, builds] = await Promise.all([read(parts, jobsOfPipeline(scope)), read(parts, lastBuilds(scope))])
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
  return html`${jobsCard(jobs, scope, slug, completeness)}${buildsCard(builds, scope, completeness, now)}`
}

function jobsCard(jobs: Reading<PipelineJobLine>, scope: Scope, slug: string, completeness: Completeness): Markup {
  const path = pathOf(scope.organization, 'pipelines', slug)
  const head = (key: SortKey, text: string, shade?: string) =>
    sortHead(path, scope.filters, '-minutes', key, text, shade)
  const rows = jobs.rows.map(
    (row) =>
      html`<tr><td class="name">${row.job}</td><td class="n">${count(row.tries)}</td><td class="n">${shareText(row.hard_failure_rate)}</td><td class="n wide">${count(row.flaky)}</td><td class="n">${durationText(row.p50_seconds)}</td><td class="n wide">${durationText(row.p90_seconds)}</td><td class="n wide">${compact(Math.round(row.minutes))}</td></tr>`,
  )
  const all = jobs.rows[0]?.jobs ?? 0
  const content =
    rows.length === 0
      ? html`<p class="empty">No job ended in this period.</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Jobs"><table class="list" id="table"><thead><tr>${head('name', 'Job', '')}${head('tries', 'Tries')}${head('hard', 'Failed')}${head('flaky', 'Flaky', 'n wide')}${head('p50', 'p50')}${head('p90', 'p90', 'n wide')}${head('minutes', 'Agent min', 'n wide')}</tr></thead><tbody>${rows}</tbody></table></div>
${all > JOBS_SHOWN && html`<p class="quiet small">The first ${JOBS_SHOWN} of ${count(all)}. Sort by another column for others.</p>`}`
  const subtitle =
    scope.filters.branch === undefined ? 'every try of command jobs' : 'every try of command jobs, of all branches'
  return card({ title: 'Jobs', subtitle, readings: [jobs], completeness }, content)
}

function buildsCard(
  builds: Reading<BuildLine>,
  { organization, filters }: Scope,
  completeness: Completeness,
  now: Date,
): Markup {
  const content =
    builds.rows.length === 0
      ? html`<p class="empty">No builds yet.</p>`
      : buildsTable(organization, builds.rows, now, false)
  return card(
    { title: 'Last builds', subtitle: filters.branch && `of ${filters.branch}`, readings: [builds], completeness },
    content,
  )
}
