import { slugOf } from './builds.ts'
import type { Facts } from './facts.ts'
import { buildFields, isObject, type Json } from './fields.ts'
import type { Lists } from './history.ts'
import { lower, type Maybe, type Row, sortedWords } from './values.ts'

// The views of the lists that only REST provides. See "Reference data" in docs/analytics/definitions.md.

const fieldsOf = (item: Json, ...names: string[]): Row =>
  Object.fromEntries(names.map((name) => [name, item[name] ?? null]))
const timeOf = (item: Json, key: string) => buildFields({ created_at: item[key] }).created_at ?? null
const within = (item: unknown, ...path: string[]): unknown =>
  path.reduce<unknown>((value, key) => (isObject(value) ? value[key] : undefined), item) ?? null

interface Item {
  readonly item: Json
  readonly organization: Json
}

/** Items of a list. One that is gone stays as it was last read. */
export function itemsOf(facts: Facts, listOf: (lists: Lists) => readonly Json[]): Item[] {
  const last = new Map<unknown, Item>()
  for (const lists of [...(facts.history.before?.lists ?? []), ...facts.history.lists]) {
    for (const item of listOf(lists)) last.set(item.id, { item, organization: lists.organization })
  }
  return [...last.values()]
}

const placeOf = (facts: Facts, { id }: Json) => ({ organization_id: id, organization: slugOf(facts, String(id)) })

export function teams(facts: Facts): Row[] {
  return itemsOf(facts, (lists) => lists.teams.map(({ team }) => team)).map(({ item, organization }) => ({
    ...placeOf(facts, organization),
    ...fieldsOf(item, 'id', 'name', 'description', 'privacy'),
    ...{ team: item.slug, is_default: item.default, created_at: timeOf(item, 'created_at') },
    created_by_email: within(item, 'created_by', 'email'),
  }))
}

export function clusters(facts: Facts): Row[] {
  return itemsOf(facts, (lists) => lists.clusters).map(({ item, organization }) => {
    const names = (kind: string, key: string) =>
      sortedWords(
        (within(item, 'maintainers', kind) as Json[]).map((one) => within(one, 'actor', key) as Maybe<string>),
      )
    return {
      ...placeOf(facts, organization),
      ...fieldsOf(item, 'id', 'description', 'default_queue_id', 'web_url'),
      ...{ cluster: item.name, created_at: timeOf(item, 'created_at') },
      ...{ maintainer_users: names('users', 'name'), maintainer_teams: names('teams', 'slug') },
      created_by_name: within(item, 'created_by', 'name'),
    }
  })
}

export function queues(facts: Facts): Row[] {
  const clusterById = new Map(itemsOf(facts, (lists) => lists.clusters).map(({ item }) => [item.id, item]))
  return itemsOf(facts, (lists) => lists.queues).map(({ item, organization }) => {
    const cluster = clusterById.get(item.cluster_id)
    const shape = (key: string) => within(item, 'hosted_agents', 'instance_shape', key)
    return {
      ...placeOf(facts, organization),
      ...fieldsOf(item, 'id', 'cluster_id', 'description', 'retry_agent_affinity', 'dispatch_paused'),
      ...fieldsOf(item, 'dispatch_paused_note', 'web_url'),
      ...{ queue: item.key, cluster: cluster?.name ?? null, is_default: cluster?.default_queue_id === item.id },
      ...{ is_hosted: item.hosted === true, instance_shape: shape('name'), machine_type: shape('machine_type') },
      ...{ architecture: shape('architecture'), cpu: shape('cpu'), memory_gb: shape('memory') },
      image: within(item, 'hosted_agents', 'agent_image_ref'),
      ...{ dispatch_paused_at: timeOf(item, 'dispatch_paused_at'), created_at: timeOf(item, 'created_at') },
      dispatch_paused_by_name: within(item, 'dispatch_paused_by', 'name'),
      dispatch_paused_by_email: lower(within(item, 'dispatch_paused_by', 'email') as Maybe<string>),
    }
  })
}

export function pipelineVariables(facts: Facts): Row[] {
  if (!facts.history.storeEnv) return []
  return facts.pipelines.flatMap((pipeline) =>
    Object.keys(isObject(pipeline.env) ? pipeline.env : {}).map((variable) => ({
      pipeline_id: pipeline.id,
      organization_id: pipeline.organization_id,
      organization: slugOf(facts, pipeline.organization_id),
      pipeline: pipeline.slug,
      variable,
    })),
  )
}
