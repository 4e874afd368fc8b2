import type { TimelinePart } from '../../coverage/timeline.ts'
import { DAY } from '../../runtime/time.ts'
import { count, day, moment, roughly } from './format.ts'
import { html, type Markup } from './html.ts'

const WIDTH = 1_000

/** An organization's time range as one strip: what is verified, when it was verified, and what is still to be read. */
export function drawStrip(parts: readonly TimelinePart[], now: Date): Markup {
  const [first] = parts
  const last = parts.at(-1)
  if (!first || !last) return html`<p class="quiet">No sync has run yet.</p>`
  const from = first.from.getTime()
  const scale = WIDTH / Math.max(1, last.to.getTime() - from)
  const rects = parts.map((part) => {
    const x = (part.from.getTime() - from) * scale
    const width = Math.max(
      0.6,
      (part.to.getTime() - part.from.getTime()) * scale - (part.kind === 'verified' ? 0.9 : 0),
    )
    return html`<rect class="${shadeOf(part, now)}" x="${x.toFixed(1)}" width="${width.toFixed(1)}" height="10"><title>${titleOf(part, now)}</title></rect>`
  })
  const middle = new Date((from + last.to.getTime()) / 2)
  return html`<svg class="strip" viewBox="0 0 ${WIDTH} 10" preserveAspectRatio="none" role="img" aria-label="${summary(parts)}">${rects}</svg>
<div class="axis" aria-hidden="true"><span>${day(first.from)}</span><span>${day(middle)}</span><span>now</span></div>`
}

const shades: Readonly<Record<string, string>> = {
  v0: 'verified within a day',
  v1: 'verified within a week',
  v2: 'verified longer ago',
  live: 'kept current by sync',
  flawed: 'some builds could not be stored',
  partial: 'not yet complete in every pipeline',
  reading: 'being read',
  unread: 'not read yet',
}

/** What the shades of a strip mean; lists only shades that occur in it. */
export function legend(parts: readonly TimelinePart[], now: Date): Markup {
  const used = new Set(parts.map((part) => shadeOf(part, now)))
  const entries = Object.entries(shades).filter(([shade]) => used.has(shade))
  return html`<ul class="legend">${entries.map(
    ([shade, text]) =>
      html`<li><svg viewBox="0 0 10 10" aria-hidden="true"><rect class="${shade}" width="10" height="10"/></svg>${text}</li>`,
  )}</ul>`
}

function shadeOf({ kind, verified_at }: TimelinePart, now: Date): string {
  if (kind !== 'verified') return kind
  const age = verified_at ? now.getTime() - verified_at.getTime() : Number.POSITIVE_INFINITY
  return age < DAY ? 'v0' : age < 7 * DAY ? 'v1' : 'v2'
}

const meanings = {
  live: 'kept current by sync',
  verified: 'verified',
  flawed: 'read, but some builds could not be stored',
  partial: 'read, but not yet complete in every pipeline',
  reading: 'being read',
  unread: 'not read yet',
  ahead: 'newer than the completeness claim',
}

function titleOf({ from, to, kind, verified_at, builds }: TimelinePart, now: Date): string {
  const when = verified_at ? ` ${roughly(Math.max(0, now.getTime() - verified_at.getTime()))} ago` : ''
  const many = builds === null ? '' : `, ${count(builds)} builds`
  return `${moment(from)} to ${moment(to)}: ${meanings[kind]}${when}${many}`
}

/** The strip in words, for screen readers. */
function summary(parts: readonly TimelinePart[]): string {
  const whole = parts.reduce((sum, part) => sum + lengthOf(part), 0)
  const shares = new Map<string, number>()
  for (const part of parts) shares.set(part.kind, (shares.get(part.kind) ?? 0) + lengthOf(part))
  const words = [...shares].flatMap(([kind, length]) => {
    const share = Math.round((100 * length) / whole)
    const known = parts.find((part) => part.kind === kind)
    return share >= 1 && known ? [`${share} % ${meanings[known.kind]}`] : []
  })
  const [first] = parts
  return `Time since ${first ? day(first.from) : 'the beginning'}: ${words.join(', ')}`
}

const lengthOf = ({ from, to }: TimelinePart) => to.getTime() - from.getTime()

/** Draws a share from 0 to 1 as a bar. It is hidden from screen readers, as the number is shown next to it. */
export function drawShare(share: number, shade = 'share'): Markup {
  const width = (100 * Math.min(1, Math.max(0, share))).toFixed(1)
  return html`<svg class="bar" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true"><rect class="${shade}" width="${width}" height="4"/></svg>`
}
