import { isLoopback } from './ip-range.ts'
import { readStoreUrl, type StoreAddress } from './store-url.ts'

/** A server, as Redis clients name it. */
export interface RedisNode {
  readonly host: string
  readonly port: number
}

/** Redis as `REDIS_URL` names it: one server, a cluster, or the primary that Sentinels name. */
export interface RedisAddress extends StoreAddress {
  /** The nodes of a cluster to ask first. */
  readonly cluster?: readonly RedisNode[]
  /** The Sentinels, and the name under which they know the primary. */
  readonly sentinels?: { readonly name: string; readonly nodes: readonly RedisNode[] }
}

/**
 * Reads the URL of Redis: `redis://host:6379/0`, with `?cluster=true` or `?sentinel=<name of the primary>`, where `&node=<host:port>` may
 * name more nodes. TLS is as in `readStoreUrl`.
 * @throws Error whose message says what is wrong with the URL, to follow the name of the setting. It quotes no secret.
 */
export function readRedisUrl(text: string): RedisAddress {
  const store = readStoreUrl(text)
  const url = new URL(store.url)
  const { searchParams } = url
  const name = searchParams.get('sentinel')
  const cluster = searchParams.get('cluster')
  const others = searchParams.getAll('node')
  if (cluster !== null && cluster !== 'true') throw new Error('has an unknown value of cluster. Write cluster=true.')
  if (cluster && name !== null) throw new Error('has both cluster and sentinel. Give one of them.')
  if (name === '') throw new Error('has an empty sentinel. Give the name under which the Sentinels know the primary.')
  if (!cluster && name === null) {
    if (others.length === 0) return store
    throw new Error('has node, but neither cluster=true nor sentinel=<name of the primary>. Add one of them.')
  }
  if (cluster && !/^\/?0?$/.test(url.pathname))
    throw new Error('names a database, but a cluster has only database 0. Remove the path.')
  const nodes = [url.host, ...others].map((one) => nodeOf(one, cluster ? 6_379 : 26_379))
  for (const one of ['sentinel', 'cluster', 'node']) searchParams.delete(one)
  const isPlain = !store.tls && !new URL(text).searchParams.has('sslmode')
  return {
    url: url.href,
    tls: store.tls,
    isExposed: isPlain && nodes.some(({ host }) => !isLoopback(host)),
    ...(name === null ? { cluster: nodes } : { sentinels: { name, nodes } }),
  }
}

function nodeOf(text: string, defaultPort: number): RedisNode {
  const address = `redis://${text}`
  const { hostname, port, username, pathname, search } = URL.canParse(address)
    ? new URL(address)
    : { hostname: '', port: '', username: '', pathname: '', search: '' }
  if (hostname === '' || username !== '' || pathname !== '' || search !== '')
    throw new Error('has a node that is no address. Write node=<host> or node=<host:port>.')
  return { host: hostname.replace(/^\[|\]$/g, ''), port: Number(port || defaultPort) }
}
