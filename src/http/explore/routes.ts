import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify'
import { z } from 'zod'
import { StoreError } from '../../runtime/errors.ts'
import type { Clock } from '../../runtime/time.ts'
import { html } from '../pages/html.ts'
import { buildBody, buildHeading, buildSubtitle, readBuildParts } from './build.ts'
import { type Filters, linkTo, parseFilters, pathOf, periodOf, type Scope } from './filters.ts'
import { completenessNote, completenessOf, filterForm, isComparable, sendExplorePage } from './frame.ts'
import { listsOf, readLists } from './overview.ts'
import { pipelineListsOf, readPipelineLists } from './pipeline.ts'
import { buildOf } from './queries/build.ts'
import { coverageOf, staleDays } from './queries/coverage.ts'
import { choicesOf, organizationsOf, type PipelineChoice } from './queries/pipelines.ts'
import { type ExploreParts, read } from './query.ts'
import { readSearch, searchBody } from './search.ts'
import { figuresOf } from './tiles.ts'
import { chartsOf, readTrends } from './trends.ts'

const pathShape = z.object({
  organization: z.string(),
  pipeline: z.string().default(''),
  number: z.string().default('0'),
})

/** What every page below an organization has. */
interface View {
  readonly reply: FastifyReply
  readonly scope: Scope
  readonly now: Date
}

/** Adds the pages under /explore: CI history to look at, from the views of `analytics`. They only read. */
export function exploreRoutes(app: FastifyInstance, parts: ExploreParts, clock: Clock): void {
  const withScope =
    (show: (view: View, pipeline: string, number: number) => Promise<FastifyReply>) =>
    async (request: FastifyRequest, reply: FastifyReply): Promise<FastifyReply> => {
      const { organization, pipeline, number } = pathShape.parse(request.params)
      const parsed = parseFilters(request.query)
      if ('faults' in parsed) return refuse(reply, 400, 'This address has a mistake', parsed.faults.join(' '))
      return unlessRefused(reply, async () => {
        const known = await read(parts, organizationsOf())
        const one = known.rows.find((row) => row.organization === organization)
        if (!one) return refuse(reply, 404, 'No such organization', `The mirror has no organization ${organization}.`)
        const { filters } = parsed
        const scope = { organization, organizationId: one.id, filters, period: periodOf(filters.days, clock()) }
        return show({ reply, scope, now: new Date(clock()) }, pipeline, /^\d{1,9}$/.test(number) ? Number(number) : 0)
      })
    }
  app.get('/explore', async (_request, reply) => unlessRefused(reply, () => showOrganizations(parts, reply)))
  app.get(
    '/explore/:organization',
    withScope((view) => showOverview(parts, view)),
  )
  app.get(
    '/explore/:organization/search',
    withScope((view) => showSearch(parts, view)),
  )
  app.get(
    '/explore/:organization/pipelines/:pipeline',
    withScope((view, pipeline) => showPipeline(parts, view, pipeline)),
  )
  app.get(
    '/explore/:organization/pipelines/:pipeline/builds/:number',
    withScope((view, pipeline, number) => showBuild(parts, view, pipeline, number)),
  )
}

/** Turns a missing grant into a page that says where to look instead. */
async function unlessRefused(reply: FastifyReply, show: () => Promise<FastifyReply>): Promise<FastifyReply> {
  try {
    return await show()
  } catch (error) {
    if (!(error instanceof StoreError) || error.code !== '42501') throw error
    return refuse(
      reply,
      403,
      'This process may not read builds',
      'The database user of this process may not read analytics: a receiver has no access to builds, jobs and people. Open /explore on the private listener of a worker or of the reconciler, or run migrate --roles if this is one.',
    )
  }
}

function refuse(reply: FastifyReply, code: number, heading: string, text: string): FastifyReply {
  const body = html`<section class="card"><p>${text}</p><p><a href="/explore">To the overview</a> · <a href="/">To the status page</a></p></section>`
  return sendExplorePage(reply.code(code), { title: heading, heading, body })
}

async function showOrganizations(parts: ExploreParts, reply: FastifyReply): Promise<FastifyReply> {
  const { rows } = await read(parts, organizationsOf())
  const [only] = rows
  if (only && rows.length === 1) return reply.redirect(pathOf(only.organization))
  const items = rows.map(
    (one) => html`<li><a href="${pathOf(one.organization)}">${one.name ?? one.organization}</a></li>`,
  )
  const body = only
    ? html`<section class="card"><ul class="plain">${items}</ul></section>`
    : html`<section class="card"><h2>No builds yet</h2><p>The mirror has seen no organization. Set <code>BUILDKITE_API_TOKEN</code>, and the service reads the last builds within a minute. <code>buildkite-mirror check</code> says what is missing; <a href="/">the status page</a> shows the progress.</p></section>`
  return sendExplorePage(reply, {
    title: 'Explore',
    heading: 'Explore your CI',
    subtitle: only && 'Choose an organization',
    body,
  })
}

/** The parts of a page that come before its own: coverage, filters and trends. */
async function readTop(parts: ExploreParts, scope: Scope, now: Date) {
  const [coverage, stale] = await Promise.all([read(parts, coverageOf(scope)), read(parts, staleDays(scope))])
  return {
    completeness: completenessOf(coverage, stale, scope.period, now),
    isCompared: isComparable(coverage, scope.period),
  }
}

