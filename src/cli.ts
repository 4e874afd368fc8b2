#!/usr/bin/env node
import { type Command, commandHelp, findName, generalHelp, type Io, parseOptions } from './commands/shell/command.ts'
import { misspeltSettings } from './commands/shell/misspelt.ts'
import { paintFor } from './commands/shell/terminal.ts'
import { readEnvironment } from './runtime/config.ts'
import { BuildkiteError, ConfigError, messageOf, StoreError } from './runtime/errors.ts'
import { programVersion } from './runtime/version.ts'

/** Commands are loaded when they run: loading the libraries of all of them takes most of a second. */
const commands: Readonly<Record<string, () => Promise<Command>>> = {
  serve: async () => (await import('./commands/serve.ts')).serve,
  check: async () => (await import('./commands/check.ts')).check,
  register: async () => (await import('./commands/register/register.ts')).register,
  backfill: async () => (await import('./commands/backfill.ts')).backfill,
  reconcile: async () => (await import('./commands/reconcile.ts')).reconcile,
  verify: async () => (await import('./commands/verify.ts')).verify,
  replay: async () => (await import('./commands/replay.ts')).replay,
  status: async () => (await import('./commands/status.ts')).status,
  migrate: async () => (await import('./commands/migrate.ts')).migrate,
  'erase-person': async () => (await import('./commands/privacy/erase-person.ts')).erasePersonCommand,
  redact: async () => (await import('./commands/privacy/redact.ts')).redact,
  move: async () => (await import('./commands/move.ts')).move,
  demo: async () => (await import('./commands/demo/demo.ts')).demo,
  completion: async () => (await import('./commands/shell/completion.ts')).completionOf(all),
}

function all(): Promise<Command[]> {
  return Promise.all(Object.values(commands).map((load) => load()))
}

async function main(args: readonly string[], io: Io): Promise<number> {
  const [name, ...rest] = args
  // help serve is serve --help.
  if (name === 'help' && rest[0] !== undefined) return main([rest[0], '--help'], io)
  if (name === undefined || name === 'help' || name === '--help' || name === '-h') {
    io.stdout.write(generalHelp(await all(), programVersion(), paintFor(io.stdout, io.env)))
    return name === undefined ? 2 : 0
  }
  if (name === '--version' || name === '-v') {
    io.stdout.write(`${programVersion()}\n`)
    return 0
  }
  const load = commands[findName(Object.keys(commands), name)]
  if (!load) throw new RangeError(`The command ${name} cannot be loaded.`)
  const command = await load()
  if (rest.includes('--help') || rest.includes('-h')) {
    io.stdout.write(commandHelp(command, paintFor(io.stdout, io.env)))
    return 0
  }
  const options = parseOptions(command, rest)
  for (const hint of misspeltSettings(io.env)) io.stderr.write(`${paintFor(io.stderr, io.env).yellow(hint)}\n`)
  return command.run(options, io)
}

/** Returns the message of known errors. Other errors are bugs and show their stack. */
function explain(error: unknown): string {
  const known = error instanceof ConfigError || error instanceof StoreError
  if (known) return error.message
  if (error instanceof BuildkiteError) return `${error.code}: ${error.message}`
  return error instanceof Error && error.stack ? error.stack : messageOf(error)
}

/** Resolves when a stream has written everything or has failed. A pipe takes 64 KiB at a time, so exiting earlier would cut the output. */
function written(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((done) => {
    stream.once('error', () => done())
    stream.write('', () => done())
  })
}

const io = { env: readEnvironment(), stdout: process.stdout, stderr: process.stderr }
try {
  // process.exit, because an open handle of a library must not keep a finished command alive.
  const code = await main(process.argv.slice(2), io)
  await written(process.stdout)
  process.exit(code)
} catch (error) {
  process.stderr.write(`${paintFor(io.stderr, io.env).red(explain(error))}\n`)
  process.exit(error instanceof ConfigError ? 2 : 1)
}
