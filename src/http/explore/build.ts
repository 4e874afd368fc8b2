import { ago, count, moment } from '../pages/format.ts'
import { html, type Markup } from '../pages/html.ts'
import { badge, firstLine } from './builds-table.ts'
import { durationText } from './charts.ts'
import { type Completeness, card, tile } from './figure.ts'
import { linkTo, pathOf, type Scope } from './filters.ts'
import { outside } from './frame.ts'
import {
  type Attempt,
  attemptsOf,
  type Build,
  costsOfBuild,
  jobsOfBuild,
  type Related,
  ROWS_SHOWN,
  relatedTo,
} from './queries/build.ts'
import { type ExploreParts, type Reading, read } from './query.ts'
import { hoursText, moneyText } from './tiles.ts'
import { waterfall } from './waterfall.ts'

/** What the page of a build shows. */
export async function readBuildParts(parts: ExploreParts, build: Build, from: number) {
  const [jobs, attempts, related, costs] = await Promise.all([
    read(parts, jobsOfBuild(build.id, from)),
    read(parts, attemptsOf(build.id)),
    read(parts, relatedTo(build.id)),
    read(parts, costsOfBuild(build.id)),
  ])
  return { jobs, attempts, related, costs }
}
export type BuildParts = Awaited<ReturnType<typeof readBuildParts>>

interface BuildPage {
  readonly build: Build
  readonly reading: Reading<Build>
  readonly parts: BuildParts
  readonly scope: Scope
  readonly slug: string
  readonly completeness: Completeness
  readonly now: Date
}

/** The heading of a build. */
export function buildHeading(build: Build): Markup {
  return html`#${build.build_number} ${firstLine(build.message)} ${badge(build.state)}`
}

/** Below the heading: branch, commit, who, when, and Buildkite's page. */
export function buildSubtitle(build: Build, slug: string, organization: string, now: Date): Markup {
  const { branch, commit, tag, pr_number, author_name, creator_name, source, created_at, web_url } = build
  const found = (q: string, by: 'commit') => linkTo(pathOf(organization, 'search'), { q, by })
  return html`${branch && html`<a href="${linkTo(pathOf(organization, 'pipelines', slug), { branch })}">${branch}</a> · `}${tag && `${tag} · `}${commit && html`<a href="${found(commit, 'commit')}">${commit.slice(0, 8)}</a> · `}${pr_number !== null && `pull request ${pr_number} · `}${author_name ?? creator_name ?? 'nobody'}${source && ` by ${source.replaceAll('_', ' ')}`}${created_at && html` · ${ago(created_at, now)}`} · ${outside(web_url, 'Open in Buildkite')}`
}

/** The body of a build's page. */
export function buildBody(page: BuildPage): Markup {
  const { build, parts, completeness } = page
  return html`${figures(build, parts)}
${notes(build)}
${waterfallCard(page)}
<div class="charts">${attemptsCard(parts.attempts, completeness)}${relatedCard(parts.related, page)}</div>`
}

function figures(build: Build, { jobs, costs }: BuildParts): Markup {
  const minutes = costs.rows.reduce((sum, row) => sum + row.minutes, 0)
  const priced = costs.rows.flatMap(({ cost, currency }) =>
    cost !== null && currency !== null ? [moneyText(cost, currency)] : [],
  )
  const { run_seconds, total_seconds, wait_seconds, attempts, is_estimate, first_result } = build
  return html`<div class="figures four">
${tile({ title: 'Running time', figure: durationText(run_seconds), note: is_estimate ? 'estimated: earlier stops are derived from jobs' : 'without pauses' })}
${tile({ title: 'In all', figure: durationText(total_seconds), note: `${durationText(wait_seconds)} until the first job started` })}
${tile({ title: 'Jobs', figure: count(jobs.rows[0]?.jobs ?? 0), note: attempts > 1 ? `${count(attempts)} attempts; the first ${first_result ?? 'has no result'}` : 'every try counts' })}
${tile({ title: 'Agent time', figure: costs.rows.length === 0 ? '–' : hoursText(minutes), note: priced.join(' and ') || 'no rate is set' })}
</div>`
}

