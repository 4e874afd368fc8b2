import { expect, test } from 'vitest'
import { mirrorFilter } from '../src/runtime/scope.ts'

const none = { organizations: [], pipelinesInclude: [], pipelinesExclude: [] }

test('nothing configured means everything', () => {
  const scope = mirrorFilter(none)
  expect([scope.organization('acme'), scope.pipeline('web')]).toEqual([true, true])
})

test('globs match whole slugs, whatever the case', () => {
  const scope = mirrorFilter({ ...none, organizations: ['acme', 'ex?mple-*'] })
  const slugs = ['acme', 'ACME', 'acme-2', 'example-one', 'exmple-one', 'a.me']
  expect(slugs.filter((slug) => scope.organization(slug))).toEqual(['acme', 'ACME', 'example-one'])
})

test('exclusion wins over inclusion', () => {
  const scope = mirrorFilter({ ...none, pipelinesInclude: ['web-*'], pipelinesExclude: ['*-secret'] })
  expect(['web-app', 'web-secret', 'api'].filter((slug) => scope.pipeline(slug))).toEqual(['web-app'])
})

test('a dot is a dot, and many stars are one', () => {
  const scope = mirrorFilter({ ...none, pipelinesInclude: ['a.b', `${'*'.repeat(50)}x`] })
  expect([scope.pipeline('a.b'), scope.pipeline('acb'), scope.pipeline('y'.repeat(5_000))]).toEqual([
    true,
    false,
    false,
  ])
})
