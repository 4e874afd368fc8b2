import { readFileSync } from 'node:fs'
import { describe, expect, it } from 'vitest'
import { readConfig, settings } from '../src/config.ts'
import { ConfigError } from '../src/errors.ts'

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
    const config = readConfig({ BUILDKITE_API_TOKEN: 'one, two,', WEBHOOK_SECRET: 'new,old', ROLES: 'worker' })
    expect(config).toMatchObject({
      apiTokens: ['one', 'two'],
      webhookSecrets: ['new', 'old'],
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

  it('refuses a private listener beyond this machine without a token', () => {
    expect(faultOf({ ADMIN_HOST: '0.0.0.0' })).toContain('ADMIN_TOKEN is not set')
    expect(readConfig({ ADMIN_HOST: '0.0.0.0', ADMIN_TOKEN: 'x' }).adminHost).toBe('0.0.0.0')
  })

  it('is documented in the README, setting by setting', () => {
    const rows = settings.map(({ name, about, default: fallback }) => `| \`${name}\` | ${about} | ${fallback} |`)
    const expected = ['| variable | what it does | default |', '|---|---|---|', ...rows].join('\n')
    const readme = readFileSync(new URL('../README.md', import.meta.url), 'utf8')
    const [, documented] = /<!-- settings -->\n([\s\S]*?)\n<!-- \/settings -->/.exec(readme) ?? []
    expect(documented).toBe(expected)
  })
})
