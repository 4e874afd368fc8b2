import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { readConfig, settings } from '../src/runtime/config.ts'
import { renderKustomization } from './support/kustomization.ts'

const root = new URL('../', import.meta.url)
const read = (path: string) => readFileSync(new URL(path, root), 'utf8')
const names = settings.map(({ name }): string => name)

describe('docs/deploy/kubernetes', () => {
  const probe = z.object({ httpGet: z.object({ path: z.string(), port: z.string() }) })
  const variable = z.object({ name: z.string(), value: z.string().optional(), valueFrom: z.unknown().optional() })
  const container = z.object({
    image: z.string(),
    command: z.array(z.string()).optional(),
    env: z.array(variable),
    envFrom: z.array(z.object({ configMapRef: z.object({ name: z.string() }) })).default([]),
    ports: z.array(z.object({ name: z.string(), containerPort: z.number() })).default([]),
    startupProbe: probe.optional(),
    livenessProbe: probe.optional(),
    readinessProbe: probe.optional(),
  })
  const labels = z.record(z.string(), z.string())
  const workload = z.object({
    kind: z.enum(['Deployment', 'Job']),
    metadata: z.object({ name: z.string() }),
    spec: z.object({
      replicas: z.number().optional(),
      selector: z.object({ matchLabels: labels }).optional(),
      template: z.object({
        metadata: z.object({ labels }),
        spec: z.object({
          terminationGracePeriodSeconds: z.number().optional(),
          containers: z.tuple([container]),
        }),
      }),
    }),
  })
  const documents = renderKustomization(fileURLToPath(new URL('docs/deploy/kubernetes', root)))
  const ofKind = (kind: string) => documents.filter((one) => one.kind === kind)
  const workloads = [...ofKind('Deployment'), ...ofKind('Job')].map((one) => workload.parse(one))
  const deployments = workloads.filter(({ kind }) => kind === 'Deployment')
  const common = z.object({ data: z.record(z.string(), z.string()) }).parse(ofKind('ConfigMap')[0]).data

  it('has a workload for every role, and a Job that migrates', () => {
    expect(workloads.map(({ metadata }) => metadata.name).sort()).toEqual(
      ['migrate', 'reconciler', 'web', 'worker'].map((name) => `buildkite-mirror-${name}`),
    )
    const [job] = workloads.filter(({ kind }) => kind === 'Job')
    expect(job?.spec.template.spec.containers[0].command).toEqual(['node', 'dist/cli.js', 'migrate', '--roles'])
  })

  it('names no setting that does not exist, and takes secrets by reference alone', () => {
    const variables = workloads.flatMap(({ spec }) => spec.template.spec.containers[0].env)
    const used = [...Object.keys(common), ...variables.map(({ name }) => name)]
    expect(used.length).toBeGreaterThan(10)
    expect(used.filter((name) => !names.includes(name))).toEqual([])
    const secret = /TOKEN|SECRET|_URL$/
    expect(variables.filter(({ name, value }) => secret.test(name) && value !== undefined)).toEqual([])
    expect(Object.keys(common).filter((name) => secret.test(name))).toEqual([])
  })

  it.each(deployments.map((one) => [one.metadata.name, one] as const))(
    '%s starts with these settings',
    (name, { spec }) => {
      const [only] = spec.template.spec.containers
      expect(only.envFrom).toEqual([{ configMapRef: { name: 'buildkite-mirror' } }])
      const sample: Record<string, string> = {
        DATABASE_URL: 'postgres://u:p@db/x',
        REDIS_URL: 'redis://r:6379',
        BUILDKITE_API_TOKEN: 't',
        WEBHOOK_SECRET: 's'.repeat(16),
        ADMIN_TOKEN: 'a'.repeat(16),
      }
      const env = Object.fromEntries(only.env.map((one) => [one.name, one.value ?? sample[one.name]]))
      const config = readConfig({ ...common, ...env })
      expect([...config.roles]).toEqual([name.replace('buildkite-mirror-', '')])
      expect(config.autoMigrate).toBe(false)
      expect(only.ports).toEqual([
        { name: 'public', containerPort: config.port },
        { name: 'private', containerPort: config.adminPort },
      ])
      // The reconciler's hourly look compares it with the webhook's token in Buildkite.
      expect(config.roles.has('web') || config.roles.has('reconciler')).toBe(config.webhookSecrets.length > 0)
      expect(config.roles.has('reconciler')).toBe(config.apiTokens.length > 0)
    },
  )

  it.each(deployments.map((one) => [one.metadata.name, one] as const))(
    '%s is probed where health answers, and has time to close',
    (_name, { spec }) => {
      const [only] = spec.template.spec.containers
      const routes = read('src/http/status/health.ts')
      for (const [asked, path] of [
        [only.startupProbe, '/health/live'],
        [only.livenessProbe, '/health/live'],
        [only.readinessProbe, '/health/ready'],
      ] as const) {
        expect(asked?.httpGet).toEqual({ path, port: 'public' })
        expect(routes).toContain(`app.get('${path}'`)
      }
      // 25 s of closing, after a preStop of 5 s.
      expect(spec.template.spec.terminationGracePeriodSeconds).toBeGreaterThan(30)
      expect(spec.selector?.matchLabels).toEqual(spec.template.metadata.labels)
    },
  )

  it('lets the world in to the webhook alone, and keeps a receiver through every disruption', () => {
    const service = z
      .object({ spec: z.object({ selector: labels, ports: z.array(z.object({ targetPort: z.string() })) }) })
      .parse(ofKind('Service')[0])
    const web = deployments.find(({ metadata }) => metadata.name === 'buildkite-mirror-web')
    expect(service.spec.selector).toEqual(web?.spec.template.metadata.labels)
    expect(service.spec.ports.map(({ targetPort }) => targetPort)).toEqual(['public'])
    expect(JSON.stringify(ofKind('Ingress'))).toContain('"path":"/webhooks/buildkite","pathType":"Exact"')
    const budget = z
      .object({ spec: z.object({ minAvailable: z.number(), selector: z.object({ matchLabels: labels }) }) })
      .parse(ofKind('PodDisruptionBudget')[0])
    expect(budget.spec.selector.matchLabels).toEqual(web?.spec.template.metadata.labels)
    expect(web?.spec.replicas).toBeGreaterThan(budget.spec.minAvailable)
  })

  it('is the same image everywhere, of this version', () => {
    const images = new Set(workloads.map(({ spec }) => spec.template.spec.containers[0].image))
    const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('package.json')))
    expect([...images]).toEqual([`registry.example/buildkite-mirror:${version}`])
  })
})

