import { type DestinationStream, type Logger, type LoggerOptions, pino } from 'pino'
import pretty from 'pino-pretty'
import { StoreError } from './errors.ts'

export type Log = Logger

/**
 * A log: pretty on a terminal, else one JSON line per entry. Errors are logged as name, message, code and stack, without their other
 * properties (SQL, parameters, bodies, headers). Only the service logs to stdout; commands use stdout for their output.
 */
export function createLog(level: string, to: 'stdout' | 'stderr' | DestinationStream = 'stderr'): Log {
  const options: LoggerOptions = {
    level,
    base: null,
    timestamp: () => `,"time":"${new Date().toISOString()}"`,
    formatters: { level: (label) => ({ level: label }) },
    serializers: { err: describeError, error: describeError },
  }
  if (typeof to !== 'string') return pino(options, to)
  const { fd, isTTY } = process[to]
  if (!isTTY) return pino(options, pino.destination({ dest: fd, sync: false, minLength: 0 }))
  const colorize = process[to].hasColors()
  return pino(
    options,
    pretty({ destination: fd, sync: true, colorize, translateTime: 'SYS:HH:MM:ss', ignore: 'pid,hostname' }),
  )
}

/** Keys may come from the text of errors, so only so many are remembered. */
const REMEMBERED_KEYS = 100

/**
 * Returns a function that returns true at most once in `everyMs` for each key: for log lines that would otherwise repeat with every
 * request during a failure.
 */
export function throttledWarn(everyMs: number, clock: () => number): (key?: string) => boolean {
  const last = new Map<string, number>()
  return (key = '') => {
    const now = clock()
    if (now - (last.get(key) ?? Number.NEGATIVE_INFINITY) < everyMs) return false
    if (last.size >= REMEMBERED_KEYS) last.clear()
    last.set(key, now)
    return true
  }
}

interface DescribedError {
  name: string
  message: string
  code?: string
  kind?: string
  stack?: string
  cause?: DescribedError
}

function describeError(error: unknown): DescribedError | unknown {
  if (!(error instanceof Error)) return error
  // Drizzle puts the SQL and every parameter into the message (drizzle-orm#5939), so its messages must never be logged.
  const leaky = error.constructor.name === 'DrizzleQueryError'
  const described: DescribedError = { name: error.name, message: leaky ? 'A query failed.' : error.message }
  if ('code' in error && typeof error.code === 'string') described.code = error.code
  if (error instanceof StoreError) described.kind = error.kind
  // An unavailable store is no bug, and its message says all.
  const isOutage = error instanceof StoreError && error.kind === 'transient'
  if (error.stack && !leaky && !isOutage) described.stack = error.stack
  if (error.cause instanceof Error) described.cause = describeError(error.cause) as DescribedError
  return described
}
