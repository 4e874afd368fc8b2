import type { Json } from './fields.ts'
import type { History } from './history.ts'
import { type Finish, type Merged, mergeAll, organizationIdOf, type Sighting } from './merge.ts'
import { listBy, lower, type Maybe, type Row, sortedWords } from './values.ts'

// The objects as every definition sees them: typed, complete with nulls, and linked.

type Text = Maybe<string>
type Time = Maybe<number>

export interface Pipeline {
  [key: string]: unknown
  id: string
  organization_id: Text
  slug: Text
  name: Text
  repository: Text
  default_branch: Text
  web_url: Text
  provider_id: Text
  cluster_id: Text
  tags: string[]
  teams: string[]
  created_at: Time
}

export interface Job {
  [key: string]: unknown
  id: string
  build_id: Text
  build: Maybe<Build>
  type: Text
  name: Text
  label: Text
  step_key: Text
  group_key: Text
  step_id: Text
  command: Text
  state: Text
  soft_failed: Maybe<boolean>
  exit_status: Maybe<number>
  signal_reason: Text
  agent_query_rules: Maybe<string[]>
  cluster_id: Text
  cluster_queue_id: Text
  created_at: Time
  scheduled_at: Time
  runnable_at: Time
  started_at: Time
  finished_at: Time
  expired_at: Time
  concurrency_wait_time_ms: Maybe<number>
  retried: Maybe<boolean>
  retried_in_job_id: Text
  retry_type: Text
  retried_by_id: Text
  retried_by_name: Text
  retried_by_email: Text
  retry_source_retried_by_name: Text
  promised_exit_status: Maybe<number>
  promised_exit_status_at: Time
  parallel_group_index: Maybe<number>
  parallel_group_total: Maybe<number>
  matrix: unknown
  agent_id: Text
  agent_name: Text
  web_url: Text
  async: Maybe<boolean>
  triggered_build_id: Text
  unblocked_at: Time
  unblocked_by_id: Text
  unblocked_by_name: Text
  unblocked_by_email: Text
  isFirstRest: boolean
  firstAt: number
}

export interface Build {
  [key: string]: unknown
  id: string
  organization_id: Text
  pipeline_id: Text
  pipeline: Maybe<Pipeline>
  number: Maybe<number>
  state: Text
  blocked: Maybe<boolean>
  branch: Text
  commit: Text
  web_url: Text
  author_name: Text
  author_email: Text
  author_username: Text
  author_date: Time
  creator_id: Text
  creator_name: Text
  creator_email: Text
  created_at: Time
  started_at: Time
  finished_at: Time
  failing_at: Time
  cancel_reason: Text
  source: Text
  pull_request_id: Text
  pull_request_base: Text
  pull_request_repository: Text
  rebuilt_from_id: Text
  triggered_from_build_id: Text
  jobs: Job[]
  /** In the order in which they were applied. */
  finishes: Finish[]
  isFirstRest: boolean
  firstAt: number
}

export interface Facts {
  readonly history: History
  readonly pipelines: Pipeline[]
  readonly builds: Build[]
  readonly jobs: Job[]
  readonly agents: Row[]
  /** What each payload showed of an agent, in their order. */
  readonly sightings: ReadonlyMap<string, Sighting[]>
  readonly buildById: ReadonlyMap<string, Build>
  readonly jobById: ReadonlyMap<string, Job>
  /** The ids of jobs that another known job names as its next try. */
  readonly nextTries: ReadonlySet<string>
  readonly clusterNames: ReadonlyMap<string, string>
  readonly queueKeys: ReadonlyMap<string, string>
  readonly organizationSlugs: ReadonlyMap<string, string>
}

/** Every absent field is null. */
const complete = <T extends object>(row: Row): T =>
  new Proxy(row, { get: (target, key) => target[key as string] ?? null }) as T

export function factsOf(history: History): Facts {
  const objects = mergeAll(history)
  const text = (object: Json, key: string) => String(object[key])
  const teams = history.lists.flatMap((lists) => lists.teams)
  const teamsOf = (id: string) =>
    sortedWords(
      teams
        .filter(({ pipelines }) => pipelines.some((one) => one.pipeline_id === id))
        .map(({ team }) => text(team, 'slug')),
    )
  const withPlace = ({ row }: Merged) => ({ ...row, organization_id: organizationIdOf(objects, row) })
  const pipelines = [...objects.pipelines.values()].map((merged) => {
    const row: Row = withPlace(merged)
    return complete<Pipeline>({ ...row, tags: row.tags ?? [], teams: teamsOf(String(row.id)) })
  })
  const pipelineById = new Map(pipelines.map((one) => [one.id, one]))
  const first = ({ firstVia, firstAt }: Merged) => ({ isFirstRest: firstVia === 'rest', firstAt })
  const builds = [...objects.builds.values()].map((merged) =>
    complete<Build>({
      ...withPlace(merged),
      ...first(merged),
      pipeline: pipelineById.get(String(merged.row.pipeline_id)),
      finishes: objects.finishes.get(String(merged.row.id)) ?? [],
      jobs: [],
    }),
  )
  const buildById = new Map(builds.map((one) => [one.id, one]))
  const jobs = [...objects.jobs.values()].map((merged) =>
    complete<Job>({ ...merged.row, ...first(merged), build: buildById.get(String(merged.row.build_id)) }),
  )
  for (const [id, own] of listBy(jobs, ({ build_id }) => build_id)) buildById.get(id)?.jobs.push(...own)
  const named = (of: 'clusters' | 'queues', key: string) =>
    new Map(
      history.lists.flatMap((lists) =>
        lists[of].map((one) => [String(lower(text(one, 'id'))), text(one, key)] as const),
      ),
    )
  return {
    history,
    ...{ pipelines, builds, jobs, buildById },
    agents: [...objects.agents.values()].map((merged) => complete<Row>(withPlace(merged))),
    sightings: objects.sightings,
    jobById: new Map(jobs.map((one) => [one.id, one])),
    nextTries: new Set(jobs.flatMap(({ retried_in_job_id }) => retried_in_job_id ?? [])),
    clusterNames: named('clusters', 'name'),
    queueKeys: named('queues', 'key'),
    organizationSlugs: new Map([...objects.organizations].map(([slug, id]) => [id, slug])),
  }
}
