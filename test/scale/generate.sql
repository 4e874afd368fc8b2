-- A year of a large company, straight into the tables: :builds builds, ten times as many jobs and three times as many deliveries, long applied
-- and their payloads dropped, evenly over 365 days until now.
-- 50 pipelines, a fourth of the builds on the default branch; 12 % of builds fail, 3 % are retried to green, 4 % are canceled, 1 % wait at a gate,
-- 1 % were let go on, 1 % were triggered and 1 % are rebuilds. 5 % have the commit of the build before. One hour in twelve agents are scarce. What each build is was thrown by dice that
-- always fall the same way.
-- ids are version 7, in order of time, as Buildkite's are.
select now() as moment \gset
set synchronous_commit = off;
set session_replication_role = replica; -- the marks of the days are made at the end, all at once

create function pg_temp.id(at timestamptz, kind text, number bigint) returns uuid language sql immutable as $$
  select (lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '7' || substr(md5(kind || number), 1, 3) || '8' || substr(md5(kind || number), 4, 15))::uuid
$$;
create function pg_temp.dice(number bigint, what text, sides bigint) returns bigint language sql immutable as $$
  select abs(hashtextextended(what || number, 0) % sides)
$$;

insert into buildkite.organizations (id, slug, name, observed_at, verified_at, first_seen_at, first_seen_via, changed_at)
values ('00000000-0000-7000-8000-000000000001', 'large', 'Large', :'moment'::timestamptz, :'moment'::timestamptz, :'moment'::timestamptz, 'rest', :'moment'::timestamptz);

insert into buildkite.pipelines (id, organization_id, slug, name, repository, default_branch, observed_at, verified_at, first_seen_at, first_seen_via, changed_at)
select pg_temp.id(:'moment'::timestamptz - interval '2 years', 'pipeline', p), '00000000-0000-7000-8000-000000000001', 'pipeline-' || p, 'Pipeline ' || p,
  'git@github.com:large/app-' || p || '.git', 'main', :'moment'::timestamptz, :'moment'::timestamptz, :'moment'::timestamptz, 'rest', :'moment'::timestamptz
from generate_series(0, 49) as p;

-- Filled first and indexed afterwards: that takes half the time.
create temporary table dropped as select schemaname, indexname, indexdef from pg_indexes
where (schemaname, tablename) in (('buildkite', 'builds'), ('buildkite', 'jobs'), ('sync', 'deliveries')) and indexname not like '%_pkey';
do $$
declare one record;
begin
  for one in select * from dropped loop
    execute format('drop index %I.%I', one.schemaname, one.indexname);
  end loop;
end $$;

create temporary table plan as
select b, pg_temp.id(at, 'build', b) as id, at, pg_temp.dice(b, 'pipeline', 50) as p, pg_temp.dice(b, 'ending', 100) as draw,
  pg_temp.dice(b, 'branch', 4) = 0 as trunk, pg_temp.dice(extract(epoch from at)::bigint / 3600, 'scarce', 12) = 0 as scarce,
  lag(pg_temp.id(at, 'build', b)) over (order by b) as before,
  case when pg_temp.dice(b, 'again', 20) = 0 then lag(b) over (partition by pg_temp.dice(b, 'pipeline', 50) order by b) end as again
from generate_series(1::bigint, :builds) as b
cross join lateral (select :'moment'::timestamptz - interval '365 days' + b * interval '365 days' / (:builds + 1) as at) as moment;

insert into buildkite.builds (id, organization_id, pipeline_id, number, state, blocked, branch, commit, message, source, url, web_url,
  author_name, author_email, author_date, creator_id, creator_name, creator_email, created_at, scheduled_at, started_at, finished_at, failing_at,
  pull_request_id, pull_request_base, env, meta_data, observed_at, verified_at, first_seen_at, first_seen_via, changed_at, cancel_reason,
  triggered_from_build_id, rebuilt_from_id)
select id, '00000000-0000-7000-8000-000000000001', pg_temp.id(:'moment'::timestamptz - interval '2 years', 'pipeline', p), b,
  case when draw < 12 then 'failed' when draw < 16 then 'canceled' else 'passed' end, draw = 16,
  case when trunk then 'main' else 'feature/' || b % 5000 end, md5('commit' || coalesce(again, b)) || '00000000', 'Change number ' || b || ' of the year, with a line of text',
  (array['webhook', 'webhook', 'api', 'ui', 'schedule'])[1 + b % 5],
  'https://api.buildkite.com/v2/organizations/large/pipelines/pipeline-' || p || '/builds/' || b,
  'https://buildkite.com/large/pipeline-' || p || '/builds/' || b,
  'Author ' || b % 400, 'author' || b % 400 || '@example.com', at - interval '20 minutes', pg_temp.id(:'moment'::timestamptz - interval '3 years', 'user', b % 400),
  'Author ' || b % 400, 'author' || b % 400 || '@example.com', at, at, at + interval '20 seconds', at + interval '20 seconds' + (300 + b % 1800) * interval '1 second',
  case when draw < 12 then at + (60 + b % 600) * interval '1 second' end, case when not trunk then (b % 5000)::text end, case when not trunk then 'main' end,
  '{}', '{}', at + interval '40 minutes', at + interval '40 minutes', at + interval '1 second', case when b % 200 = 0 then 'rest' else 'webhook' end, at + interval '40 minutes',
  case when draw between 12 and 15 then 'Newer build' end, case when draw = 18 then before end, case when draw = 19 then before end
