import { Agent, type Dispatcher, ProxyAgent } from 'undici'
import { SECOND } from '../../runtime/time.ts'

export interface ProxyRoute {
  readonly url: string
  /** Hosts that are called directly: `host`, `host:port`, `.domain` (and its subdomains) or `*`. */
  readonly noProxy: readonly string[]
}

/** More than a page of the largest builds. A larger response is cut off, and requested again in smaller pages. */
const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024

/** The connection to one API: direct, or through the proxy unless `noProxy` names the host. */
export function openDispatcher(apiUrl: string, proxy: ProxyRoute | undefined): Dispatcher {
  const limits = { connections: 8, maxResponseSize: LARGEST_ANSWER_BYTES, connect: { timeout: 10 * SECOND } }
  if (!proxy || bypassesProxy(new URL(apiUrl), proxy.noProxy)) return new Agent(limits)
  const { connect, ...rest } = limits
  return new ProxyAgent({ ...rest, uri: proxy.url, proxyTls: connect, requestTls: connect })
}

/** Whether a URL's host is called without the proxy. */
export function bypassesProxy(url: URL, noProxy: readonly string[]): boolean {
  const host = url.hostname.toLowerCase()
  const port = url.port || (url.protocol === 'https:' ? '443' : '80')
  return noProxy.some((entry) => {
    if (entry === '*') return true
    const [, name = '', onlyPort] = /^(.*?)(?::(\d+))?$/.exec(entry.toLowerCase()) ?? []
    if (onlyPort && onlyPort !== port) return false
    const domain = name.replace(/^\*?\./, '')
    return domain !== '' && (host === domain || host.endsWith(`.${domain}`))
  })
}
