// A company's builds by number: build n and its jobs are always the same, and made without holding any other in memory. The API and the
// webhooks of the benchmarks both speak of it, in payloads as long as Buildkite's.

const base = 'https://api.buildkite.com/v2/organizations/bench'
const web = 'https://buildkite.com/bench'

export const organization = {
  id: '00000000-0000-7000-8000-0000000000b0',
  graphql_id: 'T3JnYW5pemF0aW9uLS0tMDAw',
  slug: 'bench',
  name: 'Bench',
  url: base,
  web_url: web,
  pipelines_url: `${base}/pipelines`,
  agents_url: `${base}/agents`,
  emojis_url: `${base}/emojis`,
  created_at: '2020-01-01T00:00:00.000Z',
}

const PIPELINES = 20
const AGENTS = 200

const iso = (ms: number) => new Date(ms).toISOString()
const hex = (n: number, length: number) => n.toString(16).padStart(length, '0').slice(-length)
const graphqlId = (kind: string, id: string) => Buffer.from(`${kind}---${id}`).toString('base64')

/** An id of version 7, in order of time as Buildkite's are. */
export function idOf(kind: number, at: number, n: number): string {
  const time = hex(at, 12)
  return `${time.slice(0, 8)}-${time.slice(8)}-7${hex(kind, 3)}-8${hex(n >>> 20, 3)}-${hex((n * 2_654_435_761) % 2 ** 44, 11)}${hex(kind, 1)}`
}

export function pipelineOf(p: number) {
  const slug = `app-${p}`
  const id = idOf(1, 1_600_000_000_000 + p, p)
  const url = `${base}/pipelines/${slug}`
  return {
    id,
    graphql_id: graphqlId('Pipeline', id),
    url,
    web_url: `${web}/${slug}`,
    name: `App ${p}`,
    description: 'Builds, tests and ships',
    slug,
    repository: `git@github.com:bench/${slug}.git`,
    cluster_id: null,
    cluster_url: null,
    branch_configuration: null,
    default_branch: 'main',
    skip_queued_branch_builds: false,
    skip_queued_branch_builds_filter: null,
    cancel_running_branch_builds: true,
    cancel_running_branch_builds_filter: '!main',
    allow_rebuilds: true,
    provider: {
      id: 'github',
      settings: { trigger_mode: 'code', build_pull_requests: true, publish_commit_status: true },
    },
    builds_url: `${url}/builds`,
    badge_url: `https://badge.buildkite.com/${hex(p, 40)}.svg`,
    created_at: iso(1_600_000_000_000 + p),
    archived_at: null,
    env: {},
    visibility: 'private',
    tags: ['team-a'],
    configuration: 'steps:\n  - command: make test\n    parallelism: 4\n',
  }
}

export const pipelines = Array.from({ length: PIPELINES }, (_, p) => pipelineOf(p))

function agentOf(a: number) {
  const id = idOf(2, 1_700_000_000_000 + a, a)
  return {
    id,
    graphql_id: graphqlId('Agent', id),
    url: `${base}/agents/${id}`,
    web_url: `${web}/agents/${id}`,
    name: `linux-${a}`,
    connection_state: 'connected',
    hostname: `ip-10-0-0-${a}`,
    ip_address: `10.0.0.${a}`,
    user_agent: 'buildkite-agent/3.98.0.9876 (linux; amd64)',
    version: '3.98.0',
    os_id: 'linux',
    arch: 'amd64',
    queue: 'default',
    creator: null,
    created_at: iso(1_700_000_000_000 + a),
    connected_at: iso(1_700_000_000_000 + a),
    disconnected_at: null,
    lost_at: null,
    stopped_at: null,
    last_job_finished_at: null,
    priority: 0,
    meta_data: ['queue=default', 'docker=true', 'size=large'],
    paused: false,
  }
}

const agents = Array.from({ length: AGENTS }, (_, a) => agentOf(a))

/** How far a build or a job is along its life. */
export type Stage = 'scheduled' | 'running' | 'finished'

/** Build `n`, created at `at`, without its jobs. */
export function buildOf(n: number, at: number, stage: Stage = 'finished') {
  const pipeline = pipelines[n % PIPELINES] ?? pipelineOf(0)
  const id = idOf(3, at, n)
  const failed = n % 10 === 0
  const person = n % 50
  const personId = idOf(4, 1_500_000_000_000 + person, person)
  const end = failed ? 'failed' : 'passed'
  return {
    id,
    graphql_id: graphqlId('Build', id),
    url: `${base}/pipelines/${pipeline.slug}/builds/${n}`,
    web_url: `${web}/${pipeline.slug}/builds/${n}`,
    number: n,
    state: stage === 'finished' ? end : stage,
    blocked: false,
    blocked_state: '',
    cancel_reason: null,
    message: `Change ${n}: keep the sums of the week apart from those of the day\n\nThey were added twice when a job ran over midnight.`,
    commit: hex(n, 8).repeat(5),
    branch: n % 4 === 0 ? 'main' : `feature/${n % 500}`,
    tag: null,
    env: {},
    source: 'webhook',
    author: { username: `person${person}`, name: `Person ${person}`, email: `person${person}@example.com` },
    creator: {
      id: personId,
      graphql_id: graphqlId('User', personId),
      name: `Person ${person}`,
      email: `person${person}@example.com`,
      avatar_url: `https://www.gravatar.com/avatar/${hex(person, 32)}`,
      created_at: iso(1_500_000_000_000 + person),
    },
    created_at: iso(at),
    scheduled_at: iso(at + 100),
    started_at: stage === 'scheduled' ? null : iso(at + 5_000),
    finished_at: stage === 'finished' ? iso(at + 600_000) : null,
    failing_at: failed && stage === 'finished' ? iso(at + 400_000) : null,
    meta_data: { release: `2026.${n}`, reviewed: 'true' },
    pull_request:
      n % 4 === 0
        ? null
        : { id: String(n % 500), base: 'main', repository: 'git://github.com/bench/app.git', labels: [] },
    merge_queue: null,
    rebuilt_from: null,
    triggered_from: null,
    cluster_id: null,
    cluster_url: null,
  }
}

