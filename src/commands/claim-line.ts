import type { OrganizationCoverage } from '../coverage/coverage.ts'
import { count } from './shell/terminal.ts'

const nothing = 'no builds are verified as complete yet; the next read of the pipeline list confirms them.'

/** The completeness claim of an organization, in words. */
export function claimLine({ claim, covered_from }: Pick<OrganizationCoverage, 'claim' | 'covered_from'>): string {
  const { as_of, jobs_as_of, pipelines, pipelines_current, pipelines_complete, pipelines_listed_at, exceptions } = claim
  if (!as_of || !jobs_as_of || !pipelines_listed_at) return nothing
  const listed = `pipelines listed at ${pipelines_listed_at.toISOString()}`
  const except = `${count(exceptions)} ${exceptions === 1 ? 'exception' : 'exceptions'}.`
  if (pipelines_current === 0) return `none of ${pipelinesOf(pipelines)} is complete yet; ${listed}; ${except}`
  const from = covered_from
    ? `builds complete from ${covered_from.toISOString()}`
    : `builds of ${count(pipelines_current)} of ${pipelinesOf(pipelines)} complete`
  return [
    `${from} as of ${as_of.toISOString()}, jobs as of ${jobs_as_of.toISOString()}`,
    `${count(pipelines_complete)} of ${pipelinesOf(pipelines)} complete over the wanted history`,
    listed,
    except,
  ].join('; ')
}

function pipelinesOf(n: number): string {
  return `${count(n)} ${n === 1 ? 'pipeline' : 'pipelines'}`
}
