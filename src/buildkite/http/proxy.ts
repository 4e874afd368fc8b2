import { Agent, type Dispatcher, EnvHttpProxyAgent } from 'undici'
import { SECOND } from '../../runtime/time.ts'

export interface ProxyRoute {
  readonly url: string
  /** Hosts that are called directly: `host`, `host:port`, `.domain` (and its subdomains) or `*`. */
  readonly noProxy: readonly string[]
}

/** More than a page of the largest builds. A larger response is cut off, and requested again in smaller pages. */
const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024

/** The connection to the API: direct, or through the proxy unless `noProxy` names the host. */
export function openDispatcher(proxy: ProxyRoute | undefined): Dispatcher {
  const connect = { timeout: 10 * SECOND }
  const limits = { connections: 8, maxResponseSize: LARGEST_ANSWER_BYTES, connect }
  if (!proxy) return new Agent(limits)
  // undici knows `*` only alone. All of its settings are given here, so it reads none from the environment.
  const noProxy = proxy.noProxy.includes('*') ? '*' : proxy.noProxy.join(',')
  const route = { httpProxy: proxy.url, httpsProxy: proxy.url, noProxy }
  return new EnvHttpProxyAgent({ ...limits, ...route, proxyTls: connect, requestTls: connect })
}