async function showOverview(parts: ExploreParts, { reply, scope, now }: View): Promise<FastifyReply> {
  const { organization, organizationId, filters, period } = scope
  const [choices, trends, lists, top] = await Promise.all([
    read(parts, choicesOf(organizationId)),
    readTrends(parts, scope),
    readLists(parts, scope),
    readTop(parts, scope, now),
  ])
  const { completeness, isCompared } = top
  const isEmpty =
    trends.results.rows.length === 0 && !trends.results.refusal && Object.keys(linkFilters(filters)).length === 0
  const content = isEmpty
    ? html`<section class="card"><h2>No builds yet</h2><p>No build of ${organization} has finished in the last ${2 * period.days} days, or its totals are not computed yet. The service reads new builds every minute and history in the background: <a href="/">the status page</a> shows how far it is.</p></section>`
    : html`${figuresOf(trends, scope, completeness, isCompared)}${chartsOf(trends, scope, completeness)}${listsOf(lists, scope, completeness)}`
  const body = html`${filterForm(pathOf(organization), scope, choices.rows)}${completenessNote(completeness, period, isCompared)}${content}`
  return sendExplorePage(reply, {
    title: organization,
    heading: organization,
    subtitle: 'Builds, jobs, queues and costs',
    organization,
    body,
  })
}

const linkFilters = ({ pipeline, branch, team, tag }: Filters) =>
  Object.fromEntries(Object.entries({ pipeline, branch, team, tag }).filter(([, value]) => value !== undefined))

async function showSearch(parts: ExploreParts, { reply, scope, now }: View): Promise<FastifyReply> {
  const [found, { completeness }] = await Promise.all([readSearch(parts, scope), readTop(parts, scope, now)])
  const { organization, filters } = scope
  const body = searchBody(found, scope, completeness, now)
  const crumbs = [[organization, pathOf(organization)] as const]
  return sendExplorePage(reply, {
    title: `Search ${organization}`,
    heading: filters.q ? `Builds that match “${filters.q}”` : 'Search builds',
    crumbs,
    organization,
    q: filters.q,
    body: html`${body}<p id="completeness" class="small quiet">${completeness.sentence}</p>`,
  })
}

async function findPipeline(parts: ExploreParts, { scope }: View, slug: string): Promise<PipelineChoice | undefined> {
  const { rows } = await read(parts, choicesOf(scope.organizationId))
  return rows.find((one) => one.pipeline === slug)
}

async function showPipeline(parts: ExploreParts, view: View, slug: string): Promise<FastifyReply> {
  const { reply, now } = view
  const pipeline = await findPipeline(parts, view, slug)
  if (!pipeline) return refuse(reply, 404, 'No such pipeline', `The mirror has no pipeline ${slug}.`)
  const scope = { ...view.scope, pipelineId: pipeline.id }
  const { organization, filters, period } = scope
  const [trends, lists, { completeness, isCompared }] = await Promise.all([
    readTrends(parts, scope),
    readPipelineLists(parts, scope),
    readTop(parts, scope, now),
  ])
  const path = pathOf(organization, 'pipelines', slug)
  const body = html`${filterForm(path, scope, [pipeline])}${completenessNote(completeness, period, isCompared)}
${figuresOf(trends, scope, completeness, isCompared)}${chartsOf(trends, scope, completeness)}${pipelineListsOf(lists, scope, slug, completeness, now)}`
  const owned = [...pipeline.teams, ...pipeline.tags].join(', ')
  const crumbs = [[organization, linkTo(pathOf(organization), { days: filters.days })] as const]
  return sendExplorePage(reply, {
    title: `${slug} · ${organization}`,
    heading: pipeline.name ?? slug,
    subtitle: html`default branch ${pipeline.default_branch ?? 'unknown'}${owned && ` · ${owned}`}`,
    crumbs,
    organization,
    body,
  })
}

async function showBuild(parts: ExploreParts, view: View, slug: string, number: number): Promise<FastifyReply> {
  const { reply, now } = view
  const pipeline = await findPipeline(parts, view, slug)
  const reading = pipeline && (await read(parts, buildOf(pipeline.id, number)))
  const build = reading?.rows[0]
  if (!build || !reading)
    return refuse(
      reply,
      404,
      'No such build',
      `The mirror has no build ${number} of ${slug}. It may not be read yet, or Buildkite has deleted it.`,
    )
  const scope = { ...view.scope, pipelineId: pipeline.id }
  const { organization } = scope
  const [built, { completeness }] = await Promise.all([
    readBuildParts(parts, build, scope.filters.from),
    readTop(parts, scope, now),
  ])
  const body = html`${buildBody({ build, reading, parts: built, scope, slug, completeness, now })}<p id="completeness" class="small quiet">${completeness.sentence}</p>`
  const crumbs = [
    [organization, pathOf(organization)],
    [pipeline.name ?? slug, pathOf(organization, 'pipelines', slug)],
  ] as const
  return sendExplorePage(reply, {
    title: `${slug} #${number}`,
    heading: buildHeading(build),
    subtitle: buildSubtitle(build, slug, organization, now),
    crumbs,
    organization,
    body,
  })
}
