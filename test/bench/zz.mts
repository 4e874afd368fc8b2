import { runBackfill, startApi } from './backfill.ts'
import { openStores } from './stores.ts'

const stores = await openStores()
const builds = Number(process.argv[2] ?? 5000)
const to = Math.floor(Date.now() / 1000) * 1000
const span = { builds, from: to - 90 * 86400_000, to }
const api = await startApi(span, 10)
const url = await stores.create()
const r = await runBackfill(url, api.url, span)
console.log(Math.round(builds / r.seconds), 'builds/s', r.seconds, 's peak', Math.round(r.peak / 1e6))
api.stop()
await stores.stop()
