import { eq } from 'drizzle-orm'
import { redact } from '../../../buildkite/redact.ts'
import { asStoreError, type Db } from '../../../database/connection.ts'
import { deliveries } from '../../../database/schema.ts'
import { ago, count, moment, some } from '../format.ts'
import { topBar } from '../header.ts'
import { html, type Markup } from '../html.ts'
import { page } from '../layout.ts'

/** How much of a payload is shown, in characters. */
const SHOWN = 60_000

/** A payload to show, or the reason why there is none. */
export type Payload = { readonly text: string } | { readonly why: string }

/** Reads a delivery without its payload; undefined if there is none. @throws the driver's error. */
export async function readDelivery(db: Db, id: number) {
  const columns = {
    id: deliveries.id,
    event: deliveries.event,
    request_id: deliveries.request_id,
    received_at: deliveries.received_at,
    observed_at: deliveries.observed_at,
    status: deliveries.status,
    attempts: deliveries.attempts,
    error: deliveries.error,
    next_try_at: deliveries.next_try_at,
    applied_at: deliveries.applied_at,
    failed_at: deliveries.failed_at,
  }
  const [row] = await db.select(columns).from(deliveries).where(eq(deliveries.id, id))
  return row
}

/** Reads the payload of a delivery, redacted once more: an earlier version, or STORE_ENV, may have stored more. */
export async function readPayload(db: Db, id: number): Promise<Payload> {
  try {
    const [row] = await db.select({ payload: deliveries.payload }).from(deliveries).where(eq(deliveries.id, id))
    if (!row?.payload)
      return { why: 'The payload was deleted after PAYLOAD_RETENTION_DAYS, so this cannot be replayed.' }
    return { text: JSON.stringify(redact(JSON.parse(row.payload), { storeEnv: false }), null, 2) }
  } catch (error) {
    if (error instanceof SyntaxError) return { why: 'The stored payload is not JSON.' }
    const known = asStoreError(error, 'read a payload')
    if (known.code !== '42501') throw known
    return {
      why: "The database user of this process may not read payloads: a receiver has no access to them. Open this page on a worker's private listener.",
    }
  }
}

type Delivery = NonNullable<Awaited<ReturnType<typeof readDelivery>>>

/** The page of one delivery: what came, what happened to it, and its payload. */
export function deliveryPage(delivery: Delivery, payload: Payload, mayAct: boolean, now: Date): Markup {
  const { id, event, status, error, attempts } = delivery
  const times: readonly (readonly [string, Date | null])[] = [
    ['Received', delivery.received_at],
    ['Sent by Buildkite', delivery.observed_at],
    ['Applied', delivery.applied_at],
    ['Failed', delivery.failed_at],
    ['Next try', delivery.next_try_at],
  ]
  const facts = times.flatMap(([name, at]) =>
    at
      ? [html`<div><dt>${name}</dt><dd>${at > now ? moment(at) : ago(at, now)}<small>${moment(at)}</small></dd></div>`]
      : [],
  )
  const replay =
    mayAct &&
    status === 'failed' &&
    'text' in payload &&
    html`<form method="post" action="/actions/replay"><input type="hidden" name="id" value="${id}"><button class="main">Replay<span class="unseen"> delivery ${id}</span></button></form>`
  return page({
    title: `Delivery ${id}`,
    body: html`${topBar('/history')}
<main><h1 class="title">Delivery ${id}: ${event}</h1>
<div class="card"><div class="head"><h2><span class="mark ${status === 'failed' ? 'bad' : status === 'pending' ? 'warn' : 'good'}">${status}</span> after ${some(attempts, 'try', 'tries')}</h2>${replay}</div>
${error && html`<p class="break"><b>Error</b> ${error}</p>`}
<dl>${facts}${delivery.request_id && html`<div><dt>Buildkite's request id</dt><dd class="break">${delivery.request_id}</dd></div>`}</dl></div>
<div class="card"><h2>Payload</h2>${payloadPart(payload)}</div>
<p class="small"><a href="/history/actions">Who replayed deliveries</a></p></main>`,
  })
}

function payloadPart(payload: Payload): Markup {
  if ('why' in payload) return html`<p class="quiet">${payload.why}</p>`
  const { text } = payload
  return html`<p class="quiet small">As it is stored: without secrets and environments.${text.length > SHOWN && ` The first ${count(SHOWN)} of ${count(text.length)} characters.`}</p>
<pre tabindex="0" role="region" aria-label="Payload"><code>${text.slice(0, SHOWN)}</code></pre>`
}