describe.each(['docker-compose.yml', 'docs/deploy/compose.split.yml'])('%s', (path) => {
  const service = z.object({
    environment: z.record(z.string(), z.string().nullable()).optional(),
    command: z.unknown().optional(),
    extends: z.object({ file: z.string(), service: z.string() }).optional(),
  })
  const { services } = z.object({ services: z.record(z.string(), service) }).parse(parse(read(path), { merge: true }))
  const ours = Object.entries(services).filter(([, { environment }]) => environment && 'ADMIN_HOST' in environment)

  it('hands on every setting that a container can have, and no other but those of OpenTelemetry', () => {
    expect(ours.length).toBeGreaterThan(0)
    // Fixed by the image: where it listens, and that there is no embedded PostgreSQL.
    const common = names.filter((name) => !['DATA_DIR', 'HOST', 'PORT', 'ADMIN_PORT', 'ROLES'].includes(name))
    for (const [, { environment = {} }] of ours) {
      const role = environment.ROLES ?? 'all'
      const wanted = common.filter(
        (name) =>
          !(name === 'BUILDKITE_API_TOKEN' && /^(web|worker)$/.test(role)) &&
          !(name === 'WEBHOOK_SECRET' && role === 'worker'),
      )
      const given = Object.keys(environment).filter(
        (name) => name !== 'ROLES' && (!name.startsWith('OTEL_') || names.includes(name)),
      )
      expect(given.sort()).toEqual(wanted.sort())
    }
  })

  it('extends only what is there', () => {
    const base = z
      .object({ services: z.record(z.string(), z.unknown()) })
      .parse(parse(read('docker-compose.yml'), { merge: true }))
    const extended = Object.values(services).flatMap((one) => (one.extends ? [one.extends] : []))
    for (const { file, service: name } of extended)
      expect([file, name in base.services]).toEqual(['../../docker-compose.yml', true])
  })
})

it('docs/deploy/compose.split.yml runs each role once, and migrates in one place', () => {
  const { services } = z
    .object({ services: z.record(z.string(), z.object({ environment: z.record(z.string(), z.unknown()).optional() })) })
    .parse(parse(read('docs/deploy/compose.split.yml'), { merge: true }))
  const roles = Object.values(services).flatMap(({ environment }) => (environment?.ROLES ? [environment.ROLES] : []))
  expect(roles.sort()).toEqual(['reconciler', 'web', 'worker'])
  expect(services.migrate).toBeDefined()
  expect(Object.values(services).filter((one) => one.environment?.AUTO_MIGRATE === 'false')).toHaveLength(3)
})
