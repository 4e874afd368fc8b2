create or replace view analytics.pipeline_variables as
select pipeline.id as pipeline_id, pipeline.organization_id, organization.slug as organization, pipeline.slug as pipeline, named.variable
from buildkite.pipelines as pipeline
left join buildkite.organizations as organization on organization.id = pipeline.organization_id
cross join lateral jsonb_object_keys(case when jsonb_typeof(pipeline.env) = 'object' then pipeline.env else '{}' end) as named (variable);

comment on view analytics.pipeline_variables is 'Names of the environment variables of pipelines, without their values. Empty unless STORE_ENV is on.';
comment on column analytics.pipeline_variables.pipeline_id is 'pipelines.id.';
comment on column analytics.pipeline_variables.organization_id is 'organizations.id.';
comment on column analytics.pipeline_variables.organization is 'Slug of the organization, at present.';
comment on column analytics.pipeline_variables.pipeline is 'Slug of the pipeline, at present.';
comment on column analytics.pipeline_variables.variable is 'Name of the variable.';
