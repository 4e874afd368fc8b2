import { MINUTE, SECOND } from '../runtime/time.ts'
import { type BareQueue, type QueueJob, type QueueName, queueNames } from './engine.ts'
import { type JobLocation, SHARED_PREFIX } from './job-location.ts'
import { keepOpening, type Opening } from './opening.ts'

/** The queues at one location. */
export type QueueSet = Readonly<Record<QueueName, Opening<BareQueue>>>

/** The queues of this deployment. On Redis it includes places where earlier versions, or processes without its id, left jobs for it. */
export interface LocatedQueues {
  /** Where jobs are added. Changes once if the deployment's id becomes known later. */
  current(): QueueSet
  /** Every set that may hold jobs of this deployment, the current one first. */
  all(): readonly QueueSet[]
  /** The location, as soon as the deployment's id is known. */
  readonly settled: Promise<JobLocation>
  close(): Promise<void>
}

export interface LocatedParts {
  readonly read: () => Promise<JobLocation>
  readonly open: (name: QueueName, prefix: string) => Promise<BareQueue>
  readonly onError: (error: Error) => void
}

/** How often an unknown id is read again. */
const ASK_EVERY_MS = SECOND
/** How often jobs are moved from other locations; a job added there meanwhile waits this long. */
const MOVE_EVERY_MS = 5 * SECOND
/** How many jobs are moved at a time. */
const MOVE_AT_ONCE = 20

export async function openLocatedQueues({ read, open, onError }: LocatedParts): Promise<LocatedQueues> {
  const sets = new Map<string, QueueSet>()
  const setAt = (prefix: string): QueueSet => {
    const known = sets.get(prefix)
    if (known) return known
    const opened = (name: QueueName) => keepOpening(() => open(name, prefix), onError)
    const set = { deliveries: opened('deliveries'), reconcile: opened('reconcile'), backfill: opened('backfill') }
    sets.set(prefix, set)
    return set
  }
  let location = await read()
  let stopped = false
  let timer: NodeJS.Timeout | undefined
  let settle: (location: JobLocation) => void = () => {}
  const settled = new Promise<JobLocation>((resolve) => {
    settle = resolve
  })

  const next = async () => {
    try {
      if (!location.settled || !location.recorded) arrive(await read())
      if (location.settled) await moveAll(location, setAt)
    } catch (error) {
      onError(error instanceof Error ? error : new Error(String(error)))
    }
    const nothingMore = location.settled && location.sources.length === 0
    if (stopped || nothingMore) return
    timer = setTimeout(next, location.settled ? MOVE_EVERY_MS : ASK_EVERY_MS)
    timer.unref()
  }
  const arrive = (found: JobLocation) => {
    const left = location.settled && found.prefix !== location.prefix // for example during an outage
    if (stopped || left) return
    location = found
    for (const prefix of [location.prefix, ...location.sources]) setAt(prefix)
    if (location.settled) settle(location)
  }
  arrive(location)
  void next()

  return {
    current: () => setAt(location.prefix),
    all: () => [setAt(location.prefix), ...location.sources.map(setAt)],
    settled,
    async close() {
      stopped = true
      clearTimeout(timer)
      const openings = [...sets.values()].flatMap((set) => Object.values(set))
      for (const opening of openings) opening.stop()
      await Promise.all(openings.map((opening) => opening.current?.close()))
    },
  }
}

async function moveAll(location: JobLocation, setAt: (prefix: string) => QueueSet): Promise<void> {
  const target = setAt(location.prefix)
  for (const prefix of location.sources) {
    for (const name of queueNames) {
      // A worker processes these where they are, because workers of the previous version may process them too.
      if (prefix === SHARED_PREFIX && name === 'deliveries') continue
      await moveWaiting(setAt(prefix)[name], target[name])
    }
  }
}

/** Adds each waiting job to `target`, then removes it. If the process is killed in between, the job runs twice, which is harmless. */
async function moveWaiting({ current: source }: Opening<BareQueue>, target: Opening<BareQueue>): Promise<void> {
  if (!source) return
  const to = await target.within(MINUTE)
  for (let left = 0; ; ) {
    const waiting = await source.getJobs(['waiting'], left, left + MOVE_AT_ONCE - 1, true)
    for (const job of waiting) if (!(await moveJob(job, source, to))) left += 1
    if (waiting.length < MOVE_AT_ONCE) return
  }
}

/** @returns false if the job stays: it belongs to a schedule, which is set again at the target, or a worker has just taken it. */
async function moveJob(job: QueueJob | undefined, source: BareQueue, to: BareQueue): Promise<boolean> {
  if (!job?.id || job.id.startsWith('repeat:')) return false
  // BullMQ numbers jobs without an id of ours, from 1 at each location.
  const { jobId: _number, ...options } = job.opts
  await to.add(job.name, job.data, /^\d+$/.test(job.id) ? options : { ...options, jobId: job.id })
  return (await source.remove(job.id)) === 1
}