from plan;

insert into buildkite.build_attempts (build_id, finished_at, started_at, state, blocked, observed_at, first_seen_at, first_seen_via, changed_at)
select id, at + interval '20 seconds' + (300 + b % 1800) * interval '1 second', at + interval '20 seconds',
  case when draw < 12 then 'failed' when draw < 16 then 'canceled' else 'passed' end, draw = 16, at, at, 'webhook', at from plan
union all
select id, at + interval '20 seconds' + (200 + b % 1800) * interval '1 second', at + interval '20 seconds', 'failed', false, at, at, 'webhook', at
from plan where draw between 97 and 99;

insert into buildkite.jobs (id, build_id, type, name, step_key, step_id, agent_query_rules, state, build_url, web_url, log_url, raw_log_url, command,
  soft_failed, exit_status, signal_reason, created_at, scheduled_at, runnable_at, concurrency_wait_time_ms, started_at, finished_at, retried, retried_in_job_id,
  retry_source_job_id, parallel_group_index, parallel_group_total, agent_id, agent_name, cluster_id,
  observed_at, verified_at, first_seen_at, first_seen_via, changed_at, unblocked_at)
select pg_temp.id(at + j * interval '1 millisecond', 'job', b * 10 + j), id, case when gate then 'manual' else 'script' end, case when j in (3, 4, 5, 6) then 'Tests' else (array['Lint', 'Build', 'Pack', '', '', '', '', 'E2E', 'Scan', 'Deploy'])[1 + j] end,
  case when j in (3, 4, 5, 6) then 'tests' end, pg_temp.id(at, 'step', b * 10 + j), array['queue=' || (array['default', 'default', 'large', 'deploy', 'mac'])[1 + (b + j) % 5], 'docker=true'],
  case when gate then case draw when 16 then 'blocked' else 'unblocked' end when draw < 12 and j = 7 or draw between 97 and 99 and j = 7 or draw = 96 and j = 9 then 'failed' when draw between 12 and 15 and j > 5 then 'canceled' else 'passed' end,
  'https://api.buildkite.com/v2/organizations/large/pipelines/pipeline-' || p || '/builds/' || b,
  'https://buildkite.com/large/pipeline-' || p || '/builds/' || b || '#' || id, 'https://api.buildkite.com/v2/organizations/large/pipelines/pipeline-' || p || '/builds/' || b || '/jobs/' || id || '/log',
  'https://api.buildkite.com/v2/organizations/large/pipelines/pipeline-' || p || '/builds/' || b || '/jobs/' || id || '/log.txt', 'make step-' || j,
  false, case when draw < 12 and j = 7 or draw = 96 and j = 9 then 1 when draw between 97 and 98 and j = 7 then 1 when draw = 99 and j = 7 then -1 else 0 end,
  case when draw = 99 and j = 7 then 'agent_stop' end,
  at, at, at + interval '2 seconds', 0, case when not gate then at + (3 + (b * 31 + j * 17) % case when scarce then 90 else 50 end) * interval '1 second' end,
  case when not gate then at + (103 + (b * 37 + j * 101) % 900) * interval '1 second' end,
  draw between 97 and 99 and j = 7, case when draw between 97 and 99 and j = 7 then pg_temp.id(at + interval '8 milliseconds', 'job', b * 10 + 8) end,
  case when draw between 97 and 99 and j = 8 then pg_temp.id(at + interval '7 milliseconds', 'job', b * 10 + 7) end,
  case when j in (3, 4, 5, 6) then j - 3 end, case when j in (3, 4, 5, 6) then 4 end,
  case when not gate then pg_temp.id(:'moment'::timestamptz - interval '1 year', 'agent', (b + j) % 300) end,
  case when not gate then 'agent-' || (b + j) % 300 end, null,
  at + interval '30 minutes', at + interval '30 minutes', at + interval '1 second', case when b % 300 = 0 then 'rest' else 'webhook' end, at + interval '30 minutes',
  case when gate and draw = 17 then at + interval '20 minutes' end
from plan cross join generate_series(0, 9) as j cross join lateral (select j = 9 and draw in (16, 17) as gate) as of_this;