function notes(build: Build): Markup {
  const lines = [
    build.deleted_at && `Buildkite no longer shows this build; the mirror noticed on ${moment(build.deleted_at)}.`,
    build.cancel_reason && `Canceled: ${build.cancel_reason}`,
    build.is_provisional && 'A webhook changed this build after the last API read; the next read confirms it.',
  ]
  return html`${lines.map((line) => line && html`<p class="small quiet">${line}</p>`)}`
}

function waterfallCard({ build, reading, parts, scope, slug, completeness, now }: BuildPage): Markup {
  const { jobs } = parts
  const { from } = scope.filters
  const path = pathOf(scope.organization, 'pipelines', slug, 'builds', build.build_number)
  const all = jobs.rows[0]?.jobs ?? 0
  const to = from + jobs.rows.length
  const pages =
    all > jobs.rows.length &&
    html`<p class="more small"><span>Jobs ${count(from + 1)} to ${count(to)} of ${count(all)}</span>${from > 0 && html`<a href="${linkTo(path, { from: Math.max(0, from - ROWS_SHOWN) })}">Previous ${ROWS_SHOWN}</a>`}${to < all && html`<a href="${linkTo(path, { from: to })}">Next ${Math.min(ROWS_SHOWN, all - to)}</a>`}</p>`
  const content =
    jobs.rows.length === 0
      ? html`<p class="empty">${from > 0 ? 'There are no more jobs.' : 'The jobs of this build are not known yet.'}</p>`
      : html`${pages}${waterfall(build, jobs.rows, now)}${pages}`
  const subtitle = build.created_at && html`from ${moment(build.created_at)}`
  return card(
    { title: 'Jobs', subtitle: subtitle ?? undefined, readings: [reading, jobs, parts.costs], completeness },
    content,
  )
}

function attemptsCard(attempts: Reading<Attempt>, completeness: Completeness): Markup {
  const rows = attempts.rows.map(
    (one) =>
      html`<tr><td class="n">${one.attempt}</td><td>${badge(one.state)}</td><td class="nowrap">${one.started_at ? moment(one.started_at) : '–'}</td><td class="n">${durationText(one.run_seconds)}${one.is_estimate && html`<small>estimated</small>`}</td></tr>`,
  )
  const content =
    rows.length === 0
      ? html`<p class="empty">It has not finished yet.</p>`
      : html`<div class="scroll" tabindex="0" role="region" aria-label="Attempts"><table class="list"><thead><tr><th scope="col" class="n">Attempt</th><th scope="col">State</th><th scope="col">Started</th><th scope="col" class="n">Ran</th></tr></thead><tbody>${rows}</tbody></table></div>`
  return card(
    { title: 'Attempts', subtitle: 'a retry or an unblock begins the next', readings: [attempts], completeness },
    content,
  )
}

function relatedCard(related: Reading<Related>, { scope, completeness }: BuildPage): Markup {
  const rows = related.rows.map(({ relation, organization, pipeline, build_number, state }) => {
    const name = `${pipeline ?? 'unknown'} #${build_number ?? '?'}`
    const link =
      organization &&
      pipeline &&
      build_number !== null &&
      pathOf(organization, 'pipelines', pipeline, 'builds', build_number)
    return html`<tr><td>${relation}</td><td class="name">${link ? html`<a href="${link}">${name}</a>` : name}${organization !== scope.organization && html`<small>${organization}</small>`}</td><td class="n">${badge(state)}</td></tr>`
  })
  const content =
    rows.length === 0
      ? html`<p class="empty">No other build triggered it, and it triggered none.</p>`
      : html`<table class="list"><thead><tr><th scope="col">How</th><th scope="col">Build</th><th scope="col" class="n">State</th></tr></thead><tbody>${rows}</tbody></table>`
  return card({ title: 'Triggers and rebuilds', readings: [related], completeness }, content)
}
