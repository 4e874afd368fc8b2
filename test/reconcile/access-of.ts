import { demoToken } from '../../src/demo/api.ts'
import { type Access, openAccess } from '../../src/reconcile/access.ts'
import { freeBudget, type Scene, silent } from './scene.ts'

/** The access of a service whose tokens are `tokens`; close it. */
export function accessOf(scene: Scene, tokens: readonly string[] = [demoToken.token]): Access {
  const config = { apiTokens: tokens, apiUrl: scene.api.url, httpsProxy: undefined, noProxy: [] }
  const { clock, scope } = scene.deps
  return openAccess(config, { budget: freeBudget, scope, log: silent, clock, client: { backoffMs: 1 } })
}
