import { createServer } from 'node:http'
import { gunzipSync } from 'node:zlib'
import { z } from 'zod'

const attribute = z.object({ key: z.string(), value: z.record(z.string(), z.unknown()) })
const sent = z.object({
  resourceSpans: z.array(
    z.object({
      resource: z.object({ attributes: z.array(attribute) }),
      scopeSpans: z.array(
        z.object({
          spans: z.array(
            z.object({
              name: z.string(),
              traceId: z.string(),
              spanId: z.string(),
              parentSpanId: z.string().optional(),
              kind: z.number(),
              attributes: z.array(attribute),
              links: z.array(z.object({ traceId: z.string(), spanId: z.string() })).default([]),
              status: z.object({ code: z.number().default(0), message: z.string().optional() }),
            }),
          ),
        }),
      ),
    }),
  ),
})

export interface CollectedSpan {
  name: string
  traceId: string
  spanId: string
  parentSpanId: string | undefined
  links: { traceId: string; spanId: string }[]
  failed: boolean
  attributes: Record<string, unknown>
  resource: Record<string, unknown>
}

/** A collector of traces: takes OTLP over HTTP as JSON. */
export interface Collector {
  readonly url: string
  readonly spans: CollectedSpan[]
  /** Everything that was sent, byte by byte, with the requests' headers. */
  raw(): string
  stop(): Promise<void>
}

export async function startCollector(): Promise<Collector> {
  const spans: CollectedSpan[] = []
  let raw = ''
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = []
    for await (const chunk of request) chunks.push(Buffer.from(chunk))
    const body = Buffer.concat(chunks)
    const text = (request.headers['content-encoding'] === 'gzip' ? gunzipSync(body) : body).toString('utf8')
    raw += `${request.method} ${request.url} ${JSON.stringify(request.headers)}\n${text}\n`
    if (request.url === '/v1/traces') spans.push(...read(text))
    response.writeHead(200, { 'content-type': 'application/json' }).end('{}')
  })
  await new Promise<void>((listening) => server.listen(0, '127.0.0.1', listening))
  const address = server.address()
  const port = typeof address === 'object' && address ? address.port : 0
  return {
    url: `http://127.0.0.1:${port}`,
    spans,
    raw: () => raw,
    stop: () =>
      new Promise((stopped) => {
        server.close(() => stopped())
        server.closeAllConnections()
      }),
  }
}

function read(text: string): CollectedSpan[] {
  const values = (all: z.infer<typeof attribute>[]) =>
    Object.fromEntries(all.map(({ key, value }) => [key, Object.values(value)[0]]))
  return sent.parse(JSON.parse(text)).resourceSpans.flatMap(({ resource, scopeSpans }) =>
    scopeSpans.flatMap(({ spans }) =>
      spans.map(({ parentSpanId, attributes, status, ...span }) => ({
        ...span,
        parentSpanId: parentSpanId || undefined,
        failed: status.code === 2,
        attributes: values(attributes),
        resource: values(resource.attributes),
      })),
    ),
  )
}
