import { sql } from 'drizzle-orm'
import { boolean, index, integer, jsonb, primaryKey, text, timestamp, uniqueIndex, uuid } from 'drizzle-orm/pg-core'
import { buildkite, sync } from './schema.ts'

// Reference data that only the REST API has. Each list is read as a whole and replaces the stored rows; missing rows are marked.

const time = () => timestamp({ withTimezone: true, precision: 3, mode: 'date' })

/** The columns that every reference table has. */
const listed = () => ({
  organization_id: uuid().notNull(),
  extra: jsonb().$type<Record<string, unknown>>().notNull().default({}),
  first_seen_at: time().notNull(),
  changed_at: time().notNull(),
  deleted_at: time(),
})

const createdBy = () => ({
  created_by_id: uuid(),
  created_by_name: text(),
  created_by_email: text(),
})

export const clusters = buildkite.table('clusters', {
  id: uuid().primaryKey(),
  graphql_id: text(),
  name: text(),
  description: text(),
  emoji: text(),
  color: text(),
  default_queue_id: uuid(),
  url: text(),
  web_url: text(),
  created_at: time(),
  ...createdBy(),
  maintainers: jsonb().$type<unknown>(),
  default_queue_url: text(),
  queues_url: text(),
  ...listed(),
})

export const cluster_queues = buildkite.table(
  'cluster_queues',
  {
    id: uuid().primaryKey(),
    cluster_id: uuid().notNull(),
    graphql_id: text(),
    key: text(),
    description: text(),
    dispatch_paused: boolean(),
    dispatch_paused_at: time(),
    dispatch_paused_note: text(),
    url: text(),
    web_url: text(),
    created_at: time(),
    ...createdBy(),
    cluster_url: text(),
    dispatch_paused_by_id: uuid(),
    dispatch_paused_by_name: text(),
    dispatch_paused_by_email: text(),
    retry_agent_affinity: text(),
    hosted: boolean(),
    hosted_agents_agent_image_ref: text(),
    hosted_agents_instance_shape_name: text(),
    hosted_agents_instance_shape_machine_type: text(),
    hosted_agents_instance_shape_architecture: text(),
    hosted_agents_instance_shape_cpu: integer(),
    hosted_agents_instance_shape_memory: integer(),
    ...listed(),
  },
  (t) => [index('cluster_queues_cluster_id').on(t.cluster_id)],
)

export const teams = buildkite.table('teams', {
  id: uuid().primaryKey(),
  graphql_id: text(),
  name: text(),
  slug: text(),
  description: text(),
  privacy: text(),
  default: boolean(),
  created_at: time(),
  ...createdBy(),
  ...listed(),
})

export const team_members = buildkite.table(
  'team_members',
  {
    team_id: uuid().notNull(),
    user_id: uuid().notNull(),
    user_name: text(),
    role: text(),
    created_at: time(),
    ...listed(),
  },
  (t) => [primaryKey({ columns: [t.team_id, t.user_id] }), index('team_members_user_id').on(t.user_id)],
)

export const team_pipelines = buildkite.table(
  'team_pipelines',
  {
    team_id: uuid().notNull(),
    pipeline_id: uuid().notNull(),
    access_level: text(),
    created_at: time(),
    ...listed(),
  },
  (t) => [primaryKey({ columns: [t.team_id, t.pipeline_id] }), index('team_pipelines_pipeline_id').on(t.pipeline_id)],
)

export const members = buildkite.table(
  'members',
  {
    id: uuid().notNull(),
    name: text(),
    email: text(),
    role: text(),
    sso_mode: text(),
    ...listed(),
  },
  (t) => [primaryKey({ columns: [t.organization_id, t.id] })],
)

export const pipeline_schedules = buildkite.table(
  'pipeline_schedules',
  {
    id: uuid().primaryKey(),
    pipeline_id: uuid().notNull(),
    graphql_id: text(),
    label: text(),
    cronline: text(),
    message: text(),
    commit: text(),
    branch: text(),
    enabled: boolean(),
    next_build_at: time(),
    failed_at: time(),
    failed_message: text(),
    url: text(),
    created_at: time(),
    ...createdBy(),
    ...listed(),
  },
  (t) => [index('pipeline_schedules_pipeline_id').on(t.pipeline_id)],
)

/** Annotations and artifacts, one list for each build. Read only if STORE_ANNOTATIONS or STORE_ARTIFACTS is set. */
export const annotations = buildkite.table(
  'annotations',
  {
    id: uuid().primaryKey(),
    build_id: uuid().notNull(),
    context: text(),
    style: text(),
    body_html: text(),
    created_at: time(),
    updated_at: time(),
    scope: text(),
    job_id: uuid(),
    priority: integer(),
    ...listed(),
  },
  (t) => [index('annotations_build_id').on(t.build_id)],
)

export const artifacts = buildkite.table(
  'artifacts',
  {
    id: uuid().primaryKey(),
    build_id: uuid().notNull(),
    job_id: uuid(),
    state: text(),
    path: text(),
    dirname: text(),
    filename: text(),
    mime_type: text(),
    file_size: text(),
    sha1sum: text(),
    ...listed(),
  },
  (t) => [index('artifacts_build_id').on(t.build_id), index('artifacts_job_id').on(t.job_id)],
)

/** People, merged from all places where they appear: creators, authors, unblockers, members. */
export const users = buildkite.table(
  'users',
  {
    key: text().primaryKey(),
    id: uuid(),
    name: text(),
    email: text(),
    emails: text().array().notNull(),
    usernames: text().array().notNull(),
    is_member: boolean().notNull(),
    last_seen_at: time(),
    changed_at: time().notNull(),
  },
  (t) => [uniqueIndex('users_id').on(t.id).where(sql`${t.id} is not null`)],
)

/** Every combination of identifiers under which a person was seen. `users` is built from these. */
export const user_identities = sync.table(
  'user_identities',
  {
    id: uuid(),
    email: text(),
    username: text(),
    name: text(),
    last_seen_at: time(),
  },
  (t) => [
    uniqueIndex('user_identities_person').on(
      // Hashes, because an index entry has a limit of 2,704 bytes and texts of a payload have none.
      sql`(coalesce(${t.id}::text, ''))`,
      sql`md5(coalesce(${t.email}, ''))`,
      sql`md5(coalesce(${t.username}, ''))`,
    ),
  ],
)

export type ReferenceStatus = 'read' | 'missing_scope' | 'refused' | 'off'

/** The last read of each list of an organization. */
export const reference_syncs = sync.table(
  'reference_syncs',
  {
    organization_id: uuid().notNull(),
    name: text().notNull(),
    status: text().$type<ReferenceStatus>().notNull(),
    rows: integer(),
    read_at: time(),
    error: text(),
    updated_at: time().notNull(),
  },
  (t) => [primaryKey({ columns: [t.organization_id, t.name] })],
)

/** When a list of one object was last requested. Many such lists are empty, so their rows cannot show that. */
export const reference_item_syncs = sync.table(
  'reference_item_syncs',
  {
    name: text().notNull(),
    subject_id: uuid().notNull(),
    read_at: time().notNull(),
  },
  (t) => [primaryKey({ columns: [t.name, t.subject_id] })],
)
