import { z } from 'zod'
import { BuildkiteError } from '../../runtime/errors.ts'
import type { Priority } from '../http/budget.ts'
import type { RequestedResource } from '../http/refusal.ts'
import type { Transport } from '../http/transport.ts'
import { PageSize } from './page-size.ts'

/** A value read from the API, and the time on Buildkite's clock at which it was true. */
export interface ApiRead<T> {
  readonly value: T
  readonly at: Date
}

/** A page of a list with page numbers, and how many requests it cost. */
export interface NumberedPage extends ApiRead<unknown[]> {
  readonly requests: number
}

export interface ListOptions extends RequestedResource {
  readonly priority: Priority
  readonly signal?: AbortSignal | undefined
  /** A slower response reduces the size of the next pages. */
  readonly slowMs: number
}

const list = z.array(z.unknown())
const identified = z.object({ id: z.string() })
const cursorPage = z.looseObject({
  items: list,
  links: z.looseObject({ next: z.string().nullish() }).nullish(),
})

/**
 * Reads a list with page numbers up to the page without a `next` link. Yields each object once. When an object leaves the list, the
 * others move up, and a page number may skip some. So each page overlaps the previous one. If its first object was not read before, some
 * were skipped, and the list is read again from further up.
 */
export async function* numberedPages(
  transport: Transport,
  path: string,
  options: ListOptions,
  filter: Readonly<Record<string, string>> = {},
): AsyncGenerator<NumberedPage> {
  const size = new PageSize(options.slowMs)
  const news = new News()
  const asked = new URLSearchParams(filter).toString()
  const address = asked ? `${path}?${asked}&` : `${path}?`
  const pathOf = (query: string) => address + query
  for (let read = 0; ; ) {
    const page = await numberedPage(transport, pathOf, read, size, options)
    const { offset, requests } = page
    const isShifted = offset > 0 && !news.has(page.first)
    yield { value: page.value.filter((item) => !news.has(item)), at: page.at, requests }
    if (!page.more && !isShifted) return
    news.expect(page.value)
    read = isShifted ? Math.max(0, 2 * offset - page.end) : page.end
  }
}

/** After this many consecutive pages without anything new, the list counts as endless. */
const STALE_PAGES = 100

/** Detects a list that continues without anything new, because a server or a cache ignores the query. */
export class News {
  readonly #seen = new Set<string>()
  #stale = 0

  /** Whether an earlier page contained the object. */
  has(item: unknown): boolean {
    return item !== undefined && this.#seen.has(listKey(item))
  }

  /** Must be called for each page that has a next one. @throws BuildkiteError when there was nothing new for too long. */
  expect(page: readonly unknown[]): void {
    const before = this.#seen.size
    for (const item of page) this.#seen.add(listKey(item))
    this.#stale = this.#seen.size > before ? 0 : this.#stale + 1
    if (this.#stale >= STALE_PAGES) throw notBuildkite('a list that ends')
  }
}

function listKey(item: unknown): string {
  const named = identified.safeParse(item)
  return named.success ? named.data.id : JSON.stringify(item)
}

interface PlacedPage extends NumberedPage {
  readonly more: boolean
  /** How many objects of the list come before the page, and how many up to its end. */
  readonly offset: number
  readonly end: number
  /** An object that earlier pages must have contained, unless objects have left the list. */
  readonly first: unknown
}

/** Reads the page that follows the first `read` objects of a list. It may shrink between tries. */
async function numberedPage(
  transport: Transport,
  path: (query: string) => string,
  read: number,
  size: PageSize,
  options: ListOptions,
): Promise<PlacedPage> {
  let asked = pageAfter(read, 1)
  const reply = await transport.ask({
    ...options,
    path: () => {
      asked = pageAfter(read, size.largest())
      return path(queryOfPage(asked))
    },
    onTrouble: () => size.shrink(),
  })
  const value = objectsOf(reply.value)
  size.answered(reply.tookMs)
  const end = asked.page * asked.size
  const placed = { value, at: reply.at, more: hasNext(reply.link), offset: end - asked.size, end }
  if (placed.offset < read || read === 0) return { ...placed, first: value[0], requests: 1 }
  const before = await transport.ask({ ...options, path: () => path(queryOfPage({ page: read, size: 1 })) })
  return { ...placed, first: objectsOf(before.value)[0], requests: 2 }
}

interface AskedPage {
  /** From 1. */
  readonly page: number
  readonly size: number
}

/**
 * The page of at most `largest` objects that begins before the end of the first `read` objects and reaches furthest. If there is none,
 * which happens only with small pages, the page that begins right after them.
 */
function pageAfter(read: number, largest: number): AskedPage {
  let best = { page: Math.floor(read / largest) + 1, size: largest }
  let end = read
  for (let size = largest; size > 0 && read > 0; size -= 1) {
    const page = Math.floor((read - 1) / size) + 1
    if (page * size > end) {
      best = { page, size }
      end = page * size
    }
  }
  return best
}

const queryOfPage = ({ page, size }: AskedPage) => `page=${page}&per_page=${size}`

/** The objects of a response. @throws BuildkiteError when it is not a list. */
export function objectsOf(value: unknown): unknown[] {
  const parsed = list.safeParse(value)
  if (!parsed.success) throw notBuildkite('a list')
  return parsed.data
}

/**
 * Reads a list of the newer kind, `{items, links: {next}}`. Uses only the query of a link, with our own API address.
 * Following a link to another host would reveal the token.
 */
export async function* cursorPages(
  transport: Transport,
  path: string,
  options: Omit<ListOptions, 'slowMs'> & { readonly tries?: number | undefined },
  firstQuery = 'per_page=100',
): AsyncGenerator<ApiRead<unknown[]>> {
  const seen = new Set<string>()
  for (let query: string | undefined = firstQuery; query !== undefined; ) {
    const asked: string = query
    seen.add(asked)
    const reply = await transport.ask({ ...options, path: () => `${path}?${asked}` })
    const page = cursorPage.safeParse(reply.value)
    if (!page.success) throw notBuildkite('a page of items')
    yield { value: page.data.items, at: reply.at }
    query = queryOf(page.data.links?.next)
    if (query !== undefined && seen.has(query)) throw notBuildkite('a list whose pages never end')
  }
}

/** Whether a `Link` header has a `next`. It may be absent or empty; its URLs may contain the token and are never stored. */
export function hasNext(link: string | undefined): boolean {
  return link !== undefined && /;\s*rel\s*=\s*"?next"?\s*(?:;|,|$)/i.test(link)
}

/** The error for a response of 200 that does not have Buildkite's format. */
export function notBuildkite(expected: string): BuildkiteError {
  const hint = 'Check that BUILDKITE_API_URL is the address of a Buildkite REST API (it ends in /v2).'
  return new BuildkiteError('unavailable', `Buildkite's API did not return ${expected}. ${hint}`, {
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
