import { MINUTE } from '../time.ts'
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

/** A watermark older than this says that cycles fail or do not run. */
const LATE = 10 * MINUTE

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
  const reading = status.organizations?.some(({ backfill }) => backfill.from && !backfill.done && !backfill.paused_at)
  const healthy = `Healthy: everything up to ${roughly(Math.max(0, oldest))} ago is verified`
  return { tone: 'good', sentence: `${healthy}${reading ? ', and history is being read' : ''}.`, beneath, reasons }
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
    ...failedOnes(status),
    ...differing(status),
    ...found(status, told),
  ]
}

function lateOnes({ organizations, reconciler, read_at }: Status): Reason[] {
  if (!reconciler.on) return []
  return (organizations ?? []).flatMap(({ slug, id, watermark, last_error }): Reason[] => {
    const age = watermark ? read_at.getTime() - watermark.getTime() : 0
    if (age < LATE) return []
    const why = last_error ? ` The last cycle failed: ${last_error.message}` : ''
    return [{ tone: 'bad', text: `${slug ?? id} is verified only up to ${roughly(age)} ago.${why}` }]
  })
}

function failedOnes({ deliveries }: Status): Reason[] {
  if (!deliveries || deliveries.failed === 0) return []
  const all = deliveries.failed > 1
  const text = `${some(deliveries.failed, 'webhook delivery', 'webhook deliveries')} could not be applied.`
  return [{ tone: 'warn', text, remedy: `Kept. Once the cause is mended, replay ${all ? 'them' : 'it'} below.` }]
}

function differing({ organizations }: Status): Reason[] {
  const unhealed = (organizations ?? []).reduce((sum, { drift }) => sum + drift.unhealed, 0)
  if (unhealed === 0) return []
  const text = `${some(unhealed, 'difference')} between mirror and Buildkite ${unhealed === 1 ? 'is' : 'are'} not healed.`
  return [{ tone: 'warn', text, remedy: 'Read the span again, or run buildkite-mirror verify --heal.' }]
}

function found({ findings }: Status, told: ReadonlySet<string>): Reason[] {
  return (findings ?? [])
    .filter(({ result, detail }) => result !== 'ok' && !told.has(detail))
    .map(({ result, detail, remedy, subject }) => ({
      tone: result === 'failed' ? 'bad' : 'warn',
      text: subject && !detail.includes(subject) ? `${subject}: ${detail}` : detail,
      remedy: remedy ?? undefined,
    }))
}

function beneathOf(status: Status): string {
  const parts: string[] = []
  for (const { slug, id, backfill } of status.organizations ?? []) {
    if (!backfill.from || backfill.done) continue
    const left = backfill.seconds_left === null ? '' : `, about ${roughly(backfill.seconds_left * 1000)} left`
    const how = backfill.paused_at ? ', paused' : left
    parts.push(`History of ${slug ?? id}: ${percent(backfill.progress)}${how}.`)
  }
  if (status.webhooks.why) parts.push(status.webhooks.why)
  if (status.reconciler.why) parts.push(status.reconciler.why)
  return parts.join(' ')
}

function marksOf({ organizations }: Status): Date[] {
  return (organizations ?? []).flatMap(({ watermark }) => watermark ?? [])
}
