import { type BackfillCoverage, lostWebhooks, type OrganizationCoverage } from '../../coverage/coverage.ts'
import { type Claim, claimLateAfter } from '../../reconcile/progress/claim.ts'
import { MINUTE, SECOND } from '../../runtime/time.ts'
import { percent, roughly, some } from '../pages/format.ts'
import { lostRows, nameOf } from '../pages/organization.ts'
import type { CheckFinding } from './recent-issues.ts'
import type { Status } from './status.ts'

/** Something that is not healthy, and what to do about it. */
export interface Reason {
  readonly tone: 'warn' | 'bad'
  readonly text: string
  readonly remedy?: string | undefined
}

/** The headline of the page. */
export interface Summary {
  readonly tone: 'good' | 'warn' | 'bad'
  readonly sentence: string
  /** The text below the headline. */
  readonly subtitle: string
  readonly reasons: readonly Reason[]
}

/** A delivery that waited this long was overlooked. */
const WAITING = 5 * MINUTE

/** Decides the headline and its reasons (pure). */
export function summaryOf(status: Status): Summary {
  const reasons = reasonsOf(status)
  const subtitle = subtitleOf(status)
  if (status.status === 'unavailable') {
    return { tone: 'bad', sentence: 'Unavailable: this process cannot work.', subtitle, reasons }
  }
  if (reasons.some(({ tone }) => tone === 'bad')) {
    return { tone: 'bad', sentence: 'Error: the mirror may fall behind.', subtitle, reasons }
  }
  if (reasons.length > 0) {
    return { tone: 'warn', sentence: some(reasons.length, 'warning'), subtitle, reasons }
  }
  const sentence = healthy(status)
  return { tone: 'good', sentence, subtitle, reasons }
}

/** What is verified over all mirrored organizations. */
function healthy(status: Status): string {
  const { as_of, pipelines, pipelines_current: current, pipelines_complete, exceptions } = claimOf(status)
  const all = mirrored(status)
  if (all.every(({ watermark }) => watermark === null)) return 'Ready. Nothing is mirrored yet.'
  const reading = all.some(({ backfill }) => isReadingHistory(backfill)) ? ', and history is being read' : ''
  if (!as_of || current === 0) return `Healthy: builds are mirrored, not yet verified${reading}.`
  // Without a token no history is read.
  const isWhole = pipelines_complete === pipelines || all.every(({ backfill }) => !backfill.from)
  const which = current < pipelines ? `${current} of ${pipelines} pipelines` : isWhole ? 'all builds' : 'new builds'
  const upTo = roughly(Math.max(0, status.read_at.getTime() - as_of.getTime()))
  const except = exceptions > 0 ? `, with ${some(exceptions, 'exception')}` : ''
  const unread = all.filter(({ claim }) => claim.as_of === null && !hasNoPipeline(claim))
  const nothing = unread.length > 0 ? `, and nothing of ${unread.map(nameOf).join(' and ')} yet` : ''
  return `Healthy: ${which} are verified up to ${upTo} ago${except}${nothing}${reading}.`
}

function hasNoPipeline({ pipelines, pipelines_listed_at }: Claim): boolean {
  return pipelines_listed_at !== null && pipelines === 0
}

function isReadingHistory({ from, done, paused_at, off }: BackfillCoverage): boolean {
  return from !== null && !done && paused_at === null && !off
}

function reasonsOf(status: Status): Reason[] {
  // Several tasks may meet the same problem.
  const problems = [...new Map(status.problems.map((one) => [one.message, one])).values()].map(
    ({ code, message, remedy }): Reason => ({ tone: code === 'expires_soon' ? 'warn' : 'bad', text: message, remedy }),
  )
  const known = new Set(status.problems.map(({ message }) => message))
  const others = status.reasons.filter(({ text }) => !known.has(text))
  return [
    ...problems,
    ...others.map(({ text }): Reason => ({ tone: status.status === 'ok' ? 'warn' : 'bad', text })),
    ...lateOnes(status),
    ...waitingOnes(status),
    ...lastingOnes(status),
    ...failedOnes(status),
    ...lostOnes(status),
    ...differing(status),
    ...found(status, known),
  ]
}

