import { ago } from '../pages/format.ts'
import { html, type Markup } from '../pages/html.ts'
import { durationText } from './charts.ts'
import { pathOf } from './filters.ts'
import type { BuildLine } from './queries/builds.ts'

const open = new Set(['creating', 'scheduled', 'running', 'failing', 'canceling'])

/** The state of a build or job as a badge. */
export function badge(state: string | null): Markup {
  const shade = state === null ? '' : open.has(state) ? 'running' : state
  return html`<span class="state ${shade}">${(state ?? 'unknown').replaceAll('_', ' ')}</span>`
}

/** A list of builds, newest first. */
export function buildsTable(
  organization: string,
  builds: readonly BuildLine[],
  now: Date,
  showsPipeline: boolean,
): Markup {
  const rows = builds.map((one) => {
    const name = html`${showsPipeline && `${one.pipeline} `}#${one.build_number}`
    const link = one.pipeline
      ? html`<a href="${pathOf(organization, 'pipelines', one.pipeline, 'builds', one.build_number)}">${name}</a>`
      : name
    return html`<tr><td class="nowrap">${link}<small>${one.created_at && ago(one.created_at, now)}</small></td><td>${badge(one.state)}</td><td class="name">${firstLine(one.message)}<small>${one.branch}${one.commit && ` · ${one.commit.slice(0, 8)}`}${one.author_name && ` · ${one.author_name}`}</small></td><td class="n">${durationText(one.run_seconds)}</td></tr>`
  })
  return html`<div class="scroll" tabindex="0" role="region" aria-label="Builds"><table class="list builds"><thead><tr><th scope="col">Build</th><th scope="col">State</th><th scope="col">Message</th><th scope="col" class="n">Duration</th></tr></thead><tbody>${rows}</tbody></table></div>`
}

export const firstLine = (message: string | null) => (message ?? '').split('\n')[0] || 'no message'
