import type { Json } from './fields.ts'
import type { Maybe } from './values.ts'

/** What showed objects: an answer of the API, or the body of a webhook. Times are milliseconds since the epoch. */
export interface Payload {
  readonly via: 'rest' | 'webhook'
  /** When the webhook was sent, or the request began. */
  readonly at: number
  /** When the mirror applied it. Payloads are in this order. */
  readonly appliedAt: number
  readonly builds?: readonly Json[]
  readonly pipelines?: readonly Json[]
  readonly agents?: readonly Json[]
  readonly webhook?: Json
}

/** The lists of one organization; empty if nobody read them. */
export interface Lists {
  readonly organization: Json
  readonly clusters: readonly Json[]
  /** With `cluster_id`. */
  readonly queues: readonly Json[]
  readonly teams: readonly { team: Json; members: readonly Json[]; pipelines: readonly Json[] }[]
  readonly members: readonly Json[]
  /** With `pipeline.id`. */
  readonly schedules: readonly Json[]
}

export interface Rule {
  readonly id: number
  readonly pipeline: string
  readonly branch: string
  readonly step: Maybe<string>
  readonly organization: string
  readonly environment: string
  readonly service: Maybe<string>
  readonly enabled: boolean
}

export interface Rate {
  readonly queue: string
  readonly cluster: string
  readonly per_minute: number
  readonly currency: string
}

/** An incident that Buildkite does not know. */
export interface Incident {
  readonly id: string
  readonly organization: string
  readonly service: string
  readonly environment: string
  readonly started_at: number
  readonly resolved_at: Maybe<number>
  readonly deployment_id: Maybe<string>
}

/** What only the mirror knows. */
export interface MirrorState {
  /** By organization. */
  readonly watermarks: ReadonlyMap<string, number>
  /** The ids of objects that Buildkite no longer shows. */
  readonly deleted: ReadonlySet<string>
}

/** All that the second implementation is given. */
export interface History {
  readonly payloads: readonly Payload[]
  readonly lists: readonly Lists[]
  /** What was known when the tables were refreshed before. */
  readonly before?: History
  readonly rules: readonly Rule[]
  readonly rates: readonly Rate[]
  readonly mirror: MirrorState
  readonly incidents: readonly Incident[]
  /** Whether the names of variables in the `env` of pipelines are stored. */
  readonly storeEnv: boolean
  /** When the oldest stored webhook was received. */
  readonly oldestDelivery: Maybe<number>
}
