import { describe, expect, it } from 'vitest'
import { parseRange, withinRanges } from '../src/runtime/ip-range.ts'

const within = (ranges: string[], address: string) =>
  withinRanges(ranges.map(parseRange).filter((range) => range !== undefined))(address)

describe('a range of addresses', () => {
  it.each([
    '',
    'x',
    '1.2.3',
    '1.2.3.4/33',
    '1.2.3.4/-1',
    '1.2.3.4/8/8',
    '1.2.3.4/',
    '::/129',
    'fe80::1%eth0',
    '/8',
    '01.2.3.4',
  ])('is not %j', (text) => expect(parseRange(text)).toBeUndefined())

  it('holds what shares its first bits, in both families', () => {
    expect(within(['192.0.2.0/24'], '192.0.2.255')).toBe(true)
    expect(within(['192.0.2.0/24'], '192.0.3.0')).toBe(false)
    expect(within(['198.51.100.12'], '198.51.100.12')).toBe(true)
    expect(within(['198.51.100.12'], '198.51.100.13')).toBe(false)
    expect(within(['2001:db8::/32'], '2001:db8:ffff::1')).toBe(true)
    expect(within(['2001:db8::/32'], '2001:db9::1')).toBe(false)
    expect(within(['0.0.0.0/0'], '::1')).toBe(false)
  })

  it('holds an address of IPv4 as a listener on both families shows it', () => {
    expect(within(['192.0.2.0/24'], '::ffff:192.0.2.7')).toBe(true)
    expect(within(['192.0.2.0/24'], '::ffff:192.0.3.7')).toBe(false)
  })

  it('holds nothing that is no address', () => {
    for (const text of ['', 'localhost', 'unknown', '192.0.2']) expect(within(['0.0.0.0/0', '::/0'], text)).toBe(false)
  })
})
