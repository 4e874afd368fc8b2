import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { until } from './until.ts'

/** One bash, as a person has it open in a terminal. */
export interface Shell {
  /**
   * Types a command and returns what it printed: to its end, or, for one that goes on running, until it has printed `runs`.
   * Rejects when it ends with another code than 0.
   */
  run(command: string, runs?: RegExp): Promise<string>
  /** Ends whatever runs in it as SIGTERM does, and waits until it has ended. */
  close(): Promise<void>
}

/** Opens a bash in `folder` with these settings and nothing else. */
export function openShell(folder: string, env: Record<string, string>): Shell {
  const bash = spawn('bash', ['--norc', '--noprofile'], {
    cwd: folder,
    env: { ...env },
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true, // a process group of its own, which can be ended as a whole
  })
  let output = ''
  bash.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  const closed = once(bash.stdout, 'close')
  bash.stdin.on('error', () => {})
  bash.stdin.write('exec 2>&1\n')
  let ran = 0
  return {
    async run(command, runs) {
      ran += 1
      const end = new RegExp(`<<${ran} (\\d+)>>\n`)
      const begun = output.length
      const printed = () => output.slice(begun)
      bash.stdin.write(`${command}\necho "<<${ran} $?>>"\n`)
      const done = await until(
        () => end.exec(printed()) ?? runs?.test(printed()),
        `${command} does its work`,
        120_000,
      ).catch((error: unknown) => {
        throw new Error(`It printed:\n${printed()}`, { cause: error })
      })
      const text = printed().replace(end, '')
      if (done !== true && (runs || done[1] !== '0')) throw new Error(`${command} ended too early, or failed:\n${text}`)
      return text
    },
    async close() {
      if (bash.pid !== undefined && bash.exitCode === null) process.kill(-bash.pid, 'SIGTERM')
      await closed
    },
  }
}
