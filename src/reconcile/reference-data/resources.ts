import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { isObject, type PayloadReader } from '../../buildkite/payload-reader.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import {
  cluster_queues,
  clusters,
  members,
  pipeline_schedules,
  team_members,
  team_pipelines,
  teams,
} from '../../database/dimensions.ts'
import { pipelines } from '../../database/schema.ts'
import type { MirrorFilter } from '../../runtime/scope.ts'

// Payload → row, one function for each list of reference data. A list is read whole, so a field that an object lacks is null.

/** The values of a list item, by column. The mirror's own columns and `extra` are set elsewhere. */
export type Content = Readonly<Record<string, string | boolean | Date | null | undefined>>

/** What the items belong to, if each cluster, team or pipeline has its own list. */
export interface ParentKind {
  readonly table: typeof clusters | typeof teams | typeof pipelines
  /** The column of the list's table that references the parent. */
  readonly column: PgColumn
  /** The list that contains the parents; pipelines have a separate task. */
  readonly list?: 'clusters' | 'teams'
}

export interface DimensionList {
  /** The table's name. */
  readonly name: string
  readonly table: PgTable
  /** The columns of the primary key. */
  readonly key: readonly [PgColumn, ...PgColumn[]]
  /** The token needs one of these. */
  readonly scopes: readonly [string, ...string[]]
  readonly parent?: ParentKind
  /** The path below the organization's. */
  path(parent: Parent): string[]
  /** The values of an item; undefined for one without a usable id. */
  read(read: PayloadReader, parent: Parent): Content | undefined
  /** Whether to store an item; without it, all are stored. */
  wanted?(item: unknown, scope: MirrorFilter): boolean
}

export interface Parent {
  readonly id: string
  /** The name in paths. */
  readonly slug: string
}

/** Buildkite's docs use both names for this scope: `read_teams` for the list of teams, `view_teams` for a team's contents. */
const teamScopes = ['read_teams', 'view_teams'] as const

const createdBy = (read: PayloadReader) => ({
  created_by_id: read.uuid('created_by', 'id'),
  created_by_name: read.text('created_by', 'name'),
  created_by_email: read.text('created_by', 'email'),
})

const clusterList: DimensionList = {
  name: 'clusters',
  table: clusters,
  key: [clusters.id],
  scopes: ['read_clusters'],
  path: () => ['clusters'],
  read(read) {
    const id = read.uuid('id')
    return id
      ? {
          id,
          graphql_id: read.text('graphql_id'),
          name: read.text('name'),
          description: read.text('description'),
          emoji: read.text('emoji'),
          color: read.text('color'),
          default_queue_id: read.uuid('default_queue_id'),
          url: read.text('url'),
          web_url: read.text('web_url'),
          created_at: read.time('created_at'),
          ...createdBy(read),
        }
      : undefined
  },
}

const queueList: DimensionList = {
  name: 'cluster_queues',
  table: cluster_queues,
  key: [cluster_queues.id],
  scopes: ['read_clusters'],
  parent: { table: clusters, column: cluster_queues.cluster_id, list: 'clusters' },
  path: (cluster) => ['clusters', cluster.id, 'queues'],
  read(read, cluster) {
    const id = read.uuid('id')
    return id
      ? {
          id,
          cluster_id: cluster.id,
          graphql_id: read.text('graphql_id'),
          key: read.text('key'),
          description: read.text('description'),
          dispatch_paused: read.boolean('dispatch_paused'),
          dispatch_paused_at: read.time('dispatch_paused_at'),
          dispatch_paused_note: read.text('dispatch_paused_note'),
          url: read.text('url'),
          web_url: read.text('web_url'),
          created_at: read.time('created_at'),
          ...createdBy(read),
        }
      : undefined
  },
}

const teamList: DimensionList = {
  name: 'teams',
  table: teams,
  key: [teams.id],
  scopes: teamScopes,
  path: () => ['teams'],
  read(read) {
    const id = read.uuid('id')
    return id
      ? {
          id,
          graphql_id: read.text('graphql_id'),
          name: read.text('name'),
          slug: read.text('slug'),
          description: read.text('description'),
          privacy: read.text('privacy'),
          default: read.boolean('default'),
          created_at: read.time('created_at'),
          ...createdBy(read),
        }
      : undefined
  },
}

const teamMemberList: DimensionList = {
  name: 'team_members',
  table: team_members,
  key: [team_members.team_id, team_members.user_id],
  scopes: teamScopes,
  parent: { table: teams, column: team_members.team_id, list: 'teams' },
  path: (team) => ['teams', team.id, 'members'],
  read(read, team) {
    const user_id = read.uuid('user_id')
    if (!user_id) return undefined
    const user_name = read.text('user_name')
    return { team_id: team.id, user_id, user_name, role: read.text('role'), created_at: read.time('created_at') }
  },
}

const teamPipelineList: DimensionList = {
  name: 'team_pipelines',
  table: team_pipelines,
  key: [team_pipelines.team_id, team_pipelines.pipeline_id],
  scopes: teamScopes,
  parent: { table: teams, column: team_pipelines.team_id, list: 'teams' },
  path: (team) => ['teams', team.id, 'pipelines'],
  read(read, team) {
    const pipeline_id = read.uuid('pipeline_id')
    if (!pipeline_id) return undefined
    // The URL contains the pipeline's slug, which changes with every rename; the id is enough.
    read.skip('pipeline_url')
    const access_level = read.text('access_level')
    return { team_id: team.id, pipeline_id, access_level, created_at: read.time('created_at') }
  },
  wanted(item, scope) {
    const slug = isObject(item) ? slugsOf(item.pipeline_url).pipeline : undefined
    return slug === undefined || scope.pipeline(slug)
  },
}

const memberList: DimensionList = {
  name: 'members',
  table: members,
  key: [members.organization_id, members.id],
  scopes: ['read_organizations'],
  path: () => ['members'],
  read(read) {
    const id = read.uuid('id')
    if (!id) return undefined
    const [name, email, role] = [read.text('name'), read.text('email'), read.text('role')]
    return { id, name, email, role, sso_mode: read.text('sso_mode') }
  },
}

const scheduleList: DimensionList = {
  name: 'pipeline_schedules',
  table: pipeline_schedules,
  key: [pipeline_schedules.id],
  scopes: ['read_pipelines'],
  parent: { table: pipelines, column: pipeline_schedules.pipeline_id },
  path: (pipeline) => ['pipelines', pipeline.slug, 'schedules'],
  read(read, pipeline) {
    const id = read.uuid('id')
    if (!id) return undefined
    read.skip('pipeline')
    return {
      id,
      pipeline_id: pipeline.id,
      graphql_id: read.text('graphql_id'),
      label: read.text('label'),
      cronline: read.text('cronline'),
      message: read.text('message'),
      commit: read.text('commit'),
      branch: read.text('branch'),
      enabled: read.boolean('enabled'),
      next_build_at: read.time('next_build_at'),
      failed_at: read.time('failed_at'),
      failed_message: read.text('failed_message'),
      url: read.text('url'),
      created_at: read.time('created_at'),
      ...createdBy(read),
    }
  },
}

/** Every list of reference data with its own table. Parents come before the lists that belong to them. */
export const dimensionLists: readonly DimensionList[] = [
  clusterList,
  queueList,
  teamList,
  teamMemberList,
  teamPipelineList,
  memberList,
  scheduleList,
]
