import { type FailingUnit, kindNames } from '../../coverage/failing-work.ts'
import type { Status } from '../status/status.ts'
import { ago, count, roughly, some } from './format.ts'
import { html, type Markup } from './html.ts'

/** The section that lists failing work. */
export function failingPiece({ failing, read_at }: Status): Markup {
  if (!failing) return html``
  const title = html`<h2>Work that failed and is retried</h2>`
  const { all, shown } = failing
  if (all === 0) {
    return html`<div class="card"><div class="head">${title}<p class="quiet small">Nothing is waiting to be retried.</p></div></div>`
  }
  const rows = shown.map(
    (
      one,
    ) => html`<tr><td class="nowrap when">${ago(one.first_failed_at, read_at)}</td><td class="what">${kindNames[one.kind]}<small>${one.subject}${one.organization !== null && ` · ${one.organization}`}</small></td>
<td class="break"><span class="clamp">${one.error}</span></td><td class="end">${some(one.tries, 'try', 'tries')}<small>${nextTry(one, read_at)}</small></td></tr>`,
  )
  return html`<div class="card"><div class="head">${title}<p class="quiet small">${count(all)}; everything else continues</p></div>
<div class="scroll" tabindex="0" role="region" aria-label="Work that failed and is retried"><table class="stack"><thead><tr><th scope="col">Since</th><th scope="col">Work</th><th scope="col">Error</th><th scope="col" class="n">Tries</th></tr></thead><tbody>${rows}</tbody></table></div>
${all > shown.length && html`<p class="quiet small">The ${shown.length} of ${count(all)} that have failed longest; sync.failures has them all.</p>`}</div>`
}

function nextTry({ kind, next_try_at }: FailingUnit, now: Date): string {
  if (kind === 'replica') return 'another one took over'
  const left = next_try_at.getTime() - now.getTime()
  return left > 0 ? `next in ${roughly(left)}` : 'next try is due'
}
