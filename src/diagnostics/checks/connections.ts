import type { Config } from '../../runtime/config.ts'
import { isLoopback } from '../../runtime/ip-range.ts'
import { readRedisUrl } from '../../runtime/redis-url.ts'
import { hostOf } from '../../runtime/setting-formats.ts'
import { readStoreUrl } from '../../runtime/store-url.ts'
import { type CheckName, type CheckResult, ok, warning } from '../finding.ts'

export type ConnectionConfig = Pick<Config, 'apiTokens' | 'apiUrl' | 'databaseUrl' | 'redisUrl'>

/** Checks where the settings send tokens, passwords and rows. Asks nobody. */
export function checkConnections({ apiTokens, apiUrl, databaseUrl, redisUrl }: ConnectionConfig): CheckResult[] {
  return [
    ...(apiTokens.length > 0 ? [checkApiHost(new URL(apiUrl))] : []),
    ...(databaseUrl ? [checkEncryption('postgres_plain_text', 'Postgres', databaseUrl, 'DATABASE_URL')] : []),
    ...(redisUrl ? [checkEncryption('redis_plain_text', 'Redis', redisUrl, 'REDIS_URL')] : []),
  ]
}

function checkApiHost(url: URL): CheckResult {
  const host = hostOf(url)
  if (host === 'api.buildkite.com' || isLoopback(host))
    return ok('token_sent_elsewhere', '', `The API token is sent to ${host}.`)
  const detail = `BUILDKITE_API_URL sends the API token to ${host} instead of api.buildkite.com.`
  return warning('token_sent_elsewhere', '', detail, 'Unset BUILDKITE_API_URL, unless this host is a proxy of yours.')
}

function checkEncryption(name: CheckName, store: string, url: string, setting: string): CheckResult {
  const { tls, isExposed } = store === 'Redis' ? readRedisUrl(url) : readStoreUrl(url)
  if (tls) return ok(name, '', `Connections to ${store} are encrypted.`)
  if (!isExposed) return ok(name, '', `${store} is on this machine, or sslmode=disable accepts plain text.`)
  const how = store === 'Redis' ? 'Begin REDIS_URL with rediss:' : 'Add sslmode=verify-full to DATABASE_URL'
  const remedy = `${how}, or add sslmode=disable if you trust the network (docs/operations/tls.md).`
  return warning(name, '', `${setting} sends passwords and data to another machine in plain text.`, remedy)
}
