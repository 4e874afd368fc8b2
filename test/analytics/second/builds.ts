import { attemptResult, attemptsOf, effectiveState, firstStart, isEstimate, resultOf, runTotal } from './attempts.ts'
import type { Build, Facts, Pipeline } from './facts.ts'
import { isCommand, queueOf } from './job-words.ts'
import {
  isPresent,
  least,
  lower,
  type Maybe,
  orNull,
  type Row,
  repositoryOf,
  rounded,
  seconds,
  sortedWords,
} from './values.ts'

// attempt_runs, build_attempts, builds and pipeline_runs. See "Builds" in docs/analytics/definitions.md.

export const stateOf = (build: Build) => effectiveState(build.state, build.blocked)
export const buildResult = (build: Build) => resultOf(build.state, build.blocked)

export function isDefaultBranch(build: Build): Maybe<boolean> {
  const branch = build.pipeline?.default_branch ?? null
  return branch === null || build.branch === null ? null : build.branch === branch
}

export const finishOf = (build: Build) => (buildResult(build) === null ? null : build.finished_at)
export const totalSeconds = (build: Build) => seconds(build.created_at, finishOf(build))
export const startedAt = (build: Build) => least([build.started_at, firstStart(build)])
export const firstAttempt = (build: Build) => attemptsOf(build).find((one) => attemptResult(one) !== null)
export const runSecondsOf = (build: Build) => runTotal(attemptsOf(build))
export const firstRunSecondsOf = (build: Build) => runTotal(attemptsOf(build).filter(({ isFirst }) => isFirst))
/** Of the creator, else of the author. */
export const personOf = (build: Build) => lower(orNull(build.creator_email) ?? orNull(build.author_email))
/** Of the author, else of the creator. */
export const breakerOf = (build: Build) => lower(orNull(build.author_email) ?? orNull(build.creator_email))

export function prNumber(build: Build): Maybe<number> {
  return /^\d{1,9}$/.test(build.pull_request_id ?? '') ? Number(build.pull_request_id) : null
}

export function buildUrl(build: Build): Maybe<string> {
  const web = build.pipeline?.web_url ?? null
  return web === null || build.number === null ? build.web_url : `${web}/builds/${build.number}`
}

/** The columns that place a build or job, under the names that most views use. */
export function placeOf(facts: Facts, build: Maybe<Build>) {
  return {
    organization_id: build?.organization_id ?? null,
    organization: slugOf(facts, build?.organization_id ?? null),
    pipeline_id: build?.pipeline_id ?? null,
    pipeline: build?.pipeline?.slug ?? null,
  }
}

export const slugOf = (facts: Facts, id: Maybe<string>) =>
  id === null ? null : (facts.organizationSlugs.get(id) ?? null)
export const tagsOf = (pipeline: Maybe<Pipeline> | undefined) => pipeline?.tags ?? []
export const teamsOf = (pipeline: Maybe<Pipeline> | undefined) => pipeline?.teams ?? []

export function attemptRuns({ builds }: Facts): Row[] {
  return builds.flatMap((build) =>
    attemptsOf(build).map((one) => ({
      build_id: build.id,
      attempt: one.place,
      state: one.state,
      blocked: one.blocked,
      started_at: one.started_at,
      finished_at: one.finished_at,
      run_seconds: one.run_seconds,
      is_first: one.isFirst,
      is_estimate: isEstimate(build),
      is_unread: one.isUnread,
    })),
  )
}

export function buildAttempts(facts: Facts): Row[] {
  return facts.builds.flatMap((build) =>
    attemptsOf(build).map((one) => ({
      build_id: build.id,
      ...placeOf(facts, build),
      build_number: build.number,
      attempt: one.place,
      state: effectiveState(one.state, one.blocked),
      result: attemptResult(one),
      started_at: one.started_at,
      finished_at: one.finished_at,
      run_seconds: one.run_seconds,
      is_first: one.isFirst,
      is_estimate: isEstimate(build),
      branch: build.branch,
      is_default_branch: isDefaultBranch(build),
      commit: build.commit,
      tags: tagsOf(build.pipeline),
      teams: teamsOf(build.pipeline),
    })),
  )
}

export function buildRows(facts: Facts): Row[] {
  return facts.builds.map((build) => {
    const attempts = attemptsOf(build)
    const first = firstAttempt(build)
    return {
      ...own(build),
      ...placeOf(facts, build),
      state: stateOf(build),
      result: buildResult(build),
      first_result: first ? attemptResult(first) : null,
      first_finished_at: first?.finished_at ?? null,
      attempts: attempts.filter((one) => attemptResult(one) !== null).length,
      is_default_branch: isDefaultBranch(build),
      started_at: startedAt(build),
      finished_at: finishOf(build),
      wait_seconds: seconds(build.created_at, startedAt(build)),
      run_seconds: runSecondsOf(build),
      first_run_seconds: firstRunSecondsOf(build),
      total_seconds: totalSeconds(build),
      queues: sortedWords(build.jobs.filter(isCommand).map((job) => queueOf(facts, job))),
      pr_number: prNumber(build),
      pull_request_repository: repositoryOf(build.pull_request_repository),
      web_url: buildUrl(build),
      is_estimate: isEstimate(build),
      tags: tagsOf(build.pipeline),
      teams: teamsOf(build.pipeline),
    }
  })
}

const copied = [
  ...['id', 'branch', 'tag', 'commit', 'message', 'source', 'author_name', 'author_username', 'creator_id'],
  ...['creator_name', 'created_at', 'scheduled_at', 'failing_at', 'cancel_reason', 'rebuilt_from_id', 'meta_data'],
  ...['merge_queue_base_branch'],
]

const own = (build: Build): Row => ({
  ...Object.fromEntries(copied.map((name) => [name, build[name]])),
  build_number: build.number,
  pr_base: build.pull_request_base,
  pr_labels: build.pull_request_labels,
  author_email: lower(build.author_email),
  creator_email: lower(build.creator_email),
  triggered_from_build_id: build.triggered_from_build_id,
})

const statuses: Record<string, string> = {
  passed: 'success',
  failed: 'failure',
  ...Object.fromEntries(['canceled', 'skipped', 'not_run'].map((state) => [state, 'cancelled'])),
  ...Object.fromEntries(
    ['creating', 'scheduled', 'running', 'failing', 'canceling', 'blocked'].map((state) => [state, 'running']),
  ),
}

export function pipelineRuns({ builds }: Facts): Row[] {
  return builds.map((build) => {
    const { pipeline, id } = build
    return {
      ...{ id, reference_id: id, source_id: id, pipeline_source_id: 1 },
      name: pipeline?.name ?? pipeline?.slug ?? null,
      status: statuses[stateOf(build) ?? ''] ?? 'unknown',
      started_at: startedAt(build),
      finished_at: finishOf(build),
      duration: rounded(seconds(startedAt(build), finishOf(build))),
      repository: repositoryOf(pipeline?.repository ?? null),
      commit_sha: build.commit,
      head_branch: build.branch,
      pr_number: prNumber(build),
      email: personOf(build),
      source_url: buildUrl(build),
      github_username:
        isPresent(pipeline?.provider_id) && pipeline.provider_id.startsWith('github') ? build.author_username : null,
      ...{ pull_id: null, dx_user_id: null, github_repository_id: null, gitlab_project_id: null },
    }
  })
}
