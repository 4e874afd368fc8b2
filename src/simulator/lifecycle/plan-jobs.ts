import {
  type Build,
  graphqlId,
  iso,
  type Job,
  type ManualJob,
  type ScriptJob,
  type TriggerJob,
} from '../model/shapes.ts'
import type { Truth } from '../model/state.ts'
import { varyManual, varyScript } from '../model/variety.ts'
import type { Mix } from '../probabilities.ts'

/**
 * The jobs of a build, in the order of their steps: lint, parallel tests, a block or wait step, a matrix job, and a deployment or a
 * trigger. `count` is the number of jobs; default 5 to 8.
 */
export function planJobs(truth: Truth, build: Build, at: number, mix: Mix, count?: number): Job[] {
  const { random } = truth
  const total = count ?? random.int(5, 8)
  const parallel = Math.max(1, total - 4)
  const blocks = random.chance(mix.block)
  const triggers = random.chance(mix.trigger) && !build.triggered_from
  const jobs: Job[] = [planScript(truth, build, at, { name: ':eslint: Lint', step_key: 'lint', command: 'make lint' })]
  let parts: ScriptJob['step'] | undefined
  for (let i = 0; i < parallel; i++) {
    const part = planScript(truth, build, at, {
      name: null,
      command: 'make test\nmake report',
      parallel_group_index: i,
      parallel_group_total: parallel,
      artifact_paths: 'reports/**/*.xml',
      retries_count: null,
    })
    parts ??= part.step
    jobs.push({ ...part, step: parts })
  }
  if (blocks) jobs.push(planManual(truth, build, at))
  else jobs.push(planWaiter(truth, at))
  jobs.push(
    planScript(truth, build, at, {
      name: 'Image :docker:',
      step_key: 'image',
      command: 'make image',
      matrix: { os: 'linux', arch: random.pick(['amd64', 'arm64']) },
      priority: { number: 1 },
    }),
  )
  if (triggers) jobs.push(planTrigger(truth, build, at))
  else {
    jobs.push(
      planScript(truth, build, at, {
        name: 'Deploy',
        step_key: 'deploy',
        group_key: 'release',
        command: null,
        agent_query_rules: ['queue=deploy'],
        ...(random.chance(mix.broken)
          ? { state: 'broken', broken_reason: 'branch_mismatch', finished_at: iso(at) }
          : {}),
      }),
    )
  }
  return jobs.slice(0, total)
}

function planScript(truth: Truth, build: Build, at: number, given: Partial<ScriptJob>): ScriptJob {
  const { random } = truth
  const id = random.uuid(at)
  const { cluster_id, cluster_url } = build.pipeline
  const job: ScriptJob = {
    id,
    graphql_id: graphqlId('Job', id),
    type: 'script',
    name: null,
    step_key: null,
    step: { id: random.uuid(at), signature: null },
    priority: { number: 0 },
    agent_query_rules: ['queue=default'],
    state: 'waiting',
    build_url: build.url,
    web_url: `${build.web_url}#${id}`,
    log_url: `${build.url}/jobs/${id}/log`,
    raw_log_url: `${build.url}/jobs/${id}/log.txt`,
    artifacts_url: `${build.url}/jobs/${id}/artifacts`,
    command: null,
    soft_failed: false,
    exit_status: null,
    signal: null,
    signal_reason: null,
    broken_reason: null,
    artifact_paths: null,
    created_at: iso(at),
    scheduled_at: build.scheduled_at,
    runnable_at: null,
    concurrency_wait_time_ms: null,
    started_at: null,
    finished_at: null,
    expired_at: null,
    retried: false,
    retried_in_job_id: null,
    retries_count: null,
    retry_source: null,
    retry_type: null,
    retried_by: null,
    parallel_group_index: null,
    parallel_group_total: null,
    matrix: null,
    agent: null,
    cluster_id,
    cluster_url,
    cluster_queue_id: null,
    cluster_queue_url: null,
    ...given,
  }
  if (truth.variety) varyScript(truth, build, job)
  return job
}

/** The job that retries `job`, with the same step. */
export function planRetry(
  truth: Truth,
  build: Build,
  job: ScriptJob,
  at: number,
  kind: 'automatic' | 'manual',
): ScriptJob {
  const by = kind === 'manual' ? truth.random.pick(truth.people) : null
  const retry = planScript(truth, build, at, {
    name: job.name,
    step_key: job.step_key,
    ...(job.group_key === undefined ? {} : { group_key: job.group_key }),
    step: job.step,
    priority: job.priority,
    agent_query_rules: job.agent_query_rules,
    command: job.command,
    artifact_paths: job.artifact_paths,
    parallel_group_index: job.parallel_group_index,
    parallel_group_total: job.parallel_group_total,
    matrix: job.matrix,
    retries_count: (job.retries_count ?? 0) + 1,
    retry_source: { job_id: job.id, retry_type: kind, retried_by: by ? { name: by.name, email: by.email } : null },
  })
  job.retried = true
  job.retried_in_job_id = retry.id
  job.retry_type = kind
  job.retried_by = by
  return retry
}

function planWaiter(truth: Truth, at: number): Job {
  const id = truth.random.uuid(at)
  return { id, type: 'waiter', graphql_id: graphqlId('Job', id) }
}

function planManual(truth: Truth, build: Build, at: number): ManualJob {
  const id = truth.random.uuid(at)
  const job: ManualJob = {
    id,
    graphql_id: graphqlId('Job', id),
    type: 'manual',
    label: 'Release?',
    state: 'waiting',
    step_key: 'release',
    web_url: null,
    unblocked_by: null,
    unblocked_at: null,
    unblockable: false,
    unblock_url: `${build.url}/jobs/${id}/unblock`,
  }
  if (truth.variety) varyManual(job)
  return job
}

function planTrigger(truth: Truth, build: Build, at: number): TriggerJob {
  const id = truth.random.uuid(at)
  return {
    id,
    graphql_id: graphqlId('Job', id),
    type: 'trigger',
    name: ':point_right: Deploy',
    state: 'waiting',
    async: truth.random.chance(0.5),
    step_key: 'trigger-deploy',
    build_url: build.url,
    web_url: null,
    soft_failed: false,
    created_at: iso(at),
    scheduled_at: build.scheduled_at,
    runnable_at: null,
    started_at: null,
    finished_at: null,
    triggered_build: null,
  }
}
