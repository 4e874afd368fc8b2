import postgres from 'postgres'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { openDatabase } from '../../src/database/connection.ts'
import { compact, durationText, shareText } from '../../src/http/explore/charts.ts'
import { hoursText } from '../../src/http/explore/tiles.ts'
import { count } from '../../src/http/pages/format.ts'
import { createRandom } from '../../src/simulator/random.ts'
import { openDemoHistory } from '../analytics/demo-history.ts'
import type { Scene } from '../reconcile/scene.ts'
import { createTestDatabase } from '../support/database.ts'
import { until } from '../support/until.ts'
import { type ExploreListener, openExplore } from './explore-listener.ts'

let scene: Scene
let sql: postgres.Sql
let explore: ExploreListener
let now: number

beforeAll(async () => {
  scene = await openDemoHistory()
  now = scene.simulation.clock.now()
  sql = postgres(scene.url, { max: 2, onnotice: () => {} })
  // A time zone that no page may go by.
  await sql.unsafe(`alter database ${new URL(scene.url).pathname.slice(1)} set timezone = 'Asia/Kathmandu'`)
  explore = await openExplore(scene.url, { clock: () => now })
})
afterAll(async () => {
  await explore?.close()
  await sql?.end({ timeout: 1 })
  await scene?.close()
})