/** The organizations that are still mirrored. The figures of others never change, so they must not count as late. */
function mirrored({ organizations }: Status): readonly OrganizationCoverage[] {
  return (organizations ?? []).filter((one) => one.mirrored)
}

/** If a claim is older than this, cycles or lists of pipelines fail or do not run. */
function lateAfter({ reconciler }: Status): number {
  return claimLateAfter(reconciler.interval_seconds * SECOND)
}

function lateOnes(status: Status): Reason[] {
  if (!status.reconciler.on) return []
  return mirrored(status).flatMap((one): Reason[] => {
    const age = ageOf(one.claim.as_of, status)
    if (age < lateAfter(status)) return []
    return [
      { tone: 'bad', text: `${one.slug ?? one.id} is verified only up to ${roughly(age)} ago.${whyLate(one, status)}` },
    ]
  })
}

function ageOf(at: Date | null, { read_at }: Status): number {
  return at ? read_at.getTime() - at.getTime() : 0
}

function whyLate({ last_error, failures, claim }: OrganizationCoverage, status: Status): string {
  if (last_error) return ` The last sync failed: ${last_error.message}`
  const list = failures.find(({ kind }) => kind === 'pipelines_list')
  if (list) return ` Reading the list of pipelines fails: ${list.error}`
  const age = ageOf(claim.pipelines_listed_at, status)
  return age < lateAfter(status) ? '' : ` The list of pipelines was last read ${roughly(age)} ago.`
}

function lastingOnes({ failing }: Status): Reason[] {
  if (!failing || failing.lasting === 0) return []
  const one = failing.lasting === 1
  const text = `${some(failing.lasting, 'unit', 'units')} of work ${one ? 'keeps' : 'keep'} failing.`
  return [
    { tone: 'warn', text, remedy: 'See below. The service retries each with back-off; everything else continues.' },
  ]
}

function waitingOnes({ deliveries, reasons }: Status): Reason[] {
  const waited = (deliveries?.oldest_pending_seconds ?? 0) * SECOND
  // The readiness of a worker reports it too.
  if (waited < WAITING || reasons.some(({ code }) => code === 'delivery_waiting')) return []
  const text = `A received webhook has been waiting for ${roughly(waited)} to be applied.`
  return [{ tone: 'bad', text, remedy: 'Check that a process with the role worker runs, and read its log.' }]
}

function failedOnes({ deliveries }: Status): Reason[] {
  if (!deliveries || deliveries.failed === 0) return []
  const all = deliveries.failed > 1
  const text = `${some(deliveries.failed, 'webhook delivery', 'webhook deliveries')} could not be applied.`
  return [{ tone: 'warn', text, remedy: `Fix the cause, then replay ${all ? 'them' : 'it'} below.` }]
}

function lostOnes(status: Status): Reason[] {
  return mirrored(status).flatMap(({ slug, id, last_day }): Reason[] => {
    const lost = lostWebhooks(last_day)
    if (lost.total === 0) return []
    const last = last_day.last_lost_at
      ? ` ${roughly(Math.max(0, status.read_at.getTime() - last_day.last_lost_at.getTime()))} ago`
      : ''
    const text = `Webhooks of ${slug ?? id} were lost: ${lostRows(lost)} in the last 24 hours, last found${last}. A sync corrected them.`
    return [{ tone: 'warn', text, remedy: 'See "Webhooks lost" in docs/operations/runbook.md.' }]
  })
}

