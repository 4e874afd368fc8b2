import type { Probes } from '../../src/http/status/probes.ts'

/** The facts of a process in which all is well. */
export const healthy: Probes = {
  roles: new Set(['web', 'worker', 'reconciler']),
  closing: false,
  database: { ok: true, value: 0 },
  queue: { ok: true, value: [] },
  oldestPendingMs: undefined,
  idleMs: 0,
  problems: [],
}
