import { scaleLinear } from 'd3-scale'
import { MINUTE, SECOND } from '../../runtime/time.ts'
import { html, type Markup } from '../pages/html.ts'
import { badge } from './builds-table.ts'
import { durationText, legendOf } from './charts.ts'
import { outside } from './frame.ts'
import type { Build, BuildJob } from './queries/build.ts'

const WIDTH = 1_000

/** A part of a job's time: what it waited for, or that it ran. */
interface Part {
  readonly name: string
  readonly shade: string
  readonly from: number
  readonly to: number
}

interface Axis {
  readonly from: number
  readonly at: (time: number) => number
  readonly ticks: readonly { readonly at: number; readonly text: string }[]
}

/** The jobs of a build, one below the other on one time axis. `now` ends what is still open. */
export function waterfall(build: Build, jobs: readonly BuildJob[], now: Date): Markup {
  const axis = axisOf(build, jobs, now)
  const parts = jobs.map((job) => partsOf(job, build, now.getTime()))
  const used = new Set(parts.flat().map(({ name }) => name))
  const shown = kinds.filter(({ name }) => used.has(name))
  const hasPath = jobs.some(({ critical }) => critical)
  const byId = new Map(jobs.map((job) => [job.id, job]))
  const sources = new Map(
    jobs.flatMap(({ id, retried_in_job_id }) => (retried_in_job_id ? [[retried_in_job_id, id] as const] : [])),
  )
  const rows = jobs.map((job, index) =>
    jobRow(job, parts[index] ?? [], axis, { next: byId.has(job.retried_in_job_id ?? ''), source: sources.get(job.id) }),
  )
  return html`${legendOf(shown)}${hasPath && html`<p class="quiet small"><b>Bold with an outline</b>: the critical path, the chain of jobs that decided how long the build took. It is inferred from times.</p>`}
<ol class="falls" aria-label="Jobs on one time axis"><li class="scale" aria-hidden="true"><span></span>${ruler(axis)}<span></span></li>${rows}</ol>`
}

const kinds = [
  { name: 'Waited for steps', shade: 'depends' },
  { name: 'Waited for concurrency', shade: 'limited' },
  { name: 'Waited for an agent', shade: 'waited' },
  { name: 'Gate', shade: 'gate' },
  { name: 'Running', shade: 'running' },
  { name: 'Ran, passed', shade: 'passed' },
  { name: 'Ran, failed', shade: 'failed' },
  { name: 'Ran, canceled', shade: 'canceled' },
] as const
type Kind = (typeof kinds)[number]['name']

/** The parts of a job's time, first to last. */
function partsOf(job: BuildJob, build: Build, now: number): Part[] {
  const part = (name: Kind, from: number | undefined, to: number | undefined): Part[] => {
    const shade = kinds.find((kind) => kind.name === name)?.shade ?? 'canceled'
    return from !== undefined && to !== undefined && to > from ? [{ name, shade, from, to }] : []
  }
  const [created, runnable, started, finished] = [job.created_at, job.runnable_at, job.started_at, job.finished_at].map(
    (time) => time?.getTime(),
  )
  if (job.type === 'manual')
    return part(
      'Gate',
      job.blocked_at?.getTime(),
      job.unblocked_at?.getTime() ?? (job.blocked_at && build.finished_at ? build.finished_at.getTime() : now),
    )
  const isOpen = job.result === null && build.result === null
  const end = finished ?? (isOpen ? now : undefined)
  const limited = (job.concurrency_wait_seconds ?? 0) * SECOND
  const ready = runnable === undefined ? undefined : runnable - limited
  return [
    ...part('Waited for steps', created, ready ?? (started === undefined && isOpen ? now : undefined)),
    ...part('Waited for concurrency', ready, runnable),
    ...part('Waited for an agent', runnable, started ?? end),
    ...part(ranAs(job), started, end),
  ]
}

function ranAs({ result, finished_at }: BuildJob): Kind {
  if (result === 'passed') return 'Ran, passed'
  if (result === null && finished_at === null) return 'Running'
  return result === 'canceled' || result === 'skipped' || result === 'broken' || result === null
    ? 'Ran, canceled'
    : 'Ran, failed'
}

