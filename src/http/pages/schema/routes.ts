import type { FastifyInstance } from 'fastify'
import { z } from 'zod'
import type { CatalogSchema } from '../../../database/catalog.ts'
import { type Clock, MINUTE, pause } from '../../../runtime/time.ts'
import { cached } from '../../status/health.ts'
import { sendPage, wantsJson } from '../send.ts'
import { noSchema, type SchemaView, schemaIndex, schemaOf, schemaSearch } from './page.ts'

/** How long a page waits for the examples, in milliseconds. */
const WAITS = 100

/** Reads the catalog of the database, with or without examples from the rows. */
export type ReadCatalog = (withExamples: boolean) => Promise<CatalogSchema[]>

const params = z.object({ schema: z.string() })
const query = z.object({
  q: z.string().max(200).optional().catch(undefined),
  open: z.string().optional().catch(undefined),
})

/** Adds `/schema`: the tables, views and columns of the database, as pages and as JSON. */
export function schemaRoutes(app: FastifyInstance, read: ReadCatalog, clock: Clock): void {
  const catalog = recentCatalog(read, clock)
  app.get('/schema', async (request, reply) => {
    if (wantsJson(request)) return catalog.whole()
    const { q } = query.parse(request.query)
    const view = await catalog.quick()
    return sendPage(reply, q?.trim() ? schemaSearch(view, q.trim()) : schemaIndex(view))
  })
  app.get('/schema/:schema', async (request, reply) => {
    const { schema } = params.parse(request.params)
    const view = await catalog.quick()
    const found = view.catalog.find(({ name }) => name === schema)
    if (!found) return sendPage(reply.code(404), noSchema(schema))
    return sendPage(reply, schemaOf(found, query.parse(request.query).open, view.hasExamples))
  })
}

/** The catalog, read at most once a minute. Examples of slow views take seconds, so a page does not wait for them. */
function recentCatalog(read: ReadCatalog, clock: Clock) {
  let known: CatalogSchema[] | undefined
  /** With examples. @throws StoreError */
  const whole = cached(
    async () => {
      known = await read(true)
      return known
    },
    clock,
    MINUTE,
  )
  return {
    whole,
    /** The last one that was read; before that, without examples if those take long. @throws StoreError */
    async quick(): Promise<SchemaView> {
      const reading = whole()
      reading.catch(() => {})
      const catalog = known ?? (await Promise.race([reading, pause(WAITS)]))
      return catalog ? { catalog, hasExamples: true } : { catalog: await read(false), hasExamples: false }
    },
  }
}
