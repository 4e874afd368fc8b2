import { type ChildProcess, fork, spawn } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import postgres from 'postgres'
import type { Bench, Row } from './bench.ts'
import { sample } from './statistics.ts'
import { bytes } from './words.ts'

const JOBS = 10
const DAYS = 90
const here = (file: string) => fileURLToPath(new URL(file, import.meta.url))
const cli = fileURLToPath(new URL('../../dist/cli.js', import.meta.url))

/** A history fetched from an API without limits, against reading its pages without writing, and COPY of its rows without reading. */
export async function backfill({ stores, quick, most, say }: Bench): Promise<Row[]> {
  const builds = Math.min(quick ? 4_000 : 100_000, most)
  const to = Math.floor(Date.now() / 1_000) * 1_000
  const span = { builds, from: to - DAYS * 86_400_000, to }
  const api = await startApi(span, JOBS)
  const url = await stores.create()
  try {
    const bare = await readBare(api.url, span)
    say(`backfill, read and not written: ${Math.round(builds / bare)} builds/s`)
    const before = await api.listRequests()
    const ours = await runBackfill(url, api.url, span)
    const requests = (await api.listRequests()) - before
    say(`backfill: ${Math.round(builds / ours.seconds)} builds/s, ${requests} requests, at most ${bytes(ours.peak)}`)
    const copied = await copyRows(stores, url)
    say(`backfill, bare COPY: ${Math.round(builds / copied)} builds/s`)
    const perSecond = builds / ours.seconds
    const ofCopy = copied / ours.seconds
    const minimum = Math.ceil(builds / 100)
    const [first, last] = halves(ours.memory)
    return [
      {
        course: 'backfill',
        what: `${builds.toLocaleString('en-US')} builds of ${JOBS} jobs from an API without limits`,
        ours: `${Math.round(perSecond)} builds/s, with ${Math.round(ours.cpuSeconds)} s of CPU time in ${Math.round(ours.seconds)} s (Postgres's apart)`,
        limit: `${Math.round(builds / bare)} builds/s read and not written; ${Math.round(builds / copied)} builds/s by bare COPY of the same rows`,
        result: `${ofCopy.toFixed(2)} of COPY, ${(bare / ours.seconds).toFixed(2)} of reading`,
        reach: '>= 1,000 builds/s and 0.25 of COPY',
        reached: perSecond >= 1_000 && ofCopy >= 0.25,
      },
      {
        course: 'backfill',
        what: 'its memory',
        ours: `at most ${bytes(ours.peak)}; median of its first half ${bytes(first)}, of its second ${bytes(last)}`,
        limit: '',
        result: bytes(ours.peak),
        // Within the seconds of a quick run nothing is flat yet.
        reach: quick ? '< 350 MB' : '< 350 MB, flat',
        reached: ours.peak < 350e6 && (quick || last < first * 1.15),
      },
      {
        course: 'backfill',
        what: 'its list requests',
        ours: String(requests),
        limit: `${minimum}, a hundred builds each`,
        result: (requests / minimum).toFixed(3),
        // Each window of the history ends with a page that is not full: of few builds that is a larger share.
        reach: quick ? 'none set for so few' : '<= 1.03',
        ...(!quick && { reached: requests / minimum <= 1.03 }),
      },
    ]
  } finally {
    api.stop()
    await stores.drop(url)
  }
}

export interface Span {
  builds: number
  /** Milliseconds since the epoch. */
  from: number
  to: number
}

export interface BenchApi {
  readonly url: string
  listRequests(): Promise<number>
  stop(): void
}

/** Starts api.ts; `goesOn` gives it a limit, and a history that goes on. */
export async function startApi(
  { builds, from, to }: Span,
  jobs: number,
  goesOn = { perMinute: 0, everyMs: 0 },
): Promise<BenchApi> {
  const child = fork(here('api.ts'), [builds, jobs, from, to, goesOn.perMinute, goesOn.everyMs].map(String), {
    execArgv: ['--import', 'tsx'],
  })
  const [port] = await once(child, 'message')
  const url = `http://127.0.0.1:${port}`
  return {
    url,
    async listRequests() {
      const { listRequests } = (await (await fetch(`${url}/count`)).json()) as { listRequests: number }
      return listRequests
    },
    stop: () => void child.kill(),
  }
}

