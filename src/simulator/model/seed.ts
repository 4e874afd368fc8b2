import type { Random } from '../random.ts'
import type { Company } from './company.ts'
import {
  type Agent,
  type Build,
  graphqlId,
  iso,
  type Organization,
  type Person,
  type Pipeline,
  secretMark,
} from './shapes.ts'

const api = 'https://api.buildkite.com/v2'
const web = 'https://buildkite.com'

const peopleNames = [
  'Ada Byron',
  'Grace Hopper',
  'Zoë Müller',
  '山田 太郎',
  'Samuel O’Brien',
  'Katherine Johnson',
] as const
const pipelineNames = [
  ['monolith', 'Monolith 🏛'],
  ['web-app', 'Web app'],
  ['mobile', 'Mobile :iphone:'],
  ['data-jobs', 'Data jobs'],
  ['infra', 'Infra & <config>'],
  ['deploy', 'Deploy :rocket:'],
] as const

export function foundPeople(random: Random, at: number): [Person, ...Person[]] {
  const person = (name: string): Person => {
    const id = random.uuid(at)
    const login =
      name
        .normalize('NFKD')
        .replace(/[^a-z]/gi, '')
        .toLowerCase() || 'taro'
    return {
      id,
      graphql_id: graphqlId('User', id),
      name,
      email: `${login}@example.com`,
      avatar_url: `https://www.gravatar.com/avatar/${random.hex(32)}`,
      created_at: iso(at),
    }
  }
  const [first, ...others] = peopleNames
  return [person(first), ...others.map(person)]
}

export function foundOrganization(random: Random, at: number, slug: string): Organization {
  const id = random.uuid(at)
  return {
    id,
    graphql_id: graphqlId('Organization', id),
    url: `${api}/organizations/${slug}`,
    web_url: `${web}/${slug}`,
    name: slug.replace(/(^|-)([a-z])/g, (_, dash: string, letter: string) => (dash ? ' ' : '') + letter.toUpperCase()),
    slug,
    pipelines_url: `${api}/organizations/${slug}/pipelines`,
    agents_url: `${api}/organizations/${slug}/agents`,
    emojis_url: `${api}/organizations/${slug}/emojis`,
    created_at: iso(at),
  }
}

/** The pipeline's own addresses, which all contain its slug, except the badge. */
export function pipelineAddresses(organization: string, slug: string, badge: string) {
  return {
    url: `${api}/organizations/${organization}/pipelines/${slug}`,
    web_url: `${web}/${organization}/${slug}`,
    builds_url: `${api}/organizations/${organization}/pipelines/${slug}/builds`,
    badge_url: `https://badge.buildkite.com/${badge}.svg`,
  }
}

/** Changes the name and slug of a pipeline, and all URLs of the pipeline, its builds and its jobs. */
export function movePipeline(
  organization: Organization,
  pipeline: Pipeline,
  builds: readonly Build[],
  to: { name: string; slug: string },
): void {
  const { url, web_url, badge_url } = pipeline
  Object.assign(pipeline, to, pipelineAddresses(organization.slug, to.slug, ''), { badge_url })
  const moved = (text: string) =>
    text.replace(`${url}/`, `${pipeline.url}/`).replace(`${web_url}/`, `${pipeline.web_url}/`)
  for (const thing of builds.flatMap((build) => [build, ...build.jobs])) {
    for (const [key, value] of Object.entries(thing)) {
      if (typeof value === 'string' && key.endsWith('url')) Object.assign(thing, { [key]: moved(value) })
    }
  }
}

/** The name and slug for a pipeline's position: one of a few names, with a number when they are used up. */
export function pipelineName(position: number): { name: string; slug: string } {
  const [slug, name] = pipelineNames[position % pipelineNames.length] ?? pipelineNames[0]
  const round = Math.floor(position / pipelineNames.length)
  return round ? { name: `${name} ${round + 1}`, slug: `${slug}-${round + 1}` } : { name, slug }
}

