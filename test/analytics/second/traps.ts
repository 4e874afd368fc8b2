import type { Build, Job, Pipeline, ScriptJob } from '../../../src/simulator/model/shapes.ts'
import type { Random } from '../../../src/simulator/random.ts'
import type { Simulation } from '../../../src/simulator/simulation.ts'

// What the simulator does not do by itself. Only REST shows it: changes by hand send no webhook.

const DAY = 86_400_000
const HOUR = 3_600_000
const unknown = '00000000-0000-4000-8000-00000000dead'
const iso = (time: number) => new Date(time).toISOString()
const at = (time: string | null, fallback: string) => Date.parse(time ?? fallback)

type JobTrap = (job: ScriptJob, build: Build) => Record<string, unknown>

const midnight = (job: ScriptJob, build: Build) => Math.floor(at(job.finished_at, build.created_at) / DAY) * DAY
const hour = (job: ScriptJob, build: Build) => Math.floor(at(job.finished_at, build.created_at) / HOUR) * HOUR

const jobTraps: readonly JobTrap[] = [
  // Across midnight, to the hour, and for days.
  (job, build) => ({ started_at: iso(midnight(job, build) - 90_500), finished_at: iso(midnight(job, build) + 1_250) }),
  (job, build) => ({ started_at: iso(midnight(job, build) - 7_000), finished_at: iso(midnight(job, build)) }),
  (job, build) => ({ started_at: iso(hour(job, build)), finished_at: iso(hour(job, build) + HOUR) }),
  (job, build) => ({ started_at: iso(hour(job, build) - 76 * HOUR - 5), finished_at: iso(hour(job, build) + 5) }),
  (job, build) => ({ started_at: iso(hour(job, build) - 30 * HOUR), finished_at: iso(hour(job, build) + 5) }),
  // Clocks that go wrong.
  (job, build) => ({ started_at: iso(at(job.finished_at, build.created_at) + 4_000) }),
  () => ({ started_at: '1970-01-01T00:00:00.000Z' }),
  (job, build) => ({ runnable_at: iso(at(job.started_at, build.created_at) + 10_000) }),
  // Queues and names.
  () => ({ agent_query_rules: ['docker=true', 'queue=gpu', 'queue=default'] }),
  () => ({ agent_query_rules: ['queue='] }),
  () => ({ agent_query_rules: [] }),
  () => ({ name: '', label: 'A label' }),
  () => ({ name: null, step_key: '', command: `make ${'long '.repeat(40)}` }),
  () => ({ name: 'Line\nbreak', step_key: null }),
  () => ({ cluster_id: null, cluster_url: null }),
  // Ends.
  () => ({ state: 'failed', exit_status: -1, signal_reason: '' }),
  () => ({ state: 'failed', exit_status: 1, signal_reason: 'agent_refused', soft_failed: true }),
  () => ({ state: 'failed', exit_status: -1, signal_reason: 'cancel' }),
  () => ({ state: 'finished', exit_status: 0 }),
  () => ({ state: 'finished', exit_status: 3, soft_failed: true }),
  () => ({ state: 'timed_out', soft_failed: true }),
  () => ({ state: 'broken', exit_status: null }),
  (job, build) => ({
    state: 'expired',
    expired_at: iso(at(job.started_at, build.created_at)),
    started_at: null,
    finished_at: null,
  }),
  (job, build) => ({
    ...{ state: 'failed', exit_status: 9, soft_failed: false, promised_exit_status: 9 },
    promised_exit_status_at: iso(at(job.started_at, build.created_at) + 500),
  }),
  (job, build) => ({ promised_exit_status: 0, promised_exit_status_at: iso(at(job.started_at, build.created_at)) }),
  () => ({ state: 'platform_limited', started_at: null, finished_at: null }),
  () => ({ state: 'a new state' }),
  // Waits and retries.
  () => ({ concurrency_wait_time_ms: 7_200_000 }),
  () => ({ runnable_at: null }),
  () => ({ retried: true, retried_in_job_id: unknown, retry_type: 'manual' }),
  () => ({ retried: true, retried_in_job_id: null, retry_type: null }),
  () => ({ retried: false, retried_in_job_id: unknown, retry_type: 'automatic' }),
  () => ({ web_url: null }),
  () => ({ matrix: null }),
  () => ({ created_at: undefined }),
  // Groups: one that is empty, and one with the name of a step.
  ...['', 'tests', 'tests', 'tests', 'build'].map((group_key) => () => ({ group_key })),
  () => ({ group_key: 'tests', step_key: null, name: 'tests' }),
]