const get = async (url: string, listener = explore, headers: Record<string, string> = {}) => {
  const {
    statusCode,
    body,
    headers: sent,
  } = await listener.app.inject({ url, headers: { host: 'localhost', ...headers } })
  return { status: statusCode, body, headers: sent }
}
const plain = (html: string) =>
  html
    .replace(/<span class="unseen">.*?<\/span>/g, '')
    .replace(/<[^>]+>/g, ' ')
    .replace(/&#(\d+);/g, (_all, code: string) => String.fromCharCode(Number(code)))
    .replace(/\s+/g, ' ')
    .trim()
/** The figures at the top, by title: the figure and the note. */
const tilesOf = (body: string) =>
  new Map(
    [...body.matchAll(/<div class="figure"><h2>(.*?)<\/h2><b>(.*?) (?:<small.*?)?<\/b><p>(.*?)<\/p>/g)].map(
      ([, title = '', figure = '', note = '']) => [plain(title), { figure: plain(figure), note: plain(note) }],
    ),
  )
/** Each card, by title. */
const cardsOf = (body: string) =>
  new Map(
    body
      .split('<section class="card">')
      .slice(1)
      .map((card) => [plain(/<h2>(.*?)<\/h2>/.exec(card)?.[1] ?? ''), card]),
  )
const sqlOf = (card: string) => plain(/<code>([\s\S]*?)<\/code>/.exec(card)?.[1]?.replaceAll('\n', ' ') ?? '')
const text = (value: unknown) => String(value)

/** A filter and its condition on the views of builds and jobs. */
async function filters() {
  const random = createRandom(7)
  const pipelines = await sql<{ pipeline: string; teams: string[]; tags: string[] }[]>`
    select pipeline, teams, tags from analytics.pipelines order by 1`
  const some = <T>(values: readonly T[]) => random.choose(values)
  const one = () => some(pipelines)
  const tagged = some(pipelines.filter(({ tags }) => tags.length > 0))
  return [
    { days: 7 },
    { days: 30 },
    { days: 30, pipeline: one()?.pipeline },
    { days: 7, team: some(one()?.teams ?? []) },
    { days: 30, tag: some(tagged?.tags ?? []), pipeline: tagged?.pipeline },
    { days: 30, branch: 'main' },
    { days: 7, branch: 'main', pipeline: one()?.pipeline },
    { days: 90, branch: 'nobody-has-this' },
  ] as { days: number; pipeline?: string; team?: string; tag?: string; branch?: string }[]
}

describe('the numbers of the overview', () => {
  it('equal those of the views of builds and jobs, for random filters', async () => {
    for (const { days, ...chosen } of await filters()) {
      const { pipeline = null, team = null, tag = null, branch = null } = chosen
      const query = new URLSearchParams({ days: String(days), ...chosen })
      const { body } = await get(`/explore/acme?${query}`)
      const from = new Date(now - (days - 1) * 86_400_000).toISOString().slice(0, 10)
      const to = new Date(now).toISOString().slice(0, 10)
      const [builds] = await sql`
        select count(*) filter (where result is not null or state = 'blocked')::int as every,
          count(*) filter (where result = 'failed')::int as failed, count(*) filter (where result in ('passed', 'failed'))::int as finished,
          percentile_disc(0.5) within group (order by analytics.whole_seconds(run_seconds)) filter (where result in ('passed', 'failed')) as p50
        from analytics.builds join (select id, finished_at as ended_at from buildkite.builds) as raw using (id)
        where (coalesce(ended_at, created_at) at time zone 'UTC')::date between ${from} and ${to}
          and (${pipeline}::text is null or pipeline = ${pipeline}) and (${team}::text is null or ${team} = any (teams))
          and (${tag}::text is null or ${tag} = any (tags)) and (${branch}::text is null or branch = ${branch})`
      const [jobs] = await sql`
        select count(*) filter (where result in ('failed', 'timed_out'))::float8 / nullif(count(*) filter (where result <> 'canceled'), 0) as hard
        from analytics.jobs join (select id, coalesce(finished_at, expired_at) as ended_at from buildkite.jobs) as raw using (id)
        where type = 'script' and result not in ('skipped', 'broken') and (ended_at at time zone 'UTC')::date between ${from} and ${to}
          and (${pipeline}::text is null or pipeline = ${pipeline}) and (${team}::text is null or ${team} = any (teams))
          and (${tag}::text is null or ${tag} = any (tags))`
      const [work] = await sql`
        select sum(run_seconds) / 60 as minutes
        from analytics.jobs join (select id, coalesce(finished_at, expired_at) as ended_at from buildkite.jobs) as raw using (id)
        where type = 'script' and result not in ('skipped', 'broken') and (ended_at at time zone 'UTC')::date between ${from} and ${to}
          and (${pipeline}::text is null or pipeline = ${pipeline}) and (${team}::text is null or ${team} = any (teams))
          and (${tag}::text is null or ${tag} = any (tags)) and (${branch}::text is null or branch = ${branch})`
      const [waits] = await sql`
        select percentile_disc(0.9) within group (order by analytics.whole_seconds(agent_wait_seconds)) as p90 from analytics.jobs
        where type = 'script' and (started_at at time zone 'UTC')::date between ${from} and ${to}`
      const [red] = await sql`
        select percentile_disc(0.5) within group (order by analytics.whole_seconds(seconds_to_green)) as p50
        from analytics.trunk_recoveries join (select id as pipeline_id, teams, tags from analytics.pipelines) as owner using (pipeline_id)
        where (broken_at at time zone 'UTC')::date between ${from} and ${to}
          and (${pipeline}::text is null or pipeline = ${pipeline}) and (${team}::text is null or ${team} = any (teams))
          and (${tag}::text is null or ${tag} = any (tags))`
      const tiles = tilesOf(body)
      const shown = [
        'Builds',
        'Builds that failed',
        'Duration, p50',
        'Jobs that failed',
        'Agent time',
        'Wait for an agent, p90',
        'Time to green, p50',
      ].map((title) => tiles.get(title)?.figure)
      const rate = builds?.finished === 0 ? null : builds?.failed / builds?.finished
      expect([query.toString(), ...shown]).toEqual([
        query.toString(),
        count(builds?.every),
        shareText(rate),
        durationText(builds?.p50 ?? null),
        branch === null ? shareText(jobs?.hard) : '–',
        hoursText(work?.minutes ?? 0),
        durationText(waits?.p90 ?? null),
        branch === null ? durationText(red?.p50 ?? null) : '–',
      ])
      expect(tiles.get('Builds')?.note).toBe(`${count(builds?.finished)} passed or failed`)
    }
  })

  it('come from the SQL that is shown, which psql can run as it is', async () => {
    const { body } = await get('/explore/acme')
    const cards = cardsOf(body)
    expect(cards.size).toBe(11)
    for (const [title, card] of cards) {
      for (const statement of sqlOf(card)
        .split(';')
        .filter((part) => part.trim())) {
        const rows = await sql.unsafe(statement)
        expect([title, rows.length > 0]).toEqual([title, true])
      }
    }
    const builds = await sql.unsafe(sqlOf(cards.get('Builds a day') ?? '').replace(/;$/, ''))
    const numbers = [...(cards.get('Builds a day') ?? '').matchAll(/<tr><th scope="row">(.*?)<\/th>(.*?)<\/tr>/g)]
    expect(numbers).toHaveLength(30)
    for (const [, day, cells = ''] of numbers) {
      const row = builds.find((one) => one.day.toISOString().slice(0, 10) === day)
      const values = ['passed', 'failed', 'blocked', 'canceled', 'skipped'].map((name) =>
        row ? count(Number(row[name])) : '–',
      )
      expect(plain(cells)).toBe(values.join(' '))
    }
  })

  it('of pipelines are sorted by every column, in both directions', async () => {
    const column = async (sort: string, index: number) => {
      const card = cardsOf((await get(`/explore/acme?sort=${sort}`)).body).get('Pipelines') ?? ''
      const rows = [...card.matchAll(/<tr>(<td.*?)<\/tr>/g)].map(([, row = '']) =>
        row.split('</td>').map((cell) => plain(cell)),
      )
      expect(rows.length).toBeGreaterThan(2)
      return rows.map((row) => row[index] ?? '')
    }
    for (const [key, index] of [
      ['builds', 2],
      ['failed', 3],
    ] as const) {
      const down = (await column(`-${key}`, index)).map(Number.parseFloat)
      expect(down).toEqual([...down].sort((a, b) => b - a))
      const up = (await column(key, index)).map(Number.parseFloat)
      expect(up).toEqual([...up].sort((a, b) => a - b))
    }
    const names = await column('name', 0)
    const inOrder =
      await sql`select coalesce(name, pipeline) as name from analytics.pipelines where coalesce(name, pipeline) = any (${names}) order by 1`
    expect(names).toEqual(inOrder.map(({ name }) => plain(name)))
    const minutes = await column('name', 6)
    const spent = await sql`
      select sum(minutes)::int as minutes from analytics.costs_daily join analytics.pipelines as pipeline on pipeline.id = pipeline_id
      where day > ${new Date(now).toISOString().slice(0, 10)}::date - 30 group by pipeline.id, pipeline.name, pipeline.pipeline
      order by coalesce(pipeline.name, pipeline.pipeline)`
    expect(minutes).toEqual(spent.map((one) => compact(one.minutes)))
    for (const key of ['p50', 'p90', 'minutes']) expect((await get(`/explore/acme?sort=-${key}`)).status).toBe(200)
  })

  it('are shown again for a while, and read again meanwhile', async () => {
    const added = 1_000_000
    const builds = async () => tilesOf((await get('/explore/acme?days=90')).body).get('Builds')?.figure
    const before = await builds()
    const [change] = await sql`
      update analytics.build_results_daily set passed = passed + ${added} where ctid = (
        select ctid from analytics.build_results_daily where day = ${new Date(now - 86_400_000).toISOString().slice(0, 10)} limit 1)
      returning passed`
    expect(change).toBeDefined()
    now += 10_000
    expect(await builds()).toBe(before)
    now += 10_000
    expect(await builds()).toBe(before)
    await until(async () => (await builds()) !== before, 'the new number is shown')
    await sql`update analytics.build_results_daily set passed = passed - ${added} where passed >= ${added}`
    now += 400_000
    expect(await builds()).toBe(before)
  })
})

describe('a pipeline and a build', () => {
  it('show every job with its times, the critical path, retries, gates and attempts as the views have them', async () => {
    const builds = await sql`
      select id, pipeline, build_number, web_url, (select count(*)::int from analytics.jobs where build_id = builds.id and type <> 'waiter') as jobs,
        (select count(*)::int from analytics.critical_paths where build_id = builds.id) as path,
        (select count(*)::int from analytics.build_attempts where build_id = builds.id) as attempts,
        (select count(*)::int from analytics.jobs where build_id = builds.id and retried_in_job_id is not null) as retried,
        (select count(*)::int from analytics.approvals where build_id = builds.id and unblocked_at is not null) as gates,
        (select count(*)::int from analytics.trigger_edges where parent_build_id = builds.id or child_build_id = builds.id) as triggers
      from analytics.builds order by attempts desc, gates desc limit 12`
    expect(builds.some(({ retried }) => retried > 0)).toBe(true)
    expect(builds.some(({ gates }) => gates > 0)).toBe(true)
    for (const one of builds) {
      const { status, body } = await get(`/explore/acme/pipelines/${one.pipeline}/builds/${one.build_number}`)
      expect(status).toBe(200)
      const times = (pattern: RegExp) => [...body.matchAll(pattern)].length
      expect({
        jobs: times(/<li id="job-/g),
        path: times(/class="job crit"/g),
        retried: times(/>retried<\/a>/g),
        gates: times(/ unblocked/g) > 0,
      }).toEqual({ jobs: one.jobs, path: one.path, retried: one.retried, gates: one.gates > 0 })
      expect(body).toContain(`href="${one.web_url}"`)
      const attempts = cardsOf(body).get('Attempts') ?? ''
      expect([...attempts.matchAll(/<tr><td/g)]).toHaveLength(one.attempts)
      const related = cardsOf(body).get('Triggers and rebuilds') ?? ''
      expect([...related.matchAll(/<tr><td/g)].length).toBeGreaterThanOrEqual(one.triggers)
    }
  })

  it('list the jobs of a pipeline with the tries of the view', async () => {
    const [{ pipeline, id } = { pipeline: '', id: '' }] = await sql<{ pipeline: string; id: string }[]>`
      select pipeline, id from analytics.pipelines order by 1`
    const { body } = await get(`/explore/acme/pipelines/${pipeline}?days=90&sort=name`)
    const rows = [
      ...(cardsOf(body).get('Jobs') ?? '').matchAll(/<tr><td class="name">([^<]*)<\/td><td class="n">(.*?)<\/td>/g),
    ]
    const tries =
      await sql`select job, sum(tries)::int as tries from analytics.jobs_daily where pipeline_id = ${id} group by 1 order by 1`
    expect(rows.map(([, job = '', n]) => [plain(job), n])).toEqual(
      tries.map((one) => [plain(one.job), count(one.tries)]),
    )
  })

  it('show at most 500 jobs, and link to the next', async () => {
    const [build] =
      await sql`select id, pipeline, build_number from analytics.builds where result = 'passed' order by id limit 1`
    await sql`
      insert into buildkite.jobs (id, build_id, type, name, state, created_at, runnable_at, started_at, finished_at, observed_at, first_seen_at, first_seen_via, changed_at)
      select gen_random_uuid(), ${build?.id}, 'script', 'job ' || n, 'passed', at, at, at, at + interval '1 minute', at, at, 'rest', at
      from generate_series(1, 3000) as n, (select created_at as at from buildkite.builds where id = ${build?.id}) as build`
    const path = `/explore/acme/pipelines/${build?.pipeline}/builds/${build?.build_number}`
    const jobs = (body: string) => [...body.matchAll(/<li id="job-([^"]+)/g)].map(([, id]) => id)
    const first = (await get(path)).body
    const second = (await get(`${path}?from=500`)).body
    expect([jobs(first).length, jobs(second).length]).toEqual([500, 500])
    expect(new Set([...jobs(first), ...jobs(second)]).size).toBe(1_000)
    expect(first).toContain('?from=500">Next 500</a>')
    expect(plain(second)).toContain('Jobs 501 to 1,000 of 3,0')
    await sql`delete from buildkite.jobs where build_id = ${build?.id} and name like 'job %'`
  })
})