function differing(status: Status): Reason[] {
  const unhealed = mirrored(status).reduce((sum, { drift }) => sum + drift.unhealed, 0)
  if (unhealed === 0) return []
  const text = `${some(unhealed, 'difference')} between mirror and Buildkite ${unhealed === 1 ? 'is' : 'are'} not healed.`
  return [{ tone: 'warn', text, remedy: 'Audit the time range below, or run buildkite-mirror verify --heal.' }]
}

/** The results of the hourly check, except where the status itself has a newer one. */
function found(status: Status, known: ReadonlySet<string>): Reason[] {
  return (status.findings ?? [])
    .filter((finding) => finding.result !== 'ok' && !known.has(finding.detail) && !isKnownNow(finding, status))
    .map(({ result, detail, remedy, subject }) => ({
      tone: result === 'failed' ? 'bad' : 'warn',
      text: subject && !detail.includes(subject) ? `${subject}: ${detail}` : detail,
      remedy: remedy ?? undefined,
    }))
}

/** Whether the status itself shows the current state of what the finding is about. */
function isKnownNow({ name, subject }: CheckFinding, status: Status): boolean {
  const { deliveries, organizations, queue, reconciler } = status
  switch (name) {
    case 'postgres_unreachable':
    case 'migrations_pending':
    case 'queue_unreachable':
      return true
    case 'redis_eviction':
    case 'redis_persistence':
      return queue.ok
    case 'deliveries_failed':
    case 'delivery_lag':
      return deliveries !== null
    case 'work_failing':
      return status.failing !== null
    case 'watermark_lag':
    case 'claim_lag': {
      // A process without the role reconciler does not report this itself, but reads it from the database.
      const known = organizations?.find(({ slug }) => slug === subject)
      const at = name === 'claim_lag' ? known?.claim.as_of : known?.watermark
      if (name === 'claim_lag' && known && !at) return false
      return organizations !== null && (reconciler.on || ageOf(at ?? null, status) < lateAfter(status))
    }
    default:
      return false
  }
}

function subtitleOf(status: Status): string {
  const parts: string[] = []
  for (const { slug, id, backfill } of mirrored(status)) {
    if (!backfill.from || backfill.done) continue
    parts.push(`History of ${slug ?? id}: ${percent(backfill.progress)}${onHistory(backfill)}.`)
  }
  const reported = mirrored(status).filter(({ receives_webhooks }) => receives_webhooks)
  if (reported.length > 0 && reported.every(({ last_day }) => lostWebhooks(last_day).total === 0)) {
    parts.push('0 webhooks lost in the last 24 hours.')
  }
  if (status.webhooks.why) parts.push(status.webhooks.why)
  if (status.reconciler.why) parts.push(status.reconciler.why)
  return parts.join(' ')
}

function onHistory({ off, paused_at, seconds_left }: BackfillCoverage): string {
  if (off) return ', stopped because BACKFILL_DAYS is 0'
  if (paused_at) return ', paused'
  return seconds_left === null ? '' : `, about ${roughly(seconds_left * 1000)} left`
}

/** The claim over all mirrored organizations. Its times are those of the organization that is furthest behind. */
export function claimOf(status: Status): Omit<Claim, 'pipelines_listed_at'> {
  const claims = mirrored(status).map(({ claim }) => claim)
  const sum = (of: (claim: Claim) => number) => claims.reduce((total, claim) => total + of(claim), 0)
  return {
    as_of: earliest(claims.map(({ as_of }) => as_of)),
    jobs_as_of: earliest(claims.map(({ jobs_as_of }) => jobs_as_of)),
    pipelines: sum(({ pipelines }) => pipelines),
    pipelines_current: sum(({ pipelines_current }) => pipelines_current),
    pipelines_complete: sum(({ pipelines_complete }) => pipelines_complete),
    exceptions: sum(({ exceptions }) => exceptions),
  }
}

function earliest(times: readonly (Date | null)[]): Date | null {
  const known = times.filter((time) => time !== null)
  return known.length > 0 ? new Date(Math.min(...known.map((time) => time.getTime()))) : null
}
