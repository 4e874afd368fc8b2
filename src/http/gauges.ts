import { SECOND } from '../time.ts'
import { ask, inboxFigures, type Watched, watermarksBySlug } from './facts.ts'
import type { Meters } from './metrics.ts'

/** Sets the gauges of stores, queue, inbox and watermarks at every scrape. What does not answer within a second is left out. */
export function watchGauges(meters: Meters, watched: Watched): void {
  meters.onScrape(async () => {
    const up = await ask('The database', () => watched.database.ping())
    meters.on('store_up', up.ok ? 1 : 0, { store: 'database' })
  })
  meters.onScrape(async () => {
    const depth = await ask('The queue', () => watched.queues.depth())
    meters.on('store_up', depth.ok ? 1 : 0, { store: 'queue' })
    meters.forget('queue_jobs')
    if (!depth.ok) return
    for (const [queue, counts] of Object.entries(depth.value)) {
      for (const [state, n] of Object.entries(counts)) meters.on('queue_jobs', n, { queue, state })
    }
  })
  meters.onScrape(async () => {
    const inbox = await ask('The inbox', () => inboxFigures(watched.database.db, watched.clock()))
    const gauges = ['pending', 'failed', 'oldest_pending'] as const
    for (const gauge of gauges) meters.forget(gauge)
    if (!inbox.ok) return
    meters.on('pending', inbox.value.pending)
    meters.on('failed', inbox.value.failed)
    meters.on('oldest_pending', inbox.value.oldest_pending_seconds)
  })
  meters.onScrape(async () => {
    const marks = await ask('The database', () => watermarksBySlug(watched.database.db))
    meters.forget('watermark_age')
    if (!marks.ok) return
    for (const { slug, watermark } of marks.value) {
      meters.on('watermark_age', (watched.clock() - watermark.getTime()) / SECOND, { organization: slug })
    }
  })
}
