import type { Log } from '../../runtime/log.ts'
import type { Priority } from '../http/budget.ts'
import { FailedAnswerError } from '../http/refusal.ts'
import type { Ask, Reply, Transport } from '../http/transport.ts'
import type { ListMemory } from './list-memory.ts'
import { type ApiRead, hasNext, objectsOf } from './lists.ts'
import type { BuildsPageSize } from './page-size.ts'

export interface ListOptions {
  readonly priority: Priority
  readonly signal?: AbortSignal | undefined
  readonly memory: ListMemory
  readonly log?: Log | undefined
}

/** Which builds a list shows within a range of `created_at`. */
export interface ListFilter {
  readonly organization: string
  readonly pipeline?: string | undefined
  readonly finished_from?: Date | undefined
  readonly state?: readonly string[] | undefined
  readonly maxPageSize?: number | undefined
}

export interface PageRequest {
  readonly from: number | undefined
  readonly to: number
  readonly jobs: boolean
  readonly size: number
  /** From 1. */
  readonly page: number
  /** The maximum number of tries. Default 1, because the caller retries with another size; undefined: as for any other request. */
  readonly tries?: number | undefined
}

export interface Page extends ApiRead<unknown[]> {
  readonly more: boolean
}

/** Requests single pages of one builds list. */
export class BuildsPages {
  /** Requests since it was last set. */
  requests = 0
  readonly #transport: Transport
  readonly #filter: ListFilter
  readonly #options: ListOptions

  constructor(transport: Transport, filter: ListFilter, options: ListOptions) {
    this.#transport = transport
    this.#filter = filter
    this.#options = options
  }

  /** @throws FailedAnswerError after `tries` failed answers; any other BuildkiteError. */
  async read(request: PageRequest): Promise<Page> {
    const { organization, pipeline } = this.#filter
    const query = queryOf(this.#filter, request)
    const { tries } = { tries: 1, ...request }
    const reply = await this.#get({ path: () => `${buildsPath(organization, pipeline)}?${query}`, tries })
    const value = objectsOf(reply.value)
    const { at, bytes, tookMs } = reply
    this.sizeOf(request.jobs).answered(request.size, { tookMs, bytes, builds: value.length })
    return { value, at, more: hasNext(reply.link) }
  }

  /** Undefined if the answer failed. */
  async readIfAny(request: PageRequest): Promise<Page | undefined> {
    try {
      return await this.read(request)
    } catch (error) {
      if (error instanceof FailedAnswerError) return undefined
      throw error
    }
  }

  /**
   * Whether the API was down: the newest build of the organization, or one further down, can be listed, but not at once.
   * @throws FailedAnswerError when none of them can be listed in six tries.
   */
  async wasDown(): Promise<boolean> {
    let failed = 0
    const { organization } = this.#filter
    await this.#get({
      path: () => {
        const query = `per_page=1&page=${4 ** failed}&exclude_jobs=true&exclude_pipeline=true`
        return `${buildsPath(organization)}?${query}`
      },
      onTrouble: () => {
        failed += 1
      },
    })
    return failed > 0
  }

  sizeOf(jobs: boolean): BuildsPageSize {
    const { organization, pipeline } = this.#filter
    return this.#options.memory.sizeOf(organization, pipeline, jobs)
  }

  #get(ask: Pick<Ask, 'path' | 'tries' | 'onTrouble'>): Promise<Reply> {
    const { priority, signal } = this.#options
    const { organization } = this.#filter
    const path = () => {
      this.requests += 1
      return ask.path()
    }
    return this.#transport.ask({ ...ask, path, priority, signal, organization, scope: 'read_builds' })
  }
}

/** The path of the list of an organization's builds, or of one pipeline's. */
export function buildsPath(organization: string, pipeline?: string): string {
  const within = pipeline === undefined ? '' : `/pipelines/${encodeURIComponent(pipeline)}`
  return `/organizations/${encodeURIComponent(organization)}${within}/builds`
}

function queryOf({ finished_from, state }: ListFilter, { from, to, jobs, size, page }: PageRequest): string {
  const query = new URLSearchParams()
  if (from !== undefined) query.set('created_from', new Date(from).toISOString())
  query.set('created_to', new Date(to).toISOString())
  if (finished_from) query.set('finished_from', finished_from.toISOString())
  for (const one of state ?? []) query.append('state[]', one)
  if (jobs) query.set('include_retried_jobs', 'true')
  else query.set('exclude_jobs', 'true')
  query.set('exclude_pipeline', 'true')
  query.set('page', String(page))
  query.set('per_page', String(size))
  return query.toString()
}
