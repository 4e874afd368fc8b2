import { eq, getTableName } from 'drizzle-orm'
import type { PgTable } from 'drizzle-orm/pg-core'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { coverage } from '../../src/coverage/coverage.ts'
import { withLease } from '../../src/database/leases.ts'
import {
  annotations,
  artifacts,
  cluster_queues,
  clusters,
  members,
  pipeline_schedules,
  reference_item_syncs,
  reference_syncs,
  team_members,
  team_pipelines,
  teams,
} from '../../src/database/reference-tables.ts'
import { agent_connections, agents, builds } from '../../src/database/schema.ts'
import { discover } from '../../src/reconcile/access/discover.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { syncReferenceData } from '../../src/reconcile/reference-data/sync.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'
import { DAY, HOUR, MINUTE } from '../../src/runtime/time.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { secretMark } from '../../src/simulator/model/shapes.ts'
import { accessOf } from './access-of.ts'
import { openScene, type Scene } from './scene.ts'

const tables = [clusters, cluster_queues, teams, team_members, team_pipelines, members, pipeline_schedules]

let scene: Scene

beforeEach(async () => {
  scene = await openScene({ pipelines: 4 })
  const access = accessOf(scene)
  await discover(scene.deps, access)
  await access.close()
  await refreshPipelines(scene.deps, scene.source)
})
afterEach(() => scene.close())

/** A turn an hour after the last. */
async function turn(deps: Partial<Scene['deps']> = {}) {
  scene.simulation.clock.pass(HOUR + MINUTE)
  return syncReferenceData({ ...scene.deps, ...deps }, scene.source)
}
const company = () => scene.simulation.truth.companyOf(organization())
function organization() {
  const [first] = scene.simulation.truth.organizations
  if (!first) throw new Error('The simulation has no organization.')
  return first
}
function first<T>(list: readonly T[]): T {
  const [one] = list
  if (one === undefined) throw new Error('The list is empty.')
  return one
}
const rowsOf = async (table: PgTable) => scene.database.db.select().from(table)
async function contents() {
  const found: Record<string, unknown[]> = {}
  for (const table of tables) found[getTableName(table)] = await rowsOf(table)
  return found
}
const statusOf = async (name: string) =>
  (await scene.database.db.select().from(reference_syncs).where(eq(reference_syncs.name, name)))[0]
const sorted = (ids: Iterable<string>) => [...ids].sort()

