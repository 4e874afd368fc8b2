import { formatDuration } from '../../runtime/time.ts'
import type { WebhookStats } from '../../simulator/webhooks/webhooks.ts'
import { count, type Environment, isLive } from '../shell/terminal.ts'
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

/** The screen of a terminal as lines, without colours. */
export function picture(sight: Sight): string[] {
  const { comparison, webhooks, requests } = sight
  const head = [`${formatDuration(sight.elapsedMs)}  ${sight.doing}`, '']
  const mail = [
    `webhooks    ${count(webhooks.sent)} sent, ${count(webhooks.accepted)} accepted, ${count(refused(webhooks).refused)} refused; ` +
      `${count(webhooks.dropped)} more lost on purpose`,
    `API         ${count(requests.total)} requests, ${count(requests.limited)} over the limit`,
  ]
  if (!comparison) return [...head, 'The mirror has no tables yet.', '', ...mail]
  const { kinds, work, lost } = comparison
  return [
    ...head,
    `${''.padEnd(14)}${'Buildkite'.padStart(10)}${'mirror'.padStart(10)}`,
    ...kinds.map(({ kind, truth, mirror, behind }) =>
      [
        kind.padEnd(14),
        count(truth).padStart(10),
        count(mirror).padStart(10),
        `  ${bar(truth === 0 ? 1 : (truth - behind) / truth)}`,
        behind ? `  ${count(behind)} behind` : '  all',
      ].join(''),
    ),
    '',
    ...mail,
    `reconciler  ${count(work.cycles)} cycles${work.lastCycleAt ? `, the last ${formatDuration(Math.max(0, sight.now - work.lastCycleAt.getTime()))} ago` : ''}; ` +
      `backfill ${count(work.windowsDone)} of ${count(work.windows)} windows`,
    `            found and healed: ${count(work.buildsMissing)} builds and ${count(work.jobsMissing)} jobs that were missing, ` +
      `${count(work.buildsHealed)} and ${count(work.jobsHealed)} that were out of date`,
    `            lost webhooks were about ${count(lost.builds)} builds; ${count(lost.whole)} of these are complete in the mirror`,
  ]
}

function bar(share: number): string {
  const filled = Math.floor(share * 20)
  return '█'.repeat(filled) + '░'.repeat(20 - filled)
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
  #height = 0
  #lastLine = Number.NEGATIVE_INFINITY

  constructor(out: NodeJS.WriteStream, env: Environment) {
    this.#out = out
    this.#live = isLive(out, env)
  }

  show(sight: Sight, last = false): void {
    if (!this.#live) {
      if (!last && sight.elapsedMs - this.#lastLine < 5_000) return
      this.#lastLine = sight.elapsedMs
      this.#out.write(`${plainLine(sight)}\n`)
      return
    }
    const width = (this.#out.columns || 80) - 1
    const lines = picture(sight)
    const up = this.#height > 0 ? `\x1b[${this.#height}A` : ''
    this.#out.write(`${up}\x1b[0J${lines.map((line) => `${line.slice(0, width)}\n`).join('')}`)
    this.#height = lines.length
  }
}
