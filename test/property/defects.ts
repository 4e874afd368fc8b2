import { readFileSync } from 'node:fs'
import type { BuildkiteClient, BuildsFilter, BuildsPage } from '../../src/buildkite/client.ts'
import type { Budget } from '../../src/buildkite/http/budget.ts'
import { BuildkiteClock, type Moment, type Skew } from '../../src/buildkite/http/skew.ts'
import { BuildkiteError } from '../../src/runtime/errors.ts'
import { MINUTE } from '../../src/runtime/time.ts'
import type { Home } from './soundness-database.ts'
import type { Planted } from './soundness-service.ts'
import type { World } from './soundness-world.ts'

/** A fault of the service that the property must find. Most are old ones; the others are easily made. */
export interface Defect {
  readonly name: string
  /** Seeds of histories that find it. When histories change, `npm run soundness -- --defect all` finds others. */
  readonly seeds: readonly number[]
  readonly planted: Planted
}

export const defects: readonly Defect[] = [
  {
    // C1
    name: 'history that becomes visible counts as read',
    seeds: [1],
    planted: {
      plant: (home) =>
        trigger(
          home,
          'sync.pipeline_coverage',
          `new.listed_since := '2000-01-01'; new.unlisted_at := null; return new;`,
        ),
    },
  },
  {
    // C2
    name: 'a build that no list shows stops the walk',
    seeds: [1],
    planted: { client: walking(stopAtUnlistable) },
  },
  {
    // C4
    name: 'a clock that is set while a request is under way dates it',
    seeds: [1, 5],
    planted: { patch: believeEveryClock },
  },
  {
    // C8
    name: 'cycles take every request from the backfill',
    seeds: [2],
    planted: { budget: starvingBudget },
  },
  {
    // C9
    name: 'a replica that lost its lease may still commit',
    seeds: [1],
    planted: { plant: (home) => trigger(home, 'sync.leases', 'new.fence := coalesce(old.fence, 1); return new;') },
  },
  {
    name: 'claims do not wait for the list of pipelines',
    seeds: [7],
    planted: {
      plant: (home) =>
        changeView(home, [
          [
            /select organization_id, confirmed_to,/,
            `select organization_id, (watermark - interval '2 minutes')::timestamptz(3) as confirmed_to,`,
          ],
          [/pipelines_read_at - interval '2 minutes' as seen_until/, `'infinity'::timestamptz as seen_until`],
        ]),
    },
  },
  {
    name: 'lists are taken not to lag',
    seeds: [5],
    planted: {
      plant: (home) =>
        changeView(home, [
          [
            /select organization_id, confirmed_to,/,
            `select organization_id, (
              select max(watermark_to) from sync.cycles as cycle
              where cycle.organization_id = watermarks.organization_id and read_until <= pipelines_read_at
            )::timestamptz(3) as confirmed_to,`,
          ],
        ]),
    },
  },
  {
    name: 'windows count for pipelines that were not listed when they were read',
    seeds: [7],
    planted: {
      plant: (home) =>
        changeView(home, [
          [/part\.first_verified_at >= cohort\.listed_since and/, ''],
          [/part\.verified_at >= cohort\.listed_since and/, ''],
        ]),
    },
  },
  {
    name: 'answers are dated three minutes late',
    seeds: [6],
    planted: { client: walking(datedLate) },
  },
  {
    name: 'a pipeline that is hidden stays covered',
    seeds: [1],
    planted: {
      plant: (home) => trigger(home, 'sync.pipeline_coverage', 'new.unlisted_at := null; return new;'),
    },
  },
]

type Walk = (filter: BuildsFilter) => AsyncGenerator<BuildsPage>

/** A client whose walks over builds go wrong. */
function walking(wrong: (walk: Walk, filter: BuildsFilter, client: BuildkiteClient) => AsyncGenerator<BuildsPage>) {
  return (client: BuildkiteClient): BuildkiteClient => {
    const builds: BuildkiteClient['builds'] = (organization, filter, ...rest) =>
      wrong((asked) => client.builds(organization, asked, ...rest), filter, client)
    return Object.assign(Object.create(client) as BuildkiteClient, { builds })
  }
}

async function* stopAtUnlistable(walk: Walk, filter: BuildsFilter): AsyncGenerator<BuildsPage> {
  for await (const page of walk({ ...filter, avoid: [] })) {
    const [range] = page.unlistable
    if (range) throw range.error
    yield page
  }
}

async function* datedLate(walk: Walk, filter: BuildsFilter): AsyncGenerator<BuildsPage> {
  for await (const page of walk(filter)) yield { ...page, at: new Date(page.at.getTime() + 3 * MINUTE) }
}

/** Grants calls to others than cycles only when there was no cycle for a while. */
function starvingBudget(world: World): Budget {
  let hotAt = Number.NEGATIVE_INFINITY
  return {
    async take(_, priority) {
      if (priority === 'hot') hotAt = world.now()
      if (priority !== 'backfill' && priority !== 'audit') return
      if (world.now() - hotAt < 3 * MINUTE) throw new BuildkiteError('unavailable', 'The turn ended without a request.')
    },
    async report() {},
  }
}

/** Takes each answer's `Date` at its word, by the wall clock, as the first version did. Returns the function that undoes it. */
function believeEveryClock(): () => void {
  const { observe } = BuildkiteClock.prototype
  const known = new WeakMap<BuildkiteClock, Skew>()
  BuildkiteClock.prototype.observe = function (sent: Moment, seen: Moment, date: string | undefined) {
    observe.call(this, sent, seen, date)
    const written = Date.parse(date ?? '')
    const sample = { low: written - seen.wall, high: written + 999 - sent.wall }
    const before = known.get(this) ?? sample
    const both = { low: Math.max(before.low, sample.low), high: Math.min(before.high, sample.high) }
    const skew = both.low <= both.high ? both : sample
    known.set(this, skew)
    const isClose = skew.low <= 2_000 && skew.high >= -2_000
    return { at: new Date(Math.round(sent.wall + (isClose ? 0 : (skew.low + skew.high) / 2))), isCertain: true }
  }
  return () => {
    BuildkiteClock.prototype.observe = observe
  }
}

/** Lets a trigger change the rows that the service writes. */
async function trigger({ sql }: Home, table: string, body: string): Promise<void> {
  await sql.unsafe(`create schema if not exists defect`)
  await sql.unsafe(`create function defect.change() returns trigger language plpgsql as $$ begin ${body} end $$`)
  await sql.unsafe(
    `create trigger defect before insert or update on ${table} for each row execute function defect.change()`,
  )
}

/** Replaces analytics.data_coverage by one that differs from its definition. */
async function changeView({ sql }: Home, changes: readonly (readonly [RegExp, string])[]): Promise<void> {
  const file = new URL('../../drizzle/views/analytics/data_coverage.sql', import.meta.url)
  let statement = readFileSync(file, 'utf8')
  for (const [part, other] of changes) {
    if (!part.test(statement)) throw new Error(`analytics.data_coverage holds nothing like ${part}.`)
    statement = statement.replace(part, other)
  }
  await sql.unsafe(statement)
}
