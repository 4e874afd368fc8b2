import { BuildkiteError } from '../runtime/errors.ts'
import type { Priority } from './http/budget.ts'
import { FailedAnswerError } from './http/refusal.ts'
import type { Reply, Transport } from './http/transport.ts'
import { buildsPath } from './lists/builds-pages.ts'
import type { ListMemory } from './lists/list-memory.ts'
import { type ApiRead, cursorPages, notBuildkite, objectsOf } from './lists/lists.ts'

/** Tries for each URL before its failure counts. */
const TRIES = 2

export interface BuildOptions {
  readonly priority: Priority
  readonly signal?: AbortSignal | undefined
  readonly memory: ListMemory
}

/**
 * One build with its jobs. If the full response fails because of its size, the build is read without jobs, and the jobs 100 at a
 * time; for a day after that, it is read in parts at once. A build that cannot be read at all costs at most two failed requests for each of
 * the two forms.
 */
export async function readBuild(
  transport: Transport,
  { organization, pipeline, number }: { organization: string; pipeline: string; number: number },
  { priority, signal, memory }: BuildOptions,
): Promise<ApiRead<unknown> | undefined> {
  const path = `${buildsPath(organization, pipeline)}/${number}`
  const asked = { priority, signal, organization, scope: 'read_builds', tries: TRIES } as const
  const ask = (query: string) =>
    foundOrNot(transport.ask({ ...asked, path: () => `${path}?${query}&exclude_pipeline=true` }))
  let failed: FailedAnswerError | undefined
  if (!memory.isTooLarge(path)) {
    try {
      return await ask('include_retried_jobs=true')
    } catch (error) {
      if (!(error instanceof FailedAnswerError)) throw error
      failed = error
    }
  }
  const build = await ask('exclude_jobs=true')
  if (!build) return undefined
  const fields = build.value
  if (typeof fields !== 'object' || fields === null || Array.isArray(fields)) throw notBuildkite('a build')
  const pages: ApiRead<unknown[]>[] = []
  const query = 'per_page=100&include_retried_jobs=true'
  try {
    for await (const page of cursorPages(transport, `${path}/jobs`, asked, query)) pages.push(page)
  } catch (error) {
    // The build is there, so a 404 for its jobs must not count as one for the build.
    if (error instanceof BuildkiteError && error.code === 'no_resources') throw failed ?? missingJobs(error)
    throw error
  }
  memory.setTooLarge(path)
  const at = new Date(Math.min(build.at.getTime(), ...pages.map((page) => page.at.getTime())))
  return { value: { ...fields, jobs: pages.flatMap(({ value }) => value) }, at }
}

function missingJobs({ status }: BuildkiteError): BuildkiteError {
  return new BuildkiteError('unavailable', `Buildkite shows a build, but not the list of its jobs (HTTP ${status}).`, {
    status,
  })
}

/** A response, or undefined for a 404. */
export async function foundOrNot(asked: Promise<Reply>): Promise<ApiRead<unknown> | undefined> {
  try {
    const { value, at } = await asked
    return { value, at }
  } catch (error) {
    if (error instanceof BuildkiteError && error.code === 'no_resources') return undefined
    throw error
  }
}

/**
 * Whether a list contains any build created before `moment`. Takes one request, or more if it fails: the newest of those builds may
 * be unlistable.
 */
export async function hasBuildsBefore(
  transport: Transport,
  organization: string,
  moment: Date,
  options: { priority: Priority; signal?: AbortSignal | undefined },
): Promise<boolean> {
  const holdsAny = async (page: number, tries?: number) => {
    const query = `created_to=${encodeURIComponent(moment.toISOString())}&per_page=1&page=${page}`
    const path = () => `${buildsPath(organization)}?${query}&exclude_jobs=true&exclude_pipeline=true`
    const { value } = await transport.ask({ ...options, path, tries, organization, scope: 'read_builds' })
    return objectsOf(value).length > 0
  }
  const firstOrFailed = async () => {
    try {
      return await holdsAny(1, 1)
    } catch (error) {
      if (error instanceof FailedAnswerError) return undefined
      throw error
    }
  }
  const first = await firstOrFailed()
  if (first !== undefined) return first
  // The API is up (this request succeeds), so the first page fails again only if it contains a build.
  return (await holdsAny(2)) || ((await firstOrFailed()) ?? true)
}
