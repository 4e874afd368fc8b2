import { BlockList, isIP, isIPv4 } from 'node:net'

/** Addresses that share their first `prefix` bits. */
export interface IpRange {
  readonly address: string
  readonly prefix: number
}

/** Reads `192.0.2.0/24`, `2001:db8::/32` or a single address; `undefined` for anything else. */
export function parseRange(text: string): IpRange | undefined {
  const [address = '', bits, ...more] = text.trim().split('/')
  const longest = isIPv4(address) ? 32 : 128
  if (isIP(address) === 0 || address.includes('%') || more.length > 0) return undefined
  if (bits === undefined) return { address, prefix: longest }
  return /^\d{1,3}$/.test(bits) && Number(bits) <= longest ? { address, prefix: Number(bits) } : undefined
}

/** Whether a host is this machine. A name such as 127.0.0.1.example.com is not: it may resolve to anything. */
export function isLoopback(host: string): boolean {
  return host === 'localhost' || host === '::1' || (isIPv4(host) && host.startsWith('127.'))
}

/** Returns a function that tests whether an address is in any of the ranges. Text that is no address is in none. */
export function withinRanges(ranges: readonly IpRange[]): (address: string) => boolean {
  const list = new BlockList()
  for (const { address, prefix } of ranges) list.addSubnet(address, prefix, isIPv4(address) ? 'ipv4' : 'ipv6')
  return (given) => {
    // A dual-stack listener shows an IPv4 peer as an IPv4-mapped IPv6 address.
    const address = given.replace(/^::ffff:(?=\d+\.)/i, '').replace(/%.*$/, '')
    const family = isIP(address)
    return family !== 0 && list.check(address, family === 4 ? 'ipv4' : 'ipv6')
  }
}
