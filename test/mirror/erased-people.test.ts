import { describe, expect, test } from 'vitest'
import { ErasedPeople, type IdentityKind, identityHash } from '../../src/mirror/erased-people.ts'

const salt = '0193aaaa-0000-4000-8000-0000000000aa'
const pseudonym = '0193aaaa-0000-4000-8000-0000000000ff'
const ada = '0193aaaa-0000-4000-8000-000000000001'
const bob = '0193aaaa-0000-4000-8000-000000000002'
const identities: [IdentityKind, string][] = [
  ['id', ada],
  ['email', 'ada@example.com'],
  ['username', 'ada'],
  ['name', 'Ada Lovelace'],
]
const [first, ...rest] = identities.map(([kind, value], id) => ({
  id,
  salt,
  pseudonym,
  hash: identityHash(salt, kind, value),
}))
if (!first) throw new Error('no identity')
const people = new ErasedPeople([first, ...rest])
const email = `${pseudonym}@erased.invalid`
const name = 'Erased person'

describe('an erased person', () => {
  test.each([
    [
      'a creator',
      {
        creator: {
          id: ada,
          graphql_id: 'VXNlcg==',
          name: 'Ada L.',
          email: 'ada@example.com',
          avatar_url: 'https://x',
          created_at: '2020',
        },
      },
      { creator: { id: pseudonym, graphql_id: null, name, email, avatar_url: null, created_at: null } },
    ],
    [
      'an author known by address',
      { author: { username: 'other', name: 'A', email: 'ADA@Example.com', date: '2020' } },
      { author: { username: 'erased-0193aaaa', name, email, date: '2020' } },
    ],
    [
      'an author known by user name',
      { author: { username: 'ada', name: 'A' } },
      { author: { username: 'erased-0193aaaa', name } },
    ],
    ['an author that is only a name', { author: 'ada lovelace' }, { author: name }],
    [
      'columns of a row',
      {
        id: bob,
        name: 'job',
        creator_id: ada,
        creator_name: 'Ada',
        creator_created_at: new Date(0),
        author_email: 'bob@x',
      },
      {
        id: bob,
        name: 'job',
        creator_id: pseudonym,
        creator_name: name,
        creator_created_at: null,
        author_email: 'bob@x',
      },
    ],
    [
      'fields in extra',
      {
        created_by_id: ada,
        extra: {
          created_by: { avatar_url: 'https://x', role: 'r' },
          owner: { graphql_id: Buffer.from(`User---${ada}`).toString('base64'), avatar_url: 'y' },
        },
      },
      {
        created_by_id: pseudonym,
        extra: { created_by: { avatar_url: null, role: 'r' }, owner: { graphql_id: null, avatar_url: null } },
      },
    ],
    [
      'a team member',
      { team_id: bob, user_id: ada, user_name: 'Ada' },
      { team_id: bob, user_id: pseudonym, user_name: name },
    ],
    [
      'a retry without an id',
      { retry_source: { retried_by: { name: 'Ada', email: 'ada@example.com' } } },
      { retry_source: { retried_by: { name, email } } },
    ],
    [
      'an environment',
      { BUILDKITE_BUILD_CREATOR: 'Ada', BUILDKITE_BUILD_CREATOR_EMAIL: 'ada@example.com', BUILDKITE_UNBLOCKER_ID: ada },
      { BUILDKITE_BUILD_CREATOR: name, BUILDKITE_BUILD_CREATOR_EMAIL: email, BUILDKITE_UNBLOCKER_ID: pseudonym },
    ],
    [
      'addresses in text',
      { message: 'Fix\n\nCo-authored-by: Ada Lovelace <Ada@example.com>\nCc: bob@x.y, mailto:ada@example.com.' },
      { message: `Fix\n\nCo-authored-by: ${name} <${email}>\nCc: bob@x.y, mailto:${email}.` },
    ],
    [
      'keys and lists',
      { meta_data: { 'ada@example.com': ['by=ada@example.com'] } },
      { meta_data: { [email]: [`by=${email}`] } },
    ],
  ])('is replaced: %s', (_what, value, erased) => {
    expect(people.erase(value)).toEqual(erased)
    expect(people.erase(erased)).toBe(erased)
  })

  test.each([
    ['another person', { creator: { id: bob, name: 'Ada Lovelace', email: 'bob@example.com' } }],
    ['a longer address', { message: 'not-ada@example.com, ada@example.com.au, ada@example.community' }],
    ['a thing of the same name', { id: bob, name: 'Ada Lovelace' }],
    ['hostile text', { message: '@'.repeat(1_000), other: `${'a'.repeat(100_000)}@` }],
  ])('is not %s', (_what, value) => {
    expect(people.erase(value)).toBe(value)
  })
})
