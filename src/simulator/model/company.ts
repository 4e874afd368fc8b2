import { createRandom, type Random } from '../random.ts'
import { graphqlId, iso, type Organization, type Person, type Pipeline, secretMark } from './shapes.ts'

// The data of an organization other than pipelines, builds and agents. No webhook contains it. It has its own random generator, so that
// it does not change the history of a seed.

type Cluster = ReturnType<typeof foundCluster>
type Queue = ReturnType<typeof foundQueue>
type Team = ReturnType<typeof foundTeam>
type Member = ReturnType<typeof foundMember>
type TeamMember = ReturnType<typeof foundTeamMember>
type TeamPipeline = { access_level: string; created_at: string; pipeline: Pipeline }
type Schedule = ReturnType<typeof foundSchedule>

/** The data of one organization. Every list may be changed. */
export interface Company {
  readonly clusters: Cluster[]
  readonly queues: Map<Cluster, Queue[]>
  readonly teams: Team[]
  readonly teamMembers: Map<Team, TeamMember[]>
  readonly teamPipelines: Map<Team, TeamPipeline[]>
  readonly members: Member[]
  readonly schedules: Map<Pipeline, Schedule[]>
  /** Adds a new pipeline to its cluster and teams, and gives every second one a schedule. */
  join(pipeline: Pipeline, position: number, at: number): void
}

type People = readonly [Person, ...Person[]]

const queueKeys = [
  ['default', 'deploy'],
  ['default', 'macos', 'gpu'],
] as const
const clusterNames = ['Production', 'Open source'] as const
const teamNames = ['Everyone', 'Fearless Frontenders', 'Platform & Deploys'] as const

export function foundCompany(seed: string, at: number, organization: Organization, people: People): Company {
  const random = createRandom(`${seed} company of ${organization.slug}`)
  const clusters: Cluster[] = []
  const queues = new Map<Cluster, Queue[]>()
  for (const [index, name] of clusterNames.entries()) {
    const id = random.uuid(at)
    const url = `${organization.url}/clusters/${id}`
    const web = `${organization.web_url}/clusters/${id}`
    const creator = random.pick([people[0], ...people.slice(1)])
    const its = (queueKeys[index] ?? []).map((key) => foundQueue(random, at, { url, web }, key, creator))
    const cluster = foundCluster({ id, url, web, name, at, first: its[0]?.id ?? id, creator })
    clusters.push(cluster)
    queues.set(cluster, its)
  }
  const company: Company = {
    clusters,
    queues,
    teams: [],
    teamMembers: new Map(),
    teamPipelines: new Map(),
    members: people.map(foundMember),
    schedules: new Map(),
    join: (pipeline, position, joinedAt) =>
      join(company, random, { pipeline, position, at: joinedAt, creator: people[0] }),
  }
  for (const [index, name] of teamNames.entries()) {
    const team = foundTeam(random, at, name, people[0], index === 0)
    company.teams.push(team)
    const its = people.filter((_, position) => index === 0 || position % 2 === index % 2)
    company.teamMembers.set(
      team,
      its.map((person, position) => foundTeamMember(person, position, at)),
    )
    company.teamPipelines.set(team, [])
  }
  const [everyone] = company.teams
  if (everyone) clusters[0]?.maintainers.teams.push(teamMaintainer(everyone))
  return company
}

function foundCluster(given: {
  id: string
  url: string
  web: string
  name: string
  at: number
  first: string
  creator: Person
}) {
  const { id, url, web, name, first } = given
  return {
    id,
    graphql_id: graphqlId('Cluster', id),
    default_queue_id: first,
    name,
    description: `Builds of ${name.toLowerCase()}`,
    emoji: ':technologist:',
    color: '#FFE0F1',
    maintainers: maintainersOf(given.creator),
    url,
    web_url: web,
    default_queue_url: `${url}/queues/${first}`,
    queues_url: `${url}/queues`,
    created_at: iso(given.at),
    created_by: given.creator,
  }
}

interface Maintainer {
  id: string
  actor: { id: string; graphql_id: string; name: string; type: 'user' | 'team'; email?: string; slug?: string }
}

