-- "offset 0" makes Postgres look up minutes by build. Otherwise it reads those of all builds.
create or replace view analytics.build_costs as
select
  build.id as build_id,
  build.organization_id,
  organization.slug as organization,
  build.pipeline_id,
  pipeline.slug as pipeline,
  build.number as build_number,
  build.branch,
  build.branch = pipeline.default_branch as is_default_branch,
  analytics.repository_name(pipeline.repository) as repository,
  case when build.pull_request_id ~ '^[0-9]{1,9}$' then build.pull_request_id::integer end as pr_number,
  lower(nullif(build.author_email, '')) as author_email,
  lower(nullif(build.creator_email, '')) as creator_email,
  build.source,
  build.created_at,
  spent.tries, spent.minutes, spent.minutes_wasted, spent.cost, spent.cost_wasted, spent.currency
from buildkite.builds as build
cross join lateral (
  select sum(priced.tries)::bigint as tries, sum(priced.minutes) as minutes, sum(priced.minutes_wasted) as minutes_wasted,
    sum(priced.minutes * coalesce(own.per_minute, anywhere.per_minute)) as cost,
    sum(priced.minutes_wasted * coalesce(own.per_minute, anywhere.per_minute)) as cost_wasted,
    coalesce(own.currency, anywhere.currency) as currency
  from (select queue, cluster_id, tries, minutes, minutes_wasted from analytics.build_minutes_hourly where build_id = build.id offset 0) as priced
  left join sync.cluster_rates as own on own.queue = priced.queue and own.cluster_id = priced.cluster_id
  left join (
    select queue, per_minute::double precision as per_minute, currency from settings.queue_rates where cluster = '*'
  ) as anywhere on anywhere.queue = priced.queue
  group by coalesce(own.currency, anywhere.currency)
) as spent
left join buildkite.pipelines as pipeline on pipeline.id = build.pipeline_id
left join buildkite.organizations as organization on organization.id = build.organization_id;

comment on view analytics.build_costs is 'Agent minutes and cost of each build. A build whose queues have rates in several currencies has a row for each. Minutes without a rate have a row without currency. A build has no row before one of its command jobs ended.';
comment on column analytics.build_costs.build_id is 'builds.id.';
comment on column analytics.build_costs.organization_id is 'organizations.id.';
comment on column analytics.build_costs.organization is 'Slug of the organization, at present.';
comment on column analytics.build_costs.pipeline_id is 'pipelines.id.';
comment on column analytics.build_costs.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.build_costs.build_number is 'Number of the build.';
comment on column analytics.build_costs.branch is 'Branch.';
comment on column analytics.build_costs.is_default_branch is 'Whether the branch is the pipeline''s present default branch.';
comment on column analytics.build_costs.repository is 'owner/name of the pipeline''s repository.';
comment on column analytics.build_costs.pr_number is 'Number of the pull request.';
comment on column analytics.build_costs.author_email is 'E-mail address of the commit''s author, in lower case.';
comment on column analytics.build_costs.creator_email is 'E-mail address of the person who created the build, in lower case.';
comment on column analytics.build_costs.source is 'What created the build: webhook, api, ui, trigger_job, schedule.';
comment on column analytics.build_costs.created_at is 'When the build was created.';
comment on column analytics.build_costs.tries is 'How many tries of its command jobs ended, without skipped and broken ones.';
comment on column analytics.build_costs.minutes is 'Agent minutes.';
comment on column analytics.build_costs.minutes_wasted is 'Those wasted by lost agents, cancels, retries and rebuilds.';
comment on column analytics.build_costs.cost is 'Minutes times the rates of their queues; null without a rate.';
comment on column analytics.build_costs.cost_wasted is 'Minutes wasted times the rates of their queues.';
comment on column analytics.build_costs.currency is 'Currency of the rates.';
