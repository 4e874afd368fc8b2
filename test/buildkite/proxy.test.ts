import { createServer } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { askBuild, clientOf, closeAll, listen, start, startStub } from './stub.ts'

afterEach(closeAll)

describe('a proxy', () => {
  /** A proxy that tunnels, as for HTTPS, and records the requested targets. */
  async function startProxy() {
    const tunnels: { target: string; authorization: string | undefined }[] = []
    const server = createServer()
    server.on('connect', (request, socket, head) => {
      tunnels.push({ target: request.url ?? '', authorization: request.headers['proxy-authorization'] })
      const [host, port] = (request.url ?? '').split(':')
      const upstream = connect(Number(port), host, () => {
        socket.write('HTTP/1.1 200 Connection Established\r\n\r\n')
        upstream.write(head)
        upstream.pipe(socket).pipe(upstream)
      })
      upstream.on('error', () => socket.destroy())
      socket.on('error', () => upstream.destroy())
    })
    const port = await listen(server)
    return { tunnels, host: `127.0.0.1:${port}` }
  }

  it('is the way to Buildkite when one is set, with its user and password', async () => {
    const { tunnels, host } = await startProxy()
    const { client, stub } = await start(() => ({ json: { id: 1 } }), {
      proxy: { url: `http://me:pass@${host}`, noProxy: [] },
    })
    expect((await askBuild(client))?.value).toEqual({ id: 1 })
    const authorization = `Basic ${Buffer.from('me:pass').toString('base64')}`
    expect(tunnels).toEqual([{ target: `127.0.0.1:${stub.port}`, authorization }])
    expect(stub.seen.length).toBe(1)
  })

  it.each([
    ['*', 0],
    ['other.example,*', 0],
    ['127.0.0.1', 0],
    ['other.example,127.0.0.1', 0],
    // The stub's host has no name; to undici its address is one with a domain.
    ['0.0.1', 0],
    ['.0.0.1', 0],
    ['*.0.0.1', 0],
    ['127.0.0.1:PORT', 0],
    ['127.0.0.1:1', 1],
    ['7.0.0.1', 1],
    ['', 1],
  ])('with NO_PROXY=%s gets %s requests for 127.0.0.1', async (noProxy, requests) => {
    const { tunnels, host } = await startProxy()
    const stub = await startStub(() => ({ json: {} }))
    const entries = noProxy.replace('PORT', String(stub.port)).split(',')
    await askBuild(clientOf(stub.url, { proxy: { url: `http://${host}`, noProxy: entries } }))
    expect(tunnels.length).toBe(requests)
    expect(stub.seen.length).toBe(1)
  })

  it('is bypassed for a host in NO_PROXY in any case', async () => {
    const { tunnels, host } = await startProxy()
    const stub = await startStub(() => ({ json: {} }))
    const url = stub.url.replace('127.0.0.1', 'localhost')
    await askBuild(clientOf(url, { proxy: { url: `http://${host}`, noProxy: ['LOCALHOST'] } }))
    expect(tunnels).toEqual([])
  })
})
