import { stripVTControlCharacters } from 'node:util'
import { formatDuration } from '../../runtime/time.ts'
import type { WebhookStats } from '../../simulator/webhooks/webhooks.ts'
import { count, type Environment, isLive, type Paint, paintFor } from '../shell/terminal.ts'
import type { Comparison } from './comparison.ts'

/** Everything that the demo shows at one time. */
export interface Sight {
  elapsedMs: number
  /** What the demo is doing, in a few words. */
  doing: string
  comparison: Comparison | undefined
  webhooks: WebhookStats
  /** Requests to the simulated API, and how many of them were answered 429. */
  requests: { total: number; limited: number }
  now: number
}

const refused = ({ sent, accepted, answers }: WebhookStats) => {
  const answered = Object.values(answers).reduce((sum, n) => sum + n, 0)
  return { refused: answered - accepted, underWay: sent - answered }
}

/** The screen of a terminal as lines. They fit 79 columns, unless a number has more than six digits. */
export function picture(sight: Sight, paint: Paint): string[] {
  const { comparison, webhooks, requests } = sight
  const row = (label: string, text: string) => `${paint.dim(label.padEnd(12))}${text}`
  const head = [`${paint.bold(formatDuration(sight.elapsedMs))}  ${sight.doing}`, '']
  const traffic = [
    row(
      'webhooks',
      `${count(webhooks.sent)} sent, ${count(refused(webhooks).refused)} refused; ${paint.yellow(`${count(webhooks.dropped)} more lost on purpose`)}`,
    ),
    row('API', `${count(requests.total)} requests, ${count(requests.limited)} over the limit`),
  ]
  if (!comparison) return [...head, 'The mirror has no tables yet.', '', ...traffic]
  const { kinds, work, lost } = comparison
  const last = work.lastCycleAt
    ? `, the last ${formatDuration(Math.max(0, sight.now - work.lastCycleAt.getTime()))} ago`
    : ''
  const builds = work.buildsMissing + work.buildsHealed + work.buildsInFlight
  const jobs = work.jobsMissing + work.jobsHealed + work.jobsInFlight
  return [
    ...head,
    paint.dim(`${''.padEnd(14)}${'Buildkite'.padStart(10)}${'mirror'.padStart(10)}`),
    ...kinds.map((kind) => kindLine(kind, paint)),
    '',
    ...traffic,
    row(
      'syncs',
      `${count(work.cycles)}${last}; history: ${count(work.windowsDone)} of ${count(work.windows)} parts read`,
    ),
    row('API found', `${count(builds)} builds and ${count(jobs)} jobs before or without their webhook`),
    row('lost', `webhooks of ${count(lost.builds)} builds; ${count(lost.whole)} of these are complete again`),
  ]
}

function kindLine({ kind, truth, mirror, behind }: Comparison['kinds'][number], paint: Paint): string {
  const colour = behind > 0 ? paint.yellow : paint.green
  const filled = Math.floor(20 * (truth === 0 ? 1 : (truth - behind) / truth))
  const bar = '█'.repeat(filled) + '░'.repeat(20 - filled)
  const state = behind > 0 ? `${count(behind)} behind` : 'all'
  return `${kind.padEnd(14)}${count(truth).padStart(10)}${count(mirror).padStart(10)}  ${colour(`${bar}  ${state}`)}`
}

/** What the demo has shown, at its end. */
export function proofLines({ kinds, lost }: Comparison, webhooks: WebhookStats, paint: Paint): string[] {
  const of = (kind: string) => count(kinds.find((one) => one.kind === kind)?.truth ?? 0)
  const mark = paint.green('✓')
  const equal = `${mark} The mirror equals the simulated Buildkite: ${of('builds')} builds, ${of('jobs')} jobs.`
  if (webhooks.dropped === 0) return [equal]
  return [
    equal,
    `${mark} ${count(webhooks.dropped)} webhooks of ${count(lost.builds)} builds were lost; all are healed.`,
  ]
}

/** The same in one line, for logs and pipes. */
export function plainLine(sight: Sight): string {
  const { comparison, webhooks, requests } = sight
  const rows = comparison
    ? comparison.kinds
        .filter(({ kind }) => kind === 'builds' || kind === 'jobs')
        .map(({ kind, truth, mirror, behind }) => `${kind} ${mirror}/${truth} (${behind} behind)`)
        .join('  ')
    : 'no tables yet'
  const healed = comparison
    ? `  missing ${comparison.work.buildsMissing}+${comparison.work.jobsMissing} healed ${comparison.work.buildsHealed}+${comparison.work.jobsHealed}`
    : ''
  return (
    `${formatDuration(sight.elapsedMs)}  ${sight.doing}: ${rows}  webhooks sent ${webhooks.sent} accepted ${webhooks.accepted} ` +
    `refused ${refused(webhooks).refused} lost ${webhooks.dropped}${healed}  requests ${requests.total}`
  )
}

/** Redraws the screen on a terminal; elsewhere prints a line every few seconds. */
export class Screen {
  readonly #out: NodeJS.WriteStream
  readonly #live: boolean
  readonly #paint: Paint
  #height = 0
  #lastLine = Number.NEGATIVE_INFINITY

  constructor(out: NodeJS.WriteStream, env: Environment) {
    this.#out = out
    this.#live = isLive(out, env)
    this.#paint = paintFor(out, env)
  }

  show(sight: Sight, last = false): void {
    if (!this.#live) {
      if (!last && sight.elapsedMs - this.#lastLine < 5_000) return
      this.#lastLine = sight.elapsedMs
      this.#out.write(`${plainLine(sight)}\n`)
      return
    }
    const width = (this.#out.columns || 80) - 1
    const lines = picture(sight, this.#paint).map((line) => fitted(line, width))
    // \r, because the terminal shows a Ctrl-C as ^C.
    const up = this.#height > 0 ? `\r\x1b[${this.#height}A` : ''
    this.#out.write(`${up}\x1b[0J${lines.map((line) => `${line}\n`).join('')}`)
    this.#height = lines.length
  }
}

/** A line that is too wide loses its colours and its end: a wrapped line could not be redrawn. */
function fitted(line: string, width: number): string {
  const plain = stripVTControlCharacters(line)
  return plain.length <= width ? line : `${plain.slice(0, width - 1)}…`
}
