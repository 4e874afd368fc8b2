import { Redis } from 'ioredis'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, inject, it, onTestFinished } from 'vitest'
import { openDatabase } from '../../src/database/connection.ts'
import { checkClock } from '../../src/diagnostics/checks/clock.ts'
import { checkDisk } from '../../src/diagnostics/checks/disk.ts'
import { checkNamedPipelines } from '../../src/diagnostics/checks/pipelines.ts'
import { checkPostgresState } from '../../src/diagnostics/checks/postgres.ts'
import { type CheckResult, checkNames } from '../../src/diagnostics/finding.ts'
import { checkPostgres } from '../../src/diagnostics/run.ts'
import { refreshPipelines } from '../../src/reconcile/pipelines/pipelines.ts'
import { DAY, HOUR, MINUTE, SECOND } from '../../src/runtime/time.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import { asAdmin } from '../support/database.ts'
import type { RedisServer } from '../support/redis-server.ts'
import { type CheckStage, openCheckRedis, openCheckStage, secret } from './checks-stage.ts'

let stage: CheckStage
let redis: RedisServer | undefined
const faultsIn = (findings: readonly CheckResult[]) => findings.filter(({ result }) => result !== 'ok')
/** Each fault as `name result`, without repetition. */
const namesOf = (findings: readonly CheckResult[]) => [
  ...new Set(faultsIn(findings).map(({ name, result }) => `${name} ${result}`)),
]

const ago = (ms: number) => `'${new Date(Date.now() - ms).toISOString()}'`
const delivery = (status: string, receivedMs: number) =>
  `insert into sync.deliveries (key, event, received_at, observed_at, status) values ('${status}', 'build.finished', ${ago(receivedMs)}, ${ago(receivedMs)}, '${status}')`
const failureOf = (kind: string, subject: string, sinceMs: number, tries = 1) =>
  `insert into sync.failures (kind, subject, code, error, tries, first_failed_at, last_failed_at, next_try_at)
   values ('${kind}', '${subject}', '57014', 'Postgres gave up.', ${tries}, ${ago(sinceMs)}, ${ago(sinceMs)}, now() + interval '1 hour')`
const spoil = (change: Partial<CheckStage['config']>) => {
  stage.config = { ...stage.config, ...change }
}
const token = (change: Partial<typeof demoToken>) => {
  stage.scene.api.tokens = [{ ...demoToken, ...change }]
}
const without = (...scopes: string[]) => demoToken.scopes.filter((scope) => !scopes.includes(scope))
const redisSays = async (...command: [string, ...string[]]) => {
  const client = new Redis(stage.redis?.url ?? '', { maxRetriesPerRequest: 1 })
  try {
    await client.call(...command)
  } finally {
    client.disconnect()
  }
}
const ofDatabase = (what: string) =>
  stage.sql(`do $$ begin execute format('alter database %I ${what}', current_database()); end $$`)

/** A fault as it is planted, and all that the checks find then. */
interface Planted {
  what: string
  plant: () => unknown
  finds: readonly string[]
  needsRedis?: boolean
}

