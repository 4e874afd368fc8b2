import type { PgColumn, PgTable } from 'drizzle-orm/pg-core'
import { isObject } from '../../buildkite/payload-reader.ts'
import { slugsOf } from '../../buildkite/urls.ts'
import {
  cluster_queues,
  clusters,
  members,
  pipeline_schedules,
  team_members,
  team_pipelines,
  teams,
} from '../../database/reference-tables.ts'
import { pipelines } from '../../database/schema.ts'
import type { MirrorFilter } from '../../runtime/scope.ts'

/** What the items belong to, if each cluster, team or pipeline has its own list. */
export interface ParentKind {
  readonly table: typeof clusters | typeof teams | typeof pipelines
  /** The column of the list's table that references the parent. */
  readonly column: PgColumn
  /** The list that contains the parents; pipelines have a separate task. */
  readonly list?: 'clusters' | 'teams'
}

export interface ReferenceList {
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
  /** Fields that are not stored. */
  readonly skip?: readonly string[]
  /** Whether to store an item; without it, all are stored. */
  wanted?(item: unknown, filter: MirrorFilter): boolean
}

export interface Parent {
  readonly id: string
  /** The name in paths. */
  readonly slug: string
}

/** Buildkite's docs use both names for this scope: `read_teams` for the list of teams, `view_teams` for a team's contents. */
const teamScopes = ['read_teams', 'view_teams'] as const

/** Every list of reference data with its own table. Parents come before the lists that belong to them. */
export const referenceLists: readonly ReferenceList[] = [
  {
    name: 'clusters',
    table: clusters,
    key: [clusters.id],
    scopes: ['read_clusters'],
    path: () => ['clusters'],
  },
  {
    name: 'cluster_queues',
    table: cluster_queues,
    key: [cluster_queues.id],
    scopes: ['read_clusters'],
    parent: { table: clusters, column: cluster_queues.cluster_id, list: 'clusters' },
    path: (cluster) => ['clusters', cluster.id, 'queues'],
  },
  {
    name: 'teams',
    table: teams,
    key: [teams.id],
    scopes: teamScopes,
    path: () => ['teams'],
  },
  {
    name: 'team_members',
    table: team_members,
    key: [team_members.team_id, team_members.user_id],
    scopes: teamScopes,
    parent: { table: teams, column: team_members.team_id, list: 'teams' },
    path: (team) => ['teams', team.id, 'members'],
  },
  {
    name: 'team_pipelines',
    table: team_pipelines,
    key: [team_pipelines.team_id, team_pipelines.pipeline_id],
    scopes: teamScopes,
    parent: { table: teams, column: team_pipelines.team_id, list: 'teams' },
    path: (team) => ['teams', team.id, 'pipelines'],
    // The URL contains the pipeline's slug, which changes with every rename; the id is enough.
    skip: ['pipeline_url'],
    wanted(item, filter) {
      const slug = isObject(item) ? slugsOf(item.pipeline_url).pipeline : undefined
      return slug === undefined || filter.pipeline(slug)
    },
  },
  {
    name: 'members',
    table: members,
    key: [members.organization_id, members.id],
    scopes: ['read_organizations'],
    path: () => ['members'],
  },
  {
    name: 'pipeline_schedules',
    table: pipeline_schedules,
    key: [pipeline_schedules.id],
    scopes: ['read_pipelines'],
    parent: { table: pipelines, column: pipeline_schedules.pipeline_id },
    path: (pipeline) => ['pipelines', pipeline.slug, 'schedules'],
    skip: ['pipeline'],
  },
]
