import { formatDuration, SECOND } from '../../runtime/time.ts'
import { html, type Markup } from './html.ts'

const numbers = new Intl.NumberFormat('en')

/** A whole number with separators: 1,002,330. */
export function count(n: number): string {
  return numbers.format(Math.round(n))
}

/** `1 build`, `2 builds`. */
export function some(n: number, one: string, many = `${one}s`): string {
  return `${count(n)} ${n === 1 ? one : many}`
}

/** How long ago, with the exact time for machines and as a tooltip. */
export function ago(at: Date, now: Date): Markup {
  const ms = Math.max(0, now.getTime() - at.getTime())
  const text = ms < SECOND ? 'just now' : `${roughly(ms)} ago`
  return html`<time datetime="${at.toISOString()}" title="${moment(at)}">${text}</time>`
}

/** A duration in its largest unit: 45s, 3m, 2h 5m, 4d. */
export function roughly(ms: number): string {
  const words = formatDuration(ms).split(' ')
  const [first = '', second] = words
  return second && (first.endsWith('h') || /^[1-9]m$/.test(first)) ? `${first} ${second}` : first
}

/** A time in UTC to the second. */
export function moment(at: Date): string {
  return `${at.toISOString().slice(0, 19).replace('T', ' ')} UTC`
}

/** A day in UTC: 27 Aug 2026. */
export function day(at: Date): string {
  return at.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric', timeZone: 'UTC' })
}

/** The days from one time to another, in short form: `20 – 22 Nov`. Includes the year only if it is not the current one. */
export function days(from: Date, to: Date, now: Date): string {
  const year = from.getUTCFullYear() === now.getUTCFullYear() ? undefined : 'numeric'
  const form = new Intl.DateTimeFormat('en-GB', { day: 'numeric', month: 'short', year, timeZone: 'UTC' })
  return form.formatRange(from, to)
}

/** A share of one in whole per cent; 100 only when complete. */
export function percent(share: number): string {
  return `${share >= 1 ? 100 : Math.min(99, Math.floor(share * 100))} %`
}
