import { formatDuration } from '../time.ts'

/** Where a long piece of work stands. */
export interface Progress {
  done: number
  /** How many are expected in all, where that can be said. */
  expected?: number | undefined
  requests: number
  /** Requests left to us in the current minute, where known. */
  rateLeft?: number | undefined
}

/** Shows progress: redrawn in place on a terminal, a plain line every few seconds elsewhere. */
export class ProgressBar {
  readonly #out: NodeJS.WriteStream
  readonly #what: string
  readonly #startedAt: number
  #lastDrawn = 0

  constructor(out: NodeJS.WriteStream, what: string, now = Date.now()) {
    this.#out = out
    this.#what = what
    this.#startedAt = now
  }

  show(progress: Progress, now = Date.now()): void {
    const every = this.#out.isTTY ? 100 : 5_000
    if (now - this.#lastDrawn < every) return
    this.#lastDrawn = now
    const line = progressLine(this.#what, progress, now - this.#startedAt, this.#out.isTTY ? 24 : 0)
    this.#out.write(this.#out.isTTY ? `\r\x1b[2K${line.slice(0, (this.#out.columns || 80) - 1)}` : `${line}\n`)
  }

  /** Ends the bar's line with a last word. */
  end(text: string): void {
    this.#out.write(this.#out.isTTY ? `\r\x1b[2K${text}\n` : `${text}\n`)
  }
}

/** `backfill  ██████░░░░  62%  12,400 of about 20,000 builds  126 requests  9 left this minute  2m left` */
export function progressLine(what: string, progress: Progress, elapsedMs: number, barWidth: number): string {
  const { done, expected, requests, rateLeft } = progress
  const share = expected ? Math.min(1, done / expected) : undefined
  const parts = [what]
  if (share !== undefined && barWidth > 0) {
    const filled = Math.round(share * barWidth)
    parts.push('█'.repeat(filled) + '░'.repeat(barWidth - filled))
  }
  if (share !== undefined) parts.push(`${Math.floor(share * 100)}%`)
  const builds = expected ? `${count(done)} of about ${count(Math.max(expected, done))}` : count(done)
  parts.push(`${builds} builds`, `${count(requests)} requests`)
  if (rateLeft !== undefined) parts.push(`${count(rateLeft)} left this minute`)
  if (share && share < 1) parts.push(`${formatDuration((elapsedMs / share) * (1 - share))} left`)
  return parts.join('  ')
}

export function count(n: number): string {
  return n.toLocaleString('en-US')
}

/** Rows as aligned columns; the first row is the header. */
export function table(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}
