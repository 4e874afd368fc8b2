import { createHash } from 'node:crypto'
import { agentPlace, isConnected } from './agent-words.ts'
import { slugOf } from './builds.ts'
import { type Facts, factsOf } from './facts.ts'
import { buildFields, type Json } from './fields.ts'
import { isCommand } from './job-words.ts'
import { clusterOf } from './jobs.ts'
import {
  greatest,
  grouped,
  least,
  listBy,
  lower,
  type Maybe,
  orNull,
  type Row,
  repositoryOf,
  repositoryUrlOf,
  sortedWords,
  startOfHour,
} from './values.ts'

// See "Reference data" and "The mirror itself" in docs/analytics/definitions.md.

const textOf = (object: Json, key: string) => (typeof object[key] === 'string' ? (object[key] as string) : null)

export function organizations(facts: Facts): Row[] {
  return facts.history.lists.map(({ organization }) => ({
    id: organization.id,
    ...{ organization: organization.slug, slug: organization.slug, name: organization.name },
    web_url: organization.web_url,
    created_at: buildFields({ created_at: organization.created_at }).created_at,
  }))
}

export function pipelines(facts: Facts): Row[] {
  return facts.pipelines.map((pipeline) => ({
    ...Object.fromEntries(
      ['id', 'organization_id', 'name', 'default_branch', 'cluster_id', 'visibility', 'created_at', 'archived_at'].map(
        (name) => [name, pipeline[name]],
      ),
    ),
    default_command_step_timeout: pipeline.default_command_step_timeout,
    maximum_command_step_timeout: pipeline.maximum_command_step_timeout,
    organization: slugOf(facts, pipeline.organization_id),
    pipeline: pipeline.slug,
    repository_url: repositoryUrlOf(pipeline.repository),
    repository: repositoryOf(pipeline.repository),
    tags: pipeline.tags,
    teams: pipeline.teams,
    cluster: clusterOf(facts, pipeline),
    created_by_email: lower(pipeline.created_by_email as Maybe<string>),
    web_url: pipeline.web_url,
  }))
}

export function pipelineSchedules(facts: Facts): Row[] {
  const byId = new Map(facts.pipelines.map((one) => [one.id, one]))
  const lists = [...(facts.history.before?.lists ?? []), ...facts.history.lists]
  // A schedule that is gone stays as it was last read.
  const last = new Map(
    lists.flatMap(({ schedules, organization }) =>
      schedules.map((schedule) => [schedule.id, { schedule, organization }] as const),
    ),
  )
  return [...last.values()].map(({ schedule, organization }) => {
    const pipeline_id = textOf(schedule.pipeline as Json, 'id')
    const time = (key: string) => buildFields({ created_at: schedule[key] }).created_at ?? null
    return {
      ...{ id: schedule.id, organization_id: organization.id, organization: organization.slug, pipeline_id },
      pipeline: byId.get(pipeline_id ?? '')?.slug ?? null,
      ...Object.fromEntries(
        ['label', 'cronline', 'branch', 'message', 'commit', 'enabled', 'failed_message'].map((name) => [
          name,
          schedule[name],
        ]),
      ),
      ...{ next_build_at: time('next_build_at'), failed_at: time('failed_at'), created_at: time('created_at') },
      created_by_email: lower(textOf(schedule.created_by as Json, 'email')),
    }
  })
}

export function agents(facts: Facts): Row[] {
  const names = ['id', 'connection_state', 'version', 'hostname', 'os_id', 'arch', 'paused', 'created_at', 'ip_address']
  const times = ['connected_at', 'disconnected_at', 'lost_at', 'stopped_at', 'last_job_finished_at', 'meta_data']
  return facts.agents.map((agent) => ({
    ...Object.fromEntries([...names, ...times].map((name) => [name, agent[name]])),
    ...agentPlace(agent),
    organization: slugOf(facts, agent.organization_id as Maybe<string>),
    agent_name: agent.name,
    is_connected: isConnected(facts, agent),
    is_busy: agent.job !== null,
    // An agent that no list shows is seen in builds alone, and only the mirror knows which builds it read again.
    ...(facts.history.mirror.deleted.has(String(agent.id)) && { last_job_finished_at: undefined }),
  }))
}

export const pipelineSources = (): Row[] => [{ id: 1, name: 'Buildkite', api: false }]

interface Sighting {
  id: Maybe<string>
  email: Maybe<string>
  username: Maybe<string>
  name: Maybe<string>
  at: Maybe<number>
  isMember?: boolean
}

