import { randomUUID } from 'node:crypto'
import { eq } from 'drizzle-orm'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { refreshRollups } from '../../src/analytics/rollups.ts'
import { members, team_members, users } from '../../src/database/reference-tables.ts'
import { builds, deliveries, drift, erased_people } from '../../src/database/schema.ts'
import { erasePerson } from '../../src/mirror/erase-person.ts'
import { auditSpan } from '../../src/reconcile/audit/audit.ts'
import { verifySpan } from '../../src/reconcile/audit/verify.ts'
import { reconcileOnce } from '../../src/reconcile/cycle/cycle.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { syncReferenceData } from '../../src/reconcile/reference-data/sync.ts'
import { DAY, HOUR, MINUTE } from '../../src/runtime/time.ts'
import type { Person } from '../../src/simulator/model/shapes.ts'
import { deliveryHandler } from '../../src/webhooks/apply/process-deliveries.ts'
import { insertDeliveries } from '../../src/webhooks/inbox/insert.ts'
import { tracesInPostgres } from '../support/traces.ts'
import { openScene, type Scene, silent } from './scene.ts'

let scene: Scene
let person: Person

beforeEach(async () => {
  scene = await openScene({ pipelines: 3 })
  await scene.complete({ builds: 60, days: 20 })
  const [creator] = scene.simulation.truth.pipelines.flatMap(({ created_by }) => created_by ?? [])
  if (!creator) throw new Error('No pipeline has a creator.')
  person = creator
})
afterEach(() => scene.close())

/** Every build and job arrives by webhook, sent by the person. */
async function sendWebhooks() {
  const { truth, clock } = scene.simulation
  const at = new Date(clock.now())
  const sender = { id: person.id, name: person.name }
  const payloads = truth.builds.flatMap(({ jobs, pipeline, env, ...build }) => [
    { event: 'build.finished', build, pipeline, sender },
    ...jobs.map((job) => ({ event: 'job.finished', job, build, pipeline, sender })),
  ])
  const fresh = payloads.map((payload) => {
    const times = { received_at: at, observed_at: at }
    return {
      ...times,
      key: randomUUID(),
      event: payload.event,
      request_id: null,
      payload: JSON.stringify(payload),
      error: null,
    }
  })
  await insertDeliveries(scene.database.db, fresh, at)
  for (
    let count = -1;
    count !== 0;
    count = await scene.database.db.$count(deliveries, eq(deliveries.status, 'pending'))
  ) {
    await deliveryHandler({ db: scene.database.db, filter: scene.deps.filter, storeEnv: false, log: silent })({
      ids: [],
    })
  }
}

async function readByRest() {
  scene.simulation.clock.pass(HOUR + MINUTE)
  await refreshPipelines(scene.deps, scene.source)
  await reconcileOnce(scene.deps, scene.source)
  await syncReferenceData(scene.deps, scene.source)
  await refreshRollups(scene.database.db)
}

function wholeSpan() {
  const to = new Date(scene.simulation.clock.now())
  return { from: new Date(to.getTime() - 90 * DAY), to }
}

const verify = () =>
  verifySpan(scene.deps, scene.source, { span: wholeSpan(), heal: false, priority: 'absent', recheckAfterMs: 1 })
const audit = () => auditSpan(scene.deps, scene.source, wholeSpan())

/** Lines of any table that contain the person, sorted: the order of a view's rows is not defined. */
async function traces() {
  const secrets = [person.id, person.email, person.name, person.graphql_id, person.avatar_url].map((one) =>
    one.toLowerCase(),
  )
  const lines = (await tracesInPostgres(scene.url)).split('\n')
  return lines.filter((line) => secrets.some((one) => line.toLowerCase().includes(one))).sort()
}

