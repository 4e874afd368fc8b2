import { type SQL, sql } from 'drizzle-orm'
import { z } from 'zod'
import { DAY } from '../../runtime/time.ts'
import { all } from './query.ts'

const slug = z.string().max(600)
const chosen = slug.optional().transform((value) => (value === '' ? undefined : value))

/** How the table of pipelines or jobs is sorted: by a column, descending with a minus. */
export const sortKeys = ['name', 'builds', 'failed', 'p50', 'p90', 'minutes', 'tries', 'hard', 'flaky'] as const
export type SortKey = (typeof sortKeys)[number]

const daysText = z.enum(['7', '30', '90'], { error: 'days must be 7, 30 or 90.' })
const sortText = z.string().regex(new RegExp(`^-?(${sortKeys.join('|')})$`), {
  error: `sort must be one of ${sortKeys.join(', ')}, with - before it to reverse.`,
})
const rowText = z.string().regex(/^\d{1,6}$/, { error: 'from must be a row number.' })

/** The query string of the pages. */
export const filterShape = z.object({
  days: daysText.default('30').transform(Number),
  pipeline: chosen,
  branch: chosen,
  team: chosen,
  tag: chosen,
  sort: sortText.optional(),
  q: z.string().max(300, { error: 'q must have at most 300 characters.' }).optional(),
  by: z
    .enum(['any', 'number', 'commit', 'branch', 'author', 'message'], {
      error: 'by must be any, number, commit, branch, author or message.',
    })
    .default('any'),
  from: rowText.default('0').transform(Number),
})
export type Filters = z.output<typeof filterShape>

/** The filters, or one sentence for each that is wrong. */
export function parseFilters(query: unknown): { filters: Filters } | { faults: readonly string[] } {
  const { success, data, error } = filterShape.safeParse(query)
  if (success) return { filters: data }
  return {
    faults: error.issues.map(({ path, message }) =>
      /^[a-z]+ must/.test(message) ? message : `${path.join('.')}: ${message}`,
    ),
  }
}

const defaults: Readonly<Record<string, unknown>> = { days: 30, by: 'any', from: 0 }

/** A link to `path` with these filters; leaves out defaults, so that equal pages have equal links. */
export function linkTo(path: string, filters: Partial<Filters>): string {
  const query = new URLSearchParams()
  for (const key of Object.keys(filterShape.shape)) {
    const value = filters[key as keyof Filters]
    if (value !== undefined && value !== '' && value !== defaults[key]) query.set(key, String(value))
  }
  return query.size > 0 ? `${path}?${query}` : path
}

export const pathOf = (...parts: readonly (string | number)[]) =>
  `/explore/${parts.map((one) => encodeURIComponent(one)).join('/')}`

/** The days (UTC) that a page shows, and those it compares with. */
export interface Period {
  readonly days: number
  /** First day, as text. */
  readonly from: string
  /** Today. */
  readonly to: string
  /** First day of the period before. */
  readonly before: string
}

/** The last `days` days, today included, and as many before them. */
export function periodOf(days: number, now: number): Period {
  const text = (ago: number) => new Date(now - ago * DAY).toISOString().slice(0, 10)
  return { days, from: text(days - 1), to: text(0), before: text(2 * days - 1) }
}

/** Each day of a period, oldest first. */
export function daysOf({ from, days }: Period): string[] {
  const start = Date.parse(from)
  return Array.from({ length: days }, (_one, day) => new Date(start + day * DAY).toISOString().slice(0, 10))
}

/** What a page reads: an organization or one pipeline, a period, and the filters. */
export interface Scope {
  readonly organization: string
  readonly organizationId: string
  readonly pipelineId?: string
  readonly period: Period
  readonly filters: Filters
}

/** The rows of the scope's pipelines. */
export function inScope({ organizationId, pipelineId, filters }: Scope): SQL {
  const { pipeline, team, tag } = filters
  if (pipelineId) return sql`pipeline_id = ${pipelineId}::uuid`
  const organization = sql`organization_id = ${organizationId}::uuid`
  if (!pipeline && !team && !tag) return organization
  const matches = all(
    organization,
    pipeline !== undefined && sql`pipeline = ${pipeline}`,
    team !== undefined && sql`${team} = any (teams)`,
    tag !== undefined && sql`${tag} = any (tags)`,
  )
  return sql`pipeline_id in (select id from analytics.pipelines where ${matches})`
}

/** The days of the period. */
export const inPeriod = ({ period }: Scope): SQL => sql`day between ${period.from}::date and ${period.to}::date`
/** The days of the period and of the one before. */
export const inBothPeriods = ({ period }: Scope): SQL => sql`day between ${period.before}::date and ${period.to}::date`
/** Whether a day is in the period, not in the one before. */
export const isPresent = ({ period }: Scope): SQL => sql`day >= ${period.from}::date`

/** Whether only some pipelines are chosen: then queues, which belong to none, are of the whole organization. */
export function isNarrowed({ pipelineId, filters: { pipeline, team, tag, branch } }: Scope): boolean {
  return Boolean(pipelineId ?? pipeline ?? team ?? tag ?? branch)
}
