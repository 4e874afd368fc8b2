import { parseArgs } from 'node:util'
import { settings } from '../../runtime/config.ts'
import { ConfigError } from '../../runtime/errors.ts'
import { nearest } from './nearest.ts'
import type { Paint } from './terminal.ts'

/** One `--option` of a command. */
export interface Option {
  /** The placeholder of its value, such as `<slug>`; undefined for a switch. */
  value?: string
  about: string
}

/** The parsed options: text for those with a value, true for switches. */
export type Values = Readonly<Record<string, string | boolean | undefined>>

/** The environment and streams that a command may use. */
export interface Io {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly stdout: NodeJS.WriteStream
  readonly stderr: NodeJS.WriteStream
}

/** One command of the command line. */
export interface Command {
  readonly name: string
  readonly summary: string
  /** A paragraph for `<command> --help`. */
  readonly about: string
  readonly options: Readonly<Record<string, Option>>
  /** Its positional argument, if it takes one; parsed as `values.argument`. */
  readonly argument?: { readonly name: string; readonly values: readonly string[] }
  /** @returns the exit code: 0 success, 1 failure. @throws ConfigError for exit code 2. */
  run(values: Values, io: Io): Promise<number>
}

/** Parses a command's arguments. @throws ConfigError for an unknown option or a missing value. */
export function parseOptions(command: Command, args: readonly string[]): Values {
  const help = `See buildkite-mirror ${command.name} --help.`
  try {
    const options = Object.fromEntries(
      Object.entries(command.options).map(([name, { value }]) => [
        name,
        { type: value ? 'string' : 'boolean' } as const,
      ]),
    )
    const unknown = unknownOption(command, args)
    if (unknown) throw new ConfigError(`${unknown} ${help}`)
    const { values, positionals } = parseArgs({ args: [...args], options, allowPositionals: true })
    const [argument, extra] = command.argument ? positionals : [undefined, positionals[0]]
    if (extra !== undefined) throw new ConfigError(`Unexpected argument "${extra}". ${help}`)
    return argument === undefined ? values : { ...values, argument }
  } catch (error) {
    if (error instanceof ConfigError) throw error
    const fault = error instanceof Error ? error.message.split('. To specify')[0] : String(error)
    throw new ConfigError(`${fault?.replace(/\.?$/, '.')} ${help}`)
  }
}

/** An error message for an option that the command does not have, with the most similar option. */
function unknownOption(command: Command, args: readonly string[]): string | undefined {
  const known = Object.keys(command.options)
  const given = args.slice(0, args.includes('--') ? args.indexOf('--') : undefined)
  const wrong = given
    .filter((_, index) => !command.options[given[index - 1]?.slice(2) ?? '']?.value)
    .map((word) => /^--([^=]+)/.exec(word)?.[1])
    .find((name) => name !== undefined && !known.includes(name))
  if (wrong === undefined) return undefined
  const meant = nearest(wrong, known)
  return `${command.name} has no option --${wrong}.${meant ? ` Did you mean --${meant}?` : ''}`
}

/** Returns `name` if it is the name of a command. @throws ConfigError with the most similar name. */
export function findName(names: readonly string[], name: string): string {
  if (names.includes(name)) return name
  const meant = nearest(name, names)
  throw new ConfigError(
    `There is no command "${name}".${meant ? ` Did you mean ${meant}?` : ''} See buildkite-mirror --help.`,
  )
}

/** Parses the text of an option as a day or a time. @throws ConfigError if it is neither, or the month does not have that day. */
export function parseMoment(name: string, text: string): Date {
  const time = new Date(text)
  const [, day] = /^(\d{4}-\d{2}-\d{2})(?:$|[T ]\d)/i.exec(text) ?? []
  if (day !== undefined && isDay(day) && !Number.isNaN(time.getTime())) return time
  throw new ConfigError(
    `--${name} is "${text}", which is not a date. Write it like 2026-01-31 or 2026-01-31T12:00:00Z.`,
  )
}

/** Whether the calendar has this day: Date reads February 30 as March 2. */
function isDay(day: string): boolean {
  const time = new Date(day)
  return !Number.isNaN(time.getTime()) && time.toISOString().startsWith(day)
}

/** The span of `--from` and `--to`. @throws ConfigError if one of them is not a date, or `--from` is not before `--to`. */
export function givenSpan(values: Values): { from: Date | undefined; to: Date | undefined } {
  const moment = (name: string) => {
    const text = values[name]
    return typeof text === 'string' ? parseMoment(name, text) : undefined
  }
  const span = { from: moment('from'), to: moment('to') }
  if (span.from && span.from >= (span.to ?? new Date())) {
    throw new ConfigError(`--from ${span.from.toISOString()} is not before --to. Give an earlier --from.`)
  }
  return span
}

/** The text of `buildkite-mirror --help`. */
export function generalHelp(commands: readonly Command[], version: string, paint: Paint): string {
  const width = Math.max(...commands.map(({ name }) => name.length))
  const nameWidth = Math.max(...settings.map(({ name }) => name.length))
  return [
    `${paint.bold(`buildkite-mirror ${version}`)}: an exact, live mirror of your Buildkite history in your own Postgres.`,
    '',
    'Usage: buildkite-mirror <command> [options]',
    '',
    paint.bold('Commands:'),
    ...commands.map(({ name, summary }) => `  ${paint.cyan(name.padEnd(width))}  ${summary}`),
    '',
    'buildkite-mirror <command> --help shows the options. Exit codes: 0 success, 1 failure, 2 bad usage or configuration.',
    '',
    paint.bold('Settings (environment variables, or a .env file in the working directory):'),
    ...settings.flatMap(({ name, about, default: fallback }) => [
      `  ${paint.cyan(name.padEnd(nameWidth))}  ${about}`,
      paint.dim(`  ${''.padEnd(nameWidth)}  default: ${fallback}`),
    ]),
    '',
  ].join('\n')
}

/** The text of `buildkite-mirror <command> --help`. */
export function commandHelp(command: Command, paint: Paint): string {
  const options = Object.entries({ ...command.options, help: { about: 'show this help' } as Option }).map(
    ([name, { value, about }]) => [`--${name}${value ? ` ${value}` : ''}`, about] as const,
  )
  const width = Math.max(...options.map(([left]) => left.length))
  const argument = command.argument ? ` ${command.argument.name}` : ''
  return [
    `${paint.bold('Usage:')} buildkite-mirror ${command.name}${argument} [options]`,
    '',
    command.about,
    '',
    paint.bold('Options:'),
    ...options.map(([left, about]) => `  ${paint.cyan(left.padEnd(width))}  ${about}`),
    '',
    'Settings are read from the environment; buildkite-mirror --help lists them.',
    '',
  ].join('\n')
}