type BuildTrap = (build: Build) => Record<string, unknown>

const buildTraps: readonly BuildTrap[] = [
  // Forks and pull requests.
  () => ({ pull_request: { id: 77, base: 'main', repository: 'https://x:y@github.com/someone/fork.git' } }),
  () => ({ pull_request: { id: '77', base: 'develop', repository: null, labels: [] } }),
  () => ({ pull_request: { id: '12345678901', base: 'main' } }),
  () => ({ pull_request: { id: 'false' } }),
  // People.
  () => ({ author: { name: 'ADA', email: 'ADA@Example.com', username: 'Ada-L', date: '2026-03-01T10:00:00.123Z' } }),
  () => ({ author: { name: 'Nobody', email: '' }, creator: null }),
  () => ({ author: { username: 'only-a-login', name: 'Only' }, creator: null }),
  () => ({ author: 'Just a text' }),
  (build) => ({
    creator: build.creator ? { ...build.creator, email: 'Other.Address@example.com', name: 'Renamed' } : null,
  }),
  // States.
  () => ({ state: 'passed', blocked: true, blocked_state: 'failed' }),
  () => ({ state: 'failed', blocked: true, blocked_state: 'failed' }),
  () => ({ state: 'canceled', blocked: true, blocked_state: 'passed', cancel_reason: 'Canceled at a gate' }),
  () => ({ state: 'a new state' }),
  () => ({ state: 'not_run' }),
  () => ({ state: 'failed', finished_at: null }),
  // Times.
  () => ({ started_at: '1970-01-01T00:00:00.000Z' }),
  (build) => ({ finished_at: iso(Math.floor(at(build.finished_at, build.created_at) / DAY) * DAY) }),
  (build) => ({ created_at: build.created_at, failing_at: iso(Date.parse(build.created_at) + 90_001) }),
  // Relations.
  () => ({ rebuilt_from: { id: unknown, number: 9_999, url: 'x' } }),
  () => ({ triggered_from: { build_id: unknown, build_number: 9_999, build_pipeline_slug: 'x' } }),
  () => ({ commit: 'abcdefabcdefabcdefabcdefabcdefabcdefabcd' }),
  () => ({ commit: 'abcdefabcdefabcdefabcdefabcdefabcdefabcd' }),
  () => ({ commit: 'HEAD' }),
  () => ({ branch: 'main', source: 'a new source' }),
  () => ({ jobs: [] }),
  () => ({ meta_data: { b: '1', a: '{"x": [1, 2]}' }, message: '' }),
]

const repositories: [string, ...string[]] = [
  '',
  ...['https://x:token@github.com/acme/app.git', 'ssh://git@example.com:2222/group/sub/lib.git/', 'my.org/app'],
  ...['git@host:2222/acme/app', 'github.com/acme/app', 'host:/path/app.git', '/srv/git/app.git'],
]

