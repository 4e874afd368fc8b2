import type { DeliveriesJob, KeptDelivery } from '../../queue/queues.ts'
import { type GroupLimit, takeGroup } from './group.ts'
import type { NewDelivery } from './insert.ts'

/** Collects deliveries that Postgres does not accept now into jobs of many for the queue. */
export interface ToQueue {
  /** Resolves once the queue has the job with the delivery; rejects with the queue's error. */
  divert(delivery: NewDelivery, trace: string | undefined): Promise<void>
}

const jobLimit: GroupLimit = { deliveries: 200, chars: 1024 * 1024 }
/** How long deliveries are collected: when Postgres fails at once, nothing else would group requests. */
const gatherMs = 200
/** Only this many requests of a job are traced through the queue, because a job must stay small. */
export const tracesInJob = 20

interface Diverted {
  delivery: NewDelivery
  trace: string | undefined
  resolve: () => void
  reject: (error: unknown) => void
}

/** Collects deliveries for 200 ms or until a job is full, then enqueues them with `add`. */
export function openToQueue(add: (job: DeliveriesJob) => Promise<void>): ToQueue {
  const waiting: Diverted[] = []
  let chars = 0
  let timer: NodeJS.Timeout | undefined

  const flush = () => {
    clearTimeout(timer)
    timer = undefined
    chars = 0
    while (waiting.length > 0) void addJob(takeGroup(waiting, jobLimit, sizeOf))
  }
  const addJob = async (group: readonly Diverted[]) => {
    const kept = group.map(({ delivery }) => asKept(delivery))
    const traces = group.flatMap(({ trace }) => trace ?? []).slice(0, tracesInJob)
    try {
      await add({ kept, ...(traces.length > 0 ? { trace: traces } : {}) })
      for (const { resolve } of group) resolve()
    } catch (error) {
      for (const { reject } of group) reject(error)
    }
  }
  return {
    divert(delivery, trace) {
      return new Promise((resolve, reject) => {
        waiting.push({ delivery, trace, resolve, reject })
        chars += delivery.payload?.length ?? 0
        if (waiting.length >= jobLimit.deliveries || chars >= jobLimit.chars) flush()
        else timer ??= setTimeout(flush, gatherMs)
      })
    },
  }
}

function sizeOf({ delivery }: { delivery: NewDelivery }): GroupLimit {
  return { deliveries: 1, chars: delivery.payload?.length ?? 0 }
}

function asKept(delivery: NewDelivery): KeptDelivery {
  return {
    key: delivery.key,
    event: delivery.event,
    request_id: delivery.request_id,
    received_at: delivery.received_at.toISOString(),
    observed_at: delivery.observed_at.toISOString(),
    payload: delivery.payload,
    ...(delivery.error !== null && { error: delivery.error }),
  }
}