function sightings(facts: Facts): Sighting[] {
  const seen = (id: unknown, email: unknown, name: unknown, at: Maybe<number>, username: unknown = null): Sighting => ({
    id: lower((id as string) ?? null),
    email: lower(orNull((email as string) ?? null)),
    username: lower(orNull((username as string) ?? null)),
    name: orNull((name as string) ?? null),
    at,
  })
  return [
    ...facts.builds.flatMap((one) => [
      seen(one.creator_id, one.creator_email, one.creator_name, one.created_at),
      seen(null, one.author_email, one.author_name, one.created_at, one.author_username),
    ]),
    ...facts.jobs.flatMap((job) => [
      ...(job.unblocked_at === null
        ? []
        : [seen(job.unblocked_by_id, job.unblocked_by_email, job.unblocked_by_name, job.unblocked_at)]),
      ...(job.retried_in_job_id === null
        ? []
        : [seen(job.retried_by_id, job.retried_by_email, job.retried_by_name, job.finished_at)]),
    ]),
    ...facts.pipelines.map((one) => seen(one.created_by_id, one.created_by_email, one.created_by_name, one.created_at)),
    ...facts.history.lists.flatMap(({ members }) =>
      members.map((one) => ({ ...seen(one.id, one.email, one.name, Number.MAX_SAFE_INTEGER), isMember: true })),
    ),
  ].filter(({ id, email, username }) => id !== null || email !== null || username !== null)
}

export function users(facts: Facts): Row[] {
  const { before } = facts.history
  // What was once stored of a person stays.
  const all = [...sightings(facts), ...(before ? sightings(factsOf(before)) : [])]
  const idOf = new Map<string, string>()
  for (const { id, email } of all) {
    if (id !== null && email !== null) idOf.set(email, least([id, idOf.get(email) ?? null]) ?? id)
  }
  const combinations = grouped(
    all,
    ({ id, email, username }) => ({ id, email, username }),
    (group) => {
      const newest = [...group].sort((a, b) => (b.at ?? 0) - (a.at ?? 0))
      return { name: newest.find(({ name }) => name !== null)?.name ?? null, at: newest[0]?.at ?? null }
    },
  ) as unknown as Sighting[]
  const person = ({ id, email, username }: Sighting) =>
    id ?? (email === null ? `username:${username}` : (idOf.get(email) ?? email))
  const teams = facts.history.lists.flatMap((lists) => lists.teams)
  const everMembers = new Set(all.flatMap(({ isMember, id }) => (isMember && id !== null ? [id] : [])))
  const members = new Set(facts.history.lists.flatMap((lists) => lists.members.map((one) => textOf(one, 'id'))))
  return [...listBy(combinations, person)].map(([key, group]) => {
    const ordered = [...group].sort(
      (a, b) => Number(b.id !== null) - Number(a.id !== null) || (b.at ?? 0) - (a.at ?? 0),
    )
    const id = ordered[0]?.id ?? idOf.get(ordered[0]?.email ?? '') ?? null
    return {
      key: key.length > 500 ? `md5:${createHash('md5').update(key).digest('hex')}` : key,
      id,
      name: ordered.find(({ name }) => name !== null)?.name ?? null,
      email: ordered.find(({ email }) => email !== null)?.email ?? null,
      emails: sortedWords(ordered.map(({ email }) => email)),
      usernames: sortedWords(ordered.map(({ username }) => username)),
      is_member: members.has(id),
      teams: sortedWords(
        teams
          .filter((team) => team.members.some(({ user_id }) => user_id === id))
          .map(({ team }) => textOf(team, 'slug')),
      ),
      last_seen_at: everMembers.has(id ?? '') ? undefined : greatest(ordered.map(({ at }) => at)),
    }
  })
}

export function webhookLoss(facts: Facts): Row[] {
  const { oldestDelivery } = facts.history
  if (oldestDelivery === null) return []
  const isLost = (firstAt: number, isRest: boolean, time: number) => isRest && firstAt > time + 10_000
  const seen = [
    ...facts.builds.flatMap((build) => {
      const { organization_id, created_at: at, firstAt, isFirstRest } = build
      return at === null ? [] : [{ organization_id, at, isJob: false, isLost: isLost(firstAt, isFirstRest, at) }]
    }),
    ...facts.jobs.filter(isCommand).flatMap(({ build, started_at: at, firstAt, isFirstRest }) => {
      if (!build || at === null) return []
      return [{ organization_id: build.organization_id, at, isJob: true, isLost: isLost(firstAt, isFirstRest, at) }]
    }),
  ]
  return grouped(
    seen.filter(({ at }) => startOfHour(at) >= startOfHour(oldestDelivery)),
    ({ at, organization_id }) => ({ hour: startOfHour(at), organization_id }),
    (group) => ({
      organization: slugOf(facts, group[0]?.organization_id ?? null),
      builds: group.filter(({ isJob }) => !isJob).length,
      builds_lost: group.filter((one) => !one.isJob && one.isLost).length,
      jobs: group.filter(({ isJob }) => isJob).length,
      jobs_lost: group.filter((one) => one.isJob && one.isLost).length,
    }),
  )
}
