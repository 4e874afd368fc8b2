import { iso, utcTime } from '../model/shapes.ts'
import { type ApiResponse, type Context, ok } from './answer.ts'

// Routes that belong to no organization: the token, its user, and the API itself.

/** Times of tokens are not in ISO 8601 format. */
const utc = (at: number) => utcTime(iso(at))

export const showRoot = ({ now }: Context): ApiResponse => ok({ message: '🛠', timestamp: Math.floor(now / 1_000) })

export const showMeta = (): ApiResponse => ok({ webhook_ips: ['127.0.0.0/8', '192.0.2.0/24', '198.51.100.12'] })

export function showToken({ token, now }: Context): ApiResponse {
  return ok({
    uuid: token.uuid,
    scopes: token.scopes,
    description: 'buildkite-mirror',
    created_at: utc(now - 86_400_000),
    expires_at: token.expiresAt === undefined ? null : utc(token.expiresAt),
    user: { email: 'ada@example.com', name: 'Ada Byron' },
  })
}

export const showUser = ({ truth }: Context): ApiResponse => ok(truth.people[0])

/** The organization's limits; those of the token's user are only in the headers. */
export function showRateLimit({ now, counted }: Context): ApiResponse {
  const { limit, current, reset } = counted.organization
  const scope = (given: { limit: number; current: number; reset: number }) => ({
    ...given,
    reset_at: iso(now + given.reset * 1_000).replace('.000Z', 'Z'),
    enforced: true,
  })
  return ok({
    scopes: { rest: scope({ limit, current, reset }), graphql: scope({ limit: 20_000, current: 0, reset: 300 }) },
  })
}