const planted: readonly Planted[] = [
  { what: 'no token', plant: () => spoil({ apiTokens: [] }), finds: ['token_missing warning'] },
  { what: 'a token revoked', plant: () => token({ token: 'another' }), finds: ['token_invalid failed'] },
  { what: 'a token expired', plant: () => token({ expiresAt: Date.now() - 1 }), finds: ['token_invalid failed'] },
  {
    what: 'a token about to expire',
    plant: () => token({ expiresAt: Date.now() + DAY }),
    finds: ['token_expires_soon warning'],
  },
  {
    what: 'a token that is sent to another host',
    plant: () => spoil({ apiUrl: 'https://gateway.example.com/v2' }),
    finds: ['token_sent_elsewhere warning'],
  },
  {
    what: 'plain text to Postgres on another machine',
    plant: () => spoil({ databaseUrl: 'postgres://user:password@db.example.com/mirror' }),
    finds: ['postgres_plain_text warning'],
  },
  {
    what: 'plain text to Redis on another machine',
    // The same server by a name that does not say that it is this machine.
    plant: () => spoil({ redisUrl: stage.redis?.url.replace('127.0.0.1', '127.1') }),
    finds: ['redis_plain_text warning'],
    needsRedis: true,
  },
  {
    what: 'a token without read_builds',
    plant: () => token({ scopes: without('read_builds') }),
    finds: ['scope_missing failed'],
  },
  {
    what: 'a token used from an address that is not allowed',
    plant: () => {
      stage.scene.api.beforeAnswer = () => ({ kind: 'status', status: 403, message: 'Forbidden' })
    },
    finds: ['access_refused failed'],
  },
  {
    what: 'an API that is down',
    plant: () => {
      stage.scene.api.beforeAnswer = () => ({ kind: 'html', status: 502 })
    },
    finds: ['api_unreachable failed'],
  },
  {
    what: 'a token for another organization',
    plant: () => token({ organizations: ['other'] }),
    finds: ['organization_not_visible failed'],
  },
  {
    what: 'an organization that is mistyped',
    plant: () => spoil({ organizations: ['acme', 'amce'] }),
    finds: ['organization_not_visible failed'],
  },
  {
    what: 'a user who sees no pipeline',
    plant: async () => {
      const { simulation, deps, source } = stage.scene
      for (const pipeline of simulation.truth.pipelines) simulation.truth.hidden.add(pipeline)
      await refreshPipelines(deps, source)
    },
    finds: ['pipelines_hidden failed'],
  },
  {
    what: 'a pipeline that only webhooks report',
    plant: () =>
      stage.sql(`update buildkite.pipelines set deleted_at = now(), deleted_reason = 'hidden' where slug = 'web-app'`),
    finds: ['pipelines_hidden warning'],
  },
  {
    what: 'a list of pipelines that wants none',
    plant: () => spoil({ pipelinesExclude: ['*'] }),
    finds: ['pipelines_all_excluded failed'],
  },
  {
    what: 'a clock that is 20 s behind',
    plant: () => {
      stage.skewMs = 20_000
    },
    finds: ['clock_skew warning'],
  },
  {
    what: 'a clock that is a week behind',
    plant: () => {
      stage.skewMs = 7 * DAY
    },
    finds: ['api_unreachable failed', 'clock_skew failed'],
  },
  { what: 'no secret', plant: () => spoil({ webhookSecrets: [] }), finds: ['webhook_secret_missing warning'] },
  {
    what: 'a user who may not look at services',
    plant: () => token({ admin: false }),
    finds: ['webhook_check_skipped warning'],
  },
  {
    what: 'no webhook service, though there is a secret',
    plant: () => {
      stage.service.settings.url = 'https://elsewhere.example.com/hook'
      stage.service.settings.token = 'another'
    },
    finds: ['webhook_missing failed'],
  },
  {
    what: 'a webhook service disabled',
    plant: () => {
      stage.service.enabled = false
    },
    finds: ['webhook_disabled failed'],
  },
  {
    what: 'events not asked for',
    plant: () => {
      stage.service.settings.events = ['build.finished', 'job.finished']
    },
    finds: ['webhook_events_missing warning'],
  },
  {
    what: 'a webhook service for one of two pipelines',
    plant: () => {
      stage.service.scope = 'some_projects'
      stage.service.scope_uuids = stage.scene.simulation.truth.pipelines.slice(0, 1).map(({ id }) => id)
    },
    finds: ['webhook_pipelines_hidden warning'],
  },
  {
    what: 'a webhook service for some teams',
    plant: () => {
      stage.service.scope = 'some_teams'
    },
    finds: ['webhook_pipelines_hidden warning'],
  },
  {
    what: 'a branch filter',
    plant: () => {
      stage.service.branch_configuration = 'main'
    },
    finds: ['webhook_branch_filter warning'],
  },
  {
    what: 'a service that sends its token in the clear',
    plant: () => {
      stage.service.settings.token_mode = 'token'
    },
    finds: ['webhook_token_mode failed'],
  },
  {
    what: 'a service with another token',
    plant: () => {
      stage.service.settings.token = 'rotated'
    },
    finds: ['webhook_secret_mismatch failed'],
  },
  {
    what: 'no webhook for hours, though builds were created',
    plant: async () => {
      await stage.sql(`update buildkite.organizations set first_seen_at = ${ago(3 * HOUR)}`)
      await stage.sql(`update buildkite.builds set created_at = ${ago(HOUR)}`)
    },
    // Known for three hours, and nothing is claimed of it.
    finds: ['claim_lag warning', 'webhook_silence warning'],
  },
  {
    what: 'a Redis that evicts',
    plant: () => redisSays('config', 'set', 'maxmemory-policy', 'allkeys-lru'),
    finds: ['redis_eviction warning'],
    needsRedis: true,
  },
  {
    what: 'a Redis without persistence',
    plant: () => redisSays('config', 'set', 'appendonly', 'no'),
    finds: ['redis_persistence warning'],
    needsRedis: true,
  },
  {
    what: 'a Redis that is gone',
    plant: () => stage.redis?.kill(),
    finds: ['queue_unreachable failed'],
    needsRedis: true,
  },
  { what: 'jit', plant: () => ofDatabase('set jit = on'), finds: ['postgres_jit warning'] },
  {
    what: 'a Postgres that takes no writes',
    plant: () => ofDatabase('set default_transaction_read_only = on'),
    finds: ['postgres_read_only failed'],
  },
  {
    what: 'a schema that lacks a migration',
    plant: () =>
      stage.sql(
        'delete from drizzle.__drizzle_migrations where id = (select max(id) from drizzle.__drizzle_migrations)',
      ),
    finds: ['migrations_pending warning'],
  },
  {
    what: 'a webhook that waits for a worker',
    plant: () => stage.sql(delivery('pending', HOUR)),
    finds: ['delivery_lag failed'],
  },
  {
    what: 'a webhook that could not be applied',
    plant: () => stage.sql(delivery('failed', MINUTE)),
    finds: ['deliveries_failed warning'],
  },
  {
    what: 'an organization that was not verified for hours',
    plant: () => stage.sql(`update sync.watermarks set watermark = ${ago(3 * HOUR)}`),
    finds: ['watermark_lag warning'],
  },
  {
    what: 'work that has failed for twenty minutes',
    plant: () => stage.sql(failureOf('rollup_day', '2026-03-01', 20 * MINUTE)),
    finds: ['work_failing warning'],
  },
  {
    what: 'work that has failed three times',
    plant: () => stage.sql(failureOf('delivery', 'delivery 5 (build.finished)', MINUTE, 3)),
    finds: ['work_failing warning'],
  },
  {
    what: 'a deployment rule that matches no pipeline, and two that count a deployment twice',
    plant: () =>
      stage.sql(
        `insert into settings.deployment_rules (pipeline, step) values ('former-name', null), ('*', null), ('*', 'deploy')`,
      ),
    finds: ['deployment_rule_unmatched warning', 'deployment_rules_overlap warning'],
  },
  {
    what: 'a replica that lost its lease within the hour',
    plant: () => stage.sql(failureOf('replica', 'host 12 ab', 50 * MINUTE)),
    finds: ['lease_lost warning'],
  },
  {
    what: 'a list of pipelines that was not read for an hour, while cycles run',
    plant: () => stage.sql(`update sync.watermarks set pipelines_read_at = ${ago(HOUR)}, confirmed_to = ${ago(HOUR)}`),
    finds: ['claim_lag warning'],
  },
]

