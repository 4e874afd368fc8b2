import { type Column, count, desc, isNotNull, sql } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { agents, builds, cycles, jobs, organizations, pipelines, windows } from '../../database/schema.ts'
import type { Build } from '../../simulator/model/shapes.ts'
import type { Truth } from '../../simulator/model/state.ts'

/** The number of objects of each kind, and how many of them are not up to date in the mirror. */
export interface Compared {
  kind: 'organizations' | 'pipelines' | 'builds' | 'jobs' | 'agents'
  truth: number
  mirror: number
  behind: number
}

/** The work of the mirror, read from its own tables. */
export interface Work {
  cycles: number
  lastCycleAt: Date | undefined
  buildsMissing: number
  buildsHealed: number
  jobsMissing: number
  jobsHealed: number
  buildsInFlight: number
  jobsInFlight: number
  windows: number
  windowsDone: number
}

export interface Comparison {
  kinds: Compared[]
  work: Work
  /** Builds whose webhooks were lost: all, and those that are complete in the mirror. */
  lost: { builds: number; whole: number }
}

/** Compares the simulated Buildkite with the mirror: every build and job by state and finish. Rejects until the tables exist. */
export async function compare(db: Db, truth: Truth, lost: ReadonlySet<Build>): Promise<Comparison> {
  // Reads the mirror first: the simulation changes meanwhile, and is then compared in one go without an await.
  const [buildRows, jobRows, counts, work] = await Promise.all([
    db.select({ id: builds.id, state: builds.state, finished_at: builds.finished_at }).from(builds),
    db.select({ id: jobs.id, state: jobs.state }).from(jobs),
    Promise.all([db.$count(organizations), db.$count(pipelines), db.$count(agents)]),
    readWork(db),
  ])
  const mirroredBuilds = new Map(buildRows.map((row) => [row.id, `${row.state} ${row.finished_at?.getTime() ?? ''}`]))
  const mirroredJobs = new Map(jobRows.map((row) => [row.id, row.state]))
  const behind = { builds: 0, jobs: 0 }
  let jobCount = 0
  let whole = 0
  for (const build of truth.builds) {
    const finished = build.finished_at === null ? '' : Date.parse(build.finished_at)
    const buildBehind = mirroredBuilds.get(build.id) !== `${build.state} ${finished}`
    const jobsBehind = build.jobs.filter((job) => {
      const state = mirroredJobs.get(job.id)
      return state === undefined || ('state' in job && job.state !== state)
    }).length
    behind.builds += Number(buildBehind)
    behind.jobs += jobsBehind
    jobCount += build.jobs.length
    if (!buildBehind && jobsBehind === 0 && lost.has(build)) whole++
  }
  const [organizationCount, pipelineCount, agentCount] = counts
  const simple = (kind: Compared['kind'], inTruth: number, mirror: number): Compared => ({
    kind,
    truth: inTruth,
    mirror,
    behind: Math.max(0, inTruth - mirror),
  })
  return {
    kinds: [
      simple('organizations', truth.organizations.length, organizationCount),
      simple('pipelines', truth.pipelines.length, pipelineCount),
      { kind: 'builds', truth: truth.builds.length, mirror: mirroredBuilds.size, behind: behind.builds },
      { kind: 'jobs', truth: jobCount, mirror: mirroredJobs.size, behind: behind.jobs },
      simple('agents', truth.agents.length, agentCount),
    ],
    work,
    lost: { builds: lost.size, whole },
  }
}

async function readWork(db: Db): Promise<Work> {
  const sum = (column: Column) => sql<string>`coalesce(sum(${column}), 0)`
  const [[sums], [last], [span]] = await Promise.all([
    db
      .select({
        cycles: count(cycles.finished_at),
        buildsMissing: sum(cycles.builds_missing),
        buildsHealed: sum(cycles.builds_healed),
        jobsMissing: sum(cycles.jobs_missing),
        jobsHealed: sum(cycles.jobs_healed),
        buildsInFlight: sum(cycles.builds_in_flight),
        jobsInFlight: sum(cycles.jobs_in_flight),
      })
      .from(cycles),
    db
      .select({ at: cycles.finished_at })
      .from(cycles)
      .where(isNotNull(cycles.finished_at))
      .orderBy(desc(cycles.finished_at))
      .limit(1),
    db.select({ all: count(), done: sql<string>`count(*) filter (where ${windows.status} = 'done')` }).from(windows),
  ])
  return {
    cycles: sums?.cycles ?? 0,
    lastCycleAt: last?.at ?? undefined,
    buildsMissing: Number(sums?.buildsMissing ?? 0),
    buildsHealed: Number(sums?.buildsHealed ?? 0),
    jobsMissing: Number(sums?.jobsMissing ?? 0),
    jobsHealed: Number(sums?.jobsHealed ?? 0),
    buildsInFlight: Number(sums?.buildsInFlight ?? 0),
    jobsInFlight: Number(sums?.jobsInFlight ?? 0),
    windows: span?.all ?? 0,
    windowsDone: Number(span?.done ?? 0),
  }
}

/** Whether the mirror is up to date and complete. */
export const isWhole = (comparison: Comparison | undefined): boolean =>
  comparison?.kinds.every(({ behind }) => behind === 0) ?? false
