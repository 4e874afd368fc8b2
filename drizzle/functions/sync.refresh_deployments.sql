-- "offset 0" makes Postgres look up the build of a job and the pipeline of a build by id. Without it, Postgres reads the jobs once for
-- each pipeline that a rule names.
create or replace function sync.refresh_deployments(since timestamptz, until timestamptz) returns void language plpgsql
set search_path = pg_catalog, pg_temp as $$
begin
  delete from analytics.deployments where deployed_at >= since and deployed_at < until;
  insert into analytics.deployments (id, reference_id, repository, commit_sha, attributed_at, merge_commit_shas, environment, deployed_at, success,
    service, source_url, source_name, integration_branch, deployment_inference_rule_id, organization_id, pipeline_id, committed_at, first_success,
    deployment_service_id)
  -- Of several rules that match, the closest counts: the one with the most fixed characters.
  select distinct on (deployed.id)
    rule.id || ':' || deployed.id, deployed.id::text, analytics.repository_name(pipeline.repository), deployed.commit, deployed.finished_at,
    array[deployed.commit], rule.environment, deployed.finished_at, deployed.result = 'passed', coalesce(rule.service, pipeline.slug),
    coalesce(pipeline.web_url || '/builds/' || deployed.number || case when deployed.is_job then '#' || deployed.id else '' end, deployed.web_url),
    coalesce(pipeline.name, pipeline.slug), pipeline.default_branch, rule.id, pipeline.organization_id, pipeline.id,
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
    ), deployed.result = 'passed') end,
    analytics.stable_id(concat(pipeline.organization_id, ':', coalesce(rule.service, pipeline.slug)))
  from (
    select build.id, build.pipeline_id, build.branch, build.commit, build.finished_at, build.number, build.web_url,
      analytics.build_result(build.state, build.blocked) as result, null as step_key, null as step_name, false as is_job
    from buildkite.builds as build
    where build.finished_at >= since and build.finished_at < until
      and analytics.build_result(build.state, build.blocked) in ('passed', 'failed')
    union all
    select job.id, build.pipeline_id, build.branch, build.commit, job.finished_at, build.number, coalesce(job.web_url, build.web_url),
      analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason), job.step_key, job.name, true
    from buildkite.jobs as job
    cross join lateral (
      select pipeline_id, branch, commit, number, web_url from buildkite.builds where id = job.build_id offset 0
    ) as build
    where job.finished_at >= since and job.finished_at < until and job.type in ('script', 'trigger')
      and job.retried_in_job_id is null and not coalesce(job.retried, false)
      and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason)
        in ('passed', 'soft_failed', 'failed', 'infra_lost', 'timed_out')
  ) as deployed
  cross join lateral (select * from buildkite.pipelines where id = deployed.pipeline_id offset 0) as pipeline
  left join buildkite.organizations as organization on organization.id = pipeline.organization_id
  join settings.deployment_rules as rule on deployed.is_job = (rule.step is not null)
    and (rule.step is null or analytics.matches(deployed.step_key, rule.step) or analytics.matches(deployed.step_name, rule.step))
  where rule.enabled and (analytics.matches(pipeline.slug, rule.pipeline) or pipeline.id::text = rule.pipeline)
    and analytics.matches(deployed.branch, rule.branch) and analytics.matches(coalesce(organization.slug, ''), rule.organization)
  order by deployed.id, length(replace(concat(rule.pipeline, rule.step, rule.branch, rule.organization), '*', '')) desc, rule.id
  -- A deployment that finished again in this range still has its row in the earlier range, which may be rebuilt later.
  on conflict (id) do update set
    repository = excluded.repository, commit_sha = excluded.commit_sha, attributed_at = excluded.attributed_at,
    merge_commit_shas = excluded.merge_commit_shas, environment = excluded.environment, deployed_at = excluded.deployed_at,
    success = excluded.success, service = excluded.service, source_url = excluded.source_url, source_name = excluded.source_name,
    integration_branch = excluded.integration_branch, organization_id = excluded.organization_id, pipeline_id = excluded.pipeline_id,
    committed_at = excluded.committed_at, first_success = excluded.first_success,
    deployment_service_id = excluded.deployment_service_id;
end $$;

comment on function sync.refresh_deployments is 'Rebuilds analytics.deployments for the builds and jobs that finished in a range of time.';
