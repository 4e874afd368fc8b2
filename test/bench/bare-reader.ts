import { request } from 'undici'
import { observeBuilds } from '../../src/mirror/observe.ts'

// The limit of a backfill on the side of reading: the same pages fetched and read into rows, the next one asked for meanwhile, and
// nothing written.
// node --import tsx test/bench/bare-reader.ts <api url> <builds> <from ms> <to ms>
const [, , api = '', builds = '0', from = '0', to = '0'] = process.argv
const created_from = new Date(Number(from)).toISOString()
const ask = async (until: Date) => {
  const query = new URLSearchParams({ created_from, created_to: until.toISOString(), per_page: '100' })
  const { body } = await request(`${api}/organizations/bench/builds?${query}`)
  return body.text()
}
let until = new Date(Number(to))
let read = 0
let jobs = 0
const begun = performance.now()
let coming = ask(until)
while (read < Number(builds)) {
  const page = JSON.parse(await coming) as { created_at: string }[]
  const last = page.at(-1)
  if (!last) break
  read += page.length
  until = new Date(last.created_at)
  if (read < Number(builds)) coming = ask(until)
  jobs += observeBuilds(page, until, { storeEnv: false }).jobs.length
}
process.send?.({ seconds: (performance.now() - begun) / 1_000, read, jobs })