describe('the checks', () => {
  beforeAll(async () => {
    redis = await openCheckRedis()
  })
  afterAll(() => redis?.stop())
  beforeEach(async () => {
    stage = await openCheckStage(redis)
  })
  afterEach(() => stage.close())

  it('finds nothing where all is well, and tells no secret', async () => {
    const { findings, unseen } = await stage.look()
    expect(faultsIn(findings)).toEqual([])
    expect(unseen).toEqual([])
    expect(findings.length).toBeGreaterThan(20)
    expect(findings.map(({ name }) => name)).toContain('webhook_secret_mismatch')
    expect(JSON.stringify(findings)).not.toContain(secret)
    expect(JSON.stringify(findings)).not.toContain(demoToken.token)
  })

  it.each(planted)('finds $what', async ({ plant, finds, needsRedis }) => {
    if (needsRedis && !inject('redisUrl')) return expect(stage.redis).toBeUndefined() // the run began by saying so
    if (needsRedis) onTestFinished(() => redis?.start())
    await plant()
    const { findings } = await stage.look()
    expect(namesOf(findings)).toEqual(finds)
    for (const { detail, remedy } of faultsIn(findings)) {
      expect(detail.length).toBeGreaterThan(10)
      expect(remedy?.length).toBeGreaterThan(10)
    }
    expect(JSON.stringify(findings)).not.toContain(secret)
  })

  it('lists work that keeps failing with its error and tries, but not work that just failed or a replica of yesterday', async () => {
    for (let n = 1; n <= 7; n++) await stage.sql(failureOf('rollup_day', `2026-03-0${n}`, (30 - n) * MINUTE, n))
    await stage.sql(failureOf('window', 'May', 5 * MINUTE, 2))
    await stage.sql(failureOf('replica', 'host 1', DAY))
    const { findings } = await stage.look()
    const [found, ...others] = faultsIn(findings)
    expect(others).toEqual([])
    expect(found).toMatchObject({ name: 'work_failing', subject: '' })
    expect(found?.detail).toMatch(
      /^7 units of work keep failing: Daily totals 2026-03-01 \(1 try since .*Z: Postgres gave up\.\); /,
    )
    expect(found?.detail).toMatch(/; and 2 more\.$/)
    expect(found?.detail).not.toContain('May')
  })

  it('says why the claim is old', async () => {
    await stage.sql(`update sync.watermarks set pipelines_read_at = ${ago(HOUR)}, confirmed_to = ${ago(HOUR)}`)
    const detail = async () => (await stage.look()).findings.find(({ name }) => name === 'claim_lag')?.detail
    expect(await detail()).toMatch(
      /^Builds are complete only up to 1h.* ago, although cycles run: the list of pipelines has not been read since\.$/,
    )
    await stage.sql(`update sync.watermarks set confirmed_to = null`)
    expect(await detail()).toBeUndefined()
    await stage.sql(`update buildkite.organizations set first_seen_at = ${ago(HOUR)}`)
    expect(await detail()).toMatch(/^No builds are complete yet, although cycles run: /)
    await stage.sql(failureOf('pipelines_list', 'pipelines of acme', MINUTE))
    await stage.sql(`update sync.failures set organization_id = (select id from buildkite.organizations)`)
    expect(await detail()).toMatch(/although cycles run: the list of pipelines fails \(Postgres gave up\.\)\.$/)
  })

  it('finds a role that may open too few connections', async () => {
    const role = `bkm_few_${process.pid}`
    await asAdmin(async (sql) => {
      await sql.unsafe(`drop role if exists ${role}`)
      await sql.unsafe(`create role ${role} login password 'few' connection limit 5 in role pg_read_all_data`)
    })
    try {
      const url = new URL(stage.scene.url)
      url.username = role
      url.password = 'few'
      stage.databaseUrl = url.href
      await stage.sql(`grant select on all tables in schema drizzle to ${role}`)
      expect(namesOf((await stage.look()).findings)).toEqual(['postgres_connections warning'])
    } finally {
      await stage.sql(`drop owned by ${role}`)
      await asAdmin((sql) => sql.unsafe(`drop role ${role}`))
    }
  })

  it('finds a Postgres that is gone', async () => {
    const database = openDatabase('postgres://nobody@127.0.0.1:1/nothing', { name: 'checks test' })
    try {
      expect(namesOf(await checkPostgres(database, stage.config, stage.scene.deps.filter, Date.now()))).toEqual([
        'postgres_unreachable failed',
      ])
    } finally {
      await database.close()
    }
  })

  it('misses no secret in a process that receives nothing', async () => {
    spoil({ webhookSecrets: [], roles: new Set(['reconciler']) })
    const { findings } = await stage.look()
    expect(faultsIn(findings)).toEqual([])
    expect(findings.map(({ name }) => name)).not.toContain('webhook_secret_missing')
    expect(findings.map(({ name }) => name)).toContain('webhook_missing')
  })

  it('warns while Buildkite has a later value of WEBHOOK_SECRET, not the first', async () => {
    stage.service.settings.token = secret
    stage.config = { ...stage.config, webhookSecrets: ['the-newer-secret', secret] }
    const { findings } = await stage.look()
    expect(namesOf(findings)).toEqual(['webhook_secret_mismatch warning'])
  })

  it('knows the webhook that register makes for a path before ours', async () => {
    stage.service.settings.url = 'https://example.com/mirror/webhooks/buildkite'
    stage.service.settings.token = 'rotated'
    stage.service.description = 'CI dashboard'
    const { findings } = await stage.look()
    expect(findings.find(({ name }) => name === 'webhook_secret_mismatch')?.detail).toContain(
      '"CI dashboard", https://',
    )
    expect(namesOf(findings)).toEqual(['webhook_secret_mismatch failed'])
    expect(findings.find(({ name }) => name === 'webhook_missing')?.detail).toContain('example.com/mirror')
  })

  it('says nothing of the lag of an organization that is mirrored no longer, nor before three intervals have passed', async () => {
    await stage.sql(`update sync.watermarks set watermark = ${ago(3 * HOUR)}`)
    const faults = async () => namesOf((await stage.look()).findings).filter((name) => name.startsWith('watermark'))
    spoil({ reconcileIntervalMs: HOUR + MINUTE })
    expect(await faults()).toEqual([])
    spoil({ reconcileIntervalMs: MINUTE })
    expect(await faults()).toEqual(['watermark_lag warning'])
    spoil({ organizations: ['another'] })
    expect(await faults()).toEqual([])
  })

  it('judges the silence of each organization by its own builds', async () => {
    await stage.sql(`update buildkite.organizations set first_seen_at = ${ago(3 * HOUR)}`)
    await stage.sql(`update buildkite.builds set created_at = ${ago(HOUR)}`)
    // Another organization has just received a webhook.
    const busy = crypto.randomUUID()
    const copy = (table: string, change: object, where: string) =>
      stage.sql(`insert into buildkite.${table} select (json_populate_record(t, '${JSON.stringify(change)}')).*
        from buildkite.${table} t where ${where} limit 1`)
    await copy('organizations', { id: busy, slug: 'busy', verified_at: null }, `slug = 'acme'`)
    const now = new Date(Date.now() - MINUTE)
    const viaWebhook = { first_seen_via: 'webhook', created_at: now }
    await copy('builds', { id: crypto.randomUUID(), organization_id: busy, ...viaWebhook }, 'true')
    await stage.sql(delivery('applied', SECOND))
    const silent = async () => {
      const { findings } = await stage.look()
      return findings.filter(({ name }) => name === 'webhook_silence').map(({ subject, result }) => [subject, result])
    }
    expect(await silent()).toEqual([
      ['acme', 'warning'],
      ['busy', 'ok'],
    ])
    const ofAcme = `from buildkite.builds where organization_id <> '${busy}'`
    // One build alone may have been seen in the second before its webhook.
    await stage.sql(`update buildkite.builds set state = 'not_run' where id in (select id ${ofAcme} offset 1)`)
    expect(await silent()).toContainEqual(['acme', 'ok'])
    await stage.sql(`update buildkite.builds set state = 'passed'`)
    expect(await silent()).toContainEqual(['acme', 'warning'])
    // A pending delivery may report them.
    await stage.sql(delivery('pending', HOUR))
    expect(await silent()).toEqual([])
    await stage.sql('delete from sync.deliveries')
    // Webhooks come again: they report a job of the newest build.
    const newest = `(select id ${ofAcme} and id in (select build_id from buildkite.jobs) limit 1)`
    await stage.sql(`update buildkite.builds set created_at = ${ago(5 * MINUTE)} where id = ${newest}`)
    expect(await silent()).toContainEqual(['acme', 'warning'])
    await stage.sql(`update buildkite.jobs set first_seen_via = 'webhook' where build_id =
      (select id ${ofAcme} order by created_at desc limit 1)`)
    expect(await silent()).toContainEqual(['acme', 'ok'])
  })

  it('reports silence even if the newest builds are all from the last minutes', async () => {
    await stage.sql(`update buildkite.organizations set first_seen_at = ${ago(3 * HOUR)}`)
    await stage.sql(`update buildkite.builds set created_at = ${ago(HOUR)}`)
    await stage.sql(`insert into buildkite.builds
      select (json_populate_record(b, json_build_object('id', gen_random_uuid(), 'created_at', ${ago(MINUTE)}))).*
      from buildkite.builds b, generate_series(1, 100) where b.id = (select id from buildkite.builds limit 1)`)
    const { findings } = await stage.look()
    expect(namesOf(findings)).toEqual(['claim_lag warning', 'webhook_silence warning'])
    const finding = findings.find(({ name }) => name === 'webhook_silence')
    expect(finding?.detail).toMatch(/^No webhook arrived for its last 30 or more builds, the first of them created 1h/)
  })

  it('does without the right to look at services', async () => {
    token({ scopes: without('read_notification_services', 'write_notification_services') })
    const { findings } = await stage.look()
    expect(faultsIn(findings)).toEqual([])
    expect(findings.find(({ name }) => name === 'webhook_check_skipped')?.detail).toContain(
      'read_notification_services',
    )
  })

  it('sends Buildkite no more than one request for each organization, in addition to those of the tokens', async () => {
    stage.scene.api.forget()
    await stage.look()
    expect(stage.scene.api.requests.map(({ kind }) => kind)).toEqual(['access-token', 'organizations', 'services'])
  })
})

