import fc from 'fast-check'
import { expect, test } from 'vitest'
import { countValues, MAX_VALUES, readPayload } from '../../src/webhooks/inbox/read-payload.ts'

/** Keys of objects and items of lists, as a parser sees them. */
function valuesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1
  return Object.values(value).reduce<number>((sum, inner) => sum + valuesIn(inner), 1)
}

test('counting never counts less than a parser, and at most one more for each object or list', () => {
  fc.assert(
    fc.property(fc.json(), (text) => {
      const counted = countValues(Buffer.from(text))
      const values = valuesIn(JSON.parse(text))
      expect(counted).toBeGreaterThanOrEqual(values)
      expect(counted).toBeLessThanOrEqual(2 * values)
    }),
  )
})

test.each([
  ['keys', `{${Array.from({ length: MAX_VALUES }, (_, n) => `"k${n}":${n}`).join(',')}}`],
  ['items', `{"a":[${'0,'.repeat(MAX_VALUES)}0]}`],
  ['levels', `{"a":${'['.repeat(2_000_000)}${']'.repeat(2_000_000)}}`],
  ['items after a string with escapes', `{"s":"\\\\\\"","a":[${'0,'.repeat(MAX_VALUES)}0]}`],
])('too many %s are refused before they are parsed', (_what, text) => {
  const begun = performance.now()
  expect(readPayload(Buffer.from(text), { storeEnv: false })).toMatchObject({ ok: false, reason: 'too_many_values' })
  expect(performance.now() - begun).toBeLessThan(1_000)
})

test('text counts as one value, whatever it contains', () => {
  const text = JSON.stringify({ message: '{[,"\\'.repeat(1_000_000) })
  expect(readPayload(Buffer.from(text), { storeEnv: false }).ok).toBe(true)
})