it('a person is erased from every table, stays so after webhooks and REST bring everything again, and nothing counts as drift', async () => {
  const { db } = scene.database
  const [named] = scene.simulation.truth.builds
  if (!named) throw new Error('There is no build.')
  named.message = `Fix\n\nCo-authored-by: ${person.name} <${person.email.toUpperCase()}>`
  named.meta_data = { [person.email]: `Author: ${person.name} <${person.email}>` }
  await readByRest()
  await audit()
  await sendWebhooks()
  await readByRest()
  const before = await traces()
  const tablesBefore = new Set(before.map((line) => line.split(' ')[0]))
  for (const name of ['builds', 'jobs', 'pipelines', 'members', 'team_members', 'users']) {
    expect(tablesBefore).toContain(`buildkite.${name}`)
  }
  for (const name of ['deliveries', 'user_identities']) expect(tablesBefore).toContain(`sync.${name}`)

  const planned = await erasePerson(db, { emails: [person.email], userIds: [] }, { dryRun: true })
  expect(await traces()).toEqual(before)
  expect(await db.$count(erased_people)).toBe(0)
  const done = await erasePerson(db, { emails: [person.email], userIds: [] }, { dryRun: false })
  expect(done.rows).toEqual(planned.rows)
  expect(done.identities).toMatchObject({ id: 1, email: 1, name: 1 })
  expect(Object.keys(done.rows)).toEqual(
    expect.arrayContaining(['buildkite.builds', 'buildkite.users', 'sync.deliveries']),
  )
  expect(await traces()).toEqual([])
  expect((await verify()).findings).toEqual([])

  await sendWebhooks()
  await readByRest()
  expect(await audit()).toMatchObject({ findings: [], unreadable: [] })
  await sendWebhooks()
  await readByRest()
  expect(await traces()).toEqual([])
  const report = await verify()
  expect([report.findings, report.unreadable, report.builds_in_flight]).toEqual([[], [], 0])
  // The only row is that of the message that the first audit found changed.
  expect((await db.select().from(drift)).map(({ columns }) => columns)).toEqual([['message', 'meta_data']])

  // One pseudonym for all of the person, and others as they were.
  const [{ pseudonym } = { pseudonym: '' }] = await db.select().from(erased_people)
  const [row] = await db.select().from(users).where(eq(users.id, pseudonym))
  expect(row).toMatchObject({ name: 'Erased person', email: `${pseudonym}@erased.invalid`, is_member: true })
  const theirs = scene.simulation.truth.builds.filter(({ creator }) => creator?.id === person.id)
  expect(await db.$count(builds, eq(builds.creator_id, pseudonym))).toBe(theirs.length)
  expect(await db.$count(members, eq(members.id, pseudonym))).toBe(1)
  expect(await db.$count(team_members, eq(team_members.user_id, pseudonym))).toBeGreaterThan(0)
  const [message] = await db.select({ text: builds.message }).from(builds).where(eq(builds.id, named.id))
  expect(message?.text).toBe(`Fix\n\nCo-authored-by: Erased person <${pseudonym}@erased.invalid>`)

  // Again, it finds nothing and keeps the pseudonym.
  const again = await erasePerson(db, { emails: [person.email], userIds: [person.id] }, { dryRun: false })
  expect([again.rows, again.mentions]).toEqual([{}, {}])
  expect(new Set((await db.select().from(erased_people)).map((one) => one.pseudonym))).toEqual(new Set([pseudonym]))
})

it('an erasure waits for merges that began before it, and later ones know of it', async () => {
  const { db } = scene.database
  let release = () => {}
  const held = new Promise<void>((resolve) => {
    release = resolve
  })
  let reading = () => {}
  const began = new Promise<void>((resolve) => {
    reading = resolve
  })
  const merge = db.transaction(async (tx) => {
    await tx.select().from(erased_people)
    reading()
    await held
    await tx.update(builds).set({ author_email: person.email })
  })
  await began
  const erasure = erasePerson(db, { emails: [person.email], userIds: [] }, { dryRun: false })
  expect(
    await Promise.race([erasure.then(() => 'done'), reconcileOnce(scene.deps, scene.source).then(() => 'a cycle ran')]),
  ).toBe('a cycle ran')
  release()
  await merge
  await erasure
  expect((await traces()).filter((line) => line.startsWith('buildkite.builds'))).toEqual([])
})

it('an address that belongs to several users is refused, because one of them may be another person', async () => {
  const { db } = scene.database
  const other = scene.simulation.truth.builds.flatMap(({ creator }) =>
    creator && creator.id !== person.id ? [creator] : [],
  )[0]
  await db.update(builds).set({ creator_email: 'team@example.com' }).where(eq(builds.creator_id, person.id))
  await db
    .update(builds)
    .set({ creator_email: 'team@example.com' })
    .where(eq(builds.creator_id, other?.id ?? ''))
  await refreshRollups(db)
  const erasure = erasePerson(db, { emails: ['team@example.com'], userIds: [] }, { dryRun: true })
  await expect(erasure).rejects.toThrow(
    /--email team@example.com belongs to 2 users in Buildkite. Choose the person with --user-id: /,
  )
})