/** From the build's creation to the last end. */
function axisOf(build: Build, jobs: readonly BuildJob[], now: Date): Axis {
  const times = jobs
    .flatMap((job) => [job.runnable_at, job.started_at, job.finished_at, job.unblocked_at])
    .flatMap((time) => (time ? [time.getTime()] : []))
  const from = Math.min(...[build.created_at?.getTime() ?? now.getTime(), ...times])
  const end = build.result === null ? now.getTime() : (build.finished_at?.getTime() ?? from)
  const to = Math.max(from + SECOND, end, ...times)
  const unit = to - from > 3 * 60 * MINUTE ? 60 * MINUTE : to - from > 3 * MINUTE ? MINUTE : SECOND
  const suffix = unit === MINUTE ? 'min' : unit === SECOND ? 's' : 'h'
  const scale = scaleLinear()
    .domain([0, (to - from) / unit])
    .range([0, 1])
  const ticks = scale.ticks(4).map((value) => ({ at: scale(value), text: `${value} ${suffix}` }))
  return {
    from,
    at: (time) => Math.min(1, Math.max(0, scale((time - from) / unit))),
    ticks: ticks.filter(({ at }) => at < 0.93),
  }
}

function ruler({ ticks }: Axis): Markup {
  return html`<svg class="fall track">${ticks.map(({ at, text }) => html`<text x="${(at * 100).toFixed(2)}%" y="12" text-anchor="${at < 0.02 ? 'start' : 'middle'}">${text}</text>`)}</svg>`
}

interface Links {
  /** Whether the next try is on the page. */
  readonly next: boolean
  /** The job that this one tries again. */
  readonly source: string | undefined
}

function jobRow(job: BuildJob, parts: readonly Part[], axis: Axis, { next, source }: Links): Markup {
  const x = (time: number) => axis.at(time) * WIDTH
  const rects = parts.map(({ name, shade, from, to }) => {
    const width = Math.max(2, x(to) - x(from))
    return html`<rect class="${shade}" x="${x(from).toFixed(1)}" y="3" width="${width.toFixed(1)}" height="12"><title>${name}: ${durationText((to - from) / SECOND)}</title></rect>`
  })
  const run = parts.at(-1)
  const outline =
    job.critical &&
    run &&
    html`<rect class="path" x="${x(run.from).toFixed(1)}" y="2" width="${Math.max(2, x(run.to) - x(run.from)).toFixed(1)}" height="14"/>`
  const grid = axis.ticks.map(
    ({ at }) => html`<line x1="${(at * WIDTH).toFixed(1)}" x2="${(at * WIDTH).toFixed(1)}" y1="-4" y2="22"/>`,
  )
  const words =
    parts.map(({ name, from, to }) => `${name} ${durationText((to - from) / SECOND)}`).join(', ') || 'no times'
  return html`<li id="job-${job.id}"><span class="job ${job.critical && 'crit'}" title="${job.job}">${outside(job.web_url, job.job)}${part(job)}${job.critical && html`<span class="unseen"> on the critical path</span>`}<small>${notesOf(job)}${retryLinks(job, next, source)}</small></span>
<svg class="fall track" viewBox="0 0 ${WIDTH} 18" preserveAspectRatio="none" role="img" aria-label="${words}"><g class="grid">${grid}</g>${rects}${outline}</svg><span class="took">${tookOf(job)}</span></li>`
}

const part = ({ parallel_group_index, parallel_group_total }: BuildJob) =>
  parallel_group_total !== null &&
  parallel_group_total > 1 &&
  html` <small>${(parallel_group_index ?? 0) + 1}/${parallel_group_total}</small>`

function notesOf(job: BuildJob): Markup | false {
  const { type, unblocked_by_name, result, exit_status } = job
  if (type === 'manual')
    return html` ${job.unblocked_at ? `unblocked${unblocked_by_name ? ` by ${unblocked_by_name}` : ''}` : 'gate'}`
  const exit = exit_status !== null && exit_status !== 0 ? `, exit ${exit_status}` : ''
  if (result === 'passed') return type === 'trigger' && html` trigger`
  return html` ${(result ?? job.state ?? '').replaceAll('_', ' ')}${exit}`
}

function retryLinks({ retried_in_job_id, retry_type }: BuildJob, next: boolean, source: string | undefined): Markup {
  return html`${retried_in_job_id !== null && html` · ${next ? html`<a href="#job-${retried_in_job_id}">retried</a>` : 'retried'}${retry_type && ` (${retry_type})`}`}${source && html` · <a href="#job-${source}">a retry</a>`}`
}

function tookOf(job: BuildJob): Markup | string {
  if (job.run_seconds !== null) return durationText(job.run_seconds)
  return job.started_at || job.type === 'manual' ? '' : html`<span class="unseen">${badge(job.state)}</span>–`
}