describe('reading the small lists', () => {
  it('fills every table, field by field', async () => {
    await turn()
    const { clusters: truth, queues, teams: groups, teamMembers, teamPipelines, schedules } = company()
    const db = scene.database.db
    for (const cluster of truth) {
      const [row] = await db.select().from(clusters).where(eq(clusters.id, cluster.id))
      expect(row).toMatchObject({
        organization_id: organization().id,
        name: cluster.name,
        description: cluster.description,
        emoji: cluster.emoji,
        color: cluster.color,
        default_queue_id: cluster.default_queue_id,
        url: cluster.url,
        created_at: new Date(cluster.created_at),
        created_by_id: cluster.created_by?.id,
        created_by_email: cluster.created_by?.email,
        maintainers: cluster.maintainers,
        queues_url: cluster.queues_url,
        default_queue_url: cluster.default_queue_url,
        deleted_at: null,
      })
      const held = await db.select().from(cluster_queues).where(eq(cluster_queues.cluster_id, cluster.id))
      const its = queues.get(cluster) ?? []
      expect(sorted(held.map(({ id }) => id))).toEqual(sorted(its.map(({ id }) => id)))
    }
    expect((await db.select().from(cluster_queues)).filter(({ dispatch_paused }) => dispatch_paused)).toMatchObject([
      {
        key: 'gpu',
        dispatch_paused_note: 'New drivers',
        dispatch_paused_by_id: expect.any(String),
        dispatch_paused_by_email: expect.stringContaining('@example.com'),
        retry_agent_affinity: 'prefer-warmest',
        cluster_url: truth[1]?.url,
        hosted: null,
      },
    ])
    expect((await db.select().from(cluster_queues)).filter(({ hosted }) => hosted)).toMatchObject([
      {
        key: 'macos',
        hosted_agents_instance_shape_name: 'MACOS_ARM64_M4_6X28',
        hosted_agents_instance_shape_machine_type: 'macos',
        hosted_agents_instance_shape_architecture: 'arm64',
        hosted_agents_instance_shape_cpu: 6,
        hosted_agents_instance_shape_memory: 28,
        extra: { created_by: expect.any(Object) },
      },
    ])
    for (const team of groups) {
      const people = await db.select().from(team_members).where(eq(team_members.team_id, team.id))
      const inTeam = teamMembers.get(team) ?? []
      expect(people.length).toBeGreaterThan(0)
      expect(sorted(people.map(({ user_id, role }) => `${user_id} ${role}`))).toEqual(
        sorted(inTeam.map(({ user_id, role }) => `${user_id} ${role}`)),
      )
      const access = await db.select().from(team_pipelines).where(eq(team_pipelines.team_id, team.id))
      expect(sorted(access.map((row) => `${row.pipeline_id} ${row.access_level}`))).toEqual(
        sorted((teamPipelines.get(team) ?? []).map((one) => `${one.pipeline.id} ${one.access_level}`)),
      )
    }
    const people = await db.select().from(members)
    expect(sorted(people.map((row) => `${row.id} ${row.name} ${row.email} ${row.role} ${row.sso_mode}`))).toEqual(
      sorted(company().members.map((one) => `${one.id} ${one.name} ${one.email} ${one.role} ${one.sso_mode}`)),
    )
    const nightly = await db.select().from(pipeline_schedules)
    expect(sorted(nightly.map(({ id, pipeline_id, cronline }) => `${pipeline_id} ${id} ${cronline}`))).toEqual(
      sorted([...schedules].flatMap(([{ id }, all]) => all.map((one) => `${id} ${one.id} ${one.cronline}`))),
    )
    const connected = await db.select().from(agents)
    expect(sorted(connected.map(({ id }) => id))).toEqual(sorted(scene.simulation.truth.agents.map(({ id }) => id)))
    expect(connected.every(({ organization_id }) => organization_id === organization().id)).toBe(true)
    for (const name of [...tables.map(getTableName), 'agents']) {
      expect(await statusOf(name)).toMatchObject({ status: 'read', rows: expect.any(Number), error: null })
    }
    expect(await statusOf('members')).toMatchObject({ rows: 6 })
  })

  it('writes nothing when nothing has changed', async () => {
    await turn()
    const before = await contents()
    expect(await turn()).toMatchObject({ changed: 0 })
    expect(await contents()).toEqual(before)
  })

  it('asks for nothing again within the hour', async () => {
    await turn()
    scene.api.forget()
    scene.simulation.clock.pass(5 * MINUTE)
    expect(await syncReferenceData(scene.deps, scene.source)).toMatchObject({ lists: [] })
    expect(scene.api.requests).toEqual([])
  })

  it('follows what was renamed, marks what is gone, and unmarks what is back', async () => {
    await turn()
    const before = await contents()
    const { clusters: truth, queues, teams: groups, teamMembers, schedules } = company()
    const renamed = first(truth)
    renamed.name = 'Renamed'
    const queue = first(queues.get(renamed)?.splice(0, 1) ?? [])
    const team = first(groups.splice(0, 1))
    const member = first(teamMembers.get(first(groups))?.splice(0, 1) ?? [])
    const [[pipeline, its] = []] = schedules
    if (!pipeline || !its) throw new Error('The simulation has no schedules.')
    schedules.delete(pipeline)
    await turn()
    const { db } = scene.database
    const [old] = before.clusters?.filter((row) => JSON.stringify(row).includes(renamed.id)) ?? []
    const [row] = await db.select().from(clusters).where(eq(clusters.id, renamed.id))
    expect(row).toMatchObject({ name: 'Renamed', first_seen_at: Reflect.get(Object(old), 'first_seen_at') })
    expect(row?.changed_at.getTime()).toBeGreaterThan(Reflect.get(Object(old), 'changed_at').getTime())
    const gone = async () => ({
      queues: (await db.select().from(cluster_queues)).filter(({ deleted_at }) => deleted_at).map(({ id }) => id),
      teams: (await db.select().from(teams)).filter(({ deleted_at }) => deleted_at).map(({ id }) => id),
      members: (await db.select().from(team_members))
        .filter(({ deleted_at, team_id }) => deleted_at && team_id !== team.id)
        .map(({ user_id }) => user_id),
      stranded: (await db.select().from(team_members)).filter(
        ({ deleted_at, team_id }) => !deleted_at && team_id === team.id,
      ),
      schedules: (await db.select().from(pipeline_schedules))
        .filter(({ deleted_at }) => deleted_at)
        .map(({ id }) => id),
    })
    expect(await gone()).toEqual({
      queues: [queue.id],
      teams: [team.id],
      members: [member.user_id],
      stranded: [],
      schedules: its.map(({ id }) => id),
    })
    groups.unshift(team)
    schedules.set(pipeline, its)
    await turn()
    expect(await gone()).toMatchObject({ teams: [], schedules: [] })
  })

  it('marks the agents that left without a word, and unmarks those that are back', async () => {
    await turn()
    const [left] = scene.simulation.truth.agents
    if (!left) throw new Error('The simulation has no agents.')
    left.connection_state = 'lost'
    await turn()
    const { db } = scene.database
    const gone = async () => (await db.select().from(agents)).filter(({ deleted_at }) => deleted_at).map(({ id }) => id)
    const ended = async () =>
      (await db.select().from(agent_connections))
        .filter(({ ended_at }) => ended_at)
        .map(({ agent_id, ended_as }) => [agent_id, ended_as])
    expect([await gone(), await ended()]).toEqual([[left.id], [[left.id, 'unlisted']]])
    left.connection_state = 'connected'
    await turn()
    expect([await gone(), await ended()]).toEqual([[], []])
  })

  it('marks nothing while a list holds something without an id, for it may be just that one', async () => {
    await turn()
    const one = first(company().clusters)
    const { id } = one
    one.id = 'no uuid'
    await turn()
    const rows = await scene.database.db.select().from(clusters)
    expect(rows.filter(({ deleted_at }) => deleted_at)).toEqual([])
    expect(await statusOf('clusters')).toMatchObject({
      status: 'read',
      rows: 2,
      error: expect.stringContaining('without a usable id'),
    })
    one.id = id
    await turn()
    expect(await statusOf('clusters')).toMatchObject({ error: null })
  })

  it('marks nothing that is still there when another is deleted while the list is read by page number', async () => {
    const { members: listed } = company()
    for (let number = listed.length; number < 230; number++) {
      const id = scene.simulation.truth.random.uuid(0)
      listed.push({
        id,
        name: `Member ${number}`,
        email: `${number}@example.org`,
        role: 'member',
        sso_mode: 'optional',
      })
    }
    await turn()
    const [doomed] = listed
    scene.api.beforeAnswer = ({ path, query }) => {
      if (path.endsWith('/members') && query.get('page') === '2' && listed[0] === doomed) listed.shift()
      return undefined
    }
    await turn()
    scene.api.beforeAnswer = undefined
    const marked = async () =>
      (await rowsOf(members)).filter(({ deleted_at }) => deleted_at !== null).map(({ id }) => id)
    expect(await marked()).toEqual([])
    await turn()
    expect(await marked()).toEqual([doomed?.id])
  })

  it('reads lists of several pages', async () => {
    const { members: people } = company()
    const [one] = people
    if (!one) throw new Error('The simulation has no people.')
    for (let n = 0; n < 230; n++) {
      people.push({ ...one, id: `00000000-0000-4000-8000-${String(n).padStart(12, '0')}` })
    }
    await turn()
    expect(await statusOf('members')).toMatchObject({ rows: 236 })
    expect(scene.api.count('members')).toBe(3)
  })

  it('leaves out the pipelines that are not to be mirrored', async () => {
    const filter = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: ['monolith'] })
    await turn({ filter })
    const excluded = scene.simulation.truth.pipelines.find(({ slug }) => slug === 'monolith')
    const { db } = scene.database
    expect((await db.select().from(pipeline_schedules)).length).toBeGreaterThan(0)
    const stored = [...(await db.select().from(team_pipelines)), ...(await db.select().from(pipeline_schedules))]
    expect(stored.filter(({ pipeline_id }) => pipeline_id === excluded?.id)).toEqual([])
  })

  it('stores no secret', async () => {
    await turn()
    expect(await rowsOf(pipeline_schedules)).not.toEqual([])
    expect(JSON.stringify(await contents())).not.toContain(secretMark)
    scene.simulation.clock.pass(HOUR)
    await turn({ storeEnv: true })
    const [schedule] = await scene.database.db.select().from(pipeline_schedules)
    expect(schedule?.extra).toMatchObject({ env: { DEPLOY_TOKEN: expect.stringContaining(secretMark) } })
  })

  it('is not done twice at once', async () => {
    const other = await withLease(scene.database.db, `dimensions:${scene.source.id}`, () => turn())
    expect(other).toEqual({ held: true, value: undefined })
  })
})

