import type { Budget } from '../../src/buildkite/http/budget.ts'
import { type Access, openAccess } from '../../src/reconcile/access/access.ts'
import { createLog } from '../../src/runtime/log.ts'
import { demoToken } from '../../src/simulator/api/api.ts'
import type { Scene } from './scene.ts'

/** Grants everything at once. */
export const freeBudget: Budget = { take: async () => {}, report: async () => {} }

export const silent = createLog('silent')

/** The access of a service whose tokens are `tokens`; close it. */
export function accessOf(scene: Scene, tokens: readonly string[] = [demoToken.token]): Access {
  const config = { apiTokens: tokens, apiUrl: scene.api.url, httpsProxy: undefined, noProxy: [] }
  const { clock, filter } = scene.deps
  return openAccess(config, { budget: freeBudget, filter, log: silent, clock, client: { backoffMs: 1 } })
}
