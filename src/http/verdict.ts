import { type BackfillCoverage, lostWebhooks, type OrganizationCoverage } from '../reconcile/status.ts'
import { MINUTE, SECOND } from '../time.ts'
import type { CheckFinding } from './noteworthy.ts'
import { lostRows } from './organization-part.ts'
import type { Status } from './status.ts'
import { percent, roughly, some } from './words.ts'

/** Something that keeps the whole from being well, and what to do about it. */
export interface Reason {
  readonly tone: 'warn' | 'bad'
  readonly text: string
  readonly remedy?: string | undefined
}

/** How it is, in one sentence. */
export interface Verdict {
  readonly tone: 'good' | 'warn' | 'bad'
  readonly sentence: string
  /** What there is to say besides, when all is well. */
  readonly beneath: string
  readonly reasons: readonly Reason[]
}

/** A watermark older than this, or than three intervals, says that cycles fail or do not run. */
const LATE = 10 * MINUTE
/** A delivery that waited for so long was passed by. */
const WAITING = 5 * MINUTE

/** Whether all is well (pure). */
export function verdictOf(status: Status): Verdict {
  const reasons = reasonsOf(status)
  const beneath = beneathOf(status)
  if (status.status === 'unavailable') {
    return { tone: 'bad', sentence: 'It cannot do its work now.', beneath, reasons }
  }
  if (reasons.some(({ tone }) => tone === 'bad')) {
    return { tone: 'bad', sentence: 'Something is wrong, and the mirror may fall behind.', beneath, reasons }
  }
  if (reasons.length > 0) {
    const what = reasons.length === 1 ? 'one thing wants' : `${reasons.length} things want`
    return { tone: 'warn', sentence: `It works, but ${what} a look.`, beneath, reasons }
  }
  const marks = marksOf(status)
  if (marks.length === 0) return { tone: 'good', sentence: 'Ready. Nothing is mirrored yet.', beneath, reasons }
  const oldest = Math.max(...marks.map((mark) => status.read_at.getTime() - mark.getTime()))
  const reading = mirrored(status).some(({ backfill }) => isReadingHistory(backfill))
  const healthy = `Healthy: everything up to ${roughly(Math.max(0, oldest))} ago is verified`
  return { tone: 'good', sentence: `${healthy}${reading ? ', and history is being read' : ''}.`, beneath, reasons }
}

function isReadingHistory({ from, done, paused_at, off }: BackfillCoverage): boolean {
  return from !== null && !done && paused_at === null && !off
}

function reasonsOf(status: Status): Reason[] {
  // Several tasks may meet the same.
  const problems = [...new Map(status.problems.map((one) => [one.message, one])).values()].map(
    ({ code, message, remedy }): Reason => ({ tone: code === 'expires_soon' ? 'warn' : 'bad', text: message, remedy }),
  )
  const told = new Set(status.problems.map(({ message }) => message))
  const others = status.reasons.filter((reason) => !told.has(reason))
  return [
    ...problems,
    ...others.map((text): Reason => ({ tone: status.status === 'ok' ? 'warn' : 'bad', text })),
    ...lateOnes(status),
    ...waitingOnes(status),
    ...failedOnes(status),
    ...lostOnes(status),
    ...differing(status),
    ...found(status, told),
  ]
}

/** The organizations of which anything is expected: of one that is mirrored no longer, what is known stands still for ever. */
function mirrored({ organizations }: Status): readonly OrganizationCoverage[] {
  return (organizations ?? []).filter((one) => one.mirrored)
}

function lateAfter({ reconciler }: Status): number {
  return Math.max(LATE, 3 * reconciler.interval_seconds * SECOND)
}

