import { z } from 'zod'
import { BuildkiteError } from '../errors.ts'
import type { Priority } from './budget.ts'
import { PageSize } from './page-size.ts'
import type { Asked } from './refusal.ts'
import type { Transport } from './transport.ts'

/** Something read from the API, and the time on Buildkite's clock at which it was true. */
export interface Read<T> {
  readonly value: T
  readonly at: Date
}

export interface ListOptions extends Asked {
  readonly priority: Priority
  readonly signal?: AbortSignal | undefined
  /** An answer that takes longer makes the next pages smaller. */
  readonly slowMs: number
}

const list = z.array(z.unknown())
const identified = z.object({ id: z.string() })
const cursorPage = z.looseObject({
  items: list,
  links: z.looseObject({ next: z.string().nullish() }).nullish(),
})

/** Reads a list that is paged by number, to the page that has no `next` link. */
export async function* numberedPages(
  transport: Transport,
  path: string,
  options: ListOptions,
  filter: Readonly<Record<string, string>> = {},
): AsyncGenerator<Read<unknown[]>> {
  const size = new PageSize(options.slowMs)
  const news = new News()
  const asked = new URLSearchParams(filter).toString()
  const address = asked ? `${path}?${asked}&` : `${path}?`
  for (let offset = 0; ; ) {
    const page = await numberedPage(transport, (query) => address + query, offset, size, options)
    yield { value: page.value, at: page.at }
    if (!page.more) return
    news.expect(page.value)
    offset = page.offset
  }
}

/** So many pages in a row without anything new, and a list is taken for one that never ends. */
const STALE_PAGES = 100

/** Notices a list that goes on and on without anything new: a server, or a cache before it, that does not heed the query. */
export class News {
  readonly #seen = new Set<string>()
  #stale = 0

  /** To be told of each page that has a next one. @throws BuildkiteError when there has been nothing new for too long. */
  expect(page: readonly unknown[]): void {
    const before = this.#seen.size
    for (const item of page) {
      const named = identified.safeParse(item)
      this.#seen.add(named.success ? named.data.id : JSON.stringify(item))
    }
    this.#stale = this.#seen.size > before ? 0 : this.#stale + 1
    if (this.#stale >= STALE_PAGES) throw notBuildkite('a list that ends')
  }
}

/**
 * Reads the page that begins `offset` objects into a list. The page may shrink between tries; `offset` of the result is
 * where the next page begins.
 */
export async function numberedPage(
  transport: Transport,
  path: (query: string) => string,
  offset: number,
  size: PageSize,
  options: ListOptions,
): Promise<Read<unknown[]> & { more: boolean; offset: number }> {
  let asked = 1
  const reply = await transport.get({
    ...options,
    path: () => {
      asked = size.at(offset)
      return path(`page=${offset / asked + 1}&per_page=${asked}`)
    },
    onTrouble: () => size.shrink(),
  })
  const value = list.safeParse(reply.value)
  if (!value.success) throw notBuildkite('a list')
  size.answered(reply.tookMs)
  return { value: value.data, at: reply.at, more: hasNext(reply.link), offset: offset + asked }
}

/**
 * Reads a list of the newer kind, `{items, links: {next}}`. Of a link only the query is used: it is asked for at our own
 * address, because following a link elsewhere would hand the token to whoever wrote it.
 */
export async function* cursorPages(
  transport: Transport,
  path: string,
  options: Omit<ListOptions, 'slowMs'> & { readonly tries?: number | undefined },
  firstQuery = 'per_page=100',
): AsyncGenerator<Read<unknown[]>> {
  const seen = new Set<string>()
  for (let query: string | undefined = firstQuery; query !== undefined; ) {
    const asked: string = query
    seen.add(asked)
    const reply = await transport.get({ ...options, path: () => `${path}?${asked}` })
    const page = cursorPage.safeParse(reply.value)
    if (!page.success) throw notBuildkite('a page of items')
    yield { value: page.data.items, at: reply.at }
    query = queryOf(page.data.links?.next)
    if (query !== undefined && seen.has(query)) throw notBuildkite('a list whose pages never end')
  }
}

/** Whether a `Link` header has a `next`. It may be absent or empty; its URLs may hold the token and are never kept. */
export function hasNext(link: string | undefined): boolean {
  return link !== undefined && /;\s*rel\s*=\s*"?next"?\s*(?:;|,|$)/i.test(link)
}

/** The error for an answer of 200 whose shape is none of Buildkite's. */
export function notBuildkite(expected: string): BuildkiteError {
  const hint = 'Check that BUILDKITE_API_URL is the address of a Buildkite REST API (it ends in /v2).'
  return new BuildkiteError('unavailable', `Buildkite's API answered, but not with ${expected}. ${hint}`, {
    status: 200,
  })
}

function queryOf(link: string | null | undefined): string | undefined {
  if (!link) return undefined
  const query = link.includes('?') ? link.slice(link.indexOf('?') + 1) : ''
  const kept = new URLSearchParams(query.split('#')[0])
  kept.delete('access_token')
  kept.delete('api_key')
  return kept.size > 0 ? kept.toString() : undefined
}
