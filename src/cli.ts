#!/usr/bin/env node
import { readFileSync } from 'node:fs'
import { backfill } from './commands/backfill.ts'
import { check } from './commands/check.ts'
import { type Command, commandHelp, findCommand, generalHelp, type Io, parseOptions } from './commands/command.ts'
import { completionOf } from './commands/completion.ts'
import { demo } from './commands/demo.ts'
import { migrate } from './commands/migrate.ts'
import { move } from './commands/move.ts'
import { reconcile } from './commands/reconcile.ts'
import { register } from './commands/register.ts'
import { replay } from './commands/replay.ts'
import { serve } from './commands/serve.ts'
import { status } from './commands/status.ts'
import { paintFor } from './commands/terminal.ts'
import { verify } from './commands/verify.ts'
import { readEnvironment } from './config.ts'
import { BuildkiteError, ConfigError, messageOf, StoreError } from './errors.ts'

const listed: readonly Command[] = [
  serve,
  check,
  register,
  backfill,
  reconcile,
  verify,
  replay,
  status,
  migrate,
  move,
  demo,
]
const commands: readonly Command[] = [...listed, completionOf(listed)]

async function main(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    io.stdout.write(generalHelp(commands, version(), paintFor(io.stdout, io.env)))
    return name === undefined ? 2 : 0
  }
  if (name === '--version' || name === '-v') {
    io.stdout.write(`${version()}\n`)
    return 0
  }
  const command = findCommand(commands, name)
  if (rest.includes('--help') || rest.includes('-h')) {
    io.stdout.write(commandHelp(command, paintFor(io.stdout, io.env)))
    return 0
  }
  return command.run(parseOptions(command, rest), io)
}

function version(): string {
  const text = readFileSync(new URL('../package.json', import.meta.url), 'utf8')
  const parsed: unknown = JSON.parse(text)
  return typeof parsed === 'object' && parsed && 'version' in parsed ? String(parsed.version) : 'unknown'
}

/** Errors of kinds we know are told in one sentence; anything else is a fault of ours and shows where. */
function explain(error: unknown): string {
  const known = error instanceof ConfigError || error instanceof StoreError
  if (known) return error.message
  if (error instanceof BuildkiteError) return `${error.code}: ${error.message}`
  return error instanceof Error && error.stack ? error.stack : messageOf(error)
}

/** Resolves when a stream has passed on all that was written to it, or can no more: a pipe takes 64 KiB at a time. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((done) => {
    stream.once('error', () => done())
    stream.write('', () => done())
  })
}

const io = { env: readEnvironment(), stdout: process.stdout, stderr: process.stderr }
try {
  // Whatever a library left open must not keep a finished command alive.
  const code = await main(process.argv.slice(2), io)
  await written(process.stdout)
  process.exit(code)
} catch (error) {
  process.stderr.write(`${paintFor(io.stderr, io.env).red(explain(error))}\n`)
  process.exit(error instanceof ConfigError ? 2 : 1)
}
