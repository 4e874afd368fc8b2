import { execFileSync, spawnSync } from 'node:child_process'
import { readdirSync, readFileSync } from 'node:fs'
import { BlockList } from 'node:net'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { z } from 'zod'
import { type KubernetesObject, readObjects, renderKustomization } from './support/kustomization.ts'

const folder = fileURLToPath(new URL('../docs/deploy/kubernetes', import.meta.url))
const objects = renderKustomization(folder)
const ofKind = (kind: string) => objects.filter((one) => one.kind === kind)
const byName = (a: KubernetesObject, b: KubernetesObject) =>
  `${a.kind} ${a.metadata.name}`.localeCompare(`${b.kind} ${b.metadata.name}`)

const hasKubectl = spawnSync('kubectl', ['version', '--client']).status === 0
it.skipIf(!hasKubectl && !process.env.CI)(
  'kubectl renders the kustomization to the objects that these tests check',
  () => {
    const rendered = readObjects(execFileSync('kubectl', ['kustomize', folder], { encoding: 'utf8' }))
    expect(rendered.sort(byName)).toEqual(objects.toSorted(byName))
  },
)

it('the kustomization names every manifest of its folder', () => {
  const files = readdirSync(folder).filter((name) => name.endsWith('.yaml') && name !== 'kustomization.yaml')
  const { resources } = z
    .object({ resources: z.array(z.string()) })
    .parse(parse(readFileSync(join(folder, 'kustomization.yaml'), 'utf8')))
  expect(resources.sort()).toEqual(files.sort())
})

const securityContext = z
  .looseObject({
    runAsNonRoot: z.boolean().optional(),
    runAsUser: z.number().optional(),
    privileged: z.boolean().default(false),
    allowPrivilegeEscalation: z.boolean().optional(),
    readOnlyRootFilesystem: z.boolean().default(false),
    capabilities: z.object({ add: z.array(z.string()).default([]), drop: z.array(z.string()).default([]) }).optional(),
    seccompProfile: z.object({ type: z.string() }).optional(),
    seLinuxOptions: z.unknown().optional(),
    appArmorProfile: z.unknown().optional(),
    procMount: z.string().optional(),
    sysctls: z.array(z.unknown()).default([]),
    windowsOptions: z.unknown().optional(),
  })
  .prefault({})
const container = z.looseObject({
  name: z.string(),
  securityContext,
  ports: z.array(z.looseObject({ hostPort: z.number().optional() })).default([]),
  resources: z.object({ limits: z.record(z.string(), z.string()).default({}) }).prefault({}),
})
const podSpec = z.looseObject({
  hostNetwork: z.boolean().default(false),
  hostPID: z.boolean().default(false),
  hostIPC: z.boolean().default(false),
  automountServiceAccountToken: z.boolean().default(true),
  securityContext,
  volumes: z.array(z.looseObject({ name: z.string() })).default([]),
  containers: z.array(container).min(1),
  initContainers: z.array(container).default([]),
  ephemeralContainers: z.array(container).default([]),
})
const allowedVolumes = 'configMap csi downwardAPI emptyDir ephemeral persistentVolumeClaim projected secret'.split(' ')

/** Violations of the restricted Pod Security Standard (kubernetes.io/docs/concepts/security/pod-security-standards), and of our own additions. */
function violations(given: unknown): string[] {
  const pod = podSpec.parse(given)
  const found: string[] = []
  const check = (isFine: boolean, rule: string) => void (isFine || found.push(rule))
  check(!pod.hostNetwork && !pod.hostPID && !pod.hostIPC, 'host namespaces')
  check(!pod.automountServiceAccountToken, 'ours: no token of the API server')
  for (const { name, ...source } of pod.volumes) {
    check(
      Object.keys(source).every((type) => allowedVolumes.includes(type)),
      `volume ${name}`,
    )
  }
  const all = [...pod.containers, ...pod.initContainers, ...pod.ephemeralContainers]
  for (const { securityContext: own, ports, resources } of all) {
    const inherited = pod.securityContext
    for (const context of [own, inherited]) {
      check(!context.privileged, 'privileged')
      check(context.runAsUser !== 0, 'runs as root')
      check(context.seLinuxOptions === undefined && context.appArmorProfile === undefined, 'SELinux or AppArmor')
      check((context.procMount ?? 'Default') === 'Default' && context.sysctls.length === 0, 'procMount or sysctls')
      check(context.windowsOptions === undefined, 'host process')
    }
    check(own.allowPrivilegeEscalation === false, 'privilege escalation')
    check(own.runAsNonRoot ?? inherited.runAsNonRoot ?? false, 'runAsNonRoot')
    check(own.capabilities?.drop.includes('ALL') ?? false, 'capabilities are not dropped')
    check(own.capabilities?.add.every((one) => one === 'NET_BIND_SERVICE') ?? true, 'capabilities are added')
    const seccomp = (own.seccompProfile ?? inherited.seccompProfile)?.type
    check(seccomp === 'RuntimeDefault' || seccomp === 'Localhost', 'seccomp')
    check(
      ports.every(({ hostPort }) => hostPort === undefined),
      'host port',
    )
    check(own.readOnlyRootFilesystem, 'ours: read-only root')
    check('memory' in resources.limits, 'ours: memory limit')
  }
  return [...new Set(found)]
}

