import type { agents, builds, jobs, organizations, pipelines, Via } from '../database/schema.ts'

/** The mirror's own columns, which no payload contains. */
export interface MirrorColumns {
  observed_at: Date
  verified_at: Date | null
  first_seen_at: Date
  first_seen_via: Via
  changed_at: Date
  deleted_at: Date | null
  deleted_reason: string | null
  extra: Record<string, unknown>
}

/** A row of the mirror, keyed by Buildkite's id. */
export type MirrorRow = { id: string } & MirrorColumns

export type OrganizationRow = typeof organizations.$inferSelect
export type PipelineRow = typeof pipelines.$inferSelect
export type BuildRow = typeof builds.$inferSelect
export type JobRow = typeof jobs.$inferSelect
export type AgentRow = typeof agents.$inferSelect

/** One object in one payload: a key that is absent here was absent there, and a null was an explicit null. */
export type PartialRow<Row extends MirrorRow> = { id: string; extra: Record<string, unknown> } & {
  [Column in Exclude<keyof Row, keyof MirrorColumns | 'id'>]?: Row[Column] | undefined
}

/** The organization and pipeline in an object's URL. They are resolved to ids on write, because most payloads have no organization. */
export interface Place {
  organization?: string | undefined
  pipeline?: string | undefined
}

/** One observation of an object, with the time on Buildkite's clock at which it was true. */
export interface Observation<Row extends MirrorRow> {
  fields: PartialRow<Row>
  at: Date
  via: Via
  place: Place
  /** True if it was inside another object, where Buildkite may omit fields. */
  isEmbedded?: boolean | undefined
}

/** The observations of one or several payloads, by table. */
export interface Observations {
  organizations: Observation<OrganizationRow>[]
  pipelines: Observation<PipelineRow>[]
  builds: Observation<BuildRow>[]
  jobs: Observation<JobRow>[]
  agents: Observation<AgentRow>[]
  /** Objects without a usable id, which cannot be mirrored. */
  unreadable: number
}

export function noObservations(): Observations {
  return { organizations: [], pipelines: [], builds: [], jobs: [], agents: [], unreadable: 0 }
}

/** Combines the observations of many payloads; their order does not matter. */
export function combine(all: readonly Observations[]): Observations {
  return {
    organizations: all.flatMap((one) => one.organizations),
    pipelines: all.flatMap((one) => one.pipelines),
    builds: all.flatMap((one) => one.builds),
    jobs: all.flatMap((one) => one.jobs),
    agents: all.flatMap((one) => one.agents),
    unreadable: all.reduce((sum, one) => sum + one.unreadable, 0),
  }
}
