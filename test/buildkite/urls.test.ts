import { describe, expect, it } from 'vitest'
import { endpointOf, slugsOf } from '../../src/buildkite/urls.ts'

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

describe('endpointOf', () => {
  it.each([
    ['/access-token', '/access-token'],
    ['/organizations?page=1&per_page=100', '/organizations'],
    ['/organizations/acme/builds?created_from=2026-01-01T00%3A00%3A00Z', '/organizations/*/builds'],
    [
      '/organizations/acme/pipelines/pay%2Froll/builds/7?include_retried_jobs=true',
      '/organizations/*/pipelines/*/builds/*',
    ],
    ['/organizations/acme/teams/0190/members?page=2', '/organizations/*/teams/*/members'],
  ])('of %s is %s', (path, endpoint) => expect(endpointOf(path)).toBe(endpoint))
})
