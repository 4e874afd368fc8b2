import type { FastifyInstance, FastifyReply } from 'fastify'
import { z } from 'zod'
import { asStoreError, type Db } from '../../../database/connection.ts'
import type { Clock } from '../../../runtime/time.ts'
import { html, type Markup } from '../html.ts'
import { page } from '../layout.ts'
import { sendPage } from '../send.ts'
import { deliveryPage, type Payload, readDelivery, readPayload } from './delivery-page.ts'
import { actionsPage, cyclesPage, noActionsPage, readActions, readCycles } from './history-page.ts'

const id = z.coerce.number().int().positive().max(Number.MAX_SAFE_INTEGER)
const query = z.object({ before: id.optional().catch(undefined) })

/** Adds the pages of single records: one delivery, and the history of syncs, audits and actions. */
export function recordRoutes(app: FastifyInstance, db: Db, clock: Clock): void {
  const now = () => new Date(clock())
  app.get('/deliveries/:id', async ({ params, visitor }, reply) => {
    const parsed = z.object({ id }).safeParse(params)
    const delivery = parsed.success ? await readDelivery(db, parsed.data.id) : undefined
    if (!delivery) {
      const body = html`<main class="narrow"><h1>No such delivery</h1><p>The inbox has no delivery with this id. Settled ones are deleted after DELIVERY_RETENTION_DAYS.</p><p><a href="/">To the status page</a></p></main>`
      return sendPage(reply.code(404), page({ title: 'No such delivery', body }))
    }
    const isReader = visitor.who === 'reader'
    const hidden: Payload = { why: 'READER_TOKEN does not show payloads. Use ADMIN_TOKEN.' }
    const payload = isReader ? hidden : await readPayload(db, delivery.id)
    return sendPage(reply, deliveryPage(delivery, payload, !isReader, now()))
  })
  for (const path of ['/history', '/history/audits']) {
    app.get(path, async (request, reply) => {
      const asked = { before: query.parse(request.query).before, audits: path !== '/history' }
      return sendPage(reply, cyclesPage(await readCycles(db, asked), asked, now()))
    })
  }
  app.get('/history/actions', async (request, reply) => {
    if (request.visitor.who === 'reader') {
      return refuse(reply, 'READER_TOKEN does not show who did what. Use ADMIN_TOKEN.')
    }
    try {
      return sendPage(reply, actionsPage(await readActions(db, query.parse(request.query).before), now()))
    } catch (error) {
      const known = asStoreError(error, 'read the audit log')
      if (known.code !== '42501') throw known
      const why =
        "The database user of this process may not read the audit log: only a worker's may. Open this page on a worker's private listener."
      return refuse(reply, why)
    }
  })
}

function refuse(reply: FastifyReply, why: string): FastifyReply {
  const refused: Markup = noActionsPage(why)
  return sendPage(reply.code(403), refused)
}