describe('pods', () => {
  const workload = z.object({ spec: z.object({ template: z.object({ spec: z.looseObject({}) }) }) })
  const pods = [...ofKind('Deployment'), ...ofKind('Job')].map(
    (one) => [one.metadata.name, workload.parse(one).spec.template.spec] as const,
  )

  it('there is one for each role and for the migration', () => expect(pods.length).toBe(4))

  it.each(pods)('%s meets the restricted Pod Security Standard', (_name, spec) => expect(violations(spec)).toEqual([]))

  it('the namespace enforces it', () => {
    expect(ofKind('Namespace')[0]?.metadata).toMatchObject({
      labels: { 'pod-security.kubernetes.io/enforce': 'restricted' },
    })
  })

  type Pod = Record<string, unknown>
  const change = (own: object) => (pod: Pod) => {
    const [first] = z.array(z.looseObject({ securityContext: z.looseObject({}) })).parse(pod.containers)
    return { ...pod, containers: [{ ...first, securityContext: { ...first?.securityContext, ...own } }] }
  }
  it.each<[string, (pod: Pod) => Pod]>([
    ['host namespaces', (pod) => ({ ...pod, hostPID: true })],
    ['volume x', (pod) => ({ ...pod, volumes: [{ name: 'x', hostPath: { path: '/' } }] })],
    ['ours: no token of the API server', ({ automountServiceAccountToken: _, ...pod }) => pod],
    ['privileged', change({ privileged: true })],
    ['runs as root', change({ runAsUser: 0 })],
    ['privilege escalation', change({ allowPrivilegeEscalation: undefined })],
    ['runAsNonRoot', change({ runAsNonRoot: false })],
    ['capabilities are not dropped', change({ capabilities: { drop: ['NET_RAW'] } })],
    ['capabilities are added', change({ capabilities: { drop: ['ALL'], add: ['SYS_ADMIN'] } })],
    ['seccomp', change({ seccompProfile: { type: 'Unconfined' } })],
    ['ours: read-only root', change({ readOnlyRootFilesystem: false })],
  ])('a pod with this fault is found: %s', (rule, spoil) => {
    const [, spec] = pods[0] ?? []
    expect(violations(spoil(spec ?? {}))).toEqual([rule])
  })
})

const labels = z.record(z.string(), z.string())
const selector = z.strictObject({
  matchLabels: labels.default({}),
  matchExpressions: z
    .array(z.strictObject({ key: z.string(), operator: z.literal('In'), values: z.array(z.string()) }))
    .default([]),
})
const peer = z.strictObject({
  namespaceSelector: selector.optional(),
  podSelector: selector.optional(),
  ipBlock: z.strictObject({ cidr: z.string(), except: z.array(z.string()).default([]) }).optional(),
})
const ports = z.array(z.strictObject({ protocol: z.enum(['TCP', 'UDP']), port: z.number() }))
const policy = z.object({
  spec: z.strictObject({
    podSelector: selector.prefault({}),
    policyTypes: z.array(z.enum(['Ingress', 'Egress'])),
    ingress: z.array(z.strictObject({ from: z.array(peer).min(1), ports })).default([]),
    egress: z.array(z.strictObject({ to: z.array(peer).min(1), ports })).default([]),
  }),
})

