import { type ChildProcess, spawn } from 'node:child_process'
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { makeFolder } from '../support/folder.ts'

const cli = join(import.meta.dirname, '../../src/cli.ts')
let folder: string
let running: { child: ChildProcess; ended: Promise<unknown> } | undefined

beforeEach(async () => {
  folder = await makeFolder('bkm-demo-')
})
afterEach(async () => {
  running?.child.kill('SIGTERM')
  await running?.ended
  await rm(folder, { recursive: true, force: true })
})

/** Runs the command as a user does, from its sources; everything temporary lands in `folder`. */
function runDemo(args: readonly string[]) {
  const child = spawn(process.execPath, ['--import', 'tsx', cli, 'demo', ...args], {
    env: { ...process.env, TMPDIR: folder, DATABASE_URL: 'postgres://nobody@127.0.0.1:1/not-used' },
    stdio: ['ignore', 'pipe', 'pipe'],
  })
  let output = ''
  const heard = new Set<() => void>()
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text
      for (const listener of heard) listener()
    })
  }
  const ended = new Promise<number | null>((resolve) => child.once('exit', (code) => resolve(code)))
  running = { child, ended }
  const says = (text: string) =>
    new Promise<void>((resolve, reject) => {
      const look = () => output.includes(text) && resolve()
      heard.add(look)
      look()
      void ended.then(() => reject(new Error(`The demo ended without saying "${text}":\n${output}`)))
    })
  return { child, ended, says, output: () => output }
}

test('the demo ends by itself with a mirror that equals the simulated Buildkite, though webhooks were lost', async () => {
  const demo = runDemo(['--builds', '200', '--seconds', '4', '--drop', '0.3', '--json'])
  const code = await demo.ended
  expect(code, demo.output()).toBe(0)
  const summary = JSON.parse(demo.output())
  expect(summary).toMatchObject({ whole: true, requests: { limited: 0 } })
  expect(summary.webhooks.dropped).toBeGreaterThan(0)
  expect(summary.webhooks.accepted).toBe(summary.webhooks.sent)
})

test('the first Ctrl-C settles, shows the proof and leaves nothing behind', async () => {
  const demo = runDemo(['--builds', '50', '--drop', '0.3'])
  await demo.says('builds come and go')
  expect(demo.output()).toMatch(/Status page {2}http:\/\/127\.0\.0\.1:\d+\/\n/)
  expect(demo.output()).toContain('/postgres.url)"')
  demo.child.kill('SIGINT')
  expect(await demo.ended, demo.output()).toBe(0)
  expect(demo.output()).toContain('✓ The mirror equals the simulated Buildkite')
  expect(demo.output()).toContain('The service has stopped.')
  expect((await readdir(folder)).filter((name) => name.startsWith('buildkite-mirror-demo'))).toEqual([])
})

test('the second Ctrl-C stops the demo at once, in order', async () => {
  const demo = runDemo(['--builds', '2000', '--rate-limit', '5'])
  await demo.says('builds come and go')
  demo.child.kill('SIGINT')
  await demo.says('settling')
  demo.child.kill('SIGINT')
  expect(await demo.ended, demo.output()).toBe(0)
  expect(demo.output()).not.toContain('equals')
  expect(demo.output()).toContain('The service has stopped.')
  expect((await readdir(folder)).filter((name) => name.startsWith('buildkite-mirror-demo'))).toEqual([])
})

test('an option that makes no sense is refused before anything starts', async () => {
  const demo = runDemo(['--drop', '7'])
  expect(await demo.ended).toBe(2)
  expect(demo.output()).toContain('--drop is "7". Use a number from 0 to 1.')
})

test('the API alone ends after --seconds', async () => {
  const demo = runDemo(['--api-only', '--builds', '5', '--seconds', '1'])
  expect(await demo.ended, demo.output()).toBe(0)
  expect(demo.output()).toContain('It stops after 1 s, or with Ctrl-C.')
})

test.each([
  [['--api-only', '--json'], '--json has no effect with --api-only. Leave out one of them.'],
  [['--api-only', '--keep'], '--keep has no effect with --api-only. Leave out one of them.'],
  [['--api-only', '--drop', '0'], '--drop has no effect with --api-only. Leave out one of them.'],
  [['--port', '4000'], '--port has no effect without --api-only. Leave it out, or add --api-only.'],
])('%j do not go together, and nothing starts', async (args, answer) => {
  const demo = runDemo(args)
  expect([await demo.ended, demo.output()]).toEqual([2, `${answer}\n`])
})
