/** An API access token and its user. */
export interface Token {
  token: string
  uuid: string
  scopes: string[]
  /** Slugs of the organizations that the token is granted to; default all. */
  organizations?: string[]
  /** Milliseconds since the epoch; without it, the token never expires. */
  expiresAt?: number
  /** All tokens of a user share one limit. */
  user: string
  /** Whether the user may change notification services; default true. */
  admin?: boolean
}

/** A token that may read everything the mirror needs, and register its webhook. */
export const demoToken: Token = {
  token: 'demo-token',
  uuid: '0198f3c1-0000-7000-8000-000000000001',
  scopes: [
    'read_builds',
    'read_pipelines',
    'read_organizations',
    'read_clusters',
    'view_teams',
    'read_agents',
    'read_artifacts',
    'read_notification_services',
    'write_notification_services',
  ],
  user: 'ada',
}