export function foundPipeline(
  random: Random,
  at: number,
  organization: Organization,
  position: number,
  creator: Person,
): Pipeline {
  const { name, slug } = pipelineName(position)
  const id = random.uuid(at)
  const cluster = random.uuid(at)
  const repository = `git@github.com:${organization.slug}/${slug}.git`
  return {
    id,
    graphql_id: graphqlId('Pipeline', id),
    ...pipelineAddresses(organization.slug, slug, random.hex(40)),
    name,
    description: position % 2 ? null : `Builds ${slug}`,
    slug,
    repository,
    cluster_id: cluster,
    cluster_url: `${organization.url}/clusters/${cluster}`,
    pipeline_template_uuid: null,
    branch_configuration: position % 3 === 1 ? '!gh-pages' : null,
    default_branch: 'main',
    skip_queued_branch_builds: position % 2 === 0,
    skip_queued_branch_builds_filter: position % 2 === 0 ? '!main' : null,
    cancel_running_branch_builds: false,
    cancel_running_branch_builds_filter: null,
    allow_rebuilds: true,
    provider: {
      id: 'github',
      settings: { trigger_mode: 'code', build_pull_requests: true, repository: `${organization.slug}/${slug}` },
      webhook_url: `https://webhook.buildkite.com/deliver/${secretMark}-${random.hex(24)}`,
    },
    clone_mirror_url: null,
    created_by: creator,
    created_at: iso(at),
    archived_at: null,
    env: position % 2 ? null : { DEPLOY_TOKEN: `${secretMark}-pipeline-env` },
    scheduled_builds_count: 0,
    running_builds_count: 0,
    scheduled_jobs_count: 0,
    running_jobs_count: 0,
    waiting_jobs_count: 0,
    visibility: 'private',
    tags: position % 2 ? null : ['backend', 'team-a'],
    emoji: position % 2 ? ':rocket:' : null,
    color: null,
    default_command_step_timeout: position % 2 ? 30 : null,
    maximum_command_step_timeout: position % 2 ? 120 : null,
    configuration: `env:\n  CODECOV_TOKEN: ${secretMark}-configuration\nsteps:\n  - command: make test\n`,
    steps: [
      { type: 'script', name: 'Test', command: 'make test', artifact_paths: null, env: { KEY: `${secretMark}-step` } },
    ],
  }
}

export function foundAgent(
  random: Random,
  at: number,
  organization: Organization,
  number: number,
  creator: Person,
  company: Company,
): Agent {
  const id = random.uuid(at)
  const queue = number % 4 === 0 ? 'deploy' : 'default'
  const cluster = company.clusters[number % 2]
  const clusterQueue = cluster && company.queues.get(cluster)?.find(({ key }) => key === queue)
  return {
    id,
    graphql_id: graphqlId('Agent', id),
    url: `${organization.url}/agents/${id}`,
    web_url: `${organization.web_url}/agents/${id}`,
    name: `agent-${number}`,
    connection_state: 'connected',
    hostname: `ip-10-0-0-${number}`,
    ip_address: `203.0.113.${number % 250}`,
    user_agent: 'buildkite-agent/3.99.0.9999 (linux; amd64)',
    version: '3.99.0',
    os_id: 'ubuntu-24.04',
    arch: 'amd64',
    queue,
    creator: number % 3 ? creator : null,
    created_at: iso(at),
    connected_at: iso(at),
    disconnected_at: null,
    lost_at: null,
    stopped_at: null,
    last_job_finished_at: null,
    priority: 0,
    meta_data: [`queue=${queue}`, 'docker=true'],
    paused: false,
    paused_at: null,
    paused_by: null,
    paused_note: null,
    paused_timeout_in_minutes: null,
    cluster_url: cluster?.url ?? null,
    cluster_queue_url: clusterQueue?.url ?? null,
  }
}
