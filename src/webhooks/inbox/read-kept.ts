import { createHash } from 'node:crypto'
import { z } from 'zod'
import { cleanText } from '../../buildkite/redact.ts'
import { DAY } from '../../runtime/time.ts'
import type { NewDelivery } from './insert.ts'
import { readPayload } from './read-payload.ts'

/** A payload without secrets is at most a little longer than its body, which has at most 10 MiB. */
const MAX_PAYLOAD = 16 * 1024 * 1024

const text = (max: number) => z.string().min(1).max(max).transform(cleanText)
const time = z.iso.datetime().transform((words) => new Date(words))
const keptDelivery = z.object({
  key: text(200),
  event: text(200),
  request_id: text(200).nullable(),
  received_at: time,
  observed_at: time,
  payload: z.string().max(MAX_PAYLOAD).nullable(),
  error: text(1_000).nullish(),
})

/**
 * Reads a delivery from a job as strictly as a request, because anyone who can write to the queue's store can forge it. One that no
 * receiver would have stored becomes a delivery without a payload that fails with the reason. Pure.
 */
export function readKept(kept: unknown, { storeEnv, now }: { storeEnv: boolean; now: Date }): NewDelivery {
  const read = keptDelivery.safeParse(kept)
  if (!read.success) {
    const faults = read.error.issues.map(({ path, message }) => `${path.join('.')}: ${message}`).join('; ')
    return refused(kept, now, `A delivery in the queue is malformed (${faults.slice(0, 500)}). It was not stored.`)
  }
  const { payload, error = null, ...rest } = read.data
  // A later time would win against everything that Buildkite says until then.
  const isFuture = [rest.received_at, rest.observed_at].some((at) => at.getTime() > now.getTime() + DAY)
  if (isFuture) return refused(kept, now, 'A delivery in the queue is from the future. It was not stored.')
  if (payload === null) return { ...rest, payload, error: error ?? 'A delivery in the queue has no payload.' }
  const body = readPayload(Buffer.from(payload), { storeEnv })
  return { ...rest, payload: body.ok ? body.text : null, error: body.ok ? null : body.error }
}

/** The same delivery has the same key however often its job runs. */
function refused(kept: unknown, now: Date, error: string): NewDelivery {
  const key = createHash('sha256')
    .update(JSON.stringify(kept) ?? '')
    .digest('hex')
  return { key, event: 'unknown', request_id: null, received_at: now, observed_at: now, payload: null, error }
}
