import { slugOf } from './builds.ts'
import { committedAt, type Deployment, seriesOf } from './deployments.ts'
import type { Facts } from './facts.ts'
import { greatest, type Maybe, type Row, repositoryOf, seconds } from './values.ts'

// See "deployed_commits" in docs/analytics/definitions.md.

const repository = ({ build }: Pick<Deployment, 'build'>) => repositoryOf(build.pipeline?.repository ?? null)

/** When each commit was first built, on the branch and in the repository of a deployment. */
function placesOf(facts: Facts, one: Deployment): Map<string, number> {
  const branch = one.build.pipeline?.default_branch ?? null
  const places = new Map<string, number>()
  if (branch === null || repository(one) === null) return places
  for (const build of facts.builds) {
    const { commit, created_at } = build
    if (commit === null || commit === 'HEAD' || created_at === null) continue
    if (build.organization_id !== one.organization_id || build.branch !== branch) continue
    if (repository({ build }) !== repository(one)) continue
    places.set(commit, Math.min(created_at, places.get(commit) ?? created_at))
  }
  return places
}

/** The commits that a deployment brought, and its own alone if nothing shows what was before. */
function commitsOf(facts: Facts, series: readonly Deployment[], one: Deployment): string[] {
  const places = placesOf(facts, one)
  const before = series
    .filter(({ at, success }) => success && at < one.at)
    .filter((other) => repository(other) === repository(one))
    .slice(-5)
  const start = greatest(before.map(({ build }): Maybe<number> => places.get(build.commit ?? '') ?? null))
  const own = one.build.commit
  const end = places.get(own ?? '')
  if (start === null || end === undefined) return own === null || own === 'HEAD' ? [] : [own]
  return [...places].flatMap(([commit, place]) => (place > start && place <= end ? [commit] : []))
}

export function deployedCommits(facts: Facts): Row[] {
  return seriesOf(facts).flatMap((series) =>
    series.flatMap((one) => {
      const { organization_id, service, environment } = one
      if (!one.success || organization_id === null) return []
      return commitsOf(facts, series, one).map((commit) => {
        const committed_at = committedAt(facts, { organization_id, commit })
        return {
          ...{ deployment_id: one.id, organization_id, organization: slugOf(facts, organization_id) },
          ...{ service, environment, repository: repository(one), deployed_at: one.at },
          ...{ commit, is_head: commit === one.build.commit, committed_at },
          lead_seconds: seconds(committed_at, one.at),
        }
      })
    }),
  )
}
