import { type Chart, drawBars, drawLines, legendOf, type Series } from '../explore/charts.ts'
import type { Status } from '../status/status.ts'
import { count, some } from './format.ts'
import { html, type Markup } from './html.ts'

const MINUTES = 15

/** The webhooks of the last 24 hours as charts: how many came, how soon they were applied, how many waited. */
export function dayPiece({ webhook_day: day }: Status): Markup {
  if (!day) return html`<h2>Webhooks of the last 24 hours</h2><p class="quiet">Could not be read.</p>`
  const chart = (title: string, unit: Chart['unit'], series: readonly Series[]): Chart => ({
    title,
    unit,
    days: day.map(({ from }) => from.toISOString()),
    points: { name: 'quarters of an hour', label: (at) => at.slice(11, 16) },
    series,
  })
  // The current quarter of an hour is not over, so its rate would be too low.
  const perMinute = day.map(({ received }, index) =>
    received === null || index === day.length - 1 ? null : received / MINUTES,
  )
  const delays = [
    { name: 'slowest 5 %, at least', shade: 'second', values: day.map(({ delay_p95 }) => delay_p95) },
    { name: 'median', shade: 'first', values: day.map(({ delay_median }) => delay_median) },
  ]
  const waiting = day.map((part) => part.waiting)
  const all = day.reduce((sum, { received }) => sum + (received ?? 0), 0)
  const unread = day.filter(({ received }) => received === null).length
  return html`<div class="head"><h2>Webhooks of the last 24 hours</h2><p class="quiet small">${some(all, 'webhook')} received${unread > 0 && `, ${count(unread)} of ${day.length} parts not read yet`}; times in UTC</p></div>
<div class="trio">
<figure><figcaption>Received <small>per minute, mean of ${MINUTES} minutes</small></figcaption>${drawBars(chart('Webhooks received per minute', 'count', [{ name: 'per minute', shade: 'first', values: perMinute }]))}</figure>
<figure><figcaption>Webhook-to-row delay <small>of those applied at the first try</small></figcaption>${drawLines(chart('Webhook-to-row delay', 'delay', delays))}${legendOf(delays)}</figure>
<figure><figcaption>Waiting to be applied <small>every ${MINUTES} minutes</small></figcaption>${drawBars(chart('Webhooks waiting to be applied', 'most', [{ name: 'waiting', shade: 'third', values: waiting }]))}</figure>
</div>`
}