function maintainersOf({ id, graphql_id, name, email }: Person): { users: Maintainer[]; teams: Maintainer[] } {
  const permission = createRandom(`maintainer ${id}`).uuid(0)
  return { users: [{ id: permission, actor: { id, graphql_id, name, email, type: 'user' } }], teams: [] }
}

/** A team that may manage a cluster. */
function teamMaintainer({ id, graphql_id, name, slug }: Team): Maintainer {
  return { id: createRandom(`maintainer ${id}`).uuid(0), actor: { id, graphql_id, name, slug, type: 'team' } }
}

/** Only queues of hosted agents have these fields. */
function hostedAgents(key: string) {
  if (key !== 'macos') return {}
  const shape = { machine_type: 'macos', architecture: 'arm64', cpu: 6, memory: 28, name: 'MACOS_ARM64_M4_6X28' }
  return { hosted: true, hosted_agents: { instance_shape: shape } }
}

function foundQueue(random: Random, at: number, cluster: { url: string; web: string }, key: string, creator: Person) {
  const id = random.uuid(at)
  const paused = key === 'gpu'
  return {
    id,
    graphql_id: graphqlId('ClusterQueue', id),
    key,
    description: key === 'default' ? null : `Agents for ${key}`,
    url: `${cluster.url}/queues/${id}`,
    web_url: `${cluster.web}/queues/${id}`,
    cluster_url: cluster.url,
    retry_agent_affinity: 'prefer-warmest',
    dispatch_paused: paused,
    dispatch_paused_by: paused ? creator : null,
    dispatch_paused_at: paused ? iso(at) : null,
    dispatch_paused_note: paused ? 'New drivers' : null,
    created_at: iso(at),
    created_by: creator,
    ...hostedAgents(key),
  }
}

function foundMember({ id, name, email }: Person, index: number) {
  return { id, name, email, role: index === 0 ? 'admin' : 'member', sso_mode: index < 2 ? 'optional' : 'required' }
}

function foundTeamMember({ id, name }: Person, position: number, at: number) {
  return { role: position === 0 ? 'maintainer' : 'member', created_at: iso(at), user_id: id, user_name: name }
}

function foundTeam(random: Random, at: number, name: string, creator: Person, everyone: boolean) {
  const id = random.uuid(at)
  return {
    id,
    graphql_id: graphqlId('Team', id),
    name,
    slug: name.toLowerCase().replace(/[^a-z]+/g, '-'),
    description: '',
    privacy: everyone ? 'visible' : 'secret',
    default: everyone,
    created_at: iso(at),
    created_by: creator,
  }
}

interface Joining {
  pipeline: Pipeline
  position: number
  at: number
  creator: Person
}

function join(company: Company, random: Random, { pipeline, position, at, creator }: Joining): void {
  const cluster = company.clusters[position % company.clusters.length]
  pipeline.cluster_id = cluster?.id ?? null
  pipeline.cluster_url = cluster?.url ?? null
  for (const [index, team] of company.teams.entries()) {
    if (index > 0 && position % 2 !== index % 2) continue
    const access_level = index === 0 ? 'read_only' : 'manage_build_and_read'
    company.teamPipelines.get(team)?.push({ access_level, created_at: iso(at), pipeline })
  }
  if (position % 2 === 0) company.schedules.set(pipeline, [foundSchedule(random, at, pipeline, creator)])
}

function foundSchedule(random: Random, at: number, pipeline: Pipeline, creator: Person) {
  const id = random.uuid(at)
  return {
    id,
    graphql_id: graphqlId('PipelineSchedule', id),
    label: 'Nightly build',
    cronline: '0 3 * * * UTC',
    message: `Nightly build of ${pipeline.name}`,
    commit: 'HEAD',
    branch: pipeline.default_branch,
    env: { DEPLOY_TOKEN: `${secretMark}-schedule-env` },
    enabled: true,
    next_build_at: iso(at + 86_400_000),
    failed_message: null,
    failed_at: null,
    created_at: iso(at),
    created_by: creator,
  }
}
