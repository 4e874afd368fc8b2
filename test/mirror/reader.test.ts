import { describe, expect, it } from 'vitest'
import { PayloadReader } from '../../src/buildkite/payload-reader.ts'
import { buildFromPayload } from '../../src/mirror/payload-to-row.ts'
import { buildPayload } from './payloads.ts'

describe('PayloadReader', () => {
  it('tells absent, null and unusable apart, and keeps the unusable in the rest', () => {
    const read = new PayloadReader({ name: null, count: 'many', creator: null, unknown: { a: 1, b: null } })
    expect(read.text('missing')).toBeUndefined()
    expect(read.text('name')).toBeNull()
    expect(read.text('creator', 'name')).toBeNull()
    expect(read.integer('count')).toBeUndefined()
    expect(read.rest()).toEqual({ count: 'many', unknown: { a: 1, b: null } })
  })

  it('has every unknown key in the rest, null, empty or named like a prototype, and nothing that columns hold', () => {
    const read = new PayloadReader(
      JSON.parse(`{"id": "1", "creator": {"name": "Ada"}, "author": null, "step": {},
        "none": null, "empty": {}, "list": [], "creator_since": {"year": null},
        "__proto__": {"a": {"__proto__": 1}}, "constructor": "c", "toString": null}`),
    )
    read.text('id')
    read.text('creator', 'name')
    read.text('author', 'name')
    read.text('step', 'id')
    expect(JSON.stringify(read.rest())).toBe(
      '{"none":null,"empty":{},"list":[],"creator_since":{"year":null},"__proto__":{"a":{"__proto__":1}},"constructor":"c","toString":null}',
    )
    expect(Object.getPrototypeOf(read.rest())).toBe(Object.prototype)
  })

  it('refuses numbers that the column cannot hold, and leaves them in the rest', () => {
    const read = new PayloadReader({ small: 2_147_483_648, big: Number.MAX_SAFE_INTEGER, half: 0.5 })
    expect(read.integer('small')).toBeUndefined()
    expect(read.bigint('big')).toBe(Number.MAX_SAFE_INTEGER)
    expect(read.bigint('half')).toBeUndefined()
    expect(read.rest()).toEqual({ small: 2_147_483_648, half: 0.5 })
  })
})

describe('a time in an unknown form', () => {
  it.each(['5', 'May 1 2026', '2026-05-01'])('counts as absent, and %j stays in the rest', (text) => {
    const fields = buildFromPayload(buildPayload({ started_at: text }))
    expect(fields?.started_at).toBeUndefined()
    expect(fields?.extra).toEqual({ started_at: text })
  })
})

describe('the author of a build', () => {
  it.each([
    [undefined, {}],
    [null, { author_name: null, author_email: null, author_username: null, author_date: null }],
    [{}, {}],
    [
      { name: 'Ada', email: 'a@x' },
      { author_name: 'Ada', author_email: 'a@x' },
    ],
    [
      { username: 'ada', name: 'Ada', email: 'a@x' },
      { author_username: 'ada', author_name: 'Ada', author_email: 'a@x' },
    ],
    [
      { name: 'Ada', email: 'a@x', date: '2026-05-01T10:00:00.000Z' },
      { author_name: 'Ada', author_email: 'a@x', author_date: new Date('2026-05-01T10:00:00.000Z') },
    ],
    ['Ada <a@x>', { author_name: 'Ada <a@x>' }],
  ])('is read from %j', (author, expected) => {
    const fields = buildFromPayload(buildPayload({ author }))
    const read = Object.entries(fields ?? {}).filter(([key, value]) => key.startsWith('author_') && value !== undefined)
    expect(Object.fromEntries(read)).toEqual(expected)
    expect(fields?.extra).toEqual({})
  })
})
