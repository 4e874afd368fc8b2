create or replace view analytics.pipeline_sources as
select 1::bigint as id, 'Buildkite'::text as name, false as api;

comment on view analytics.pipeline_sources is 'Where pipeline runs come from, in the shape of DX''s table of that name: one row, Buildkite.';
comment on column analytics.pipeline_sources.id is 'Always 1.';
comment on column analytics.pipeline_sources.name is 'Buildkite.';
comment on column analytics.pipeline_sources.api is 'Whether the customer pushes the data; always false.';
