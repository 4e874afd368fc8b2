import { execFileSync } from 'node:child_process'
import { existsSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { z } from 'zod'
import { readCompose } from './support/compose.ts'

const root = fileURLToPath(new URL('../', import.meta.url))
const read = (path: string) => readFileSync(join(root, path), 'utf8')
const { version } = z.object({ version: z.string() }).parse(JSON.parse(read('package.json')))
const files = ['docker-compose.yml', 'docs/deploy/compose.split.yml'] as const

describe.each(files)('%s', (path) => {
  const compose = readCompose(join(root, path))
  const services = Object.entries(compose.services)

  it.each(services)('%s cannot write its image, has no privileges, and has limits', (_name, service) => {
    expect(service).toMatchObject({ read_only: true, cap_drop: ['ALL'], security_opt: ['no-new-privileges:true'] })
    expect(service.user).toMatch(/^(node|postgres|redis|nobody|grafana)$/)
    expect(service.mem_limit).toMatch(/^\d+[mg]$/)
    expect(service.cpus).toBeGreaterThan(0)
    expect(service.pids_limit).toBeGreaterThan(0)
    expect(service).not.toHaveProperty('privileged')
    expect(service).not.toHaveProperty('cap_add')
  })

  it.each(services)(
    '%s has an exact image, a health check, and only mounts that cannot be written',
    (name, service) => {
      if (service.build) expect(service.image).toBe(`\${MIRROR_IMAGE:-buildkite-mirror}:\${MIRROR_TAG:-${version}}`)
      else expect(service.image).toMatch(/^[a-z/]+:v?\d+\.\d+(\.\d+)?(@sha256:[0-9a-f]{64})?$/)
      // Ours is in the Dockerfile.
      if (service.build) expect(read('Dockerfile')).toContain('\nHEALTHCHECK ')
      else expect(service.healthcheck?.test).toBeDefined()
      for (const mount of service.volumes) {
        const [from = '', , mode] = mount.split(':')
        if (!from.startsWith('.')) continue
        expect([name, mount, mode]).toEqual([name, mount, 'ro'])
        expect([from, existsSync(join(dirname(service.file), from))]).toEqual([from, true])
      }
    },
  )

  const peers = (name: string) => {
    const own = compose.services[name]?.networks ?? []
    return services.filter(([other, { networks }]) => other !== name && networks.some((one) => own.includes(one)))
  }

  it('keeps the stores on networks without a way out, and shows each service only what it needs', () => {
    for (const store of ['postgres', 'redis']) {
      const { networks = [], ports = [] } = compose.services[store] ?? {}
      expect(networks.length).toBeGreaterThan(0)
      expect(networks.filter((network) => !compose.networks[network]?.internal)).toEqual([])
      expect(ports).toEqual([])
    }
    const ours = services.filter(([, { build }]) => build).map(([name]) => name)
    expect(peers('redis').map(([name]) => name)).toEqual([...ours, 'postgres'].sort(inOrderOf(services)))
    if (compose.services.grafana) expect(peers('grafana').map(([name]) => name)).toEqual(['postgres', 'prometheus'])
    const open = services.filter(([, { networks }]) => networks.includes('public')).map(([name]) => name)
    expect(open).toEqual([path === 'docker-compose.yml' ? 'mirror' : 'web'])
  })

  it('publishes on this machine only, unless PUBLIC_ADDRESS opens the receiver', () => {
    const ports = services.flatMap(([, service]) => service.ports)
    expect(ports.length).toBeGreaterThan(1)
    const elsewhere = ports.filter((port) => !port.startsWith('127.0.0.1:'))
    // biome-ignore lint/suspicious/noTemplateCurlyInString: Compose replaces it.
    expect(elsewhere).toEqual(['${PUBLIC_ADDRESS:-127.0.0.1}:${PORT:-8080}:8080'])
  })

  it('gives nobody but Postgres itself the superuser, and each process a user of its own', () => {
    const holders = services.filter(([, service]) => JSON.stringify(service).includes('{POSTGRES_PASSWORD'))
    expect(holders.map(([name]) => name)).toEqual(['postgres'])
    const users = services.flatMap(([, { environment, build }]) =>
      build ? [/^postgres:\/\/(\w+):\$\{(\w+):\?/.exec(environment.DATABASE_URL ?? '')?.slice(1, 3)] : [],
    )
    expect(users.length).toBeGreaterThan(1)
    expect(new Set(users.map((one) => one?.[0])).size).toBe(users.length)
    const script = read('docs/deploy/postgres/roles.sh')
    for (const [user = '', variable = ''] of users.map((one) => one ?? [])) {
      expect(script).toMatch(new RegExp(`\\('${user}', :'${variable.split('_')[1]?.toLowerCase()}', 'buildkite_`))
    }
  })

  it('refuses to start without a secret, and .env.example names every one', () => {
    const values = [...read(path).matchAll(/\$\{(\w*(?:PASSWORD|TOKEN|SECRET))(:[-?][^}]*)?\}/g)]
    expect(values.length).toBeGreaterThan(4)
    const example = read('.env.example')
    for (const [, name = '', otherwise = ''] of values) {
      expect(example).toMatch(new RegExp(`^${name}=GENERATE$`, 'm'))
      // Those of users that only the other file needs, and of Grafana, which refuses by itself.
      const isOptional = /^POSTGRES_(WEB|WORKER|RECONCILER)_PASSWORD$|^GRAFANA_PASSWORD$/.test(name)
      expect([name, otherwise]).toEqual([name, isOptional && otherwise === ':-' ? ':-' : ':?see .env.example'])
    }
  })
})

it('the command in .env.example makes a file with a long random value of its own for each secret', () => {
  const example = read('.env.example')
  const command = /^# {3}(\(umask 077; .*) > \.env\)$/m.exec(example)?.[1]
  const made = execFileSync('sh', ['-c', `${command})`], { cwd: root, encoding: 'utf8' })
  const secrets = [...made.matchAll(/^(\w+)=([0-9a-f]{48})$/gm)]
  expect(secrets.map(([, name]) => name)).toEqual([...example.matchAll(/^(\w+)=GENERATE$/gm)].map(([, name]) => name))
  expect(new Set(secrets.map(([, , value]) => value)).size).toBe(secrets.length)
  expect(made).toContain(`\nMIRROR_TAG=${version}\n`)
})

it('the image and the base of it have exact tags', () => {
  const bases = [...read('Dockerfile').matchAll(/^FROM (\S+)/gm)].map(([, base]) => base)
  expect(new Set(bases).size).toBe(1)
  expect(bases[0]).toMatch(/^node:\d+\.\d+\.\d+-bookworm-slim(@sha256:[0-9a-f]{64})?$/)
  expect(read('.github/renovate.json')).toContain('"docker:pinDigests"')
})

const inOrderOf = (services: readonly (readonly [string, unknown])[]) => (a: string, b: string) =>
  services.findIndex(([name]) => name === a) - services.findIndex(([name]) => name === b)
