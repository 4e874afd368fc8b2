import { lostWebhooks } from '../../../coverage/coverage.ts'
import type { cycles } from '../../../database/schema.ts'
import { ago, count, days, roughly } from '../format.ts'
import { html, type Markup } from '../html.ts'

export type Cycle = typeof cycles.$inferSelect

/** Cycles and audits as a table. `organizationOf` adds a column with the organization. */
export function cycleTable(cycles: readonly Cycle[], now: Date, organizationOf?: (id: string) => string): Markup {
  const rows = cycles.map((cycle) => {
    const took = cycle.finished_at ? roughly(cycle.finished_at.getTime() - cycle.started_at.getTime()) : ''
    const completed = cycle.builds_completed + cycle.jobs_completed
    const inFlight = cycle.builds_in_flight + cycle.jobs_in_flight
    return html`<tr><td class="nowrap">${ago(cycle.started_at, now)}</td>${organizationOf && html`<td>${organizationOf(cycle.organization_id)}</td>`}<td>${kindOf(cycle, now)}</td><td class="n wide">${took}</td><td class="n">${count(cycle.builds_read)}</td><td class="n">${figure(lostWebhooks(cycle).total)}</td><td class="n wide">${count(inFlight)}</td><td class="n wide">${count(completed)}</td></tr>${cycle.error && html`<tr class="under"><td colspan="8"><span class="bad break clamp">${cycle.error}</span></td></tr>`}`
  })
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Syncs and audits"><table><thead><tr><th scope="col">When</th>${organizationOf && html`<th scope="col">Organization</th>`}<th scope="col">What</th><th scope="col" class="n wide">Took</th><th scope="col" class="n">Builds read</th><th scope="col" class="n">Corrected</th><th scope="col" class="n wide">In flight</th><th scope="col" class="n wide">Completed</th></tr></thead><tbody>${rows}</tbody></table></div>
<p class="quiet small">Corrected: builds and jobs that were missing or wrong, because their webhook was lost. In flight: not up to date, but their webhook may still arrive. Completed: the API added data that no webhook carries.</p>`
}

function figure(n: number): Markup {
  return n > 0 ? html`<b>${count(n)}</b>` : html`<span class="quiet">0</span>`
}

const kinds = { hot: 'sync', warm: 'hourly catch-up', pipelines: 'pipeline list' }

function kindOf({ kind, watermark_from, watermark_to }: Cycle, now: Date): string {
  if (kind !== 'audit') return kinds[kind]
  if (!watermark_from || !watermark_to) return 'audit'
  // The end is not included.
  return `audit ${days(watermark_from, new Date(Math.max(watermark_from.getTime(), watermark_to.getTime() - 1)), now)}`
}