describe('judgements', () => {
  const facts = { version: 150_020, readOnly: false, jit: false, connections: 97, databaseBytes: 1e9 }
  const gib = 1024 ** 3

  it('find a Postgres that is too old, and few connections only where the queue needs them too', () => {
    expect(namesOf(checkPostgresState({ ...facts, version: 130_011 }, false))).toEqual(['postgres_version failed'])
    expect(namesOf(checkPostgresState({ ...facts, connections: 20 }, false))).toEqual([])
    expect(namesOf(checkPostgresState({ ...facts, connections: 20 }, true))).toEqual(['postgres_connections warning'])
  })

  it('find a disk that fills up', () => {
    const free = (freeBytes: number) => namesOf(checkDisk(20 * gib, { freeBytes, folder: './data' }))
    expect(free(10 * gib)).toEqual([])
    expect(free(2 * gib)).toEqual(['disk_space warning'])
    expect(free(gib / 10)).toEqual(['disk_space failed'])
  })

  it('call clocks apart only by what the whole seconds of a header prove', () => {
    expect(namesOf(checkClock({ low: -900, high: 999 }, 5 * MINUTE))).toEqual([])
    expect(namesOf(checkClock({ low: -31_000, high: -30_000 }, 5 * MINUTE))).toEqual(['clock_skew warning'])
    expect(namesOf(checkClock({ low: 10 * MINUTE, high: 11 * MINUTE }, 5 * MINUTE))).toEqual(['clock_skew failed'])
  })

  it('find a pipeline that is named and not there', () => {
    const seen = [{ id: '1', slug: 'shop', archived: false }]
    expect(namesOf(checkNamedPipelines(['shop', 'web-*'], seen))).toEqual([])
    expect(namesOf(checkNamedPipelines(['shopp'], seen))).toEqual(['pipelines_hidden warning'])
  })
})

it('a fault of each name is planted', () => {
  const judged = ['postgres_unreachable', 'postgres_version', 'postgres_connections', 'disk_space']
  const found = new Set([...planted.flatMap(({ finds }) => finds.map((one) => one.split(' ')[0])), ...judged])
  expect(Object.keys(checkNames).filter((name) => !found.has(name))).toEqual([])
})
