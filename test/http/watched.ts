import { coverage } from '../../src/coverage/coverage.ts'
import type { Watched } from '../../src/http/status/probes.ts'
import { WebhookDay } from '../../src/http/status/webhook-day.ts'
import type { Role } from '../../src/runtime/config.ts'
import { mirrorFilter } from '../../src/runtime/scope.ts'

export const everything = mirrorFilter({ organizations: [], pipelinesInclude: [], pipelinesExclude: [] })

/** What the private listener of a healthy process with these roles watches. */
export function watchedOf(
  parts: Pick<Watched, 'database' | 'queues'> & Partial<Watched>,
  roles: readonly Role[] = ['web', 'worker', 'reconciler'],
): Watched {
  return {
    config: {
      roles: new Set(roles),
      webhookSecrets: ['hunter2-webhook'],
      webhookAuth: 'signature',
      apiTokens: ['hunter2-token'],
      apiBudgetShare: 0.5,
      reconcileIntervalMs: 60_000,
    },
    filter: everything,
    databaseKind: 'external',
    workers: [],
    problems: () => [],
    coverage: () => coverage(parts.database.db),
    webhookDay: () => new WebhookDay(parts.database.db, Date.now).latest(),
    closing: () => false,
    clock: Date.now,
    ...parts,
  }
}
