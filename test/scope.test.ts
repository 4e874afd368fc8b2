import { expect, test } from 'vitest'
import { mirrorFilter } from '../src/runtime/scope.ts'

const none = { organizations: [], pipelinesInclude: [], pipelinesExclude: [] }

test('nothing configured means everything', () => {
  const filter = mirrorFilter(none)
  expect([filter.organization('acme'), filter.pipeline('web')]).toEqual([true, true])
})

test('globs match whole slugs, whatever the case', () => {
  const filter = mirrorFilter({ ...none, organizations: ['acme', 'ex?mple-*'] })
  const slugs = ['acme', 'ACME', 'acme-2', 'example-one', 'exmple-one', 'a.me']
  expect(slugs.filter((slug) => filter.organization(slug))).toEqual(['acme', 'ACME', 'example-one'])
})

test('exclusion wins over inclusion', () => {
  const filter = mirrorFilter({ ...none, pipelinesInclude: ['web-*'], pipelinesExclude: ['*-secret'] })
  expect(['web-app', 'web-secret', 'api'].filter((slug) => filter.pipeline(slug))).toEqual(['web-app'])
})

test('a dot is a dot, and many stars are one', () => {
  const filter = mirrorFilter({ ...none, pipelinesInclude: ['a.b', `${'*'.repeat(50)}x`] })
  expect([filter.pipeline('a.b'), filter.pipeline('acb'), filter.pipeline('y'.repeat(5_000))]).toEqual([
    true,
    false,
    false,
  ])
})
