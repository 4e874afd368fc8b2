import { describe, expect, it } from 'vitest'
import { slugsOf } from '../../src/buildkite/urls.ts'

describe('slugsOf', () => {
  it.each([
    ['https://api.buildkite.com/v2/organizations/acme', 'acme', undefined, undefined],
    ['https://api.buildkite.com/v2/organizations/acme/pipelines', 'acme', undefined, undefined],
    ['https://api.buildkite.com/v2/organizations/acme/pipelines/web', 'acme', 'web', undefined],
    ['https://api.buildkite.com/v2/organizations/acme/pipelines/web/builds/27', 'acme', 'web', 27],
    ['http://127.0.0.1:4000/v2/organizations/acme/pipelines/web/builds/27/jobs/0189/log', 'acme', 'web', 27],
    ['https://buildkite.com/acme', 'acme', undefined, undefined],
    ['https://buildkite.com/acme/web/builds/27#0189', 'acme', 'web', 27],
    ['https://api.buildkite.com/v2/builds', undefined, undefined, undefined],
    ['not a url', undefined, undefined, undefined],
    [null, undefined, undefined, undefined],
  ])('reads %s', (url, organization, pipeline, number) => {
    expect(slugsOf(url)).toEqual({ organization, pipeline, number })
  })

  it('keeps a badly encoded slug as it stands, and a NUL encoded', () => {
    expect(slugsOf('https://buildkite.com/acme/we%b').pipeline).toBe('we%b')
    expect(slugsOf('https://buildkite.com/acme/we%00b')).toMatchObject({ organization: 'acme', pipeline: 'we%00b' })
  })
})