insert into buildkite.agents (id, organization_id, name, connection_state, queue, connected_at, observed_at, verified_at, first_seen_at, first_seen_via, changed_at)
select pg_temp.id(:'moment'::timestamptz - interval '1 year', 'agent', a), '00000000-0000-7000-8000-000000000001', 'agent-' || a, 'connected',
  (array['default', 'large', 'deploy', 'mac'])[1 + a % 4], :'moment'::timestamptz - a * interval '1 day', :'moment'::timestamptz, :'moment'::timestamptz,
  :'moment'::timestamptz, 'rest', :'moment'::timestamptz
from generate_series(0, 299) as a;
insert into buildkite.agent_connections (agent_id, connected_at, observed_at, first_seen_at, first_seen_via, changed_at)
select id, date_trunc('second', connected_at), observed_at, first_seen_at, 'rest', changed_at from buildkite.agents;

-- A key is the hash of a delivery's bytes, so that each lies anywhere in the index.
insert into sync.deliveries (key, event, received_at, observed_at, status, attempts, enqueued_at, applied_at)
values (encode(sha256('first'), 'hex'), 'ping', :'moment'::timestamptz - interval '400 days', :'moment'::timestamptz - interval '400 days', 'applied', 1,
  :'moment'::timestamptz - interval '400 days', :'moment'::timestamptz - interval '400 days');
insert into sync.deliveries (key, event, received_at, observed_at, status, attempts, enqueued_at, applied_at)
select encode(sha256(convert_to('delivery ' || b || ' ' || n, 'UTF8')), 'hex'), (array['build.scheduled', 'build.running', 'build.finished'])[n],
  moment, moment - interval '0.2 seconds', 'applied', 1, moment, moment + interval '0.1 seconds'
from plan cross join generate_series(1, 3) as n
cross join lateral (select at + case n when 1 then interval '1 second' when 2 then interval '21 seconds' else interval '21 seconds' + (300 + b % 1800) * interval '1 second' end as moment) as of_this;

set maintenance_work_mem = '512MB';
do $$
declare definition text;
begin
  for definition in select indexdef from dropped loop
    execute definition;
  end loop;
end $$;

insert into settings.deployment_rules (pipeline, branch, step, environment) values ('pipeline-*', 'main', 'Deploy', 'production');
insert into settings.queue_rates (queue, per_minute) values ('default', 0.01), ('large', 0.04), ('deploy', 0.01), ('mac', 0.12);
insert into sync.watermarks (organization_id, watermark, backfill_from, backfill_to, pipelines_read_at, confirmed_to, updated_at)
values ('00000000-0000-7000-8000-000000000001', :'moment'::timestamptz, :'moment'::timestamptz - interval '365 days', :'moment'::timestamptz - interval '1 day', :'moment'::timestamptz,
  :'moment'::timestamptz - interval '3 minutes', :'moment'::timestamptz);
insert into sync.windows (organization_id, created_from, created_to, status, first_verified_at, first_verified_until, verified_at, verified_until)
select '00000000-0000-7000-8000-000000000001', :'moment'::timestamptz - (day + 1) * interval '1 day', :'moment'::timestamptz - day * interval '1 day', 'done',
  :'moment'::timestamptz - interval '1 day', :'moment'::timestamptz - interval '1 day', :'moment'::timestamptz - interval '10 minutes', :'moment'::timestamptz - interval '5 minutes'
from generate_series(0, 364) as day;
-- One pipeline in ten appeared later.
insert into sync.pipeline_coverage (pipeline_id, organization_id, listed_since)
select id, organization_id, :'moment'::timestamptz - case when row_number() over (order by slug) % 10 = 0 then interval '1 hour' else interval '30 days' end
from buildkite.pipelines;
insert into sync.job_reads (build_id, organization_id, is_open, read_at, jobs, next_read_at)
select id, organization_id, true, :'moment'::timestamptz - interval '5 minutes', 10, :'moment'::timestamptz from buildkite.builds order by created_at desc limit 60;
insert into sync.drift (organization_id, build_id, kind, columns, mirror, buildkite, found_at, found_by, healed_at)
select '00000000-0000-7000-8000-000000000001', id, 'different', '{message}', '{}', '{}', at, 'audit', at + interval '1 minute' from plan where b % 10000 = 0;
insert into sync.reference_syncs (organization_id, name, status, rows, read_at, updated_at)
values ('00000000-0000-7000-8000-000000000001', 'teams', 'read', 0, :'moment'::timestamptz, :'moment'::timestamptz);

set session_replication_role = origin;
insert into sync.stale_days (day) select distinct (finished_at at time zone 'UTC')::date from buildkite.jobs where finished_at is not null
union select distinct (started_at at time zone 'UTC')::date from buildkite.jobs where started_at is not null;
