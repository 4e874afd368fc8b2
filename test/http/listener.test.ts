import net from 'node:net'
import type { FastifyInstance } from 'fastify'
import { afterEach, describe, expect, it } from 'vitest'
import { buildListener } from '../../src/http/listener.ts'
import { StoreError } from '../../src/runtime/errors.ts'
import { createLog } from '../../src/runtime/log.ts'

let app: FastifyInstance
const lines: string[] = []

afterEach(async () => {
  await app.close()
  lines.length = 0
})

function build(level = 'trace'): FastifyInstance {
  app = buildListener(createLog(level, { write: (line) => void lines.push(line) }))
  app.post('/fails', async () => {
    throw new Error('A part broke.')
  })
  return app
}

async function listen(): Promise<number> {
  await build().listen({ host: '127.0.0.1', port: 0 })
  const address = app.server.address()
  return typeof address === 'object' && address ? address.port : 0
}

describe('a listener', () => {
  it('logs its own faults, and of a request neither header nor body', async () => {
    const answer = await build().inject({
      method: 'POST',
      url: '/fails?key=canary',
      headers: { authorization: 'Bearer canary' },
      payload: { secret: 'canary' },
    })
    expect([answer.statusCode, answer.json()]).toEqual([500, { error: 'Internal error. See the log.' }])
    expect(lines.join('')).toContain('A part broke.')
    expect(lines.join('')).not.toContain('canary')
  })

  it('says that a store is unavailable, not which, and keeps its log short', async () => {
    const built = build()
    built.get('/away', async () => {
      throw new StoreError('transient', 'Could not read: Postgres cannot be reached (ECONNREFUSED).')
    })
    const answer = await built.inject('/away')
    expect(answer.statusCode).toBe(503)
    expect(answer.headers['retry-after']).toBe('10')
    expect(answer.json()).toEqual({ error: 'A store is unavailable. Try again soon.' })
    expect(lines).toHaveLength(1)
    expect(lines[0]).toContain('Postgres cannot be reached')
    expect(lines[0]).not.toContain('stack')
  })

  it('refuses bodies that nobody here wants', async () => {
    const answer = await build().inject({ method: 'POST', url: '/fails', payload: { large: 'x'.repeat(70_000) } })
    expect(answer.statusCode).toBe(413)
    expect(lines).toEqual([])
  })

  it('says nothing below the level that was asked for', async () => {
    await build('silent').inject({ method: 'POST', url: '/fails' })
    expect(lines).toEqual([])
  })

  it('hangs up on a client that never finishes its headers', async () => {
    const port = await listen()
    app.server.headersTimeout = 50
    const socket = net.connect(port, '127.0.0.1')
    socket.write('GET / HTTP/1.1\r\nHost: x\r\n')
    const answer = await new Promise<string>((resolve) => {
      let text = ''
      socket.on('data', (chunk) => {
        text += chunk
      })
      socket.on('close', () => resolve(text))
    })
    expect(answer).toContain('408')
  })

  it('lets go of idle connections when it closes', async () => {
    const port = await listen()
    const response = await fetch(`http://127.0.0.1:${port}/nothing`)
    expect(response.status).toBe(404)
    await response.arrayBuffer()
    const begun = performance.now()
    await app.close()
    expect(performance.now() - begun).toBeLessThan(1_000)
  })
})
