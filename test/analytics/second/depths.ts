import { agentPlace, isConnected } from './agent-words.ts'
import { slugOf } from './builds.ts'
import type { Facts, Job } from './facts.ts'
import { endOf, isCommand, jobResult, queueOf } from './job-words.ts'
import { clusterOf } from './jobs.ts'
import {
  count,
  greatest,
  grouped,
  isPresent,
  least,
  listBy,
  lower,
  type Maybe,
  type Row,
  startOfHour,
} from './values.ts'

// See "Queues over time" in docs/analytics/definitions.md.

const MINUTE = 60_000
const HOUR = 60 * MINUTE
const LONGEST = 366 * 24 * HOUR

export interface Interval {
  readonly from: number
  /** Excluded. */
  readonly to: number
}

/** Nothing, if a time is unknown, out of order or absurd. */
const interval = (from: Maybe<number>, to: Maybe<number>): Interval[] =>
  from === null || to === null || to <= from || to - from > LONGEST ? [] : [{ from, to }]

const openStates = ['creating', 'scheduled', 'running', 'failing', 'canceling']

export function isOpen(facts: Facts, job: Job): boolean {
  const { build } = job
  if (!build || endOf(job) !== null || job.state === null || jobResult(job) !== null) return false
  const { deleted } = facts.history.mirror
  if (deleted.has(build.id) || deleted.has(job.id)) return false
  return openStates.includes(build.state ?? '') && build.blocked !== true
}

/** Until when it is known that open jobs are open. */
export function heardAt(facts: Facts, organization_id: Maybe<string>): Maybe<number> {
  const { watermarks } = facts.history.mirror
  const heard = greatest([watermarks.get(organization_id ?? '') ?? null, facts.history.oldestDelivery])
  return heard ?? greatest(facts.builds.map(({ finished_at }) => finished_at))
}

interface Times {
  readonly job: Job
  readonly waits: Interval[]
  readonly runs: Interval[]
}

export function timesOf(facts: Facts): Times[] {
  return facts.jobs.filter(isCommand).flatMap((job) => {
    if (!job.build) return []
    const end = endOf(job) ?? (isOpen(facts, job) ? heardAt(facts, job.build.organization_id) : null)
    if (end === null) return []
    const { runnable_at, started_at } = job
    return [{ job, waits: interval(runnable_at, least([started_at, end])), runs: interval(started_at, end) }]
  })
}

const placeOf = (facts: Facts, job: Job) => ({
  ...{ organization_id: job.build?.organization_id ?? null, cluster_id: job.cluster_id },
  queue: queueOf(facts, job),
})

/** The full hours that an interval touches. */
export function hoursOf({ from, to }: Interval): number[] {
  const hours: number[] = []
  for (let hour = startOfHour(from); hour < to; hour += HOUR) hours.push(hour)
  return hours
}

/** How many include a moment. */
const at = (intervals: readonly Interval[], time: number) =>
  count(intervals, ({ from, to }) => from <= time && time < to)

/** The greatest number at one moment of a period. */
export function most(intervals: readonly Interval[], from: number, to: number): number {
  const begins = intervals.map((one) => one.from).filter((time) => time > from && time < to)
  return Math.max(...[from, ...begins].map((time) => at(intervals, time)))
}

function pointsOf(waits: readonly Interval[], runs: readonly Interval[], heard: number): Row[] {
  const inHours = new Map<number, { waits: Interval[]; runs: Interval[] }>()
  const add = (kind: 'waits' | 'runs', one: Interval) => {
    for (const hour of hoursOf(one)) {
      const known = inHours.get(hour) ?? { waits: [], runs: [] }
      known[kind].push(one)
      inHours.set(hour, known)
    }
  }
  for (const one of waits) add('waits', one)
  for (const one of runs) add('runs', one)
  return [...inHours].flatMap(([hour, its]) =>
    Array.from({ length: 12 }, (_, index) => hour + index * 5 * MINUTE)
      .filter((time) => time < heard)
      .map((time) => {
        const oldest = least(its.waits.map(({ from, to }) => (from <= time && time < to ? from : null)))
        return {
          at: time,
          ...{ waiting: at(its.waits, time), running: at(its.runs, time) },
          oldest_wait_seconds: oldest === null ? null : (time - oldest) / 1_000,
          most_waiting: most(its.waits, time, time + 5 * MINUTE),
          most_running: most(its.runs, time, time + 5 * MINUTE),
        }
      }),
  )
}

export function queueDepths(facts: Facts): Row[] {
  return grouped(
    timesOf(facts),
    ({ job }) => placeOf(facts, job),
    (group, { organization_id }) => ({
      points: pointsOf(
        group.flatMap(({ waits }) => waits),
        group.flatMap(({ runs }) => runs),
        heardAt(facts, organization_id) ?? Infinity,
      ),
    }),
  ).flatMap(({ points, ...key }) => (points as Row[]).map((point) => ({ ...key, ...point })))
}

interface Seen {
  readonly place: { organization_id: Maybe<string>; cluster_id: Maybe<string>; queue: string }
  readonly job?: Job
  readonly agent?: Row
}

export function queuesNow(facts: Facts): Row[] {
  // A job without these times waits for other steps, not in a queue.
  const isInQueue = ({ runnable_at, started_at }: Job) => runnable_at !== null || started_at !== null
  const open = facts.jobs.filter((job) => isCommand(job) && isOpen(facts, job) && isInQueue(job))
  const busy = new Set(open.flatMap(({ started_at, agent_id }) => (started_at === null ? [] : (agent_id ?? []))))
  const listed = facts.history.lists.flatMap(({ queues, organization }) =>
    queues.map((queue) => ({
      queue,
      place: {
        organization_id: String(organization.id),
        cluster_id: lower(String(queue.cluster_id)),
        queue: String(queue.key),
      },
    })),
  )
  const keyOf = ({ organization_id, cluster_id, queue }: Seen['place']) =>
    JSON.stringify([organization_id, cluster_id, queue])
  const paused = new Map(listed.map(({ queue, place }) => [keyOf(place), queue.dispatch_paused ?? null]))
  const seen: Seen[] = [
    ...open.map((job) => ({ place: placeOf(facts, job), job })),
    ...facts.agents.filter((agent) => isConnected(facts, agent)).map((agent) => ({ place: agentPlace(agent), agent })),
    ...listed.map(({ place }) => ({ place })),
  ]
  return [...listBy(seen, ({ place }) => keyOf(place))].map(([key, group]) => {
    const place = (group[0] as Seen).place
    const jobs = group.flatMap(({ job }) => job ?? [])
    const agents = group.map(({ agent }) => agent).filter((agent) => agent !== undefined)
    const waiting = jobs.filter(({ runnable_at, started_at }) => runnable_at !== null && started_at === null)
    const oldest = least(waiting.map(({ runnable_at }) => runnable_at))
    const as_of = heardAt(facts, place.organization_id)
    const working = count(agents, ({ id }) => busy.has(String(id)))
    return {
      ...place,
      organization: slugOf(facts, place.organization_id),
      cluster: clusterOf(facts, place),
      ...{ waiting: waiting.length, running: count(jobs, ({ started_at }) => isPresent(started_at)) },
      oldest_wait_seconds: oldest === null || as_of === null ? null : Math.max(0, as_of - oldest) / 1_000,
      ...{ agents: agents.length, agents_busy: working, agents_idle: agents.length - working },
      ...{ dispatch_paused: paused.get(key) ?? null, as_of },
    }
  })
}