export function setTraps({ truth }: Simulation, random: Random): void {
  const finished = truth.builds.filter((build) => build.finished_at !== null && !truth.alive.has(build))
  const jobs = finished.flatMap((build) => build.jobs.filter(isDone).map((job) => ({ build, job })))
  for (const trap of jobTraps) {
    const chosen = random.choose(jobs)
    if (!chosen) continue
    const fields = trap(chosen.job, chosen.build)
    for (const [key, value] of Object.entries(fields)) {
      if (value === undefined) Reflect.deleteProperty(chosen.job, key)
      else Object.assign(chosen.job, { [key]: value })
    }
  }
  for (const trap of buildTraps) {
    const build = random.choose(finished)
    if (build) truth.edit(build, trap(build))
  }
  gates(finished, random)
  repeatCommits(finished, random)
  if (random.chance(0.7)) regress(finished, random)
  // The same gate may have no state that the API names.
  for (const pipeline of truth.pipelines) if (random.chance(0.5)) changePipeline(pipeline, random)
  const renamed = random.choose(truth.pipelines)
  if (renamed) truth.renamePipeline(renamed, 'Renamed', `renamed-${random.hex(4)}`)
  // Its old slug is used again.
  if (renamed) truth.addPipeline(truth.organizationOf(renamed), Date.parse(renamed.created_at) || 0)
}

const isDone = (job: Job): job is ScriptJob => job.type === 'script' && job.finished_at !== null

/** Gates with the fields of newer versions of the API. */
function gates(builds: readonly Build[], random: Random): void {
  for (const build of builds) {
    for (const job of build.jobs) {
      if (job.type !== 'manual' || !random.chance(0.3)) continue
      const time = random.pick(['runnable_at', 'created_at'] as const)
      Object.assign(job, { [time]: build.created_at, label: random.pick(['', 'Ship it?', 'Release?']) })
    }
  }
}

/** A job with many tries in several weeks: it becomes slower, or fails more. */
function regress(builds: readonly Build[], random: Random): void {
  const build = random.choose(builds.filter(({ jobs }) => jobs.some(isDone)))
  const model = build?.jobs.find(isDone)
  if (!build || !model) return
  const newest = at(build.finished_at, build.created_at)
  const [isSlower, failsMore] = [random.chance(0.6), random.chance(0.6)]
  for (let i = 0; i < 90; i++) {
    const isNew = i % 2 === 0
    const finished_at = newest - (isNew ? 0 : random.int(1, 34)) * DAY
    const started_at = finished_at - random.int(60_000, isNew && isSlower ? 200_000 : 110_000)
    const hasFailed = random.chance(isNew && failsMore ? 0.6 : 0.1)
    build.jobs.push({
      ...model,
      ...{
        id: random.uuid(started_at),
        name: 'Regression',
        finished_at: iso(finished_at),
        started_at: iso(started_at),
      },
      ...{ runnable_at: iso(started_at - random.int(1, 90_000)), retry_source: null, retried_in_job_id: null },
      ...{ state: hasFailed ? 'failed' : 'passed', exit_status: hasFailed ? 1 : 0, signal_reason: null },
    })
  }
}

/** Builds of one commit in one pipeline: some jobs have failed in one of them, and some have the name of another. */
function repeatCommits(builds: readonly Build[], random: Random): void {
  for (const first of builds.filter(() => random.chance(0.2))) {
    const same = builds.filter(({ pipeline, branch }) => pipeline === first.pipeline && branch === first.branch)
    for (const build of same.slice(0, random.int(2, 5))) {
      build.commit = first.commit
      for (const job of build.jobs.filter(isDone)) {
        if (random.chance(0.1)) Object.assign(job, { step_key: random.pick(['', null]) })
        if (random.chance(0.1)) Object.assign(job, { state: 'failed', exit_status: 1, signal_reason: null })
      }
    }
  }
}

function changePipeline(pipeline: Pipeline, random: Random): void {
  const change = random.pick<() => Record<string, unknown>>([
    () => ({ default_branch: 'feature/search' }),
    () => ({ default_branch: null }),
    () => ({ repository: random.pick(repositories) }),
    () => ({ tags: ['zebra', 'Äpfel', 'apple'], provider: { ...pipeline.provider, id: 'gitlab' } }),
    () => ({ cluster_id: null, name: 'Another name' }),
  ])
  Object.assign(pipeline, change())
}
