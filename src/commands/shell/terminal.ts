import { stripVTControlCharacters, styleText } from 'node:util'
import { formatDuration, MINUTE, SECOND } from '../../runtime/time.ts'

export type Environment = Readonly<Record<string, string | undefined>>

/** The part of a stream that decides how to write to it. */
type Output = Pick<NodeJS.WriteStream, 'isTTY'>

/**
 * Whether `out` gets colours: if it is a terminal that is not dumb, and NO_COLOR is not set. FORCE_COLOR overrides this: 0 or false
 * means never, anything else always.
 */
export function isColoured(out: Output, env: Environment): boolean {
  if (env.FORCE_COLOR) return !/^(0|false)$/i.test(env.FORCE_COLOR)
  return isLive(out, env) && !env.NO_COLOR
}

/** Whether lines on `out` can be redrawn: it is a terminal, and not a dumb one. */
export function isLive(out: Output, env: Environment): boolean {
  return out.isTTY === true && env.TERM !== 'dumb'
}

const styles = ['bold', 'dim', 'red', 'green', 'yellow', 'cyan'] as const

/** Functions that colour text, or return it unchanged. */
export type Paint = Readonly<Record<(typeof styles)[number], (text: string) => string>>

/** The colours for `out`. */
export function paintFor(out: Output, env: Environment): Paint {
  const coloured = isColoured(out, env)
  const paint = (style: (typeof styles)[number]) => (text: string) =>
    coloured ? styleText(style, text, { validateStream: false }) : text
  return {
    bold: paint('bold'),
    dim: paint('dim'),
    red: paint('red'),
    green: paint('green'),
    yellow: paint('yellow'),
    cyan: paint('cyan'),
  }
}

/** The progress of a long task. */
export interface Progress {
  done: number
  /** The expected total, if it is known. */
  expected?: number | undefined
  /** The unit of the counts; builds by default. */
  unit?: string
  /** Requests made, if any. */
  requests?: number | undefined
  /** Requests left in the current minute, if known. */
  rateLeft?: number | undefined
}

/** Shows progress: redrawn in place on a terminal, else a plain line every few seconds. */
export class ProgressBar {
  readonly #out: NodeJS.WriteStream
  readonly #what: string
  readonly #live: boolean
  readonly #startedAt: number
  #lastDrawn = 0

  constructor(out: NodeJS.WriteStream, what: string, env: Environment = {}, now = Date.now()) {
    this.#out = out
    this.#what = what
    this.#live = isLive(out, env)
    this.#startedAt = now
    // A pipe gets no line from work that takes a moment.
    if (!this.#live) this.#lastDrawn = now
  }

  show(progress: Progress, now = Date.now()): void {
    const every = this.#live ? 100 : 5_000
    if (now - this.#lastDrawn < every) return
    this.#lastDrawn = now
    const line = progressLine(this.#what, progress, now - this.#startedAt, this.#live ? 24 : 0)
    this.#out.write(this.#live ? redrawn(this.#out, line) : `${line}\n`)
  }

  /** Shows text in place of the bar; only on a terminal. */
  note(text: string): void {
    if (this.#live) this.#out.write(redrawn(this.#out, text))
  }

  /** Ends the bar's line with a final text. */
  end(text: string): void {
    this.#out.write(this.#live ? `\r\x1b[2K${text}\n` : `${text}\n`)
  }
}

/** Replaces the line on a terminal, cut to its width. */
function redrawn(out: NodeJS.WriteStream, line: string): string {
  return `\r\x1b[2K${line.slice(0, (out.columns || 80) - 1)}`
}

/** `backfill  ██████░░░░  62%  12,400 of about 20,000 builds  126 requests  9 left this minute  2m left` */
export function progressLine(what: string, progress: Progress, elapsedMs: number, barWidth: number): string {
  const { done, expected, unit = 'builds', requests, rateLeft } = progress
  const share = expected ? Math.min(1, done / expected) : undefined
  const parts = [what]
  if (share !== undefined && barWidth > 0) {
    const filled = Math.round(share * barWidth)
    parts.push('█'.repeat(filled) + '░'.repeat(barWidth - filled))
  }
  if (share !== undefined) parts.push(`${Math.floor(share * 100)}%`)
  const counted = expected ? `${count(done)} of about ${count(Math.max(expected, done))}` : count(done)
  parts.push(`${counted} ${unit}`)
  if (requests !== undefined) parts.push(`${count(requests)} requests`)
  if (rateLeft !== undefined) parts.push(`${count(rateLeft)} left this minute`)
  if (share && share < 1) parts.push(`${formatDuration((elapsedMs / share) * (1 - share))} left`)
  return parts.join('  ')
}

/**
 * Waits for `work`, for tasks without known progress. Shows the elapsed seconds on a terminal, else prints a line a minute. Prints
 * nothing if it takes less than a second.
 */
export async function whileWaiting<T>(
  out: NodeJS.WriteStream,
  env: Environment,
  what: string,
  work: Promise<T>,
): Promise<T> {
  const live = isLive(out, env)
  const startedAt = Date.now()
  const say = () => {
    const line = `${what} … ${formatDuration(Date.now() - startedAt)}`
    out.write(live ? redrawn(out, line) : `${line}\n`)
  }
  const timer = setInterval(say, live ? SECOND : MINUTE)
  try {
    return await work
  } finally {
    clearInterval(timer)
    if (live && Date.now() - startedAt >= SECOND) out.write('\r\x1b[2K')
  }
}

export function count(n: number): string {
  return n.toLocaleString('en-US')
}

/** Formats rows as aligned columns. The first row is the header, which `paint` makes bold. Cells may hold colours. */
export function table(rows: readonly (readonly string[])[], paint?: Paint): string {
  const width = (cell: string) => stripVTControlCharacters(cell).length
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => width(row[column] ?? ''))))
  return rows
    .map((row, index) => {
      const cells = row.map((cell, column) => cell + ' '.repeat(Math.max(0, (widths[column] ?? 0) - width(cell))))
      const line = cells.join('  ').trimEnd()
      return index === 0 && paint ? paint.bold(line) : line
    })
    .join('\n')
}

/** Labels with a text each, as indented and aligned lines. */
export function labelled(rows: readonly (readonly [label: string, text: string])[], paint: Paint): string {
  const width = Math.max(...rows.map(([label]) => label.length))
  return rows.map(([label, text]) => `  ${paint.cyan(label.padEnd(width))}  ${text}`).join('\n')
}
