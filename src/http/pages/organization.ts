import { type BackfillCoverage, lostWebhooks, type OrganizationCoverage } from '../../coverage/coverage.ts'
import { DAY, SECOND } from '../../runtime/time.ts'
import { dayOf, spanBounds } from './date-bounds.ts'
import { ago, count, moment, percent, roughly, some } from './format.ts'
import { html, type Markup } from './html.ts'
import { cycleTable } from './records/cycle-table.ts'
import { drawShare, drawStrip, legend } from './svg.ts'

/** The live part of an organization: its time strip, its backfill and its figures. */
export function coveragePiece(one: OrganizationCoverage, now: Date, mayAct: boolean): Markup {
  const about = one.builds_estimated ? 'about ' : ''
  return html`<div class="head"><h2>${nameOf(one)}</h2>
<p class="quiet small">${about}${some(one.builds, 'build')}${one.open_builds > 0 && `, ${count(one.open_builds)} open`}${!one.mirrored && ', no longer mirrored'}</p></div>
${drawStrip(one.strip, now)}
${legend(one.strip, now)}
${claimPart(one, now)}
${backfillPart(one, mayAct)}
<dl>
<div><dt>Oldest verification</dt><dd>${one.oldest_verification ? ago(one.oldest_verification, now) : 'none yet'}</dd></div>
<div><dt>Awaiting API confirmation</dt><dd>${some(one.provisional_builds, 'build')}<small>changed by webhooks since the last API read</small></dd></div>
<div><dt>Webhooks</dt><dd>${webhooksOf(one, now)}</dd></div>
<div><dt>Drift</dt><dd>${one.drift.unhealed > 0 ? html`<span class="mark warn">${count(one.drift.unhealed)} not healed</span>` : 'none open'}<small>${count(one.drift.last_day)} found in 24 hours</small></dd></div>
</dl>`
}

/** What the completeness claim says. */
function claimPart({ claim, covered_from }: OrganizationCoverage, now: Date): Markup {
  const { as_of, jobs_as_of, pipelines, pipelines_current, pipelines_complete, pipelines_listed_at, exceptions } = claim
  if (!as_of || !jobs_as_of || !pipelines_listed_at) {
    return html`<p class="quiet">No builds are verified as complete yet. The next read of the pipeline list confirms them.</p>`
  }
  const listed = html`pipelines listed ${ago(pipelines_listed_at, now)}; ${some(exceptions, 'exception')}`
  if (pipelines_current === 0) return html`<p>None of ${some(pipelines, 'pipeline')} is complete yet; ${listed}.</p>`
  const from = covered_from
    ? html`Builds complete from <b>${moment(covered_from)}</b>`
    : html`Builds of <b>${count(pipelines_current)} of ${some(pipelines, 'pipeline')}</b> complete`
  return html`<p>${from} as of ${ago(as_of, now)}, jobs as of ${ago(jobs_as_of, now)}; <b>${count(pipelines_complete)} of ${some(pipelines, 'pipeline')}</b> complete over the wanted history; ${listed}.</p>`
}

export function nameOf({ slug, id }: Pick<OrganizationCoverage, 'slug' | 'id'>): string {
  return slug ?? id
}

/** How many builds and jobs lost their webhooks; the same number as in the page's headline. */
function webhooksOf({ last_day, receives_webhooks }: OrganizationCoverage, now: Date): Markup {
  const lost = lostWebhooks(last_day)
  if (lost.total > 0) {
    const last = last_day.last_lost_at && html`, last found ${ago(last_day.last_lost_at, now)}`
    return html`<span class="mark warn">lost for ${lostRows(lost)}</span><small>in the last 24 hours${last}; a sync corrected them</small>`
  }
  if (!receives_webhooks) return html`none received<small>this organization is mirrored by polling only</small>`
  return html`0 lost<small>in the last 24 hours, checked by ${some(last_day.cycles, 'sync')}</small>`
}

/** `2 builds and 1 job`. */
export function lostRows({ builds, jobs }: ReturnType<typeof lostWebhooks>): string {
  const parts = [builds > 0 ? some(builds, 'build') : '', jobs > 0 ? some(jobs, 'job') : '']
  return parts.filter(Boolean).join(' and ')
}

function backfillPart({ id, slug, backfill }: OrganizationCoverage, mayAct: boolean): Markup | false {
  if (!backfill.from || backfill.done) return false
  const paused = backfill.paused_at !== null
  const resting = paused || backfill.off
  const left = backfill.seconds_left === null ? '' : `, about ${roughly(backfill.seconds_left * SECOND)} left`
  return html`<div class="progress">
<p><b>${stateOf(backfill)}: ${percent(backfill.progress)}</b>${left}<span class="quiet"> · ${some(backfill.builds, 'build')} in ${some(backfill.requests, 'request')}</span>${drawShare(backfill.progress, resting ? 'warn' : 'share')}</p>
${mayAct && !backfill.off && pauseForm(id, slug ?? id, paused)}
</div>`
}

function stateOf({ off, paused_at }: BackfillCoverage): string {
  if (off) return 'History is not read, because BACKFILL_DAYS is 0'
  return paused_at ? 'Reading history is paused' : 'Reading history'
}

function pauseForm(id: string, name: string, paused: boolean): Markup {
  return html`<form method="post" action="/actions/backfill/${paused ? 'resume' : 'pause'}"><input type="hidden" name="organization" value="${id}"><button data-key="pause-${id}">${paused ? 'Resume' : 'Pause'}<span class="unseen"> the backfill of ${name}</span></button></form>`
}

/** The last syncs and audits of an organization, and its reference data. */
export function cyclesPiece({ recent_cycles, lists }: OrganizationCoverage, now: Date): Markup {
  return html`<h3>Last syncs and audits</h3>
${recent_cycles.length === 0 ? html`<p class="quiet">None yet.</p>` : cycleTable(recent_cycles, now)}
<p class="small"><a href="/history">Older syncs and audits</a></p>
${lists.length > 0 && html`<h3>Reference data</h3><ul class="chips">${lists.map(chip)}</ul>`}`
}

function chip({ name, status, rows, error }: OrganizationCoverage['lists'][number]): Markup {
  const label = name.replaceAll('_', ' ')
  if (status === 'read') return html`<li>${label}${rows === null ? '' : ` ${count(rows)}`}</li>`
  return html`<li class="off" title="${error ?? ''}">${label}: ${status.replaceAll('_', ' ')}</li>`
}

/** What an operator can start for an organization. This part is not live, so that input is not lost. */
export function organizationForms(one: OrganizationCoverage, now: Date): Markup {
  const name = nameOf(one)
  const { first, last } = spanBounds(now.getTime())
  const field = (which: string, label: string, at: Date) => {
    const id = `${which}-${one.id}`
    return html`<div><label for="${id}">${label}</label><input type="date" id="${id}" name="${which}" value="${dayOf(at)}" min="${dayOf(first)}" max="${dayOf(last)}" required></div>`
  }
  return html`<div class="actions">
<form method="post" action="/actions/cycle"><input type="hidden" name="organization" value="${one.id}"><button>Sync now<span class="unseen"> of ${name}</span></button></form>
<details><summary>Audit a time range</summary>
<form method="post" action="/actions/audit"><input type="hidden" name="organization" value="${one.id}">
${field('from', 'Builds created from', new Date(now.getTime() - 7 * DAY))}${field('to', 'to the end of', now)}
<button>Run audit<span class="unseen"> of ${name}</span></button></form>
<p class="quiet small">Reads every build created in the range from Buildkite and compares it with the mirror. Corrects differences and records them as drift. Days are in UTC.</p>
</details>
</div>`
}
