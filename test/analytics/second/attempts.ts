import type { Build, Job } from './facts.ts'
import { endOf, isFailed, isManual, jobResult, readyAt } from './job-words.ts'
import { finer } from './merge.ts'
import { greatest, isPresent, least, type Maybe, seconds, total } from './values.ts'

// Known finishes, derived stops and attempts. See "Builds" in docs/analytics/definitions.md.

export interface Attempt {
  readonly finished_at: number
  readonly state: Maybe<string>
  readonly blocked: Maybe<boolean>
  readonly own_started_at: Maybe<number>
  readonly isRest: boolean
  readonly isDerived: boolean
  place: number
  started_at: Maybe<number>
  run_seconds: Maybe<number>
  isUnread: boolean
  isFirst: boolean
}

const results = ['passed', 'failed', 'skipped', 'not_run']

export function effectiveState(state: Maybe<string>, blocked: Maybe<boolean>): Maybe<string> {
  return blocked === true && state !== 'canceled' ? 'blocked' : state
}

export function resultOf(state: Maybe<string>, blocked: Maybe<boolean>): Maybe<string> {
  if (state === 'canceled') return state
  return state !== null && blocked !== true && results.includes(state) ? state : null
}

const attempt = (
  fields: Pick<Attempt, 'finished_at' | 'state' | 'blocked' | 'own_started_at' | 'isRest' | 'isDerived'>,
) => ({
  ...fields,
  ...{ place: 0, started_at: null, run_seconds: null, isUnread: false, isFirst: true },
})

function knownFinishes(build: Build): Attempt[] {
  const known: { finished_at: number; at: number; isRest: boolean; row: Record<string, unknown> }[] = []
  for (const { row, at, via } of build.finishes) {
    const finished_at = Number(row.finished_at)
    const same = known.find((one) => isSame(one.finished_at, finished_at))
    if (!same) {
      known.push({ finished_at, at, isRest: via === 'rest', row: { ...row } })
      continue
    }
    if (finished_at % 1_000 !== 0) same.finished_at = finished_at
    const isLater = Math.floor(at / 1_000) >= Math.floor(same.at / 1_000)
    for (const key of ['started_at', 'state', 'blocked']) {
      const value = isLater ? (row[key] ?? same.row[key]) : (same.row[key] ?? row[key])
      same.row[key] = finer(same.row[key], value, via === 'rest')
    }
    same.at = Math.max(same.at, at)
  }
  return known.map(({ finished_at, isRest, row }) =>
    attempt({
      ...{ finished_at, isRest, isDerived: false },
      state: (row.state as string) ?? null,
      blocked: (row.blocked as boolean) ?? null,
      own_started_at: (row.started_at as number) ?? null,
    }),
  )
}

const isSame = (a: number, b: number) =>
  a === b || ((a % 1_000 === 0 || b % 1_000 === 0) && Math.floor(a / 1_000) === Math.floor(b / 1_000))

interface Moment {
  readonly at: number
  readonly isRetry: boolean
}

function momentsOf(build: Build): Moment[] {
  const moments: Moment[] = []
  const byId = new Map(build.jobs.map((job) => [job.id, job]))
  for (const job of build.jobs) {
    if (isManual(job) && job.unblocked_at !== null) moments.push({ at: job.unblocked_at, isRetry: false })
    const next = job.retried_in_job_id === null ? undefined : byId.get(job.retried_in_job_id)
    const ready = next && readyAt(next)
    if (job.retry_type === 'manual' && isPresent(ready)) moments.push({ at: ready, isRetry: true })
  }
  if (build.state === 'canceled' && build.blocked === true && build.finished_at !== null) {
    moments.push({ at: build.finished_at, isRetry: false })
  }
  return moments
}

const beginOf = (job: Job) =>
  job.runnable_at === null ? job.started_at : job.runnable_at - (job.concurrency_wait_time_ms ?? 0)