describe('what the token may not read', () => {
  const notes = async () => (await coverage(scene.database.db)).flatMap(({ lists }) => lists)

  it('is noted, and the rest is read', async () => {
    scene.api.tokens = [{ ...demoToken, scopes: ['read_builds', 'read_pipelines', 'read_organizations'] }]
    await turn()
    const missing = (await notes()).filter(({ status }) => status === 'missing_scope').map(({ name }) => name)
    expect(missing).toEqual(['agents', 'cluster_queues', 'clusters', 'team_members', 'team_pipelines', 'teams'])
    expect(await statusOf('clusters')).toMatchObject({ error: 'The API token lacks the scope read_clusters.' })
    expect(scene.api.requests.filter(({ status }) => status === 403)).toEqual([])
    expect(await scene.database.db.$count(members)).toBe(6)
    expect(await scene.database.db.$count(pipeline_schedules)).toBe(2)
    scene.api.tokens = [demoToken]
    await turn()
    expect((await notes()).filter(({ status }) => status === 'missing_scope')).toEqual([])
    expect(await scene.database.db.$count(cluster_queues)).toBe(5)
  })

  it('is noted too where Buildkite refuses it, and what was there stays', async () => {
    await turn()
    const refused: Record<string, number> = { members: 403, teams: 404, schedules: 404 }
    scene.api.beforeAnswer = ({ kind }) => {
      const status = refused[kind]
      return status ? { kind: 'status', status, message: 'Forbidden' } : undefined
    }
    await turn()
    const refusedLists = (await notes()).filter(({ status }) => status === 'refused').map(({ name }) => name)
    expect(refusedLists).toEqual(['members', 'pipeline_schedules', 'team_members', 'team_pipelines', 'teams'])
    expect(await statusOf('members')).toMatchObject({
      error: "Buildkite does not show this list to the API token's user (HTTP 403).",
      rows: 6,
      read_at: expect.any(Date),
    })
    const rows = Object.values(await contents()).flat()
    expect(rows.filter((row) => Reflect.get(Object(row), 'deleted_at') !== null)).toEqual([])
  })

  it('leaves the other lists to be read when one address fails, and comes back to it in the next turn', async () => {
    scene.api.beforeAnswer = ({ kind }) =>
      kind === 'clusters' ? { kind: 'status', status: 500, message: 'Oops' } : undefined
    await expect(turn()).rejects.toMatchObject({ code: 'unavailable' })
    expect(await scene.database.db.$count(members)).toBe(6)
    scene.api.beforeAnswer = undefined
    scene.simulation.clock.pass(MINUTE)
    await syncReferenceData(scene.deps, scene.source)
    expect(await scene.database.db.$count(clusters)).toBe(2)
  })
})

