create or replace view sync.job_histograms as
select
  case when named.id = 0 then 'other' else coalesce(organization.slug, '') end as organization,
  case when named.id = 0 then 'other' else coalesce(cluster.name, named.cluster_id::text, '') end as cluster,
  case when named.id = 0 then 'other' else named.queue end as queue,
  measures.measure,
  counts.bucket,
  coalesce(sum(counts.jobs), 0)::bigint as jobs,
  coalesce(sum(counts.seconds), 0) as seconds
from sync.metric_queues as named
cross join (values ('wait'), ('run')) as measures (measure)
left join sync.job_counts as counts on counts.queue_id = named.id and counts.measure = measures.measure
left join buildkite.organizations as organization on organization.id = named.organization_id
left join buildkite.clusters as cluster on cluster.id = named.cluster_id
group by 1, 2, 3, 4, 5;

comment on view sync.job_histograms is 'sync.job_counts with the names of the queues, as Prometheus reads it. A queue without counts has a row without bucket.';
comment on column sync.job_histograms.organization is 'Slug of the organization.';
comment on column sync.job_histograms.cluster is 'Name of the cluster, otherwise its id; empty outside clusters.';
comment on column sync.job_histograms.queue is 'Queue.';
comment on column sync.job_histograms.measure is 'wait or run.';
comment on column sync.job_histograms.bucket is 'Upper bound of the bucket, in seconds; Infinity for the last.';
comment on column sync.job_histograms.jobs is 'Tries in this bucket alone.';
comment on column sync.job_histograms.seconds is 'Their seconds, in total.';
