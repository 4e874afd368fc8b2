import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { fileURLToPath } from 'node:url'
import { afterEach, describe, expect, it } from 'vitest'
import { createLog } from '../src/runtime/log.ts'
import { createShutdown } from '../src/runtime/shutdown.ts'
import { pause } from '../src/runtime/time.ts'

function recorded() {
  const lines: string[] = []
  return { lines, log: createLog('info', { write: (line) => void lines.push(line) }) }
}

describe('the shutdown', () => {
  it('runs every closer once, the last added first, and says 0', async () => {
    const order: string[] = []
    const shutdown = createShutdown(recorded().log)
    for (const name of ['database', 'workers', 'listeners']) shutdown.add(name, () => void order.push(name), 100)
    expect(shutdown.signal.aborted).toBe(false)
    expect(await Promise.all([shutdown.run('SIGTERM'), shutdown.run('SIGINT')])).toEqual([0, 0])
    expect(order).toEqual(['listeners', 'workers', 'database'])
    expect(shutdown.signal.aborted).toBe(true)
  })

  it('passes by what overruns its deadline or fails, and says which', async () => {
    const { lines, log } = recorded()
    const shutdown = createShutdown(log)
    const closed: string[] = []
    shutdown.add('Redis', () => new Promise(() => {}), 20)
    shutdown.add('Postgres', () => Promise.reject(new Error('gone')), 20)
    shutdown.add('the page', () => void closed.push('the page'), 20)
    expect(await shutdown.run('SIGTERM')).toBe(0)
    expect(closed).toEqual(['the page'])
    const said = lines.join('')
    expect(said).toContain('Could not close Redis: Closing Redis did not answer within 20ms')
    expect(said).toContain('Could not close Postgres: gone')
  })

  it('gives later closers less when earlier ones used the time up, and still calls them', async () => {
    let now = 0
    const given: number[] = []
    const shutdown = createShutdown(recorded().log, () => now)
    for (const spent of [0, 20_000, 20_000]) {
      shutdown.add(
        'a store',
        (deadlineMs) => {
          given.push(deadlineMs)
          now += spent
        },
        20_000,
      )
    }
    await shutdown.run('SIGTERM')
    expect(given).toEqual([20_000, 5_000, 0])
  })

  it('says 1 when the process gave up', async () => {
    expect(await createShutdown(recorded().log).run('uncaught error', new Error('x'))).toBe(1)
  })
})

describe('a process with the shutdown installed', () => {
  let child: ChildProcess | undefined
  afterEach(() => child?.kill('SIGKILL'))

  async function start(way: string) {
    const program = fileURLToPath(new URL('./shutdown-child.ts', import.meta.url))
    const started = spawn(process.execPath, ['--import', 'tsx', program, way], { stdio: ['ignore', 'pipe', 'inherit'] })
    child = started
    let output = ''
    const exited = once(started, 'close')
    const says = (text: string) =>
      new Promise<void>((resolve, reject) => {
        const look = () => output.includes(text) && resolve()
        started.stdout.on('data', look)
        started.once('close', () => reject(new Error(`It ended without saying "${text}": ${output}`)))
        look()
      })
    started.stdout.on('data', (chunk) => {
      output += chunk
    })
    await says('ready')
    return { child: started, says, exit: async () => ({ code: (await exited)[0], output }) }
  }

  it.each(['SIGTERM', 'SIGINT'] as const)('ends with 0 at %s', async (signal) => {
    const { child, exit } = await start('clean')
    child.kill(signal)
    const { code, output } = await exit()
    expect(code).toBe(0)
    expect(output).toContain(`Shutting down (${signal})`)
  })

  it('takes the echo of a Ctrl-C that npm passes on for the same wish, and a second one for impatience', async () => {
    const { child, says, exit } = await start('hang')
    child.kill('SIGINT')
    child.kill('SIGTERM')
    await says('Shutting down')
    expect(child.exitCode).toBeNull()
    while (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGINT')
      await pause(50)
    }
    const { code, output } = await exit()
    expect(code).toBe(1)
    expect(output).toContain('again: exiting without waiting')
  })

  it('closes, then ends with 1, after an error that nobody caught', async () => {
    const { code, output } = await (await start('crash')).exit()
    expect(code).toBe(1)
    expect(output).toContain('A part broke.')
    expect(output).toContain('Shut down in')
  })

  it('closes, then ends with 1, when a part says that it cannot go on', async () => {
    const { code, output } = await (await start('give up')).exit()
    expect(code).toBe(1)
    expect(output).toContain('Shutting down (Postgres ended): It must run.')
  })
})
