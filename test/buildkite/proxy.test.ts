import { createServer } from 'node:http'
import { connect } from 'node:net'
import { afterEach, describe, expect, it } from 'vitest'
import { bypassesProxy } from '../../src/buildkite/http/proxy.ts'
import { askBuild, closeAll, listen, start } from './stub.ts'

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

  it('is left aside for hosts that NO_PROXY names', async () => {
    const { tunnels, host } = await startProxy()
    const { client } = await start(() => ({ json: {} }), { proxy: { url: `http://${host}`, noProxy: ['127.0.0.1'] } })
    await askBuild(client)
    expect(tunnels).toEqual([])
  })

  it.each([
    ['*', true],
    ['api.buildkite.com', true],
    ['API.buildkite.com', true],
    ['buildkite.com', true],
    ['.buildkite.com', true],
    ['*.buildkite.com', true],
    ['api.buildkite.com:443', true],
    ['api.buildkite.com:8443', false],
    ['kite.com', false],
    ['', false],
  ])('is bypassed for api.buildkite.com by NO_PROXY=%s: %s', (entry, bypassed) => {
    expect(bypassesProxy(new URL('https://api.buildkite.com/v2'), [entry])).toBe(bypassed)
  })
})
