import { sql } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { type CheckResult, ok, warning } from '../finding.ts'

/** What is wrong with the rules in `settings.deployment_rules`. */
export interface DeploymentRules {
  /** Enabled rules that match no pipeline, as `3 (web*)`. */
  readonly unmatched: readonly string[]
  /** Pipelines that both a rule for builds and a rule for a step match: each of their deployments may count twice. */
  readonly countedTwice: readonly string[]
}

/** Checks the deployment rules (pure). */
export function checkDeploymentRules({ unmatched, countedTwice }: DeploymentRules): CheckResult[] {
  const unmatchedRule =
    unmatched.length === 0
      ? ok('deployment_rule_unmatched', '', 'Each deployment rule matches a pipeline, or there is none.')
      : warning(
          'deployment_rule_unmatched',
          '',
          `${unmatched.length === 1 ? 'The deployment rule' : 'The deployment rules'} ${unmatched.join(', ')} match no pipeline.`,
          "If a pipeline was renamed, update settings.deployment_rules. A rule may hold the pipeline's id instead of its slug.",
        )
  const overlap =
    countedTwice.length === 0
      ? ok('deployment_rules_overlap', '', 'No pipeline has both a rule for builds and a rule for a step.')
      : warning(
          'deployment_rules_overlap',
          '',
          `Rules for builds and rules for a step match ${countedTwice.join(', ')}: a deployment may count twice.`,
          'Exclude these pipelines from one of the rules in settings.deployment_rules.',
        )
  return [unmatchedRule, overlap]
}

/** @throws the driver's error. */
export async function readDeploymentRules(db: Db): Promise<DeploymentRules> {
  const { rows } = await db.execute<{ unmatched: string[]; counted_twice: string[] }>(sql`
    with matched as (
      select rule.id, rule.pipeline as pattern, rule.step is null as is_build, pipeline.id as pipeline_id, pipeline.slug
      from settings.deployment_rules as rule
      left join (
        buildkite.pipelines as pipeline
        left join buildkite.organizations as organization on organization.id = pipeline.organization_id
      ) on pipeline.deleted_at is null
        and (analytics.matches(pipeline.slug, rule.pipeline) or pipeline.id::text = rule.pipeline)
        and analytics.matches(coalesce(organization.slug, ''), rule.organization)
      where rule.enabled
    )
    select
      array(select format('%s (%s)', id, pattern) from matched where pipeline_id is null order by id limit 10) as unmatched,
      array(select min(slug) from matched where pipeline_id is not null
        group by pipeline_id having bool_or(is_build) and bool_or(not is_build) order by 1 limit 10) as counted_twice`)
  const [row] = rows
  return { unmatched: row?.unmatched ?? [], countedTwice: row?.counted_twice ?? [] }
}