/** Seconds that reading all pages into rows takes. */
async function readBare(api: string, { builds, from, to }: Span): Promise<number> {
  const child = fork(here('bare-reader.ts'), [api, builds, from, to].map(String), { execArgv: ['--import', 'tsx'] })
  const [report] = (await once(child, 'message')) as [{ seconds: number; read: number; jobs: number }]
  if (report.read !== builds || report.jobs !== builds * JOBS) throw new Error(`Read ${JSON.stringify(report)}.`)
  return report.seconds
}

/** Runs `buildkite-mirror backfill` as a user would. Memory is the process's resident set, in bytes, four times a second; the peak is the kernel's. */
export async function runBackfill(
  databaseUrl: string,
  apiUrl: string,
  { builds, from, to }: Span,
): Promise<{ seconds: number; cpuSeconds: number; peak: number; memory: number[] }> {
  const dates = ['--from', new Date(from).toISOString(), '--to', new Date(to).toISOString()]
  const begun = performance.now()
  const child = spawn(process.execPath, [cli, 'backfill', ...dates, '--json'], {
    env: {
      PATH: process.env.PATH ?? '',
      DATABASE_URL: databaseUrl,
      BUILDKITE_API_URL: apiUrl,
      BUILDKITE_API_TOKEN: 'bench',
      API_BUDGET_SHARE: '1',
      LOG_LEVEL: 'error',
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.on('data', (chunk) => (output += String(chunk)))
  const uses: Use[] = []
  const probe = setInterval(() => uses.push(useOf(child)), 250)
  const [code] = await once(child, 'close')
  clearInterval(probe)
  const seconds = (performance.now() - begun) / 1_000
  const [report] = JSON.parse(output) as [{ buildsDone: number; done: boolean }?]
  if (code !== 0 || !report?.done || report.buildsDone < builds)
    throw new Error(`The backfill ended with ${code}: ${output}`)
  return {
    seconds,
    cpuSeconds: Math.max(...uses.map((use) => use.cpuSeconds)),
    peak: Math.max(...uses.map((use) => use.peak)),
    memory: uses.map((use) => use.resident).filter((n) => n > 0),
  }
}

/** What a process has used so far: memory in bytes, at the moment and at most, and processor time. */
interface Use {
  readonly resident: number
  readonly peak: number
  readonly cpuSeconds: number
}

export function useOf({ pid }: ChildProcess): Use {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8')
    const bytesOf = (name: string) => Number(new RegExp(`${name}:\\s+(\\d+)`).exec(status)?.[1] ?? 0) * 1_024
    // After the name, which may hold anything: utime and stime are the 12th and 13th, in hundredths of a second.
    const [, times = ''] = readFileSync(`/proc/${pid}/stat`, 'utf8').split(') ')
    const [user, system] = times.split(' ').slice(11, 13).map(Number)
    return {
      resident: bytesOf('VmRSS'),
      peak: bytesOf('VmHWM'),
      cpuSeconds: ((user ?? 0) + (system ?? 0)) / 100,
    }
  } catch {
    return { resident: 0, peak: 0, cpuSeconds: 0 } // It has just ended, or this is no Linux.
  }
}

function halves(memory: readonly number[]): [number, number] {
  const middle = Math.ceil(memory.length / 2)
  return [sample(memory.slice(0, middle)).median, sample(memory.slice(middle)).median]
}

const tables = ['organizations', 'pipelines', 'agents', 'builds', 'build_attempts', 'jobs']

/** Seconds that COPY of the mirror's rows into empty tables with the same indexes and triggers takes, by Postgres itself from files. */
async function copyRows({ create, drop }: Bench['stores'], url: string): Promise<number> {
  const target = await create()
  const from = postgres(url, { max: 1, onnotice: () => {} })
  const to = postgres(target, { max: 1, onnotice: () => {} })
  const [folder] = await from<
    { path: string }[]
  >`select current_setting('data_directory') || '/bkb_' || pg_backend_pid() as path`
  const file = (table: string) => `${folder?.path}_${table}`
  for (const table of tables) await from.unsafe(`copy buildkite.${table} to '${file(table)}' with (format binary)`)
  const begun = performance.now()
  for (const table of tables) await to.unsafe(`copy buildkite.${table} from '${file(table)}' with (format binary)`)
  const seconds = (performance.now() - begun) / 1_000
  for (const table of tables) await from.unsafe(`copy (select 1) to program 'cat >/dev/null; rm -f "${file(table)}"'`)
  await from.end()
  await to.end()
  await drop(target)
  return seconds
}
