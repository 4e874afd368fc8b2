import type { Company } from '../model/company.ts'
import { type Build, type Organization, type Pipeline, type ScriptJob, secretMark } from '../model/shapes.ts'
import { createRandom } from '../random.ts'
import { type ApiResponse, type Context, notFound, type OrganizationRoute, paged } from './answer.ts'

// The lists of everything except pipelines, builds and agents.

const teamScopes = ['read_teams', 'view_teams']

/** Finds the list at the path `parts` below an organization's, or undefined. */
export function findCompanyRoute([first, id, second, ...more]: readonly (string | undefined)[]):
  | OrganizationRoute
  | undefined {
  if (more.some((part) => part !== undefined)) return undefined
  const list = (
    kind: string,
    scopes: readonly string[],
    find: (company: Company) => readonly unknown[] | undefined,
  ): OrganizationRoute => ({
    kind,
    scopes,
    answer(context, organization) {
      const found = find(context.truth.companyOf(organization))
      return found ? paged(context, found, (item) => item) : notFound(kind)
    },
  })
  if (first === 'members' && id === undefined) return list('members', ['read_organizations'], ({ members }) => members)
  if (first === 'clusters') {
    if (id === undefined) return list('clusters', ['read_clusters'], ({ clusters }) => clusters)
    if (second !== 'queues') return undefined
    return list('queues', ['read_clusters'], ({ clusters, queues }) => {
      const cluster = clusters.find((one) => one.id === id)
      return cluster && (queues.get(cluster) ?? [])
    })
  }
  if (first !== 'teams') return undefined
  if (id === undefined) return list('teams', teamScopes, ({ teams }) => teams)
  if (second === 'members') {
    return list('team-members', teamScopes, (company) => {
      const team = company.teams.find((one) => one.id === id)
      return team && (company.teamMembers.get(team) ?? [])
    })
  }
  if (second !== 'pipelines') return undefined
  return { kind: 'team-pipelines', scopes: teamScopes, answer: (context, of) => listTeamPipelines(context, of, id) }
}

function listTeamPipelines(context: Context, organization: Organization, id: string): ApiResponse {
  const { truth } = context
  const company = truth.companyOf(organization)
  const team = company.teams.find((one) => one.id === id)
  if (!team) return notFound('team')
  const all = (company.teamPipelines.get(team) ?? []).filter(
    ({ pipeline }) => truth.pipelines.includes(pipeline) && truth.isVisible(pipeline, context.token.token),
  )
  return paged(context, all, ({ pipeline, ...rest }) => {
    return { ...rest, pipeline_id: pipeline.id, pipeline_url: pipeline.url }
  })
}

export function listSchedules(context: Context, pipeline: Pipeline, organization: Organization): ApiResponse {
  const all = context.truth.companyOf(organization).schedules.get(pipeline) ?? []
  const { id, slug, url } = pipeline
  return paged(context, all, (schedule) => {
    return { ...schedule, url: `${url}/schedules/${schedule.id}`, pipeline: { id, slug, url } }
  })
}

const scripts = (build: Build) => build.jobs.filter((job): job is ScriptJob => job.type === 'script')

/** Generated for each response from the ids: a failed build has one annotation, and so has each of its failed jobs. */
export function listAnnotations(context: Context, build: Build): ApiResponse {
  const asked = context.query.get('scope') ?? 'build'
  const at = Date.parse(build.created_at)
  const annotation = (job: ScriptJob | undefined, style: string) => ({
    id: createRandom(`annotation of ${job?.id ?? build.id}`).uuid(at),
    context: job ? `job-${job.step_key}` : 'default',
    style,
    scope: job ? 'job' : 'build',
    job_id: job?.id ?? null,
    priority: 3,
    body_html: `<h1>${style}</h1>\n<p>Build ${build.number}</p>`,
    created_at: build.created_at,
    updated_at: build.created_at,
  })
  const all = [
    ...(build.state === 'failed' ? [annotation(undefined, 'error')] : []),
    ...scripts(build)
      .filter((job) => job.finished_at !== null && job.state === 'failed')
      .map((job) => annotation(job, 'warning')),
  ]
  const shown = all.filter(({ scope }) => asked === 'all' || scope === asked)
  return paged(context, shown, (item) => item)
}

/** Each passed job has uploaded one file. */
export function listArtifacts(context: Context, build: Build): ApiResponse {
  const all = scripts(build)
    .filter((job) => job.state === 'passed')
    .map((job) => {
      const random = createRandom(`artifact of ${job.id}`)
      const id = random.uuid(Date.parse(job.created_at))
      const url = `${build.url}/jobs/${job.id}/artifacts/${id}`
      return {
        id,
        job_id: job.id,
        url,
        download_url: `${url}/download?token=${secretMark}`,
        state: 'finished',
        path: 'dist/app.tar.gz',
        dirname: 'dist',
        filename: 'app.tar.gz',
        mime_type: 'application/x-gzip',
        file_size: random.int(1_000, 5_000_000_000),
        glob_path: null,
        original_path: null,
        sha1sum: random.hex(40),
      }
    })
  return paged(context, all, (item) => item)
}