describe('the search', () => {
  it('finds builds by number, commit, branch, author and message', async () => {
    const [one] = await sql`
      select build_number, pipeline, commit, branch, author_name, message from analytics.builds
      where author_name is not null and message ~ '[a-z]{4}' and commit ~ '^[0-9a-f]{40}$' order by created_at desc limit 1`
    const link = `/builds/${one?.build_number}"`
    for (const [by, q] of [
      ['number', `#${one?.build_number}`],
      ['commit', text(one?.commit).slice(0, 10)],
      ['author', text(one?.author_name).toUpperCase()],
      ['message', text(one?.message).slice(1)],
      ['branch', text(one?.branch)],
      ['any', text(one?.commit)],
    ] as const) {
      const { body } = await get(`/explore/acme/search?${new URLSearchParams({ q, by })}`)
      expect([by, body.includes(link)]).toEqual([by, true])
    }
    for (const q of ['%', '_____', 'no such thing', "'; drop table x --", '\\']) {
      const { status, body } = await get(`/explore/acme/search?${new URLSearchParams({ q })}`)
      expect([q, status, plain(body).includes('No build matches')]).toEqual([q, 200, true])
    }
    expect(plain((await get('/explore/acme/search')).body)).toContain('Type a build number')
  })
})

describe('/explore', () => {
  it('goes to the only organization, and refuses what is wrong in a sentence', async () => {
    const start = await get('/explore')
    expect([start.status, start.headers.location]).toEqual([302, '/explore/acme'])
    for (const [query, sentence] of [
      ['days=8', 'days must be 7, 30 or 90.'],
      ['sort=password', 'sort must be one of'],
      ['by=anything', 'by must be any,'],
      ['from=-1', 'from must be a row number.'],
      [`q=${'a'.repeat(301)}`, 'q must have at most 300 characters.'],
      ['branch=a&branch=b', 'branch must be given once.'],
      ['team=%00', 'team must not contain the character 0.'],
    ]) {
      const { status, body } = await get(`/explore/acme?${query}`)
      expect([query, status, plain(body).includes(sentence ?? '')]).toEqual([query, 400, true])
    }
    for (const path of ['/explore/other', '/explore/acme/pipelines/none', '/explore/acme/pipelines/none/builds/1']) {
      expect([path, (await get(path)).status]).toEqual([path, 404])
    }
    const [{ pipeline } = { pipeline: '' }] = await sql`select pipeline from analytics.pipelines limit 1`
    for (const number of ['0', '999999', '99999999999', 'x']) {
      expect((await get(`/explore/acme/pipelines/${pipeline}/builds/${number}`)).status).toBe(404)
    }
  })

  it('is for those who may look, and loads and runs nothing', async () => {
    const guarded = await openExplore(scene.url, { tokens: { adminToken: 'right', readerToken: 'may-look' } })
    const paths = ['/explore', '/explore/acme', '/explore/acme/search?q=1']
    for (const path of paths) expect((await get(path, guarded)).status).toBe(401)
    for (const token of ['right', 'may-look']) {
      expect((await get('/explore/acme', guarded, { authorization: `Bearer ${token}` })).status).toBe(200)
    }
    await guarded.close()
    const { body, headers } = await get('/explore/acme')
    expect(headers['content-security-policy']).toMatch(
      /^default-src 'none'; script-src 'sha256-[^']+'; style-src 'sha256-[^']+' 'sha256-[^']+'; img-src data:;/,
    )
    expect(body).not.toMatch(/<script| style=| on[a-z]+=/)
  })

  it('escapes what a pipeline, a branch or a message brings along, and links only to web pages', async () => {
    const nasty = '<img src=x onerror=alert(1)>'
    const [build] =
      await sql`select id, pipeline, pipeline_id, build_number from analytics.builds order by id desc limit 1`
    const [before] = await sql`select message, branch, web_url from buildkite.builds where id = ${build?.id}`
    const [page] = await sql`select name, web_url from buildkite.pipelines where id = ${build?.pipeline_id}`
    await sql`update buildkite.builds set message = ${nasty}, branch = ${nasty}, web_url = 'javascript:alert(1)' where id = ${build?.id}`
    await sql`update buildkite.pipelines set name = ${nasty}, web_url = 'javascript:alert(1)' where id = ${build?.pipeline_id}`
    now += 400_000
    for (const path of [
      `/pipelines/${build?.pipeline}`,
      `/pipelines/${build?.pipeline}/builds/${build?.build_number}`,
      `?branch=${encodeURIComponent(nasty)}`,
      `/search?q=${encodeURIComponent(nasty)}`,
    ]) {
      const { status, body } = await get(`/explore/acme${path}`)
      expect(status).toBe(200)
      expect(body).not.toMatch(/<img|href="javascript/)
    }
    await sql`update buildkite.builds set ${sql(before ?? {})} where id = ${build?.id}`
    await sql`update buildkite.pipelines set ${sql(page ?? {})} where id = ${build?.pipeline_id}`
  })

  it('shows the rest of a page if a query takes too long', async () => {
    const hasty = await openExplore(scene.url, { clock: () => now, timeoutMs: 700 })
    await sql.begin(async (holding) => {
      await holding`lock table analytics.jobs_daily in access exclusive mode`
      const { status, body } = await get('/explore/acme', hasty)
      expect(status).toBe(200)
      const cards = cardsOf(body)
      expect(plain(cards.get('Jobs that failed') ?? '')).toContain('took longer than 1 s and was cancelled')
      expect(cards.get('Builds a day')).toContain('<rect class="passed"')
    })
    expect(cardsOf((await get('/explore/acme', hasty)).body).get('Jobs that failed')).toContain('class="line hard"')
    now += 400_000
    await sql.begin(async (holding) => {
      await holding`lock table buildkite.organizations in access exclusive mode`
      const { status, body } = await get('/explore/acme', hasty)
      expect([status, plain(body).includes('This took longer than 1 s')]).toEqual([503, true])
    })
    await hasty.close()
  })

  it('says so while the database has no schema, or is unavailable', async () => {
    const bare = await createTestDatabase({ empty: true })
    const listener = await openExplore(bare.url)
    const { status, body } = await get('/explore', listener)
    expect([status, plain(body).includes('It needs the migrations of this version')]).toEqual([503, true])
    await listener.close()
    await bare.drop()
    const away = openDatabase('postgres://nobody@127.0.0.1:1/none', { name: 'explore test', connections: 1 })
    const lost = await openExplore(scene.url, { db: away.db })
    const answer = await get('/explore/acme', lost)
    expect([answer.status, plain(answer.body).includes('The database is unavailable')]).toEqual([503, true])
    await lost.close()
    await away.close()
  })

  it('says what to do before there is anything to see', async () => {
    const empty = await createTestDatabase()
    const listener = await openExplore(empty.url)
    expect(plain((await get('/explore', listener)).body)).toContain('No builds yet')
    const other = postgres(empty.url, { max: 1, onnotice: () => {} })
    await other`insert into buildkite.organizations (id, slug, observed_at, first_seen_at, first_seen_via, changed_at)
      values (gen_random_uuid(), 'new', now(), now(), 'rest', now())`
    await other.end({ timeout: 1 })
    const { status, body } = await get('/explore/new', listener)
    expect([
      status,
      plain(body).includes('No builds yet'),
      plain(body).includes('No pipeline is known to be complete yet'),
    ]).toEqual([200, true, true])
    await listener.close()
    await empty.drop()
  })
})
