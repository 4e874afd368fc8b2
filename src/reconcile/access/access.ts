import { type BuildkiteClient, type ClientOptions, createClient } from '../../buildkite/client.ts'
import type { Budget } from '../../buildkite/http/budget.ts'
import type { Config } from '../../runtime/config.ts'
import type { Log } from '../../runtime/log.ts'
import type { RecordMetric } from '../../runtime/record-metric.ts'
import type { MirrorFilter } from '../../runtime/scope.ts'
import { type Clock, MINUTE } from '../../runtime/time.ts'
import type { Tracing } from '../../runtime/tracing.ts'
import type { Source } from '../context.ts'
import type { Issue } from '../issue.ts'
import { type InspectedToken, inspectToken } from './token.ts'

/** What all tokens together give access to, as of the last check. */
export interface Discovery {
  /** One for each token of BUILDKITE_API_TOKEN, in the same order. */
  readonly tokens: readonly InspectedToken[]
  /** The readable organizations in scope, each with the first token that can read it. */
  readonly sources: readonly Source[]
  readonly problems: readonly Issue[]
  /** Whether every token answered; only then is a missing organization a fault. */
  readonly complete: boolean
}

/** The tokens of one process and what they may read. */
export interface Access {
  /**
   * What the tokens may read, checked at most every ten minutes, or every minute while something is wrong. Faults of Buildkite do not
   * reject; they are the discovery's problems. @throws the signal's reason, StoreError (the shared budget is in Postgres).
   */
  current(signal?: AbortSignal): Promise<Discovery>
  /** The client for an organization by id; `undefined` when no token sees it. */
  source(organizationId: string, signal?: AbortSignal): Promise<Source | undefined>
  /** Reports that a call was refused although the last check allowed it; the next check follows within a minute. */
  doubt(): void
  /** The organizations of the last check, without a new one; empty before the first. */
  known(): readonly Source[]
  close(): Promise<void>
}

export type AccessConfig = Pick<Config, 'apiTokens' | 'apiUrl' | 'httpsProxy' | 'noProxy'>

export interface AccessDeps {
  readonly budget: Budget
  readonly filter: MirrorFilter
  readonly log: Log
  readonly record?: RecordMetric | undefined
  readonly tracing?: Tracing | undefined
  readonly clock: Clock
  /** Passed to every client; for tests. */
  readonly client?: Partial<ClientOptions>
}

/** How long a result is used. The task that checks runs every minute. */
const USED_FOR = 10 * MINUTE
const FAULTY_USED_FOR = MINUTE - 1_000

/** Opens a client for each token, without a request. */
export function openAccess(config: AccessConfig, deps: AccessDeps): Access {
  const proxy = config.httpsProxy === undefined ? {} : { proxy: { url: config.httpsProxy, noProxy: config.noProxy } }
  const { budget, log, record, tracing, clock } = deps
  const clients = config.apiTokens.map((token) =>
    createClient({ token, apiUrl: config.apiUrl, budget, log, record, tracing, clock, ...proxy, ...deps.client }),
  )
  let last: { at: number; discovery: Discovery } | undefined
  let checking: Promise<Discovery> | undefined
  let doubted = false

  async function check(signal?: AbortSignal): Promise<Discovery> {
    const tokens: InspectedToken[] = []
    for (const [index, client] of clients.entries()) {
      const label = clients.length === 1 ? 'token' : `token ${index + 1}`
      const inspected = await inspectToken(label, client, deps.filter, clock(), signal)
      // A token that does not answer keeps its last result: a single 503 must not stop the hot cycles.
      tokens.push(
        inspected.answered ? inspected : { ...inspected, sources: last?.discovery.tokens[index]?.sources ?? [] },
      )
    }
    const discovery = combineTokens(tokens)
    last = { at: clock(), discovery }
    doubted = false
    return discovery
  }

  function fresh(): Discovery | undefined {
    if (!last) return undefined
    const isFaulty = last.discovery.problems.some(({ code }) => code !== 'expires_soon')
    const isGood = last.discovery.complete && !isFaulty && !doubted
    return clock() - last.at < (isGood ? USED_FOR : FAULTY_USED_FOR) ? last.discovery : undefined
  }

  return {
    async current(signal) {
      const known = fresh()
      if (known) return known
      checking ??= check(signal).finally(() => {
        checking = undefined
      })
      return checking
    },
    async source(organizationId, signal) {
      const { sources } = await this.current(signal)
      return sources.find(({ id }) => id === organizationId)
    },
    doubt() {
      doubted = true
    },
    known: () => last?.discovery.sources ?? [],
    async close() {
      await Promise.all(clients.map((client: BuildkiteClient) => client.close()))
    },
  }
}

/** Combines what each token may read: an organization goes to the first token that can read its builds. */
export function combineTokens(tokens: readonly InspectedToken[]): Discovery {
  const sources = new Map<string, Source>()
  for (const token of tokens) {
    for (const source of token.sources) if (!sources.has(source.id)) sources.set(source.id, source)
  }
  return {
    tokens,
    sources: [...sources.values()],
    problems: tokens.flatMap(({ problems }) => problems),
    complete: tokens.every(({ answered }) => answered),
  }
}
