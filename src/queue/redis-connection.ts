import { Cluster, type ClusterOptions, Redis, type RedisOptions } from 'ioredis'
import type { RedisAddress } from '../runtime/redis-url.ts'

export type RedisClient = Redis | Cluster

const wait = (times: number) => Math.min(times * 200, 2_000)

/** Connects to the server, the cluster, or the primary that the Sentinels name; again and again until it is closed. */
export function connectToRedis({ url, tls, cluster, sentinels }: RedisAddress, options: RedisOptions): RedisClient {
  const { username, password, pathname } = new URL(url)
  const user = {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
  }
  const shared: RedisOptions = {
    connectTimeout: 5_000,
    keepAlive: 10_000,
    retryStrategy: wait,
    // After a failover a connection may still lead to the old primary. Connect again, and repeat the command.
    reconnectOnError: (error) => (error.message.startsWith('READONLY') ? 2 : false),
    ...(tls ? { tls } : {}),
    ...options,
  }
  if (cluster) {
    const ofCluster: ClusterOptions = {
      clusterRetryStrategy: wait,
      enableOfflineQueue: options.enableOfflineQueue ?? true,
      redisOptions: { ...user, ...shared },
      // Certificates are for host names, so these must not be resolved before the connection.
      ...(tls ? { dnsLookup: (host, found) => found(null, host) } : {}),
    }
    return new Cluster([...cluster], ofCluster)
  }
  if (!sentinels) return new Redis(url, shared)
  return new Redis({
    ...user,
    ...shared,
    db: Number(pathname.slice(1) || 0),
    name: sentinels.name,
    sentinels: sentinels.nodes.map((node) => ({ ...node })),
    sentinelRetryStrategy: wait,
    // Sentinels without a password accept one too.
    ...(user.username ? { sentinelUsername: user.username } : {}),
    ...(user.password ? { sentinelPassword: user.password } : {}),
    ...(tls ? { sentinelTLS: tls, enableTLSForSentinelMode: true } : {}),
  })
}
