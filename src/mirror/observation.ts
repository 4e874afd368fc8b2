import type { agents, builds, jobs, organizations, pipelines, Via } from '../database/schema.ts'

/** The columns by which a mirror row speaks of itself; no payload holds them. */
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

/** What one payload says of one object: a key absent here was absent there, a null was an explicit null. */
export type Draft<Row extends MirrorRow> = { id: string; extra: Record<string, unknown> } & {
  [Column in Exclude<keyof Row, keyof MirrorColumns | 'id'>]?: Row[Column] | undefined
}

/** Where an object stands according to its URL; resolved to ids when it is written, for most payloads name no organization. */
export interface Place {
  organization?: string | undefined
  pipeline?: string | undefined
}

/** One sight of an object, with the time on Buildkite's clock at which it was true. */
export interface Observation<Row extends MirrorRow> {
  draft: Draft<Row>
  at: Date
  via: Via
  place: Place
  /** True if it stood inside another object, where Buildkite may leave fields out. */
  isEmbedded?: boolean | undefined
}

/** All that one or several payloads say, by table. */
export interface Observations {
  organizations: Observation<OrganizationRow>[]
  pipelines: Observation<PipelineRow>[]
  builds: Observation<BuildRow>[]
  jobs: Observation<JobRow>[]
  agents: Observation<AgentRow>[]
  /** Objects without a usable id: nothing of them can be mirrored. */
  unreadable: number
}

export function noObservations(): Observations {
  return { organizations: [], pipelines: [], builds: [], jobs: [], agents: [], unreadable: 0 }
}

/** Puts the observations of many payloads together; order does not matter. */
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
