import type { Person, Pipeline } from './shapes.ts'

// The objects that appear in no webhook, as Buildkite's lists show them.

export interface Cluster {
  id: string
  graphql_id: string
  default_queue_id: string
  name: string
  description: string | null
  emoji: string | null
  color: string | null
  maintainers: { users: unknown[]; teams: unknown[] }
  url: string
  web_url: string
  default_queue_url: string
  queues_url: string
  created_at: string
  created_by: Person | null
}

export interface Queue {
  id: string
  graphql_id: string
  key: string
  description: string | null
  url: string
  web_url: string
  cluster_url: string
  retry_agent_affinity: string
  dispatch_paused: boolean
  dispatch_paused_by: Person | null
  dispatch_paused_at: string | null
  dispatch_paused_note: string | null
  created_at: string
  created_by: Person | null
}

export interface Team {
  id: string
  graphql_id: string
  name: string
  slug: string
  description: string
  privacy: string
  default: boolean
  created_at: string
  created_by: Person
}

export interface TeamMember {
  role: string
  created_at: string
  user_id: string
  user_name: string
}

export interface TeamPipeline {
  access_level: string
  created_at: string
  pipeline: Pipeline
}

export interface Member {
  id: string
  name: string
  email: string
  role: string
  sso_mode: string
}

export interface Schedule {
  id: string
  graphql_id: string
  label: string
  cronline: string
  message: string
  commit: string
  branch: string
  env: Record<string, string>
  enabled: boolean
  next_build_at: string
  failed_message: string | null
  failed_at: string | null
  created_at: string
  created_by: Person
}
