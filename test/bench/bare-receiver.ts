import type { AddressInfo } from 'node:net'
import { buildPublicApp } from '../../src/http/public.ts'
import { createLog } from '../../src/runtime/log.ts'
import { webhookRoute } from '../../src/webhooks/receive/receive.ts'

// The limit that accepting is measured against: the same Fastify app and handler with the signature's check, and an inbox that keeps
// nothing. A process of its own, as the service is: node --import tsx test/bench/bare-receiver.ts <secret>
const [, , secret = ''] = process.argv
const log = createLog('silent')
const receiver = { secrets: [secret], auth: 'signature', toleranceMs: 300_000, storeEnv: false, log } as const
const app = await buildPublicApp({
  log,
  webhooks: (own) => webhookRoute(own, { ...receiver, inbox: { keep: async () => 'new' } }),
  facts: () => Promise.reject(new Error('No facts here.')),
})
await app.listen({ host: '127.0.0.1', port: 0 })
process.send?.((app.server.address() as AddressInfo).port)
