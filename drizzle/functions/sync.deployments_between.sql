-- "offset 0" makes Postgres look up the build of a job and the pipeline of a build by id. Without it, Postgres reads the jobs once for
-- each pipeline that a rule names.
create or replace function sync.deployments_between(since timestamptz, until timestamptz) returns setof analytics.deployments language plpgsql stable
set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_variable
begin
  return query
  with rules as materialized (
    select rule.id, rule.environment, rule.service, rule.step is not null as of_jobs, rule.pipeline, analytics.pattern_of(rule.pipeline) as pipelines,
      analytics.pattern_of(rule.step) as steps, analytics.pattern_of(rule.branch) as branches, analytics.pattern_of(rule.organization) as organizations,
      length(replace(concat(rule.pipeline, rule.step, rule.branch, rule.organization), '*', '')) as fixed_characters
    from settings.deployment_rules as rule where rule.enabled
  )
  -- Of several rules that match, the closest counts: the one with the most fixed characters.
  select distinct on (deployed.id)
    rule.id || ':' || deployed.id, deployed.id::text, null::bigint, analytics.repository_name(pipeline.repository), deployed.commit, deployed.finished_at,
    array[deployed.commit], rule.environment, deployed.finished_at, deployed.result = 'passed', coalesce(rule.service, pipeline.slug),
    coalesce(pipeline.web_url || '/builds/' || deployed.number || case when deployed.is_job then '#' || deployed.id else '' end, deployed.web_url),
    coalesce(pipeline.name, pipeline.slug), pipeline.default_branch, rule.id::bigint,
    analytics.stable_id(concat(pipeline.organization_id, ':', coalesce(rule.service, pipeline.slug))), pipeline.organization_id, pipeline.id,
    (select min(build.author_date) from buildkite.builds as build
      where build.commit = deployed.commit and deployed.commit <> 'HEAD' and build.organization_id = pipeline.organization_id),
    case when deployed.is_job then (
      with recursive tries as (
        select deployed.id, deployed.result, 0 as back
        union all
        select job.id, analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason), tries.back + 1
        from tries join buildkite.jobs as job on job.retried_in_job_id = tries.id where tries.back < 1000
      )
      select coalesce(result, '') = 'passed' from tries order by back desc limit 1
    ) else coalesce((
      select attempt.state = 'passed' from analytics.attempt_runs as attempt
      where attempt.build_id = deployed.id and analytics.build_result(attempt.state, attempt.blocked) is not null
      order by attempt.finished_at limit 1
    ), deployed.result = 'passed') end
  from (
    select build.id, build.pipeline_id, build.branch, build.commit, build.finished_at, build.number, build.web_url,
      analytics.build_result(build.state, build.blocked) as result, null as step_key, null as step_name, false as is_job
    from buildkite.builds as build
    where build.finished_at >= since and build.finished_at < until
      and analytics.build_result(build.state, build.blocked) in ('passed', 'failed')
      and exists (select from rules where not rules.of_jobs)
    union all
    select job.id, build.pipeline_id, build.branch, build.commit, job.finished_at, build.number, coalesce(job.web_url, build.web_url),
      analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason), job.step_key, job.name, true
    from buildkite.jobs as job
    cross join lateral (
      select pipeline_id, branch, commit, number, web_url from buildkite.builds where id = job.build_id offset 0
    ) as build
    where job.finished_at >= since and job.finished_at < until and job.type in ('script', 'trigger')
      -- Most jobs are of no rule. This saves reading their builds and pipelines.
      and exists (select from rules where job.step_key like rules.steps or job.name like rules.steps)
      and job.retried_in_job_id is null and not coalesce(job.retried, false)
      and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason)
        in ('passed', 'soft_failed', 'failed', 'infra_lost', 'timed_out')
    offset 0
  ) as deployed
  cross join lateral (select * from buildkite.pipelines where id = deployed.pipeline_id offset 0) as pipeline
  left join buildkite.organizations as organization on organization.id = pipeline.organization_id
  join rules as rule on deployed.is_job = rule.of_jobs
    and (not rule.of_jobs or deployed.step_key like rule.steps or deployed.step_name like rule.steps)
  where (pipeline.slug like rule.pipelines or pipeline.id::text = rule.pipeline)
    and deployed.branch like rule.branches and coalesce(organization.slug, '') like rule.organizations
  order by deployed.id, rule.fixed_characters desc, rule.id;
end $$;

comment on function sync.deployments_between is 'The rows of analytics.deployments for the builds and jobs that finished in a range of time, from all present builds and jobs.';
