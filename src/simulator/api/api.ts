import { once } from 'node:events'
import { createServer } from 'node:http'
import type { Truth } from '../model/state.ts'
import { createRandom } from '../random.ts'
import { answerRequest } from './answer-request.ts'
import { createTroubles, type Fault, type Trouble } from './faults.ts'
import { createLimits, type LimitOptions, type Limits } from './limits.ts'
import { demoToken, type Token } from './tokens.ts'

export type { Fault, Trouble } from './faults.ts'
export { demoToken, type Token } from './tokens.ts'

/** A request and its response. `status` is 0 until the response is sent, and stays 0 when the request hangs. */
export interface LoggedRequest {
  method: string
  /** Without the query. */
  path: string
  query: URLSearchParams
  kind: string
  status: number
  /** The size of the response's body; 0 until it is sent. */
  bytes: number
  /** Milliseconds since the epoch on the wall clock. */
  at: number
}

export interface ApiOptions {
  port?: number
  tokens?: Token[]
  limits?: LimitOptions
  /** Lists of builds end after this many builds; default 5,000. */
  depth?: number
  /** Called for every request before it is answered. */
  beforeAnswer?: (request: LoggedRequest) => Fault | undefined
  /** Faults that repeat, such as a pipelines list that always fails. */
  troubles?: readonly Trouble[]
  /**
   * How far lists of builds and pipelines lag behind writes: a fixed time, or a random time in a range for each request. In
   * milliseconds of the simulation's clock. A single GET does not lag. The simulation starts to record with its first lagging response.
   */
  listLagMs?: number | readonly [number, number]
  /** The clock error of each server, in milliseconds. Each response, and its `Date`, comes from one of them. */
  serverClocksMs?: readonly number[]
  /** Random seed for lags, servers and faults; default 1. */
  seed?: number | string
}

/** The running simulated REST API. Changes of its fields apply from the next request on. */
export interface Api {
  /** The value for BUILDKITE_API_URL. */
  readonly url: string
  tokens: Token[]
  depth: number
  limits: Limits
  beforeAnswer: ((request: LoggedRequest) => Fault | undefined) | undefined
  listLagMs: number | readonly [number, number]
  serverClocksMs: readonly number[]
  /** Adds a fault that repeats. Returns the function that ends it. */
  addTrouble(trouble: Trouble): () => void
  /** Every request since the start or the last `forget`. */
  readonly requests: LoggedRequest[]
  /** How many requests were of that kind: access-token, organizations, pipelines, builds, build, … */
  count(kind: string): number
  forget(): void
  stop(): Promise<void>
}

/** Starts the API on 127.0.0.1. `now` is the simulation's clock, which sets the `Date` header. */
export async function startApi(truth: Truth, now: () => number, options: ApiOptions = {}): Promise<Api> {
  const requests: LoggedRequest[] = []
  const random = createRandom(`api ${options.seed ?? 1}`)
  const troubles = createTroubles(random, now)
  for (const trouble of options.troubles ?? []) troubles.add(trouble)
  const server = createServer((request, response) => {
    void answerRequest({ api, truth, now, random, troubles }, request, response).catch((error: unknown) =>
      response.destroy(error instanceof Error ? error : new Error(String(error))),
    )
  })
  // Clients keep connections open between requests. If the server closed one at that moment, it would look like a fault.
  server.keepAliveTimeout = 60_000
  await once(server.listen(options.port ?? 0, '127.0.0.1'), 'listening')
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  const api: Api = {
    url: `http://127.0.0.1:${port}/v2`,
    tokens: options.tokens ?? [demoToken],
    depth: options.depth ?? 5_000,
    limits: createLimits(options.limits),
    beforeAnswer: options.beforeAnswer,
    listLagMs: options.listLagMs ?? 0,
    serverClocksMs: options.serverClocksMs ?? [],
    addTrouble: troubles.add,
    requests,
    count: (kind) => requests.filter((request) => request.kind === kind).length,
    forget() {
      requests.length = 0
    },
    stop: () =>
      new Promise((resolve) => {
        server.close(() => resolve())
        server.closeAllConnections()
      }),
  }
  return api
}
