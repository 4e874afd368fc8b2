import { applyAll, lives } from './apply.ts'
import { openStores } from './stores.ts'

const stores = await openStores()
const w = lives(1, 200)
for (let i = 0; i < 3; i++) {
  const url = await stores.create()
  const a = process.cpuUsage()
  console.log(await applyAll(stores, url, w, i), '/s', w.length)
  const b = process.cpuUsage(a)
  console.log('cpu ms per delivery', (b.user + b.system) / 1000 / w.length)
}
await stores.stop()
