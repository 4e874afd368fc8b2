import type { Build, Pipeline } from '../model/shapes.ts'
import { firstCreatedFrom } from '../model/state.ts'

/** A request that Buildkite answers with 400 and this message. */
export class BadQuery extends Error {
  override name = 'BadQuery'
}

/** The filter in the query string of a builds list. Times are ISO 8601 with milliseconds, so they can be compared as text. */
export interface BuildsQuery {
  createdFrom: string | undefined
  createdTo: string | undefined
  finishedFrom: string | undefined
  /** Effective states; undefined = any. */
  states: ReadonlySet<string> | undefined
  branches: readonly RegExp[]
  commits: readonly string[]
  creator: string | undefined
  metaData: readonly (readonly [string, string])[]
  jobs: boolean
  pipeline: boolean
  retriedJobs: boolean
}

export interface Page {
  page: number
  perPage: number
}

const buildStates = ['creating', 'scheduled', 'running', 'passed', 'failing', 'failed', 'blocked', 'canceling']
const knownStates = new Set([...buildStates, 'canceled', 'skipped', 'not_run', 'finished'])
/** The states of Buildkite's shortcut `finished`: neither skipped nor not_run. */
const finishedStates = ['passed', 'failed', 'blocked', 'canceled']

/** @throws BadQuery for an invalid date or an unknown state. */
export function readBuildsQuery(query: URLSearchParams): BuildsQuery {
  const list = (name: string) => [...query.getAll(name), ...query.getAll(`${name}[]`)].filter((value) => value !== '')
  const states = list('state')
  for (const state of states) if (!knownStates.has(state)) throw new BadQuery(`Unknown build state: ${state}`)
  const metaData = [...query].flatMap(([key, value]) => {
    const name = /^meta_data\[(.+)\]$/.exec(key)?.[1]
    return name === undefined ? [] : [[name, value] as const]
  })
  return {
    createdFrom: readTime(query, 'created_from'),
    createdTo: readTime(query, 'created_to'),
    finishedFrom: readTime(query, 'finished_from'),
    states: states.length
      ? new Set(states.flatMap((state) => (state === 'finished' ? finishedStates : [state])))
      : undefined,
    branches: list('branch').map(branchPattern),
    commits: list('commit'),
    creator: query.get('creator') ?? undefined,
    metaData,
    jobs: query.get('exclude_jobs') !== 'true',
    pipeline: query.get('exclude_pipeline') !== 'true',
    retriedJobs: query.get('include_retried_jobs') === 'true',
  }
}

/** A branch filter: `*` is any text. */
export const branchPattern = (pattern: string) =>
  new RegExp(
    `^${pattern
      .split('*')
      .map((part) => part.replace(/[.+?^${}()|[\]\\]/g, '\\$&'))
      .join('.*')}$`,
  )

function readTime(query: URLSearchParams, name: string): string | undefined {
  const text = query.get(name)
  if (text === null || text === '') return undefined
  const at = Date.parse(text)
  if (Number.isNaN(at)) throw new BadQuery(`${name} is not a valid time: ${text}`)
  return new Date(at).toISOString()
}

/** `page` from 1; `per_page` 30 unless given, at most 100. */
export function readPage(query: URLSearchParams): Page {
  const number = (name: string, fallback: number) => {
    const value = Number.parseInt(query.get(name) ?? '', 10)
    return Number.isFinite(value) && value > 0 ? value : fallback
  }
  return { page: number('page', 1), perPage: Math.min(100, number('per_page', 30)) }
}

/** The part of `all` on a page, and the number of pages. */
export function cutPage<T>(all: readonly T[], { page, perPage }: Page): { items: T[]; pages: number } {
  return { items: all.slice((page - 1) * perPage, page * perPage), pages: Math.ceil(all.length / perPage) }
}

/**
 * The builds that match, newest first.
 * @param builds oldest first; @param visible returns whether a pipeline's builds may be shown.
 */
export function selectBuilds(
  builds: readonly Build[],
  query: BuildsQuery,
  visible: (pipeline: Pipeline) => boolean,
): Build[] {
  const start = query.createdFrom === undefined ? 0 : firstCreatedFrom(builds, query.createdFrom)
  const end = query.createdTo === undefined ? builds.length : firstCreatedFrom(builds, query.createdTo)
  const found: Build[] = []
  for (let i = end - 1; i >= start; i--) {
    const build = builds[i]
    if (build && matches(build, query) && visible(build.pipeline)) found.push(build)
  }
  return found
}

function matches(build: Build, query: BuildsQuery): boolean {
  const { finishedFrom, states, branches, commits, creator } = query
  if (finishedFrom !== undefined && (build.finished_at === null || build.finished_at < finishedFrom)) return false
  if (states && !states.has(build.blocked ? 'blocked' : build.state)) return false
  if (branches.length > 0 && !branches.some((pattern) => pattern.test(build.branch))) return false
  if (commits.length > 0 && !commits.includes(build.commit)) return false
  if (creator !== undefined && build.creator?.id !== creator) return false
  return query.metaData.every(([key, value]) => build.meta_data[key] === value)
}