describe('network policies', () => {
  const policies = ofKind('NetworkPolicy').map((one) => policy.parse(one).spec)
  interface Endpoint {
    namespace?: string
    labels?: Record<string, string>
    address?: string
  }
  const matches = (wanted: z.output<typeof selector>, given: Record<string, string>) =>
    Object.entries(wanted.matchLabels).every(([key, value]) => given[key] === value) &&
    wanted.matchExpressions.every(({ key, values }) => values.includes(given[key] ?? ''))
  const contains = (cidr: string, address: string) => {
    const [network = '', bits] = cidr.split('/')
    const list = new BlockList()
    list.addSubnet(network, Number(bits))
    return list.check(address)
  }
  const isPeer = ({ namespaceSelector, podSelector, ipBlock }: z.output<typeof peer>, other: Endpoint) => {
    if (ipBlock) {
      const { address = '' } = other
      return contains(ipBlock.cidr, address) && !ipBlock.except.some((cidr) => contains(cidr, address))
    }
    const namespace = { 'kubernetes.io/metadata.name': other.namespace ?? 'buildkite-mirror' }
    return (
      (!namespaceSelector || matches(namespaceSelector, namespace)) &&
      (!podSelector || matches(podSelector, other.labels ?? {}))
    )
  }
  /** Whether the policies let one of our pods talk in this direction, as the API documents it: denied once selected, unless a rule allows it. */
  function isAllowed(
    direction: 'Ingress' | 'Egress',
    component: string,
    other: Endpoint,
    port: number,
    protocol = 'TCP',
  ) {
    const own = { 'app.kubernetes.io/name': 'buildkite-mirror', 'app.kubernetes.io/component': component }
    const selecting = policies.filter((one) => one.policyTypes.includes(direction) && matches(one.podSelector, own))
    if (selecting.length === 0) return true
    const rules = selecting.flatMap((one) =>
      direction === 'Ingress'
        ? one.ingress.map(({ from, ports }) => ({ peers: from, ports }))
        : one.egress.map(({ to, ports }) => ({ peers: to, ports })),
    )
    return rules.some(
      (rule) =>
        rule.peers.some((one) => isPeer(one, other)) &&
        rule.ports.some((one) => one.port === port && one.protocol === protocol),
    )
  }

  const controller = { namespace: 'ingress-nginx' }
  const monitoring = { namespace: 'monitoring' }
  const neighbour = { namespace: 'default' }
  it.each([
    [true, 'web', controller, 8080],
    [false, 'web', controller, 8081],
    [false, 'worker', controller, 8080],
    [true, 'web', monitoring, 8081],
    [true, 'worker', monitoring, 8081],
    [true, 'reconciler', monitoring, 8081],
    [false, 'web', monitoring, 8080],
    [false, 'web', neighbour, 8080],
    [false, 'web', neighbour, 8081],
    [false, 'reconciler', {}, 8081],
  ] as const)('%s: to %s from %o on %i', (expected, component, from, port) => {
    expect(isAllowed('Ingress', component, from, port)).toBe(expected)
  })

  const dns = { namespace: 'kube-system', labels: { 'k8s-app': 'kube-dns' } }
  const inside = { address: '10.1.2.3' }
  const buildkite = { address: '203.0.113.7' }
  const metadata = { address: '169.254.169.254' }
  it.each([
    ...['web', 'worker', 'reconciler', 'migrate'].flatMap(
      (component) =>
        [
          [true, component, dns, 53],
          [true, component, inside, 5432],
          [component !== 'migrate', component, inside, 6379],
          [component === 'web' || component === 'reconciler', component, buildkite, 443],
          [false, component, buildkite, 80],
          [false, component, inside, 443],
          [false, component, metadata, 80],
          [false, component, metadata, 443],
          [false, component, neighbour, 8080],
        ] as const,
    ),
  ])('%s: from %s to %o on %i', (expected, component, to, port) => {
    expect(isAllowed('Egress', component, to, port)).toBe(expected)
  })

  it('deny everything to pods that no other policy names', () => {
    expect(isAllowed('Ingress', 'stranger', controller, 8080)).toBe(false)
    expect(isAllowed('Egress', 'stranger', buildkite, 443)).toBe(false)
  })
})

it('Prometheus scrapes the private port of each pod as the job that the alerts select', () => {
  const service = z
    .object({
      metadata: z.object({ labels }),
      spec: z.object({ selector: labels, ports: z.array(z.object({ name: z.string(), targetPort: z.string() })) }),
    })
    .parse(ofKind('Service').find(({ metadata }) => metadata.name === 'buildkite-mirror-private'))
  const monitor = z
    .object({
      spec: z.object({
        jobLabel: z.string(),
        selector: z.object({ matchLabels: labels }),
        endpoints: z.tuple([
          z.object({
            port: z.string(),
            path: z.literal('/metrics'),
            authorization: z.object({ type: z.literal('Bearer'), credentials: z.object({ key: z.string() }) }),
          }),
        ]),
      }),
    })
    .parse(ofKind('ServiceMonitor')[0]).spec
  expect(service.metadata.labels).toMatchObject(monitor.selector.matchLabels)
  expect(service.metadata.labels[monitor.jobLabel]).toBe('buildkite-mirror')
  expect(service.spec.ports).toEqual([{ name: monitor.endpoints[0].port, targetPort: 'private' }])
  const { matchLabels } = z
    .object({ spec: z.object({ selector: z.object({ matchLabels: labels }) }) })
    .parse(ofKind('Deployment')[0]).spec.selector
  expect(matchLabels).toMatchObject(service.spec.selector)
})