describe('annotations and artifacts', () => {
  const both = { storeAnnotations: true, storeArtifacts: true }
  beforeEach(() => scene.complete({ builds: 60, days: 3 }))

  it('are left alone unless asked for', async () => {
    await turn()
    expect([scene.api.count('annotations'), scene.api.count('artifacts')]).toEqual([0, 0])
    expect(await statusOf('annotations')).toMatchObject({ status: 'off', error: 'STORE_ANNOTATIONS is not set.' })
  })

  it('are read for builds that have finished, once, and again when they finish again', async () => {
    const { db } = scene.database
    const finished = scene.simulation.truth.builds.filter(({ finished_at }) => finished_at !== null).length
    expect(await turn(both)).toMatchObject({ build_lists: 40 })
    for (let n = 0; n < 3; n++) await turn(both)
    expect(scene.api.count('artifacts')).toBe(finished)
    expect(await db.$count(reference_item_syncs, eq(reference_item_syncs.name, 'artifacts'))).toBe(finished)
    const kept = await db.select().from(artifacts)
    const passed = scene.simulation.truth.jobs.filter(({ job }) => job.type === 'script' && job.state === 'passed')
    expect(sorted(kept.map(({ job_id }) => job_id ?? ''))).toEqual(sorted(passed.map(({ job }) => job.id)))
    expect(kept[0]).toMatchObject({ filename: 'app.tar.gz', file_size: expect.stringMatching(/^\d+$/) })
    expect(JSON.stringify(kept)).not.toMatch(/download_url|demo-canary/)
    const stored = await db.select().from(annotations)
    expect(stored.some(({ scope }) => scope === 'job')).toBe(true)
    expect(stored.some(({ scope, style }) => scope === 'build' && style === 'error')).toBe(true)

    const again = first(scene.simulation.truth.builds.filter(({ state }) => state === 'failed'))
    await db
      .update(builds)
      .set({ finished_at: new Date(scene.simulation.clock.now()) })
      .where(eq(builds.id, again.id))
    expect(await turn(both)).toMatchObject({ build_lists: 2 })
    expect(await turn(both)).toMatchObject({ build_lists: 0 })
  })

  it('of builds that finished more than a week ago are not read', async () => {
    scene.simulation.clock.pass(11 * DAY)
    expect(await turn(both)).toMatchObject({ build_lists: 0 })
  })

  it('need a scope of their own, in part', async () => {
    scene.api.tokens = [{ ...demoToken, scopes: ['read_builds', 'read_pipelines', 'read_organizations'] }]
    await turn(both)
    expect(await statusOf('artifacts')).toMatchObject({
      status: 'missing_scope',
      error: 'The API token lacks the scope read_artifacts.',
    })
    expect(await statusOf('annotations')).toMatchObject({ status: 'read' })
    expect(await scene.database.db.$count(annotations)).toBeGreaterThan(0)
  })
})
