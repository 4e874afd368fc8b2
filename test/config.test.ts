import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { readConfig, settings } from '../src/runtime/config.ts'
import { ConfigError } from '../src/runtime/errors.ts'

const LONG = 'sixteen-letters.'

function faultOf(env: Record<string, string>): string {
  try {
    readConfig(env)
  } catch (error) {
    if (error instanceof ConfigError) return error.message
    throw error
  }
  throw new Error('The configuration was accepted.')
}

describe('readConfig', () => {
  it('has a default for everything', () => {
    expect(readConfig({})).toMatchObject({
      databaseUrl: undefined,
      redisUrl: undefined,
      apiTokens: [],
      apiUrl: 'https://api.buildkite.com/v2',
      webhookAuth: 'signature',
      webhookToleranceMs: 300_000,
      reconcileIntervalMs: 60_000,
      port: 8080,
      adminPort: 8081,
      storeEnv: false,
      roles: new Set(['web', 'worker', 'reconciler']),
    })
  })

  it('takes an empty variable as not set', () => {
    expect(readConfig({ DATABASE_URL: '', PORT: ' ', WEBHOOK_SECRET: '' })).toMatchObject({
      databaseUrl: undefined,
      port: 8080,
      webhookSecrets: [],
    })
  })

  it('splits lists', () => {
    const WEBHOOK_SECRET = `new-${LONG},old-${LONG}`
    const config = readConfig({ BUILDKITE_API_TOKEN: 'one, two,', WEBHOOK_SECRET, ROLES: 'worker' })
    expect(config).toMatchObject({
      apiTokens: ['one', 'two'],
      webhookSecrets: [`new-${LONG}`, `old-${LONG}`],
      roles: new Set(['worker']),
    })
  })

  it('names every wrong variable at once, with its fault and the remedy', () => {
    const fault = faultOf({
      PORT: 'eighty',
      DATABASE_URL: 'mysql://u:hunter2@x',
      RECONCILE_INTERVAL: 'often',
      API_BUDGET_SHARE: '2',
      STORE_ENV: 'maybe',
      ROLES: 'web,king',
      WEBHOOK_AUTH: 'none',
    })
    expect(fault.split('\n')).toEqual([
      'DATABASE_URL is not a postgres: or postgresql: URL. Write it like postgres://user:password@host:5432/buildkite.',
      'WEBHOOK_AUTH is "none". Use signature or token.',
      'PORT is "eighty". Use a whole number from 0 to 65535.',
      'RECONCILE_INTERVAL is "often", not a duration. Write it like 30s, 5m or 2h.',
      'API_BUDGET_SHARE is "2". Use a share above 0 and up to 1, such as 0.5.',
      'STORE_ENV is "maybe". Use true or false.',
      'ROLES names "king". Use any of web, worker, reconciler.',
    ])
    expect(fault).not.toContain('hunter2')
  })

  it('repeats no value that may be a secret in the wrong line, nor one that breaks the line', () => {
    const fault = faultOf({
      PORT: 'bkua_0123456789abcdef',
      WEBHOOK_AUTH: 'a\nb',
      ROLES: 'postgres://u:hunter2@host/db',
    })
    expect(fault.split('\n')).toHaveLength(3)
    expect(fault).not.toMatch(/bkua_|hunter2/)
  })

  it.each<[string, string]>([
    ['RECONCILE_INTERVAL', '25d'],
    ['WEBHOOK_TOLERANCE', '0.1ms'],
    ['BUILDKITE_API_TOKEN', 'tokén'],
    ['ADMIN_TOKEN', 'a\r\nb'],
    ['BUILDKITE_API_URL', 'https://user@api.example/v2'],
    ['BUILDKITE_API_URL', 'https://api.example/v2?x=1'],
    ['DATABASE_URL', 'postgres://u:p%ZZ@host/db'],
    ['WEBHOOK_ALLOWED_IPS', 'everyone'],
    ['WEBHOOK_ALLOWED_IPS', ','],
    ['TRUST_PROXY', '10.0.0.0/33'],
    ['ADMIN_HOST', '127.0.0.1.evil.example'],
  ])('refuses %s=%j, which would break or open something later', (name, value) => {
    expect(faultOf({ [name]: value })).toContain(name)
  })

  it('reads lists of addresses', () => {
    expect(readConfig({ WEBHOOK_ALLOWED_IPS: 'buildkite' }).webhookAllowedIps).toBe('buildkite')
    const config = readConfig({ WEBHOOK_ALLOWED_IPS: '192.0.2.0/24, 2001:db8::1', TRUST_PROXY: '10.0.0.1' })
    expect(config.webhookAllowedIps).toEqual([
      { address: '192.0.2.0', prefix: 24 },
      { address: '2001:db8::1', prefix: 128 },
    ])
    expect(config.trustProxy).toEqual([{ address: '10.0.0.1', prefix: 32 }])
  })

  it.each(['http://api.buildkite.com/v2', 'http://127.0.0.1.evil.example/v2', 'http://10.0.0.7:8080'])(
    'refuses to send the token in plain text to another machine: %s',
    (url) => expect(faultOf({ BUILDKITE_API_URL: url })).toContain('BUILDKITE_API_URL begins with http:'),
  )

  it.each(['https://proxy.internal/v2', 'http://127.0.0.1:8080', 'http://[::1]:8080/v2', 'http://localhost'])(
    'takes %s for the API',
    (url) => expect(readConfig({ BUILDKITE_API_URL: url }).apiUrl).toBe(url),
  )

  it('refuses a private listener beyond this machine without a token', () => {
    expect(faultOf({ ADMIN_HOST: '0.0.0.0' })).toContain('ADMIN_TOKEN is not set')
    expect(readConfig({ ADMIN_HOST: '0.0.0.0', ADMIN_TOKEN: LONG }).adminHost).toBe('0.0.0.0')
  })

  it.each(['ADMIN_TOKEN', 'READER_TOKEN', 'WEBHOOK_SECRET'])(
    'demands 16 characters of %s, and does not repeat a shorter one',
    (name) => {
      expect(readConfig({ ADMIN_TOKEN: `${LONG}.`, [name]: LONG })).toBeDefined()
      const fault = faultOf({ [name]: LONG.slice(1) })
      expect(fault).toContain(`${name} has fewer than 16 characters`)
      expect(fault).not.toContain(LONG.slice(1))
    },
  )

  it('demands the length of each secret while rotating', () => {
    expect(faultOf({ WEBHOOK_SECRET: `${LONG},a` })).toContain('WEBHOOK_SECRET has fewer than 16 characters')
  })

  it('takes a token for readers only beside another one for admins', () => {
    const [admin, reader] = [`admin ${LONG}`, `reader ${LONG}`]
    const both = readConfig({ ADMIN_TOKEN: admin, READER_TOKEN: reader })
    expect(both).toMatchObject({ adminToken: admin, readerToken: reader })
    expect(faultOf({ READER_TOKEN: reader })).toContain('READER_TOKEN is set without ADMIN_TOKEN')
    const same = faultOf({ ADMIN_TOKEN: admin, READER_TOKEN: ` ${admin} ` })
    expect(same).toContain('READER_TOKEN is the same as ADMIN_TOKEN')
  })

  it.each<[Record<string, string>, boolean]>([
    [{ ADMIN_PORT: '8080' }, true],
    [{ ADMIN_PORT: '9000', PORT: '9000', HOST: '::' }, true],
    [{ ADMIN_PORT: '8080', HOST: '127.0.0.1' }, true],
    [{ ADMIN_PORT: '8080', HOST: 'localhost' }, true],
    [{ ADMIN_PORT: '8080', HOST: '192.0.2.1' }, false],
    [{ ADMIN_PORT: '0', PORT: '0' }, false],
  ])('reports two listeners on one port: %j %s', (env, refused) => {
    const fault = /ADMIN_PORT and PORT are both \d+/
    if (refused) expect(faultOf(env)).toMatch(fault)
    else expect(readConfig(env)).toBeDefined()
  })

  describe('a secret in a file', () => {
    const folder = mkdtempSync(join(tmpdir(), 'bkm-secrets-'))
    afterAll(() => rmSync(folder, { recursive: true }))
    const fileWith = (content: string) => {
      const path = join(folder, 'secret')
      writeFileSync(path, content)
      return path
    }
    const values: Record<string, string> = {
      DATABASE_URL: 'postgres://user:hunter2@db.example/mirror?sslmode=verify-full',
      REDIS_URL: 'rediss://user:hunter2@redis.example',
      BUILDKITE_API_TOKEN: 'bkua_hunter2',
      WEBHOOK_SECRET: `hunter2-${LONG}`,
      ADMIN_TOKEN: `hunter2-${LONG}`,
      HTTPS_PROXY: 'http://user:hunter2@proxy.example:3128',
    }

    it('may be any setting that holds a secret', () => {
      const others = ['BUILDKITE_API_URL', 'TRUST_PROXY', 'NO_PROXY']
      const mayHold = settings.filter(({ name }) => /(TOKEN|SECRET|PASSWORD|KEY|PROXY|_URL)$/.test(name))
      const secret = settings.filter(({ isSecret }) => isSecret)
      expect(secret).toEqual(mayHold.filter(({ name }) => !others.includes(name)))
      expect(secret.map(({ name }) => name)).toEqual(expect.arrayContaining(Object.keys(values)))
    })

    it.each(Object.entries(values))('gives %s, without the line break at its end', (name, value) => {
      for (const end of ['', '\n', '\r\n']) {
        expect(readConfig({ [`${name}_FILE`]: fileWith(value + end) })).toEqual(readConfig({ [name]: value }))
      }
    })

    it.each(Object.entries(values))('and %s itself are refused together', (name, value) => {
      const fault = faultOf({ [name]: value, [`${name}_FILE`]: fileWith(value) })
      expect(fault).toBe(`${name} and ${name}_FILE are both set. Unset one of them.`)
    })

    it.each(Object.keys(values))('is named with its setting when it cannot be read: %s_FILE', (name) => {
      expect(faultOf({ [`${name}_FILE`]: '/nowhere/secret' })).toBe(
        `${name}_FILE names /nowhere/secret, which cannot be read (ENOENT). Give the path of a readable file.`,
      )
      expect(faultOf({ [`${name}_FILE`]: folder })).toContain('cannot be read (EISDIR)')
      expect(faultOf({ [`${name}_FILE`]: fileWith('\n') })).toContain('which is empty')
    })

    it.each(Object.entries(values))('is not repeated if someone writes it into %s_FILE', (name, value) => {
      expect(faultOf({ [`${name}_FILE`]: value })).not.toContain('hunter2')
    })

    it.each(['DATABASE_URL', 'REDIS_URL', 'ADMIN_TOKEN', 'WEBHOOK_SECRET'])(
      'is checked like %s, and never repeated',
      (name) => {
        const fault = faultOf({ [`${name}_FILE`]: fileWith('hunter2') })
        expect(fault).toContain(name)
        expect(fault).not.toContain('hunter2')
      },
    )

    it('is not read for other settings', () => {
      expect(readConfig({ PORT_FILE: fileWith('99') }).port).toBe(8080)
    })
  })

  // When it fails after a change of `settings`: npm run docs:settings regenerates the table.
  it('is documented in docs/reference/settings.md, setting by setting', async () => {
    const rows = settings.map(({ name, about, default: fallback }) => `| \`${name}\` | ${about} | ${fallback} |`)
    const table = ['| variable | what it does | default |', '|---|---|---|', ...rows].join('\n')
    const page = readFileSync(new URL('../docs/reference/settings.md', import.meta.url), 'utf8')
    const block = /<!-- settings -->\n[\s\S]*?<!-- \/settings -->/
    expect(page).toMatch(block)
    const rewritten = page.replace(block, () => `<!-- settings -->\n${table}\n<!-- /settings -->`)
    await expect(rewritten).toMatchFileSnapshot('../docs/reference/settings.md')
  })
})