function stopAt(build: Build, { at, isRetry }: Moment) {
  const tries = build.jobs.filter(({ type }) => type === 'script' || type === 'trigger')
  const begun = tries.filter((job) => (beginOf(job) ?? Number.POSITIVE_INFINITY) < at)
  if (begun.some((job) => (endOf(job) ?? Number.POSITIVE_INFINITY) > at)) return undefined
  const begin = greatest(begun.map(endOf))
  if (begin === null) return undefined
  const end = least(tries.map(({ started_at }) => (started_at !== null && started_at >= at ? started_at : null))) ?? at
  return { at, begin, end, isRetry, hasFailed: tries.some((job) => hadFailed(build, job, at)) }
}

function hadFailed(build: Build, job: Job, at: number): boolean {
  const end = endOf(job)
  if (!isFailed(jobResult(job)) || end === null || end > at || job.retry_type === 'automatic') return false
  const next = build.jobs.find(({ id }) => id === job.retried_in_job_id)
  const ready = next ? readyAt(next) : null
  return ready === null || ready >= at
}

function derivedStops(build: Build, known: readonly Attempt[]): Attempt[] {
  const isKnown = (begin: number, end: number) =>
    known.some(({ finished_at: at }) => at === begin || (at >= begin - 1_000 && at < end))
  const stops = momentsOf(build)
    .flatMap((moment) => stopAt(build, moment) ?? [])
    .filter(({ begin, end }) => !isKnown(begin, end))
    .sort((a, b) => Number(b.isRetry) - Number(a.isRetry) || a.at - b.at)
  const chosen = stops.filter((stop, index) => stops.findIndex(({ begin }) => begin === stop.begin) === index)
  return chosen.map(({ begin, isRetry, hasFailed }) =>
    attempt({
      ...{ finished_at: begin, own_started_at: null, isRest: true, isDerived: true },
      state: isRetry && hasFailed ? 'failed' : 'passed',
      blocked: !isRetry,
    }),
  )
}

const cache = new WeakMap<object, Attempt[]>()

export function attemptsOf(build: Build): Attempt[] {
  const cached = cache.get(build)
  if (cached) return cached
  const known = knownFinishes(build)
  const attempts = [...known, ...derivedStops(build, known)].sort((a, b) => a.finished_at - b.finished_at)
  const firstResult = least(attempts.map((one) => (attemptResult(one) === null ? null : one.finished_at)))
  for (const [index, one] of attempts.entries()) {
    const before = attempts[index - 1]
    one.place = index + 1
    one.isFirst = firstResult === null || one.finished_at <= firstResult
    one.isUnread = !before && one.isRest && one.own_started_at !== null && build.jobs.length === 0
    one.started_at = startOf(build, one, before)
    one.run_seconds = runOf(one, before)
  }
  cache.set(build, attempts)
  return attempts
}

function startOf(build: Build, one: Attempt, before: Attempt | undefined): Maybe<number> {
  const starts = build.jobs.map(({ started_at }) => started_at)
  const own = one.own_started_at
  if (before && (one.isDerived || before.isDerived || (own !== null && own <= before.finished_at))) {
    return least(starts.filter((at) => at !== null && at >= before.finished_at && at <= one.finished_at))
  }
  if (!before && one.isRest) return least([own, ...starts.filter((at) => at !== null && at <= one.finished_at)])
  return own
}

function runOf(one: Attempt, before: Attempt | undefined): Maybe<number> {
  if (before && one.state === 'canceled' && one.blocked === true) return null
  if (before && one.own_started_at !== null && one.started_at === null) return 0
  return one.isUnread ? null : seconds(one.started_at, one.finished_at)
}

export const attemptResult = ({ state, blocked }: Attempt) => resultOf(state, blocked)

/** Null if one of them is unread. */
export function runTotal(attempts: readonly Attempt[]): Maybe<number> {
  return attempts.some(({ isUnread }) => isUnread) ? null : total(attempts.map(({ run_seconds }) => run_seconds))
}

export const isEstimate = (build: Build) => attemptsOf(build).some(({ isDerived, isUnread }) => isDerived || isUnread)

/** Of the attempts alone, and, if REST showed the build first, of its jobs. */
export function firstStart(build: Build): Maybe<number> {
  const jobs = build.isFirstRest ? build.jobs.map(({ started_at }) => started_at) : []
  return least([...attemptsOf(build).map(({ started_at }) => started_at), ...jobs])
}