/** Job `j` of build `n`, created at `at`; of the build itself only its addresses are asked for. */
export function jobOf(
  build: { url: string; web_url: string },
  n: number,
  at: number,
  j: number,
  stage: Stage = 'finished',
) {
  const id = idOf(5, at + j, n * 16 + j)
  const failed = n % 10 === 0 && j === 3
  const agent = agents[(n * 7 + j) % AGENTS] ?? agentOf(0)
  const finished = stage === 'finished'
  return {
    id,
    graphql_id: graphqlId('Job', id),
    type: 'script',
    name: j < 4 ? [':eslint: Lint', ':docker: Image', 'Scan', 'Tests'][j] : 'Tests',
    step_key: j < 3 ? ['lint', 'image', 'scan'][j] : 'tests',
    step: { id: idOf(6, at + j, n * 16 + j), signature: null },
    priority: { number: 0 },
    agent_query_rules: ['queue=default', 'docker=true'],
    state: finished ? (failed ? 'failed' : 'passed') : stage,
    build_url: build.url,
    web_url: `${build.web_url}#${id}`,
    log_url: `${build.url}/jobs/${id}/log`,
    raw_log_url: `${build.url}/jobs/${id}/log.txt`,
    artifacts_url: `${build.url}/jobs/${id}/artifacts`,
    command: 'make prepare\nmake test SHARD=$BUILDKITE_PARALLEL_JOB',
    soft_failed: false,
    exit_status: finished ? (failed ? 1 : 0) : null,
    signal: null,
    signal_reason: null,
    broken_reason: null,
    artifact_paths: 'reports/**/*.xml',
    created_at: iso(at + j),
    scheduled_at: iso(at + j),
    runnable_at: iso(at + 1_000),
    concurrency_wait_time_ms: 0,
    started_at: stage === 'scheduled' ? null : iso(at + 6_000 + j * 500),
    finished_at: finished ? iso(at + 60_000 + j * 50_000) : null,
    expired_at: null,
    retried: false,
    retried_in_job_id: null,
    retries_count: null,
    retry_source: null,
    retry_type: null,
    parallel_group_index: j < 3 ? null : j - 3,
    parallel_group_total: j < 3 ? null : 7,
    matrix: null,
    agent: stage === 'scheduled' ? null : agent,
    cluster_id: null,
    cluster_url: null,
    cluster_queue_id: null,
    cluster_queue_url: null,
  }
}

/** One webhook as Buildkite would send it, not yet signed. */
export interface Webhook {
  event: string
  body: string
}

const sender = { id: idOf(4, 1_500_000_000_000, 0), name: 'Person 0' }

function webhook(event: string, build: object, pipeline: object, job?: object): Webhook {
  return { event, body: JSON.stringify({ event, ...(job && { job }), build, pipeline, sender }) }
}

/** Every webhook of a build's life, in order: 3 of the build and 3 of each job. */
export function webhooksOf(n: number, at: number, jobs: number): Webhook[] {
  const pipeline = pipelines[n % PIPELINES] ?? pipelineOf(0)
  const every = Array.from({ length: jobs }, (_, j) => j)
  const of = (event: string, stage: Stage) => webhook(`build.${event}`, buildOf(n, at, stage), pipeline)
  const ofJobs = (event: string, stage: Stage, buildStage: Stage) => {
    const build = buildOf(n, at, buildStage)
    return every.map((j) => webhook(`job.${event}`, build, pipeline, jobOf(build, n, at, j, stage)))
  }
  return [
    of('scheduled', 'scheduled'),
    ...ofJobs('scheduled', 'scheduled', 'scheduled'),
    of('running', 'running'),
    ...ofJobs('started', 'running', 'running'),
    ...ofJobs('finished', 'finished', 'running'),
    of('finished', 'finished'),
  ]
}

/** A webhook of exactly `bytes`, its commit message filled up: one of a build's own each time. */
export function webhookOfSize(n: number, at: number, bytes: number): Webhook {
  const pipeline = pipelines[n % PIPELINES] ?? pipelineOf(0)
  const build = buildOf(n, at, 'running')
  const job = jobOf(build, n, at, 0, 'running')
  const make = (fill: string) => webhook('job.started', { ...build, message: build.message + fill }, pipeline, job)
  return make('x'.repeat(Math.max(0, bytes - Buffer.byteLength(make('').body))))
}
