import type { Moment } from '../model/recorder.ts'
import type { Organization, Pipeline } from '../model/shapes.ts'
import type { Truth } from '../model/state.ts'
import type { Counted } from './limits.ts'
import { cutPage, readPage } from './query.ts'
import type { Token } from './tokens.ts'

/** The response of a route; a text body is HTML. `pages` adds the Link header of a list with page numbers. */
export interface ApiResponse {
  status: number
  body: unknown
  pages?: { page: number; pages: number }
}

/** What a route may use. */
export interface Context {
  truth: Truth
  /** The data of lists of builds and pipelines: the current state, or a past state if they lag. */
  lists: Pick<Moment, 'buildsOf' | 'pipelinesOf' | 'pipelineOf' | 'isVisible'>
  token: Token
  query: URLSearchParams
  /** Lists of builds end after this many builds. */
  depth: number
  /** Milliseconds since the epoch, on the simulation's clock. */
  now: number
  /** The rate limits, including this request. */
  counted: Counted
  /** The body of a request that changes something. */
  body?: unknown
}

/** A route below an organization's URL. */
export interface OrganizationRoute {
  kind: string
  /** The token needs one of these. */
  scopes: readonly string[]
  answer: (context: Context, organization: Organization) => ApiResponse
}

export const ok = (body: unknown): ApiResponse => ({ status: 200, body })
export const notFound = (what: string): ApiResponse => ({ status: 404, body: { message: `No ${what} found` } })

export function paged<T>(context: Context, all: readonly T[], show: (item: T) => unknown): ApiResponse {
  const page = readPage(context.query)
  const { items, pages } = cutPage(all, page)
  return { status: 200, body: items.map(show), pages: { page: page.page, pages } }
}

/** The delivery address is visible only to users who may edit the pipeline. */
export const showPipeline = (pipeline: Pipeline, token: Token) => ({
  ...pipeline,
  provider: {
    ...pipeline.provider,
    webhook_url: token.scopes.includes('write_pipelines') ? pipeline.provider.webhook_url : '',
  },
})
