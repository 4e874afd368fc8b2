export interface LimitOptions {
  /** Requests per window for each organization, all users together; undefined = unlimited. */
  organization?: number | undefined
  /** Requests per window for each user; undefined = unlimited. */
  user?: number | undefined
  /** The clock of the windows. Default: the wall clock, because clients wait in real time. */
  now?: () => number
}

/** The state of one limit after a request was counted. */
export interface LimitState {
  limit: number
  /** Requests in this window. Grows above `limit`, because Buildkite counts rejected requests too. */
  current: number
  /** Whole seconds until the window ends. */
  reset: number
}

export interface Counted {
  organization: LimitState
  user: LimitState
  /** The scope that has no requests left, as Buildkite names it. */
  exceeded: 'rest' | 'rest_user' | undefined
}

export interface Limits {
  /** Counts a request. The organization is undefined for routes that belong to none. */
  count(organization: string | undefined, user: string): Counted
}

const windowMs = 60_000

/** Buildkite's two limits in fixed windows of a minute. */
export function createLimits(options: LimitOptions = {}): Limits {
  const { now = Date.now } = options
  const windows = new Map<string, { start: number; count: number }>()
  const enter = (key: string, limit: number, cost: number): LimitState => {
    const start = Math.floor(now() / windowMs) * windowMs
    const known = windows.get(key)
    const window = known?.start === start ? known : { start, count: 0 }
    window.count += cost
    windows.set(key, window)
    return { limit, current: window.count, reset: Math.max(1, Math.ceil((start + windowMs - now()) / 1_000)) }
  }
  return {
    count(slug, user) {
      const organization = enter(`organization:${slug ?? ''}`, options.organization ?? 1_000_000, slug ? 1 : 0)
      const mine = enter(`user:${user}`, options.user ?? 1_000_000, 1)
      const exceeded =
        mine.current > mine.limit ? 'rest_user' : organization.current > organization.limit ? 'rest' : undefined
      return { organization, user: mine, exceeded }
    },
  }
}

/** Both header families, which Buildkite sends in every response. */
export function limitHeaders({ organization, user }: Counted): Record<string, string> {
  const left = (state: LimitState) => Math.max(0, state.limit - state.current)
  const warning = 'You have exceeded your API rate limit'
  return {
    'RateLimit-Scope': 'rest',
    'RateLimit-Remaining': String(left(organization)),
    'RateLimit-Limit': String(organization.limit),
    'RateLimit-Reset': String(organization.reset),
    'RateLimit-User-Scope': 'rest_user',
    'RateLimit-User-Remaining': String(left(user)),
    'RateLimit-User-Limit': String(user.limit),
    'RateLimit-User-Reset': String(user.reset),
    ...(left(organization) === 0 ? { 'RateLimit-Warning': warning } : {}),
    ...(left(user) === 0 ? { 'RateLimit-User-Warning': warning } : {}),
  }
}

/** The body of a 429. */
export function limitBody(scope: 'rest' | 'rest_user', state: LimitState): Record<string, unknown> {
  return {
    message: `You have exceeded your API rate limit. Please wait ${state.reset} seconds before making more requests.`,
    scope,
    limit: state.limit,
    current: state.current,
    reset: state.reset,
  }
}
