import { expect, it } from 'vitest'
import { misspeltSettings } from '../../src/commands/shell/misspelt.ts'
import { settings } from '../../src/runtime/config.ts'

it('names a variable that is nearly a setting, and the setting', () => {
  expect(misspeltSettings({ WEBHOOK_SECERT: 'x', ROLE: 'web', REDIS_URI_FILE: '/run/secrets/redis' })).toEqual([
    'WEBHOOK_SECERT is not a setting. Did you mean WEBHOOK_SECRET?',
    'ROLE is not a setting. Did you mean ROLES?',
    'REDIS_URI_FILE is not a setting. Did you mean REDIS_URL_FILE?',
  ])
})

it('names no setting, nothing of other programs, and nothing whose setting is set too', () => {
  const all = Object.fromEntries(settings.map(({ name }) => [name, 'x']))
  expect(misspeltSettings(all)).toEqual([])
  const others =
    'HOME HOSTNAME PATH HTTP_PROXY PGHOST BUILDKITE BUILDKITE_AGENT_ACCESS_TOKEN BUILDKITE_ORGANIZATION_SLUG LANG'
  expect(misspeltSettings(Object.fromEntries(others.split(' ').map((name) => [name, 'x'])))).toEqual([])
  expect(misspeltSettings({ DATABASE_URI: 'x', DATABASE_URL: 'y', WEBHOOK_SECERT: '' })).toEqual([])
})