function lateOnes(status: Status): Reason[] {
  if (!status.reconciler.on) return []
  return mirrored(status).flatMap(({ slug, id, watermark, last_error }): Reason[] => {
    const age = watermark ? status.read_at.getTime() - watermark.getTime() : 0
    if (age < lateAfter(status)) return []
    const why = last_error ? ` The last cycle failed: ${last_error.message}` : ''
    return [{ tone: 'bad', text: `${slug ?? id} is verified only up to ${roughly(age)} ago.${why}` }]
  })
}

function waitingOnes({ deliveries, reasons }: Status): Reason[] {
  const waited = (deliveries?.oldest_pending_seconds ?? 0) * SECOND
  // The readiness of a worker tells of it too.
  if (waited < WAITING || reasons.some((reason) => reason.startsWith('The oldest delivery'))) return []
  const text = `A webhook that was received has been waiting for ${roughly(waited)} to be applied.`
  return [{ tone: 'bad', text, remedy: 'See that a process with the role worker runs, and what its log says.' }]
}

function failedOnes({ deliveries }: Status): Reason[] {
  if (!deliveries || deliveries.failed === 0) return []
  const all = deliveries.failed > 1
  const text = `${some(deliveries.failed, 'webhook delivery', 'webhook deliveries')} could not be applied.`
  return [{ tone: 'warn', text, remedy: `Kept. Once the cause is mended, replay ${all ? 'them' : 'it'} below.` }]
}

function lostOnes(status: Status): Reason[] {
  return mirrored(status).flatMap(({ slug, id, last_day }): Reason[] => {
    const lost = lostWebhooks(last_day)
    if (lost.total === 0) return []
    const last = last_day.last_lost_at
      ? ` ${roughly(Math.max(0, status.read_at.getTime() - last_day.last_lost_at.getTime()))} ago`
      : ''
    const text = `Webhooks of ${slug ?? id} were lost: ${lostRows(lost)} in the last 24 hours, last found${last}. The API corrected them.`
    return [{ tone: 'warn', text, remedy: 'See "Webhooks lost" in docs/runbook.md.' }]
  })
}

function differing(status: Status): Reason[] {
  const unhealed = mirrored(status).reduce((sum, { drift }) => sum + drift.unhealed, 0)
  if (unhealed === 0) return []
  const text = `${some(unhealed, 'difference')} between mirror and Buildkite ${unhealed === 1 ? 'is' : 'are'} not healed.`
  return [{ tone: 'warn', text, remedy: 'Read the span again, or run buildkite-mirror verify --heal.' }]
}

/** What the hourly check found, save what is known as of now: that was told above, or has passed. */
function found(status: Status, told: ReadonlySet<string>): Reason[] {
  return (status.findings ?? [])
    .filter((finding) => finding.result !== 'ok' && !told.has(finding.detail) && !isKnownNow(finding, status))
    .map(({ result, detail, remedy, subject }) => ({
      tone: result === 'failed' ? 'bad' : 'warn',
      text: subject && !detail.includes(subject) ? `${subject}: ${detail}` : detail,
      remedy: remedy ?? undefined,
    }))
}

/** Whether the status itself tells how what a finding is about stands now. */
function isKnownNow({ name, subject }: CheckFinding, status: Status): boolean {
  const { deliveries, organizations, queue, reconciler, read_at } = status
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
    case 'watermark_lag': {
      // A process that reconciles nothing says nothing of watermarks itself, but knows them.
      const mark = organizations?.find(({ slug }) => slug === subject)?.watermark
      return (
        organizations !== null && (reconciler.on || !mark || read_at.getTime() - mark.getTime() < lateAfter(status))
      )
    }
    default:
      return false
  }
}

function beneathOf(status: Status): string {
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
  if (off) return ', and the service reads no more as BACKFILL_DAYS is 0'
  if (paused_at) return ', paused'
  return seconds_left === null ? '' : `, about ${roughly(seconds_left * 1000)} left`
}

/** The watermarks of what is mirrored. */
export function marksOf(status: Status): Date[] {
  return mirrored(status).flatMap(({ watermark }) => watermark ?? [])
}
