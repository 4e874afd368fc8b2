SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

CREATE SCHEMA analytics;

COMMENT ON SCHEMA analytics IS 'For analysts: views over the mirror, and rollup tables. Names, results and times mean the same in all of them. Days and hours are UTC.';

CREATE SCHEMA buildkite;

COMMENT ON SCHEMA buildkite IS 'The mirror: a row for each object of Buildkite, with Buildkite''s ids and field names. A nested object becomes a prefix (creator_id, creator_name). Rows are never deleted: see deleted_at.';

CREATE SCHEMA drizzle;

COMMENT ON SCHEMA drizzle IS 'Which migrations of buildkite-mirror were applied. Nothing for analysts here.';

CREATE SCHEMA settings;

COMMENT ON SCHEMA settings IS 'Settings that you make in SQL: which builds are deployments, what agents cost.';

CREATE SCHEMA sync;

COMMENT ON SCHEMA sync IS 'How the mirror is filled: webhook deliveries, reconcile cycles, backfill windows, watermarks. Shows how complete the mirror is.';

CREATE TYPE sync.command_try AS (
	organization_id uuid,
	pipeline_id uuid,
	branch text,
	agent_id uuid,
	agent_name text,
	cluster_id uuid,
	queue text,
	job text,
	result text,
	retried boolean,
	build_canceled boolean,
	rebuilt boolean,
	lost_webhook boolean,
	started_at timestamp with time zone,
	finished_at timestamp with time zone,
	expired_at timestamp with time zone,
	ended_at timestamp with time zone,
	run_ms bigint,
	wait_ms bigint,
	concurrency_wait_ms bigint,
	build_id uuid,
	group_key text,
	step_key text
);

COMMENT ON TYPE sync.command_try IS 'A try of a command job, with what the rollups need of it: see sync.tries_of_hours().';

CREATE FUNCTION analytics.append_histogram(merged integer[], histogram integer[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  if histogram is null then
    return merged;
  end if;
  merged := merged || histogram;
  if cardinality(merged) > 20000 then
    return analytics.compact_histogram(merged);
  end if;
  return merged;
end $$;

COMMENT ON FUNCTION analytics.append_histogram(merged integer[], histogram integer[]) IS 'Appends a histogram to others. The aggregate analytics.merge_histograms calls it.';

CREATE FUNCTION analytics.build_result(state text, blocked boolean) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN ((state = 'canceled'::text) OR ((NOT COALESCE(blocked, false)) AND (state = ANY (ARRAY['passed'::text, 'failed'::text, 'skipped'::text, 'not_run'::text])))) THEN state ELSE NULL::text END;

COMMENT ON FUNCTION analytics.build_result(state text, blocked boolean) IS 'How a build ended: passed, failed, canceled, skipped, not_run. Null while it is open, and while it is blocked: a blocked build is neither finished nor a success. A build canceled while it was blocked is canceled.';

CREATE FUNCTION analytics.build_state(state text, blocked boolean) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (blocked AND (state IS DISTINCT FROM 'canceled'::text)) THEN 'blocked'::text ELSE state END;

COMMENT ON FUNCTION analytics.build_state(state text, blocked boolean) IS 'The effective state of a build. A build that waits at a block step keeps its last state, such as passed, and has blocked: true. It is blocked, whatever its state shows. A canceled build never runs again, so it stays canceled.';

CREATE FUNCTION analytics.compact_histogram(pairs integer[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET plan_cache_mode TO 'force_generic_plan'
    AS $$
begin
  if cardinality(pairs) < 3 then
    return pairs;
  end if;
  return array(
    select pair.number from (
      select pairs[i] as second, sum(pairs[i + 1])::integer as times from generate_series(1, cardinality(pairs) - 1, 2) as i group by pairs[i]
    ) as counted
    cross join lateral (values (1, counted.second), (2, counted.times)) as pair (place, number)
    order by counted.second, pair.place
  );
end $$;

COMMENT ON FUNCTION analytics.compact_histogram(pairs integer[]) IS 'A histogram with each second once, in ascending order, from several that were appended to each other.';

CREATE FUNCTION analytics.histogram_count(histogram integer[], up_to double precision DEFAULT 'Infinity'::double precision) RETURNS bigint
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  total bigint := 0;
begin
  for i in 1 .. cardinality(histogram) by 2 loop
    exit when histogram[i] > up_to;
    total := total + histogram[i + 1];
  end loop;
  return total;
end $$;

COMMENT ON FUNCTION analytics.histogram_count(histogram integer[], up_to double precision) IS 'How many values a histogram has, or how many of them are at most up_to.';

CREATE FUNCTION analytics.histogram_of(seconds integer[]) RETURNS integer[]
    LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  -- Most histograms of an hour have no value or one.
  if coalesce(cardinality(seconds), 0) < 2 then
    return case when seconds[1] is null then '{}' else array[seconds[1], 1] end;
  end if;
  return array(
    select pair.number from (select second, count(*)::integer as times from unnest(seconds) as second where second is not null group by second) as counted
    cross join lateral (values (1, counted.second), (2, counted.times)) as pair (place, number)
    order by counted.second, pair.place
  );
end $$;

COMMENT ON FUNCTION analytics.histogram_of(seconds integer[]) IS 'The histogram of a list of whole seconds. The aggregate analytics.histogram calls it.';

CREATE FUNCTION analytics.job_name(name text, label text, step_key text, command text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN COALESCE(NULLIF(name, ''::text), NULLIF(label, ''::text), NULLIF(step_key, ''::text), NULLIF("left"(command, 80), ''::text), 'unnamed'::text);

COMMENT ON FUNCTION analytics.job_name(name text, label text, step_key text, command text) IS 'What people call a job: its name, otherwise its label, its step''s key, or the start of its command, with its line breaks; unnamed if it has none of these, as waiters.';

CREATE FUNCTION analytics.job_result(state text, soft_failed boolean, exit_status bigint, signal_reason text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (state = ANY (ARRAY['passed'::text, 'unblocked'::text])) THEN 'passed'::text WHEN (state = ANY (ARRAY['timed_out'::text, 'expired'::text, 'canceled'::text, 'skipped'::text])) THEN state WHEN (state = ANY (ARRAY['broken'::text, 'waiting_failed'::text, 'blocked_failed'::text, 'unblocked_failed'::text])) THEN 'broken'::text WHEN ((state = 'finished'::text) AND (exit_status = 0)) THEN 'passed'::text WHEN (state = ANY (ARRAY['failed'::text, 'finished'::text])) THEN CASE WHEN ((NULLIF(signal_reason, ''::text) <> 'cancel'::text) OR ((exit_status = '-1'::integer) AND (NULLIF(signal_reason, ''::text) IS NULL))) THEN 'infra_lost'::text WHEN soft_failed THEN 'soft_failed'::text ELSE 'failed'::text END ELSE NULL::text END;

COMMENT ON FUNCTION analytics.job_result(state text, soft_failed boolean, exit_status bigint, signal_reason text) IS 'How a job ended. passed (also a gate that was unblocked); soft_failed: it failed and was allowed to; failed: its command failed; infra_lost: its agent or machine was lost (signal_reason other than cancel: agent_stop, agent_refused, process_run_error, ...; or exit status -1 without a reason); timed_out: ran too long; expired: no agent took it; canceled; broken: its conditions prevented it from running, or what it waited for failed; skipped. Null while it is open. A lost agent comes before soft_failed: a job that was allowed to fail and lost its agent is infra_lost.';

CREATE FUNCTION analytics.pattern_of(glob text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN replace(replace(replace(replace(glob, '\'::text, '\\'::text), '%'::text, '\%'::text), '_'::text, '\_'::text), '*'::text, '%'::text);

COMMENT ON FUNCTION analytics.pattern_of(glob text) IS 'The pattern for "like" of a pattern in which * matches any characters.';

CREATE FUNCTION analytics.matches(value text, glob text) RETURNS boolean
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (value ~~ analytics.pattern_of(glob));

COMMENT ON FUNCTION analytics.matches(value text, glob text) IS 'Whether a text matches a pattern in which * matches any characters.';

CREATE FUNCTION analytics.percentile(histogram integer[], p numeric) RETURNS double precision
    LANGUAGE plpgsql IMMUTABLE STRICT PARALLEL SAFE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  rank bigint;
begin
  -- Most groups of a day have one value.
  if cardinality(histogram) = 2 then
    return histogram[1];
  end if;
  rank := greatest(ceil(p * analytics.histogram_count(histogram)), 1);
  for i in 1 .. cardinality(histogram) by 2 loop
    rank := rank - histogram[i + 1];
    if rank <= 0 then
      return histogram[i];
    end if;
  end loop;
  return null;
end $$;

COMMENT ON FUNCTION analytics.percentile(histogram integer[], p numeric) IS 'The nearest-rank percentile of a histogram, in whole seconds: of n values in ascending order the one at rank p × n, rounded up. p is from 0 to 1. Null if the histogram is empty.';

CREATE FUNCTION analytics.queue_of(rules text[]) RETURNS text
    LANGUAGE sql STABLE PARALLEL SAFE
    RETURN "substring"(array_to_string(rules, '
'::text), '(?:^|\n)queue=([^\n]*)'::text);

COMMENT ON FUNCTION analytics.queue_of(rules text[]) IS 'The queue in a job''s agent query rules (or an agent''s meta-data): deploy for {queue=deploy,os=linux}. Null if they name none.';

CREATE FUNCTION analytics.repository_name(url text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN NULLIF(regexp_replace(regexp_replace(url, '^([A-Za-z][A-Za-z0-9+.-]*://[^/]*/+|[^/]*@[^/:@]*[/:]+|[^/:@]+:/*|[^/:@]*\.[^/:@]*/+(?=[^/]+/+[^/])|/+)'::text, ''::text), '(\.git)?/*$'::text, ''::text), ''::text);

COMMENT ON FUNCTION analytics.repository_name(url text) IS 'owner/name in a repository''s address, for example of https://github.com/acme/app.git or git@github.com:acme/app.git. Everything up to the host is removed, with user names, passwords and tokens.';

CREATE FUNCTION analytics.repository_url(url text) RETURNS text
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN regexp_replace(regexp_replace(url, '^(https?://)[^/]*@'::text, '\1'::text, 'i'::text), '^([A-Za-z][A-Za-z0-9+.-]*://[^/:@]*):[^/]*@'::text, '\1@'::text);

COMMENT ON FUNCTION analytics.repository_url(url text) IS 'A repository''s address without the passwords and tokens in it.';

CREATE FUNCTION analytics.seconds(earlier timestamp with time zone, later timestamp with time zone) RETURNS double precision
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (((later - earlier) >= '24855 days'::interval) OR ((earlier - later) >= '24855 days'::interval)) THEN NULL::double precision WHEN (later <= earlier) THEN (0)::double precision ELSE (EXTRACT(epoch FROM (later - earlier)))::double precision END;

COMMENT ON FUNCTION analytics.seconds(earlier timestamp with time zone, later timestamp with time zone) IS 'Seconds from one time to a later one; 0 if they are in reverse order, which happens in Buildkite''s data. Null if either is null, or if 68 years or more are between them, in either order: then one is an uninitialised clock and would distort every mean.';

CREATE FUNCTION analytics.stable_id(key text) RETURNS bigint
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN (((('x'::text || substr(md5(key), 1, 16)))::bit(64))::bigint & '9223372036854775807'::bigint);

COMMENT ON FUNCTION analytics.stable_id(key text) IS 'A positive number that is always the same for the same text: the first 63 bits of its MD5, without the sign.';

CREATE FUNCTION analytics.whole_seconds(seconds double precision) RETURNS integer
    LANGUAGE sql IMMUTABLE PARALLEL SAFE
    RETURN CASE WHEN (seconds < (2147483647)::double precision) THEN ((((round((seconds * (1000)::double precision)))::bigint + 500) / 1000))::integer WHEN (seconds IS NOT NULL) THEN 2147483647 ELSE NULL::integer END;

COMMENT ON FUNCTION analytics.whole_seconds(seconds double precision) IS 'The nearest whole second; a half is rounded up. Times have milliseconds.';

SET default_tablespace = '';

SET default_table_access_method = heap;

CREATE TABLE analytics.agents_daily (
    day date NOT NULL,
    organization_id uuid,
    agent_id uuid NOT NULL,
    agent_name text,
    queue text NOT NULL,
    tries bigint NOT NULL,
    busy_seconds double precision NOT NULL,
    infra_lost bigint NOT NULL
);

COMMENT ON TABLE analytics.agents_daily IS 'What each agent did on a day (UTC): jobs finished, time busy, jobs lost. A job of more than a day is counted on its first and last day. A rollup table.';

COMMENT ON COLUMN analytics.agents_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.agents_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.agents_daily.agent_id IS 'agents.id.';

COMMENT ON COLUMN analytics.agents_daily.agent_name IS 'Name of the agent.';

COMMENT ON COLUMN analytics.agents_daily.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.agents_daily.tries IS 'Jobs that finished.';

COMMENT ON COLUMN analytics.agents_daily.busy_seconds IS 'Seconds that jobs ran, in total.';

COMMENT ON COLUMN analytics.agents_daily.infra_lost IS 'How many failed because their agent or machine was lost.';

CREATE FUNCTION sync.agents_of_day(day_start timestamp with time zone, agents uuid[]) RETURNS SETOF analytics.agents_daily
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select ran.day, ran.organization_id, ran.agent_id, max(ran.agent_name), ran.queue, sum(ran.tries)::bigint,
    sum(ran.busy_ms)::double precision / 1000, sum(ran.infra_lost)::bigint
  from sync.agent_days as ran
  where ran.day = (day_start at time zone 'UTC')::date and (agents is null or ran.agent_id = any (agents))
  group by ran.day, ran.organization_id, ran.agent_id, ran.queue;
end $$;

COMMENT ON FUNCTION sync.agents_of_day(day_start timestamp with time zone, agents uuid[]) IS 'The rows of analytics.agents_daily for one day, from sync.agent_days.';

CREATE TABLE sync.agent_days (
    started_hour timestamp with time zone NOT NULL,
    day date NOT NULL,
    organization_id uuid,
    agent_id uuid NOT NULL,
    queue text NOT NULL,
    agent_name text,
    tries bigint NOT NULL,
    busy_ms bigint NOT NULL,
    infra_lost bigint NOT NULL
);

COMMENT ON TABLE sync.agent_days IS 'What the jobs that started in an hour (UTC) add to the days of their agents. analytics.agents_daily is merged from it. A rollup table.';

COMMENT ON COLUMN sync.agent_days.started_hour IS 'Start of the hour in which the jobs started, or ended without a start.';

COMMENT ON COLUMN sync.agent_days.day IS 'Day in UTC.';

COMMENT ON COLUMN sync.agent_days.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.agent_days.agent_id IS 'agents.id.';

COMMENT ON COLUMN sync.agent_days.queue IS 'Queue.';

COMMENT ON COLUMN sync.agent_days.agent_name IS 'Name of the agent.';

COMMENT ON COLUMN sync.agent_days.tries IS 'Jobs that ended on the day.';

COMMENT ON COLUMN sync.agent_days.busy_ms IS 'Milliseconds that jobs ran on the day, in total.';

COMMENT ON COLUMN sync.agent_days.infra_lost IS 'How many of them failed because their agent or machine was lost.';

CREATE FUNCTION sync.agents_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) RETURNS SETOF sync.agent_days
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select hours.hour, (days.day_start at time zone 'UTC')::date, try.organization_id, try.agent_id, try.queue, max(try.agent_name),
    count(*) filter (where try.result not in ('skipped', 'broken')
      and try.ended_at >= days.day_start and try.ended_at < days.day_start + interval '24 hours'),
    sum(case when try.run_ms is null then 0
      else round(1000 * analytics.seconds(greatest(try.started_at, days.day_start), least(try.finished_at, days.day_start + interval '24 hours'))) end)::bigint,
    count(*) filter (where try.result = 'infra_lost' and try.ended_at >= days.day_start and try.ended_at < days.day_start + interval '24 hours')
  from unnest(tries) as try
  cross join lateral (
    select distinct date_trunc('day', moment, 'UTC') as day_start from unnest(array[try.started_at, try.finished_at, try.expired_at]) as moment
    where moment is not null
  ) as days
  cross join lateral (select date_bin('1 hour', coalesce(try.started_at, try.ended_at), since) as hour) as hours
  where try.agent_id is not null and hours.hour >= since and hours.hour < until
  group by hours.hour, days.day_start, try.organization_id, try.agent_id, try.queue;
end $$;

COMMENT ON FUNCTION sync.agents_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) IS 'The rows of sync.agent_days for jobs that started in the hours of a range, or ended in them without a start, from all present jobs.';

CREATE TABLE analytics.branch_durations_daily (
    day date,
    organization_id uuid,
    pipeline_id uuid,
    branch text,
    builds bigint,
    passed bigint,
    mean_seconds double precision,
    p50_seconds double precision,
    p75_seconds double precision,
    p90_seconds double precision,
    p95_seconds double precision,
    passed_p50_seconds double precision,
    passed_p90_seconds double precision,
    run_histogram integer[],
    passed_run_histogram integer[]
);

COMMENT ON TABLE analytics.branch_durations_daily IS 'As pipeline_durations_daily, by branch. A rollup table.';

COMMENT ON COLUMN analytics.branch_durations_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.branch_durations_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.branch_durations_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.branch_durations_daily.branch IS 'Branch.';

COMMENT ON COLUMN analytics.branch_durations_daily.builds IS 'How many builds.';

COMMENT ON COLUMN analytics.branch_durations_daily.passed IS 'How many passed.';

COMMENT ON COLUMN analytics.branch_durations_daily.mean_seconds IS 'Mean, in seconds.';

COMMENT ON COLUMN analytics.branch_durations_daily.p50_seconds IS 'Median, in seconds.';

COMMENT ON COLUMN analytics.branch_durations_daily.p75_seconds IS '75th percentile, in seconds.';

COMMENT ON COLUMN analytics.branch_durations_daily.p90_seconds IS '90th percentile, in seconds.';

COMMENT ON COLUMN analytics.branch_durations_daily.p95_seconds IS '95th percentile, in seconds.';

COMMENT ON COLUMN analytics.branch_durations_daily.passed_p50_seconds IS 'Median of those that passed, in seconds.';

COMMENT ON COLUMN analytics.branch_durations_daily.passed_p90_seconds IS '90th percentile of those that passed, in seconds.';

COMMENT ON COLUMN analytics.branch_durations_daily.run_histogram IS 'Running time: whole seconds and how many builds, alternating.';

COMMENT ON COLUMN analytics.branch_durations_daily.passed_run_histogram IS 'The same of passed builds.';

CREATE FUNCTION sync.branch_durations_of_day(day_start timestamp with time zone, pipelines uuid[]) RETURNS SETOF analytics.branch_durations_daily
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select (day_start at time zone 'UTC')::date, merged.organization_id, merged.pipeline_id, merged.branch, merged.builds, merged.passed,
    merged.run_ms / 1000.0::double precision / nullif(analytics.histogram_count(merged.run), 0),
    analytics.percentile(merged.run, 0.5), analytics.percentile(merged.run, 0.75),
    analytics.percentile(merged.run, 0.9), analytics.percentile(merged.run, 0.95),
    analytics.percentile(merged.passed_run, 0.5), analytics.percentile(merged.passed_run, 0.9),
    merged.run, merged.passed_run
  from (
    select built.organization_id, built.pipeline_id, built.branch, sum(built.passed + built.failed)::bigint as builds, sum(built.passed)::bigint as passed,
      sum(built.run_ms) as run_ms, analytics.merge_histograms(built.run_histogram) as run,
      analytics.merge_histograms(built.passed_run_histogram) as passed_run
    from analytics.builds_hourly as built
    where built.hour >= day_start and built.hour < day_start + interval '24 hours' and built.passed + built.failed > 0
      and (pipelines is null or coalesce(built.pipeline_id, '00000000-0000-0000-0000-000000000000') = any (pipelines))
    group by built.organization_id, built.pipeline_id, built.branch
  ) as merged;
end $$;

COMMENT ON FUNCTION sync.branch_durations_of_day(day_start timestamp with time zone, pipelines uuid[]) IS 'The rows of analytics.branch_durations_daily for one day, from analytics.builds_hourly.';

CREATE TABLE analytics.build_minutes_hourly (
    hour timestamp(3) with time zone NOT NULL,
    organization_id uuid,
    pipeline_id uuid,
    build_id uuid NOT NULL,
    queue text NOT NULL,
    cluster_id uuid,
    tries bigint NOT NULL,
    minutes double precision NOT NULL,
    minutes_wasted double precision NOT NULL
);

COMMENT ON TABLE analytics.build_minutes_hourly IS 'Agent minutes of command jobs by build, cluster, queue and the hour (UTC) in which they ended. A rollup table.';

COMMENT ON COLUMN analytics.build_minutes_hourly.hour IS 'Start of the hour in UTC.';

COMMENT ON COLUMN analytics.build_minutes_hourly.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.build_minutes_hourly.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.build_minutes_hourly.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.build_minutes_hourly.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.build_minutes_hourly.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.build_minutes_hourly.tries IS 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';

COMMENT ON COLUMN analytics.build_minutes_hourly.minutes IS 'Agent minutes.';

COMMENT ON COLUMN analytics.build_minutes_hourly.minutes_wasted IS 'Those wasted by lost agents, cancels, retries and rebuilds.';

CREATE FUNCTION sync.build_minutes_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) RETURNS SETOF analytics.build_minutes_hourly
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select hours.hour::timestamptz(3), try.organization_id, try.pipeline_id, try.build_id, try.queue, try.cluster_id, count(*),
    coalesce(sum(try.run_ms), 0)::double precision / 60000,
    coalesce(sum(try.run_ms) filter (where try.result in ('infra_lost', 'canceled') or try.build_canceled or try.retried or try.rebuilt), 0)::double precision / 60000
  from unnest(tries) as try
  cross join lateral (select date_bin('1 hour', try.ended_at, since) as hour) as hours
  where hours.hour >= since and hours.hour < until and try.result not in ('skipped', 'broken')
  group by hours.hour, try.organization_id, try.pipeline_id, try.build_id, try.queue, try.cluster_id;
end $$;

COMMENT ON FUNCTION sync.build_minutes_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) IS 'The rows of analytics.build_minutes_hourly for the hours of a range, from all present jobs.';

CREATE TABLE analytics.build_results_daily (
    day date,
    organization_id uuid,
    pipeline_id uuid,
    finished bigint,
    passed bigint,
    failed bigint,
    canceled bigint,
    skipped bigint,
    first_failed bigint,
    passed_on_retry bigint,
    failure_rate double precision,
    first_failure_rate double precision,
    blocked bigint
);

COMMENT ON TABLE analytics.build_results_daily IS 'How builds ended, by pipeline and the day (UTC) they finished. Practice disagrees on retries: failure_rate is by the final result, first_failure_rate by the first. Neither includes canceled and skipped builds, nor builds that wait at a gate: these are in blocked on the day they stopped. Builds that never finished count on the day they were created. Builds that Buildkite has deleted still count: history outlives the source. A rollup table.';

COMMENT ON COLUMN analytics.build_results_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.build_results_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.build_results_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.build_results_daily.finished IS 'How many passed or failed.';

COMMENT ON COLUMN analytics.build_results_daily.passed IS 'How many passed.';

COMMENT ON COLUMN analytics.build_results_daily.failed IS 'How many failed.';

COMMENT ON COLUMN analytics.build_results_daily.canceled IS 'How many were canceled.';

COMMENT ON COLUMN analytics.build_results_daily.skipped IS 'How many were skipped or not run.';

COMMENT ON COLUMN analytics.build_results_daily.first_failed IS 'How many failed at the first attempt.';

COMMENT ON COLUMN analytics.build_results_daily.passed_on_retry IS 'How many failed at the first attempt and passed in the end.';

COMMENT ON COLUMN analytics.build_results_daily.failure_rate IS 'Failed builds divided by passed and failed ones, 0 to 1.';

COMMENT ON COLUMN analytics.build_results_daily.first_failure_rate IS 'Builds that failed at the first attempt, divided by passed and failed ones, 0 to 1.';

COMMENT ON COLUMN analytics.build_results_daily.blocked IS 'How many wait at a gate, in neither rate. Null on days that were not rebuilt since this column was added.';

CREATE FUNCTION sync.build_results_of_day(day_start timestamp with time zone, pipelines uuid[]) RETURNS SETOF analytics.build_results_daily
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select (day_start at time zone 'UTC')::date, built.organization_id, built.pipeline_id,
    sum(built.passed + built.failed)::bigint, sum(built.passed)::bigint, sum(built.failed)::bigint, sum(built.canceled)::bigint,
    sum(built.skipped)::bigint, sum(built.first_failed)::bigint, sum(built.passed_on_retry)::bigint,
    sum(built.failed)::double precision / nullif(sum(built.passed + built.failed), 0)::double precision,
    sum(built.first_failed)::double precision / nullif(sum(built.passed + built.failed), 0)::double precision,
    sum(built.blocked)::bigint
  from analytics.builds_hourly as built
  where built.hour >= day_start and built.hour < day_start + interval '24 hours'
    and (pipelines is null or coalesce(built.pipeline_id, '00000000-0000-0000-0000-000000000000') = any (pipelines))
  group by built.organization_id, built.pipeline_id;
end $$;

COMMENT ON FUNCTION sync.build_results_of_day(day_start timestamp with time zone, pipelines uuid[]) IS 'The rows of analytics.build_results_daily for one day, from analytics.builds_hourly.';

CREATE TABLE sync.builds_found (
    hour timestamp with time zone NOT NULL,
    organization_id uuid,
    builds bigint NOT NULL,
    builds_lost bigint NOT NULL
);

COMMENT ON TABLE sync.builds_found IS 'Builds by hour of creation, and how many of them REST showed first; the source of analytics.webhook_loss. A rollup table.';

COMMENT ON COLUMN sync.builds_found.hour IS 'Start of the hour.';

COMMENT ON COLUMN sync.builds_found.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.builds_found.builds IS 'Builds created in the hour.';

COMMENT ON COLUMN sync.builds_found.builds_lost IS 'Those that REST showed first, 10 s or more after they were created.';

CREATE FUNCTION sync.builds_found_of_hours(since timestamp with time zone, until timestamp with time zone) RETURNS SETOF sync.builds_found
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  return query
  select date_bin('1 hour', build.created_at, since), build.organization_id, count(*),
    count(*) filter (where build.first_seen_via = 'rest' and build.first_seen_at > build.created_at + interval '10 seconds')
  from buildkite.builds as build where build.created_at >= since and build.created_at < until
  group by 1, build.organization_id;
end $$;

COMMENT ON FUNCTION sync.builds_found_of_hours(since timestamp with time zone, until timestamp with time zone) IS 'The rows of sync.builds_found for the hours of a range, from all present builds.';

CREATE TABLE analytics.builds_hourly (
    hour timestamp with time zone NOT NULL,
    organization_id uuid,
    pipeline_id uuid,
    branch text,
    passed bigint NOT NULL,
    failed bigint NOT NULL,
    canceled bigint NOT NULL,
    skipped bigint NOT NULL,
    blocked bigint NOT NULL,
    first_failed bigint NOT NULL,
    passed_on_retry bigint NOT NULL,
    run_ms bigint,
    run_histogram integer[] NOT NULL,
    passed_run_histogram integer[] NOT NULL,
    first_run_histogram integer[] NOT NULL,
    wait_histogram integer[] NOT NULL,
    commits text[] NOT NULL,
    red_commits text[] NOT NULL,
    last_build_number bigint,
    last_result text
);

COMMENT ON TABLE analytics.builds_hourly IS 'Builds by pipeline, branch and the hour (UTC) in which they finished, as counts and histograms. The daily tables of builds are merged from it. Histograms merge over any span: analytics.percentile(analytics.merge_histograms(run_histogram), 0.9). A rollup table.';

COMMENT ON COLUMN analytics.builds_hourly.hour IS 'Start of the hour.';

COMMENT ON COLUMN analytics.builds_hourly.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.builds_hourly.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.builds_hourly.branch IS 'Branch.';

COMMENT ON COLUMN analytics.builds_hourly.passed IS 'How many passed.';

COMMENT ON COLUMN analytics.builds_hourly.failed IS 'How many failed.';

COMMENT ON COLUMN analytics.builds_hourly.canceled IS 'How many were canceled.';

COMMENT ON COLUMN analytics.builds_hourly.skipped IS 'How many were skipped or not run.';

COMMENT ON COLUMN analytics.builds_hourly.blocked IS 'How many wait at a gate.';

COMMENT ON COLUMN analytics.builds_hourly.first_failed IS 'How many of passed and failed builds failed at the first attempt.';

COMMENT ON COLUMN analytics.builds_hourly.passed_on_retry IS 'How many failed at the first attempt and passed in the end.';

COMMENT ON COLUMN analytics.builds_hourly.run_ms IS 'Milliseconds that passed and failed builds ran, in total; null if none is known.';

COMMENT ON COLUMN analytics.builds_hourly.run_histogram IS 'Running time of passed and failed builds: whole seconds and how many builds, alternating.';

COMMENT ON COLUMN analytics.builds_hourly.passed_run_histogram IS 'The same of passed builds.';

COMMENT ON COLUMN analytics.builds_hourly.first_run_histogram IS 'The same of first attempts.';

COMMENT ON COLUMN analytics.builds_hourly.wait_histogram IS 'Waits of passed and failed builds before the first start: whole seconds and how many builds, alternating.';

COMMENT ON COLUMN analytics.builds_hourly.commits IS 'Distinct commits of passed and failed builds.';

COMMENT ON COLUMN analytics.builds_hourly.red_commits IS 'Distinct commits of failed builds.';

COMMENT ON COLUMN analytics.builds_hourly.last_build_number IS 'The highest number of a passed or failed build.';

COMMENT ON COLUMN analytics.builds_hourly.last_result IS 'The result of that build.';

CREATE FUNCTION sync.builds_of_hours(since timestamp with time zone, until timestamp with time zone) RETURNS SETOF analytics.builds_hourly
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  return query
  select build.hour, build.organization_id, build.pipeline_id, build.branch,
    count(*) filter (where build.result = 'passed'), count(*) filter (where build.result = 'failed'),
    count(*) filter (where build.result = 'canceled'), count(*) filter (where build.result in ('skipped', 'not_run')),
    count(*) filter (where build.state = 'blocked'),
    count(*) filter (where build.ran and run.first_state = 'failed'),
    count(*) filter (where build.result = 'passed' and run.first_state = 'failed'),
    (sum(round(run.total * 1000)) filter (where build.ran))::bigint,
    analytics.histogram_of(array_agg(analytics.whole_seconds(run.total)) filter (where build.ran)),
    analytics.histogram_of(array_agg(analytics.whole_seconds(run.total)) filter (where build.result = 'passed')),
    analytics.histogram_of(array_agg(analytics.whole_seconds(run.first)) filter (where build.ran)),
    analytics.histogram_of(array_agg(analytics.whole_seconds(analytics.seconds(build.created_at, run.started_at))) filter (where build.ran)),
    coalesce(array_agg(distinct build.commit) filter (where build.ran and build.commit is not null), '{}'),
    coalesce(array_agg(distinct build.commit) filter (where build.result = 'failed' and build.commit is not null), '{}'),
    (array_agg(build.number order by build.number desc) filter (where build.ran))[1],
    (array_agg(build.result order by build.number desc) filter (where build.ran))[1]
  from (
    select ended.*, date_bin('1 hour', coalesce(ended.finished_at, ended.created_at), since) as hour,
      analytics.build_result(ended.state_at_buildkite, ended.blocked) as result,
      analytics.build_state(ended.state_at_buildkite, ended.blocked) as state,
      coalesce(analytics.build_result(ended.state_at_buildkite, ended.blocked) in ('passed', 'failed'), false) as ran
    from (
      select id, organization_id, pipeline_id, branch, commit, number, created_at, finished_at, first_seen_via, blocked, builds.state as state_at_buildkite
      from buildkite.builds where finished_at >= since and finished_at < until
      union all
      select id, organization_id, pipeline_id, branch, commit, number, created_at, finished_at, first_seen_via, blocked, builds.state
      from buildkite.builds where finished_at is null and created_at >= since and created_at < until
    ) as ended
  ) as build
  left join lateral (
    select case when count(*) filter (where attempt.is_unread) = 0 then sum(attempt.run_seconds) end as total,
      case when count(*) filter (where attempt.is_unread) = 0 then sum(attempt.run_seconds) filter (where attempt.is_first) end as first,
      (array_agg(attempt.state order by attempt.finished_at) filter (where analytics.build_result(attempt.state, attempt.blocked) is not null))[1] as first_state,
      least(min(attempt.started_at), case when build.first_seen_via = 'rest' then (
        select min(job.started_at) from (select started_at from buildkite.jobs where build_id = build.id offset 0) as job
      ) end) as started_at
    from analytics.attempt_runs as attempt where attempt.build_id = build.id
  ) as run on build.ran
  where build.result is not null or build.state = 'blocked'
  group by build.hour, build.organization_id, build.pipeline_id, build.branch;
end $$;

COMMENT ON FUNCTION sync.builds_of_hours(since timestamp with time zone, until timestamp with time zone) IS 'The rows of analytics.builds_hourly for the hours of a range, from all present builds.';

CREATE FUNCTION sync.connections_between(since timestamp with time zone, until timestamp with time zone) RETURNS TABLE(agent_id uuid, connected_from timestamp with time zone, connected_to timestamp with time zone)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
begin
  return query with found as (
    select one.agent_id, one.connected_at, one.ended_at from buildkite.agent_connections as one
    where one.ended_at > since and one.ended_at < until + interval '1 hour'
    union
    select one.agent_id, one.connected_at, one.ended_at from buildkite.agent_connections as one
    where (one.ended_at is null or one.ended_at - one.connected_at > interval '1 hour')
      and tstzrange(one.connected_at, greatest(one.connected_at, coalesce(one.ended_at, 'infinity'))) && tstzrange(since, until)
  )
  select found.agent_id, greatest(found.connected_at, since), least(coalesce(least(found.ended_at, next.connected_at), heard.heard_at), until)
  from found
  join buildkite.agents as agent on agent.id = found.agent_id
  left join sync.last_heard as heard on heard.organization_id = agent.organization_id
  left join lateral (
    select one.connected_at from buildkite.agent_connections as one
    where one.agent_id = found.agent_id and one.connected_at > found.connected_at order by one.connected_at limit 1
  ) as next on true
  where coalesce(least(found.ended_at, next.connected_at), heard.heard_at) > greatest(found.connected_at, since) and found.connected_at < until;
end $$;

COMMENT ON FUNCTION sync.connections_between(since timestamp with time zone, until timestamp with time zone) IS 'When agents were connected between two times. A connection without a known end ends when the agent''s next one begins, or lasts as long as the mirror has heard of the organization.';

CREATE FUNCTION sync.count_jobs(most_queues integer DEFAULT 50) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  began constant timestamptz := clock_timestamp();
  bounds constant double precision[] := array[1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 14400, double precision 'Infinity'];
  oldest timestamptz;
  changed_since timestamptz;
  counted integer;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror job counts', 0)) then
    return 0;
  end if;
  insert into sync.metric_queues (id, since) values (0, began) on conflict do nothing;
  select greatest(since, began - interval '1 hour') into oldest from sync.metric_queues where id = 0;
  -- A transaction that was open during the last run may have written rows since.
  select refreshed_at - interval '5 minutes' into changed_since from sync.rollups where name = 'job_counts';
  insert into sync.rollups (name, refreshed_at, took_ms) values ('job_counts', began, 0)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at;
  delete from sync.counted_jobs where counted_at < began - interval '2 hours';

  with learned as materialized (
    select job.id, event.measure, event.seconds, build.organization_id, job.cluster_id,
      coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default') as queue
    from buildkite.jobs as job
    cross join lateral (values
      ('wait', job.started_at, analytics.seconds(job.runnable_at, job.started_at)),
      ('run', job.finished_at, analytics.seconds(job.started_at, job.finished_at))
    ) as event (measure, at, seconds)
    cross join lateral (select organization_id from buildkite.builds where id = job.build_id offset 0) as build
    left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
    where job.changed_at >= greatest(changed_since, began - interval '2 hours') and job.type = 'script'
      and event.seconds is not null and event.at >= oldest
  ), fresh as (
    insert into sync.counted_jobs (job_id, measure, counted_at) select id, measure, began from learned
    on conflict do nothing returning job_id, measure
  ), counts as materialized (
    select learned.organization_id, learned.cluster_id, learned.queue, learned.measure,
      (select min(bound) from unnest(bounds) as bound where bound >= learned.seconds) as bucket,
      count(*) as jobs, sum(learned.seconds) as seconds
    from fresh join learned on learned.id = fresh.job_id and learned.measure = fresh.measure group by 1, 2, 3, 4, 5
  ), named as (
    insert into sync.metric_queues (id, organization_id, cluster_id, queue, since)
    select (select max(id) from sync.metric_queues) + row_number() over (order by sum(busy.jobs) desc, busy.queue),
      busy.organization_id, busy.cluster_id, busy.queue, began
    from (
      select organization_id, cluster_id, queue, jobs from counts
      union all
      select organization_id, cluster_id, queue, waiting + running from analytics.queues_now where waiting + running + agents > 0
    ) as busy
    where not exists (
      select from sync.metric_queues as known
      where (known.organization_id, known.cluster_id, known.queue) is not distinct from (busy.organization_id, busy.cluster_id, busy.queue)
    )
    group by busy.organization_id, busy.cluster_id, busy.queue
    order by sum(busy.jobs) desc, busy.queue
    limit (select greatest(most_queues + 1 - count(*), 0) from sync.metric_queues)
    returning id, organization_id, cluster_id, queue
  ), added as (
    insert into sync.job_counts as known (queue_id, measure, bucket, jobs, seconds)
    select coalesce(of_its_own.id, 0), counts.measure, counts.bucket, sum(counts.jobs), sum(counts.seconds)
    from counts
    left join (
      select id, organization_id, cluster_id, queue from sync.metric_queues union all select id, organization_id, cluster_id, queue from named
    ) as of_its_own
      on (of_its_own.organization_id, of_its_own.cluster_id, of_its_own.queue) is not distinct from (counts.organization_id, counts.cluster_id, counts.queue)
    group by 1, 2, 3
    on conflict (queue_id, measure, bucket) do update set jobs = known.jobs + excluded.jobs, seconds = known.seconds + excluded.seconds
  )
  select coalesce(sum(jobs), 0) into counted from counts;
  return counted;
end $$;

COMMENT ON FUNCTION sync.count_jobs(most_queues integer) IS 'Adds to sync.job_counts each wait that ended and each run that ended within the last hour, if that was after the first call ever and was not counted before. Gives queues series of their own while fewer than the given number have them. Returns how many it counted, or 0 if another process counts.';

CREATE FUNCTION sync.days_with_data(since date) RETURNS SETOF date
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  found record;
  day date;
  days date[] := '{}';
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
begin
  -- Steps from day to day along the index of each time, instead of reading every row.
  for found in
    select * from (values ('buildkite.builds', 'created_at'), ('buildkite.builds', 'finished_at'), ('buildkite.jobs', 'started_at'),
      ('buildkite.jobs', 'finished_at'), ('buildkite.jobs', 'expired_at'), ('buildkite.agent_connections', 'ended_at'),
      ('analytics.queue_depths', 'at'), ('analytics.agents_hourly', 'hour'))
      as times (relation, time)
  loop
    day := since;
    loop
      execute format('select (min(%1$I) at time zone ''UTC'')::date from %2$s where %1$I >= $1', found.time, found.relation)
        into day using day::timestamp at time zone 'UTC';
      exit when day is null;
      days := days || day;
      day := day + 1;
    end loop;
  end loop;
  return query
  select unnest(days)
  -- What lasted across days: at most an hour, so that it ended early on the next day, or longer.
  union select next - 1 from unnest(days) as next cross join lateral (select next::timestamp at time zone 'UTC' as midnight) as midnights
    where next > since and (
      exists (select from buildkite.jobs where started_at >= midnight and started_at < midnight + interval '1 hour' and runnable_at < midnight)
      or exists (select from buildkite.jobs where finished_at >= midnight and finished_at < midnight + interval '1 hour' and least(runnable_at, started_at) < midnight)
      or exists (select from buildkite.jobs where expired_at >= midnight and expired_at < midnight + interval '1 hour' and least(runnable_at, started_at) < midnight)
      or exists (select from buildkite.agent_connections where ended_at >= midnight and ended_at < midnight + interval '1 hour' and connected_at < midnight))
  union select (moment at time zone 'UTC')::date
    from (
      select interval_of.began, interval_of.ended, true from buildkite.jobs
      cross join lateral (values (runnable_at, least(started_at, coalesce(finished_at, expired_at))), (started_at, coalesce(finished_at, expired_at))) as interval_of (began, ended)
      where type = 'script' and coalesce(finished_at, expired_at) - least(runnable_at, started_at) > interval '1 hour'
      union all
      select interval_of.began, interval_of.ended, true from buildkite.jobs
      cross join lateral (values (runnable_at, coalesce(started_at, heard)), (started_at, heard)) as interval_of (began, ended)
      where type = 'script' and coalesce(finished_at, expired_at) is null
        and state not in ('passed', 'failed', 'canceled', 'timed_out', 'expired', 'skipped', 'broken', 'finished', 'waiting_failed', 'blocked_failed', 'unblocked', 'unblocked_failed')
      union all
      select greatest(connected_at, (select min(created_at) from buildkite.builds where created_at >= '2013-01-01')), coalesce(ended_at, heard), false from buildkite.agent_connections
      where ended_at is null or ended_at - connected_at > interval '1 hour'
    ) as span (began, ended, is_job)
    cross join lateral generate_series(date_trunc('day', greatest(began, since::timestamp at time zone 'UTC'), 'UTC'), ended, interval '1 day') as moment
    where ended - began <= case when is_job then interval '366 days' else interval '100 years' end
  union select minutes.day from analytics.minutes_daily as minutes where minutes.day >= since
  union select (deployed_at at time zone 'UTC')::date from analytics.deployments where deployed_at >= since::timestamp at time zone 'UTC';
end $_$;

COMMENT ON FUNCTION sync.days_with_data(since date) IS 'Every day (UTC) from the given one on that has builds, jobs or rows in rollup tables.';

CREATE TABLE analytics.deployments (
    id text NOT NULL,
    reference_id text,
    service_id bigint,
    repository text,
    commit_sha text,
    attributed_at timestamp with time zone,
    merge_commit_shas text[],
    environment text,
    deployed_at timestamp with time zone NOT NULL,
    success boolean NOT NULL,
    service text,
    source_url text,
    source_name text,
    integration_branch text,
    deployment_inference_rule_id bigint,
    deployment_service_id bigint,
    organization_id uuid,
    pipeline_id uuid,
    committed_at timestamp with time zone,
    first_success boolean
);

COMMENT ON TABLE analytics.deployments IS 'Deployments in the shape of DX''s table of that name (three columns of our own at the end), found by the rules in settings.deployment_rules: builds, or the last tries of a step''s jobs, that ended in success or failure. Canceled, blocked and open ones do not count. A rule for a step creates one deployment for each of its jobs: for each part of a parallel step or a matrix, unless the rule''s pattern names one. A deployment that ran again has its last end. Without rules the table is empty. A rollup table, refreshed about 15 s after a change of a build, and for every day when a rule changes.';

COMMENT ON COLUMN analytics.deployments.id IS 'Rule and build, or rule and job. Of several rules that match a build or job, the closest counts: the one with the most fixed characters.';

COMMENT ON COLUMN analytics.deployments.reference_id IS 'builds.id or jobs.id, as text.';

COMMENT ON COLUMN analytics.deployments.service_id IS 'DX''s own id; always null here.';

COMMENT ON COLUMN analytics.deployments.repository IS 'owner/name of the repository.';

COMMENT ON COLUMN analytics.deployments.commit_sha IS 'Commit.';

COMMENT ON COLUMN analytics.deployments.attributed_at IS 'As deployed_at.';

COMMENT ON COLUMN analytics.deployments.merge_commit_shas IS 'The deployed commit. Which commits it brings is known to the repository only.';

COMMENT ON COLUMN analytics.deployments.environment IS 'Environment, of the rule.';

COMMENT ON COLUMN analytics.deployments.deployed_at IS 'When the deployment ended.';

COMMENT ON COLUMN analytics.deployments.success IS 'Whether it succeeded.';

COMMENT ON COLUMN analytics.deployments.service IS 'Service: of the rule, otherwise the pipeline''s slug.';

COMMENT ON COLUMN analytics.deployments.source_url IS 'Address in the browser.';

COMMENT ON COLUMN analytics.deployments.source_name IS 'Name of the pipeline.';

COMMENT ON COLUMN analytics.deployments.integration_branch IS 'Default branch of the pipeline.';

COMMENT ON COLUMN analytics.deployments.deployment_inference_rule_id IS 'settings.deployment_rules.id.';

COMMENT ON COLUMN analytics.deployments.deployment_service_id IS 'deployment_services.id.';

COMMENT ON COLUMN analytics.deployments.organization_id IS 'organizations.id. Ours, not DX''s.';

COMMENT ON COLUMN analytics.deployments.pipeline_id IS 'pipelines.id. Ours, not DX''s.';

COMMENT ON COLUMN analytics.deployments.committed_at IS 'Author date of the commit, from any of its builds; null if none has it. Ours, not DX''s.';

COMMENT ON COLUMN analytics.deployments.first_success IS 'Whether its first try succeeded; success has the outcome of the last try. Ours, not DX''s.';

CREATE FUNCTION sync.deployments_between(since timestamp with time zone, until timestamp with time zone) RETURNS SETOF analytics.deployments
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
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

COMMENT ON FUNCTION sync.deployments_between(since timestamp with time zone, until timestamp with time zone) IS 'The rows of analytics.deployments for the builds and jobs that finished in a range of time, from all present builds and jobs.';

CREATE FUNCTION sync.hour_ranges(hours timestamp with time zone[], longest interval DEFAULT '24:00:00'::interval) RETURNS TABLE(since timestamp with time zone, until timestamp with time zone)
    LANGUAGE plpgsql IMMUTABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select min(numbered.hour), max(numbered.hour) + interval '1 hour'
  from (
    select one.hour, row_number() over (order by one.hour) as place from (select distinct unnest(hours) as hour) as one
  ) as numbered
  -- Hours that follow each other have the same start of their row.
  group by numbered.hour - numbered.place * interval '1 hour', date_bin(longest, numbered.hour, 'epoch')
  order by 1;
end $$;

COMMENT ON FUNCTION sync.hour_ranges(hours timestamp with time zone[], longest interval) IS 'Joins hours that follow each other into ranges of at most the given length.';

CREATE FUNCTION sync.invalidate_all_days(since date DEFAULT '-infinity'::date) RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  marked integer;
begin
  insert into sync.stale_days (day) select sync.days_with_data(since);
  get diagnostics marked = row_count;
  return marked;
end $$;

COMMENT ON FUNCTION sync.invalidate_all_days(since date) IS 'Marks every day that has data, from the given day on, as stale. The rollup worker rebuilds the totals of these days. Call it after you changed rows of the mirror yourself. Returns the number of days.';

CREATE FUNCTION sync.invalidate_all_days_at_change() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into sync.stale_history (since, only_deployments) values ('-infinity', true);
  return null;
end $$;

CREATE TABLE sync.stale_days (
    day date NOT NULL,
    marked_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    hour smallint,
    only_deployments boolean DEFAULT false NOT NULL
);

COMMENT ON TABLE sync.stale_days IS 'Hours and days whose rows in the rollup tables are stale. Triggers on builds and jobs add them, sync.refresh_marked_day() rebuilds and deletes them.';

COMMENT ON COLUMN sync.stale_days.day IS 'Day in UTC.';

COMMENT ON COLUMN sync.stale_days.marked_at IS 'When it was marked.';

COMMENT ON COLUMN sync.stale_days.hour IS 'Hour of the day, from 0 to 23; null: the whole day.';

COMMENT ON COLUMN sync.stale_days.only_deployments IS 'Whether only analytics.deployments is stale.';

CREATE FUNCTION sync.invalidate_days(started timestamp with time zone[], finished timestamp with time zone[]) RETURNS void
    LANGUAGE sql
    BEGIN ATOMIC
 INSERT INTO sync.stale_days (day, hour)  SELECT DISTINCT ((moment.at AT TIME ZONE 'UTC'::text))::date AS timezone,
             (EXTRACT(hour FROM (moment.at AT TIME ZONE 'UTC'::text)))::smallint AS "extract"
            FROM ( SELECT unnest(invalidate_days.started) AS at
                 UNION ALL
                  SELECT unnest(invalidate_days.finished) AS unnest) moment
           WHERE (moment.at IS NOT NULL);
END;

CREATE FUNCTION sync.invalidate_days_between(since timestamp with time zone[], until timestamp with time zone[], longest interval DEFAULT '366 days'::interval) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into sync.stale_days (day, hour)
  select distinct (moment at time zone 'UTC')::date, extract(hour from moment at time zone 'UTC')::smallint
  from unnest(since, until) as span (one, other)
  cross join lateral generate_series(date_trunc('hour', least(one, other), 'UTC'), greatest(one, other), interval '1 hour') as moment
  where one is not null and other is not null and greatest(one, other) - least(one, other) <= longest;
end $$;

COMMENT ON FUNCTION sync.invalidate_days_between(since timestamp with time zone[], until timestamp with time zone[], longest interval) IS 'Marks every hour (UTC) between each pair of times, in either order. Pairs with a null, or further apart than the given interval, mark none: an uninitialised clock must not mark decades.';

CREATE FUNCTION sync.invalidate_days_of_attempts() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  perform sync.invalidate_days(array_agg(coalesce(build.finished_at, build.created_at)), null)
  from buildkite.builds as build where build.id = any (array(select build_id from after_rows));
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_changed_agents() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
declare
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
  agents uuid[];
begin
  select array_agg(after.id) into agents
  from before_rows as before join after_rows as after using (id)
  where (after.organization_id, after.queue, after.meta_data, after.cluster_url, after.cluster_queue_url)
    is distinct from (before.organization_id, before.queue, before.meta_data, before.cluster_url, before.cluster_queue_url);
  if agents is null then return null; end if;
  perform sync.invalidate_days_of_connections(array_agg(connected_at), array_agg(coalesce(ended_at, heard)))
  from buildkite.agent_connections where agent_id = any (agents) having count(*) > 0;
  perform sync.invalidate_days_between(array_agg(started_at), array_agg(coalesce(finished_at, expired_at, heard)))
  from buildkite.jobs where agent_id = any (agents) having count(*) > 0;
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_changed_builds() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_nestloop TO 'off'
    SET jit TO 'off'
    AS $$
declare
  builds uuid[];
  commits text[];
begin
  perform sync.invalidate_days(array_agg(coalesce(before.finished_at, before.created_at)), array_agg(coalesce(after.finished_at, after.created_at)))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at;
  perform sync.invalidate_days(array_agg(before.created_at), array_agg(after.created_at))
  from before_rows as before join after_rows as after using (id)
  where (after.created_at, after.organization_id) is distinct from (before.created_at, before.organization_id);
  select array_agg(after.id) || array_remove(array_agg(after.rebuilt_from_id), null) into builds
  from before_rows as before join after_rows as after using (id)
  where (after.organization_id, after.pipeline_id, after.branch, after.commit, after.state = 'canceled', after.rebuilt_from_id)
    is distinct from (before.organization_id, before.pipeline_id, before.branch, before.commit, before.state = 'canceled', before.rebuilt_from_id);
  if builds is not null then perform sync.invalidate_days_of_jobs(builds); end if;
  -- Jobs that are still open count only as long as their build is open.
  select array_agg(after.id) into builds
  from before_rows as before join after_rows as after using (id)
  where (after.state in ('creating', 'scheduled', 'running', 'failing', 'canceling'), after.blocked is true, after.deleted_at is null)
    is distinct from (before.state in ('creating', 'scheduled', 'running', 'failing', 'canceling'), before.blocked is true, before.deleted_at is null);
  if builds is not null then perform sync.invalidate_days_of_open_jobs(builds); end if;
  select array_agg(before.commit) || array_agg(after.commit) into commits
  from before_rows as before join after_rows as after using (id)
  where (after.commit, after.author_date) is distinct from (before.commit, before.author_date);
  if commits is not null then perform sync.invalidate_days_of_commits(commits, null); end if;
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_changed_connections() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
begin
  perform sync.invalidate_days_of_connections(
    array_agg(least(coalesce(before.ended_at, heard), coalesce(after.ended_at, heard))),
    array_agg(greatest(coalesce(before.ended_at, heard), coalesce(after.ended_at, heard))))
  from before_rows as before join after_rows as after using (agent_id, connected_at)
  where after.ended_at is distinct from before.ended_at having count(*) > 0;
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_changed_jobs() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_nestloop TO 'off'
    SET jit TO 'off'
    AS $$
declare
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
  since timestamptz[];
  until timestamptz[];
begin
  -- Before and after: a job whose time was corrected leaves one hour and enters another.
  perform sync.invalidate_days(
    array_agg(before.started_at) || array_agg(after.started_at),
    array_agg(coalesce(before.finished_at, before.expired_at)) || array_agg(coalesce(after.finished_at, after.expired_at)))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at;
  perform sync.invalidate_days_of_finished_builds(array_agg(distinct after.build_id))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at and after.build_id is not null having count(*) > 0;
  perform sync.invalidate_days_of_retries(array_agg(after.retried_in_job_id))
  from before_rows as before join after_rows as after using (id)
  where after.changed_at is distinct from before.changed_at and after.retried_in_job_id is not null having count(*) > 0;
  -- The queues of a job that waits or runs were counted until then as if it would go on. So only what lies between the old and the new
  -- time is stale, or all of it if another queue or agent has it now.
  select array_agg(change.since), array_agg(change.until) into since, until
  from before_rows as before join after_rows as after using (id)
  cross join lateral (values (coalesce(before.finished_at, before.expired_at), coalesce(after.finished_at, after.expired_at))) as ended (before, after)
  cross join lateral (values (
    (after.build_id, after.cluster_id, after.cluster_queue_id, after.agent_query_rules, after.agent_id)
      is distinct from (before.build_id, before.cluster_id, before.cluster_queue_id, before.agent_query_rules, before.agent_id)
    or (ended.after is null and (after.state, after.deleted_at is null) is distinct from (before.state, before.deleted_at is null))
    -- A clock that was set right: too far to mark what lies between.
    or greatest(before.runnable_at, before.started_at, ended.before, after.runnable_at, after.started_at, ended.after)
      - least(before.runnable_at, before.started_at, ended.before, after.runnable_at, after.started_at, ended.after) > interval '366 days'
  )) as whole (is_stale)
  cross join lateral (
    select coalesce(one, heard), coalesce(other, heard)
    from (values (before.runnable_at, after.runnable_at), (before.started_at, after.started_at), (ended.before, ended.after)) as pair (one, other)
    where one is distinct from other
    union all
    select one, other
    from (values (before.runnable_at, coalesce(least(before.started_at, ended.before), heard)), (before.started_at, coalesce(ended.before, heard)),
      (after.runnable_at, coalesce(least(after.started_at, ended.after), heard)), (after.started_at, coalesce(ended.after, heard))) as spans (one, other)
    where whole.is_stale
  ) as change (since, until)
  where after.type = 'script';
  if since is not null then perform sync.invalidate_days_between(since, until); end if;
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_changed_organizations() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into sync.stale_history (since, only_deployments)
  select '-infinity', true
  where exists (select from before_rows as before join after_rows as after using (id) where after.slug is distinct from before.slug)
    and exists (select from settings.deployment_rules where organization <> '*');
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_changed_pipelines() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into sync.stale_history (pipeline_id)
  select id from before_rows as before join after_rows as after using (id)
  where after.default_branch is distinct from before.default_branch
    or ((after.organization_id, after.slug, after.name, after.repository) is distinct from (before.organization_id, before.slug, before.name, before.repository)
      and exists (select from settings.deployment_rules));
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_changed_queues() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into sync.stale_history (since)
  select min(coalesce((after.created_at at time zone 'UTC')::date, '-infinity'))
  from before_rows as before join after_rows as after using (id)
  where after.key is distinct from before.key having count(*) > 0;
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_commits(commits text[], written_at timestamp with time zone[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  perform sync.invalidate_days(array_agg(deployment.deployed_at), null)
  from unnest(commits, written_at) as build (commit, written_at)
  join analytics.deployments as deployment on deployment.commit_sha = build.commit
  where build.commit <> 'HEAD' and coalesce(build.written_at, '-infinity') < coalesce(deployment.committed_at, 'infinity')
  having count(*) > 0;
end $$;

CREATE FUNCTION sync.invalidate_days_of_connections(since timestamp with time zone[], until timestamp with time zone[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  first_build constant timestamptz := (select min(created_at) from buildkite.builds where created_at >= '2013-01-01');
begin
  perform sync.invalidate_days_between(array_agg(greatest(span.since, first_build)), array_agg(span.until), interval '100 years')
  from unnest(since, until) as span (since, until) where span.until > first_build having count(*) > 0;
end $$;

COMMENT ON FUNCTION sync.invalidate_days_of_connections(since timestamp with time zone[], until timestamp with time zone[]) IS 'Marks the days between each pair of times, but none before the first build: agents_hourly begins there, although an agent may have been connected for years.';

CREATE FUNCTION sync.invalidate_days_of_finished_builds(ids uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  perform sync.invalidate_days('{}', array_agg(finished_at))
  from buildkite.builds where id = any (ids) and finished_at is not null having count(*) > 0;
end $$;

CREATE FUNCTION sync.invalidate_days_of_jobs(builds uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  perform sync.invalidate_days(array_agg(job.started_at), array_agg(coalesce(job.finished_at, job.expired_at)))
  from buildkite.jobs as job where job.build_id = any (builds) having count(*) > 0;
  perform sync.invalidate_days_of_work(array_agg(job.runnable_at), array_agg(job.started_at), array_agg(coalesce(job.finished_at, job.expired_at)))
  from buildkite.jobs as job where job.build_id = any (builds) and job.type = 'script' having count(*) > 0;
end $$;

CREATE FUNCTION sync.invalidate_days_of_new_builds() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  builds uuid[];
  commits text[];
  written_at timestamptz[];
begin
  perform sync.invalidate_days(array_agg(created_at), array_agg(coalesce(finished_at, created_at))) from after_rows;
  select array_agg(id) || array_remove(array_agg(rebuilt_from_id), null) into builds from after_rows;
  perform sync.invalidate_days_of_jobs(builds);
  -- The date of the commit is known only now, and it decides on lead times.
  select array_agg(after_rows.commit), array_agg(author_date) into commits, written_at from after_rows where author_date is not null;
  if commits is not null then perform sync.invalidate_days_of_commits(commits, written_at); end if;
  -- Hours of agents begin with the first build. If that is one of these, they begin earlier now.
  perform sync.invalidate_days_of_connections(array[min(created_at)], array[coalesce(
    (select min(later.created_at) from buildkite.builds as later where later.created_at > max(after_rows.created_at)),
    (select max(heard_at) from sync.last_heard)
  )])
  from after_rows where created_at >= '2013-01-01'
  having min(created_at) = (select min(created_at) from buildkite.builds where created_at >= '2013-01-01')
    and (exists (select from buildkite.agent_connections) or exists (
      select from buildkite.jobs where started_at < coalesce(
        (select min(later.created_at) from buildkite.builds as later where later.created_at > max(after_rows.created_at)), 'infinity')
    ));
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_new_connections() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
begin
  -- A connection before it that had no known end has one now.
  perform sync.invalidate_days_of_connections(array_agg(connected_at), array_agg(case when exists (
    select from buildkite.agent_connections as earlier
    where earlier.agent_id = after_rows.agent_id and earlier.connected_at < after_rows.connected_at and earlier.ended_at is null
  ) then heard else coalesce(ended_at, heard) end))
  from after_rows having count(*) > 0;
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_new_jobs() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform sync.invalidate_days(array_agg(started_at), array_agg(coalesce(finished_at, expired_at))) from after_rows;
  perform sync.invalidate_days_of_finished_builds(array_agg(distinct build_id)) from after_rows where build_id is not null having count(*) > 0;
  perform sync.invalidate_days_of_retries(array_agg(retried_in_job_id)) from after_rows where retried_in_job_id is not null having count(*) > 0;
  perform sync.invalidate_days_of_work(array_agg(runnable_at), array_agg(started_at), array_agg(coalesce(finished_at, expired_at)))
  from after_rows where type = 'script' having count(*) > 0;
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_new_pipelines() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into sync.stale_history (pipeline_id) select id from after_rows;
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_new_queues() RETURNS trigger
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  insert into sync.stale_history (since)
  select min(coalesce((created_at at time zone 'UTC')::date, '-infinity')) from after_rows having count(*) > 0;
  return null;
end $$;

CREATE FUNCTION sync.invalidate_days_of_open_jobs(builds uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  perform sync.invalidate_days_of_work(array_agg(job.runnable_at), array_agg(job.started_at), array_agg(null::timestamptz))
  from buildkite.jobs as job
  where job.build_id = any (builds) and job.type = 'script' and coalesce(job.finished_at, job.expired_at) is null
    and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) is null
  having count(*) > 0;
end $$;

COMMENT ON FUNCTION sync.invalidate_days_of_open_jobs(builds uuid[]) IS 'Marks the days on which the open jobs of these builds waited or ran.';

CREATE FUNCTION sync.invalidate_days_of_open_work() RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  if exists (
    select from buildkite.jobs where type = 'script'
      and state not in ('passed', 'failed', 'canceled', 'timed_out', 'expired', 'skipped', 'broken', 'finished', 'waiting_failed', 'blocked_failed', 'unblocked', 'unblocked_failed')
  ) or exists (select from buildkite.agents where connection_state in ('connected', 'stopping') and deleted_at is null) then
    perform sync.invalidate_days_between(array_agg(work.counted_to), array_agg(heard.heard_at))
    from sync.open_work as work join sync.last_heard as heard using (organization_id)
    where heard.heard_at >= date_bin('5 minutes', work.counted_to, 'epoch') + interval '5 minutes' having count(*) > 0;
  end if;
  insert into sync.open_work as work (organization_id, counted_to)
  select organization_id, heard_at from sync.last_heard where heard_at is not null
  on conflict (organization_id) do update set counted_to = excluded.counted_to
  where excluded.counted_to >= date_bin('5 minutes', work.counted_to, 'epoch') + interval '5 minutes';
end $$;

COMMENT ON FUNCTION sync.invalidate_days_of_open_work() IS 'Marks the days that time alone makes stale: while a job is open or an agent is connected, each five minutes that the mirror has heard of add a point. Call it before the rollups are refreshed.';

CREATE FUNCTION sync.invalidate_days_of_retries(next_tries uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
begin
  if not exists (select from settings.deployment_rules where step is not null) then
    return;
  end if;
  perform sync.invalidate_days(array_agg(tries.finished_at), null)
  from (
    with recursive tries as (
      select id, finished_at, retried_in_job_id, 1 as try from buildkite.jobs where id = any (next_tries)
      union all
      select job.id, job.finished_at, job.retried_in_job_id, tries.try + 1
      from tries join buildkite.jobs as job on job.id = tries.retried_in_job_id where tries.try < 1000
    )
    select finished_at from tries where retried_in_job_id is null
  ) as tries having count(*) > 0;
end $$;

CREATE FUNCTION sync.invalidate_days_of_work(runnable timestamp with time zone[], started timestamp with time zone[], ended timestamp with time zone[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  heard constant timestamptz := (select max(heard_at) from sync.last_heard);
begin
  perform sync.invalidate_days_between(
    array_agg(job.runnable_at) || array_agg(job.started_at),
    array_agg(coalesce(least(job.started_at, job.ended_at), heard)) || array_agg(coalesce(job.ended_at, heard)))
  from unnest(runnable, started, ended) as job (runnable_at, started_at, ended_at);
end $$;

COMMENT ON FUNCTION sync.invalidate_days_of_work(runnable timestamp with time zone[], started timestamp with time zone[], ended timestamp with time zone[]) IS 'Marks the days on which jobs waited for an agent or ran, given when each became runnable, started and ended. Open jobs count until the mirror last heard of any organization.';

CREATE TABLE analytics.job_minutes_hourly (
    hour timestamp(3) with time zone NOT NULL,
    organization_id uuid,
    pipeline_id uuid,
    group_key text,
    step_key text,
    job text NOT NULL,
    queue text NOT NULL,
    cluster_id uuid,
    tries bigint NOT NULL,
    minutes double precision NOT NULL,
    minutes_wasted double precision NOT NULL
);

COMMENT ON TABLE analytics.job_minutes_hourly IS 'Agent minutes of command jobs by pipeline, group, step, name, cluster, queue and the hour (UTC) in which they ended. A rollup table.';

COMMENT ON COLUMN analytics.job_minutes_hourly.hour IS 'Start of the hour in UTC.';

COMMENT ON COLUMN analytics.job_minutes_hourly.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.job_minutes_hourly.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.job_minutes_hourly.group_key IS 'Key of the group step that it belongs to.';

COMMENT ON COLUMN analytics.job_minutes_hourly.step_key IS 'Key of the step.';

COMMENT ON COLUMN analytics.job_minutes_hourly.job IS 'Name of the job, as people read it.';

COMMENT ON COLUMN analytics.job_minutes_hourly.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.job_minutes_hourly.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.job_minutes_hourly.tries IS 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';

COMMENT ON COLUMN analytics.job_minutes_hourly.minutes IS 'Agent minutes.';

COMMENT ON COLUMN analytics.job_minutes_hourly.minutes_wasted IS 'Those wasted by lost agents, cancels, retries and rebuilds.';

CREATE FUNCTION sync.job_minutes_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) RETURNS SETOF analytics.job_minutes_hourly
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select hours.hour::timestamptz(3), try.organization_id, try.pipeline_id, try.group_key, try.step_key, try.job, try.queue, try.cluster_id, count(*),
    coalesce(sum(try.run_ms), 0)::double precision / 60000,
    coalesce(sum(try.run_ms) filter (where try.result in ('infra_lost', 'canceled') or try.build_canceled or try.retried or try.rebuilt), 0)::double precision / 60000
  from unnest(tries) as try
  cross join lateral (select date_bin('1 hour', try.ended_at, since) as hour) as hours
  where hours.hour >= since and hours.hour < until and try.result not in ('skipped', 'broken')
  group by hours.hour, try.organization_id, try.pipeline_id, try.group_key, try.step_key, try.job, try.queue, try.cluster_id;
end $$;

COMMENT ON FUNCTION sync.job_minutes_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) IS 'The rows of analytics.job_minutes_hourly for the hours of a range, from all present jobs.';

CREATE FUNCTION sync.jobs_between(since timestamp with time zone, until timestamp with time zone) RETURNS TABLE(organization_id uuid, cluster_id uuid, queue text, agent_id uuid, waits_from timestamp with time zone, waits_to timestamp with time zone, runs_from timestamp with time zone, runs_to timestamp with time zone)
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET enable_hashjoin TO 'off'
    SET enable_mergejoin TO 'off'
    SET jit TO 'off'
    AS $$
#variable_conflict use_column
begin
  return query
  select build.organization_id, job.cluster_id, coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default'), job.agent_id,
    job.runnable_at,
    case when least(job.started_at, stop.at) - job.runnable_at <= interval '366 days' then greatest(least(job.started_at, stop.at), job.runnable_at) else job.runnable_at end,
    job.started_at,
    case when stop.at - job.started_at <= interval '366 days' then greatest(stop.at, job.started_at) else job.started_at end
  from (
    select * from buildkite.jobs where type = 'script' and finished_at > since and finished_at < until + interval '1 hour'
      and least(runnable_at, started_at) < until
    union all
    select * from buildkite.jobs where type = 'script' and finished_at is null and expired_at > since and expired_at < until + interval '1 hour'
      and least(runnable_at, started_at) < until
    union all
    select * from buildkite.jobs where type = 'script' and coalesce(finished_at, expired_at) >= until + interval '1 hour'
      and coalesce(finished_at, expired_at) - least(runnable_at, started_at) > interval '1 hour'
      and tstzrange(least(runnable_at, started_at), greatest(runnable_at, started_at, coalesce(finished_at, expired_at))) && tstzrange(since, until)
    union all
    select * from buildkite.jobs where type = 'script' and coalesce(finished_at, expired_at) is null and least(runnable_at, started_at) < until
      and state not in ('passed', 'failed', 'canceled', 'timed_out', 'expired', 'skipped', 'broken', 'finished', 'waiting_failed', 'blocked_failed', 'unblocked', 'unblocked_failed')
  ) as job
  cross join lateral (
    select builds.organization_id,
      builds.state in ('creating', 'scheduled', 'running', 'failing', 'canceling') and builds.blocked is not true and builds.deleted_at is null as is_open
    from buildkite.builds where builds.id = job.build_id offset 0
  ) as build
  left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
  left join sync.last_heard as heard on heard.organization_id = build.organization_id
  cross join lateral (
    select coalesce(job.finished_at, job.expired_at, case
      when build.is_open and job.deleted_at is null and job.state is not null
        and analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) is null
      then heard.heard_at
    end) as at
  ) as stop
  where stop.at is not null;
end $$;

COMMENT ON FUNCTION sync.jobs_between(since timestamp with time zone, until timestamp with time zone) IS 'The command jobs that waited or ran between two times, and perhaps more: when each waited for an agent, and when it ran. An interval with equal ends is empty, one with a null does not exist. Those of more than 366 days are empty: Buildkite keeps no build that long.';

CREATE TABLE sync.jobs_found (
    hour timestamp with time zone NOT NULL,
    organization_id uuid,
    jobs bigint NOT NULL,
    jobs_lost bigint NOT NULL
);

COMMENT ON TABLE sync.jobs_found IS 'Command jobs by hour of start, and how many of them REST showed first; the source of analytics.webhook_loss. A rollup table.';

COMMENT ON COLUMN sync.jobs_found.hour IS 'Start of the hour.';

COMMENT ON COLUMN sync.jobs_found.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.jobs_found.jobs IS 'Command jobs that started in the hour.';

COMMENT ON COLUMN sync.jobs_found.jobs_lost IS 'Those that REST showed first, 10 s or more after they started.';

CREATE FUNCTION sync.jobs_found_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) RETURNS SETOF sync.jobs_found
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select date_bin('1 hour', try.started_at, since), try.organization_id, count(*), count(*) filter (where try.lost_webhook)
  from unnest(tries) as try where try.started_at >= since and try.started_at < until
  group by 1, try.organization_id;
end $$;

COMMENT ON FUNCTION sync.jobs_found_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) IS 'The rows of sync.jobs_found for the hours of a range, from all present jobs.';

CREATE TABLE analytics.jobs_daily (
    day date NOT NULL,
    organization_id uuid,
    pipeline_id uuid,
    job text NOT NULL,
    tries bigint NOT NULL,
    passed bigint NOT NULL,
    soft_failed bigint NOT NULL,
    failed bigint NOT NULL,
    infra_lost bigint NOT NULL,
    timed_out bigint NOT NULL,
    expired bigint NOT NULL,
    canceled bigint NOT NULL,
    retried bigint NOT NULL,
    mean_seconds double precision,
    p50_seconds double precision,
    p75_seconds double precision,
    p90_seconds double precision,
    p95_seconds double precision,
    max_seconds double precision,
    passed_p50_seconds double precision,
    passed_p90_seconds double precision,
    run_seconds double precision NOT NULL,
    run_histogram integer[],
    passed_run_histogram integer[]
);

COMMENT ON TABLE analytics.jobs_daily IS 'Command jobs by pipeline, job name and the day (UTC) they finished, counting every try except skipped and broken ones. A rollup table, refreshed about 15 s after a change. Percentiles are over all tries; passed_ over those that passed.';

COMMENT ON COLUMN analytics.jobs_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.jobs_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.jobs_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.jobs_daily.job IS 'Name of the job, as people read it.';

COMMENT ON COLUMN analytics.jobs_daily.tries IS 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';

COMMENT ON COLUMN analytics.jobs_daily.passed IS 'How many passed.';

COMMENT ON COLUMN analytics.jobs_daily.soft_failed IS 'How many failed and were allowed to fail.';

COMMENT ON COLUMN analytics.jobs_daily.failed IS 'How many failed.';

COMMENT ON COLUMN analytics.jobs_daily.infra_lost IS 'How many failed because their agent or machine was lost.';

COMMENT ON COLUMN analytics.jobs_daily.timed_out IS 'How many ran too long.';

COMMENT ON COLUMN analytics.jobs_daily.expired IS 'How many no agent took.';

COMMENT ON COLUMN analytics.jobs_daily.canceled IS 'How many were canceled.';

COMMENT ON COLUMN analytics.jobs_daily.retried IS 'How many were tried again afterwards.';

COMMENT ON COLUMN analytics.jobs_daily.mean_seconds IS 'Mean, in seconds.';

COMMENT ON COLUMN analytics.jobs_daily.p50_seconds IS 'Median, in seconds.';

COMMENT ON COLUMN analytics.jobs_daily.p75_seconds IS '75th percentile, in seconds.';

COMMENT ON COLUMN analytics.jobs_daily.p90_seconds IS '90th percentile, in seconds.';

COMMENT ON COLUMN analytics.jobs_daily.p95_seconds IS '95th percentile, in seconds.';

COMMENT ON COLUMN analytics.jobs_daily.max_seconds IS 'Longest, in seconds.';

COMMENT ON COLUMN analytics.jobs_daily.passed_p50_seconds IS 'Median of those that passed, in seconds.';

COMMENT ON COLUMN analytics.jobs_daily.passed_p90_seconds IS '90th percentile of those that passed, in seconds.';

COMMENT ON COLUMN analytics.jobs_daily.run_seconds IS 'Seconds of running, in total.';

COMMENT ON COLUMN analytics.jobs_daily.run_histogram IS 'Running time: whole seconds and how many tries, alternating.';

COMMENT ON COLUMN analytics.jobs_daily.passed_run_histogram IS 'The same of passed tries.';

CREATE FUNCTION sync.jobs_of_day(day_start timestamp with time zone, pipelines uuid[]) RETURNS SETOF analytics.jobs_daily
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select (day_start at time zone 'UTC')::date, merged.organization_id, merged.pipeline_id, merged.job, merged.tries, merged.passed,
    merged.soft_failed, merged.failed, merged.infra_lost, merged.timed_out, merged.expired, merged.canceled, merged.retried,
    merged.run_ms / 1000.0::double precision / nullif(analytics.histogram_count(merged.run), 0),
    analytics.percentile(merged.run, 0.5), analytics.percentile(merged.run, 0.75),
    analytics.percentile(merged.run, 0.9), analytics.percentile(merged.run, 0.95),
    merged.max_run_ms / 1000.0::double precision,
    analytics.percentile(merged.passed_run, 0.5), analytics.percentile(merged.passed_run, 0.9),
    merged.run_ms / 1000.0::double precision, merged.run, merged.passed_run
  from (
    select ran.organization_id, ran.pipeline_id, ran.job, sum(ran.tries)::bigint as tries, sum(ran.passed)::bigint as passed,
      sum(ran.soft_failed)::bigint as soft_failed, sum(ran.failed)::bigint as failed, sum(ran.infra_lost)::bigint as infra_lost,
      sum(ran.timed_out)::bigint as timed_out, sum(ran.expired)::bigint as expired, sum(ran.canceled)::bigint as canceled,
      sum(ran.retried)::bigint as retried, sum(ran.run_ms) as run_ms, max(ran.max_run_ms) as max_run_ms,
      analytics.merge_histograms(ran.run_histogram) as run, analytics.merge_histograms(ran.passed_run_histogram) as passed_run
    from analytics.jobs_hourly as ran
    where ran.hour >= day_start and ran.hour < day_start + interval '24 hours'
      and (pipelines is null or coalesce(ran.pipeline_id, '00000000-0000-0000-0000-000000000000') = any (pipelines))
    group by ran.organization_id, ran.pipeline_id, ran.job
  ) as merged;
end $$;

COMMENT ON FUNCTION sync.jobs_of_day(day_start timestamp with time zone, pipelines uuid[]) IS 'The rows of analytics.jobs_daily for one day, from analytics.jobs_hourly.';

CREATE TABLE analytics.jobs_hourly (
    hour timestamp with time zone NOT NULL,
    organization_id uuid,
    pipeline_id uuid,
    job text NOT NULL,
    tries bigint NOT NULL,
    passed bigint NOT NULL,
    soft_failed bigint NOT NULL,
    failed bigint NOT NULL,
    infra_lost bigint NOT NULL,
    timed_out bigint NOT NULL,
    expired bigint NOT NULL,
    canceled bigint NOT NULL,
    retried bigint NOT NULL,
    run_ms bigint NOT NULL,
    max_run_ms bigint,
    run_histogram integer[] NOT NULL,
    passed_run_histogram integer[] NOT NULL
);

COMMENT ON TABLE analytics.jobs_hourly IS 'Tries of command jobs by pipeline, job and the hour (UTC) in which they ended, as counts and histograms. jobs_daily is merged from it. A rollup table.';

COMMENT ON COLUMN analytics.jobs_hourly.hour IS 'Start of the hour.';

COMMENT ON COLUMN analytics.jobs_hourly.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.jobs_hourly.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.jobs_hourly.job IS 'Name of the job.';

COMMENT ON COLUMN analytics.jobs_hourly.tries IS 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';

COMMENT ON COLUMN analytics.jobs_hourly.passed IS 'How many passed.';

COMMENT ON COLUMN analytics.jobs_hourly.soft_failed IS 'How many failed softly.';

COMMENT ON COLUMN analytics.jobs_hourly.failed IS 'How many failed.';

COMMENT ON COLUMN analytics.jobs_hourly.infra_lost IS 'How many failed because their agent or machine was lost.';

COMMENT ON COLUMN analytics.jobs_hourly.timed_out IS 'How many timed out.';

COMMENT ON COLUMN analytics.jobs_hourly.expired IS 'How many expired.';

COMMENT ON COLUMN analytics.jobs_hourly.canceled IS 'How many were canceled.';

COMMENT ON COLUMN analytics.jobs_hourly.retried IS 'How many were retried.';

COMMENT ON COLUMN analytics.jobs_hourly.run_ms IS 'Milliseconds that they ran, in total.';

COMMENT ON COLUMN analytics.jobs_hourly.max_run_ms IS 'Milliseconds that the longest one ran.';

COMMENT ON COLUMN analytics.jobs_hourly.run_histogram IS 'Running time: whole seconds and how many tries, alternating.';

COMMENT ON COLUMN analytics.jobs_hourly.passed_run_histogram IS 'The same of passed tries.';

CREATE FUNCTION sync.jobs_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) RETURNS SETOF analytics.jobs_hourly
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select hours.hour, try.organization_id, try.pipeline_id, try.job, count(*),
    count(*) filter (where try.result = 'passed'), count(*) filter (where try.result = 'soft_failed'),
    count(*) filter (where try.result = 'failed'), count(*) filter (where try.result = 'infra_lost'),
    count(*) filter (where try.result = 'timed_out'), count(*) filter (where try.result = 'expired'),
    count(*) filter (where try.result = 'canceled'), count(*) filter (where try.retried),
    coalesce(sum(try.run_ms), 0)::bigint, max(try.run_ms),
    analytics.histogram_of(array_agg(analytics.whole_seconds(try.run_ms / 1000.0::double precision))),
    analytics.histogram_of(array_agg(analytics.whole_seconds(try.run_ms / 1000.0::double precision)) filter (where try.result = 'passed'))
  from unnest(tries) as try
  cross join lateral (select date_bin('1 hour', try.ended_at, since) as hour) as hours
  where hours.hour >= since and hours.hour < until and try.result not in ('skipped', 'broken')
  group by hours.hour, try.organization_id, try.pipeline_id, try.job;
end $$;

COMMENT ON FUNCTION sync.jobs_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) IS 'The rows of analytics.jobs_hourly for the hours of a range, from all present jobs.';

CREATE FUNCTION sync.mark_stale_history(most integer DEFAULT 1000) RETURNS date[]
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $_$
declare
  part sync.stale_history;
  batch_from timestamptz;
  builds uuid[];
  ended date[];
  days date[];
begin
  loop
    -- With skip locked, concurrent processes take different rows.
    select * into part from sync.stale_history order by id limit 1 for update skip locked;
    exit when not found or most <= 0;
    days := coalesce(days, '{}');
    if part.pipeline_id is null then
      delete from sync.stale_history where id = part.id;
      insert into sync.stale_days (day, only_deployments) select day, part.only_deployments from sync.days_with_data(part.since) as day;
      -- These days fill a batch.
      return array(select distinct day from sync.stale_days where day >= part.since);
    end if;
    if part.scanned_to is null then
      -- Trunk health is merged from rows by hour, so the default branch needs no builds.
      perform pg_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0));
      perform sync.replace_rows('analytics.trunk_health_daily', 'pipeline_id = any ($3) and day >= ($1 at time zone ''UTC'')::date',
        'sync.trunk_health_of($1, ''infinity'', $3)', 'null', merged.since, null, array[part.pipeline_id])
      -- While version 0.2 rebuilds history, older days have no rows by hour yet.
      from (select date_trunc('day', min(hour), 'UTC') as since from analytics.builds_hourly) as merged where merged.since is not null;
    end if;
    if not exists (select from settings.deployment_rules) then
      delete from sync.stale_history where id = part.id;
      most := most - 10;
      continue;
    end if;
    select min(created_at) into batch_from from (
      select created_at from buildkite.builds
      where pipeline_id = part.pipeline_id and created_at < coalesce(part.scanned_to, 'infinity')
      order by created_at desc limit most
    ) as newest;
    select array_agg(id), array_agg(distinct (coalesce(finished_at, created_at) at time zone 'UTC')::date) into builds, ended from (
      select id, created_at, finished_at from buildkite.builds
      where pipeline_id = part.pipeline_id and created_at >= batch_from and created_at < coalesce(part.scanned_to, 'infinity')
      union all
      select id, created_at, finished_at from buildkite.builds
      where pipeline_id = part.pipeline_id and created_at is null and part.scanned_to is null
    ) as batch;
    -- A pipeline's jobs matter only if a rule for a step can make them deployments.
    if exists (select from settings.deployment_rules where step is not null) then
      ended := ended || array(
        select distinct (finished_at at time zone 'UTC')::date from buildkite.jobs where build_id = any (builds) and finished_at is not null);
    end if;
    ended := array_remove(ended, null);
    insert into sync.stale_days (day, only_deployments) select distinct unnest(ended), true;
    days := days || ended;
    if batch_from is null then
      delete from sync.stale_history where id = part.id;
    else
      update sync.stale_history set scanned_to = batch_from where id = part.id;
    end if;
    most := most - coalesce(array_length(builds, 1), 0) - 10;
  end loop;
  return case when days is not null then array(select distinct unnest(days)) end;
end $_$;

COMMENT ON FUNCTION sync.mark_stale_history(most integer) IS 'Rebuilds the trunk health of pipelines in sync.stale_history, and adds the days that other changes made stale to sync.stale_days, processing about the given number of builds. Call it until it returns null. Returns the days that were added.';

CREATE FUNCTION sync.merge_agent_days(changed text[], which date, is_whole boolean) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  agents constant uuid[] := case when not is_whole then array(select distinct split_part(one, ' ', 2) from unnest(changed) as one) end;
  day date;
begin
  -- Jobs run on over midnight.
  for day in select distinct split_part(one, ' ', 1)::date from unnest(changed) as one union select which where is_whole loop
    perform sync.replace_rows('analytics.agents_daily', 'day = ($1 at time zone ''UTC'')::date and ($3 is null or agent_id = any ($3))',
      'sync.agents_of_day($1, $3)', 'null', day::timestamp at time zone 'UTC', null, agents);
  end loop;
end $_$;

COMMENT ON FUNCTION sync.merge_agent_days(changed text[], which date, is_whole boolean) IS 'Makes the rows of agents by day from sync.agent_days. changed has a day and the id of an agent in each element.';

CREATE FUNCTION sync.merge_day(which date, pipelines uuid[] DEFAULT NULL::uuid[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  day_start constant timestamptz := which::timestamp at time zone 'UTC';
  scope constant text := 'day = ($1 at time zone ''UTC'')::date and ($3 is null or coalesce(pipeline_id, ''00000000-0000-0000-0000-000000000000'') = any ($3))';
begin
  if cardinality(pipelines) = 0 then
    return;
  end if;
  perform sync.replace_rows('analytics.build_results_daily', scope, 'sync.build_results_of_day($1, $3)', 'null', day_start, null, pipelines);
  perform sync.replace_rows('analytics.pipeline_durations_daily', scope, 'sync.pipeline_durations_of_day($1, $3)', 'null', day_start, null, pipelines);
  perform sync.replace_rows('analytics.branch_durations_daily', scope, 'sync.branch_durations_of_day($1, $3)', 'null', day_start, null, pipelines);
  perform sync.replace_rows('analytics.trunk_health_daily', scope, 'sync.trunk_health_of($1, $1 + interval ''24 hours'', $3)', 'null', day_start, null, pipelines);
  perform sync.replace_rows('analytics.jobs_daily', scope, 'sync.jobs_of_day($1, $3)', 'null', day_start, null, pipelines);
  perform sync.replace_rows('analytics.minutes_daily', scope, 'sync.minutes_of_day($1, $3)', 'null', day_start, null, pipelines);
end $_$;

COMMENT ON FUNCTION sync.merge_day(which date, pipelines uuid[]) IS 'Makes the rows by day of some or all pipelines from the rows by hour.';

CREATE FUNCTION sync.merge_queue_hours(hours timestamp with time zone[], which date) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  day_start constant timestamptz := which::timestamp at time zone 'UTC';
begin
  -- Jobs run on into later hours, also of the next day.
  perform sync.replace_rows('analytics.queue_waits_hourly', 'hour >= $1 and hour < $2', 'sync.waits_of_hours($1, $2)', 'null', since, until)
  from sync.hour_ranges(hours);
  if cardinality(hours) > 0 then
    perform sync.replace_rows('analytics.queue_waits_daily', 'day = ($1 at time zone ''UTC'')::date', 'sync.waits_of_day($1)', 'null', day_start);
  end if;
end $_$;

COMMENT ON FUNCTION sync.merge_queue_hours(hours timestamp with time zone[], which date) IS 'Makes the rows of queues by hour, for the given hours, and by day from sync.queue_hours.';

CREATE TABLE analytics.minutes_daily (
    day date NOT NULL,
    organization_id uuid,
    pipeline_id uuid,
    branch text,
    queue text NOT NULL,
    tries bigint NOT NULL,
    minutes double precision NOT NULL,
    minutes_infra_lost double precision NOT NULL,
    minutes_canceled double precision NOT NULL,
    minutes_retried double precision NOT NULL,
    minutes_rebuilt double precision NOT NULL,
    cluster_id uuid
);

COMMENT ON TABLE analytics.minutes_daily IS 'Agent minutes of command jobs by pipeline, branch, cluster, queue and the day (UTC) they finished, and the part wasted, each minute under the first reason that applies: agent lost, canceled (the job or its build), retried, rebuilt. A rollup table.';

COMMENT ON COLUMN analytics.minutes_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.minutes_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.minutes_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.minutes_daily.branch IS 'Branch.';

COMMENT ON COLUMN analytics.minutes_daily.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.minutes_daily.tries IS 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';

COMMENT ON COLUMN analytics.minutes_daily.minutes IS 'Agent minutes.';

COMMENT ON COLUMN analytics.minutes_daily.minutes_infra_lost IS 'Minutes of jobs whose agent was lost.';

COMMENT ON COLUMN analytics.minutes_daily.minutes_canceled IS 'Minutes of jobs that were canceled or whose build was.';

COMMENT ON COLUMN analytics.minutes_daily.minutes_retried IS 'Minutes of tries that another try replaced.';

COMMENT ON COLUMN analytics.minutes_daily.minutes_rebuilt IS 'Minutes of builds that somebody rebuilt.';

COMMENT ON COLUMN analytics.minutes_daily.cluster_id IS 'clusters.id; null outside clusters.';

CREATE FUNCTION sync.minutes_of_day(day_start timestamp with time zone, pipelines uuid[]) RETURNS SETOF analytics.minutes_daily
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select (day_start at time zone 'UTC')::date, ran.organization_id, ran.pipeline_id, ran.branch, ran.queue, sum(ran.tries)::bigint,
    sum(ran.run_ms)::double precision / 60000, sum(ran.infra_lost_ms)::double precision / 60000,
    sum(ran.canceled_ms)::double precision / 60000, sum(ran.retried_ms)::double precision / 60000,
    sum(ran.rebuilt_ms)::double precision / 60000, ran.cluster_id
  from sync.minutes_hours as ran
  where ran.hour >= day_start and ran.hour < day_start + interval '24 hours'
    and (pipelines is null or coalesce(ran.pipeline_id, '00000000-0000-0000-0000-000000000000') = any (pipelines))
  group by ran.organization_id, ran.pipeline_id, ran.branch, ran.queue, ran.cluster_id;
end $$;

COMMENT ON FUNCTION sync.minutes_of_day(day_start timestamp with time zone, pipelines uuid[]) IS 'The rows of analytics.minutes_daily for one day, from sync.minutes_hours.';

CREATE TABLE sync.minutes_hours (
    hour timestamp with time zone NOT NULL,
    organization_id uuid,
    pipeline_id uuid,
    branch text,
    queue text NOT NULL,
    cluster_id uuid,
    tries bigint NOT NULL,
    run_ms bigint NOT NULL,
    infra_lost_ms bigint NOT NULL,
    canceled_ms bigint NOT NULL,
    retried_ms bigint NOT NULL,
    rebuilt_ms bigint NOT NULL
);

COMMENT ON TABLE sync.minutes_hours IS 'The rows of analytics.minutes_daily by the hour (UTC) in which jobs ended. A rollup table.';

COMMENT ON COLUMN sync.minutes_hours.hour IS 'Start of the hour.';

COMMENT ON COLUMN sync.minutes_hours.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.minutes_hours.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN sync.minutes_hours.branch IS 'Branch.';

COMMENT ON COLUMN sync.minutes_hours.queue IS 'Queue.';

COMMENT ON COLUMN sync.minutes_hours.cluster_id IS 'clusters.id.';

COMMENT ON COLUMN sync.minutes_hours.tries IS 'How many tries of jobs ended.';

COMMENT ON COLUMN sync.minutes_hours.run_ms IS 'Milliseconds that they ran.';

COMMENT ON COLUMN sync.minutes_hours.infra_lost_ms IS 'Of tries that lost their agent or machine.';

COMMENT ON COLUMN sync.minutes_hours.canceled_ms IS 'Of the others, in canceled builds or canceled themselves.';

COMMENT ON COLUMN sync.minutes_hours.retried_ms IS 'Of the others, retried.';

COMMENT ON COLUMN sync.minutes_hours.rebuilt_ms IS 'Of the others, in builds that were rebuilt.';

CREATE FUNCTION sync.minutes_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) RETURNS SETOF sync.minutes_hours
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select try.hour, try.organization_id, try.pipeline_id, try.branch, try.queue, try.cluster_id, count(*),
    coalesce(sum(try.run_ms), 0)::bigint,
    coalesce(sum(try.run_ms) filter (where try.lost = 'infra_lost'), 0)::bigint, coalesce(sum(try.run_ms) filter (where try.lost = 'canceled'), 0)::bigint,
    coalesce(sum(try.run_ms) filter (where try.lost = 'retried'), 0)::bigint, coalesce(sum(try.run_ms) filter (where try.lost = 'rebuilt'), 0)::bigint
  from (
    select ended.*, hours.hour, case
      when ended.result = 'infra_lost' then 'infra_lost'
      when ended.result = 'canceled' or ended.build_canceled then 'canceled'
      when ended.retried then 'retried'
      when ended.rebuilt then 'rebuilt'
    end as lost
    from unnest(tries) as ended
    cross join lateral (select date_bin('1 hour', ended.ended_at, since) as hour) as hours
    where hours.hour >= since and hours.hour < until and ended.result not in ('skipped', 'broken')
  ) as try
  group by try.hour, try.organization_id, try.pipeline_id, try.branch, try.queue, try.cluster_id;
end $$;

COMMENT ON FUNCTION sync.minutes_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) IS 'The rows of sync.minutes_hours for the hours of a range, from all present jobs.';

CREATE TABLE analytics.pipeline_durations_daily (
    day date,
    organization_id uuid,
    pipeline_id uuid,
    builds bigint,
    passed bigint,
    mean_seconds double precision,
    p50_seconds double precision,
    p75_seconds double precision,
    p90_seconds double precision,
    p95_seconds double precision,
    passed_p50_seconds double precision,
    passed_p90_seconds double precision,
    first_p50_seconds double precision,
    first_p90_seconds double precision,
    wait_p50_seconds double precision,
    run_histogram integer[],
    passed_run_histogram integer[],
    first_run_histogram integer[],
    wait_histogram integer[]
);

COMMENT ON TABLE analytics.pipeline_durations_daily IS 'How long builds ran, by pipeline and the day (UTC) they finished: the total of the attempts without pauses, as far as finishes were seen. For a build that ran before the mirror existed the API shows only the last. Practice disagrees on whether failures count: percentiles are over passed and failed builds; passed_ over passed ones only; first_ over first attempts only. A rollup table.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.builds IS 'How many builds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.passed IS 'How many passed.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.mean_seconds IS 'Mean, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.p50_seconds IS 'Median, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.p75_seconds IS '75th percentile, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.p90_seconds IS '90th percentile, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.p95_seconds IS '95th percentile, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.passed_p50_seconds IS 'Median of those that passed, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.passed_p90_seconds IS '90th percentile of those that passed, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.first_p50_seconds IS 'Median of first attempts, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.first_p90_seconds IS '90th percentile of first attempts, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.wait_p50_seconds IS 'Median of the wait from created to first started, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.run_histogram IS 'Running time: whole seconds and how many builds, alternating.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.passed_run_histogram IS 'The same of passed builds.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.first_run_histogram IS 'The same of first attempts.';

COMMENT ON COLUMN analytics.pipeline_durations_daily.wait_histogram IS 'Waits before the first start: whole seconds and how many builds, alternating.';

CREATE FUNCTION sync.pipeline_durations_of_day(day_start timestamp with time zone, pipelines uuid[]) RETURNS SETOF analytics.pipeline_durations_daily
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select (day_start at time zone 'UTC')::date, merged.organization_id, merged.pipeline_id, merged.builds, merged.passed,
    merged.run_ms / 1000.0::double precision / nullif(analytics.histogram_count(merged.run), 0),
    analytics.percentile(merged.run, 0.5), analytics.percentile(merged.run, 0.75),
    analytics.percentile(merged.run, 0.9), analytics.percentile(merged.run, 0.95),
    analytics.percentile(merged.passed_run, 0.5), analytics.percentile(merged.passed_run, 0.9),
    analytics.percentile(merged.first_run, 0.5), analytics.percentile(merged.first_run, 0.9), analytics.percentile(merged.wait, 0.5),
    merged.run, merged.passed_run, merged.first_run, merged.wait
  from (
    select built.organization_id, built.pipeline_id, sum(built.passed + built.failed)::bigint as builds, sum(built.passed)::bigint as passed,
      sum(built.run_ms) as run_ms, analytics.merge_histograms(built.run_histogram) as run,
      analytics.merge_histograms(built.passed_run_histogram) as passed_run,
      analytics.merge_histograms(built.first_run_histogram) as first_run, analytics.merge_histograms(built.wait_histogram) as wait
    from analytics.builds_hourly as built
    where built.hour >= day_start and built.hour < day_start + interval '24 hours' and built.passed + built.failed > 0
      and (pipelines is null or coalesce(built.pipeline_id, '00000000-0000-0000-0000-000000000000') = any (pipelines))
    group by built.organization_id, built.pipeline_id
  ) as merged;
end $$;

COMMENT ON FUNCTION sync.pipeline_durations_of_day(day_start timestamp with time zone, pipelines uuid[]) IS 'The rows of analytics.pipeline_durations_daily for one day, from analytics.builds_hourly.';

CREATE TABLE sync.queue_hours (
    started_hour timestamp with time zone NOT NULL,
    hour timestamp with time zone NOT NULL,
    organization_id uuid,
    cluster_id uuid,
    queue text NOT NULL,
    started bigint NOT NULL,
    wait_ms bigint NOT NULL,
    max_wait_ms bigint,
    wait_histogram integer[] NOT NULL,
    concurrency_wait_ms bigint NOT NULL,
    busy_ms bigint NOT NULL
);

COMMENT ON TABLE sync.queue_hours IS 'What the jobs that started in an hour (UTC) add to that hour and later ones, by queue. analytics.queue_waits_hourly and queue_waits_daily are merged from it. A rollup table.';

COMMENT ON COLUMN sync.queue_hours.started_hour IS 'Start of the hour in which the jobs started.';

COMMENT ON COLUMN sync.queue_hours.hour IS 'Start of the hour in which they ran.';

COMMENT ON COLUMN sync.queue_hours.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.queue_hours.cluster_id IS 'clusters.id.';

COMMENT ON COLUMN sync.queue_hours.queue IS 'Queue.';

COMMENT ON COLUMN sync.queue_hours.started IS 'How many started in the hour: 0 in later ones.';

COMMENT ON COLUMN sync.queue_hours.wait_ms IS 'Milliseconds that they waited for an agent, in total.';

COMMENT ON COLUMN sync.queue_hours.max_wait_ms IS 'The longest wait.';

COMMENT ON COLUMN sync.queue_hours.wait_histogram IS 'Waits for an agent: whole seconds and how many jobs, alternating.';

COMMENT ON COLUMN sync.queue_hours.concurrency_wait_ms IS 'Milliseconds that they waited for concurrency groups, in total.';

COMMENT ON COLUMN sync.queue_hours.busy_ms IS 'Milliseconds that they ran within the hour, in total.';

CREATE FUNCTION sync.queues_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) RETURNS SETOF sync.queue_hours
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select started.hour, ran.hour, try.organization_id, try.cluster_id, try.queue,
    count(*) filter (where ran.hour = started.hour),
    coalesce(sum(try.wait_ms) filter (where ran.hour = started.hour), 0)::bigint,
    max(try.wait_ms) filter (where ran.hour = started.hour),
    analytics.histogram_of(array_agg(analytics.whole_seconds(try.wait_ms / 1000.0::double precision)) filter (where ran.hour = started.hour)),
    coalesce(sum(try.concurrency_wait_ms) filter (where ran.hour = started.hour), 0)::bigint,
    sum(case when try.run_ms is null then 0
      else round(1000 * analytics.seconds(greatest(try.started_at, ran.hour), least(try.finished_at, ran.hour + interval '1 hour'))) end)::bigint
  from unnest(tries) as try
  cross join lateral (select date_bin('1 hour', try.started_at, since) as hour) as started
  cross join lateral (
    select hours.hour from (
      select distinct date_trunc('day', moment, 'UTC') as day_start from unnest(array[try.started_at, try.finished_at, try.expired_at]) as moment
      where moment is not null
    ) as days
    cross join lateral generate_series(
      greatest(days.day_start, started.hour),
      least(case when try.run_ms is null then try.started_at else greatest(try.started_at, try.finished_at) end, days.day_start + interval '23 hours 59 minutes 59.999999 seconds'),
      interval '1 hour'
    ) as hours (hour)
  ) as ran
  where started.hour >= since and started.hour < until
  group by started.hour, ran.hour, try.organization_id, try.cluster_id, try.queue;
end $$;

COMMENT ON FUNCTION sync.queues_of_hours(since timestamp with time zone, until timestamp with time zone, tries sync.command_try[]) IS 'The rows of sync.queue_hours for jobs that started in the hours of a range, from all present jobs.';

CREATE FUNCTION sync.refresh_day(which date) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  perform sync.refresh_hours(which);
end $$;

COMMENT ON FUNCTION sync.refresh_day(which date) IS 'Rebuilds the rollup tables of analytics for one day (UTC).';

CREATE FUNCTION sync.refresh_deployments(since timestamp with time zone, until timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  fresh constant analytics.deployments[] := array(select sync.deployments_between(since, until));
begin
  delete from analytics.deployments as stored where stored.deployed_at >= since and stored.deployed_at < until
    and not exists (select from unnest(fresh) as one where one = stored);
  -- A deployment that finished again in this range still has its row in the earlier range, which may be rebuilt later.
  delete from analytics.deployments as stored using unnest(fresh) as one where stored.id = one.id and stored <> one;
  insert into analytics.deployments select one.* from unnest(fresh) as one
  where not exists (select from analytics.deployments as stored where stored.id = one.id);
end $$;

COMMENT ON FUNCTION sync.refresh_deployments(since timestamp with time zone, until timestamp with time zone) IS 'Makes the rows of analytics.deployments right for the builds and jobs that finished in a range of time.';

CREATE FUNCTION sync.refresh_hours(which date, hours_of_day integer[] DEFAULT NULL::integer[]) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    SET max_parallel_workers_per_gather TO '0'
    SET plan_cache_mode TO 'force_generic_plan'
    SET work_mem TO '32MB'
    AS $_$
declare
  day_start constant timestamptz := which::timestamp at time zone 'UTC';
  is_whole constant boolean := hours_of_day is null;
  marked constant timestamptz[] := array(
    select day_start + hour * interval '1 hour' from unnest(coalesce(hours_of_day, array(select generate_series(0, 23)))) as hour);
  pipeline constant text := 'coalesce(pipeline_id, ''00000000-0000-0000-0000-000000000000'')';
  of_hours constant text := 'hour >= $1 and hour < $2';
  of_started_hours constant text := 'started_hour >= $1 and started_hour < $2';
  -- Many hours in one go take far less time, but their tries are in memory.
  longest constant interval := case when (
    select count(*) from (select from buildkite.jobs where finished_at >= day_start and finished_at < day_start + interval '24 hours' limit 100001) as ended
  ) > 100000 then interval '1 hour' else interval '24 hours' end;
  since timestamptz;
  until timestamptz;
  tries sync.command_try[];
  -- What changed.
  pipelines text[] := '{}';
  hours text[] := '{}';
  agents text[] := '{}';
begin
  for since, until in select * from sync.hour_ranges(marked, longest) loop
    tries := array(select sync.tries_of_hours(since, until));
    pipelines := pipelines
      || sync.replace_rows('analytics.builds_hourly', of_hours, 'sync.builds_of_hours($1, $2)', pipeline, since, until)
      || sync.replace_rows('analytics.jobs_hourly', of_hours, 'sync.jobs_of_hours($1, $2, $4)', pipeline, since, until, null, tries)
      || sync.replace_rows('sync.minutes_hours', of_hours, 'sync.minutes_of_hours($1, $2, $4)', pipeline, since, until, null, tries);
    hours := hours || sync.replace_rows('sync.queue_hours', of_started_hours, 'sync.queues_of_hours($1, $2, $4)', 'hour', since, until, null, tries);
    agents := agents || sync.replace_rows('sync.agent_days', of_started_hours, 'sync.agents_of_hours($1, $2, $4)', 'day || '' '' || agent_id', since, until,
      null, tries);
    perform sync.replace_rows('analytics.build_minutes_hourly', of_hours, 'sync.build_minutes_of_hours($1, $2, $4)', 'null', since, until, null, tries);
    perform sync.replace_rows('analytics.job_minutes_hourly', of_hours, 'sync.job_minutes_of_hours($1, $2, $4)', 'null', since, until, null, tries);
    perform sync.replace_rows('sync.builds_found', of_hours, 'sync.builds_found_of_hours($1, $2)', 'null', since, until);
    perform sync.replace_rows('sync.jobs_found', of_hours, 'sync.jobs_found_of_hours($1, $2, $4)', 'null', since, until, null, tries);
    perform sync.refresh_queue_hours(since, until);
    if not is_whole then
      perform sync.refresh_deployments(since, until);
    end if;
  end loop;
  if is_whole then
    perform sync.refresh_deployments(day_start, day_start + interval '24 hours');
    hours := hours || marked::text[];
  end if;
  perform sync.merge_day(which, case when not is_whole then pipelines::uuid[] end);
  perform sync.merge_queue_hours(hours::timestamptz[], which);
  perform sync.merge_agent_days(agents, which, is_whole);
end $_$;

COMMENT ON FUNCTION sync.refresh_hours(which date, hours_of_day integer[]) IS 'Rebuilds the rollup tables for hours (0 to 23) of a day (UTC), or for the whole day: the rows by hour from the mirror, then those rows by day that may differ from the rows by hour.';

CREATE FUNCTION sync.refresh_marked_day(which date) RETURNS boolean
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  began constant timestamptz := clock_timestamp();
  day_start constant timestamptz := which::timestamp at time zone 'UTC';
  is_whole boolean;
  hours integer[];
  with_deployments boolean;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror rollups', 0)) then
    return false;
  end if;
  -- Marks that arrive while the day is rebuilt stay for the next run.
  with marks as (delete from sync.stale_days where day = which returning hour, only_deployments)
  select bool_or(hour is null and not only_deployments), array_agg(distinct hour) filter (where hour is not null), bool_or(only_deployments)
  into is_whole, hours, with_deployments from marks;
  -- Before version 0.2 days had no rows by hour. Merging a few hours would then leave out the others.
  if hours is not null and not exists (select from analytics.builds_hourly where hour >= day_start and hour < day_start + interval '24 hours')
    and not exists (select from analytics.jobs_hourly where hour >= day_start and hour < day_start + interval '24 hours')
    and not exists (select from sync.queue_hours where started_hour >= day_start and started_hour < day_start + interval '24 hours') then
    is_whole := true;
  end if;
  if is_whole then
    perform sync.refresh_day(which);
  else
    if hours is not null then
      perform sync.refresh_hours(which, hours);
    end if;
    if with_deployments then
      perform sync.refresh_deployments(day_start, day_start + interval '24 hours');
    end if;
  end if;
  insert into sync.rollups (name, refreshed_at, took_ms)
  values ('days', began, extract(epoch from clock_timestamp() - began) * 1000)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, took_ms = excluded.took_ms;
  return true;
end $$;

COMMENT ON FUNCTION sync.refresh_marked_day(which date) IS 'Rebuilds the rollup tables for the stale hours of one day (UTC). Returns false and does nothing if another process rebuilds it.';

CREATE FUNCTION sync.refresh_queue_hours(since timestamp with time zone, until timestamp with time zone) RETURNS void
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET jit TO 'off'
    AS $$
declare
  step constant interval := interval '5 minutes';
  first_hour constant timestamptz := (select date_trunc('hour', min(created_at), 'UTC') from buildkite.builds where created_at >= '2013-01-01');
begin
  delete from analytics.queue_depths where at >= since and at < until;
  delete from analytics.agents_hourly where hour >= since and hour < until;
  with work as materialized (
    select * from sync.jobs_between(since, until)
  ), intervals as materialized (
    select organization_id, cluster_id, queue, agent_id, waits_from as began, waits_to as ended, 1 as waits, 0 as runs from work
    where waits_from < waits_to and waits_from < until and waits_to > since
    union all
    select organization_id, cluster_id, queue, agent_id, runs_from, runs_to, 0, 1 from work
    where runs_from < runs_to and runs_from < until and runs_to > since
  ), moments as (
    -- A queue has the points of the hours in which one of its jobs waited or ran.
    select organization_id, cluster_id, queue, point as at, 0 as waits, 0 as runs, true as is_point
    from (
      select distinct organization_id, cluster_id, queue, hour
      from intervals
      cross join generate_series(date_bin('1 hour', greatest(began, since), since), least(ended, until) - interval '1 microsecond', interval '1 hour') as hour
    ) as queues
    join sync.last_heard as heard using (organization_id)
    cross join generate_series(hour, hour + interval '55 minutes', step) as point
    where point < heard.heard_at
    union all
    select organization_id, cluster_id, queue, greatest(began, since), waits, runs, false from intervals
    union all
    select organization_id, cluster_id, queue, ended, -waits, -runs, false from intervals where ended < until
  ), levels as (
    select organization_id, cluster_id, queue, at, is_point,
      sum(waits) over the_queue as waiting, sum(runs) over the_queue as running, null::double precision as waited
    from moments window the_queue as (partition by organization_id, cluster_id, queue order by at)
    union all
    select organization_id, cluster_id, queue, point, false, null, null, extract(epoch from point - began)
    from intervals
    cross join generate_series(date_bin(step, greatest(began, since), since), least(ended, until) - interval '1 microsecond', step) as point
    where waits = 1 and point >= began
  ), depths as (
    insert into analytics.queue_depths
    select slot, organization_id, cluster_id, queue,
      max(waiting) filter (where is_point), max(waited), max(running) filter (where is_point), max(waiting), max(running)
    from levels cross join lateral (select date_bin(step, at, since) as slot) as slots
    group by slot, organization_id, cluster_id, queue having bool_or(is_point)
  ), spans as materialized (
    -- Of each agent, cut at the hours.
    select hour, agent_id, is_connected, greatest(began, hour) as began, least(ended, hour + interval '1 hour') as ended
    from (
      select agent_id, true as is_connected, connected_from as began, connected_to as ended from sync.connections_between(since, until)
      union all
      select agent_id, false, greatest(began, since), least(ended, until) from intervals where runs = 1 and agent_id is not null
    ) as span
    cross join generate_series(date_bin('1 hour', began, since), ended - interval '1 microsecond', interval '1 hour') as hour
    where hour >= first_hour
  ), agents as materialized (
    select agent.id, agent.organization_id, agent.cluster_id, agent.queue,
      dense_rank() over (order by agent.organization_id, agent.cluster_id, agent.queue) as queue_number
    from (select distinct agent_id from spans) as seen
    -- Looked up by id: a company may have had a million agents.
    cross join lateral (select id, organization_id, cluster_id, queue from analytics.agents where agents.id = seen.agent_id offset 0) as agent
  ), spent as (
    select hour, queue_number, count(*) as agents, sum(connected) as connected, sum(busy) as busy, sum(greatest(connected - busy, 0)) as idle
    from (
      select hour, agent_id,
        coalesce(sum(seconds) filter (where is_connected), 0) as connected, coalesce(sum(seconds) filter (where not is_connected), 0) as busy
      from spans cross join lateral (select extract(epoch from ended - began)::double precision as seconds) as lasted
      group by hour, agent_id
    ) as of_agent
    join agents on agents.id = of_agent.agent_id
    group by hour, queue_number
  ), together as (
    select hour, queue_number, max(level) as most
    from (
      select hour, queue_number, sum(sum(change.by)) over (partition by hour, queue_number order by change.at) as level
      from spans
      join agents on agents.id = spans.agent_id
      cross join lateral (values (began, 1), (ended, -1)) as change (at, by)
      where is_connected and change.at < hour + interval '1 hour'
      group by hour, queue_number, change.at
    ) as levels group by hour, queue_number
  )
  insert into analytics.agents_hourly
  select hour, queues.organization_id, queues.cluster_id, queues.queue, spent.agents, coalesce(together.most, 0), spent.connected, spent.busy, spent.idle
  from spent
  join (select distinct queue_number, organization_id, cluster_id, queue from agents) as queues using (queue_number)
  left join together using (hour, queue_number);
end $$;

COMMENT ON FUNCTION sync.refresh_queue_hours(since timestamp with time zone, until timestamp with time zone) IS 'Rebuilds queue_depths and agents_hourly for the hours of a range (UTC).';

CREATE FUNCTION sync.refresh_rollups() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  turn timestamptz;
  stale date;
begin
  perform sync.mark_stale_history();
  select seen_to into turn from sync.rollups where name = 'days';
  turn := coalesce(turn, clock_timestamp());
  select max(day) into stale from sync.stale_days where marked_at <= turn;
  if stale is not null then
    if not sync.refresh_marked_day(stale) then
      return 0;
    end if;
    update sync.rollups set seen_to = turn where name = 'days';
    return 1;
  end if;
  insert into sync.rollups (name, refreshed_at, took_ms) values ('days', clock_timestamp(), 0)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, seen_to = null;
  return 0;
end $$;

COMMENT ON FUNCTION sync.refresh_rollups() IS 'Rebuilds the newest day that was stale when the run began. Returns 1, or 0 if the run is complete or another process rebuilds: call it until it returns 0. Days that become stale meanwhile wait for the next run, so that a busy day does not delay the others.';

CREATE FUNCTION sync.refresh_users() RETURNS integer
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
declare
  began constant timestamptz := clock_timestamp();
  since timestamptz;
  people integer;
begin
  if not pg_try_advisory_xact_lock(hashtextextended('buildkite-mirror users', 0)) then
    return 0;
  end if;
  -- Both times are by the clock of Postgres. Ten minutes back, for transactions that were open then. Reading a person twice changes nothing.
  select coalesce(max(seen_to) - interval '10 minutes', '-infinity') into since from sync.rollups where name = 'users';

  insert into sync.user_identities as known (id, email, username, name, last_seen_at)
  select id, min(email), min(username), (array_agg(name order by seen_at desc nulls last) filter (where name is not null))[1], max(seen_at)
  from (
    select creator_id as id, lower(nullif(creator_email, '')) as email, null as username, creator_name as name, created_at as seen_at
    from buildkite.builds where changed_at > since
    union all
    select null, lower(nullif(author_email, '')), lower(nullif(author_username, '')), author_name, created_at from buildkite.builds where changed_at > since
    union all
    select unblocked_by_id, lower(nullif(unblocked_by_email, '')), null, unblocked_by_name, unblocked_at
    from buildkite.jobs where changed_at > since and unblocked_at is not null
    union all
    select retried_by_id, lower(nullif(retried_by_email, '')), null, retried_by_name, finished_at
    from buildkite.jobs where changed_at > since and retried_in_job_id is not null
    union all
    select created_by_id, lower(nullif(created_by_email, '')), null, created_by_name, created_at from buildkite.pipelines where changed_at > since
    union all
    select id, lower(nullif(email, '')), null, name, changed_at from buildkite.members where changed_at > since
  ) as seen
  where id is not null or email is not null or username is not null
  -- Grouped as in the index: an upsert may not change the same row twice.
  group by id, md5(coalesce(email, '')), md5(coalesce(username, ''))
  on conflict ((coalesce(id::text, '')), md5(coalesce(email, '')), md5(coalesce(username, ''))) do update
    set name = case when excluded.last_seen_at >= known.last_seen_at or known.name is null then coalesce(excluded.name, known.name) else known.name end, last_seen_at = greatest(excluded.last_seen_at, known.last_seen_at);

  -- One person: the same id, otherwise an e-mail address that belongs to an id, otherwise the address, otherwise the user name.
  with by_email as (
    select email, min(id::text)::uuid as id from sync.user_identities where id is not null and email is not null group by email
  ), named as (
    select coalesce(seen.id, by_email.id) as id, seen.email, seen.username, seen.name, seen.last_seen_at, seen.id is not null as certain,
      coalesce(seen.id::text, by_email.id::text, seen.email, 'username:' || seen.username) as known_by
    from sync.user_identities as seen left join by_email on seen.id is null and by_email.email = seen.email
  ), united as (
    select case when length(known_by) <= 500 then known_by else 'md5:' || md5(known_by) end as key, min(id::text)::uuid as id,
      (array_agg(name order by certain desc, last_seen_at desc nulls last) filter (where name is not null))[1] as name,
      (array_agg(email order by certain desc, last_seen_at desc nulls last) filter (where email is not null))[1] as email,
      coalesce(array_agg(distinct email) filter (where email is not null), '{}') as emails,
      coalesce(array_agg(distinct username) filter (where username is not null), '{}') as usernames,
      max(last_seen_at) as last_seen_at
    from named group by 1
  ), gone as (
    delete from buildkite.users where key not in (select key from united)
  )
  insert into buildkite.users as known (key, id, name, email, emails, usernames, is_member, last_seen_at, changed_at)
  select key, id, name, email, emails, usernames,
    exists (select from buildkite.members where members.id = united.id and members.deleted_at is null), last_seen_at, began
  from united
  on conflict (key) do update set id = excluded.id, name = excluded.name, email = excluded.email, emails = excluded.emails,
    usernames = excluded.usernames, is_member = excluded.is_member, last_seen_at = excluded.last_seen_at, changed_at = excluded.changed_at
  where (known.id, known.name, known.email, known.emails, known.usernames, known.is_member, known.last_seen_at)
    is distinct from (excluded.id, excluded.name, excluded.email, excluded.emails, excluded.usernames, excluded.is_member, excluded.last_seen_at);
  get diagnostics people = row_count;

  insert into sync.rollups (name, refreshed_at, seen_to, took_ms)
  values ('users', began, began, extract(epoch from clock_timestamp() - began) * 1000)
  on conflict (name) do update set refreshed_at = excluded.refreshed_at, seen_to = excluded.seen_to, took_ms = excluded.took_ms;
  return people;
end $$;

COMMENT ON FUNCTION sync.refresh_users() IS 'Adds the people that new builds, jobs, pipelines and members name, and rebuilds buildkite.users. Returns how many rows changed.';

CREATE FUNCTION sync.replace_rows(relation text, scope text, fresh text, key text, since timestamp with time zone, until timestamp with time zone DEFAULT NULL::timestamp with time zone, ids uuid[] DEFAULT NULL::uuid[], tries sync.command_try[] DEFAULT NULL::sync.command_try[]) RETURNS text[]
    LANGUAGE plpgsql
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $_$
declare
  has_rows boolean;
  keys text[];
begin
  execute format('select exists (select from %s where %s)', relation, scope) into has_rows using since, until, ids;
  -- Without tries there are no fresh rows.
  if not has_rows and cardinality(tries) = 0 then
    return '{}';
  end if;
  execute case
    -- As the last case, planned in a fraction of the time: most days are rebuilt once, and many hours have no tries.
    when not has_rows then format('with changed as (insert into %s select * from %s returning %s as key)', relation, fresh, key)
    when cardinality(tries) = 0 then format('with changed as (delete from %s where %s returning %s as key)', relation, scope, key)
    else format(
      'with fresh as materialized (select one from %3$s as one), removed as (
        delete from %1$s as stored where (%2$s) and not exists (select from fresh where fresh.one = stored) returning %4$s as key
      ), added as (
        insert into %1$s select (fresh.one).* from fresh
        where not exists (select from %1$s as stored where (%2$s) and stored = fresh.one) returning %4$s as key
      ), changed as (select key from removed union all select key from added)',
      relation, scope, fresh, key)
  end || ' select array_agg(distinct key::text) from changed' into keys using since, until, ids, tries;
  return coalesce(keys, '{}');
end $_$;

COMMENT ON FUNCTION sync.replace_rows(relation text, scope text, fresh text, key text, since timestamp with time zone, until timestamp with time zone, ids uuid[], tries sync.command_try[]) IS 'Makes the rows of a table in scope equal to those that a function returns. Returns the distinct keys of the rows that changed. In scope and in the call of the function, $1 is since, $2 is until, $3 is ids and $4 is tries.';

CREATE FUNCTION sync.tries_of_hours(since timestamp with time zone, until timestamp with time zone) RETURNS SETOF sync.command_try
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    SET enable_seqscan TO 'off'
    SET jit TO 'off'
    AS $$
begin
  return query
  select
    build.organization_id, build.pipeline_id, build.branch, job.agent_id, job.agent_name, job.cluster_id,
    coalesce(analytics.queue_of(job.agent_query_rules), queue.key, 'default'),
    analytics.job_name(job.name, job.label, job.step_key, job.command),
    analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason),
    coalesce(job.retried, false) or job.retried_in_job_id is not null,
    build.state = 'canceled',
    build.rebuilt,
    job.first_seen_via = 'rest' and job.first_seen_at > job.started_at + interval '10 seconds',
    job.started_at::timestamptz, job.finished_at::timestamptz, job.expired_at::timestamptz, coalesce(job.finished_at, job.expired_at)::timestamptz,
    round(1000 * analytics.seconds(job.started_at, job.finished_at))::bigint,
    round(1000 * analytics.seconds(job.runnable_at, job.started_at))::bigint,
    job.concurrency_wait_time_ms,
    job.build_id, nullif(job.group_key, ''), nullif(job.step_key, '')
  from buildkite.jobs as job
  cross join lateral (
    select organization_id, pipeline_id, branch, state,
      (select true from buildkite.builds as rebuild where rebuild.rebuilt_from_id = builds.id limit 1) is not null as rebuilt
    from buildkite.builds where id = job.build_id offset 0
  ) as build
  left join buildkite.cluster_queues as queue on queue.id = job.cluster_queue_id
  where job.type = 'script'
    and (job.started_at >= since and job.started_at < until or job.finished_at >= since and job.finished_at < until
      or job.expired_at >= since and job.expired_at < until);
end $$;

COMMENT ON FUNCTION sync.tries_of_hours(since timestamp with time zone, until timestamp with time zone) IS 'The tries of command jobs of known builds that started, finished or expired in a range of time.';

CREATE TABLE analytics.trunk_health_daily (
    day date,
    organization_id uuid,
    pipeline_id uuid,
    builds bigint,
    red_builds bigint,
    commits bigint,
    red_commits bigint,
    green_rate double precision,
    last_result text,
    blocked bigint
);

COMMENT ON TABLE analytics.trunk_health_daily IS 'The default branch by day (UTC): builds and commits that ended red. A build that waits at a gate has no colour and is counted in blocked only; if every good build waits at a gate, green_rate is that of the others. By the present default branch: after a rename all days are rebuilt, and earlier ones contain only what ran on a branch of the new name. A rollup table.';

COMMENT ON COLUMN analytics.trunk_health_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.trunk_health_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.trunk_health_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.trunk_health_daily.builds IS 'How many builds.';

COMMENT ON COLUMN analytics.trunk_health_daily.red_builds IS 'Builds that failed.';

COMMENT ON COLUMN analytics.trunk_health_daily.commits IS 'How many commits.';

COMMENT ON COLUMN analytics.trunk_health_daily.red_commits IS 'Commits with a failed build.';

COMMENT ON COLUMN analytics.trunk_health_daily.green_rate IS 'Passed builds divided by passed and failed ones, 0 to 1. Null if all wait at a gate.';

COMMENT ON COLUMN analytics.trunk_health_daily.last_result IS 'Result of the day''s last build, by number.';

COMMENT ON COLUMN analytics.trunk_health_daily.blocked IS 'How many wait at a gate. They count as neither green nor red. Null on days that were not rebuilt since this column was added.';

CREATE FUNCTION sync.trunk_health_of(since timestamp with time zone, until timestamp with time zone, pipelines uuid[]) RETURNS SETOF analytics.trunk_health_daily
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select (built.hour at time zone 'UTC')::date, built.organization_id, built.pipeline_id,
    -- A row for each commit: the first one carries the counts.
    coalesce(sum(built.passed + built.failed) filter (where commit.place is not distinct from 1), 0)::bigint,
    coalesce(sum(built.failed) filter (where commit.place is not distinct from 1), 0)::bigint,
    count(distinct commit.sha),
    count(distinct commit.sha) filter (where commit.sha = any (built.red_commits)),
    sum(built.passed) filter (where commit.place is not distinct from 1)::double precision
      / nullif(sum(built.passed + built.failed) filter (where commit.place is not distinct from 1), 0)::double precision,
    (array_agg(built.last_result order by built.last_build_number desc) filter (where built.last_result is not null))[1],
    coalesce(sum(built.blocked) filter (where commit.place is not distinct from 1), 0)::bigint
  from analytics.builds_hourly as built
  join buildkite.pipelines as pipeline on pipeline.id = built.pipeline_id and pipeline.default_branch = built.branch
  cross join lateral (
    select place, sha from unnest(built.commits) with ordinality as one (sha, place)
    union all select 1, null where built.commits = '{}'
  ) as commit
  where built.hour >= since and built.hour < until and (pipelines is null or built.pipeline_id = any (pipelines))
    and built.passed + built.failed + built.blocked > 0
  group by 1, built.organization_id, built.pipeline_id;
end $$;

COMMENT ON FUNCTION sync.trunk_health_of(since timestamp with time zone, until timestamp with time zone, pipelines uuid[]) IS 'The rows of analytics.trunk_health_daily for the days of a range of time, from analytics.builds_hourly.';

CREATE TABLE analytics.queue_waits_daily (
    day date NOT NULL,
    organization_id uuid,
    cluster_id uuid,
    queue text NOT NULL,
    started bigint NOT NULL,
    mean_seconds double precision,
    p50_seconds double precision,
    p75_seconds double precision,
    p90_seconds double precision,
    p95_seconds double precision,
    max_seconds double precision,
    concurrency_wait_seconds double precision NOT NULL,
    wait_histogram integer[]
);

COMMENT ON TABLE analytics.queue_waits_daily IS 'Waits for an agent by queue and the day (UTC) the job started, from runnable_at to started_at. Waits for other steps or a concurrency group are not included. Only command jobs that started. A rollup table.';

COMMENT ON COLUMN analytics.queue_waits_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.queue_waits_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.queue_waits_daily.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.queue_waits_daily.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.queue_waits_daily.started IS 'How many jobs started.';

COMMENT ON COLUMN analytics.queue_waits_daily.mean_seconds IS 'Mean, in seconds.';

COMMENT ON COLUMN analytics.queue_waits_daily.p50_seconds IS 'Median, in seconds.';

COMMENT ON COLUMN analytics.queue_waits_daily.p75_seconds IS '75th percentile, in seconds.';

COMMENT ON COLUMN analytics.queue_waits_daily.p90_seconds IS '90th percentile, in seconds.';

COMMENT ON COLUMN analytics.queue_waits_daily.p95_seconds IS '95th percentile, in seconds.';

COMMENT ON COLUMN analytics.queue_waits_daily.max_seconds IS 'Longest, in seconds.';

COMMENT ON COLUMN analytics.queue_waits_daily.concurrency_wait_seconds IS 'Seconds that these jobs waited for concurrency groups before, in total.';

COMMENT ON COLUMN analytics.queue_waits_daily.wait_histogram IS 'Waits: whole seconds and how many jobs, alternating.';

CREATE FUNCTION sync.waits_of_day(day_start timestamp with time zone) RETURNS SETOF analytics.queue_waits_daily
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select (day_start at time zone 'UTC')::date, merged.organization_id, merged.cluster_id, merged.queue, merged.started,
    merged.wait_ms / 1000.0::double precision / nullif(analytics.histogram_count(merged.wait), 0),
    analytics.percentile(merged.wait, 0.5), analytics.percentile(merged.wait, 0.75),
    analytics.percentile(merged.wait, 0.9), analytics.percentile(merged.wait, 0.95),
    merged.max_wait_ms / 1000.0::double precision, merged.concurrency_wait_ms / 1000.0::double precision, merged.wait
  from (
    select ran.organization_id, ran.cluster_id, ran.queue, sum(ran.started)::bigint as started, sum(ran.wait_ms) as wait_ms,
      max(ran.max_wait_ms) as max_wait_ms, sum(ran.concurrency_wait_ms) as concurrency_wait_ms, analytics.merge_histograms(ran.wait_histogram) as wait
    from sync.queue_hours as ran
    where ran.started_hour >= day_start and ran.started_hour < day_start + interval '24 hours' and ran.hour = ran.started_hour
    group by ran.organization_id, ran.cluster_id, ran.queue
  ) as merged;
end $$;

COMMENT ON FUNCTION sync.waits_of_day(day_start timestamp with time zone) IS 'The rows of analytics.queue_waits_daily for one day, from sync.queue_hours.';

CREATE TABLE analytics.queue_waits_hourly (
    hour timestamp with time zone NOT NULL,
    organization_id uuid,
    cluster_id uuid,
    queue text NOT NULL,
    started bigint NOT NULL,
    p50_seconds double precision,
    p90_seconds double precision,
    p95_seconds double precision,
    max_seconds double precision,
    busy_seconds double precision NOT NULL,
    wait_histogram integer[]
);

COMMENT ON TABLE analytics.queue_waits_hourly IS 'As queue_waits_daily, by hour (UTC), with the time that the queue''s jobs ran in that hour. A job of more than a day is counted in the hours of its first and last day. A rollup table.';

COMMENT ON COLUMN analytics.queue_waits_hourly.hour IS 'Start of the hour.';

COMMENT ON COLUMN analytics.queue_waits_hourly.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.queue_waits_hourly.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.queue_waits_hourly.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.queue_waits_hourly.started IS 'How many jobs started in the hour.';

COMMENT ON COLUMN analytics.queue_waits_hourly.p50_seconds IS 'Median, in seconds.';

COMMENT ON COLUMN analytics.queue_waits_hourly.p90_seconds IS '90th percentile, in seconds.';

COMMENT ON COLUMN analytics.queue_waits_hourly.p95_seconds IS '95th percentile, in seconds.';

COMMENT ON COLUMN analytics.queue_waits_hourly.max_seconds IS 'Longest, in seconds.';

COMMENT ON COLUMN analytics.queue_waits_hourly.busy_seconds IS 'Seconds that jobs ran, in total.';

COMMENT ON COLUMN analytics.queue_waits_hourly.wait_histogram IS 'Waits: whole seconds and how many jobs, alternating.';

CREATE FUNCTION sync.waits_of_hours(since timestamp with time zone, until timestamp with time zone) RETURNS SETOF analytics.queue_waits_hourly
    LANGUAGE plpgsql STABLE
    SET search_path TO 'pg_catalog', 'pg_temp'
    AS $$
begin
  return query
  select merged.hour, merged.organization_id, merged.cluster_id, merged.queue, merged.started, analytics.percentile(merged.wait, 0.5),
    analytics.percentile(merged.wait, 0.9), analytics.percentile(merged.wait, 0.95), merged.max_wait_ms / 1000.0::double precision,
    merged.busy_ms / 1000.0::double precision, merged.wait
  from (
    select ran.hour, ran.organization_id, ran.cluster_id, ran.queue, sum(ran.started)::bigint as started, max(ran.max_wait_ms) as max_wait_ms,
      sum(ran.busy_ms) as busy_ms, analytics.merge_histograms(ran.wait_histogram) as wait
    from sync.queue_hours as ran where ran.hour >= since and ran.hour < until
    group by ran.hour, ran.organization_id, ran.cluster_id, ran.queue
  ) as merged;
end $$;

COMMENT ON FUNCTION sync.waits_of_hours(since timestamp with time zone, until timestamp with time zone) IS 'The rows of analytics.queue_waits_hourly for the hours of a range, from sync.queue_hours.';

CREATE AGGREGATE analytics.histogram(integer) (
    SFUNC = array_append,
    STYPE = integer[],
    INITCOND = '{}',
    FINALFUNC = analytics.histogram_of,
    COMBINEFUNC = array_cat,
    PARALLEL = safe
);

COMMENT ON AGGREGATE analytics.histogram(integer) IS 'The histogram of whole seconds: distinct seconds in ascending order, each followed by how often it occurs. Nulls are left out.';

CREATE AGGREGATE analytics.merge_histograms(integer[]) (
    SFUNC = analytics.append_histogram,
    STYPE = integer[],
    INITCOND = '{}',
    FINALFUNC = analytics.compact_histogram,
    COMBINEFUNC = analytics.append_histogram,
    PARALLEL = safe
);

COMMENT ON AGGREGATE analytics.merge_histograms(integer[]) IS 'One histogram of all values that are in several, such as the hours of a day, the days of a month or the pipelines of a team.';

CREATE TABLE buildkite.agents (
    id uuid NOT NULL,
    organization_id uuid,
    graphql_id text,
    url text,
    web_url text,
    name text,
    connection_state text,
    hostname text,
    ip_address text,
    user_agent text,
    version text,
    os_id text,
    arch text,
    queue text,
    creator_id uuid,
    creator_name text,
    creator_email text,
    created_at timestamp(3) with time zone,
    connected_at timestamp(3) with time zone,
    disconnected_at timestamp(3) with time zone,
    lost_at timestamp(3) with time zone,
    stopped_at timestamp(3) with time zone,
    job_id uuid,
    last_job_finished_at timestamp(3) with time zone,
    priority integer,
    meta_data text[],
    paused boolean,
    paused_at timestamp(3) with time zone,
    paused_by_id uuid,
    paused_by_name text,
    paused_by_email text,
    paused_note text,
    paused_timeout_in_minutes integer,
    cluster_url text,
    cluster_queue_url text,
    observed_at timestamp(3) with time zone NOT NULL,
    verified_at timestamp(3) with time zone,
    first_seen_at timestamp(3) with time zone NOT NULL,
    first_seen_via text NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone,
    deleted_reason text,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL
);

COMMENT ON TABLE buildkite.agents IS 'Agents that jobs and webhooks showed, each as last seen. Buildkite lists only connected ones, so this is the history of the agents that were seen, not a complete list.';

COMMENT ON COLUMN buildkite.agents.id IS 'Buildkite''s UUID of the agent. A restarted agent is a new one.';

COMMENT ON COLUMN buildkite.agents.organization_id IS 'organizations.id. Null until it is known to which organization the slug in its address belongs.';

COMMENT ON COLUMN buildkite.agents.graphql_id IS 'The same object''s id in the GraphQL API.';

COMMENT ON COLUMN buildkite.agents.url IS 'REST address.';

COMMENT ON COLUMN buildkite.agents.web_url IS 'Address in the browser.';

COMMENT ON COLUMN buildkite.agents.name IS 'Its name; not unique over time.';

COMMENT ON COLUMN buildkite.agents.connection_state IS 'never_connected, connected, disconnected, stopping, stopped, lost; may grow. As of observed_at: an agent that left unseen still shows connected.';

COMMENT ON COLUMN buildkite.agents.hostname IS 'Host it runs on.';

COMMENT ON COLUMN buildkite.agents.ip_address IS 'Address it connects from.';

COMMENT ON COLUMN buildkite.agents.user_agent IS 'Program and version, as the agent reports them.';

COMMENT ON COLUMN buildkite.agents.version IS 'Version of the agent.';

COMMENT ON COLUMN buildkite.agents.os_id IS 'Operating system, if known.';

COMMENT ON COLUMN buildkite.agents.arch IS 'Processor architecture, if known.';

COMMENT ON COLUMN buildkite.agents.queue IS 'Queue it serves.';

COMMENT ON COLUMN buildkite.agents.creator_id IS 'UUID of the user whose token it uses, if known.';

COMMENT ON COLUMN buildkite.agents.creator_name IS 'Name of that user.';

COMMENT ON COLUMN buildkite.agents.creator_email IS 'Email of that user.';

COMMENT ON COLUMN buildkite.agents.created_at IS 'When it registered (UTC).';

COMMENT ON COLUMN buildkite.agents.connected_at IS 'When it connected (UTC).';

COMMENT ON COLUMN buildkite.agents.disconnected_at IS 'When it disconnected (UTC).';

COMMENT ON COLUMN buildkite.agents.lost_at IS 'When Buildkite marked it as lost (UTC).';

COMMENT ON COLUMN buildkite.agents.stopped_at IS 'When it was requested to stop (UTC).';

COMMENT ON COLUMN buildkite.agents.job_id IS 'jobs.id of the job that it ran when it was observed. Often outdated: for history use jobs.agent_id.';

COMMENT ON COLUMN buildkite.agents.last_job_finished_at IS 'When its last job ended (UTC), as of observed_at.';

COMMENT ON COLUMN buildkite.agents.priority IS 'Priority among agents: higher gets jobs sooner.';

COMMENT ON COLUMN buildkite.agents.meta_data IS 'Its tags, each as key=value.';

COMMENT ON COLUMN buildkite.agents.paused IS 'Whether it is paused: connected, but taking no jobs.';

COMMENT ON COLUMN buildkite.agents.paused_at IS 'When it was paused (UTC).';

COMMENT ON COLUMN buildkite.agents.paused_by_id IS 'UUID of the user who paused it.';

COMMENT ON COLUMN buildkite.agents.paused_by_name IS 'Name of the user who paused it.';

COMMENT ON COLUMN buildkite.agents.paused_by_email IS 'Email of the user who paused it.';

COMMENT ON COLUMN buildkite.agents.paused_note IS 'Why it was paused.';

COMMENT ON COLUMN buildkite.agents.paused_timeout_in_minutes IS 'After how many minutes the pause ends automatically.';

COMMENT ON COLUMN buildkite.agents.cluster_url IS 'REST address of its cluster.';

COMMENT ON COLUMN buildkite.agents.cluster_queue_url IS 'REST address of its queue.';

COMMENT ON COLUMN buildkite.agents.observed_at IS 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';

COMMENT ON COLUMN buildkite.agents.verified_at IS 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';

COMMENT ON COLUMN buildkite.agents.first_seen_at IS 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';

COMMENT ON COLUMN buildkite.agents.first_seen_via IS 'What first showed the object: webhook or rest.';

COMMENT ON COLUMN buildkite.agents.changed_at IS 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';

COMMENT ON COLUMN buildkite.agents.deleted_at IS 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';

COMMENT ON COLUMN buildkite.agents.deleted_reason IS 'Why Buildkite no longer shows the object. not_found: a read of the object got a 404. not_listed: the complete list does not contain it. pipeline_not_listed: a build that was not found, whose pipeline is gone. May grow. Deletion, retention and lost access can look alike.';

COMMENT ON COLUMN buildkite.agents.extra IS 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';

CREATE TABLE buildkite.organizations (
    id uuid NOT NULL,
    graphql_id text,
    url text,
    web_url text,
    name text,
    slug text,
    pipelines_url text,
    agents_url text,
    emojis_url text,
    created_at timestamp(3) with time zone,
    observed_at timestamp(3) with time zone NOT NULL,
    verified_at timestamp(3) with time zone,
    first_seen_at timestamp(3) with time zone NOT NULL,
    first_seen_via text NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone,
    deleted_reason text,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL
);

COMMENT ON TABLE buildkite.organizations IS 'Organizations that the API tokens see, or that webhooks named. One row each; a rename keeps the row (names over time: organization_slugs).';

COMMENT ON COLUMN buildkite.organizations.id IS 'Buildkite''s UUID of the organization. Never changes.';

COMMENT ON COLUMN buildkite.organizations.graphql_id IS 'The same object''s id in the GraphQL API.';

COMMENT ON COLUMN buildkite.organizations.url IS 'REST address. Contains the slug, so it changes with a rename.';

COMMENT ON COLUMN buildkite.organizations.web_url IS 'Address in the browser. Changes with a rename.';

COMMENT ON COLUMN buildkite.organizations.name IS 'Display name.';

COMMENT ON COLUMN buildkite.organizations.slug IS 'Name in URLs, at present. Changes with a rename: join by id.';

COMMENT ON COLUMN buildkite.organizations.pipelines_url IS 'REST address of its pipelines.';

COMMENT ON COLUMN buildkite.organizations.agents_url IS 'REST address of its agents.';

COMMENT ON COLUMN buildkite.organizations.emojis_url IS 'REST address of its emojis.';

COMMENT ON COLUMN buildkite.organizations.created_at IS 'When it was created in Buildkite (UTC).';

COMMENT ON COLUMN buildkite.organizations.observed_at IS 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';

COMMENT ON COLUMN buildkite.organizations.verified_at IS 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';

COMMENT ON COLUMN buildkite.organizations.first_seen_at IS 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';

COMMENT ON COLUMN buildkite.organizations.first_seen_via IS 'What first showed the object: webhook or rest.';

COMMENT ON COLUMN buildkite.organizations.changed_at IS 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';

COMMENT ON COLUMN buildkite.organizations.deleted_at IS 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';

COMMENT ON COLUMN buildkite.organizations.deleted_reason IS 'Why Buildkite no longer shows the object. no_access: no API token sees it any more. hidden: the same, although webhooks show it.';

COMMENT ON COLUMN buildkite.organizations.extra IS 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';

CREATE VIEW analytics.agents AS
 SELECT agent.id,
    agent.organization_id,
    agent.name AS agent_name,
    COALESCE(agent.queue, analytics.queue_of(agent.meta_data), 'default'::text) AS queue,
    agent.connection_state,
    ((agent.connection_state = ANY (ARRAY['connected'::text, 'stopping'::text])) AND (agent.deleted_at IS NULL)) AS is_connected,
    (agent.job_id IS NOT NULL) AS is_busy,
    agent.version,
    agent.hostname,
    agent.os_id,
    agent.arch,
    agent.paused,
    agent.connected_at,
    agent.disconnected_at,
    agent.lost_at,
    agent.stopped_at,
    agent.last_job_finished_at,
    agent.meta_data,
    agent.changed_at,
    agent.created_at,
    agent.ip_address,
    organization.slug AS organization,
    ("substring"(COALESCE(agent.cluster_url, agent.cluster_queue_url), '/clusters/([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})'::text))::uuid AS cluster_id,
    agent.deleted_at
   FROM (buildkite.agents agent
     LEFT JOIN buildkite.organizations organization ON ((organization.id = agent.organization_id)));

COMMENT ON VIEW analytics.agents IS 'Agents as last seen, including those that are gone.';

COMMENT ON COLUMN analytics.agents.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.agents.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.agents.agent_name IS 'Name of the agent.';

COMMENT ON COLUMN analytics.agents.queue IS 'Queue that it serves.';

COMMENT ON COLUMN analytics.agents.connection_state IS 'never_connected, connected, disconnected, stopping, stopped or lost.';

COMMENT ON COLUMN analytics.agents.is_connected IS 'Whether it is connected or stopping, and the lists of agents show it.';

COMMENT ON COLUMN analytics.agents.is_busy IS 'Whether it runs a job.';

COMMENT ON COLUMN analytics.agents.version IS 'Version of the agent.';

COMMENT ON COLUMN analytics.agents.hostname IS 'Name of its machine.';

COMMENT ON COLUMN analytics.agents.os_id IS 'Operating system.';

COMMENT ON COLUMN analytics.agents.arch IS 'Processor architecture.';

COMMENT ON COLUMN analytics.agents.paused IS 'Whether it is paused.';

COMMENT ON COLUMN analytics.agents.connected_at IS 'When it connected.';

COMMENT ON COLUMN analytics.agents.disconnected_at IS 'When it disconnected.';

COMMENT ON COLUMN analytics.agents.lost_at IS 'When it was found lost.';

COMMENT ON COLUMN analytics.agents.stopped_at IS 'When it stopped.';

COMMENT ON COLUMN analytics.agents.last_job_finished_at IS 'When its last job finished.';

COMMENT ON COLUMN analytics.agents.meta_data IS 'Meta-data, as key=value.';

COMMENT ON COLUMN analytics.agents.changed_at IS 'When the row last changed in the mirror; indexed below, for incremental loads.';

COMMENT ON COLUMN analytics.agents.created_at IS 'When it registered.';

COMMENT ON COLUMN analytics.agents.ip_address IS 'Address it connects from.';

COMMENT ON COLUMN analytics.agents.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.agents.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.agents.deleted_at IS 'When a list of agents lacked it, although it had not disconnected; null otherwise.';

CREATE TABLE buildkite.agent_connections (
    agent_id uuid NOT NULL,
    connected_at timestamp(3) with time zone NOT NULL,
    ended_at timestamp(3) with time zone,
    ended_as text,
    observed_at timestamp(3) with time zone NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    first_seen_via text NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE buildkite.agent_connections IS 'Each known connection of an agent, from connect to end. agents has only the last.';

COMMENT ON COLUMN buildkite.agent_connections.agent_id IS 'agents.id.';

COMMENT ON COLUMN buildkite.agent_connections.connected_at IS 'When the agent connected, in whole seconds.';

COMMENT ON COLUMN buildkite.agent_connections.ended_at IS 'When the connection ended; null while it lasts, or if its end is not known.';

COMMENT ON COLUMN buildkite.agent_connections.ended_as IS 'disconnected, lost or stopped, as Buildkite says; unlisted: a list of agents lacked the agent, and ended_at is when it was last seen.';

COMMENT ON COLUMN buildkite.agent_connections.observed_at IS 'Time of the payload that showed the end, or showed the connection first.';

COMMENT ON COLUMN buildkite.agent_connections.first_seen_at IS 'When the mirror first saw the connection.';

COMMENT ON COLUMN buildkite.agent_connections.first_seen_via IS 'webhook or rest.';

COMMENT ON COLUMN buildkite.agent_connections.changed_at IS 'When the row was last written.';

CREATE VIEW analytics.agent_connections AS
 SELECT connection.agent_id,
    agent.organization_id,
    agent.cluster_id,
    agent.queue,
    agent.agent_name,
    connection.connected_at,
    connection.ended_at,
    connection.ended_as,
    analytics.seconds(connection.connected_at, connection.ended_at) AS connected_seconds,
    connection.changed_at
   FROM (buildkite.agent_connections connection
     LEFT JOIN analytics.agents agent ON ((agent.id = connection.agent_id)));

COMMENT ON VIEW analytics.agent_connections IS 'Each known connection of an agent, also of agents that are gone.';

COMMENT ON COLUMN analytics.agent_connections.agent_id IS 'agents.id.';

COMMENT ON COLUMN analytics.agent_connections.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.agent_connections.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.agent_connections.queue IS 'Queue that the agent serves.';

COMMENT ON COLUMN analytics.agent_connections.agent_name IS 'Name of the agent.';

COMMENT ON COLUMN analytics.agent_connections.connected_at IS 'When it connected.';

COMMENT ON COLUMN analytics.agent_connections.ended_at IS 'When the connection ended; null while it lasts, or if its end is not known.';

COMMENT ON COLUMN analytics.agent_connections.ended_as IS 'disconnected, lost or stopped, as Buildkite says; unlisted: a list of agents lacked the agent, and ended_at is when it was last seen.';

COMMENT ON COLUMN analytics.agent_connections.connected_seconds IS 'Seconds from connected_at to ended_at.';

COMMENT ON COLUMN analytics.agent_connections.changed_at IS 'When the row last changed in the mirror; indexed below, for incremental loads.';

CREATE TABLE analytics.agents_hourly (
    hour timestamp with time zone NOT NULL,
    organization_id uuid,
    cluster_id uuid,
    queue text NOT NULL,
    agents integer NOT NULL,
    most_connected integer NOT NULL,
    connected_seconds double precision NOT NULL,
    busy_seconds double precision NOT NULL,
    idle_seconds double precision NOT NULL
);

COMMENT ON TABLE analytics.agents_hourly IS 'How long the agents of a queue were connected, busy and idle, by hour (UTC). From events of agents exact; from REST alone, an agent is known only if a list or a job showed it. A rollup table.';

COMMENT ON COLUMN analytics.agents_hourly.hour IS 'Start of the hour.';

COMMENT ON COLUMN analytics.agents_hourly.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.agents_hourly.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.agents_hourly.queue IS 'Queue that the agents serve.';

COMMENT ON COLUMN analytics.agents_hourly.agents IS 'Agents that were connected or busy in the hour.';

COMMENT ON COLUMN analytics.agents_hourly.most_connected IS 'The most agents that were connected at the same time.';

COMMENT ON COLUMN analytics.agents_hourly.connected_seconds IS 'Seconds that agents were connected, in total.';

COMMENT ON COLUMN analytics.agents_hourly.busy_seconds IS 'Seconds that their jobs ran, in total.';

COMMENT ON COLUMN analytics.agents_hourly.idle_seconds IS 'Of each agent the connected seconds without the busy ones, in total.';

CREATE TABLE buildkite.annotations (
    id uuid NOT NULL,
    build_id uuid NOT NULL,
    context text,
    style text,
    body_html text,
    created_at timestamp(3) with time zone,
    updated_at timestamp(3) with time zone,
    organization_id uuid NOT NULL,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone,
    scope text,
    job_id uuid,
    priority integer
);

COMMENT ON TABLE buildkite.annotations IS 'Annotations of builds. Empty unless STORE_ANNOTATIONS is on.';

COMMENT ON COLUMN buildkite.annotations.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN buildkite.annotations.build_id IS 'builds.id.';

COMMENT ON COLUMN buildkite.annotations.context IS 'What distinguishes it from the other annotations of the build.';

COMMENT ON COLUMN buildkite.annotations.style IS 'success, info, warning or error.';

COMMENT ON COLUMN buildkite.annotations.body_html IS 'Its text, as HTML.';

COMMENT ON COLUMN buildkite.annotations.created_at IS 'When it was created.';

COMMENT ON COLUMN buildkite.annotations.updated_at IS 'When it was last changed.';

COMMENT ON COLUMN buildkite.annotations.organization_id IS 'organizations.id.';

COMMENT ON COLUMN buildkite.annotations.extra IS 'Fields that Buildkite sent and no column contains, under their own names.';

COMMENT ON COLUMN buildkite.annotations.first_seen_at IS 'When a list first contained it, on the mirror''s clock.';

COMMENT ON COLUMN buildkite.annotations.changed_at IS 'When a column last changed, on the clock of Postgres; for incremental loads.';

COMMENT ON COLUMN buildkite.annotations.deleted_at IS 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';

COMMENT ON COLUMN buildkite.annotations.scope IS 'build or job.';

COMMENT ON COLUMN buildkite.annotations.job_id IS 'jobs.id, if the scope is job.';

COMMENT ON COLUMN buildkite.annotations.priority IS '1 to 10; higher ones are shown first.';

CREATE TABLE buildkite.builds (
    id uuid NOT NULL,
    organization_id uuid,
    pipeline_id uuid,
    graphql_id text,
    url text,
    web_url text,
    number bigint,
    state text,
    blocked boolean,
    blocked_state text,
    cancel_reason text,
    message text,
    commit text,
    branch text,
    tag text,
    source text,
    author_username text,
    author_name text,
    author_email text,
    author_date timestamp(3) with time zone,
    creator_id uuid,
    creator_graphql_id text,
    creator_name text,
    creator_email text,
    creator_avatar_url text,
    creator_created_at timestamp(3) with time zone,
    created_at timestamp(3) with time zone,
    scheduled_at timestamp(3) with time zone,
    started_at timestamp(3) with time zone,
    finished_at timestamp(3) with time zone,
    failing_at timestamp(3) with time zone,
    meta_data jsonb,
    env jsonb,
    pull_request_id text,
    pull_request_base text,
    pull_request_repository text,
    pull_request_labels text[],
    merge_queue_base_branch text,
    rebuilt_from_id uuid,
    rebuilt_from_number bigint,
    rebuilt_from_url text,
    triggered_from_build_id uuid,
    triggered_from_build_number bigint,
    triggered_from_build_pipeline_slug text,
    cluster_id uuid,
    cluster_url text,
    test_engine jsonb,
    observed_at timestamp(3) with time zone NOT NULL,
    verified_at timestamp(3) with time zone,
    first_seen_at timestamp(3) with time zone NOT NULL,
    first_seen_via text NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone,
    deleted_reason text,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL
);

COMMENT ON TABLE buildkite.builds IS 'Builds in their present state. A finished build may run again: a retry or an unblock changes it back to running and overwrites started_at and finished_at. Its finishes are in build_attempts.';

COMMENT ON COLUMN buildkite.builds.id IS 'Buildkite''s UUID of the build.';

COMMENT ON COLUMN buildkite.builds.organization_id IS 'organizations.id. Null until it is known to which organization the slug in its address belongs.';

COMMENT ON COLUMN buildkite.builds.pipeline_id IS 'pipelines.id. Null until it is known to which pipeline the slug in its address belongs.';

COMMENT ON COLUMN buildkite.builds.graphql_id IS 'The same object''s id in the GraphQL API. Missing on builds before about 2019.';

COMMENT ON COLUMN buildkite.builds.url IS 'REST address. Contains the slugs of the time at which it was sent.';

COMMENT ON COLUMN buildkite.builds.web_url IS 'Address in the browser.';

COMMENT ON COLUMN buildkite.builds.number IS 'Number within its pipeline, counting up, with gaps. With pipeline_id it identifies the build.';

COMMENT ON COLUMN buildkite.builds.state IS 'creating, scheduled, running, passed, failing, failed, canceling, canceled, skipped, not_run; may grow. Never shows blocked: a build that waits at a block step keeps its last state, often passed, with blocked true. The effective state is case when blocked then ''blocked'' else state end.';

COMMENT ON COLUMN buildkite.builds.blocked IS 'True while the build waits at a block step for someone. It is then neither finished nor a success, whatever state and finished_at show.';

COMMENT ON COLUMN buildkite.builds.blocked_state IS 'What the build counts as while blocked: passed, failed or running; otherwise empty or null.';

COMMENT ON COLUMN buildkite.builds.cancel_reason IS 'Why it was canceled, if Buildkite shows a reason.';

COMMENT ON COLUMN buildkite.builds.message IS 'Usually the commit message. May be null.';

COMMENT ON COLUMN buildkite.builds.commit IS 'Commit to build: a full SHA, or HEAD or a branch name until the build starts, when it becomes the SHA.';

COMMENT ON COLUMN buildkite.builds.branch IS 'Branch built.';

COMMENT ON COLUMN buildkite.builds.tag IS 'Tag built; null for most builds.';

COMMENT ON COLUMN buildkite.builds.source IS 'What created it: webhook, api, ui, trigger_job, schedule; may grow.';

COMMENT ON COLUMN buildkite.builds.author_username IS 'Commit author''s user name, if the source host shows it.';

COMMENT ON COLUMN buildkite.builds.author_name IS 'Commit author''s name. The author wrote the commit; the creator started the build.';

COMMENT ON COLUMN buildkite.builds.author_email IS 'Commit author''s email.';

COMMENT ON COLUMN buildkite.builds.author_date IS 'When the commit was written, if known.';

COMMENT ON COLUMN buildkite.builds.creator_id IS 'UUID of the Buildkite user who started the build; null for committers Buildkite does not know.';

COMMENT ON COLUMN buildkite.builds.creator_graphql_id IS 'The creator''s id in the GraphQL API.';

COMMENT ON COLUMN buildkite.builds.creator_name IS 'The creator''s name.';

COMMENT ON COLUMN buildkite.builds.creator_email IS 'The creator''s email.';

COMMENT ON COLUMN buildkite.builds.creator_avatar_url IS 'Address of the creator''s picture.';

COMMENT ON COLUMN buildkite.builds.creator_created_at IS 'When the creator''s account was created.';

COMMENT ON COLUMN buildkite.builds.created_at IS 'When it was created (UTC). Never changes; the order of Buildkite''s lists.';

COMMENT ON COLUMN buildkite.builds.scheduled_at IS 'When it was scheduled (UTC). May be before created_at.';

COMMENT ON COLUMN buildkite.builds.started_at IS 'When it last started (UTC). Changes when a build runs again, so it may be later than a job''s started_at. Null before, and for a build that is blocked at its first step.';

COMMENT ON COLUMN buildkite.builds.finished_at IS 'When it last finished (UTC). A value does not mean that the build is finished: a blocked build has one too, and a retry clears or changes it. First and final finish: build_attempts.';

COMMENT ON COLUMN buildkite.builds.failing_at IS 'When it was first known to fail (UTC); since June 2026. Never cleared, even if a retry passes.';

COMMENT ON COLUMN buildkite.builds.meta_data IS 'Meta-data set by its steps: an object of strings. A change sends no webhook, so only REST shows it.';

COMMENT ON COLUMN buildkite.builds.env IS 'Environment of the build. May hold secrets: null unless STORE_ENV is on. REST only.';

COMMENT ON COLUMN buildkite.builds.pull_request_id IS 'Number of the pull request, as text; null outside pull requests.';

COMMENT ON COLUMN buildkite.builds.pull_request_base IS 'Branch that the pull request goes into.';

COMMENT ON COLUMN buildkite.builds.pull_request_repository IS 'Repository that the pull request comes from; a fork''s for forks.';

COMMENT ON COLUMN buildkite.builds.pull_request_labels IS 'Labels of the pull request, if known.';

COMMENT ON COLUMN buildkite.builds.merge_queue_base_branch IS 'Branch that the merge queue merges into; null outside merge queues.';

COMMENT ON COLUMN buildkite.builds.rebuilt_from_id IS 'builds.id of the build that this one rebuilds. A rebuild is a new build; a retry is not.';

COMMENT ON COLUMN buildkite.builds.rebuilt_from_number IS 'Number of that build.';

COMMENT ON COLUMN buildkite.builds.rebuilt_from_url IS 'REST address of that build.';

COMMENT ON COLUMN buildkite.builds.triggered_from_build_id IS 'builds.id of the build whose trigger step started this one.';

COMMENT ON COLUMN buildkite.builds.triggered_from_build_number IS 'Number of that build.';

COMMENT ON COLUMN buildkite.builds.triggered_from_build_pipeline_slug IS 'Slug of that build''s pipeline at the time.';

COMMENT ON COLUMN buildkite.builds.cluster_id IS 'UUID of the cluster it ran in; null outside clusters.';

COMMENT ON COLUMN buildkite.builds.cluster_url IS 'REST address of that cluster.';

COMMENT ON COLUMN buildkite.builds.test_engine IS 'Not filled: no list has it. Only version 0.1 wrote it, for builds that it read one by one.';

COMMENT ON COLUMN buildkite.builds.observed_at IS 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';

COMMENT ON COLUMN buildkite.builds.verified_at IS 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';

COMMENT ON COLUMN buildkite.builds.first_seen_at IS 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';

COMMENT ON COLUMN buildkite.builds.first_seen_via IS 'What first showed the object: webhook or rest.';

COMMENT ON COLUMN buildkite.builds.changed_at IS 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';

COMMENT ON COLUMN buildkite.builds.deleted_at IS 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';

COMMENT ON COLUMN buildkite.builds.deleted_reason IS 'Why Buildkite no longer shows the object. deleted: a read of the build got a 404, although its pipeline exists and older builds are listed. retention: the same, it is at least 30 days old, and Buildkite lists no build as old. pipeline_not_listed: its pipeline is gone. hidden: its pipeline exists, but is hidden from the API token''s user.';

COMMENT ON COLUMN buildkite.builds.extra IS 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';

CREATE VIEW analytics.annotations AS
 SELECT annotation.id,
    annotation.organization_id,
    build.pipeline_id,
    annotation.build_id,
    build.number AS build_number,
    annotation.job_id,
    annotation.context,
    annotation.style,
    annotation.scope,
    annotation.priority,
    annotation.body_html,
    annotation.created_at,
    annotation.updated_at,
    annotation.changed_at,
    annotation.deleted_at
   FROM (buildkite.annotations annotation
     LEFT JOIN buildkite.builds build ON ((build.id = annotation.build_id)));

COMMENT ON VIEW analytics.annotations IS 'Annotations of finished builds and their jobs, if STORE_ANNOTATIONS is set.';

COMMENT ON COLUMN analytics.annotations.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.annotations.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.annotations.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.annotations.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.annotations.build_number IS 'Number of the build.';

COMMENT ON COLUMN analytics.annotations.job_id IS 'jobs.id; null for an annotation of the build.';

COMMENT ON COLUMN analytics.annotations.context IS 'Context: an annotation with the same one replaces it.';

COMMENT ON COLUMN analytics.annotations.style IS 'success, info, warning or error.';

COMMENT ON COLUMN analytics.annotations.scope IS 'build or job.';

COMMENT ON COLUMN analytics.annotations.priority IS '1 to 10; higher ones are shown first.';

COMMENT ON COLUMN analytics.annotations.body_html IS 'Content, as HTML.';

COMMENT ON COLUMN analytics.annotations.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.annotations.updated_at IS 'When it was last changed.';

COMMENT ON COLUMN analytics.annotations.changed_at IS 'When the row last changed in the mirror.';

COMMENT ON COLUMN analytics.annotations.deleted_at IS 'When a list first lacked it; null: Buildkite lists it.';

CREATE TABLE buildkite.build_attempts (
    build_id uuid NOT NULL,
    finished_at timestamp(3) with time zone NOT NULL,
    started_at timestamp(3) with time zone,
    state text,
    blocked boolean,
    blocked_state text,
    observed_at timestamp(3) with time zone NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    first_seen_via text NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE buildkite.build_attempts IS 'Each distinct finish of a build. A retry or an unblock begins the next attempt. The first attempt is what people waited for; the last is what builds shows. Only finishes that were seen: one that came and went between two reads while its webhook was lost is missing.';

COMMENT ON COLUMN buildkite.build_attempts.build_id IS 'builds.id.';

COMMENT ON COLUMN buildkite.build_attempts.finished_at IS 'When this attempt finished (UTC), or came to a block step when blocked is true.';

COMMENT ON COLUMN buildkite.build_attempts.started_at IS 'When this attempt started (UTC), as the build said at its finish.';

COMMENT ON COLUMN buildkite.build_attempts.state IS 'State at this finish. If blocked is true it is not a result.';

COMMENT ON COLUMN buildkite.build_attempts.blocked IS 'True when the attempt ended at a block step: not finished, and not a success.';

COMMENT ON COLUMN buildkite.build_attempts.blocked_state IS 'What the build counted as while blocked.';

COMMENT ON COLUMN buildkite.build_attempts.observed_at IS 'When this finish was observed, on Buildkite''s clock.';

COMMENT ON COLUMN buildkite.build_attempts.first_seen_at IS 'When the mirror first saw this finish.';

COMMENT ON COLUMN buildkite.build_attempts.first_seen_via IS 'What first showed it: webhook or rest.';

COMMENT ON COLUMN buildkite.build_attempts.changed_at IS 'When this row was last written, on the clock of Postgres. For incremental loads.';

CREATE TABLE buildkite.jobs (
    id uuid NOT NULL,
    build_id uuid,
    graphql_id text,
    type text,
    name text,
    label text,
    step_key text,
    group_key text,
    step_id uuid,
    step_signature jsonb,
    priority_number integer,
    agent_query_rules text[],
    state text,
    build_url text,
    web_url text,
    log_url text,
    raw_log_url text,
    artifacts_url text,
    command text,
    soft_failed boolean,
    exit_status bigint,
    signal text,
    signal_reason text,
    broken_reason text,
    promised_exit_status bigint,
    promised_exit_status_at timestamp(3) with time zone,
    promised_exit_status_reason text,
    artifact_paths text,
    created_at timestamp(3) with time zone,
    scheduled_at timestamp(3) with time zone,
    runnable_at timestamp(3) with time zone,
    concurrency_wait_time_ms bigint,
    started_at timestamp(3) with time zone,
    finished_at timestamp(3) with time zone,
    expired_at timestamp(3) with time zone,
    retried boolean,
    retried_in_job_id uuid,
    retries_count integer,
    retry_source_job_id uuid,
    retry_source_retry_type text,
    retry_source_retried_by_name text,
    retry_source_retried_by_email text,
    retry_type text,
    retried_by_id uuid,
    retried_by_name text,
    retried_by_email text,
    parallel_group_index integer,
    parallel_group_total integer,
    matrix jsonb,
    agent_id uuid,
    agent_name text,
    cluster_id uuid,
    cluster_url text,
    cluster_queue_id uuid,
    cluster_queue_url text,
    unblocked_by_id uuid,
    unblocked_by_name text,
    unblocked_by_email text,
    unblocked_at timestamp(3) with time zone,
    unblockable boolean,
    unblock_url text,
    async boolean,
    triggered_build_id uuid,
    triggered_build_number bigint,
    triggered_build_url text,
    triggered_build_web_url text,
    observed_at timestamp(3) with time zone NOT NULL,
    verified_at timestamp(3) with time zone,
    first_seen_at timestamp(3) with time zone NOT NULL,
    first_seen_via text NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone,
    deleted_reason text,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL
);

COMMENT ON TABLE buildkite.jobs IS 'Jobs of builds. A retry is a new job and the old one keeps its result: count retried is not true for the latest of each step. Which columns have values depends on type; waiters have hardly any.';

COMMENT ON COLUMN buildkite.jobs.id IS 'Buildkite''s UUID of the job.';

COMMENT ON COLUMN buildkite.jobs.build_id IS 'builds.id.';

COMMENT ON COLUMN buildkite.jobs.graphql_id IS 'The same object''s id in the GraphQL API.';

COMMENT ON COLUMN buildkite.jobs.type IS 'script (a command), waiter, manual (block or input), trigger; may grow.';

COMMENT ON COLUMN buildkite.jobs.name IS 'Name of the step, if it has one. Manual jobs have a label instead.';

COMMENT ON COLUMN buildkite.jobs.label IS 'Label of a manual job.';

COMMENT ON COLUMN buildkite.jobs.step_key IS 'Key of the step, from the pipeline''s YAML. Stable across builds, unlike step_id.';

COMMENT ON COLUMN buildkite.jobs.group_key IS 'Key of the group that contains the step. REST only.';

COMMENT ON COLUMN buildkite.jobs.step_id IS 'UUID of the step within this build: shared by the retries and parallel jobs of one step.';

COMMENT ON COLUMN buildkite.jobs.step_signature IS 'Signature of the step, if pipelines are signed.';

COMMENT ON COLUMN buildkite.jobs.priority_number IS 'Priority in the queue; higher runs sooner, 0 is the default.';

COMMENT ON COLUMN buildkite.jobs.agent_query_rules IS 'Which agents may run it, such as queue=default.';

COMMENT ON COLUMN buildkite.jobs.state IS 'pending, waiting, waiting_failed, blocked, blocked_failed, unblocked, unblocked_failed, limiting, limited, platform_limiting, platform_limited, scheduled, reserved, assigned, accepted, running, passed, failed, canceling, canceled, timing_out, timed_out, expired, skipped, broken; may grow. Null for waiters. REST shows limited jobs as scheduled. broken: excluded by its configuration; skipped: by an external cause.';

COMMENT ON COLUMN buildkite.jobs.build_url IS 'REST address of its build.';

COMMENT ON COLUMN buildkite.jobs.web_url IS 'Address in the browser; null for manual jobs.';

COMMENT ON COLUMN buildkite.jobs.log_url IS 'REST address of its log.';

COMMENT ON COLUMN buildkite.jobs.raw_log_url IS 'REST address of its log as plain text.';

COMMENT ON COLUMN buildkite.jobs.artifacts_url IS 'REST address of its artifacts.';

COMMENT ON COLUMN buildkite.jobs.command IS 'The command it runs.';

COMMENT ON COLUMN buildkite.jobs.soft_failed IS 'True if it failed and was allowed to: its state is failed, but the build does not fail because of it.';

COMMENT ON COLUMN buildkite.jobs.exit_status IS 'Exit status of the command; -1 if the agent was lost. Null while it runs.';

COMMENT ON COLUMN buildkite.jobs.signal IS 'Signal that ended the command, such as SIGTERM.';

COMMENT ON COLUMN buildkite.jobs.signal_reason IS 'Why it was signalled: agent_stop, cancel, process_run_error, agent_refused, signature_rejected, stack_error, agent_incompatible; may grow.';

COMMENT ON COLUMN buildkite.jobs.broken_reason IS 'Why it is broken: conditional_failed, branch_mismatch or free text.';

COMMENT ON COLUMN buildkite.jobs.promised_exit_status IS 'Exit status that the running job announced before its end; since June 2026.';

COMMENT ON COLUMN buildkite.jobs.promised_exit_status_at IS 'When the job announced it.';

COMMENT ON COLUMN buildkite.jobs.promised_exit_status_reason IS 'Why the job announced it. Webhooks only.';

COMMENT ON COLUMN buildkite.jobs.artifact_paths IS 'Which files it uploads, as configured.';

COMMENT ON COLUMN buildkite.jobs.created_at IS 'When it was created (UTC).';

COMMENT ON COLUMN buildkite.jobs.scheduled_at IS 'When it was scheduled (UTC). May be before created_at, because it can be the time of the build.';

COMMENT ON COLUMN buildkite.jobs.runnable_at IS 'When only a free agent was missing (UTC). started_at - runnable_at is the wait for an agent.';

COMMENT ON COLUMN buildkite.jobs.concurrency_wait_time_ms IS 'Milliseconds that it waited for its concurrency group.';

COMMENT ON COLUMN buildkite.jobs.started_at IS 'When an agent started it (UTC).';

COMMENT ON COLUMN buildkite.jobs.finished_at IS 'When it ended (UTC). Does not change: a retry is another job.';

COMMENT ON COLUMN buildkite.jobs.expired_at IS 'When it expired because no agent took it (UTC), by default after 30 days.';

COMMENT ON COLUMN buildkite.jobs.retried IS 'True if a later job replaced it. Exclude such jobs to see each step once.';

COMMENT ON COLUMN buildkite.jobs.retried_in_job_id IS 'jobs.id of the job that replaced it.';

COMMENT ON COLUMN buildkite.jobs.retries_count IS 'How many retries preceded it: 0 or null is the first try.';

COMMENT ON COLUMN buildkite.jobs.retry_source_job_id IS 'jobs.id of the job that this one retries.';

COMMENT ON COLUMN buildkite.jobs.retry_source_retry_type IS 'How that job was retried: automatic or manual.';

COMMENT ON COLUMN buildkite.jobs.retry_source_retried_by_name IS 'Who retried it.';

COMMENT ON COLUMN buildkite.jobs.retry_source_retried_by_email IS 'Email of who retried that job.';

COMMENT ON COLUMN buildkite.jobs.retry_type IS 'How this job was itself retried: automatic or manual; null if it was not.';

COMMENT ON COLUMN buildkite.jobs.retried_by_id IS 'UUID of the user who retried this job.';

COMMENT ON COLUMN buildkite.jobs.retried_by_name IS 'Name of the user who retried this job.';

COMMENT ON COLUMN buildkite.jobs.retried_by_email IS 'Email of the user who retried this job.';

COMMENT ON COLUMN buildkite.jobs.parallel_group_index IS 'Its place among the parallel jobs of its step, from 0; null if not parallel.';

COMMENT ON COLUMN buildkite.jobs.parallel_group_total IS 'How many parallel jobs its step has.';

COMMENT ON COLUMN buildkite.jobs.matrix IS 'Its values of the build matrix, as Buildkite sends them.';

COMMENT ON COLUMN buildkite.jobs.agent_id IS 'agents.id of the agent that ran it; null before an agent took it.';

COMMENT ON COLUMN buildkite.jobs.agent_name IS 'Name of that agent at the time.';

COMMENT ON COLUMN buildkite.jobs.cluster_id IS 'UUID of the cluster it runs in.';

COMMENT ON COLUMN buildkite.jobs.cluster_url IS 'REST address of that cluster.';

COMMENT ON COLUMN buildkite.jobs.cluster_queue_id IS 'UUID of the queue it runs on.';

COMMENT ON COLUMN buildkite.jobs.cluster_queue_url IS 'REST address of that queue.';

COMMENT ON COLUMN buildkite.jobs.unblocked_by_id IS 'UUID of the user who unblocked a manual job.';

COMMENT ON COLUMN buildkite.jobs.unblocked_by_name IS 'Name of the user who unblocked a manual job.';

COMMENT ON COLUMN buildkite.jobs.unblocked_by_email IS 'Email of the user who unblocked a manual job.';

COMMENT ON COLUMN buildkite.jobs.unblocked_at IS 'When a manual job was unblocked (UTC).';

COMMENT ON COLUMN buildkite.jobs.unblockable IS 'Whether a manual job could be unblocked when it was observed.';

COMMENT ON COLUMN buildkite.jobs.unblock_url IS 'REST address that unblocks it.';

COMMENT ON COLUMN buildkite.jobs.async IS 'Whether a trigger job does not wait for the build it triggers.';

COMMENT ON COLUMN buildkite.jobs.triggered_build_id IS 'builds.id of the build that a trigger job started.';

COMMENT ON COLUMN buildkite.jobs.triggered_build_number IS 'Number of that build.';

COMMENT ON COLUMN buildkite.jobs.triggered_build_url IS 'REST address of that build.';

COMMENT ON COLUMN buildkite.jobs.triggered_build_web_url IS 'Address of that build in the browser.';

COMMENT ON COLUMN buildkite.jobs.observed_at IS 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';

COMMENT ON COLUMN buildkite.jobs.verified_at IS 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';

COMMENT ON COLUMN buildkite.jobs.first_seen_at IS 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';

COMMENT ON COLUMN buildkite.jobs.first_seen_via IS 'What first showed the object: webhook or rest.';

COMMENT ON COLUMN buildkite.jobs.changed_at IS 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';

COMMENT ON COLUMN buildkite.jobs.deleted_at IS 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';

COMMENT ON COLUMN buildkite.jobs.deleted_reason IS 'Why Buildkite no longer shows the object. not_listed: the complete list of its build''s jobs does not contain it.';

COMMENT ON COLUMN buildkite.jobs.extra IS 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';

CREATE TABLE buildkite.pipelines (
    id uuid NOT NULL,
    organization_id uuid,
    graphql_id text,
    url text,
    web_url text,
    name text,
    description text,
    slug text,
    repository text,
    cluster_id uuid,
    cluster_url text,
    pipeline_template_uuid uuid,
    branch_configuration text,
    default_branch text,
    skip_queued_branch_builds boolean,
    skip_queued_branch_builds_filter text,
    cancel_running_branch_builds boolean,
    cancel_running_branch_builds_filter text,
    allow_rebuilds boolean,
    provider_id text,
    provider_settings jsonb,
    builds_url text,
    badge_url text,
    clone_mirror_url text,
    created_by_id uuid,
    created_by_name text,
    created_by_email text,
    created_at timestamp(3) with time zone,
    archived_at timestamp(3) with time zone,
    scheduled_builds_count integer,
    running_builds_count integer,
    scheduled_jobs_count integer,
    running_jobs_count integer,
    waiting_jobs_count integer,
    visibility text,
    tags text[],
    emoji text,
    color text,
    env jsonb,
    configuration text,
    steps jsonb,
    observed_at timestamp(3) with time zone NOT NULL,
    verified_at timestamp(3) with time zone,
    first_seen_at timestamp(3) with time zone NOT NULL,
    first_seen_via text NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone,
    deleted_reason text,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    default_command_step_timeout integer,
    maximum_command_step_timeout integer
);

COMMENT ON TABLE buildkite.pipelines IS 'Pipelines, archived ones too. One row each; a rename keeps the row (names over time: pipeline_slugs). A pipeline known only from a build or webhook has few columns filled until REST lists it.';

COMMENT ON COLUMN buildkite.pipelines.id IS 'Buildkite''s UUID of the pipeline. A rename does not change it.';

COMMENT ON COLUMN buildkite.pipelines.organization_id IS 'organizations.id. Null until it is known to which organization the slug in its address belongs.';

COMMENT ON COLUMN buildkite.pipelines.graphql_id IS 'The same object''s id in the GraphQL API.';

COMMENT ON COLUMN buildkite.pipelines.url IS 'REST address. Contains the slugs, so it changes with a rename.';

COMMENT ON COLUMN buildkite.pipelines.web_url IS 'Address in the browser. Changes with a rename.';

COMMENT ON COLUMN buildkite.pipelines.name IS 'Display name.';

COMMENT ON COLUMN buildkite.pipelines.description IS 'Free text, or null.';

COMMENT ON COLUMN buildkite.pipelines.slug IS 'Name in URLs, at present. Changes with a rename: join by id.';

COMMENT ON COLUMN buildkite.pipelines.repository IS 'Address of the source repository, as configured.';

COMMENT ON COLUMN buildkite.pipelines.cluster_id IS 'UUID of the cluster it runs in; null outside clusters.';

COMMENT ON COLUMN buildkite.pipelines.cluster_url IS 'REST address of that cluster.';

COMMENT ON COLUMN buildkite.pipelines.pipeline_template_uuid IS 'UUID of the pipeline template it follows; null without one.';

COMMENT ON COLUMN buildkite.pipelines.branch_configuration IS 'Branch filter for which builds are created; null: all branches.';

COMMENT ON COLUMN buildkite.pipelines.default_branch IS 'Its default branch, usually main.';

COMMENT ON COLUMN buildkite.pipelines.skip_queued_branch_builds IS 'Whether a newer build skips those still waiting on the same branch: these end in state skipped.';

COMMENT ON COLUMN buildkite.pipelines.skip_queued_branch_builds_filter IS 'Branches to which skip_queued_branch_builds applies; null: all.';

COMMENT ON COLUMN buildkite.pipelines.cancel_running_branch_builds IS 'Whether a newer build cancels those running on the same branch: these end in state canceled.';

COMMENT ON COLUMN buildkite.pipelines.cancel_running_branch_builds_filter IS 'Branches to which cancel_running_branch_builds applies; null: all.';

COMMENT ON COLUMN buildkite.pipelines.allow_rebuilds IS 'Whether its builds may be rebuilt.';

COMMENT ON COLUMN buildkite.pipelines.provider_id IS 'Source host: github, github_enterprise, bitbucket, gitlab, gitlab_ee, private, unknown; may grow.';

COMMENT ON COLUMN buildkite.pipelines.provider_settings IS 'Settings of the source host, as Buildkite sends them, without the secret delivery address.';

COMMENT ON COLUMN buildkite.pipelines.builds_url IS 'REST address of its builds.';

COMMENT ON COLUMN buildkite.pipelines.badge_url IS 'Always null: the address gives access to the badge of a private pipeline, so it is not stored.';

COMMENT ON COLUMN buildkite.pipelines.clone_mirror_url IS 'Address of the mirror that agents clone from, if configured.';

COMMENT ON COLUMN buildkite.pipelines.created_by_id IS 'UUID of the user who created it.';

COMMENT ON COLUMN buildkite.pipelines.created_by_name IS 'Name of the user who created it.';

COMMENT ON COLUMN buildkite.pipelines.created_by_email IS 'Email of the user who created it.';

COMMENT ON COLUMN buildkite.pipelines.created_at IS 'When it was created in Buildkite (UTC).';

COMMENT ON COLUMN buildkite.pipelines.archived_at IS 'When it was archived; null: it is not. Its builds stay.';

COMMENT ON COLUMN buildkite.pipelines.scheduled_builds_count IS 'Builds waiting when it was observed. Often outdated: count rows of builds instead.';

COMMENT ON COLUMN buildkite.pipelines.running_builds_count IS 'Builds running when it was observed. Often outdated: count rows of builds instead.';

COMMENT ON COLUMN buildkite.pipelines.scheduled_jobs_count IS 'Jobs scheduled when it was observed. Often outdated.';

COMMENT ON COLUMN buildkite.pipelines.running_jobs_count IS 'Jobs running when it was observed. Often outdated.';

COMMENT ON COLUMN buildkite.pipelines.waiting_jobs_count IS 'Jobs waiting when it was observed. Often outdated.';

COMMENT ON COLUMN buildkite.pipelines.visibility IS 'private or public.';

COMMENT ON COLUMN buildkite.pipelines.tags IS 'Tags given to the pipeline.';

COMMENT ON COLUMN buildkite.pipelines.emoji IS 'Its emoji, such as :rocket:.';

COMMENT ON COLUMN buildkite.pipelines.color IS 'Its colour, as a hex code.';

COMMENT ON COLUMN buildkite.pipelines.env IS 'Environment variables of the pipeline. May hold secrets: null unless STORE_ENV is on.';

COMMENT ON COLUMN buildkite.pipelines.configuration IS 'Its YAML text. May hold secrets: null unless STORE_ENV is on.';

COMMENT ON COLUMN buildkite.pipelines.steps IS 'Its steps as Buildkite sends them. May hold secrets: null unless STORE_ENV is on.';

COMMENT ON COLUMN buildkite.pipelines.observed_at IS 'When the object was last seen to differ from the row, on Buildkite''s clock: the time of the webhook or REST read that changed it. For the time of the write see changed_at.';

COMMENT ON COLUMN buildkite.pipelines.verified_at IS 'When REST last confirmed the row, on Buildkite''s clock. Renewed at most once an hour while nothing changes. Null: only webhooks have shown the object. The row is provisional (not confirmed by REST) while verified_at is null or observed_at > verified_at.';

COMMENT ON COLUMN buildkite.pipelines.first_seen_at IS 'When the mirror first saw the object, on the mirror''s clock. Long after created_at means that it was backfilled or that its webhooks were lost.';

COMMENT ON COLUMN buildkite.pipelines.first_seen_via IS 'What first showed the object: webhook or rest.';

COMMENT ON COLUMN buildkite.pipelines.changed_at IS 'When a column of the row last changed, on the clock of Postgres. Indexed, for incremental loads: read changed_at > the greatest value loaded before, minus a few minutes for transactions that were still open. A renewal of verified_at alone does not change it.';

COMMENT ON COLUMN buildkite.pipelines.deleted_at IS 'When the mirror noticed that Buildkite no longer shows the object. Null: Buildkite shows it, as far as is known. The row stays as history; exclude it with deleted_at is null.';

COMMENT ON COLUMN buildkite.pipelines.deleted_reason IS 'Why Buildkite no longer shows the object. not_listed: the complete list of pipelines once contained it and no longer does; it was deleted, or the API token''s user may no longer see it. hidden: the list does not contain it although webhooks show it; it exists, and the API token''s user may not see it.';

COMMENT ON COLUMN buildkite.pipelines.extra IS 'Fields that Buildkite sent and no column contains, under their own names, without secrets. {} if there are none.';

COMMENT ON COLUMN buildkite.pipelines.default_command_step_timeout IS 'Time limit of command steps that have none, in minutes.';

COMMENT ON COLUMN buildkite.pipelines.maximum_command_step_timeout IS 'Greatest time limit of a command step, in minutes.';

CREATE VIEW analytics.approvals AS
 SELECT job.id AS job_id,
    job.build_id,
    build.organization_id,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    build.branch,
    analytics.job_name(job.name, job.label, job.step_key, NULL::text) AS step,
    job.state,
    blocked.since AS blocked_at,
    job.unblocked_at,
    analytics.seconds(blocked.since, job.unblocked_at) AS wait_seconds,
    job.unblocked_by_id,
    job.unblocked_by_name,
    lower(job.unblocked_by_email) AS unblocked_by_email,
    job.created_at,
    organization.slug AS organization
   FROM ((((buildkite.jobs job
     LEFT JOIN buildkite.builds build ON ((build.id = job.build_id)))
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)))
     CROSS JOIN LATERAL ( SELECT
                CASE
                    WHEN ((job.unblocked_at IS NOT NULL) OR (job.state = 'blocked'::text) OR ((job.state = 'canceled'::text) AND build.blocked)) THEN COALESCE(( SELECT max(attempt.finished_at) AS max
                       FROM buildkite.build_attempts attempt
                      WHERE ((attempt.build_id = job.build_id) AND (analytics.build_state(attempt.state, attempt.blocked) = 'blocked'::text) AND ((job.unblocked_at IS NULL) OR (attempt.finished_at <= job.unblocked_at)))), job.runnable_at, ( SELECT max(before.finished_at) AS max
                       FROM buildkite.jobs before
                      WHERE ((before.build_id = job.build_id) AND ((before.finished_at <= job.unblocked_at) OR ((job.unblocked_at IS NULL) AND ((job.state = 'blocked'::text) OR ((job.state = 'canceled'::text) AND build.blocked)))))), job.created_at, build.created_at)
                    ELSE NULL::timestamp with time zone
                END AS since) blocked)
  WHERE (job.type = 'manual'::text);

COMMENT ON VIEW analytics.approvals IS 'Block and input steps: since when each held its build, who unblocked it and when. Most are read over REST, where blocked_at is an estimate: see its comment.';

COMMENT ON COLUMN analytics.approvals.job_id IS 'jobs.id.';

COMMENT ON COLUMN analytics.approvals.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.approvals.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.approvals.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.approvals.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.approvals.branch IS 'Branch.';

COMMENT ON COLUMN analytics.approvals.step IS 'The step: its name, otherwise its label, otherwise its key.';

COMMENT ON COLUMN analytics.approvals.state IS 'blocked, unblocked, canceled, ...';

COMMENT ON COLUMN analytics.approvals.blocked_at IS 'Since when the build has waited here: its last stop before the unblock, if a webhook or a read showed it. REST has no time for a gate; then it is an estimate: the last end of any job of the build before the unblock, or the build''s creation if none had ended.';

COMMENT ON COLUMN analytics.approvals.unblocked_at IS 'When it was unblocked; null: not yet.';

COMMENT ON COLUMN analytics.approvals.wait_seconds IS 'Seconds from blocked to unblocked, as far as blocked_at is known; null: not yet.';

COMMENT ON COLUMN analytics.approvals.unblocked_by_id IS 'Id of the person who unblocked it.';

COMMENT ON COLUMN analytics.approvals.unblocked_by_name IS 'Name of the person who unblocked it.';

COMMENT ON COLUMN analytics.approvals.unblocked_by_email IS 'E-mail address of the person who unblocked it.';

COMMENT ON COLUMN analytics.approvals.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.approvals.organization IS 'Slug of the organization, at present.';

CREATE VIEW sync.hidden_stops AS
 SELECT DISTINCT ON (stop.build_id, stop.stopped_at) stop.build_id,
    (stop.stopped_at)::timestamp(3) with time zone AS finished_at,
    (stop.resumed_at)::timestamp(3) with time zone AS resumed_at,
        CASE
            WHEN (stop.by_retry AND stop.has_failed) THEN 'failed'::text
            ELSE 'passed'::text
        END AS state,
    (NOT stop.by_retry) AS blocked
   FROM ( SELECT resumed.build_id,
            resumed.at,
            resumed.by_retry,
            job.stopped_at,
            job.resumed_at,
            job.was_active,
            job.has_failed
           FROM (( SELECT gate_or_retried.build_id,
                    COALESCE(next.at, gate_or_retried.unblocked_at) AS at,
                    (next.at IS NOT NULL) AS by_retry
                   FROM (buildkite.jobs gate_or_retried
                     LEFT JOIN LATERAL ( SELECT COALESCE(jobs.runnable_at, jobs.scheduled_at, jobs.created_at) AS at
                           FROM buildkite.jobs
                          WHERE (jobs.id = gate_or_retried.retried_in_job_id)
                         OFFSET 0) next ON ((gate_or_retried.retry_type = 'manual'::text)))
                  WHERE ((gate_or_retried.retry_type = 'manual'::text) OR ((gate_or_retried.type = 'manual'::text) AND (gate_or_retried.unblocked_at IS NOT NULL)))
                UNION ALL
                 SELECT builds.id,
                    builds.finished_at,
                    false
                   FROM buildkite.builds
                  WHERE ((builds.state = 'canceled'::text) AND builds.blocked)) resumed
             CROSS JOIN LATERAL ( SELECT max(job_1.finished_at) FILTER (WHERE ((job_1.began_at < resumed.at) AND (job_1.finished_at <= resumed.at))) AS stopped_at,
                    COALESCE(min(job_1.started_at) FILTER (WHERE (job_1.started_at >= resumed.at)), resumed.at) AS resumed_at,
                    bool_or(((job_1.began_at < resumed.at) AND COALESCE((job_1.finished_at > resumed.at), true))) AS was_active,
                    bool_or(((job_1.result = ANY (ARRAY['failed'::text, 'infra_lost'::text, 'timed_out'::text, 'expired'::text])) AND (job_1.finished_at <= resumed.at) AND (NOT job_1.retried_before))) AS has_failed
                   FROM ( SELECT one.started_at,
                            COALESCE(one.finished_at, one.expired_at) AS finished_at,
                            COALESCE((one.runnable_at - ((COALESCE(one.concurrency_wait_time_ms, (0)::bigint))::double precision * '00:00:00.001'::interval)), one.started_at) AS began_at,
                            analytics.job_result(one.state, one.soft_failed, one.exit_status, one.signal_reason) AS result,
                            (COALESCE((one.retry_type = 'automatic'::text), false) OR (EXISTS ( SELECT
                                   FROM buildkite.jobs next
                                  WHERE ((next.id = one.retried_in_job_id) AND (COALESCE(next.runnable_at, next.scheduled_at, next.created_at) < resumed.at))))) AS retried_before
                           FROM buildkite.jobs one
                          WHERE ((one.build_id = resumed.build_id) AND (one.type = ANY (ARRAY['script'::text, 'trigger'::text])))
                         OFFSET 0) job_1) job)) stop
  WHERE ((stop.stopped_at IS NOT NULL) AND (NOT stop.was_active) AND (NOT (EXISTS ( SELECT
           FROM buildkite.build_attempts known
          WHERE ((known.build_id = stop.build_id) AND (known.finished_at >= (stop.stopped_at - '00:00:01'::interval)) AND ((known.finished_at < stop.resumed_at) OR (known.finished_at = stop.stopped_at)))))))
  ORDER BY stop.build_id, stop.stopped_at, stop.by_retry DESC, stop.at;

COMMENT ON VIEW sync.hidden_stops IS 'Stops of builds, at a gate or before a retry by hand, that no webhook and no read showed. Their times are estimates from the jobs. Used by analytics.attempt_runs.';

COMMENT ON COLUMN sync.hidden_stops.build_id IS 'builds.id.';

COMMENT ON COLUMN sync.hidden_stops.finished_at IS 'The end of the last job before the stop.';

COMMENT ON COLUMN sync.hidden_stops.resumed_at IS 'The start of the first job after it.';

COMMENT ON COLUMN sync.hidden_stops.state IS 'failed if a job had failed when a person retried one, otherwise passed.';

COMMENT ON COLUMN sync.hidden_stops.blocked IS 'Whether the build waited at a gate.';

CREATE VIEW analytics.attempt_runs AS
 SELECT attempt.build_id,
    (attempt.began_at)::timestamp(3) with time zone AS started_at,
    attempt.finished_at,
        CASE
            WHEN (attempt.blocked AND (attempt.state = 'canceled'::text) AND (attempt.previous_finish IS NOT NULL)) THEN NULL::double precision
            WHEN ((attempt.began_at IS NULL) AND (attempt.previous_finish IS NOT NULL) AND (attempt.started_at IS NOT NULL)) THEN (0)::double precision
            WHEN (NOT (attempt.is_unread AND (attempt.previous_finish IS NULL))) THEN analytics.seconds(attempt.began_at, attempt.finished_at)
            ELSE NULL::double precision
        END AS run_seconds,
    (attempt.finished_at <= COALESCE(min(
        CASE
            WHEN (analytics.build_result(attempt.state, attempt.blocked) IS NOT NULL) THEN attempt.finished_at
            ELSE NULL::timestamp with time zone
        END) OVER whole, 'infinity'::timestamp with time zone)) AS is_first,
    attempt.state,
    attempt.blocked,
    bool_or((attempt.is_hidden OR attempt.is_unread)) OVER whole AS is_estimate,
    attempt.is_unread
   FROM ( SELECT stop.build_id,
            stop.finished_at,
            stop.started_at,
            stop.state,
            stop.blocked,
            stop.first_seen_via,
            stop.is_hidden,
            stop.previous_finish,
            stop.previous_is_hidden,
                CASE
                    WHEN ((stop.previous_finish IS NOT NULL) AND ((stop.started_at <= stop.previous_finish) OR stop.is_hidden OR stop.previous_is_hidden)) THEN ( SELECT min(job.started_at) AS min
                       FROM ( SELECT jobs.started_at
                               FROM buildkite.jobs
                              WHERE (jobs.build_id = stop.build_id)
                             OFFSET 0) job
                      WHERE ((job.started_at >= stop.previous_finish) AND (job.started_at <= stop.finished_at)))
                    WHEN ((stop.previous_finish IS NULL) AND (stop.first_seen_via = 'rest'::text)) THEN LEAST(stop.started_at, ( SELECT min(job.started_at) AS min
                       FROM ( SELECT jobs.started_at
                               FROM buildkite.jobs
                              WHERE (jobs.build_id = stop.build_id)
                             OFFSET 0) job
                      WHERE (job.started_at <= stop.finished_at)))
                    ELSE stop.started_at
                END AS began_at,
            ((stop.first_seen_via = 'rest'::text) AND (stop.previous_finish IS NULL) AND (stop.started_at IS NOT NULL) AND (NOT (EXISTS ( SELECT
                   FROM buildkite.jobs
                  WHERE (jobs.build_id = stop.build_id))))) AS is_unread
           FROM ( SELECT known.build_id,
                    known.finished_at,
                    known.started_at,
                    known.state,
                    known.blocked,
                    known.first_seen_via,
                    known.is_hidden,
                    lag(known.finished_at) OVER earlier AS previous_finish,
                    COALESCE(lag(known.is_hidden) OVER earlier, false) AS previous_is_hidden
                   FROM ( SELECT build_attempts.build_id,
                            build_attempts.finished_at,
                            build_attempts.started_at,
                            build_attempts.state,
                            build_attempts.blocked,
                            build_attempts.first_seen_via,
                            false AS is_hidden
                           FROM buildkite.build_attempts
                        UNION ALL
                         SELECT hidden_stops.build_id,
                            hidden_stops.finished_at,
                            NULL::timestamp with time zone,
                            hidden_stops.state,
                            hidden_stops.blocked,
                            'rest'::text,
                            true
                           FROM sync.hidden_stops) known
                  WINDOW earlier AS (PARTITION BY known.build_id ORDER BY known.finished_at)) stop) attempt
  WINDOW whole AS (PARTITION BY attempt.build_id);

COMMENT ON VIEW analytics.attempt_runs IS 'Each run of a build up to a finish or a stop, without pauses at block steps and between attempts. Used by the other views.';

COMMENT ON COLUMN analytics.attempt_runs.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.attempt_runs.started_at IS 'When it started: for a later attempt, the start of its first job.';

COMMENT ON COLUMN analytics.attempt_runs.finished_at IS 'When it finished.';

COMMENT ON COLUMN analytics.attempt_runs.run_seconds IS 'Seconds it ran; null if it never started, or if nothing shows whether the build stopped in between.';

COMMENT ON COLUMN analytics.attempt_runs.is_first IS 'Whether it belongs to the run up to the first result.';

COMMENT ON COLUMN analytics.attempt_runs.state IS 'State in which it ended, as Buildkite writes it.';

COMMENT ON COLUMN analytics.attempt_runs.blocked IS 'Whether the build then waited at a gate.';

COMMENT ON COLUMN analytics.attempt_runs.is_estimate IS 'Whether a stop of this build is known only from its jobs: then the times of the stop and the result before it are estimates. Also true if only the build is known and not its jobs: then run_seconds is null.';

COMMENT ON COLUMN analytics.attempt_runs.is_unread IS 'Whether the jobs of the build are unknown, so that nothing shows whether it stopped in between.';

CREATE VIEW analytics.build_attempts AS
 SELECT attempt.build_id,
    build.organization_id,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    build.number AS build_number,
    attempt.attempt,
    analytics.build_state(attempt.state, attempt.blocked) AS state,
    analytics.build_result(attempt.state, attempt.blocked) AS result,
    attempt.started_at,
    attempt.finished_at,
    attempt.run_seconds,
    build.branch,
    (build.branch = pipeline.default_branch) AS is_default_branch,
    build.commit,
    COALESCE(pipeline.tags, '{}'::text[]) AS tags,
    COALESCE(known.changed_at, build.changed_at) AS changed_at,
    attempt.is_estimate,
    organization.slug AS organization
   FROM ((((( SELECT attempt_runs.build_id,
            attempt_runs.state,
            attempt_runs.blocked,
            attempt_runs.started_at,
            attempt_runs.finished_at,
            attempt_runs.run_seconds,
            attempt_runs.is_estimate,
            row_number() OVER (PARTITION BY attempt_runs.build_id ORDER BY attempt_runs.finished_at) AS attempt
           FROM analytics.attempt_runs) attempt
     LEFT JOIN buildkite.build_attempts known ON (((known.build_id = attempt.build_id) AND (known.finished_at = attempt.finished_at))))
     JOIN buildkite.builds build ON ((build.id = attempt.build_id)))
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)));

COMMENT ON VIEW analytics.build_attempts IS 'Each finish of a build: a retry or an unblock begins the next attempt. A stop at a block step is an attempt of state blocked, without result. A stop that ended before the mirror saw the build is derived from its jobs: is_estimate. An attempt that is still running has no row yet.';

COMMENT ON COLUMN analytics.build_attempts.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.build_attempts.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.build_attempts.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.build_attempts.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.build_attempts.build_number IS 'Number within the pipeline.';

COMMENT ON COLUMN analytics.build_attempts.attempt IS '1 for the first.';

COMMENT ON COLUMN analytics.build_attempts.state IS 'How it ended, or blocked if it stopped at a block step.';

COMMENT ON COLUMN analytics.build_attempts.result IS 'passed, failed, canceled, skipped or not_run; null for a stop at a block step.';

COMMENT ON COLUMN analytics.build_attempts.started_at IS 'When it started; a later attempt starts with its first job.';

COMMENT ON COLUMN analytics.build_attempts.finished_at IS 'When it finished.';

COMMENT ON COLUMN analytics.build_attempts.run_seconds IS 'Seconds it ran; null if it never started, or if nothing shows whether the build stopped in between.';

COMMENT ON COLUMN analytics.build_attempts.branch IS 'Branch.';

COMMENT ON COLUMN analytics.build_attempts.is_default_branch IS 'Whether the branch is the pipeline''s present default branch. If that is renamed, builds of the old name get false.';

COMMENT ON COLUMN analytics.build_attempts.commit IS 'Commit; may be HEAD or a branch name until the build starts.';

COMMENT ON COLUMN analytics.build_attempts.tags IS 'Tags of the pipeline, at present.';

COMMENT ON COLUMN analytics.build_attempts.changed_at IS 'When the row last changed in the mirror; indexed below, for incremental loads.';

COMMENT ON COLUMN analytics.build_attempts.is_estimate IS 'Whether a stop of this build is known only from its jobs: then the times of the stop and the result before it are estimates. Also true if only the build is known and not its jobs: then run_seconds is null.';

COMMENT ON COLUMN analytics.build_attempts.organization IS 'Slug of the organization, at present.';

CREATE TABLE buildkite.clusters (
    id uuid NOT NULL,
    graphql_id text,
    name text,
    description text,
    emoji text,
    color text,
    default_queue_id uuid,
    url text,
    web_url text,
    created_at timestamp(3) with time zone,
    created_by_id uuid,
    created_by_name text,
    created_by_email text,
    organization_id uuid NOT NULL,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone,
    maintainers jsonb,
    default_queue_url text,
    queues_url text
);

COMMENT ON TABLE buildkite.clusters IS 'Clusters. Read hourly when a token has read_clusters.';

COMMENT ON COLUMN buildkite.clusters.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN buildkite.clusters.graphql_id IS 'The same object''s id in the GraphQL API.';

COMMENT ON COLUMN buildkite.clusters.name IS 'Name.';

COMMENT ON COLUMN buildkite.clusters.description IS 'Free text, or null.';

COMMENT ON COLUMN buildkite.clusters.emoji IS 'Emoji.';

COMMENT ON COLUMN buildkite.clusters.color IS 'Colour, as a hex code.';

COMMENT ON COLUMN buildkite.clusters.default_queue_id IS 'cluster_queues.id of the queue of agents that name none.';

COMMENT ON COLUMN buildkite.clusters.url IS 'REST address.';

COMMENT ON COLUMN buildkite.clusters.web_url IS 'Address in the browser.';

COMMENT ON COLUMN buildkite.clusters.created_at IS 'When it was created.';

COMMENT ON COLUMN buildkite.clusters.created_by_id IS 'Id of the person who created it.';

COMMENT ON COLUMN buildkite.clusters.created_by_name IS 'Name of the person who created it.';

COMMENT ON COLUMN buildkite.clusters.created_by_email IS 'E-mail address of the person who created it.';

COMMENT ON COLUMN buildkite.clusters.organization_id IS 'organizations.id.';

COMMENT ON COLUMN buildkite.clusters.extra IS 'Fields that Buildkite sent and no column contains, under their own names.';

COMMENT ON COLUMN buildkite.clusters.first_seen_at IS 'When a list first contained it, on the mirror''s clock.';

COMMENT ON COLUMN buildkite.clusters.changed_at IS 'When a column last changed, on the clock of Postgres; for incremental loads.';

COMMENT ON COLUMN buildkite.clusters.deleted_at IS 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';

COMMENT ON COLUMN buildkite.clusters.maintainers IS 'Users and teams that may manage the cluster.';

COMMENT ON COLUMN buildkite.clusters.default_queue_url IS 'API address of the default queue.';

COMMENT ON COLUMN buildkite.clusters.queues_url IS 'API address of its queues.';

CREATE TABLE settings.queue_rates (
    queue text NOT NULL,
    per_minute numeric NOT NULL,
    currency text DEFAULT 'USD'::text NOT NULL,
    cluster text DEFAULT '*'::text NOT NULL
);

COMMENT ON TABLE settings.queue_rates IS 'What a minute of a queue''s agents costs. Fill it yourself; with a row for each cluster if they differ.';

COMMENT ON COLUMN settings.queue_rates.queue IS 'Queue, as analytics.jobs names it.';

COMMENT ON COLUMN settings.queue_rates.per_minute IS 'What a minute of an agent costs.';

COMMENT ON COLUMN settings.queue_rates.currency IS 'Currency.';

COMMENT ON COLUMN settings.queue_rates.cluster IS 'Name of the cluster, or its id; *: all clusters that no other row of the queue names.';

CREATE VIEW sync.cluster_rates AS
 SELECT DISTINCT ON (rate.queue, named.cluster_id) rate.queue,
    named.cluster_id,
    (rate.per_minute)::double precision AS per_minute,
    rate.currency
   FROM (settings.queue_rates rate
     CROSS JOIN LATERAL ( SELECT (rate.cluster)::uuid AS cluster_id,
            1 AS place
          WHERE (rate.cluster ~ '^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$'::text)
        UNION ALL
         SELECT known.id,
            2
           FROM buildkite.clusters known
          WHERE (known.name = rate.cluster)) named)
  ORDER BY rate.queue, named.cluster_id, named.place;

COMMENT ON VIEW sync.cluster_rates IS 'The rates of settings.queue_rates that name a cluster, by the cluster''s id.';

COMMENT ON COLUMN sync.cluster_rates.queue IS 'Queue.';

COMMENT ON COLUMN sync.cluster_rates.cluster_id IS 'clusters.id.';

COMMENT ON COLUMN sync.cluster_rates.per_minute IS 'What a minute of an agent costs.';

COMMENT ON COLUMN sync.cluster_rates.currency IS 'Currency.';

CREATE VIEW analytics.build_costs AS
 SELECT build.id AS build_id,
    build.organization_id,
    organization.slug AS organization,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    build.number AS build_number,
    build.branch,
    (build.branch = pipeline.default_branch) AS is_default_branch,
    analytics.repository_name(pipeline.repository) AS repository,
        CASE
            WHEN (build.pull_request_id ~ '^[0-9]{1,9}$'::text) THEN (build.pull_request_id)::integer
            ELSE NULL::integer
        END AS pr_number,
    lower(NULLIF(build.author_email, ''::text)) AS author_email,
    lower(NULLIF(build.creator_email, ''::text)) AS creator_email,
    build.source,
    build.created_at,
    spent.tries,
    spent.minutes,
    spent.minutes_wasted,
    spent.cost,
    spent.cost_wasted,
    spent.currency
   FROM (((buildkite.builds build
     CROSS JOIN LATERAL ( SELECT (sum(priced.tries))::bigint AS tries,
            sum(priced.minutes) AS minutes,
            sum(priced.minutes_wasted) AS minutes_wasted,
            sum((priced.minutes * COALESCE(own.per_minute, anywhere.per_minute))) AS cost,
            sum((priced.minutes_wasted * COALESCE(own.per_minute, anywhere.per_minute))) AS cost_wasted,
            COALESCE(own.currency, anywhere.currency) AS currency
           FROM ((( SELECT build_minutes_hourly.queue,
                    build_minutes_hourly.cluster_id,
                    build_minutes_hourly.tries,
                    build_minutes_hourly.minutes,
                    build_minutes_hourly.minutes_wasted
                   FROM analytics.build_minutes_hourly
                  WHERE (build_minutes_hourly.build_id = build.id)
                 OFFSET 0) priced
             LEFT JOIN sync.cluster_rates own ON (((own.queue = priced.queue) AND (own.cluster_id = priced.cluster_id))))
             LEFT JOIN ( SELECT queue_rates.queue,
                    (queue_rates.per_minute)::double precision AS per_minute,
                    queue_rates.currency
                   FROM settings.queue_rates
                  WHERE (queue_rates.cluster = '*'::text)) anywhere ON ((anywhere.queue = priced.queue)))
          GROUP BY COALESCE(own.currency, anywhere.currency)) spent)
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)));

COMMENT ON VIEW analytics.build_costs IS 'Agent minutes and cost of each build. A build whose queues have rates in several currencies has a row for each. Minutes without a rate have a row without currency. A build has no row before one of its command jobs ended.';

COMMENT ON COLUMN analytics.build_costs.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.build_costs.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.build_costs.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.build_costs.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.build_costs.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.build_costs.build_number IS 'Number of the build.';

COMMENT ON COLUMN analytics.build_costs.branch IS 'Branch.';

COMMENT ON COLUMN analytics.build_costs.is_default_branch IS 'Whether the branch is the pipeline''s present default branch.';

COMMENT ON COLUMN analytics.build_costs.repository IS 'owner/name of the pipeline''s repository.';

COMMENT ON COLUMN analytics.build_costs.pr_number IS 'Number of the pull request.';

COMMENT ON COLUMN analytics.build_costs.author_email IS 'E-mail address of the commit''s author, in lower case.';

COMMENT ON COLUMN analytics.build_costs.creator_email IS 'E-mail address of the person who created the build, in lower case.';

COMMENT ON COLUMN analytics.build_costs.source IS 'What created the build: webhook, api, ui, trigger_job, schedule.';

COMMENT ON COLUMN analytics.build_costs.created_at IS 'When the build was created.';

COMMENT ON COLUMN analytics.build_costs.tries IS 'How many tries of its command jobs ended, without skipped and broken ones.';

COMMENT ON COLUMN analytics.build_costs.minutes IS 'Agent minutes.';

COMMENT ON COLUMN analytics.build_costs.minutes_wasted IS 'Those wasted by lost agents, cancels, retries and rebuilds.';

COMMENT ON COLUMN analytics.build_costs.cost IS 'Minutes times the rates of their queues; null without a rate.';

COMMENT ON COLUMN analytics.build_costs.cost_wasted IS 'Minutes wasted times the rates of their queues.';

COMMENT ON COLUMN analytics.build_costs.currency IS 'Currency of the rates.';

CREATE VIEW analytics.build_sources_daily AS
 SELECT ((build.created_at AT TIME ZONE 'UTC'::text))::date AS day,
    build.organization_id,
    build.pipeline_id,
    build.source,
    lower(COALESCE(NULLIF(build.creator_email, ''::text), NULLIF(build.author_email, ''::text))) AS person_email,
    count(*) AS builds
   FROM buildkite.builds build
  GROUP BY (((build.created_at AT TIME ZONE 'UTC'::text))::date), build.organization_id, build.pipeline_id, build.source, (lower(COALESCE(NULLIF(build.creator_email, ''::text), NULLIF(build.author_email, ''::text))));

COMMENT ON VIEW analytics.build_sources_daily IS 'What creates builds, and for which person, by day (UTC) of creation. Sources: webhook, api, ui, trigger_job or schedule.';

COMMENT ON COLUMN analytics.build_sources_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.build_sources_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.build_sources_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.build_sources_daily.source IS 'What created the build: webhook, api, ui, trigger_job, schedule.';

COMMENT ON COLUMN analytics.build_sources_daily.person_email IS 'E-mail address of the creator, otherwise of the commit''s author.';

COMMENT ON COLUMN analytics.build_sources_daily.builds IS 'How many builds.';

CREATE VIEW analytics.build_stages AS
 SELECT build.id AS build_id,
    build.organization_id,
    organization.slug AS organization,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    build.number AS build_number,
    build.branch,
    (build.branch = pipeline.default_branch) AS is_default_branch,
    build.created_at,
    stage.level,
    stage.name,
    stage.group_key,
    ((stage.level = 'group'::text) OR (stage.group_key IS NULL)) AS is_stage,
    stage.jobs,
    stage.started_at,
    stage.finished_at,
    stage.run_seconds,
    stage.job_seconds
   FROM (((buildkite.builds build
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)))
     CROSS JOIN LATERAL ( WITH steps AS MATERIALIZED (
                 SELECT job.group_key,
                    job.step,
                    count(*) AS jobs,
                    min(job.started_at) AS started_at,
                    max(job.finished_at) AS finished_at,
                    sum(job.seconds) AS job_seconds,
                    range_agg(tstzrange(job.started_at, GREATEST(job.started_at, job.finished_at))) AS busy
                   FROM ( SELECT jobs.started_at,
                            jobs.finished_at,
                            analytics.seconds(jobs.started_at, jobs.finished_at) AS seconds,
                            NULLIF(jobs.group_key, ''::text) AS group_key,
                            COALESCE(NULLIF(jobs.step_key, ''::text), analytics.job_name(jobs.name, jobs.label, jobs.step_key, jobs.command)) AS step
                           FROM buildkite.jobs
                          WHERE ((jobs.build_id = build.id) AND (jobs.type = ANY (ARRAY['script'::text, 'trigger'::text])))
                         OFFSET 0) job
                  WHERE (job.seconds IS NOT NULL)
                  GROUP BY job.group_key, job.step
                )
         SELECT 'step'::text AS level,
            steps.step AS name,
            steps.group_key,
            steps.jobs,
            steps.started_at,
            steps.finished_at,
            steps.job_seconds,
                CASE
                    WHEN (steps.jobs = 1) THEN steps.job_seconds
                    ELSE (COALESCE(( SELECT sum(EXTRACT(epoch FROM (upper(one.one) - lower(one.one)))) AS sum
                       FROM unnest(steps.busy) one(one)), (0)::numeric))::double precision
                END AS run_seconds
           FROM steps
        UNION ALL
         SELECT 'group'::text,
            steps.group_key,
            steps.group_key,
            (sum(steps.jobs))::bigint AS sum,
            min(steps.started_at) AS min,
            max(steps.finished_at) AS max,
            sum(steps.job_seconds) AS sum,
            (COALESCE(( SELECT sum(EXTRACT(epoch FROM (upper(one.one) - lower(one.one)))) AS sum
                   FROM unnest(( SELECT range_agg(part.part) AS range_agg
                           FROM (steps its
                             CROSS JOIN LATERAL unnest(its.busy) part(part))
                          WHERE (its.group_key = steps.group_key))) one(one)), (0)::numeric))::double precision AS "coalesce"
           FROM steps
          WHERE (steps.group_key IS NOT NULL)
          GROUP BY steps.group_key) stage);

COMMENT ON VIEW analytics.build_stages IS 'How long each group and each step of a build ran. A step is known by its group and its key, otherwise its name. A stage is a group, or a step outside groups: the top level of the pipeline. Phases between wait steps are not known: REST shows only the id of a waiter.';

COMMENT ON COLUMN analytics.build_stages.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.build_stages.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.build_stages.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.build_stages.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.build_stages.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.build_stages.build_number IS 'Number of the build.';

COMMENT ON COLUMN analytics.build_stages.branch IS 'Branch.';

COMMENT ON COLUMN analytics.build_stages.is_default_branch IS 'Whether the branch is the pipeline''s present default branch.';

COMMENT ON COLUMN analytics.build_stages.created_at IS 'When the build was created.';

COMMENT ON COLUMN analytics.build_stages.level IS 'group or step.';

COMMENT ON COLUMN analytics.build_stages.name IS 'Key of the group; key of the step, otherwise its name.';

COMMENT ON COLUMN analytics.build_stages.group_key IS 'Key of the group; of a step, of the group that it belongs to.';

COMMENT ON COLUMN analytics.build_stages.is_stage IS 'Whether it is at the top level of the pipeline: a group, or a step outside groups.';

COMMENT ON COLUMN analytics.build_stages.jobs IS 'Its command and trigger jobs that started and finished, retried ones too.';

COMMENT ON COLUMN analytics.build_stages.started_at IS 'When its first job started.';

COMMENT ON COLUMN analytics.build_stages.finished_at IS 'When its last job finished.';

COMMENT ON COLUMN analytics.build_stages.run_seconds IS 'Seconds in which at least one of its jobs ran: without waits, gates and the time before a retry.';

COMMENT ON COLUMN analytics.build_stages.job_seconds IS 'Seconds that its jobs ran, in total.';

CREATE TABLE buildkite.cluster_queues (
    id uuid NOT NULL,
    cluster_id uuid NOT NULL,
    graphql_id text,
    key text,
    description text,
    dispatch_paused boolean,
    dispatch_paused_at timestamp(3) with time zone,
    dispatch_paused_note text,
    url text,
    web_url text,
    created_at timestamp(3) with time zone,
    created_by_id uuid,
    created_by_name text,
    created_by_email text,
    organization_id uuid NOT NULL,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone,
    cluster_url text,
    dispatch_paused_by_id uuid,
    dispatch_paused_by_name text,
    dispatch_paused_by_email text,
    retry_agent_affinity text,
    hosted boolean,
    hosted_agents_agent_image_ref text,
    hosted_agents_instance_shape_name text,
    hosted_agents_instance_shape_machine_type text,
    hosted_agents_instance_shape_architecture text,
    hosted_agents_instance_shape_cpu integer,
    hosted_agents_instance_shape_memory integer
);

COMMENT ON TABLE buildkite.cluster_queues IS 'Queues of clusters. Read hourly when a token has read_clusters.';

COMMENT ON COLUMN buildkite.cluster_queues.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN buildkite.cluster_queues.cluster_id IS 'clusters.id.';

COMMENT ON COLUMN buildkite.cluster_queues.graphql_id IS 'The same object''s id in the GraphQL API.';

COMMENT ON COLUMN buildkite.cluster_queues.key IS 'Key: what agent query rules name.';

COMMENT ON COLUMN buildkite.cluster_queues.description IS 'Free text, or null.';

COMMENT ON COLUMN buildkite.cluster_queues.dispatch_paused IS 'Whether its agents get no jobs.';

COMMENT ON COLUMN buildkite.cluster_queues.dispatch_paused_at IS 'Since when.';

COMMENT ON COLUMN buildkite.cluster_queues.dispatch_paused_note IS 'Why, as the person who paused it wrote.';

COMMENT ON COLUMN buildkite.cluster_queues.url IS 'REST address.';

COMMENT ON COLUMN buildkite.cluster_queues.web_url IS 'Address in the browser.';

COMMENT ON COLUMN buildkite.cluster_queues.created_at IS 'When it was created.';

COMMENT ON COLUMN buildkite.cluster_queues.created_by_id IS 'Id of the person who created it.';

COMMENT ON COLUMN buildkite.cluster_queues.created_by_name IS 'Name of the person who created it.';

COMMENT ON COLUMN buildkite.cluster_queues.created_by_email IS 'E-mail address of the person who created it.';

COMMENT ON COLUMN buildkite.cluster_queues.organization_id IS 'organizations.id.';

COMMENT ON COLUMN buildkite.cluster_queues.extra IS 'Fields that Buildkite sent and no column contains, under their own names.';

COMMENT ON COLUMN buildkite.cluster_queues.first_seen_at IS 'When a list first contained it, on the mirror''s clock.';

COMMENT ON COLUMN buildkite.cluster_queues.changed_at IS 'When a column last changed, on the clock of Postgres; for incremental loads.';

COMMENT ON COLUMN buildkite.cluster_queues.deleted_at IS 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';

COMMENT ON COLUMN buildkite.cluster_queues.cluster_url IS 'API address of the cluster.';

COMMENT ON COLUMN buildkite.cluster_queues.dispatch_paused_by_id IS 'Who paused it: id.';

COMMENT ON COLUMN buildkite.cluster_queues.dispatch_paused_by_name IS 'Who paused it: name.';

COMMENT ON COLUMN buildkite.cluster_queues.dispatch_paused_by_email IS 'Who paused it: e-mail address.';

COMMENT ON COLUMN buildkite.cluster_queues.retry_agent_affinity IS 'prefer-warmest or prefer-different: which agents retries prefer.';

COMMENT ON COLUMN buildkite.cluster_queues.hosted IS 'Whether Buildkite hosts its agents; null if Buildkite does not say.';

COMMENT ON COLUMN buildkite.cluster_queues.hosted_agents_agent_image_ref IS 'Image of the hosted agents.';

COMMENT ON COLUMN buildkite.cluster_queues.hosted_agents_instance_shape_name IS 'Size of the hosted agents, such as LINUX_AMD64_2X4.';

COMMENT ON COLUMN buildkite.cluster_queues.hosted_agents_instance_shape_machine_type IS 'linux or macos.';

COMMENT ON COLUMN buildkite.cluster_queues.hosted_agents_instance_shape_architecture IS 'amd64 or arm64.';

COMMENT ON COLUMN buildkite.cluster_queues.hosted_agents_instance_shape_cpu IS 'Number of vCPUs.';

COMMENT ON COLUMN buildkite.cluster_queues.hosted_agents_instance_shape_memory IS 'Memory, in GB.';

CREATE TABLE buildkite.team_pipelines (
    team_id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    access_level text,
    created_at timestamp(3) with time zone,
    organization_id uuid NOT NULL,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone
);

COMMENT ON TABLE buildkite.team_pipelines IS 'Which team owns which pipeline. Read hourly when a token has view_teams.';

COMMENT ON COLUMN buildkite.team_pipelines.team_id IS 'teams.id.';

COMMENT ON COLUMN buildkite.team_pipelines.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN buildkite.team_pipelines.access_level IS 'read_only, build_and_read or manage_build_and_read.';

COMMENT ON COLUMN buildkite.team_pipelines.created_at IS 'When it was created.';

COMMENT ON COLUMN buildkite.team_pipelines.organization_id IS 'organizations.id.';

COMMENT ON COLUMN buildkite.team_pipelines.extra IS 'Fields that Buildkite sent and no column contains, under their own names.';

COMMENT ON COLUMN buildkite.team_pipelines.first_seen_at IS 'When a list first contained it, on the mirror''s clock.';

COMMENT ON COLUMN buildkite.team_pipelines.changed_at IS 'When a column last changed, on the clock of Postgres; for incremental loads.';

COMMENT ON COLUMN buildkite.team_pipelines.deleted_at IS 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';

CREATE TABLE buildkite.teams (
    id uuid NOT NULL,
    graphql_id text,
    name text,
    slug text,
    description text,
    privacy text,
    "default" boolean,
    created_at timestamp(3) with time zone,
    created_by_id uuid,
    created_by_name text,
    created_by_email text,
    organization_id uuid NOT NULL,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone
);

COMMENT ON TABLE buildkite.teams IS 'Teams. Read hourly when a token has view_teams.';

COMMENT ON COLUMN buildkite.teams.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN buildkite.teams.graphql_id IS 'The same object''s id in the GraphQL API.';

COMMENT ON COLUMN buildkite.teams.name IS 'Name.';

COMMENT ON COLUMN buildkite.teams.slug IS 'Name in URLs.';

COMMENT ON COLUMN buildkite.teams.description IS 'Free text, or null.';

COMMENT ON COLUMN buildkite.teams.privacy IS 'visible or secret.';

COMMENT ON COLUMN buildkite.teams."default" IS 'Whether new users join it.';

COMMENT ON COLUMN buildkite.teams.created_at IS 'When it was created.';

COMMENT ON COLUMN buildkite.teams.created_by_id IS 'Id of the person who created it.';

COMMENT ON COLUMN buildkite.teams.created_by_name IS 'Name of the person who created it.';

COMMENT ON COLUMN buildkite.teams.created_by_email IS 'E-mail address of the person who created it.';

COMMENT ON COLUMN buildkite.teams.organization_id IS 'organizations.id.';

COMMENT ON COLUMN buildkite.teams.extra IS 'Fields that Buildkite sent and no column contains, under their own names.';

COMMENT ON COLUMN buildkite.teams.first_seen_at IS 'When a list first contained it, on the mirror''s clock.';

COMMENT ON COLUMN buildkite.teams.changed_at IS 'When a column last changed, on the clock of Postgres; for incremental loads.';

COMMENT ON COLUMN buildkite.teams.deleted_at IS 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';

CREATE VIEW analytics.builds AS
 SELECT build.id,
    build.organization_id,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    build.number AS build_number,
    analytics.build_state(build.state, build.blocked) AS state,
    analytics.build_result(build.state, build.blocked) AS result,
    run.first_result,
    run.first_finished_at,
    run.attempts,
    build.branch,
    (build.branch = pipeline.default_branch) AS is_default_branch,
    build.tag,
    build.commit,
    build.message,
    build.source,
        CASE
            WHEN (build.pull_request_id ~ '^[0-9]{1,9}$'::text) THEN (build.pull_request_id)::integer
            ELSE NULL::integer
        END AS pr_number,
    build.pull_request_base AS pr_base,
    build.pull_request_labels AS pr_labels,
    build.author_name,
    lower(build.author_email) AS author_email,
    build.creator_id,
    build.creator_name,
    lower(build.creator_email) AS creator_email,
    build.created_at,
    start.at AS started_at,
        CASE
            WHEN (analytics.build_result(build.state, build.blocked) IS NOT NULL) THEN build.finished_at
            ELSE NULL::timestamp with time zone
        END AS finished_at,
    build.failing_at,
    analytics.seconds(build.created_at, start.at) AS wait_seconds,
    run.run_seconds,
    run.first_run_seconds,
        CASE
            WHEN (analytics.build_result(build.state, build.blocked) IS NOT NULL) THEN analytics.seconds(build.created_at, build.finished_at)
            ELSE NULL::double precision
        END AS total_seconds,
    ARRAY( SELECT DISTINCT COALESCE(analytics.queue_of(job.agent_query_rules), queue.key, 'default'::text) AS queue
           FROM (buildkite.jobs job
             LEFT JOIN buildkite.cluster_queues queue ON ((queue.id = job.cluster_queue_id)))
          WHERE ((job.build_id = build.id) AND (job.type = 'script'::text))
          ORDER BY COALESCE(analytics.queue_of(job.agent_query_rules), queue.key, 'default'::text)) AS queues,
    build.cancel_reason,
    build.rebuilt_from_id,
    build.triggered_from_build_id,
    COALESCE(pipeline.tags, '{}'::text[]) AS tags,
    ARRAY( SELECT team.slug
           FROM (buildkite.team_pipelines owned
             JOIN buildkite.teams team ON ((team.id = owned.team_id)))
          WHERE ((owned.pipeline_id = build.pipeline_id) AND (owned.deleted_at IS NULL) AND (team.deleted_at IS NULL))
          ORDER BY team.slug) AS teams,
    COALESCE(((pipeline.web_url || '/builds/'::text) || build.number), build.web_url) AS web_url,
    ((build.verified_at IS NULL) OR (build.observed_at > build.verified_at)) AS is_provisional,
    build.changed_at,
    build.deleted_at,
    build.meta_data,
    build.merge_queue_base_branch,
    analytics.repository_name(build.pull_request_repository) AS pull_request_repository,
    build.scheduled_at,
    build.author_username,
    organization.slug AS organization,
    COALESCE(run.is_estimate, false) AS is_estimate
   FROM ((((buildkite.builds build
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)))
     CROSS JOIN LATERAL ( SELECT (array_agg(attempt.state ORDER BY attempt.finished_at) FILTER (WHERE (analytics.build_result(attempt.state, attempt.blocked) IS NOT NULL)))[1] AS first_result,
            min(attempt.finished_at) FILTER (WHERE (analytics.build_result(attempt.state, attempt.blocked) IS NOT NULL)) AS first_finished_at,
            count(*) FILTER (WHERE (analytics.build_result(attempt.state, attempt.blocked) IS NOT NULL)) AS attempts,
                CASE
                    WHEN (count(*) FILTER (WHERE attempt.is_unread) = 0) THEN sum(attempt.run_seconds)
                    ELSE NULL::double precision
                END AS run_seconds,
                CASE
                    WHEN (count(*) FILTER (WHERE attempt.is_unread) = 0) THEN sum(attempt.run_seconds) FILTER (WHERE attempt.is_first)
                    ELSE NULL::double precision
                END AS first_run_seconds,
            min(attempt.started_at) AS started_at,
            bool_or(attempt.is_estimate) AS is_estimate
           FROM analytics.attempt_runs attempt
          WHERE (attempt.build_id = build.id)) run)
     CROSS JOIN LATERAL ( SELECT LEAST(build.started_at, run.started_at,
                CASE
                    WHEN (build.first_seen_via = 'rest'::text) THEN ( SELECT min(job.started_at) AS min
                       FROM ( SELECT jobs.started_at
                               FROM buildkite.jobs
                              WHERE (jobs.build_id = build.id)
                             OFFSET 0) job)
                    ELSE NULL::timestamp with time zone
                END) AS at) start);

COMMENT ON VIEW analytics.builds IS 'Builds, one row each, with first and final result side by side. run_seconds is how long people wait while it runs, total_seconds how long in all. For a build that finished before the mirror saw it, earlier stops are derived from its jobs: is_estimate.';

COMMENT ON COLUMN analytics.builds.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.builds.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.builds.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.builds.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.builds.build_number IS 'Number within the pipeline.';

COMMENT ON COLUMN analytics.builds.state IS 'The effective state: blocked while it waits at a block step, otherwise Buildkite''s state. Canceled stays canceled.';

COMMENT ON COLUMN analytics.builds.result IS 'How it ended, finally: passed, failed, canceled, skipped, not_run. Null while it is open or blocked.';

COMMENT ON COLUMN analytics.builds.first_result IS 'How the first attempt ended.';

COMMENT ON COLUMN analytics.builds.first_finished_at IS 'When the first attempt ended.';

COMMENT ON COLUMN analytics.builds.attempts IS 'How often it has finished, without stops at block steps.';

COMMENT ON COLUMN analytics.builds.branch IS 'Branch.';

COMMENT ON COLUMN analytics.builds.is_default_branch IS 'Whether the branch is the pipeline''s present default branch. If that is renamed, builds of the old name get false.';

COMMENT ON COLUMN analytics.builds.tag IS 'Tag.';

COMMENT ON COLUMN analytics.builds.commit IS 'Commit; may be HEAD or a branch name until the build starts.';

COMMENT ON COLUMN analytics.builds.message IS 'Commit message, or what the build was given.';

COMMENT ON COLUMN analytics.builds.source IS 'What created the build: webhook, api, ui, trigger_job, schedule.';

COMMENT ON COLUMN analytics.builds.pr_number IS 'Number of the pull request.';

COMMENT ON COLUMN analytics.builds.pr_base IS 'Branch that the pull request is to be merged into.';

COMMENT ON COLUMN analytics.builds.pr_labels IS 'Labels of the pull request.';

COMMENT ON COLUMN analytics.builds.author_name IS 'Name of the commit''s author.';

COMMENT ON COLUMN analytics.builds.author_email IS 'E-mail address of the commit''s author, in lower case.';

COMMENT ON COLUMN analytics.builds.creator_id IS 'Id of the person who created the build (users.id).';

COMMENT ON COLUMN analytics.builds.creator_name IS 'Name of the person who created the build.';

COMMENT ON COLUMN analytics.builds.creator_email IS 'E-mail address of the person who created the build, in lower case.';

COMMENT ON COLUMN analytics.builds.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.builds.started_at IS 'The earliest start of any attempt. For a build that REST showed first: of any job.';

COMMENT ON COLUMN analytics.builds.finished_at IS 'When it finished; null while it is open or blocked.';

COMMENT ON COLUMN analytics.builds.failing_at IS 'When the build was first certain to fail; stays if a retry passes.';

COMMENT ON COLUMN analytics.builds.wait_seconds IS 'Seconds from created to first started.';

COMMENT ON COLUMN analytics.builds.run_seconds IS 'Seconds of running, total of all finished attempts, without pauses at block steps and between attempts. Null if it never started, or if only the build is known and not its jobs.';

COMMENT ON COLUMN analytics.builds.first_run_seconds IS 'Seconds of running until the first result.';

COMMENT ON COLUMN analytics.builds.total_seconds IS 'Seconds from created to finished, including pauses and waits; null while it is not finished.';

COMMENT ON COLUMN analytics.builds.queues IS 'Queues of its command jobs.';

COMMENT ON COLUMN analytics.builds.cancel_reason IS 'Why it was canceled or skipped, as Buildkite says.';

COMMENT ON COLUMN analytics.builds.rebuilt_from_id IS 'builds.id of the build that it repeats.';

COMMENT ON COLUMN analytics.builds.triggered_from_build_id IS 'builds.id of the build that triggered it.';

COMMENT ON COLUMN analytics.builds.tags IS 'Tags of the pipeline, at present.';

COMMENT ON COLUMN analytics.builds.teams IS 'Slugs of the teams that own the pipeline, at present; empty if the token lacks view_teams.';

COMMENT ON COLUMN analytics.builds.web_url IS 'Address in the browser, by the present name of the pipeline.';

COMMENT ON COLUMN analytics.builds.is_provisional IS 'Whether a webhook changed it after the last REST read.';

COMMENT ON COLUMN analytics.builds.changed_at IS 'When the row last changed in the mirror; indexed below, for incremental loads.';

COMMENT ON COLUMN analytics.builds.deleted_at IS 'When the mirror noticed that Buildkite no longer shows it; null: Buildkite shows it.';

COMMENT ON COLUMN analytics.builds.meta_data IS 'Meta-data that its steps set: an object of strings. No webhook shows a change, so it is as of the last REST read.';

COMMENT ON COLUMN analytics.builds.merge_queue_base_branch IS 'Branch that the merge queue merges into; null outside merge queues.';

COMMENT ON COLUMN analytics.builds.pull_request_repository IS 'owner/name of the repository that the pull request comes from; the fork''s for a fork.';

COMMENT ON COLUMN analytics.builds.scheduled_at IS 'When it was scheduled. May be before created_at.';

COMMENT ON COLUMN analytics.builds.author_username IS 'User name of the commit''s author, if the source host shows it.';

COMMENT ON COLUMN analytics.builds.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.builds.is_estimate IS 'Whether a stop of this build (at a gate, or before a retry by hand) is known only from its jobs, because no webhook and no read showed it: then first_result, first_finished_at, attempts and the seconds are estimates. Also true if only the build is known and not its jobs: then run_seconds is null.';

CREATE VIEW analytics.busy_periods AS
 SELECT busy.organization_id,
    busy.cluster_id,
    busy.queue,
    min(busy.hour) AS began_at,
    (max(busy.hour) + '01:00:00'::interval) AS ended_at,
    count(*) AS hours,
    (sum(busy.started))::bigint AS started,
    max(busy.p90_seconds) AS worst_p90_seconds,
    ((sum(busy.busy_seconds) / (count(*))::double precision) / (3600)::double precision) AS mean_running_jobs
   FROM ( SELECT queue_waits_hourly.organization_id,
            queue_waits_hourly.cluster_id,
            queue_waits_hourly.queue,
            queue_waits_hourly.hour,
            queue_waits_hourly.started,
            queue_waits_hourly.p90_seconds,
            queue_waits_hourly.busy_seconds,
            (queue_waits_hourly.hour - ((row_number() OVER (PARTITION BY queue_waits_hourly.organization_id, queue_waits_hourly.cluster_id, queue_waits_hourly.queue ORDER BY queue_waits_hourly.hour))::double precision * '01:00:00'::interval)) AS island
           FROM analytics.queue_waits_hourly
          WHERE (queue_waits_hourly.p90_seconds > (60)::double precision)) busy
  GROUP BY busy.organization_id, busy.cluster_id, busy.queue, busy.island;

COMMENT ON VIEW analytics.busy_periods IS 'Ranges of hours in which a tenth of a queue''s jobs waited more than a minute for an agent. For another limit use queue_waits_hourly.';

COMMENT ON COLUMN analytics.busy_periods.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.busy_periods.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.busy_periods.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.busy_periods.began_at IS 'Start of the first busy hour.';

COMMENT ON COLUMN analytics.busy_periods.ended_at IS 'End of the last busy hour.';

COMMENT ON COLUMN analytics.busy_periods.hours IS 'How many hours.';

COMMENT ON COLUMN analytics.busy_periods.started IS 'How many jobs started.';

COMMENT ON COLUMN analytics.busy_periods.worst_p90_seconds IS 'The 90th percentile of waits in the worst hour, in seconds.';

COMMENT ON COLUMN analytics.busy_periods.mean_running_jobs IS 'Jobs that ran at the same time, on average.';

CREATE VIEW analytics.cancellations_daily AS
 SELECT ((build.created_at AT TIME ZONE 'UTC'::text))::date AS day,
    build.organization_id,
    build.pipeline_id,
    build.state AS result,
    build.cancel_reason,
    count(*) AS builds,
    (COALESCE(sum(( SELECT sum(analytics.seconds(job.started_at, job.finished_at)) AS sum
           FROM buildkite.jobs job
          WHERE ((job.build_id = build.id) AND (job.type = 'script'::text)))), (0)::double precision) / (60)::double precision) AS minutes
   FROM buildkite.builds build
  WHERE (analytics.build_result(build.state, build.blocked) = ANY (ARRAY['canceled'::text, 'skipped'::text]))
  GROUP BY (((build.created_at AT TIME ZONE 'UTC'::text))::date), build.organization_id, build.pipeline_id, build.state, build.cancel_reason;

COMMENT ON VIEW analytics.cancellations_daily IS 'Builds canceled or skipped, and the minutes their command jobs had run, by reason and the day (UTC) they were created.';

COMMENT ON COLUMN analytics.cancellations_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.cancellations_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.cancellations_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.cancellations_daily.result IS 'canceled or skipped.';

COMMENT ON COLUMN analytics.cancellations_daily.cancel_reason IS 'Why it was canceled or skipped, as Buildkite says.';

COMMENT ON COLUMN analytics.cancellations_daily.builds IS 'How many builds.';

COMMENT ON COLUMN analytics.cancellations_daily.minutes IS 'Minutes that their command jobs had run.';

CREATE VIEW analytics.clusters AS
 SELECT cluster.id,
    cluster.organization_id,
    organization.slug AS organization,
    cluster.name AS cluster,
    cluster.description,
    cluster.default_queue_id,
    ARRAY( SELECT (member.member #>> '{actor,name}'::text[])
           FROM jsonb_path_query(cluster.maintainers, '$."users"[*]'::jsonpath) member(member)
          WHERE ((member.member #>> '{actor,name}'::text[]) IS NOT NULL)
          ORDER BY (member.member #>> '{actor,name}'::text[])) AS maintainer_users,
    ARRAY( SELECT (member.member #>> '{actor,slug}'::text[])
           FROM jsonb_path_query(cluster.maintainers, '$."teams"[*]'::jsonpath) member(member)
          WHERE ((member.member #>> '{actor,slug}'::text[]) IS NOT NULL)
          ORDER BY (member.member #>> '{actor,slug}'::text[])) AS maintainer_teams,
    cluster.created_by_name,
    cluster.created_at,
    cluster.web_url,
    cluster.changed_at,
    cluster.deleted_at
   FROM (buildkite.clusters cluster
     LEFT JOIN buildkite.organizations organization ON ((organization.id = cluster.organization_id)));

COMMENT ON VIEW analytics.clusters IS 'Clusters, as the lists show them; those that Buildkite no longer lists too.';

COMMENT ON COLUMN analytics.clusters.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.clusters.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.clusters.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.clusters.cluster IS 'Name of the cluster, at present.';

COMMENT ON COLUMN analytics.clusters.description IS 'Description.';

COMMENT ON COLUMN analytics.clusters.default_queue_id IS 'queues.id of its default queue.';

COMMENT ON COLUMN analytics.clusters.maintainer_users IS 'Names of the users who may manage the cluster, sorted.';

COMMENT ON COLUMN analytics.clusters.maintainer_teams IS 'Slugs of the teams that may manage the cluster, sorted.';

COMMENT ON COLUMN analytics.clusters.created_by_name IS 'Name of the person who created it.';

COMMENT ON COLUMN analytics.clusters.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.clusters.web_url IS 'Address in the browser.';

COMMENT ON COLUMN analytics.clusters.changed_at IS 'When the row last changed in the mirror.';

COMMENT ON COLUMN analytics.clusters.deleted_at IS 'When a list first lacked it; null: Buildkite lists it.';

CREATE VIEW analytics.costs_daily AS
 SELECT spent.day,
    spent.organization_id,
    spent.pipeline_id,
    spent.branch,
    spent.queue,
    spent.minutes,
    (((spent.minutes_infra_lost + spent.minutes_canceled) + spent.minutes_retried) + spent.minutes_rebuilt) AS minutes_wasted,
    (spent.minutes * COALESCE(own.per_minute, anywhere.per_minute)) AS cost,
    ((((spent.minutes_infra_lost + spent.minutes_canceled) + spent.minutes_retried) + spent.minutes_rebuilt) * COALESCE(own.per_minute, anywhere.per_minute)) AS cost_wasted,
    COALESCE(own.currency, anywhere.currency) AS currency,
    spent.cluster_id,
    cluster.name AS cluster
   FROM (((analytics.minutes_daily spent
     LEFT JOIN buildkite.clusters cluster ON ((cluster.id = spent.cluster_id)))
     LEFT JOIN sync.cluster_rates own ON (((own.queue = spent.queue) AND (own.cluster_id = spent.cluster_id))))
     LEFT JOIN ( SELECT queue_rates.queue,
            (queue_rates.per_minute)::double precision AS per_minute,
            queue_rates.currency
           FROM settings.queue_rates
          WHERE (queue_rates.cluster = '*'::text)) anywhere ON ((anywhere.queue = spent.queue)));

COMMENT ON VIEW analytics.costs_daily IS 'Agent minutes times the rates in settings.queue_rates: the rate for the cluster, otherwise the rate for every cluster. cost is null for a queue without a rate.';

COMMENT ON COLUMN analytics.costs_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.costs_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.costs_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.costs_daily.branch IS 'Branch.';

COMMENT ON COLUMN analytics.costs_daily.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.costs_daily.minutes IS 'Agent minutes.';

COMMENT ON COLUMN analytics.costs_daily.minutes_wasted IS 'Those wasted by lost agents, cancels, retries and rebuilds.';

COMMENT ON COLUMN analytics.costs_daily.cost IS 'Minutes times the queue''s rate.';

COMMENT ON COLUMN analytics.costs_daily.cost_wasted IS 'Minutes wasted times the queue''s rate.';

COMMENT ON COLUMN analytics.costs_daily.currency IS 'Currency of the rate.';

COMMENT ON COLUMN analytics.costs_daily.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.costs_daily.cluster IS 'Name of the cluster, at present; null outside clusters.';

CREATE VIEW analytics.critical_paths AS
 SELECT build.organization_id,
    build.pipeline_id,
    build.id AS build_id,
    build.created_at,
    step."position",
    job.id AS job_id,
    analytics.job_name(job.name, job.label, job.step_key, job.command) AS job,
    job.started_at,
    job.finished_at,
    analytics.seconds(job.runnable_at, job.started_at) AS agent_wait_seconds,
    analytics.seconds(job.started_at, job.finished_at) AS run_seconds
   FROM ((buildkite.builds build
     CROSS JOIN LATERAL ( WITH RECURSIVE path AS (
                ( SELECT last.id,
                    last.started_at,
                    COALESCE(last.runnable_at, last.started_at) AS ready_at,
                    1 AS "position"
                   FROM buildkite.jobs last
                  WHERE ((last.build_id = build.id) AND (last.started_at IS NOT NULL) AND (last.finished_at IS NOT NULL))
                  ORDER BY last.finished_at DESC, last.id
                 LIMIT 1)
                UNION ALL
                 SELECT before.id,
                    before.started_at,
                    before.ready_at,
                    (path_1."position" + 1)
                   FROM (path path_1
                     CROSS JOIN LATERAL ( SELECT job_1.id,
                            job_1.started_at,
                            COALESCE(job_1.runnable_at, job_1.started_at) AS ready_at
                           FROM buildkite.jobs job_1
                          WHERE ((job_1.build_id = build.id) AND (job_1.started_at IS NOT NULL) AND (job_1.finished_at <= (path_1.ready_at + '00:00:01'::interval)) AND (job_1.started_at < path_1.started_at))
                          ORDER BY job_1.finished_at DESC, job_1.id
                         LIMIT 1) before)
                )
         SELECT path.id,
            row_number() OVER (ORDER BY path."position" DESC) AS "position"
           FROM path) step)
     JOIN buildkite.jobs job ON ((job.id = step.id)));

COMMENT ON VIEW analytics.critical_paths IS 'The chain of jobs that decided how long a build took, first to last: from the job that finished last, back to the job whose end let it start. Buildkite''s API has no dependencies; a job counts as waiting for the one that finished last before it became runnable (within 1 s). Select one build (where build_id = ...).';

COMMENT ON COLUMN analytics.critical_paths.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.critical_paths.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.critical_paths.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.critical_paths.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.critical_paths."position" IS '1 for the first job.';

COMMENT ON COLUMN analytics.critical_paths.job_id IS 'jobs.id.';

COMMENT ON COLUMN analytics.critical_paths.job IS 'Name of the job, as people read it.';

COMMENT ON COLUMN analytics.critical_paths.started_at IS 'When it started.';

COMMENT ON COLUMN analytics.critical_paths.finished_at IS 'When it finished.';

COMMENT ON COLUMN analytics.critical_paths.agent_wait_seconds IS 'Seconds from runnable to started: the wait for an agent.';

COMMENT ON COLUMN analytics.critical_paths.run_seconds IS 'Seconds it ran.';

CREATE TABLE sync.failures (
    id bigint NOT NULL,
    kind text NOT NULL,
    organization_id uuid,
    subject text NOT NULL,
    pipeline_slug text,
    build_number bigint,
    build_id uuid,
    created_from timestamp(3) with time zone,
    created_to timestamp(3) with time zone,
    code text NOT NULL,
    error text NOT NULL,
    tries integer DEFAULT 1 NOT NULL,
    first_failed_at timestamp(3) with time zone NOT NULL,
    last_failed_at timestamp(3) with time zone NOT NULL,
    next_try_at timestamp(3) with time zone NOT NULL,
    pipeline_id uuid,
    cleared_at timestamp(3) with time zone
);

COMMENT ON TABLE sync.failures IS 'Units of work that failed: a build, a list, a window, a delivery, a day. Each is retried with back-off while everything else continues; its row is deleted when it succeeds.';

COMMENT ON COLUMN sync.failures.id IS 'Order of the first failure.';

COMMENT ON COLUMN sync.failures.kind IS 'build, builds_list, pipelines_list, window, delivery, orphans, pipeline_change, rollup_day or replica.';

COMMENT ON COLUMN sync.failures.organization_id IS 'organizations.id; null if it belongs to none.';

COMMENT ON COLUMN sync.failures.subject IS 'Readable name of what failed.';

COMMENT ON COLUMN sync.failures.pipeline_slug IS 'For a build: the slug that its pipeline had at the first failure.';

COMMENT ON COLUMN sync.failures.build_number IS 'For a build: its number.';

COMMENT ON COLUMN sync.failures.build_id IS 'builds.id, if known.';

COMMENT ON COLUMN sync.failures.created_from IS 'For builds_list: lower bound (inclusive) of the created_at range that cannot be listed.';

COMMENT ON COLUMN sync.failures.created_to IS 'For builds_list: upper bound (exclusive) of the created_at range that cannot be listed.';

COMMENT ON COLUMN sync.failures.code IS 'Kind of error: a code of the API, an HTTP status, or an SQLSTATE.';

COMMENT ON COLUMN sync.failures.error IS 'What happened and what to do.';

COMMENT ON COLUMN sync.failures.tries IS 'Number of consecutive failures.';

COMMENT ON COLUMN sync.failures.first_failed_at IS 'First of the consecutive failures, on the mirror''s clock.';

COMMENT ON COLUMN sync.failures.last_failed_at IS 'Last failure, on the mirror''s clock.';

COMMENT ON COLUMN sync.failures.next_try_at IS 'Not retried before this time, on the mirror''s clock.';

COMMENT ON COLUMN sync.failures.pipeline_id IS 'pipelines.id, if known.';

COMMENT ON COLUMN sync.failures.cleared_at IS 'When Buildkite answered 404 for the build, or listed the range without it, on Buildkite''s clock. It stays an exception until a list of pipelines shows that the pipelines were visible then.';

CREATE TABLE sync.job_reads (
    build_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    is_open boolean NOT NULL,
    read_at timestamp(3) with time zone,
    jobs integer DEFAULT 0 NOT NULL,
    next_read_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE sync.job_reads IS 'Builds that were listed without their jobs, until the API confirms the jobs too: open builds, and finished builds whose jobs are not read yet.';

COMMENT ON COLUMN sync.job_reads.build_id IS 'builds.id.';

COMMENT ON COLUMN sync.job_reads.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.job_reads.is_open IS 'Whether the build was open when it was last listed.';

COMMENT ON COLUMN sync.job_reads.read_at IS 'Its jobs are confirmed as of this time, on Buildkite''s clock; null: never confirmed.';

COMMENT ON COLUMN sync.job_reads.jobs IS 'How many jobs it had at read_at.';

COMMENT ON COLUMN sync.job_reads.next_read_at IS 'When its jobs are read again.';

CREATE TABLE sync.pipeline_coverage (
    pipeline_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    listed_since timestamp(3) with time zone NOT NULL,
    unlisted_at timestamp(3) with time zone,
    covered_from timestamp(3) with time zone,
    covered_until timestamp(3) with time zone
);

COMMENT ON TABLE sync.pipeline_coverage IS 'The mirrored pipelines, and since when the list of pipelines has contained each without interruption. Only reads since then cover a pipeline.';

COMMENT ON COLUMN sync.pipeline_coverage.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN sync.pipeline_coverage.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.pipeline_coverage.listed_since IS 'Builds lists show its builds without interruption since this time, on Buildkite''s clock: two minutes after the first list of pipelines that contained it, or contained it again, was read.';

COMMENT ON COLUMN sync.pipeline_coverage.unlisted_at IS 'Start of the read of the first list that no longer contained it; null while it is listed.';

COMMENT ON COLUMN sync.pipeline_coverage.covered_from IS 'For a pipeline that is no longer listed: the oldest created_at from which it was complete.';

COMMENT ON COLUMN sync.pipeline_coverage.covered_until IS 'For a pipeline that is no longer listed: the time up to which it was complete.';

CREATE TABLE sync.unlisted_builds (
    build_id uuid NOT NULL,
    organization_id uuid NOT NULL,
    reads integer DEFAULT 0 NOT NULL,
    last_read_at timestamp(3) with time zone NOT NULL,
    next_read_at timestamp(3) with time zone NOT NULL,
    last_status integer
);

COMMENT ON TABLE sync.unlisted_builds IS 'Builds that are open or provisional in the mirror and in no list of Buildkite, and when each is read again.';

COMMENT ON COLUMN sync.unlisted_builds.build_id IS 'builds.id.';

COMMENT ON COLUMN sync.unlisted_builds.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.unlisted_builds.reads IS 'How often it was read individually. The wait grows with it.';

COMMENT ON COLUMN sync.unlisted_builds.last_read_at IS 'When it was last read, on the mirror''s clock.';

COMMENT ON COLUMN sync.unlisted_builds.next_read_at IS 'Earliest time of the next read.';

COMMENT ON COLUMN sync.unlisted_builds.last_status IS 'HTTP status of the last response: 404 means deleted, past retention, or invisible to the token.';

CREATE TABLE sync.watermarks (
    organization_id uuid NOT NULL,
    watermark timestamp(3) with time zone,
    warm_watermark timestamp(3) with time zone,
    backfill_from timestamp(3) with time zone,
    backfill_to timestamp(3) with time zone,
    pipelines_read_at timestamp(3) with time zone,
    updated_at timestamp(3) with time zone NOT NULL,
    pipeline_filter jsonb,
    pipelines_listed_by text,
    confirmed_to timestamp(3) with time zone,
    counts_from timestamp(3) with time zone
);

COMMENT ON TABLE sync.watermarks IS 'How far the mirror is known to be complete. One row for each organization.';

COMMENT ON COLUMN sync.watermarks.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.watermarks.watermark IS 'Everything created or finished before it, on Buildkite''s clock, is verified: back to backfill_to by the cycles, from there to backfill_from as far as the windows are done. A cycle moves it to its own start, after everything it read was committed.';

COMMENT ON COLUMN sync.watermarks.warm_watermark IS 'Start of the last warm cycle, which reads the same with an overlap of hours.';

COMMENT ON COLUMN sync.watermarks.backfill_from IS 'created_at at which the backfill ends. Older builds are not read.';

COMMENT ON COLUMN sync.watermarks.backfill_to IS 'created_at from which the backfill goes into the past. The cycles read newer builds.';

COMMENT ON COLUMN sync.watermarks.pipelines_read_at IS 'Start of the read of the last list of pipelines that was applied, on Buildkite''s clock.';

COMMENT ON COLUMN sync.watermarks.updated_at IS 'When this row was last written, on the mirror''s clock.';

COMMENT ON COLUMN sync.watermarks.pipeline_filter IS 'The patterns of pipelines (include, exclude) that the row is valid for. If later patterns include more, all windows are read again. Null: the present patterns.';

COMMENT ON COLUMN sync.watermarks.pipelines_listed_by IS 'Fingerprint of the token that read the list of pipelines. Another token may see other pipelines, so a process with another token reads the list first.';

COMMENT ON COLUMN sync.watermarks.confirmed_to IS 'As of this time the mirror is complete for every listed pipeline. Each list of pipelines moves it, because it shows which pipelines earlier cycles could see.';

COMMENT ON COLUMN sync.watermarks.counts_from IS 'Cycles and windows that began before this time, on Buildkite''s clock, do not count: two minutes after the last list of pipelines that did not confirm earlier reads. Null if there was no such list.';

CREATE TABLE sync.windows (
    id bigint NOT NULL,
    organization_id uuid NOT NULL,
    created_from timestamp(3) with time zone NOT NULL,
    created_to timestamp(3) with time zone NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    scanned_to timestamp(3) with time zone,
    builds integer DEFAULT 0 NOT NULL,
    requests integer DEFAULT 0 NOT NULL,
    started_at timestamp(3) with time zone,
    finished_at timestamp(3) with time zone,
    verified_at timestamp(3) with time zone,
    error text,
    pipeline_id uuid,
    first_verified_at timestamp(3) with time zone,
    tries integer DEFAULT 0 NOT NULL,
    next_try_at timestamp(3) with time zone,
    first_verified_until timestamp(3) with time zone,
    verified_until timestamp(3) with time zone
);

COMMENT ON TABLE sync.windows IS 'History in pieces: half-open ranges of created_at. Read by the backfill, newest first; later read again by the audit, which adds a window for every day that the cycles have covered since. The ranges with status done are covered.';

COMMENT ON COLUMN sync.windows.id IS 'Order of creation.';

COMMENT ON COLUMN sync.windows.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.windows.created_from IS 'Lower bound (inclusive) of the created_at range.';

COMMENT ON COLUMN sync.windows.created_to IS 'Upper bound (exclusive) of the created_at range.';

COMMENT ON COLUMN sync.windows.status IS 'pending, running or done. Done: every build of the range that REST lists is in the mirror.';

COMMENT ON COLUMN sync.windows.scanned_to IS 'How far the window is read, downwards from created_to. After a restart the read continues here.';

COMMENT ON COLUMN sync.windows.builds IS 'Builds read in it so far.';

COMMENT ON COLUMN sync.windows.requests IS 'Requests it took so far.';

COMMENT ON COLUMN sync.windows.started_at IS 'When the read of the window began, on the mirror''s clock.';

COMMENT ON COLUMN sync.windows.finished_at IS 'When the read of the window was complete, on the mirror''s clock.';

COMMENT ON COLUMN sync.windows.verified_at IS 'Since when its builds are verified, on Buildkite''s clock: the start of the last complete read, by backfill or audit.';

COMMENT ON COLUMN sync.windows.error IS 'Why the last try failed; null otherwise.';

COMMENT ON COLUMN sync.windows.pipeline_id IS 'pipelines.id: read from the list of this pipeline. Null: from the list of the organization.';

COMMENT ON COLUMN sync.windows.first_verified_at IS 'Start of the first complete read, on Buildkite''s clock.';

COMMENT ON COLUMN sync.windows.tries IS 'How many tries in a row failed.';

COMMENT ON COLUMN sync.windows.next_try_at IS 'After a failure: not retried before this time.';

COMMENT ON COLUMN sync.windows.first_verified_until IS 'End of the first complete read, on Buildkite''s clock.';

COMMENT ON COLUMN sync.windows.verified_until IS 'End of the last complete read, on Buildkite''s clock.';

CREATE VIEW analytics.data_coverage AS
 WITH mark AS (
         SELECT watermarks.organization_id,
            watermarks.confirmed_to,
            watermarks.backfill_from,
            watermarks.backfill_to,
            watermarks.pipelines_read_at,
            (watermarks.pipelines_read_at - '00:02:00'::interval) AS seen_until
           FROM sync.watermarks
        ), cohort AS (
         SELECT DISTINCT coverage.organization_id,
            coverage.listed_since,
            mark_1.confirmed_to,
            mark_1.seen_until,
            mark_1.backfill_to
           FROM (sync.pipeline_coverage coverage
             JOIN mark mark_1 USING (organization_id))
          WHERE (coverage.unlisted_at IS NULL)
        ), cohort_ranges AS (
         SELECT cohort.organization_id,
            cohort.listed_since,
            read.verified_at,
            (COALESCE(read.ranges, '{}'::tstzmultirange) +
                CASE
                    WHEN (cohort.confirmed_to > GREATEST(cohort.backfill_to, cohort.listed_since)) THEN tstzmultirange(tstzrange(GREATEST(cohort.backfill_to, cohort.listed_since), cohort.confirmed_to))
                    ELSE '{}'::tstzmultirange
                END) AS ranges
           FROM (cohort
             CROSS JOIN LATERAL ( SELECT range_agg(tstzrange(part.created_from, part.created_to)) AS ranges,
                    min(part.verified_at) AS verified_at
                   FROM sync.windows part
                  WHERE ((part.organization_id = cohort.organization_id) AND (part.pipeline_id IS NULL) AND (part.status = 'done'::text) AND (((part.first_verified_at >= cohort.listed_since) AND (part.first_verified_until <= cohort.seen_until)) OR ((part.verified_at >= cohort.listed_since) AND (part.verified_until <= cohort.seen_until))))) read)
        ), own_ranges AS (
         SELECT coverage.pipeline_id,
            range_agg(tstzrange(part.created_from, part.created_to)) AS ranges,
            min(part.verified_at) AS verified_at
           FROM (sync.pipeline_coverage coverage
             JOIN sync.windows part ON (((part.pipeline_id = coverage.pipeline_id) AND (part.status = 'done'::text) AND (part.first_verified_at >= coverage.listed_since))))
          WHERE (coverage.unlisted_at IS NULL)
          GROUP BY coverage.pipeline_id
        ), covered AS (
         SELECT coverage.pipeline_id,
            coverage.organization_id,
            coverage.unlisted_at,
                CASE
                    WHEN (coverage.unlisted_at IS NULL) THEN (cohort_ranges.ranges + COALESCE(own_ranges.ranges, '{}'::tstzmultirange))
                    ELSE
                    CASE
                        WHEN (coverage.covered_until > coverage.covered_from) THEN tstzmultirange(tstzrange(coverage.covered_from, coverage.covered_until))
                        ELSE '{}'::tstzmultirange
                    END
                END AS ranges,
                CASE
                    WHEN (coverage.unlisted_at IS NULL) THEN mark_1.confirmed_to
                    ELSE coverage.covered_until
                END AS as_of,
            LEAST(cohort_ranges.verified_at, own_ranges.verified_at) AS verified_at
           FROM (((sync.pipeline_coverage coverage
             JOIN mark mark_1 USING (organization_id))
             LEFT JOIN cohort_ranges ON (((cohort_ranges.organization_id = coverage.organization_id) AND (cohort_ranges.listed_since = coverage.listed_since) AND (coverage.unlisted_at IS NULL))))
             LEFT JOIN own_ranges USING (pipeline_id))
        ), unread_jobs AS (
         SELECT build.pipeline_id,
            min(COALESCE(unread.read_at, (build.created_at - '00:00:00.001'::interval))) AS as_of
           FROM ((sync.job_reads unread
             JOIN buildkite.builds build ON ((build.id = unread.build_id)))
             LEFT JOIN mark mark_1 ON ((mark_1.organization_id = build.organization_id)))
          WHERE ((build.deleted_at IS NULL) OR ((build.deleted_reason = ANY (ARRAY['deleted'::text, 'retention'::text])) AND COALESCE((build.deleted_at > mark_1.seen_until), true)))
          GROUP BY build.pipeline_id
        ), failed_builds AS (
         SELECT failed.organization_id,
            COALESCE(failed.pipeline_id, pipeline_1.id) AS pipeline_id
           FROM (sync.failures failed
             LEFT JOIN buildkite.pipelines pipeline_1 ON (((failed.pipeline_id IS NULL) AND (pipeline_1.organization_id = failed.organization_id) AND (pipeline_1.slug = failed.pipeline_slug) AND (pipeline_1.deleted_at IS NULL))))
          WHERE (failed.kind = 'build'::text)
        ), exceptions AS (
         SELECT unconfirmed.pipeline_id,
            count(*) AS count
           FROM ( SELECT failed_builds.pipeline_id
                   FROM failed_builds
                  WHERE (failed_builds.pipeline_id IS NOT NULL)
                UNION ALL
                 SELECT build.pipeline_id
                   FROM ((sync.unlisted_builds unlisted
                     JOIN buildkite.builds build ON ((build.id = unlisted.build_id)))
                     LEFT JOIN mark mark_1 ON ((mark_1.organization_id = build.organization_id)))
                  WHERE ((unlisted.last_status IS DISTINCT FROM 200) AND ((build.deleted_at IS NULL) OR ((build.deleted_reason = ANY (ARRAY['deleted'::text, 'retention'::text])) AND COALESCE((build.deleted_at > mark_1.seen_until), true))))) unconfirmed
          GROUP BY unconfirmed.pipeline_id
        ), unlistable AS (
         SELECT shared.organization_id,
            count(*) AS count
           FROM ( SELECT failures.organization_id
                   FROM sync.failures
                  WHERE (failures.kind = 'builds_list'::text)
                UNION ALL
                 SELECT failed_builds.organization_id
                   FROM failed_builds
                  WHERE (failed_builds.pipeline_id IS NULL)) shared
          GROUP BY shared.organization_id
        )
 SELECT organization.id AS organization_id,
    organization.slug AS organization,
    covered.pipeline_id,
    pipeline.slug AS pipeline,
    lower(span.range) AS complete_from,
    upper(span.range) AS complete_to,
    covered.as_of,
    LEAST(covered.as_of, unread_jobs.as_of) AS jobs_as_of,
    covered.verified_at,
    mark.pipelines_read_at AS pipelines_listed_at,
    mark.backfill_from AS wanted_from,
    ((covered.unlisted_at IS NULL) AND (covered.pipeline_id IS NOT NULL)) AS is_listed,
    COALESCE(((upper(span.range) >= covered.as_of) AND (covered.unlisted_at IS NULL)), false) AS is_current,
    (COALESCE(exceptions.count, (0)::bigint) + COALESCE(unlistable.count, (0)::bigint)) AS exceptions
   FROM (((((((buildkite.organizations organization
     LEFT JOIN mark ON ((mark.organization_id = organization.id)))
     LEFT JOIN covered ON ((covered.organization_id = organization.id)))
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = covered.pipeline_id)))
     LEFT JOIN LATERAL unnest(covered.ranges) span(range) ON (true))
     LEFT JOIN unread_jobs ON ((unread_jobs.pipeline_id = covered.pipeline_id)))
     LEFT JOIN exceptions ON ((exceptions.pipeline_id = covered.pipeline_id)))
     LEFT JOIN unlistable ON ((unlistable.organization_id = organization.id)));

COMMENT ON VIEW analytics.data_coverage IS 'What is complete, for each pipeline of each organization: every build that was created in the range and that Buildkite shows is in the mirror, as of as_of. One row for each range; its bounds are null while nothing of a pipeline is complete yet. The audit finds deletions and silent edits: see verified_at.';

COMMENT ON COLUMN analytics.data_coverage.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.data_coverage.organization IS 'Slug of the organization.';

COMMENT ON COLUMN analytics.data_coverage.pipeline_id IS 'pipelines.id; null while no pipeline of the organization is listed.';

COMMENT ON COLUMN analytics.data_coverage.pipeline IS 'Slug of the pipeline.';

COMMENT ON COLUMN analytics.data_coverage.complete_from IS 'Lower bound (inclusive) of the created_at range in which every build is in the mirror.';

COMMENT ON COLUMN analytics.data_coverage.complete_to IS 'Upper bound (exclusive) of the created_at range in which every build is in the mirror.';

COMMENT ON COLUMN analytics.data_coverage.as_of IS 'The builds are as Buildkite had them at this time, on Buildkite''s clock, or newer. It is some minutes before pipelines_listed_at; see docs/how-it-works/05-completeness.md.';

COMMENT ON COLUMN analytics.data_coverage.jobs_as_of IS 'The same for their jobs. Earlier while jobs of open builds are not read.';

COMMENT ON COLUMN analytics.data_coverage.verified_at IS 'Start of the oldest read (backfill or audit) that the claim is based on. Deletions and silent edits since then may be missing.';

COMMENT ON COLUMN analytics.data_coverage.pipelines_listed_at IS 'When the list of pipelines was last read completely. Pipelines that appeared later are not part of the claim.';

COMMENT ON COLUMN analytics.data_coverage.wanted_from IS 'Oldest created_at of the wanted history.';

COMMENT ON COLUMN analytics.data_coverage.is_listed IS 'Whether Buildkite still lists the pipeline. If not, the claim stays as of the last list that contained it.';

COMMENT ON COLUMN analytics.data_coverage.is_current IS 'Whether the range reaches up to as_of.';

COMMENT ON COLUMN analytics.data_coverage.exceptions IS 'Known unconfirmed builds, and ranges that cannot be listed: see sync.failures and sync.unlisted_builds.';

CREATE TABLE sync.cycles (
    id bigint NOT NULL,
    organization_id uuid NOT NULL,
    kind text NOT NULL,
    watermark_from timestamp(3) with time zone,
    watermark_to timestamp(3) with time zone,
    started_at timestamp(3) with time zone NOT NULL,
    finished_at timestamp(3) with time zone,
    requests integer DEFAULT 0 NOT NULL,
    builds_read integer DEFAULT 0 NOT NULL,
    builds_missing integer DEFAULT 0 NOT NULL,
    builds_healed integer DEFAULT 0 NOT NULL,
    jobs_missing integer DEFAULT 0 NOT NULL,
    jobs_healed integer DEFAULT 0 NOT NULL,
    unlisted_read integer DEFAULT 0 NOT NULL,
    error text,
    builds_in_flight integer DEFAULT 0 NOT NULL,
    builds_completed integer DEFAULT 0 NOT NULL,
    builds_confirmed integer DEFAULT 0 NOT NULL,
    jobs_in_flight integer DEFAULT 0 NOT NULL,
    jobs_completed integer DEFAULT 0 NOT NULL,
    jobs_confirmed integer DEFAULT 0 NOT NULL,
    read_until timestamp(3) with time zone
);

COMMENT ON TABLE sync.cycles IS 'Each run of the reconciler: what it read, and what webhooks had not brought.';

COMMENT ON COLUMN sync.cycles.id IS 'Order of starting.';

COMMENT ON COLUMN sync.cycles.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.cycles.kind IS 'hot: every interval, with a short overlap; warm: an overlap of hours; pipelines: the list of pipelines; audit: one window of history read again, from watermark_from to watermark_to.';

COMMENT ON COLUMN sync.cycles.watermark_from IS 'Watermark that it started from; null for the first.';

COMMENT ON COLUMN sync.cycles.watermark_to IS 'Watermark that it set; null if it failed.';

COMMENT ON COLUMN sync.cycles.started_at IS 'When it began, on the mirror''s clock.';

COMMENT ON COLUMN sync.cycles.finished_at IS 'When it ended; null while it runs, or if its process was killed.';

COMMENT ON COLUMN sync.cycles.requests IS 'Requests to Buildkite''s API.';

COMMENT ON COLUMN sync.cycles.builds_read IS 'Builds read from REST.';

COMMENT ON COLUMN sync.cycles.builds_missing IS 'Builds whose webhooks were lost: missing in the mirror.';

COMMENT ON COLUMN sync.cycles.builds_healed IS 'Builds whose webhooks were lost: wrong in the mirror.';

COMMENT ON COLUMN sync.cycles.jobs_missing IS 'Jobs whose webhooks were lost: missing in the mirror.';

COMMENT ON COLUMN sync.cycles.jobs_healed IS 'Jobs whose webhooks were lost: wrong in the mirror.';

COMMENT ON COLUMN sync.cycles.unlisted_read IS 'Builds that were read one by one because no list contained them.';

COMMENT ON COLUMN sync.cycles.error IS 'Why it failed; null otherwise.';

COMMENT ON COLUMN sync.cycles.builds_in_flight IS 'Builds that differed; a webhook that is queued or may be on its way can explain it.';

COMMENT ON COLUMN sync.cycles.builds_completed IS 'Builds to which REST added data that webhooks do not carry.';

COMMENT ON COLUMN sync.cycles.builds_confirmed IS 'Builds that were correct.';

COMMENT ON COLUMN sync.cycles.jobs_in_flight IS 'Jobs that differed; a webhook that is queued or may be on its way can explain it.';

COMMENT ON COLUMN sync.cycles.jobs_completed IS 'Jobs, or parts of them, for which Buildkite sends no webhook.';

COMMENT ON COLUMN sync.cycles.jobs_confirmed IS 'Jobs that were correct.';

COMMENT ON COLUMN sync.cycles.read_until IS 'When the last of its lists was read, on Buildkite''s clock; null if it failed.';

CREATE TABLE sync.deliveries (
    id bigint NOT NULL,
    key text NOT NULL,
    event text NOT NULL,
    request_id text,
    received_at timestamp(3) with time zone NOT NULL,
    observed_at timestamp(3) with time zone NOT NULL,
    status text DEFAULT 'pending'::text NOT NULL,
    attempts integer DEFAULT 0 NOT NULL,
    error text,
    enqueued_at timestamp(3) with time zone,
    applied_at timestamp(3) with time zone,
    payload text,
    failed_at timestamp(3) with time zone,
    next_try_at timestamp(3) with time zone
)
WITH (autovacuum_vacuum_scale_factor='0.02', autovacuum_vacuum_insert_scale_factor='0.05');
ALTER TABLE ONLY sync.deliveries ALTER COLUMN payload SET COMPRESSION lz4;

COMMENT ON TABLE sync.deliveries IS 'The inbox: each accepted webhook request, stored before it was acknowledged. The same delivery received twice is one row.';

COMMENT ON COLUMN sync.deliveries.id IS 'Order of arrival.';

COMMENT ON COLUMN sync.deliveries.key IS 'Fingerprint of the delivery, which identifies repeats: Buildkite gives deliveries no id.';

COMMENT ON COLUMN sync.deliveries.event IS 'The event, such as build.finished. ping and unknown events are stored too.';

COMMENT ON COLUMN sync.deliveries.request_id IS 'Buildkite''s id of the request, if it sent one. For tracing.';

COMMENT ON COLUMN sync.deliveries.received_at IS 'When the request arrived, on the mirror''s clock.';

COMMENT ON COLUMN sync.deliveries.observed_at IS 'The time at which the payload was true: that of the signature, or of receipt if there is none. Buildkite sometimes sends late, so it may be long after the event.';

COMMENT ON COLUMN sync.deliveries.status IS 'pending: not applied yet; applied: its objects are in the mirror; ignored: it contains nothing to mirror; failed: see error, it can be replayed.';

COMMENT ON COLUMN sync.deliveries.attempts IS 'How often the service tried to apply it.';

COMMENT ON COLUMN sync.deliveries.error IS 'Why it could not be applied; null otherwise.';

COMMENT ON COLUMN sync.deliveries.enqueued_at IS 'When it was last enqueued. Null: not yet; the sweeper enqueues it.';

COMMENT ON COLUMN sync.deliveries.applied_at IS 'When its objects were in the mirror, on the mirror''s clock. Null while pending, ignored or failed. applied_at - received_at is the lag.';

COMMENT ON COLUMN sync.deliveries.payload IS 'The body without secrets. Null after PAYLOAD_RETENTION_DAYS, once it is processed.';

COMMENT ON COLUMN sync.deliveries.failed_at IS 'When its last try failed, on the mirror''s clock; null unless its status is failed.';

COMMENT ON COLUMN sync.deliveries.next_try_at IS 'For a delivery that could not be applied in time: not retried before this time, and then alone. See sync.failures.';

CREATE TABLE sync.rollups (
    name text NOT NULL,
    refreshed_at timestamp with time zone NOT NULL,
    seen_to timestamp with time zone,
    took_ms double precision NOT NULL
);

COMMENT ON TABLE sync.rollups IS 'When daily totals (days) and people (users) were last refreshed.';

COMMENT ON COLUMN sync.rollups.name IS 'days or users.';

COMMENT ON COLUMN sync.rollups.refreshed_at IS 'When the last run began.';

COMMENT ON COLUMN sync.rollups.seen_to IS 'For users: up to which changed_at people are included. For days: when the present run of sync.refresh_rollups() began; null if none runs.';

COMMENT ON COLUMN sync.rollups.took_ms IS 'How long the last run took, in milliseconds. For days: the last day.';

CREATE VIEW analytics.data_freshness AS
 SELECT organization.id AS organization_id,
    organization.slug AS organization,
    reached.watermark,
    cycle.finished_at AS last_cycle_at,
    analytics.seconds(cycle.finished_at, now()) AS seconds_since_last_cycle,
    webhook.received_at AS last_webhook_at,
    webhook.lag_seconds AS last_webhook_lag_seconds,
    ( SELECT count(*) AS count
           FROM sync.deliveries delivery
          WHERE (delivery.status = 'pending'::text)) AS pending_webhooks,
    ( SELECT count(*) AS count
           FROM sync.deliveries delivery
          WHERE (delivery.status = 'failed'::text)) AS failed_webhooks,
    ( SELECT count(*) AS count
           FROM buildkite.builds build
          WHERE ((build.organization_id = organization.id) AND (build.state = ANY (ARRAY['creating'::text, 'scheduled'::text, 'running'::text, 'failing'::text, 'canceling'::text])) AND (build.deleted_at IS NULL))) AS open_builds,
    ( SELECT count(*) AS count
           FROM buildkite.builds build
          WHERE ((build.organization_id = organization.id) AND ((build.verified_at IS NULL) OR (build.observed_at > build.verified_at)) AND (build.deleted_at IS NULL))) AS provisional_builds,
    ( SELECT rollups.refreshed_at
           FROM sync.rollups
          WHERE (rollups.name = 'days'::text)) AS rollups_refreshed_at,
    ( SELECT count(DISTINCT stale_days.day) AS count
           FROM sync.stale_days) AS rollup_days_stale
   FROM (((buildkite.organizations organization
     LEFT JOIN sync.watermarks reached ON ((reached.organization_id = organization.id)))
     LEFT JOIN LATERAL ( SELECT done.finished_at
           FROM sync.cycles done
          WHERE ((done.organization_id = organization.id) AND (done.kind = 'hot'::text) AND (done.finished_at IS NOT NULL) AND (done.error IS NULL))
          ORDER BY done.started_at DESC
         LIMIT 1) cycle ON (true))
     LEFT JOIN LATERAL ( SELECT delivery.received_at,
            analytics.seconds(delivery.received_at, delivery.applied_at) AS lag_seconds
           FROM sync.deliveries delivery
          WHERE (delivery.applied_at IS NOT NULL)
          ORDER BY delivery.received_at DESC
         LIMIT 1) webhook ON (true));

COMMENT ON VIEW analytics.data_freshness IS 'How far behind the mirror is, by organization. Webhook figures are of all organizations together.';

COMMENT ON COLUMN analytics.data_freshness.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.data_freshness.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.data_freshness.watermark IS 'Everything created or finished before it is verified.';

COMMENT ON COLUMN analytics.data_freshness.last_cycle_at IS 'When the last hot cycle succeeded.';

COMMENT ON COLUMN analytics.data_freshness.seconds_since_last_cycle IS 'Seconds since then.';

COMMENT ON COLUMN analytics.data_freshness.last_webhook_at IS 'When the last applied webhook was received.';

COMMENT ON COLUMN analytics.data_freshness.last_webhook_lag_seconds IS 'Seconds from its receipt to its rows.';

COMMENT ON COLUMN analytics.data_freshness.pending_webhooks IS 'Deliveries received and not yet applied.';

COMMENT ON COLUMN analytics.data_freshness.failed_webhooks IS 'Deliveries that failed and are not retried (see replay).';

COMMENT ON COLUMN analytics.data_freshness.open_builds IS 'Builds that are not finished.';

COMMENT ON COLUMN analytics.data_freshness.provisional_builds IS 'Builds that a webhook changed after the last REST read.';

COMMENT ON COLUMN analytics.data_freshness.rollups_refreshed_at IS 'When the rollup tables were last checked for stale days.';

COMMENT ON COLUMN analytics.data_freshness.rollup_days_stale IS 'Days whose rollup rows are stale.';

CREATE VIEW analytics.deployed_commits AS
 SELECT deployed.id AS deployment_id,
    deployed.organization_id,
    organization.slug AS organization,
    deployed.service,
    deployed.environment,
    deployed.repository,
    deployed.deployed_at,
    brought.commit,
    (brought.commit = deployed.commit_sha) AS is_head,
    written.at AS committed_at,
    analytics.seconds(written.at, deployed.deployed_at) AS lead_seconds
   FROM ((((((analytics.deployments deployed
     LEFT JOIN buildkite.organizations organization ON ((organization.id = deployed.organization_id)))
     LEFT JOIN ( SELECT pipelines.organization_id,
            analytics.repository_name(pipelines.repository) AS repository,
            array_agg(pipelines.id) AS pipelines
           FROM buildkite.pipelines
          GROUP BY pipelines.organization_id, (analytics.repository_name(pipelines.repository))) same ON (((same.organization_id = deployed.organization_id) AND (same.repository = deployed.repository))))
     CROSS JOIN LATERAL ( SELECT min(build.created_at) AS at
           FROM buildkite.builds build
          WHERE ((build.commit = deployed.commit_sha) AND (build.commit <> 'HEAD'::text) AND (build.branch = deployed.integration_branch) AND (build.pipeline_id = ANY (same.pipelines)))) head)
     CROSS JOIN LATERAL ( SELECT max(place.at) AS at
           FROM (( SELECT earlier.commit_sha
                   FROM analytics.deployments earlier
                  WHERE (earlier.success AND (earlier.organization_id = deployed.organization_id) AND (earlier.service = deployed.service) AND (earlier.environment = deployed.environment) AND (earlier.deployed_at < deployed.deployed_at) AND (NOT (earlier.repository IS DISTINCT FROM deployed.repository)))
                  ORDER BY earlier.deployed_at DESC, earlier.id DESC
                 LIMIT 5) one
             CROSS JOIN LATERAL ( SELECT min(build.created_at) AS at
                   FROM buildkite.builds build
                  WHERE ((build.commit = one.commit_sha) AND (build.commit <> 'HEAD'::text) AND (build.branch = deployed.integration_branch) AND (build.pipeline_id = ANY (same.pipelines)))) place)) start)
     CROSS JOIN LATERAL ( SELECT built.commit
           FROM (( SELECT DISTINCT build.commit
                   FROM (unnest(same.pipelines) pipeline(id)
                     CROSS JOIN LATERAL ( SELECT builds.commit,
                            builds.branch
                           FROM buildkite.builds
                          WHERE ((builds.pipeline_id = pipeline.id) AND (builds.created_at > start.at) AND (builds.created_at <= head.at) AND (builds.commit <> 'HEAD'::text))
                         OFFSET 0) build)
                  WHERE (build.branch = deployed.integration_branch)) built
             CROSS JOIN LATERAL ( SELECT min(build.created_at) AS at
                   FROM buildkite.builds build
                  WHERE ((build.commit = built.commit) AND (build.branch = deployed.integration_branch) AND (build.pipeline_id = ANY (same.pipelines)))) place)
          WHERE (place.at > start.at)
        UNION ALL
         SELECT deployed.commit_sha
          WHERE ((deployed.commit_sha <> 'HEAD'::text) AND ((start.at IS NULL) OR (head.at IS NULL)))) brought)
     CROSS JOIN LATERAL ( SELECT min(build.author_date) AS at
           FROM buildkite.builds build
          WHERE ((build.commit = brought.commit) AND (build.organization_id = deployed.organization_id))) written)
  WHERE (deployed.success AND (deployed.organization_id IS NOT NULL));

COMMENT ON VIEW analytics.deployed_commits IS 'Commits that each successful deployment brought: those of the integration branch that were first built after the commits deployed before, and not after the deployed one. Buildkite shows only commits that were built. A commit deployed again brings none.';

COMMENT ON COLUMN analytics.deployed_commits.deployment_id IS 'deployments.id.';

COMMENT ON COLUMN analytics.deployed_commits.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.deployed_commits.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.deployed_commits.service IS 'Service: of the rule, otherwise the pipeline''s slug.';

COMMENT ON COLUMN analytics.deployed_commits.environment IS 'Environment, of the rule.';

COMMENT ON COLUMN analytics.deployed_commits.repository IS 'owner/name of the repository.';

COMMENT ON COLUMN analytics.deployed_commits.deployed_at IS 'When the deployment ended.';

COMMENT ON COLUMN analytics.deployed_commits.commit IS 'Commit.';

COMMENT ON COLUMN analytics.deployed_commits.is_head IS 'Whether it is the commit that was deployed.';

COMMENT ON COLUMN analytics.deployed_commits.committed_at IS 'Author date of the commit, from any of its builds; null if none has it.';

COMMENT ON COLUMN analytics.deployed_commits.lead_seconds IS 'Seconds from committed_at to deployed_at.';

CREATE TABLE settings.incidents (
    id text NOT NULL,
    organization text DEFAULT '*'::text NOT NULL,
    service text NOT NULL,
    environment text DEFAULT 'production'::text NOT NULL,
    started_at timestamp(3) with time zone NOT NULL,
    resolved_at timestamp(3) with time zone,
    deployment_id text,
    url text
);

COMMENT ON TABLE settings.incidents IS 'Incidents that users load. A service with incidents here has failed where an incident says so, and has recovered when it was resolved.';

COMMENT ON COLUMN settings.incidents.id IS 'Its id in the incident tracker.';

COMMENT ON COLUMN settings.incidents.organization IS 'Slug of the organization; *: all.';

COMMENT ON COLUMN settings.incidents.service IS 'Service, as in deployments.service.';

COMMENT ON COLUMN settings.incidents.environment IS 'Environment, as in deployments.environment.';

COMMENT ON COLUMN settings.incidents.started_at IS 'When it began.';

COMMENT ON COLUMN settings.incidents.resolved_at IS 'When it was resolved; null: it is open.';

COMMENT ON COLUMN settings.incidents.deployment_id IS 'deployments.id of the deployment that caused it. Null: the latest successful one before it began.';

COMMENT ON COLUMN settings.incidents.url IS 'Address in the browser.';

CREATE VIEW analytics.deployment_outcomes AS
 WITH incidents AS MATERIALIZED (
         SELECT incident.organization,
            incident.service,
            incident.environment,
            incident.started_at,
            incident.resolved_at,
            named.id AS cause,
            named.organization_id AS cause_organization_id,
            named.service AS cause_service,
            named.environment AS cause_environment
           FROM (settings.incidents incident
             LEFT JOIN analytics.deployments named ON ((named.id = incident.deployment_id)))
        )
 SELECT deployed.id AS deployment_id,
    deployed.organization_id,
    organization.slug AS organization,
    deployed.service,
    deployed.environment,
    deployed.deployed_at,
    deployed.success,
    COALESCE(deployed.first_success, deployed.success) AS first_success,
        CASE
            WHEN known.has_incidents THEN 'incidents'::text
            ELSE 'deployments'::text
        END AS failures_from,
        CASE
            WHEN known.has_incidents THEN (caused.incidents > 0)
            ELSE (NOT deployed.success)
        END AS failed,
    (
        CASE
            WHEN known.has_incidents THEN (caused.incidents > 0)
            ELSE false
        END OR (NOT COALESCE(deployed.first_success, deployed.success))) AS first_failed,
        CASE
            WHEN known.has_incidents THEN caused.resolved_at
            WHEN ((NOT deployed.success) AND (before.success IS DISTINCT FROM false)) THEN next.at
            ELSE NULL::timestamp with time zone
        END AS recovered_at,
        CASE
            WHEN known.has_incidents THEN analytics.seconds(caused.started_at, caused.resolved_at)
            WHEN ((NOT deployed.success) AND (before.success IS DISTINCT FROM false)) THEN analytics.seconds(deployed.deployed_at, next.at)
            ELSE NULL::double precision
        END AS recovery_seconds,
        CASE
            WHEN known.has_incidents THEN caused.is_rework
            ELSE COALESCE((NOT before.success), false)
        END AS is_rework,
        CASE
            WHEN ((NOT deployed.success) AND (before.success IS DISTINCT FROM false)) THEN next.at
            ELSE NULL::timestamp with time zone
        END AS restored_at,
    deployed.committed_at
   FROM (((((analytics.deployments deployed
     LEFT JOIN buildkite.organizations organization ON ((organization.id = deployed.organization_id)))
     CROSS JOIN LATERAL ( SELECT (EXISTS ( SELECT
                   FROM incidents incident
                  WHERE (((incident.service = deployed.service) AND (incident.environment = deployed.environment) AND (incident.organization = ANY (ARRAY['*'::text, organization.slug]))) OR ((incident.cause_service = deployed.service) AND (incident.cause_environment = deployed.environment) AND (NOT (incident.cause_organization_id IS DISTINCT FROM deployed.organization_id)))))) AS has_incidents
         OFFSET 0) known)
     LEFT JOIN LATERAL ( SELECT earlier.success
           FROM analytics.deployments earlier
          WHERE ((earlier.organization_id = deployed.organization_id) AND (earlier.service = deployed.service) AND (earlier.environment = deployed.environment) AND (earlier.deployed_at < deployed.deployed_at))
          ORDER BY earlier.deployed_at DESC, earlier.id DESC
         LIMIT 1) before ON (true))
     LEFT JOIN LATERAL ( SELECT later.deployed_at AS at
           FROM analytics.deployments later
          WHERE (later.success AND (later.organization_id = deployed.organization_id) AND (later.service = deployed.service) AND (later.environment = deployed.environment) AND (later.deployed_at > deployed.deployed_at))
          ORDER BY later.deployed_at
         LIMIT 1) next ON (true))
     CROSS JOIN LATERAL ( SELECT count(*) FILTER (WHERE blamed.on_this) AS incidents,
            min(blamed.started_at) FILTER (WHERE blamed.on_this) AS started_at,
                CASE
                    WHEN bool_and((blamed.resolved_at IS NOT NULL)) FILTER (WHERE blamed.on_this) THEN max(blamed.resolved_at) FILTER (WHERE blamed.on_this)
                    ELSE NULL::timestamp with time zone
                END AS resolved_at,
            COALESCE(bool_or(((blamed.started_at < deployed.deployed_at) AND COALESCE((deployed.deployed_at <= blamed.resolved_at), true))) FILTER (WHERE (blamed.is_of_service AND (NOT blamed.on_this))), false) AS is_rework
           FROM ( SELECT incident.started_at,
                    incident.resolved_at,
                    belongs.is_of_service,
                        CASE
                            WHEN (incident.cause IS NOT NULL) THEN (incident.cause = deployed.id)
                            ELSE (belongs.is_of_service AND deployed.success AND (incident.started_at >= deployed.deployed_at) AND COALESCE((incident.started_at < next.at), true) AND (NOT (EXISTS ( SELECT
                               FROM analytics.deployments twin
                              WHERE (twin.success AND (twin.organization_id = deployed.organization_id) AND (twin.service = deployed.service) AND (twin.environment = deployed.environment) AND (twin.deployed_at = deployed.deployed_at) AND (twin.id > deployed.id))))))
                        END AS on_this
                   FROM (incidents incident
                     CROSS JOIN LATERAL ( SELECT COALESCE(((incident.service = deployed.service) AND (incident.environment = deployed.environment) AND (incident.organization = ANY (ARRAY['*'::text, organization.slug]))), false) AS is_of_service) belongs)
                  WHERE (known.has_incidents AND (belongs.is_of_service OR (incident.cause = deployed.id)))
                 OFFSET 0) blamed) caused);

COMMENT ON VIEW analytics.deployment_outcomes IS 'What became of each deployment: whether it failed, when the service had recovered, and whether it was rework. For a service and environment with incidents in settings.incidents, these decide. Otherwise the results of the deployments do.';

COMMENT ON COLUMN analytics.deployment_outcomes.deployment_id IS 'deployments.id.';

COMMENT ON COLUMN analytics.deployment_outcomes.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.deployment_outcomes.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.deployment_outcomes.service IS 'Service: of the rule, otherwise the pipeline''s slug.';

COMMENT ON COLUMN analytics.deployment_outcomes.environment IS 'Environment, of the rule.';

COMMENT ON COLUMN analytics.deployment_outcomes.deployed_at IS 'When the deployment ended.';

COMMENT ON COLUMN analytics.deployment_outcomes.success IS 'Whether its last try succeeded.';

COMMENT ON COLUMN analytics.deployment_outcomes.first_success IS 'Whether its first try succeeded.';

COMMENT ON COLUMN analytics.deployment_outcomes.failures_from IS 'incidents or deployments: what decides whether it failed.';

COMMENT ON COLUMN analytics.deployment_outcomes.failed IS 'Whether it caused an incident; without incidents, whether it did not succeed.';

COMMENT ON COLUMN analytics.deployment_outcomes.first_failed IS 'Whether it failed at the first try, or caused an incident.';

COMMENT ON COLUMN analytics.deployment_outcomes.recovered_at IS 'When its incidents were resolved; without incidents, when the next deployment succeeded. Null for a failure after a failure, and if it has not recovered.';

COMMENT ON COLUMN analytics.deployment_outcomes.recovery_seconds IS 'Seconds from the first incident, otherwise from the failed deployment, to recovered_at.';

COMMENT ON COLUMN analytics.deployment_outcomes.is_rework IS 'Whether it was deployed during an incident that another deployment caused; without incidents, whether the deployment before it failed.';

COMMENT ON COLUMN analytics.deployment_outcomes.restored_at IS 'When the next deployment succeeded, whatever the incidents say; null unless this is the first failure after a success.';

COMMENT ON COLUMN analytics.deployment_outcomes.committed_at IS 'Author date of the deployed commit, from any of its builds; null if none has it.';

CREATE VIEW analytics.deployment_services AS
 SELECT deployed.deployment_service_id AS id,
    deployed.service AS name,
    deployed.service AS identifier,
    deployed.organization_id,
    organization.slug AS organization
   FROM (( SELECT DISTINCT deployments.organization_id,
            deployments.service,
            analytics.stable_id(concat(deployments.organization_id, ':', deployments.service)) AS deployment_service_id
           FROM analytics.deployments) deployed
     LEFT JOIN buildkite.organizations organization ON ((organization.id = deployed.organization_id)));

COMMENT ON VIEW analytics.deployment_services IS 'Services that were deployed, in the shape of DX''s table of that name (two columns of our own at the end). One row for each service of an organization.';

COMMENT ON COLUMN analytics.deployment_services.id IS 'deployments.deployment_service_id. Always the same for an organization and a service.';

COMMENT ON COLUMN analytics.deployment_services.name IS 'deployments.service.';

COMMENT ON COLUMN analytics.deployment_services.identifier IS 'As name.';

COMMENT ON COLUMN analytics.deployment_services.organization_id IS 'organizations.id. Ours, not DX''s.';

COMMENT ON COLUMN analytics.deployment_services.organization IS 'Slug of the organization, at present. Ours, not DX''s.';

CREATE VIEW analytics.dora_weekly AS
 SELECT counted.week,
    counted.service,
    counted.environment,
    counted.deployments,
    counted.failed,
    counted.change_failure_rate,
    counted.p50_seconds_to_restore,
    counted.p50_lead_seconds,
    counted.organization_id,
    counted.organization,
    counted.first_failed,
    counted.first_change_failure_rate,
    ((counted.deployments)::double precision / (7.0)::double precision) AS deployment_frequency,
    brought.p50_change_lead_seconds,
    brought.commits,
    brought.commits_with_time,
    counted.change_fails,
    ((counted.change_fails)::double precision / (counted.deployments)::double precision) AS change_fail_rate,
    ((counted.first_change_fails)::double precision / (counted.deployments)::double precision) AS first_change_fail_rate,
    counted.p50_recovery_seconds,
    counted.reworks,
    ((counted.reworks)::double precision / (counted.deployments)::double precision) AS deployment_rework_rate,
    counted.failures_from
   FROM (( SELECT (date_trunc('week'::text, (outcome.deployed_at AT TIME ZONE 'UTC'::text)))::date AS week,
            outcome.service,
            outcome.environment,
            outcome.organization_id,
            outcome.organization,
            outcome.failures_from,
            count(*) AS deployments,
            count(*) FILTER (WHERE (NOT outcome.success)) AS failed,
            ((count(*) FILTER (WHERE (NOT outcome.success)))::double precision / (count(*))::double precision) AS change_failure_rate,
            (percentile_disc((0.5)::double precision) WITHIN GROUP (ORDER BY (analytics.whole_seconds(analytics.seconds(outcome.deployed_at, outcome.restored_at)))))::double precision AS p50_seconds_to_restore,
            (percentile_disc((0.5)::double precision) WITHIN GROUP (ORDER BY (analytics.whole_seconds(analytics.seconds(outcome.committed_at, outcome.deployed_at)))) FILTER (WHERE outcome.success))::double precision AS p50_lead_seconds,
            count(*) FILTER (WHERE (NOT outcome.first_success)) AS first_failed,
            ((count(*) FILTER (WHERE (NOT outcome.first_success)))::double precision / (count(*))::double precision) AS first_change_failure_rate,
            count(*) FILTER (WHERE outcome.failed) AS change_fails,
            count(*) FILTER (WHERE outcome.first_failed) AS first_change_fails,
            (percentile_disc((0.5)::double precision) WITHIN GROUP (ORDER BY (analytics.whole_seconds(outcome.recovery_seconds))))::double precision AS p50_recovery_seconds,
            count(*) FILTER (WHERE outcome.is_rework) AS reworks
           FROM analytics.deployment_outcomes outcome
          GROUP BY ((date_trunc('week'::text, (outcome.deployed_at AT TIME ZONE 'UTC'::text)))::date), outcome.service, outcome.environment, outcome.organization_id, outcome.organization, outcome.failures_from) counted
     CROSS JOIN LATERAL ( SELECT (percentile_disc((0.5)::double precision) WITHIN GROUP (ORDER BY (analytics.whole_seconds(deployed_commits.lead_seconds))))::double precision AS p50_change_lead_seconds,
            count(*) AS commits,
            count(deployed_commits.committed_at) AS commits_with_time
           FROM analytics.deployed_commits
          WHERE ((deployed_commits.organization_id = counted.organization_id) AND (deployed_commits.service = counted.service) AND (deployed_commits.environment = counted.environment) AND (deployed_commits.deployed_at >= ((counted.week)::timestamp without time zone AT TIME ZONE 'UTC'::text)) AND (deployed_commits.deployed_at < (((counted.week + 7))::timestamp without time zone AT TIME ZONE 'UTC'::text)))) brought)
UNION ALL
 SELECT calendar.week,
    known.service,
    known.environment,
    0 AS deployments,
    0 AS failed,
    NULL::double precision AS change_failure_rate,
    NULL::double precision AS p50_seconds_to_restore,
    NULL::double precision AS p50_lead_seconds,
    known.organization_id,
    organization.slug AS organization,
    0 AS first_failed,
    NULL::double precision AS first_change_failure_rate,
    0 AS deployment_frequency,
    NULL::double precision AS p50_change_lead_seconds,
    0 AS commits,
    0 AS commits_with_time,
    0 AS change_fails,
    NULL::double precision AS change_fail_rate,
    NULL::double precision AS first_change_fail_rate,
    NULL::double precision AS p50_recovery_seconds,
    0 AS reworks,
    NULL::double precision AS deployment_rework_rate,
    decided.failures_from
   FROM (((( SELECT deployments.organization_id,
            deployments.service,
            deployments.environment,
            min(deployments.deployed_at) AS first_deployed_at,
            min(deployments.id) AS deployment_id
           FROM analytics.deployments
          GROUP BY deployments.organization_id, deployments.service, deployments.environment) known
     CROSS JOIN LATERAL ( SELECT deployment_outcomes.failures_from
           FROM analytics.deployment_outcomes
          WHERE (deployment_outcomes.deployment_id = known.deployment_id)
         LIMIT 1) decided)
     LEFT JOIN buildkite.organizations organization ON ((organization.id = known.organization_id)))
     CROSS JOIN LATERAL ( SELECT (week.week)::date AS week
           FROM generate_series(date_trunc('week'::text, (known.first_deployed_at AT TIME ZONE 'UTC'::text)), (( SELECT max(builds.created_at) AS max
                   FROM buildkite.builds
                  WHERE (builds.organization_id = known.organization_id)) AT TIME ZONE 'UTC'::text), '7 days'::interval) week(week)) calendar)
  WHERE (NOT (EXISTS ( SELECT
           FROM analytics.deployments deployed
          WHERE (((date_trunc('week'::text, (deployed.deployed_at AT TIME ZONE 'UTC'::text)))::date = calendar.week) AND (deployed.service = known.service) AND (deployed.environment = known.environment) AND (COALESCE(deployed.organization_id, '00000000-0000-0000-0000-000000000000'::uuid) = COALESCE(known.organization_id, '00000000-0000-0000-0000-000000000000'::uuid))))));

COMMENT ON VIEW analytics.dora_weekly IS 'DORA''s five metrics by organization, service, environment and week (Monday, UTC): deployment frequency, change lead time, failed deployment recovery time, change fail rate and deployment rework rate. From deployment_outcomes and deployed_commits. Weeks without deployments have a row too, from a service''s first deployment to the organization''s newest build. change_failure_rate, p50_seconds_to_restore and p50_lead_seconds go by the deployments alone, whatever the incidents say.';

COMMENT ON COLUMN analytics.dora_weekly.week IS 'The Monday that the week (UTC) begins with.';

COMMENT ON COLUMN analytics.dora_weekly.service IS 'Service: of the rule, otherwise the pipeline''s slug.';

COMMENT ON COLUMN analytics.dora_weekly.environment IS 'Environment, of the rule.';

COMMENT ON COLUMN analytics.dora_weekly.deployments IS 'How many.';

COMMENT ON COLUMN analytics.dora_weekly.failed IS 'How many failed.';

COMMENT ON COLUMN analytics.dora_weekly.change_failure_rate IS 'Failed deployments divided by all, 0 to 1.';

COMMENT ON COLUMN analytics.dora_weekly.p50_seconds_to_restore IS 'Median of the seconds from the first failed deployment of a spell to the next that succeeded.';

COMMENT ON COLUMN analytics.dora_weekly.p50_lead_seconds IS 'Median of the seconds from the commit''s author date to its successful deployment; null if Buildkite has no date.';

COMMENT ON COLUMN analytics.dora_weekly.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.dora_weekly.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.dora_weekly.first_failed IS 'How many failed at the first try, also those that a retry turned into a success.';

COMMENT ON COLUMN analytics.dora_weekly.first_change_failure_rate IS 'Deployments that failed at the first try, divided by all, 0 to 1.';

COMMENT ON COLUMN analytics.dora_weekly.deployment_frequency IS 'Deployments a day: deployments divided by 7.';

COMMENT ON COLUMN analytics.dora_weekly.p50_change_lead_seconds IS 'Change lead time: median of the seconds from commit to deployment, over the commits that the week''s successful deployments brought, in whole seconds.';

COMMENT ON COLUMN analytics.dora_weekly.commits IS 'Commits that they brought, as far as builds show them.';

COMMENT ON COLUMN analytics.dora_weekly.commits_with_time IS 'Those whose commit time is known, and which the lead time is over.';

COMMENT ON COLUMN analytics.dora_weekly.change_fails IS 'Deployments that failed: by incidents, otherwise by their results.';

COMMENT ON COLUMN analytics.dora_weekly.change_fail_rate IS 'Change fail rate: change_fails divided by deployments, 0 to 1.';

COMMENT ON COLUMN analytics.dora_weekly.first_change_fail_rate IS 'Deployments that failed at the first try or caused an incident, divided by deployments, 0 to 1.';

COMMENT ON COLUMN analytics.dora_weekly.p50_recovery_seconds IS 'Failed deployment recovery time: median over the week''s failed deployments, in whole seconds.';

COMMENT ON COLUMN analytics.dora_weekly.reworks IS 'Unplanned deployments that followed a failure.';

COMMENT ON COLUMN analytics.dora_weekly.deployment_rework_rate IS 'Deployment rework rate: reworks divided by deployments, 0 to 1.';

COMMENT ON COLUMN analytics.dora_weekly.failures_from IS 'incidents or deployments: what decides the five columns before.';

CREATE TABLE sync.drift (
    id bigint NOT NULL,
    organization_id uuid NOT NULL,
    pipeline_id uuid,
    build_id uuid NOT NULL,
    job_id uuid,
    kind text NOT NULL,
    columns text[] NOT NULL,
    mirror jsonb NOT NULL,
    buildkite jsonb NOT NULL,
    last_matched_at timestamp(3) with time zone,
    found_at timestamp(3) with time zone NOT NULL,
    found_by text NOT NULL,
    healed_at timestamp(3) with time zone
);

COMMENT ON TABLE sync.drift IS 'Differences found between mirror and API, by the audit or by the verify command. One row for each build or job that differed.';

COMMENT ON COLUMN sync.drift.id IS 'Order in which it was found.';

COMMENT ON COLUMN sync.drift.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.drift.pipeline_id IS 'pipelines.id; null if it is not known.';

COMMENT ON COLUMN sync.drift.build_id IS 'builds.id of the build that differed, or to which the job belongs.';

COMMENT ON COLUMN sync.drift.job_id IS 'jobs.id of the job that differed; null if it was the build itself.';

COMMENT ON COLUMN sync.drift.kind IS 'missing: only Buildkite had the row. different: the values differed. unexpected: Buildkite no longer had the row.';

COMMENT ON COLUMN sync.drift.columns IS 'The columns that differed; empty for missing and unexpected. "build_attempts" means that an attempt was missing in the mirror.';

COMMENT ON COLUMN sync.drift.mirror IS 'The values of the mirror in these columns; long values are cut.';

COMMENT ON COLUMN sync.drift.buildkite IS 'The values of Buildkite in these columns; long values are cut.';

COMMENT ON COLUMN sync.drift.last_matched_at IS 'When the row was last verified. The difference is most likely younger. Null: never.';

COMMENT ON COLUMN sync.drift.found_at IS 'When it was found, on the mirror''s clock.';

COMMENT ON COLUMN sync.drift.found_by IS 'audit or verify.';

COMMENT ON COLUMN sync.drift.healed_at IS 'When the mirror was corrected, on the mirror''s clock; null: not yet.';

CREATE VIEW analytics.drift AS
 SELECT found.id,
    found.organization_id,
    found.pipeline_id,
    found.build_id,
    found.job_id,
    found.kind,
    found.columns,
    found.found_by,
    found.found_at,
    found.last_matched_at,
    found.healed_at,
    analytics.seconds(found.found_at, found.healed_at) AS seconds_to_heal
   FROM sync.drift found;

COMMENT ON VIEW analytics.drift IS 'Differences found between mirror and API by audit or verify, without the values (those are in sync.drift).';

COMMENT ON COLUMN analytics.drift.id IS 'Order in which it was found.';

COMMENT ON COLUMN analytics.drift.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.drift.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.drift.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.drift.job_id IS 'jobs.id.';

COMMENT ON COLUMN analytics.drift.kind IS 'missing, different or unexpected: see sync.drift.';

COMMENT ON COLUMN analytics.drift.columns IS 'Columns that differed.';

COMMENT ON COLUMN analytics.drift.found_by IS 'audit or verify.';

COMMENT ON COLUMN analytics.drift.found_at IS 'When it was found.';

COMMENT ON COLUMN analytics.drift.last_matched_at IS 'The last time at which the mirror may still have been correct.';

COMMENT ON COLUMN analytics.drift.healed_at IS 'When the mirror was corrected; null: not yet.';

COMMENT ON COLUMN analytics.drift.seconds_to_heal IS 'Seconds from found to corrected.';

CREATE VIEW analytics.first_failures AS
 SELECT build.id AS build_id,
    build.organization_id,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    build.branch,
    (build.branch = pipeline.default_branch) AS is_default_branch,
    build.created_at,
    build.failing_at,
    job.id AS job_id,
    job.name AS job,
    job.failed_at AS job_failed_at,
    LEAST(build.failing_at, job.failed_at) AS first_failure_at,
    analytics.seconds(build.created_at, LEAST(build.failing_at, job.failed_at)) AS seconds_to_first_failure,
        CASE
            WHEN (analytics.build_result(build.state, build.blocked) IS NOT NULL) THEN analytics.seconds(build.created_at, build.finished_at)
            ELSE NULL::double precision
        END AS total_seconds,
    organization.slug AS organization
   FROM (((buildkite.builds build
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)))
     LEFT JOIN LATERAL ( SELECT failed.id,
            analytics.job_name(failed.name, failed.label, failed.step_key, failed.command) AS name,
            LEAST(COALESCE(failed.finished_at, failed.expired_at),
                CASE
                    WHEN (failed.promised_exit_status <> 0) THEN failed.promised_exit_status_at
                    ELSE NULL::timestamp with time zone
                END) AS failed_at
           FROM buildkite.jobs failed
          WHERE ((failed.build_id = build.id) AND (failed.type = 'script'::text) AND (NOT COALESCE(failed.soft_failed, false)) AND (NOT (COALESCE(failed.retried, false) AND (NOT (failed.retry_type IS DISTINCT FROM 'automatic'::text)))) AND (analytics.job_result(failed.state, failed.soft_failed, failed.exit_status, failed.signal_reason) = ANY (ARRAY['failed'::text, 'infra_lost'::text, 'timed_out'::text, 'expired'::text])))
          ORDER BY LEAST(COALESCE(failed.finished_at, failed.expired_at),
                CASE
                    WHEN (failed.promised_exit_status <> 0) THEN failed.promised_exit_status_at
                    ELSE NULL::timestamp with time zone
                END), failed.id
         LIMIT 1) job ON (true))
  WHERE (((build.failing_at IS NOT NULL) OR (build.state = ANY (ARRAY['failed'::text, 'failing'::text, 'canceling'::text, 'canceled'::text])) OR (EXISTS ( SELECT
           FROM buildkite.build_attempts attempt
          WHERE ((attempt.build_id = build.id) AND (attempt.state = 'failed'::text))))) AND ((build.failing_at IS NOT NULL) OR (job.failed_at IS NOT NULL)));

COMMENT ON VIEW analytics.first_failures IS 'When a build first showed that it would fail: the earliest of failing_at, the first hard failure of a job, and a promised exit status. Includes builds that passed after a manual retry, if failing_at or a failed attempt shows the failure. A try that Buildkite retried automatically is no sign: nobody was notified.';

COMMENT ON COLUMN analytics.first_failures.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.first_failures.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.first_failures.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.first_failures.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.first_failures.branch IS 'Branch.';

COMMENT ON COLUMN analytics.first_failures.is_default_branch IS 'Whether the branch is the pipeline''s present default branch. If that is renamed, builds of the old name get false.';

COMMENT ON COLUMN analytics.first_failures.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.first_failures.failing_at IS 'When the build was first certain to fail; stays if a retry passes.';

COMMENT ON COLUMN analytics.first_failures.job_id IS 'jobs.id of the job that failed first.';

COMMENT ON COLUMN analytics.first_failures.job IS 'Name of the job that failed first.';

COMMENT ON COLUMN analytics.first_failures.job_failed_at IS 'When the first job failed hard, or announced that it will.';

COMMENT ON COLUMN analytics.first_failures.first_failure_at IS 'The earlier of failing_at and job_failed_at.';

COMMENT ON COLUMN analytics.first_failures.seconds_to_first_failure IS 'Seconds from the build''s creation to its first sign of failure.';

COMMENT ON COLUMN analytics.first_failures.total_seconds IS 'Seconds from created to finished, including pauses and waits; null while it is not finished.';

COMMENT ON COLUMN analytics.first_failures.organization IS 'Slug of the organization, at present.';

CREATE VIEW analytics.first_failures_daily AS
 SELECT ((first_failures.created_at AT TIME ZONE 'UTC'::text))::date AS day,
    first_failures.organization_id,
    first_failures.pipeline_id,
    count(*) AS builds,
    ((percentile_disc((ARRAY[0.5, 0.9])::double precision[]) WITHIN GROUP (ORDER BY (analytics.whole_seconds(first_failures.seconds_to_first_failure))))[1])::double precision AS p50_seconds,
    ((percentile_disc((ARRAY[0.5, 0.9])::double precision[]) WITHIN GROUP (ORDER BY (analytics.whole_seconds(first_failures.seconds_to_first_failure))))[2])::double precision AS p90_seconds
   FROM analytics.first_failures
  GROUP BY (((first_failures.created_at AT TIME ZONE 'UTC'::text))::date), first_failures.organization_id, first_failures.pipeline_id;

COMMENT ON VIEW analytics.first_failures_daily IS 'Time from a build''s creation to its first sign of failure, by pipeline and the day (UTC) the build was created.';

COMMENT ON COLUMN analytics.first_failures_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.first_failures_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.first_failures_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.first_failures_daily.builds IS 'Builds with a sign of failure.';

COMMENT ON COLUMN analytics.first_failures_daily.p50_seconds IS 'Median, in seconds.';

COMMENT ON COLUMN analytics.first_failures_daily.p90_seconds IS '90th percentile, in seconds.';

CREATE VIEW sync.first_results AS
 SELECT build.id AS build_id,
    ended.result,
    ended.finished_at,
    ended.passed_at
   FROM (buildkite.builds build
     CROSS JOIN LATERAL ( SELECT (array_agg(attempt_runs.state ORDER BY attempt_runs.finished_at))[1] AS result,
            min(attempt_runs.finished_at) AS finished_at,
            min(attempt_runs.finished_at) FILTER (WHERE (attempt_runs.state = 'passed'::text)) AS passed_at
           FROM analytics.attempt_runs
          WHERE ((attempt_runs.build_id = build.id) AND (analytics.build_result(attempt_runs.state, attempt_runs.blocked) IS NOT NULL))) ended);

COMMENT ON VIEW sync.first_results IS 'How each build first ended, and when it first passed. Used by analytics.first_trunk_recoveries.';

COMMENT ON COLUMN sync.first_results.build_id IS 'builds.id.';

COMMENT ON COLUMN sync.first_results.result IS 'passed, failed, canceled, skipped or not_run: the result of the first attempt that has one.';

COMMENT ON COLUMN sync.first_results.finished_at IS 'When that attempt finished.';

COMMENT ON COLUMN sync.first_results.passed_at IS 'When an attempt first passed.';

CREATE VIEW analytics.first_trunk_recoveries AS
 SELECT red.organization_id,
    organization.slug AS organization,
    red.pipeline_id,
    pipeline.slug AS pipeline,
    red.branch,
    red.created_at,
    red.id AS broken_by_build_id,
    red.number AS broken_by_build_number,
    red.commit AS broken_by_commit,
    lower(COALESCE(NULLIF(red.author_email, ''::text), NULLIF(red.creator_email, ''::text))) AS broken_by_email,
    first.finished_at AS broken_at,
    green.id AS recovered_by_build_id,
    green.number AS recovered_by_build_number,
    green.passed_at AS recovered_at,
    (green.result <> 'passed'::text) AS recovered_by_retry,
    analytics.seconds(first.finished_at, green.passed_at) AS seconds_to_green
   FROM ((((((buildkite.builds red
     JOIN buildkite.pipelines pipeline ON (((pipeline.id = red.pipeline_id) AND (NOT (pipeline.default_branch IS DISTINCT FROM red.branch)))))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = red.organization_id)))
     JOIN sync.first_results first ON ((first.build_id = red.id)))
     LEFT JOIN LATERAL ( SELECT ended.result,
            ended.passed_at
           FROM (buildkite.builds earlier
             JOIN sync.first_results ended ON ((ended.build_id = earlier.id)))
          WHERE ((earlier.pipeline_id = red.pipeline_id) AND (earlier.branch = red.branch) AND (earlier.number < red.number) AND (ended.result = ANY (ARRAY['passed'::text, 'failed'::text])))
          ORDER BY earlier.number DESC
         LIMIT 1) before ON (true))
     LEFT JOIN LATERAL ( SELECT later.number
           FROM (buildkite.builds later
             JOIN sync.first_results ended ON ((ended.build_id = later.id)))
          WHERE ((later.pipeline_id = red.pipeline_id) AND (later.branch = red.branch) AND (later.number > red.number) AND (ended.result = 'passed'::text))
          ORDER BY later.number
         LIMIT 1) good ON (true))
     LEFT JOIN LATERAL ( SELECT later.id,
            later.number,
            ended.result,
            ended.passed_at
           FROM (buildkite.builds later
             JOIN sync.first_results ended ON ((ended.build_id = later.id)))
          WHERE ((later.pipeline_id = red.pipeline_id) AND (later.branch = red.branch) AND (later.number >= red.number) AND (later.number <= COALESCE(good.number, '9223372036854775807'::bigint)) AND (ended.result = ANY (ARRAY['passed'::text, 'failed'::text])) AND (ended.passed_at IS NOT NULL) AND (( SELECT true
                   FROM (buildkite.builds newer
                     JOIN sync.first_results shown ON ((shown.build_id = newer.id)))
                  WHERE ((newer.pipeline_id = red.pipeline_id) AND (newer.branch = red.branch) AND (newer.number > later.number) AND (newer.number < COALESCE(good.number, '9223372036854775807'::bigint)) AND (shown.result = 'failed'::text) AND (shown.finished_at <= ended.passed_at) AND ((shown.passed_at > ended.passed_at) IS NOT FALSE))
                 LIMIT 1) IS NULL))
          ORDER BY ended.passed_at, later.number
         LIMIT 1) green ON (true))
  WHERE ((red.branch IS NOT NULL) AND ((EXISTS ( SELECT
           FROM buildkite.build_attempts
          WHERE ((build_attempts.build_id = red.id) AND (build_attempts.state = 'failed'::text)))) OR (EXISTS ( SELECT
           FROM buildkite.jobs
          WHERE ((jobs.build_id = red.id) AND (jobs.retry_type = 'manual'::text))))) AND (first.result = 'failed'::text) AND ((before.result IS DISTINCT FROM 'failed'::text) OR (before.passed_at <= first.finished_at)));

COMMENT ON VIEW analytics.first_trunk_recoveries IS 'As trunk_recoveries, by first results: a build that a retry turned green was red until then. The period ends with the retry that passed, or with the next build (by number) that passed at once. For a range of time add a condition on created_at, which uses an index.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.branch IS 'Branch.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.created_at IS 'When the build that broke it was created.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.broken_by_build_id IS 'builds.id of the build that broke it.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.broken_by_build_number IS 'Its number.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.broken_by_commit IS 'Its commit.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.broken_by_email IS 'E-mail address of the commit''s author, otherwise of the build''s creator.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.broken_at IS 'When its first attempt ended.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.recovered_by_build_id IS 'builds.id of the build that passed.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.recovered_by_build_number IS 'Its number.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.recovered_at IS 'When it first passed; null: still red.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.recovered_by_retry IS 'Whether it had failed before.';

COMMENT ON COLUMN analytics.first_trunk_recoveries.seconds_to_green IS 'Seconds from broken to recovered.';

CREATE VIEW analytics.job_repeats AS
SELECT
    NULL::uuid AS organization_id,
    NULL::text AS organization,
    NULL::uuid AS pipeline_id,
    NULL::text AS pipeline,
    NULL::text AS commit,
    NULL::text AS job,
    NULL::text AS step_key,
    NULL::timestamp(3) with time zone AS created_at,
    NULL::bigint AS builds,
    NULL::bigint AS passed,
    NULL::bigint AS failed,
    NULL::boolean AS flaky;

COMMENT ON VIEW analytics.job_repeats IS 'Jobs with a result in at least two builds of one commit, by the first try in each build. flaky: passed in one and failed in another. Soft failures, lost agents, cancels and expired jobs are no results.';

COMMENT ON COLUMN analytics.job_repeats.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.job_repeats.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.job_repeats.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.job_repeats.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.job_repeats.commit IS 'Commit.';

COMMENT ON COLUMN analytics.job_repeats.job IS 'Name of the job, as people read it.';

COMMENT ON COLUMN analytics.job_repeats.step_key IS 'Key of the step.';

COMMENT ON COLUMN analytics.job_repeats.created_at IS 'When the commit''s first build in the pipeline was created.';

COMMENT ON COLUMN analytics.job_repeats.builds IS 'Builds in which the job''s first try had a result.';

COMMENT ON COLUMN analytics.job_repeats.passed IS 'Those in which it passed.';

COMMENT ON COLUMN analytics.job_repeats.failed IS 'Those in which it failed or timed out.';

COMMENT ON COLUMN analytics.job_repeats.flaky IS 'Whether it did both.';

CREATE VIEW analytics.flaky_commits_daily AS
 SELECT ((job_repeats.created_at AT TIME ZONE 'UTC'::text))::date AS day,
    job_repeats.organization_id,
    job_repeats.pipeline_id,
    job_repeats.job,
    count(*) AS repeated,
    count(*) FILTER (WHERE job_repeats.flaky) AS flaky,
    ((count(*) FILTER (WHERE job_repeats.flaky))::double precision / (count(*))::double precision) AS flaky_rate
   FROM analytics.job_repeats
  GROUP BY (((job_repeats.created_at AT TIME ZONE 'UTC'::text))::date), job_repeats.organization_id, job_repeats.pipeline_id, job_repeats.job;

COMMENT ON VIEW analytics.flaky_commits_daily IS 'How often a job passed in one build of a commit and failed in another, by the day (UTC) of the commit''s first build: the jobs of job_repeats.';

COMMENT ON COLUMN analytics.flaky_commits_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.flaky_commits_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.flaky_commits_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.flaky_commits_daily.job IS 'Name of the job, as people read it.';

COMMENT ON COLUMN analytics.flaky_commits_daily.repeated IS 'Commits for which it had a result in at least two builds; each part of a matrix or parallel step counts.';

COMMENT ON COLUMN analytics.flaky_commits_daily.flaky IS 'Those for which it passed in one and failed in another.';

COMMENT ON COLUMN analytics.flaky_commits_daily.flaky_rate IS 'flaky divided by repeated, 0 to 1.';

CREATE VIEW analytics.flaky_jobs_daily AS
 SELECT ((COALESCE(first.finished_at, first.expired_at) AT TIME ZONE 'UTC'::text))::date AS day,
    build.organization_id,
    build.pipeline_id,
    analytics.job_name(first.name, first.label, first.step_key, first.command) AS job,
    count(*) AS retried,
    count(*) FILTER (WHERE (tried.result = 'passed'::text)) AS flaky,
    sum(tried.wasted_seconds) AS wasted_seconds
   FROM ((buildkite.jobs first
     JOIN buildkite.builds build ON ((build.id = first.build_id)))
     CROSS JOIN LATERAL ( WITH RECURSIVE tries AS (
                 SELECT first.id,
                    first.retried_in_job_id,
                    1 AS try
                UNION ALL
                 SELECT next.id,
                    next.retried_in_job_id,
                    (tries_1.try + 1)
                   FROM (tries tries_1
                     JOIN buildkite.jobs next ON ((next.id = tries_1.retried_in_job_id)))
                  WHERE (tries_1.try < 1000)
                )
         SELECT (array_agg(ended.result ORDER BY tries.try DESC))[1] AS result,
            bool_or((ended.failed AND (NOT ended.is_last))) AS failed_before,
            sum(analytics.seconds(job.started_at, job.finished_at)) FILTER (WHERE (ended.failed AND (NOT ended.is_last))) AS wasted_seconds
           FROM ((tries
             JOIN buildkite.jobs job ON ((job.id = tries.id)))
             CROSS JOIN LATERAL ( SELECT said.result,
                    (said.result = ANY (ARRAY['failed'::text, 'soft_failed'::text, 'timed_out'::text])) AS failed,
                    (tries.retried_in_job_id IS NULL) AS is_last
                   FROM ( SELECT analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) AS result) said) ended)) tried)
  WHERE ((first.retried_in_job_id IS NOT NULL) AND tried.failed_before AND (NOT (EXISTS ( SELECT
           FROM buildkite.jobs earlier
          WHERE (earlier.retried_in_job_id = first.id)))))
  GROUP BY (((COALESCE(first.finished_at, first.expired_at) AT TIME ZONE 'UTC'::text))::date), build.organization_id, build.pipeline_id, (analytics.job_name(first.name, first.label, first.step_key, first.command));

COMMENT ON VIEW analytics.flaky_jobs_daily IS 'Jobs that failed and were tried again in the same build, so on the same commit, by the day (UTC) their first try finished or expired; flaky are those whose last try passed. A soft failure counts as a failure here. A lost agent makes no job flaky.';

COMMENT ON COLUMN analytics.flaky_jobs_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.flaky_jobs_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.flaky_jobs_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.flaky_jobs_daily.job IS 'Name of the job, as people read it.';

COMMENT ON COLUMN analytics.flaky_jobs_daily.retried IS 'Jobs that failed in a try and were tried again.';

COMMENT ON COLUMN analytics.flaky_jobs_daily.flaky IS 'Those whose last try passed.';

COMMENT ON COLUMN analytics.flaky_jobs_daily.wasted_seconds IS 'Seconds that the failed tries before the last took.';

CREATE VIEW analytics.job_breaks AS
 SELECT build.organization_id,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    analytics.job_name(job.name, job.label, job.step_key, job.command) AS job,
    job.id AS job_id,
    build.id AS broken_by_build_id,
    build.number AS broken_by_build_number,
    build.commit AS broken_by_commit,
    lower(COALESCE(NULLIF(build.author_email, ''::text), NULLIF(build.creator_email, ''::text))) AS broken_by_email,
    before.number AS last_good_build_number,
    job.finished_at AS broken_at,
    organization.slug AS organization
   FROM ((((buildkite.jobs job
     JOIN buildkite.builds build ON ((build.id = job.build_id)))
     JOIN buildkite.pipelines pipeline ON (((pipeline.id = build.pipeline_id) AND (pipeline.default_branch = build.branch))))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)))
     CROSS JOIN LATERAL ( SELECT earlier.number,
            same.result
           FROM (( SELECT builds.id,
                    builds.number
                   FROM buildkite.builds
                  WHERE ((builds.pipeline_id = build.pipeline_id) AND (builds.branch = build.branch) AND (builds.number < build.number))
                  ORDER BY builds.number DESC
                 OFFSET 0) earlier
             CROSS JOIN LATERAL ( SELECT tried.result
                   FROM (buildkite.jobs one
                     CROSS JOIN LATERAL ( SELECT analytics.job_result(one.state, one.soft_failed, one.exit_status, one.signal_reason) AS result) tried)
                  WHERE ((one.build_id = earlier.id) AND (one.type = 'script'::text) AND (one.retried_in_job_id IS NULL) AND (NOT COALESCE(one.retried, false)) AND (analytics.job_name(one.name, one.label, one.step_key, one.command) = analytics.job_name(job.name, job.label, job.step_key, job.command)) AND (NOT (one.step_key IS DISTINCT FROM job.step_key)) AND (NOT (one.matrix IS DISTINCT FROM job.matrix)) AND (NOT (one.parallel_group_index IS DISTINCT FROM job.parallel_group_index)) AND (tried.result = ANY (ARRAY['passed'::text, 'failed'::text, 'soft_failed'::text, 'timed_out'::text])))
                  ORDER BY one.id
                 LIMIT 1) same)
          ORDER BY earlier.number DESC
         LIMIT 1) before)
  WHERE ((job.type = 'script'::text) AND (job.state = ANY (ARRAY['failed'::text, 'finished'::text, 'timed_out'::text])) AND (job.retried_in_job_id IS NULL) AND (NOT COALESCE(job.retried, false)) AND (analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) = ANY (ARRAY['failed'::text, 'timed_out'::text])) AND (before.result = 'passed'::text));

COMMENT ON VIEW analytics.job_breaks IS 'Which build broke a job on the present default branch: its last try failed or timed out, and it had passed in the previous build that contained it. The same job means the same name, step key, matrix and place among parallel parts. Lost agents do not count.';

COMMENT ON COLUMN analytics.job_breaks.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.job_breaks.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.job_breaks.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.job_breaks.job IS 'Name of the job, as people read it.';

COMMENT ON COLUMN analytics.job_breaks.job_id IS 'jobs.id.';

COMMENT ON COLUMN analytics.job_breaks.broken_by_build_id IS 'builds.id of the build that broke it.';

COMMENT ON COLUMN analytics.job_breaks.broken_by_build_number IS 'Its number.';

COMMENT ON COLUMN analytics.job_breaks.broken_by_commit IS 'Its commit.';

COMMENT ON COLUMN analytics.job_breaks.broken_by_email IS 'E-mail address of the commit''s author, otherwise of the build''s creator.';

COMMENT ON COLUMN analytics.job_breaks.last_good_build_number IS 'Number of the build before, in which the job passed.';

COMMENT ON COLUMN analytics.job_breaks.broken_at IS 'When it broke: the end of the first red build or try.';

COMMENT ON COLUMN analytics.job_breaks.organization IS 'Slug of the organization, at present.';

CREATE VIEW analytics.job_costs_daily AS
 SELECT spent.day,
    spent.organization_id,
    spent.pipeline_id,
    spent.group_key,
    spent.step_key,
    spent.job,
    spent.tries,
    spent.minutes,
    spent.minutes_wasted,
    (spent.minutes * COALESCE(own.per_minute, anywhere.per_minute)) AS cost,
    (spent.minutes_wasted * COALESCE(own.per_minute, anywhere.per_minute)) AS cost_wasted,
    COALESCE(own.currency, anywhere.currency) AS currency,
    spent.queue,
    spent.cluster_id,
    cluster.name AS cluster
   FROM (((( SELECT ((job_minutes_hourly.hour AT TIME ZONE 'UTC'::text))::date AS day,
            job_minutes_hourly.organization_id,
            job_minutes_hourly.pipeline_id,
            job_minutes_hourly.group_key,
            job_minutes_hourly.step_key,
            job_minutes_hourly.job,
            job_minutes_hourly.queue,
            job_minutes_hourly.cluster_id,
            (sum(job_minutes_hourly.tries))::bigint AS tries,
            sum(job_minutes_hourly.minutes) AS minutes,
            sum(job_minutes_hourly.minutes_wasted) AS minutes_wasted
           FROM analytics.job_minutes_hourly
          GROUP BY (((job_minutes_hourly.hour AT TIME ZONE 'UTC'::text))::date), job_minutes_hourly.organization_id, job_minutes_hourly.pipeline_id, job_minutes_hourly.group_key, job_minutes_hourly.step_key, job_minutes_hourly.job, job_minutes_hourly.queue, job_minutes_hourly.cluster_id) spent
     LEFT JOIN buildkite.clusters cluster ON ((cluster.id = spent.cluster_id)))
     LEFT JOIN sync.cluster_rates own ON (((own.queue = spent.queue) AND (own.cluster_id = spent.cluster_id))))
     LEFT JOIN ( SELECT queue_rates.queue,
            (queue_rates.per_minute)::double precision AS per_minute,
            queue_rates.currency
           FROM settings.queue_rates
          WHERE (queue_rates.cluster = '*'::text)) anywhere ON ((anywhere.queue = spent.queue)));

COMMENT ON VIEW analytics.job_costs_daily IS 'As costs_daily, by group, step and job.';

COMMENT ON COLUMN analytics.job_costs_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.job_costs_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.job_costs_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.job_costs_daily.group_key IS 'Key of the group step that it belongs to.';

COMMENT ON COLUMN analytics.job_costs_daily.step_key IS 'Key of the step.';

COMMENT ON COLUMN analytics.job_costs_daily.job IS 'Name of the job, as people read it.';

COMMENT ON COLUMN analytics.job_costs_daily.tries IS 'How many tries ended, without skipped and broken ones.';

COMMENT ON COLUMN analytics.job_costs_daily.minutes IS 'Agent minutes.';

COMMENT ON COLUMN analytics.job_costs_daily.minutes_wasted IS 'Those wasted by lost agents, cancels, retries and rebuilds.';

COMMENT ON COLUMN analytics.job_costs_daily.cost IS 'Minutes times the queue''s rate; null without a rate.';

COMMENT ON COLUMN analytics.job_costs_daily.cost_wasted IS 'Minutes wasted times the queue''s rate.';

COMMENT ON COLUMN analytics.job_costs_daily.currency IS 'Currency of the rate.';

COMMENT ON COLUMN analytics.job_costs_daily.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.job_costs_daily.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.job_costs_daily.cluster IS 'Name of the cluster, at present; null outside clusters.';

CREATE VIEW analytics.job_failures_daily AS
 SELECT jobs_daily.day,
    jobs_daily.organization_id,
    jobs_daily.pipeline_id,
    (sum(jobs_daily.tries))::bigint AS tries,
    (sum((jobs_daily.failed + jobs_daily.timed_out)))::bigint AS hard_failed,
    (sum(jobs_daily.soft_failed))::bigint AS soft_failed,
    (sum((jobs_daily.infra_lost + jobs_daily.expired)))::bigint AS infra_failed,
    (sum(jobs_daily.canceled))::bigint AS canceled,
    ((sum((jobs_daily.failed + jobs_daily.timed_out)))::double precision / (NULLIF(sum((jobs_daily.tries - jobs_daily.canceled)), (0)::numeric))::double precision) AS hard_failure_rate,
    ((sum(jobs_daily.soft_failed))::double precision / (NULLIF(sum((jobs_daily.tries - jobs_daily.canceled)), (0)::numeric))::double precision) AS soft_failure_rate,
    ((sum((jobs_daily.infra_lost + jobs_daily.expired)))::double precision / (NULLIF(sum((jobs_daily.tries - jobs_daily.canceled)), (0)::numeric))::double precision) AS infra_failure_rate
   FROM analytics.jobs_daily
  GROUP BY jobs_daily.day, jobs_daily.organization_id, jobs_daily.pipeline_id;

COMMENT ON VIEW analytics.job_failures_daily IS 'Failure rates of command jobs, counting every try, by pipeline and the day (UTC) they finished: hard (failed, timed out), soft, and infrastructure (agent lost, expired). The rates exclude canceled tries. Practice disagrees on soft failures: add the rate to the hard one or do not.';

COMMENT ON COLUMN analytics.job_failures_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.job_failures_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.job_failures_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.job_failures_daily.tries IS 'How many tries of jobs.';

COMMENT ON COLUMN analytics.job_failures_daily.hard_failed IS 'Tries that failed or timed out.';

COMMENT ON COLUMN analytics.job_failures_daily.soft_failed IS 'How many failed and were allowed to fail.';

COMMENT ON COLUMN analytics.job_failures_daily.infra_failed IS 'Tries whose agent was lost, or that no agent took.';

COMMENT ON COLUMN analytics.job_failures_daily.canceled IS 'How many were canceled.';

COMMENT ON COLUMN analytics.job_failures_daily.hard_failure_rate IS 'hard_failed divided by the tries that were not canceled, 0 to 1.';

COMMENT ON COLUMN analytics.job_failures_daily.soft_failure_rate IS 'soft_failed divided by the tries that were not canceled, 0 to 1.';

COMMENT ON COLUMN analytics.job_failures_daily.infra_failure_rate IS 'infra_failed divided by the tries that were not canceled, 0 to 1.';

CREATE VIEW analytics.jobs_by_period AS
 SELECT merged.period,
    merged.starts_on,
    merged.organization_id,
    merged.pipeline_id,
    merged.job,
    merged.tries,
    merged.passed,
    merged.soft_failed,
    merged.failed,
    merged.infra_lost,
    merged.timed_out,
    merged.expired,
    merged.canceled,
    merged.retried,
    (((merged.failed + merged.timed_out))::double precision / (NULLIF((merged.tries - merged.canceled), 0))::double precision) AS hard_failure_rate,
    (merged.run_seconds / (NULLIF(analytics.histogram_count(merged.run), 0))::double precision) AS mean_seconds,
    analytics.percentile(merged.run, 0.5) AS p50_seconds,
    analytics.percentile(merged.run, 0.75) AS p75_seconds,
    analytics.percentile(merged.run, 0.9) AS p90_seconds,
    analytics.percentile(merged.run, 0.95) AS p95_seconds,
    merged.max_seconds,
    analytics.percentile(merged.passed_run, 0.5) AS passed_p50_seconds,
    analytics.percentile(merged.passed_run, 0.9) AS passed_p90_seconds,
    merged.run_seconds
   FROM ( SELECT period.name AS period,
            period.starts_on,
            daily.organization_id,
            daily.pipeline_id,
            daily.job,
            (sum(daily.tries))::bigint AS tries,
            (sum(daily.passed))::bigint AS passed,
            (sum(daily.soft_failed))::bigint AS soft_failed,
            (sum(daily.failed))::bigint AS failed,
            (sum(daily.infra_lost))::bigint AS infra_lost,
            (sum(daily.timed_out))::bigint AS timed_out,
            (sum(daily.expired))::bigint AS expired,
            (sum(daily.canceled))::bigint AS canceled,
            (sum(daily.retried))::bigint AS retried,
            sum(daily.run_seconds) AS run_seconds,
            max(daily.max_seconds) AS max_seconds,
            analytics.merge_histograms(daily.run_histogram) AS run,
            analytics.merge_histograms(daily.passed_run_histogram) AS passed_run
           FROM (analytics.jobs_daily daily
             CROSS JOIN LATERAL ( VALUES ('week'::text,(date_trunc('week'::text, (daily.day)::timestamp without time zone))::date), ('month'::text,(date_trunc('month'::text, (daily.day)::timestamp without time zone))::date)) period(name, starts_on))
          GROUP BY period.name, period.starts_on, daily.organization_id, daily.pipeline_id, daily.job) merged;

COMMENT ON VIEW analytics.jobs_by_period IS 'As jobs_daily, by week (from Monday) and by month (UTC). The percentiles are of all tries of the period, not means of days. Choose one period.';

COMMENT ON COLUMN analytics.jobs_by_period.period IS 'week or month.';

COMMENT ON COLUMN analytics.jobs_by_period.starts_on IS 'First day of the period.';

COMMENT ON COLUMN analytics.jobs_by_period.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.jobs_by_period.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.jobs_by_period.job IS 'Name of the job.';

COMMENT ON COLUMN analytics.jobs_by_period.tries IS 'How many tries of jobs ended, also those that never started; without skipped and broken ones.';

COMMENT ON COLUMN analytics.jobs_by_period.passed IS 'How many passed.';

COMMENT ON COLUMN analytics.jobs_by_period.soft_failed IS 'How many failed softly.';

COMMENT ON COLUMN analytics.jobs_by_period.failed IS 'How many failed.';

COMMENT ON COLUMN analytics.jobs_by_period.infra_lost IS 'How many failed because their agent or machine was lost.';

COMMENT ON COLUMN analytics.jobs_by_period.timed_out IS 'How many timed out.';

COMMENT ON COLUMN analytics.jobs_by_period.expired IS 'How many expired.';

COMMENT ON COLUMN analytics.jobs_by_period.canceled IS 'How many were canceled.';

COMMENT ON COLUMN analytics.jobs_by_period.retried IS 'How many were retried.';

COMMENT ON COLUMN analytics.jobs_by_period.hard_failure_rate IS 'Failed and timed out, divided by tries that were not canceled, 0 to 1.';

COMMENT ON COLUMN analytics.jobs_by_period.mean_seconds IS 'Mean running time, in seconds.';

COMMENT ON COLUMN analytics.jobs_by_period.p50_seconds IS 'Median, in seconds.';

COMMENT ON COLUMN analytics.jobs_by_period.p75_seconds IS '75th percentile, in seconds.';

COMMENT ON COLUMN analytics.jobs_by_period.p90_seconds IS '90th percentile, in seconds.';

COMMENT ON COLUMN analytics.jobs_by_period.p95_seconds IS '95th percentile, in seconds.';

COMMENT ON COLUMN analytics.jobs_by_period.max_seconds IS 'Longest, in seconds.';

COMMENT ON COLUMN analytics.jobs_by_period.passed_p50_seconds IS 'Median of those that passed, in seconds.';

COMMENT ON COLUMN analytics.jobs_by_period.passed_p90_seconds IS '90th percentile of those that passed, in seconds.';

COMMENT ON COLUMN analytics.jobs_by_period.run_seconds IS 'Seconds that they ran, in total.';

CREATE VIEW analytics.job_regressions AS
 SELECT this.starts_on AS week,
    this.organization_id,
    this.pipeline_id,
    this.job,
    COALESCE(((this.passed >= 20) AND (before.passed >= 20) AND (median.seconds >= ((1.25)::double precision * merged.seconds)) AND (median.seconds >= (merged.seconds + (10)::double precision))), false) AS is_slower,
    before.fails_more,
    this.passed,
    before.passed AS previous_passed,
    median.seconds AS passed_p50_seconds,
    merged.seconds AS previous_passed_p50_seconds,
    (this.tries - this.canceled) AS not_canceled,
    before.not_canceled AS previous_not_canceled,
    this.hard_failure_rate,
    ((before.hard_failed)::double precision / (before.not_canceled)::double precision) AS previous_hard_failure_rate
   FROM (((analytics.jobs_by_period this
     CROSS JOIN LATERAL ( SELECT this.passed_p50_seconds AS seconds
         OFFSET 0) median)
     CROSS JOIN LATERAL ( SELECT total.passed,
            total.not_canceled,
            total.hard_failed,
            total.least_median,
            total.common_rate,
            COALESCE((((this.tries - this.canceled) >= 20) AND (total.not_canceled >= 20) AND ((this.hard_failure_rate - ((total.hard_failed)::double precision / (total.not_canceled)::double precision)) > ((3)::double precision * sqrt(((total.common_rate * ((1)::double precision - total.common_rate)) * (((1.0 / ((this.tries - this.canceled))::numeric) + (1.0 / (total.not_canceled)::numeric)))::double precision))))), false) AS fails_more
           FROM ( SELECT (sum(daily.passed))::bigint AS passed,
                    (NULLIF(sum((daily.tries - daily.canceled)), (0)::numeric))::bigint AS not_canceled,
                    (sum((daily.failed + daily.timed_out)))::bigint AS hard_failed,
                    min(daily.passed_p50_seconds) AS least_median,
                    (((((this.failed + this.timed_out))::numeric + sum((daily.failed + daily.timed_out))))::double precision / (NULLIF((((this.tries - this.canceled))::numeric + sum((daily.tries - daily.canceled))), (0)::numeric))::double precision) AS common_rate
                   FROM analytics.jobs_daily daily
                  WHERE ((daily.pipeline_id = this.pipeline_id) AND (NOT (daily.organization_id IS DISTINCT FROM this.organization_id)) AND (daily.job = this.job) AND (daily.day >= (this.starts_on - 28)) AND (daily.day < this.starts_on))
                 OFFSET 0) total
         OFFSET 0) before)
     CROSS JOIN LATERAL ( SELECT analytics.percentile(analytics.merge_histograms(daily.passed_run_histogram), 0.5) AS seconds
           FROM analytics.jobs_daily daily
          WHERE ((daily.pipeline_id = this.pipeline_id) AND (NOT (daily.organization_id IS DISTINCT FROM this.organization_id)) AND (daily.job = this.job) AND (daily.day >= (this.starts_on - 28)) AND (daily.day < this.starts_on))
         OFFSET 0) merged)
  WHERE ((this.period = 'week'::text) AND (before.fails_more OR ((this.passed >= 20) AND (median.seconds >= ((1.25)::double precision * before.least_median)) AND (median.seconds >= (before.least_median + (10)::double precision)))) AND (before.fails_more OR ((this.passed >= 20) AND (before.passed >= 20) AND (median.seconds >= ((1.25)::double precision * merged.seconds)) AND (median.seconds >= (merged.seconds + (10)::double precision)))));

COMMENT ON VIEW analytics.job_regressions IS 'Jobs that became clearly slower, or fail clearly more often, in a week (from Monday, UTC) than in the four weeks before it. Both need at least 20 tries in both spans.';

COMMENT ON COLUMN analytics.job_regressions.week IS 'Monday of the week.';

COMMENT ON COLUMN analytics.job_regressions.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.job_regressions.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.job_regressions.job IS 'Name of the job.';

COMMENT ON COLUMN analytics.job_regressions.is_slower IS 'Whether the median of passed tries rose by a quarter and by 10 s at least.';

COMMENT ON COLUMN analytics.job_regressions.fails_more IS 'Whether the hard failure rate rose by more than three standard errors.';

COMMENT ON COLUMN analytics.job_regressions.passed IS 'How many tries passed in the week.';

COMMENT ON COLUMN analytics.job_regressions.previous_passed IS 'How many passed in the four weeks before.';

COMMENT ON COLUMN analytics.job_regressions.passed_p50_seconds IS 'Median running time of passed tries in the week, in seconds.';

COMMENT ON COLUMN analytics.job_regressions.previous_passed_p50_seconds IS 'The same in the four weeks before.';

COMMENT ON COLUMN analytics.job_regressions.not_canceled IS 'Tries of the week that were not canceled.';

COMMENT ON COLUMN analytics.job_regressions.previous_not_canceled IS 'The same in the four weeks before.';

COMMENT ON COLUMN analytics.job_regressions.hard_failure_rate IS 'Failed and timed out in the week, divided by tries that were not canceled.';

COMMENT ON COLUMN analytics.job_regressions.previous_hard_failure_rate IS 'The same in the four weeks before.';

CREATE VIEW analytics.job_retries AS
 SELECT build.organization_id,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    first.build_id,
    build.branch,
    build.commit,
    analytics.job_name(first.name, first.label, first.step_key, first.command) AS job,
    first.id AS first_job_id,
    final.id AS final_job_id,
    final.tries,
    analytics.job_result(first.state, first.soft_failed, first.exit_status, first.signal_reason) AS first_result,
    final.result AS final_result,
    (final.failed_before AND COALESCE((final.result = 'passed'::text), false)) AS flaky,
    first.retry_type,
    COALESCE(first.retried_by_name, final.retry_source_retried_by_name) AS retried_by_name,
    first.finished_at AS first_finished_at,
    final.finished_at AS final_finished_at,
    organization.slug AS organization
   FROM ((((buildkite.jobs first
     JOIN buildkite.builds build ON ((build.id = first.build_id)))
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)))
     CROSS JOIN LATERAL ( WITH RECURSIVE tries AS (
                 SELECT first.id,
                    first.retried_in_job_id,
                    1 AS try
                UNION ALL
                 SELECT next.id,
                    next.retried_in_job_id,
                    (tries_1.try + 1)
                   FROM (tries tries_1
                     JOIN buildkite.jobs next ON ((next.id = tries_1.retried_in_job_id)))
                  WHERE (tries_1.try < 1000)
                )
         SELECT job.id,
            job.finished_at,
            job.retry_source_retried_by_name,
            tries.try AS tries,
            ended.result,
            COALESCE(bool_or((ended.result = ANY (ARRAY['failed'::text, 'soft_failed'::text, 'timed_out'::text]))) OVER (ORDER BY tries.try ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING), false) AS failed_before
           FROM ((tries
             JOIN buildkite.jobs job ON ((job.id = tries.id)))
             CROSS JOIN LATERAL ( SELECT analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) AS result) ended)
          ORDER BY tries.try DESC
         LIMIT 1) final)
  WHERE ((first.retried_in_job_id IS NOT NULL) AND (NOT (EXISTS ( SELECT
           FROM buildkite.jobs earlier
          WHERE (earlier.retried_in_job_id = first.id)))));

COMMENT ON VIEW analytics.job_retries IS 'Jobs that were tried again, one row for each chain of tries within one build: first try, last try, and whether that makes it flaky. All tries have the same commit. A job that passed when the whole build was rebuilt is in analytics.rebuilds.';

COMMENT ON COLUMN analytics.job_retries.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.job_retries.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.job_retries.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.job_retries.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.job_retries.branch IS 'Branch.';

COMMENT ON COLUMN analytics.job_retries.commit IS 'Commit; may be HEAD or a branch name until the build starts.';

COMMENT ON COLUMN analytics.job_retries.job IS 'Name of the job, as people read it.';

COMMENT ON COLUMN analytics.job_retries.first_job_id IS 'jobs.id of the first try.';

COMMENT ON COLUMN analytics.job_retries.final_job_id IS 'jobs.id of the last try.';

COMMENT ON COLUMN analytics.job_retries.tries IS 'How many tries, the first one too.';

COMMENT ON COLUMN analytics.job_retries.first_result IS 'How the first attempt or try ended.';

COMMENT ON COLUMN analytics.job_retries.final_result IS 'How the last try ended.';

COMMENT ON COLUMN analytics.job_retries.flaky IS 'An earlier try failed and the last one passed, on the same commit.';

COMMENT ON COLUMN analytics.job_retries.retry_type IS 'automatic or manual; null: not retried.';

COMMENT ON COLUMN analytics.job_retries.retried_by_name IS 'Name of the person who retried it; null for automatic ones.';

COMMENT ON COLUMN analytics.job_retries.first_finished_at IS 'When the first attempt or try ended.';

COMMENT ON COLUMN analytics.job_retries.final_finished_at IS 'When the last try ended.';

COMMENT ON COLUMN analytics.job_retries.organization IS 'Slug of the organization, at present.';

CREATE VIEW analytics.jobs AS
 SELECT job.id,
    job.build_id,
    build.organization_id,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    build.number AS build_number,
    job.type,
    analytics.job_name(job.name, job.label, job.step_key, job.command) AS job,
    job.step_key,
    job.group_key,
    job.state,
    analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) AS result,
    job.soft_failed,
    job.exit_status,
    job.signal,
    job.signal_reason,
    (COALESCE(job.retried, false) OR (job.retried_in_job_id IS NOT NULL)) AS retried,
    job.retried_in_job_id,
    job.retry_type,
        CASE
            WHEN (job.type = 'script'::text) THEN COALESCE(analytics.queue_of(job.agent_query_rules), queue.key, 'default'::text)
            ELSE NULL::text
        END AS queue,
    job.cluster_id,
    job.agent_id,
    job.agent_name,
    job.created_at,
    job.scheduled_at,
    job.runnable_at,
    job.started_at,
    job.finished_at,
    analytics.seconds((job.created_at + ((COALESCE(job.concurrency_wait_time_ms, (0)::bigint))::double precision * '00:00:00.001'::interval)), job.runnable_at) AS dependency_wait_seconds,
    ((job.concurrency_wait_time_ms)::double precision / (1000.0)::double precision) AS concurrency_wait_seconds,
    analytics.seconds(job.runnable_at, job.started_at) AS agent_wait_seconds,
    analytics.seconds(job.started_at, job.finished_at) AS run_seconds,
    job.parallel_group_index,
    job.parallel_group_total,
    job.matrix,
    build.branch,
    (build.branch = pipeline.default_branch) AS is_default_branch,
    build.commit,
    COALESCE(pipeline.tags, '{}'::text[]) AS tags,
    ARRAY( SELECT team.slug
           FROM (buildkite.team_pipelines owned
             JOIN buildkite.teams team ON ((team.id = owned.team_id)))
          WHERE ((owned.pipeline_id = build.pipeline_id) AND (owned.deleted_at IS NULL) AND (team.deleted_at IS NULL))
          ORDER BY team.slug) AS teams,
        CASE
            WHEN (job.web_url IS NOT NULL) THEN COALESCE(((((pipeline.web_url || '/builds/'::text) || build.number) || '#'::text) || job.id), job.web_url)
            ELSE NULL::text
        END AS web_url,
    job.changed_at,
    job.deleted_at,
    organization.slug AS organization
   FROM ((((buildkite.jobs job
     LEFT JOIN buildkite.builds build ON ((build.id = job.build_id)))
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)))
     LEFT JOIN buildkite.cluster_queues queue ON ((queue.id = job.cluster_queue_id)));

COMMENT ON VIEW analytics.jobs IS 'Jobs, one row for each try: command jobs (type script), gates (manual), triggers, waiters. result shows why a job did not pass.';

COMMENT ON COLUMN analytics.jobs.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.jobs.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.jobs.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.jobs.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.jobs.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.jobs.build_number IS 'Number of the build.';

COMMENT ON COLUMN analytics.jobs.type IS 'script, manual, trigger or waiter.';

COMMENT ON COLUMN analytics.jobs.job IS 'What people call it: its name, otherwise its label, its step''s key, or the start of its command.';

COMMENT ON COLUMN analytics.jobs.step_key IS 'Key of the step.';

COMMENT ON COLUMN analytics.jobs.group_key IS 'Key of the group step that it belongs to.';

COMMENT ON COLUMN analytics.jobs.state IS 'State, as Buildkite shows it.';

COMMENT ON COLUMN analytics.jobs.result IS 'passed, soft_failed, failed, infra_lost, timed_out, expired, canceled, broken or skipped; null while it is open. See analytics.job_result.';

COMMENT ON COLUMN analytics.jobs.soft_failed IS 'Whether its failure was allowed.';

COMMENT ON COLUMN analytics.jobs.exit_status IS 'Exit status; -1: the agent was lost, or the job timed out.';

COMMENT ON COLUMN analytics.jobs.signal IS 'Signal that ended it.';

COMMENT ON COLUMN analytics.jobs.signal_reason IS 'Why, as Buildkite says: agent_stop, cancel, ...';

COMMENT ON COLUMN analytics.jobs.retried IS 'Whether another try replaced it. Exclude such jobs for final results.';

COMMENT ON COLUMN analytics.jobs.retried_in_job_id IS 'jobs.id of the next try.';

COMMENT ON COLUMN analytics.jobs.retry_type IS 'automatic or manual; null: not retried.';

COMMENT ON COLUMN analytics.jobs.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default; null for jobs that need no agent.';

COMMENT ON COLUMN analytics.jobs.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.jobs.agent_id IS 'agents.id.';

COMMENT ON COLUMN analytics.jobs.agent_name IS 'Name of the agent.';

COMMENT ON COLUMN analytics.jobs.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.jobs.scheduled_at IS 'When it was scheduled.';

COMMENT ON COLUMN analytics.jobs.runnable_at IS 'When only a free agent was missing: previous steps, gates and concurrency limits were done.';

COMMENT ON COLUMN analytics.jobs.started_at IS 'When it started.';

COMMENT ON COLUMN analytics.jobs.finished_at IS 'When it finished.';

COMMENT ON COLUMN analytics.jobs.dependency_wait_seconds IS 'Seconds from created to runnable, without the wait for a concurrency group: steps and gates before it.';

COMMENT ON COLUMN analytics.jobs.concurrency_wait_seconds IS 'Seconds of waiting for a concurrency group. Null: it was in none, or only webhooks have shown it.';

COMMENT ON COLUMN analytics.jobs.agent_wait_seconds IS 'Seconds from runnable to started: the wait for an agent.';

COMMENT ON COLUMN analytics.jobs.run_seconds IS 'Seconds from started to finished.';

COMMENT ON COLUMN analytics.jobs.parallel_group_index IS 'Which part of a parallel step, from 0.';

COMMENT ON COLUMN analytics.jobs.parallel_group_total IS 'Parts of the parallel step.';

COMMENT ON COLUMN analytics.jobs.matrix IS 'Values of the matrix.';

COMMENT ON COLUMN analytics.jobs.branch IS 'Branch.';

COMMENT ON COLUMN analytics.jobs.is_default_branch IS 'Whether the branch is the pipeline''s present default branch. If that is renamed, builds of the old name get false.';

COMMENT ON COLUMN analytics.jobs.commit IS 'Commit; may be HEAD or a branch name until the build starts.';

COMMENT ON COLUMN analytics.jobs.tags IS 'Tags of the pipeline, at present.';

COMMENT ON COLUMN analytics.jobs.teams IS 'Slugs of the teams that own the pipeline, at present; empty if the token lacks view_teams.';

COMMENT ON COLUMN analytics.jobs.web_url IS 'Address in the browser.';

COMMENT ON COLUMN analytics.jobs.changed_at IS 'When the row last changed in the mirror; indexed below, for incremental loads.';

COMMENT ON COLUMN analytics.jobs.deleted_at IS 'When the mirror noticed that Buildkite no longer shows it; null: Buildkite shows it.';

COMMENT ON COLUMN analytics.jobs.organization IS 'Slug of the organization, at present.';

CREATE VIEW analytics.organizations AS
 SELECT organizations.id,
    organizations.slug AS organization,
    organizations.name,
    organizations.web_url,
    organizations.created_at,
    organizations.changed_at,
    organizations.deleted_at
   FROM buildkite.organizations;

COMMENT ON VIEW analytics.organizations IS 'Organizations that the mirror has seen.';

COMMENT ON COLUMN analytics.organizations.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.organizations.organization IS 'Slug, at present.';

COMMENT ON COLUMN analytics.organizations.name IS 'Name.';

COMMENT ON COLUMN analytics.organizations.web_url IS 'Address in the browser.';

COMMENT ON COLUMN analytics.organizations.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.organizations.changed_at IS 'When the row last changed in the mirror; indexed below, for incremental loads.';

COMMENT ON COLUMN analytics.organizations.deleted_at IS 'When the mirror noticed that Buildkite no longer shows it; null: Buildkite shows it.';

CREATE VIEW analytics.parallel_steps AS
 SELECT build.organization_id,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    build.id AS build_id,
    step.step,
    build.created_at,
    step.parts,
    step.total,
    step.min_seconds,
    step.mean_seconds,
    step.max_seconds,
    (step.max_seconds / NULLIF(step.mean_seconds, (0)::double precision)) AS imbalance,
    organization.slug AS organization
   FROM (((buildkite.builds build
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)))
     CROSS JOIN LATERAL ( SELECT min(COALESCE(NULLIF(job.step_key, ''::text), analytics.job_name(job.name, job.label, job.step_key, job.command))) AS step,
            count(*) AS parts,
            max(job.parallel_group_total) AS total,
            min(analytics.seconds(job.started_at, job.finished_at)) AS min_seconds,
            avg(analytics.seconds(job.started_at, job.finished_at)) AS mean_seconds,
            max(analytics.seconds(job.started_at, job.finished_at)) AS max_seconds
           FROM buildkite.jobs job
          WHERE ((job.build_id = build.id) AND (job.parallel_group_total > 1) AND (job.retried_in_job_id IS NULL) AND (NOT COALESCE(job.retried, false)) AND (job.started_at IS NOT NULL) AND (job.finished_at IS NOT NULL))
          GROUP BY COALESCE(NULLIF(job.step_key, ''::text), (job.step_id)::text, job.name)) step);

COMMENT ON VIEW analytics.parallel_steps IS 'How evenly the parts of a parallel step share the work, by the last try of each part. imbalance 1 is perfect; at 2 the step takes twice as long as necessary. A step without a key has the name of its first part, so that it is the same step in the next build.';

COMMENT ON COLUMN analytics.parallel_steps.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.parallel_steps.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.parallel_steps.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.parallel_steps.build_id IS 'builds.id.';

COMMENT ON COLUMN analytics.parallel_steps.step IS 'The step: its key, or the name of its first part.';

COMMENT ON COLUMN analytics.parallel_steps.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.parallel_steps.parts IS 'Parts that ran.';

COMMENT ON COLUMN analytics.parallel_steps.total IS 'Parts that the step has.';

COMMENT ON COLUMN analytics.parallel_steps.min_seconds IS 'Seconds of the shortest part.';

COMMENT ON COLUMN analytics.parallel_steps.mean_seconds IS 'Mean, in seconds.';

COMMENT ON COLUMN analytics.parallel_steps.max_seconds IS 'Seconds of the longest part.';

COMMENT ON COLUMN analytics.parallel_steps.imbalance IS 'max_seconds divided by mean_seconds.';

COMMENT ON COLUMN analytics.parallel_steps.organization IS 'Slug of the organization, at present.';

CREATE VIEW analytics.pipeline_durations_by_period AS
 SELECT merged.period,
    merged.starts_on,
    merged.organization_id,
    merged.pipeline_id,
    merged.builds,
    merged.passed,
    (((merged.builds - merged.passed))::double precision / (merged.builds)::double precision) AS failure_rate,
    (merged.run_seconds / (NULLIF(analytics.histogram_count(merged.run), 0))::double precision) AS mean_seconds,
    analytics.percentile(merged.run, 0.5) AS p50_seconds,
    analytics.percentile(merged.run, 0.75) AS p75_seconds,
    analytics.percentile(merged.run, 0.9) AS p90_seconds,
    analytics.percentile(merged.run, 0.95) AS p95_seconds,
    analytics.percentile(merged.passed_run, 0.5) AS passed_p50_seconds,
    analytics.percentile(merged.passed_run, 0.9) AS passed_p90_seconds,
    analytics.percentile(merged.first_run, 0.5) AS first_p50_seconds,
    analytics.percentile(merged.first_run, 0.9) AS first_p90_seconds,
    analytics.percentile(merged.wait, 0.5) AS wait_p50_seconds
   FROM ( SELECT period.name AS period,
            period.starts_on,
            daily.organization_id,
            daily.pipeline_id,
            (sum(daily.builds))::bigint AS builds,
            (sum(daily.passed))::bigint AS passed,
            COALESCE(sum((daily.mean_seconds * (analytics.histogram_count(daily.run_histogram))::double precision)), (0)::double precision) AS run_seconds,
            analytics.merge_histograms(daily.run_histogram) AS run,
            analytics.merge_histograms(daily.passed_run_histogram) AS passed_run,
            analytics.merge_histograms(daily.first_run_histogram) AS first_run,
            analytics.merge_histograms(daily.wait_histogram) AS wait
           FROM (analytics.pipeline_durations_daily daily
             CROSS JOIN LATERAL ( VALUES ('week'::text,(date_trunc('week'::text, (daily.day)::timestamp without time zone))::date), ('month'::text,(date_trunc('month'::text, (daily.day)::timestamp without time zone))::date)) period(name, starts_on))
          GROUP BY period.name, period.starts_on, daily.organization_id, daily.pipeline_id) merged;

COMMENT ON VIEW analytics.pipeline_durations_by_period IS 'As pipeline_durations_daily, by week (from Monday) and by month (UTC). The percentiles are of all builds of the period, not means of days. Choose one period.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.period IS 'week or month.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.starts_on IS 'First day of the period.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.builds IS 'How many builds passed or failed.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.passed IS 'How many passed.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.failure_rate IS 'Failed builds divided by builds, 0 to 1.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.mean_seconds IS 'Mean running time, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.p50_seconds IS 'Median, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.p75_seconds IS '75th percentile, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.p90_seconds IS '90th percentile, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.p95_seconds IS '95th percentile, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.passed_p50_seconds IS 'Median of those that passed, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.passed_p90_seconds IS '90th percentile of those that passed, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.first_p50_seconds IS 'Median of first attempts, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.first_p90_seconds IS '90th percentile of first attempts, in seconds.';

COMMENT ON COLUMN analytics.pipeline_durations_by_period.wait_p50_seconds IS 'Median wait before the first start, in seconds.';

CREATE VIEW analytics.period_changes AS
 SELECT this.period,
    this.starts_on,
    this.organization_id,
    this.pipeline_id,
    this.builds,
    before.builds AS previous_builds,
    this.p50_seconds,
    before.p50_seconds AS previous_p50_seconds,
    this.p90_seconds,
    before.p90_seconds AS previous_p90_seconds,
    this.failure_rate,
    before.failure_rate AS previous_failure_rate,
    this.wait_p50_seconds,
    before.wait_p50_seconds AS previous_wait_p50_seconds
   FROM (analytics.pipeline_durations_by_period this
     LEFT JOIN LATERAL ( SELECT earlier.builds,
            earlier.p50_seconds,
            earlier.p90_seconds,
            earlier.failure_rate,
            earlier.wait_p50_seconds
           FROM analytics.pipeline_durations_by_period earlier
          WHERE ((earlier.period = this.period) AND (earlier.pipeline_id = this.pipeline_id) AND (NOT (earlier.organization_id IS DISTINCT FROM this.organization_id)) AND (earlier.starts_on = ((this.starts_on -
                CASE this.period
                    WHEN 'week'::text THEN '7 days'::interval
                    ELSE '1 mon'::interval
                END))::date))) before ON (true));

COMMENT ON VIEW analytics.period_changes IS 'Each week and month of a pipeline beside the one before it. The present period is not complete: fewer of its builds have finished. Choose one period.';

COMMENT ON COLUMN analytics.period_changes.period IS 'week or month.';

COMMENT ON COLUMN analytics.period_changes.starts_on IS 'First day of the period.';

COMMENT ON COLUMN analytics.period_changes.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.period_changes.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.period_changes.builds IS 'How many builds passed or failed.';

COMMENT ON COLUMN analytics.period_changes.previous_builds IS 'The same in the period before; null if there were none.';

COMMENT ON COLUMN analytics.period_changes.p50_seconds IS 'Median running time, in seconds.';

COMMENT ON COLUMN analytics.period_changes.previous_p50_seconds IS 'The same in the period before.';

COMMENT ON COLUMN analytics.period_changes.p90_seconds IS '90th percentile of the running time, in seconds.';

COMMENT ON COLUMN analytics.period_changes.previous_p90_seconds IS 'The same in the period before.';

COMMENT ON COLUMN analytics.period_changes.failure_rate IS 'Failed builds divided by builds, 0 to 1.';

COMMENT ON COLUMN analytics.period_changes.previous_failure_rate IS 'The same in the period before.';

COMMENT ON COLUMN analytics.period_changes.wait_p50_seconds IS 'Median wait before the first start, in seconds.';

COMMENT ON COLUMN analytics.period_changes.previous_wait_p50_seconds IS 'The same in the period before.';

CREATE VIEW analytics.pipeline_jobs AS
 SELECT job.id,
    job.build_id AS pipeline_run_id,
    (job.id)::text AS reference_id,
    (job.id)::text AS source_id,
    analytics.job_name(job.name, job.label, job.step_key, job.command) AS name,
        CASE
            WHEN (analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) = 'passed'::text) THEN 'success'::text
            WHEN (analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) = ANY (ARRAY['soft_failed'::text, 'failed'::text, 'infra_lost'::text, 'timed_out'::text, 'expired'::text])) THEN 'failure'::text
            ELSE 'not_finished'::text
        END AS status,
    (round(analytics.seconds(job.started_at, job.finished_at)))::integer AS duration,
    job.started_at,
    job.finished_at
   FROM buildkite.jobs job
  WHERE (job.type = ANY (ARRAY['script'::text, 'trigger'::text]));

COMMENT ON VIEW analytics.pipeline_jobs IS 'Command and trigger jobs in the shape of DX''s table of that name, one row for each try. In our own shape: analytics.jobs.';

COMMENT ON COLUMN analytics.pipeline_jobs.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.pipeline_jobs.pipeline_run_id IS 'pipeline_runs.id.';

COMMENT ON COLUMN analytics.pipeline_jobs.reference_id IS 'Buildkite''s UUID, as text.';

COMMENT ON COLUMN analytics.pipeline_jobs.source_id IS 'Buildkite''s UUID, as text.';

COMMENT ON COLUMN analytics.pipeline_jobs.name IS 'Name of the job.';

COMMENT ON COLUMN analytics.pipeline_jobs.status IS 'success; failure (also soft failures, lost agents, timed out, expired); not_finished: open, or ended without a result (canceled, skipped, broken).';

COMMENT ON COLUMN analytics.pipeline_jobs.duration IS 'Seconds from started_at to finished_at; null until both are known, and if one of them is invalid; see analytics.seconds.';

COMMENT ON COLUMN analytics.pipeline_jobs.started_at IS 'When it started.';

COMMENT ON COLUMN analytics.pipeline_jobs.finished_at IS 'When it finished.';

CREATE VIEW analytics.pipeline_runs AS
 SELECT build.id,
    (build.id)::text AS reference_id,
    (build.id)::text AS source_id,
    (1)::bigint AS pipeline_source_id,
    COALESCE(pipeline.name, pipeline.slug) AS name,
        CASE
            WHEN (effective.state = 'passed'::text) THEN 'success'::text
            WHEN (effective.state = 'failed'::text) THEN 'failure'::text
            WHEN (effective.state = ANY (ARRAY['canceled'::text, 'skipped'::text, 'not_run'::text])) THEN 'cancelled'::text
            WHEN (effective.state = ANY (ARRAY['creating'::text, 'scheduled'::text, 'running'::text, 'failing'::text, 'canceling'::text, 'blocked'::text])) THEN 'running'::text
            ELSE 'unknown'::text
        END AS status,
    span.started_at,
    span.finished_at,
    build.observed_at AS updated_at,
    (round(analytics.seconds(span.started_at, span.finished_at)))::integer AS duration,
    analytics.repository_name(pipeline.repository) AS repository,
    build.commit AS commit_sha,
    build.branch AS head_branch,
        CASE
            WHEN (build.pull_request_id ~ '^[0-9]{1,9}$'::text) THEN (build.pull_request_id)::integer
            ELSE NULL::integer
        END AS pr_number,
    NULL::bigint AS pull_id,
    NULL::bigint AS dx_user_id,
    lower(COALESCE(NULLIF(build.creator_email, ''::text), NULLIF(build.author_email, ''::text))) AS email,
    COALESCE(((pipeline.web_url || '/builds/'::text) || build.number), build.web_url) AS source_url,
    NULL::bigint AS github_repository_id,
        CASE
            WHEN (pipeline.provider_id ~~ 'github%'::text) THEN build.author_username
            ELSE NULL::text
        END AS github_username,
    NULL::bigint AS gitlab_project_id
   FROM (((buildkite.builds build
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     CROSS JOIN LATERAL ( SELECT analytics.build_state(build.state, build.blocked) AS state) effective)
     CROSS JOIN LATERAL ( SELECT LEAST(build.started_at, ( SELECT min(attempt.started_at) AS min
                   FROM analytics.attempt_runs attempt
                  WHERE (attempt.build_id = build.id)),
                CASE
                    WHEN (build.first_seen_via = 'rest'::text) THEN ( SELECT min(job.started_at) AS min
                       FROM ( SELECT jobs.started_at
                               FROM buildkite.jobs
                              WHERE (jobs.build_id = build.id)
                             OFFSET 0) job)
                    ELSE NULL::timestamp with time zone
                END) AS started_at,
                CASE
                    WHEN (analytics.build_result(build.state, build.blocked) IS NOT NULL) THEN build.finished_at
                    ELSE NULL::timestamp with time zone
                END AS finished_at) span);

COMMENT ON VIEW analytics.pipeline_runs IS 'Builds in the shape of DX''s table of that name: with analytics in the search_path a query written for it runs unchanged. One row for each build. In our own shape, with first and final result: analytics.builds.';

COMMENT ON COLUMN analytics.pipeline_runs.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.pipeline_runs.reference_id IS 'Buildkite''s UUID, as text.';

COMMENT ON COLUMN analytics.pipeline_runs.source_id IS 'Buildkite''s UUID, as text.';

COMMENT ON COLUMN analytics.pipeline_runs.pipeline_source_id IS 'pipeline_sources.id.';

COMMENT ON COLUMN analytics.pipeline_runs.name IS 'Name of the pipeline.';

COMMENT ON COLUMN analytics.pipeline_runs.status IS 'success, failure, cancelled (also skipped and not run), running (also canceling, and blocked: a build that waits for an unblock is never a success) or unknown. Result of the final attempt: a failed build that passed in a retry is a success; its first result is in analytics.builds.';

COMMENT ON COLUMN analytics.pipeline_runs.started_at IS 'The earliest start of any attempt, as DX counts it. For a build that REST showed first: of any job.';

COMMENT ON COLUMN analytics.pipeline_runs.finished_at IS 'When it finished; null while it is open or blocked.';

COMMENT ON COLUMN analytics.pipeline_runs.updated_at IS 'When the object was last seen to differ from the row.';

COMMENT ON COLUMN analytics.pipeline_runs.duration IS 'Seconds from started_at to finished_at, as DX counts: including pauses at block steps and between attempts. Without them: builds.run_seconds. Null until both are known, and if one of them is invalid; see analytics.seconds.';

COMMENT ON COLUMN analytics.pipeline_runs.repository IS 'owner/name of the repository.';

COMMENT ON COLUMN analytics.pipeline_runs.commit_sha IS 'Commit.';

COMMENT ON COLUMN analytics.pipeline_runs.head_branch IS 'Branch.';

COMMENT ON COLUMN analytics.pipeline_runs.pr_number IS 'Number of the pull request.';

COMMENT ON COLUMN analytics.pipeline_runs.pull_id IS 'DX''s own id; always null here.';

COMMENT ON COLUMN analytics.pipeline_runs.dx_user_id IS 'DX''s own id; always null here.';

COMMENT ON COLUMN analytics.pipeline_runs.email IS 'E-mail address of the creator, otherwise of the commit''s author, in lower case.';

COMMENT ON COLUMN analytics.pipeline_runs.source_url IS 'Address in the browser, by the present name of the pipeline.';

COMMENT ON COLUMN analytics.pipeline_runs.github_repository_id IS 'DX''s own id; always null here.';

COMMENT ON COLUMN analytics.pipeline_runs.github_username IS 'User name of the commit''s author, where the pipeline''s repository is on GitHub.';

COMMENT ON COLUMN analytics.pipeline_runs.gitlab_project_id IS 'DX''s own id; always null here.';

CREATE TABLE buildkite.pipeline_schedules (
    id uuid NOT NULL,
    pipeline_id uuid NOT NULL,
    graphql_id text,
    label text,
    cronline text,
    message text,
    commit text,
    branch text,
    enabled boolean,
    next_build_at timestamp(3) with time zone,
    failed_at timestamp(3) with time zone,
    failed_message text,
    url text,
    created_at timestamp(3) with time zone,
    created_by_id uuid,
    created_by_name text,
    created_by_email text,
    organization_id uuid NOT NULL,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone
);

COMMENT ON TABLE buildkite.pipeline_schedules IS 'Schedules that create builds. Read hourly.';

COMMENT ON COLUMN buildkite.pipeline_schedules.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN buildkite.pipeline_schedules.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN buildkite.pipeline_schedules.graphql_id IS 'The same object''s id in the GraphQL API.';

COMMENT ON COLUMN buildkite.pipeline_schedules.label IS 'Label.';

COMMENT ON COLUMN buildkite.pipeline_schedules.cronline IS 'When it creates builds, as cron or a word such as @daily.';

COMMENT ON COLUMN buildkite.pipeline_schedules.message IS 'Message of its builds.';

COMMENT ON COLUMN buildkite.pipeline_schedules.commit IS 'Commit of its builds.';

COMMENT ON COLUMN buildkite.pipeline_schedules.branch IS 'Branch of its builds.';

COMMENT ON COLUMN buildkite.pipeline_schedules.enabled IS 'Whether it is on.';

COMMENT ON COLUMN buildkite.pipeline_schedules.next_build_at IS 'When it creates the next build.';

COMMENT ON COLUMN buildkite.pipeline_schedules.failed_at IS 'When its last failed attempt to create a build was; null: the last one succeeded.';

COMMENT ON COLUMN buildkite.pipeline_schedules.failed_message IS 'Why the first one failed.';

COMMENT ON COLUMN buildkite.pipeline_schedules.url IS 'REST address.';

COMMENT ON COLUMN buildkite.pipeline_schedules.created_at IS 'When it was created.';

COMMENT ON COLUMN buildkite.pipeline_schedules.created_by_id IS 'Id of the person who created it.';

COMMENT ON COLUMN buildkite.pipeline_schedules.created_by_name IS 'Name of the person who created it.';

COMMENT ON COLUMN buildkite.pipeline_schedules.created_by_email IS 'E-mail address of the person who created it.';

COMMENT ON COLUMN buildkite.pipeline_schedules.organization_id IS 'organizations.id.';

COMMENT ON COLUMN buildkite.pipeline_schedules.extra IS 'Fields that Buildkite sent and no column contains, under their own names.';

COMMENT ON COLUMN buildkite.pipeline_schedules.first_seen_at IS 'When a list first contained it, on the mirror''s clock.';

COMMENT ON COLUMN buildkite.pipeline_schedules.changed_at IS 'When a column last changed, on the clock of Postgres; for incremental loads.';

COMMENT ON COLUMN buildkite.pipeline_schedules.deleted_at IS 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';

CREATE VIEW analytics.pipeline_schedules AS
 SELECT schedule.id,
    schedule.organization_id,
    schedule.pipeline_id,
    pipeline.slug AS pipeline,
    schedule.label,
    schedule.cronline,
    schedule.branch,
    schedule.enabled,
    schedule.next_build_at,
    schedule.failed_at,
    schedule.failed_message,
    schedule.created_by_email,
    schedule.deleted_at,
    organization.slug AS organization
   FROM ((buildkite.pipeline_schedules schedule
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = schedule.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = schedule.organization_id)));

COMMENT ON VIEW analytics.pipeline_schedules IS 'Schedules of pipelines. They create the builds of source schedule; Buildkite does not show which schedule created a build.';

COMMENT ON COLUMN analytics.pipeline_schedules.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.pipeline_schedules.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.pipeline_schedules.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.pipeline_schedules.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.pipeline_schedules.label IS 'Label.';

COMMENT ON COLUMN analytics.pipeline_schedules.cronline IS 'When it creates builds, as cron or a word such as @daily.';

COMMENT ON COLUMN analytics.pipeline_schedules.branch IS 'Branch.';

COMMENT ON COLUMN analytics.pipeline_schedules.enabled IS 'Whether it is on.';

COMMENT ON COLUMN analytics.pipeline_schedules.next_build_at IS 'When it creates the next build.';

COMMENT ON COLUMN analytics.pipeline_schedules.failed_at IS 'When its last failed attempt to create a build was; null: the last one succeeded.';

COMMENT ON COLUMN analytics.pipeline_schedules.failed_message IS 'Why the first one failed.';

COMMENT ON COLUMN analytics.pipeline_schedules.created_by_email IS 'E-mail address of the person who created it.';

COMMENT ON COLUMN analytics.pipeline_schedules.deleted_at IS 'When the mirror noticed that Buildkite no longer shows it; null: Buildkite shows it.';

COMMENT ON COLUMN analytics.pipeline_schedules.organization IS 'Slug of the organization, at present.';

CREATE VIEW analytics.pipeline_sources AS
 SELECT (1)::bigint AS id,
    'Buildkite'::text AS name,
    false AS api;

COMMENT ON VIEW analytics.pipeline_sources IS 'Where pipeline runs come from, in the shape of DX''s table of that name: one row, Buildkite.';

COMMENT ON COLUMN analytics.pipeline_sources.id IS 'Always 1.';

COMMENT ON COLUMN analytics.pipeline_sources.name IS 'Buildkite.';

COMMENT ON COLUMN analytics.pipeline_sources.api IS 'Whether the customer pushes the data; always false.';

CREATE VIEW analytics.pipeline_stage_names AS
 SELECT analytics.stable_id(concat(stage.pipeline_id, ':', stage.name)) AS id,
    (1)::bigint AS pipeline_source_id,
    stage.name,
    analytics.repository_name(pipeline.repository) AS repository,
    stage.pipeline_id
   FROM (( SELECT DISTINCT job_minutes_hourly.pipeline_id,
            COALESCE(job_minutes_hourly.group_key, job_minutes_hourly.step_key, job_minutes_hourly.job) AS name
           FROM analytics.job_minutes_hourly) stage
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = stage.pipeline_id)));

COMMENT ON VIEW analytics.pipeline_stage_names IS 'Stages of pipelines, in the shape of DX''s table of that name (one column of our own at the end): groups, and steps outside groups, whose command jobs have ended. build_stages has their durations.';

COMMENT ON COLUMN analytics.pipeline_stage_names.id IS 'Always the same for a pipeline and a name.';

COMMENT ON COLUMN analytics.pipeline_stage_names.pipeline_source_id IS 'pipeline_sources.id.';

COMMENT ON COLUMN analytics.pipeline_stage_names.name IS 'Key of the group; outside groups the key of the step, otherwise its name.';

COMMENT ON COLUMN analytics.pipeline_stage_names.repository IS 'owner/name of the repository.';

COMMENT ON COLUMN analytics.pipeline_stage_names.pipeline_id IS 'pipelines.id. Ours, not DX''s.';

CREATE VIEW analytics.pipeline_variables AS
 SELECT pipeline.id AS pipeline_id,
    pipeline.organization_id,
    organization.slug AS organization,
    pipeline.slug AS pipeline,
    named.variable
   FROM ((buildkite.pipelines pipeline
     LEFT JOIN buildkite.organizations organization ON ((organization.id = pipeline.organization_id)))
     CROSS JOIN LATERAL jsonb_object_keys(
        CASE
            WHEN (jsonb_typeof(pipeline.env) = 'object'::text) THEN pipeline.env
            ELSE '{}'::jsonb
        END) named(variable));

COMMENT ON VIEW analytics.pipeline_variables IS 'Names of the environment variables of pipelines, without their values. Empty unless STORE_ENV is on.';

COMMENT ON COLUMN analytics.pipeline_variables.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.pipeline_variables.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.pipeline_variables.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.pipeline_variables.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.pipeline_variables.variable IS 'Name of the variable.';

CREATE VIEW analytics.pipelines AS
 SELECT pipeline.id,
    pipeline.organization_id,
    organization.slug AS organization,
    pipeline.slug AS pipeline,
    pipeline.name,
    analytics.repository_url(pipeline.repository) AS repository_url,
    analytics.repository_name(pipeline.repository) AS repository,
    pipeline.default_branch,
    COALESCE(pipeline.tags, '{}'::text[]) AS tags,
    ARRAY( SELECT team.slug
           FROM (buildkite.team_pipelines owned
             JOIN buildkite.teams team ON ((team.id = owned.team_id)))
          WHERE ((owned.pipeline_id = pipeline.id) AND (owned.deleted_at IS NULL) AND (team.deleted_at IS NULL))
          ORDER BY team.slug) AS teams,
    pipeline.cluster_id,
    cluster.name AS cluster,
    pipeline.visibility,
    pipeline.created_by_email,
    pipeline.created_at,
    pipeline.archived_at,
    pipeline.web_url,
    pipeline.changed_at,
    pipeline.deleted_at,
    pipeline.default_command_step_timeout,
    pipeline.maximum_command_step_timeout
   FROM ((buildkite.pipelines pipeline
     LEFT JOIN buildkite.organizations organization ON ((organization.id = pipeline.organization_id)))
     LEFT JOIN buildkite.clusters cluster ON ((cluster.id = pipeline.cluster_id)));

COMMENT ON VIEW analytics.pipelines IS 'Pipelines with their tags and the teams that own them. Join here by pipeline_id to filter a view by team or tag (where ''payments'' = any (teams)); in the shapes of DX a run''s id is builds.id. Queues, agents and DORA by week belong to no pipeline.';

COMMENT ON COLUMN analytics.pipelines.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.pipelines.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.pipelines.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.pipelines.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.pipelines.name IS 'Name for display.';

COMMENT ON COLUMN analytics.pipelines.repository_url IS 'Address of the repository, as configured, without passwords and tokens.';

COMMENT ON COLUMN analytics.pipelines.repository IS 'owner/name of the repository.';

COMMENT ON COLUMN analytics.pipelines.default_branch IS 'Default branch.';

COMMENT ON COLUMN analytics.pipelines.tags IS 'Tags of the pipeline, at present.';

COMMENT ON COLUMN analytics.pipelines.teams IS 'Slugs of the teams that own the pipeline, at present; empty if the token lacks view_teams.';

COMMENT ON COLUMN analytics.pipelines.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.pipelines.cluster IS 'Name of the cluster; null if the token lacks read_clusters.';

COMMENT ON COLUMN analytics.pipelines.visibility IS 'public or private.';

COMMENT ON COLUMN analytics.pipelines.created_by_email IS 'E-mail address of the person who created it.';

COMMENT ON COLUMN analytics.pipelines.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.pipelines.archived_at IS 'When it was archived.';

COMMENT ON COLUMN analytics.pipelines.web_url IS 'Address in the browser.';

COMMENT ON COLUMN analytics.pipelines.changed_at IS 'When the row last changed in the mirror; indexed below, for incremental loads.';

COMMENT ON COLUMN analytics.pipelines.deleted_at IS 'When the mirror noticed that Buildkite no longer shows it; null: Buildkite shows it.';

COMMENT ON COLUMN analytics.pipelines.default_command_step_timeout IS 'Time limit of command steps that have none, in minutes.';

COMMENT ON COLUMN analytics.pipelines.maximum_command_step_timeout IS 'Greatest time limit of a command step, in minutes.';

CREATE VIEW analytics.pull_requests AS
 SELECT build.organization_id,
    COALESCE(analytics.repository_name(pipeline.repository), analytics.repository_name(build.pull_request_repository)) AS repository,
    (build.pull_request_id)::integer AS pr_number,
    max(build.pull_request_base) AS pr_base,
    count(DISTINCT build.commit) AS pushes,
    count(*) AS builds,
    count(*) FILTER (WHERE (analytics.build_result(build.state, build.blocked) = 'failed'::text)) AS failed_builds,
    min(build.created_at) AS first_build_at,
    max(
        CASE
            WHEN (analytics.build_result(build.state, build.blocked) IS NOT NULL) THEN build.finished_at
            ELSE NULL::timestamp with time zone
        END) AS last_finished_at,
    sum(( SELECT
                CASE
                    WHEN (count(*) FILTER (WHERE run.is_unread) = 0) THEN sum(run.run_seconds)
                    ELSE NULL::double precision
                END AS "case"
           FROM analytics.attempt_runs run
          WHERE (run.build_id = build.id))) AS run_seconds,
    max(lower(build.author_email)) AS author_email,
    max(organization.slug) AS organization,
    max(analytics.repository_name(NULLIF(build.pull_request_repository, ''::text))) AS head_repository
   FROM ((buildkite.builds build
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)))
  WHERE (build.pull_request_id ~ '^[0-9]{1,9}$'::text)
  GROUP BY build.organization_id, COALESCE(analytics.repository_name(pipeline.repository), analytics.repository_name(build.pull_request_repository)), (build.pull_request_id)::integer;

COMMENT ON VIEW analytics.pull_requests IS 'What each pull request cost in CI. Buildkite does not know merge times. Select one (where pr_number = ...), which is fast; all of history takes about 8 s on a million builds. For a range of time, group analytics.builds.';

COMMENT ON COLUMN analytics.pull_requests.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.pull_requests.repository IS 'owner/name of the repository that the pull request is opened in: the pipeline''s.';

COMMENT ON COLUMN analytics.pull_requests.pr_number IS 'Number of the pull request.';

COMMENT ON COLUMN analytics.pull_requests.pr_base IS 'Branch that it is to be merged into.';

COMMENT ON COLUMN analytics.pull_requests.pushes IS 'Distinct commits built.';

COMMENT ON COLUMN analytics.pull_requests.builds IS 'How many builds.';

COMMENT ON COLUMN analytics.pull_requests.failed_builds IS 'How many of its builds failed.';

COMMENT ON COLUMN analytics.pull_requests.first_build_at IS 'When its first build was created.';

COMMENT ON COLUMN analytics.pull_requests.last_finished_at IS 'When its last build finished.';

COMMENT ON COLUMN analytics.pull_requests.run_seconds IS 'Seconds that its builds ran, in total.';

COMMENT ON COLUMN analytics.pull_requests.author_email IS 'E-mail address of the commit''s author, in lower case.';

COMMENT ON COLUMN analytics.pull_requests.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.pull_requests.head_repository IS 'owner/name of the repository that the branch comes from; the fork''s for a fork.';

CREATE VIEW analytics.queue_costs_daily AS
 SELECT spent.day,
    spent.organization_id,
    spent.cluster_id,
    cluster.name AS cluster,
    spent.queue,
    spent.minutes,
    spent.minutes_wasted,
    (spent.minutes * COALESCE(own.per_minute, anywhere.per_minute)) AS cost,
    (spent.minutes_wasted * COALESCE(own.per_minute, anywhere.per_minute)) AS cost_wasted,
    COALESCE(own.currency, anywhere.currency) AS currency
   FROM (((( SELECT minutes_daily.day,
            minutes_daily.organization_id,
            minutes_daily.cluster_id,
            minutes_daily.queue,
            sum(minutes_daily.minutes) AS minutes,
            sum((((minutes_daily.minutes_infra_lost + minutes_daily.minutes_canceled) + minutes_daily.minutes_retried) + minutes_daily.minutes_rebuilt)) AS minutes_wasted
           FROM analytics.minutes_daily
          GROUP BY minutes_daily.day, minutes_daily.organization_id, minutes_daily.cluster_id, minutes_daily.queue) spent
     LEFT JOIN buildkite.clusters cluster ON ((cluster.id = spent.cluster_id)))
     LEFT JOIN sync.cluster_rates own ON (((own.queue = spent.queue) AND (own.cluster_id = spent.cluster_id))))
     LEFT JOIN ( SELECT queue_rates.queue,
            (queue_rates.per_minute)::double precision AS per_minute,
            queue_rates.currency
           FROM settings.queue_rates
          WHERE (queue_rates.cluster = '*'::text)) anywhere ON ((anywhere.queue = spent.queue)));

COMMENT ON VIEW analytics.queue_costs_daily IS 'As costs_daily, by queue only: priced after the minutes of all pipelines and branches were totalled, and so much faster.';

COMMENT ON COLUMN analytics.queue_costs_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.queue_costs_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.queue_costs_daily.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.queue_costs_daily.cluster IS 'Name of the cluster, at present; null outside clusters.';

COMMENT ON COLUMN analytics.queue_costs_daily.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.queue_costs_daily.minutes IS 'Agent minutes.';

COMMENT ON COLUMN analytics.queue_costs_daily.minutes_wasted IS 'Minutes wasted by lost agents, cancels, retries and rebuilds.';

COMMENT ON COLUMN analytics.queue_costs_daily.cost IS 'minutes times the rate of the queue; null without a rate.';

COMMENT ON COLUMN analytics.queue_costs_daily.cost_wasted IS 'minutes_wasted times the rate of the queue.';

COMMENT ON COLUMN analytics.queue_costs_daily.currency IS 'Currency of the rate.';

CREATE TABLE analytics.queue_depths (
    at timestamp with time zone NOT NULL,
    organization_id uuid,
    cluster_id uuid,
    queue text NOT NULL,
    waiting integer NOT NULL,
    oldest_wait_seconds double precision,
    running integer NOT NULL,
    most_waiting integer NOT NULL,
    most_running integer NOT NULL
);

COMMENT ON TABLE analytics.queue_depths IS 'How many jobs waited and ran, by queue, every five minutes, derived from the times of the jobs. A queue has the points of an hour in which one of its jobs waited or ran. A rollup table.';

COMMENT ON COLUMN analytics.queue_depths.at IS 'The moment; the most_ columns are of the five minutes that begin then.';

COMMENT ON COLUMN analytics.queue_depths.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.queue_depths.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.queue_depths.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.queue_depths.waiting IS 'Jobs that waited for an agent.';

COMMENT ON COLUMN analytics.queue_depths.oldest_wait_seconds IS 'How long the one of them that waited longest had waited, in seconds; null if none waited.';

COMMENT ON COLUMN analytics.queue_depths.running IS 'Jobs that ran.';

COMMENT ON COLUMN analytics.queue_depths.most_waiting IS 'The most jobs that waited at the same time.';

COMMENT ON COLUMN analytics.queue_depths.most_running IS 'The most jobs that ran at the same time.';

CREATE VIEW analytics.queues AS
 SELECT queue.id,
    queue.organization_id,
    organization.slug AS organization,
    queue.cluster_id,
    cluster.name AS cluster,
    queue.key AS queue,
    queue.description,
    (cluster.default_queue_id = queue.id) AS is_default,
    COALESCE(queue.hosted, false) AS is_hosted,
    queue.hosted_agents_instance_shape_name AS instance_shape,
    queue.hosted_agents_instance_shape_machine_type AS machine_type,
    queue.hosted_agents_instance_shape_architecture AS architecture,
    queue.hosted_agents_instance_shape_cpu AS cpu,
    queue.hosted_agents_instance_shape_memory AS memory_gb,
    queue.hosted_agents_agent_image_ref AS image,
    queue.retry_agent_affinity,
    queue.dispatch_paused,
    queue.dispatch_paused_at,
    queue.dispatch_paused_by_name,
    lower(queue.dispatch_paused_by_email) AS dispatch_paused_by_email,
    queue.dispatch_paused_note,
    queue.created_at,
    queue.web_url,
    queue.changed_at,
    queue.deleted_at
   FROM ((buildkite.cluster_queues queue
     LEFT JOIN buildkite.clusters cluster ON ((cluster.id = queue.cluster_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = queue.organization_id)));

COMMENT ON VIEW analytics.queues IS 'Queues of clusters, as the lists show them; those that Buildkite no longer lists too.';

COMMENT ON COLUMN analytics.queues.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.queues.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.queues.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.queues.cluster_id IS 'clusters.id.';

COMMENT ON COLUMN analytics.queues.cluster IS 'Name of the cluster, at present.';

COMMENT ON COLUMN analytics.queues.queue IS 'Key of the queue, as rules of agents and jobs name it.';

COMMENT ON COLUMN analytics.queues.description IS 'Description.';

COMMENT ON COLUMN analytics.queues.is_default IS 'Whether it is the default queue of its cluster.';

COMMENT ON COLUMN analytics.queues.is_hosted IS 'Whether Buildkite hosts its agents.';

COMMENT ON COLUMN analytics.queues.instance_shape IS 'Size of the hosted agents, such as LINUX_AMD64_2X4; null if they are not hosted.';

COMMENT ON COLUMN analytics.queues.machine_type IS 'linux or macos; null if they are not hosted.';

COMMENT ON COLUMN analytics.queues.architecture IS 'amd64 or arm64; null if they are not hosted.';

COMMENT ON COLUMN analytics.queues.cpu IS 'Number of vCPUs; null if they are not hosted.';

COMMENT ON COLUMN analytics.queues.memory_gb IS 'Memory, in GB; null if they are not hosted.';

COMMENT ON COLUMN analytics.queues.image IS 'Image of the hosted agents; null if it is the default.';

COMMENT ON COLUMN analytics.queues.retry_agent_affinity IS 'prefer-warmest or prefer-different: which agents retries prefer.';

COMMENT ON COLUMN analytics.queues.dispatch_paused IS 'Whether the queue gives no jobs to agents.';

COMMENT ON COLUMN analytics.queues.dispatch_paused_at IS 'When it was paused.';

COMMENT ON COLUMN analytics.queues.dispatch_paused_by_name IS 'Name of the person who paused it.';

COMMENT ON COLUMN analytics.queues.dispatch_paused_by_email IS 'E-mail address of the person who paused it, in lower case.';

COMMENT ON COLUMN analytics.queues.dispatch_paused_note IS 'Why it was paused.';

COMMENT ON COLUMN analytics.queues.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.queues.web_url IS 'Address in the browser.';

COMMENT ON COLUMN analytics.queues.changed_at IS 'When the row last changed in the mirror.';

COMMENT ON COLUMN analytics.queues.deleted_at IS 'When a list first lacked it; null: Buildkite lists it.';

CREATE VIEW sync.last_heard AS
 SELECT organization.id AS organization_id,
    COALESCE(GREATEST(reached.watermark, ( SELECT max(delivery.received_at) AS max
           FROM sync.deliveries delivery)), ( SELECT max(build.finished_at) AS max
           FROM buildkite.builds build)) AS heard_at
   FROM (buildkite.organizations organization
     LEFT JOIN sync.watermarks reached ON ((reached.organization_id = organization.id)));

COMMENT ON VIEW sync.last_heard IS 'Until when it is known that open jobs are open and connected agents are connected, by organization.';

COMMENT ON COLUMN sync.last_heard.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.last_heard.heard_at IS 'The later of the watermark and the last received delivery of any organization; without both, the last finish of a build.';

CREATE VIEW analytics.queues_now AS
 SELECT now_at.organization_id,
    organization.slug AS organization,
    now_at.cluster_id,
    cluster.name AS cluster,
    now_at.queue,
    (count(*) FILTER (WHERE (now_at.is_job AND (now_at.started_at IS NULL) AND (now_at.runnable_at IS NOT NULL))))::integer AS waiting,
    analytics.seconds(min(now_at.runnable_at) FILTER (WHERE (now_at.is_job AND (now_at.started_at IS NULL))), max(heard.heard_at)) AS oldest_wait_seconds,
    (count(*) FILTER (WHERE (now_at.is_job AND (now_at.started_at IS NOT NULL))))::integer AS running,
    (count(*) FILTER (WHERE ((now_at.agent_id IS NOT NULL) AND (NOT now_at.is_job))))::integer AS agents,
    (count(*) FILTER (WHERE now_at.is_busy))::integer AS agents_busy,
    (count(*) FILTER (WHERE ((now_at.agent_id IS NOT NULL) AND (NOT now_at.is_job) AND (NOT now_at.is_busy))))::integer AS agents_idle,
    bool_or(now_at.dispatch_paused) AS dispatch_paused,
    (max(heard.heard_at))::timestamp(3) with time zone AS as_of
   FROM (((( SELECT build.organization_id,
            job.cluster_id,
            COALESCE(analytics.queue_of(job.agent_query_rules), queue.key, 'default'::text) AS queue,
            true AS is_job,
            job.runnable_at,
            job.started_at,
            job.agent_id,
            false AS is_busy,
            NULL::boolean AS dispatch_paused
           FROM ((buildkite.jobs job
             JOIN buildkite.builds build ON ((build.id = job.build_id)))
             LEFT JOIN buildkite.cluster_queues queue ON ((queue.id = job.cluster_queue_id)))
          WHERE ((job.type = 'script'::text) AND (job.state <> ALL (ARRAY['passed'::text, 'failed'::text, 'canceled'::text, 'timed_out'::text, 'expired'::text, 'skipped'::text, 'broken'::text, 'finished'::text, 'waiting_failed'::text, 'blocked_failed'::text, 'unblocked'::text, 'unblocked_failed'::text])) AND (COALESCE(job.finished_at, job.expired_at) IS NULL) AND (job.deleted_at IS NULL) AND (COALESCE(job.runnable_at, job.started_at) IS NOT NULL) AND (build.state = ANY (ARRAY['creating'::text, 'scheduled'::text, 'running'::text, 'failing'::text, 'canceling'::text])) AND (build.blocked IS NOT TRUE) AND (build.deleted_at IS NULL))
        UNION ALL
         SELECT agent.organization_id,
            agent.cluster_id,
            agent.queue,
            false,
            NULL::timestamp with time zone,
            NULL::timestamp with time zone,
            agent.id,
            (EXISTS ( SELECT
                   FROM (buildkite.jobs job
                     JOIN buildkite.builds build ON ((build.id = job.build_id)))
                  WHERE ((job.agent_id = agent.id) AND (job.started_at IS NOT NULL) AND (COALESCE(job.finished_at, job.expired_at) IS NULL) AND (job.deleted_at IS NULL) AND (job.state <> ALL (ARRAY['passed'::text, 'failed'::text, 'canceled'::text, 'timed_out'::text, 'expired'::text, 'skipped'::text, 'broken'::text, 'finished'::text, 'waiting_failed'::text, 'blocked_failed'::text, 'unblocked'::text, 'unblocked_failed'::text])) AND (build.state = ANY (ARRAY['creating'::text, 'scheduled'::text, 'running'::text, 'failing'::text, 'canceling'::text])) AND (build.blocked IS NOT TRUE) AND (build.deleted_at IS NULL)))) AS "exists",
            NULL::boolean
           FROM analytics.agents agent
          WHERE ((agent.connection_state = ANY (ARRAY['connected'::text, 'stopping'::text])) AND (agent.deleted_at IS NULL))
        UNION ALL
         SELECT cluster_queues.organization_id,
            cluster_queues.cluster_id,
            cluster_queues.key,
            false,
            NULL::timestamp with time zone,
            NULL::timestamp with time zone,
            NULL::uuid,
            false,
            cluster_queues.dispatch_paused
           FROM buildkite.cluster_queues
          WHERE ((cluster_queues.deleted_at IS NULL) AND (cluster_queues.key IS NOT NULL))) now_at
     LEFT JOIN buildkite.organizations organization ON ((organization.id = now_at.organization_id)))
     LEFT JOIN buildkite.clusters cluster ON ((cluster.id = now_at.cluster_id)))
     LEFT JOIN sync.last_heard heard ON ((heard.organization_id = now_at.organization_id)))
  GROUP BY now_at.organization_id, organization.slug, now_at.cluster_id, cluster.name, now_at.queue;

COMMENT ON VIEW analytics.queues_now IS 'What waits and runs in each queue at present, and the agents that serve it. Queues that are listed, have open jobs, or have connected agents.';

COMMENT ON COLUMN analytics.queues_now.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.queues_now.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.queues_now.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN analytics.queues_now.cluster IS 'Name of the cluster, at present; null outside clusters.';

COMMENT ON COLUMN analytics.queues_now.queue IS 'Queue: of the agent query rules, otherwise of the cluster, otherwise default.';

COMMENT ON COLUMN analytics.queues_now.waiting IS 'Jobs that wait for an agent.';

COMMENT ON COLUMN analytics.queues_now.oldest_wait_seconds IS 'How long the one of them that waits longest has waited at as_of, in seconds; null if none waits.';

COMMENT ON COLUMN analytics.queues_now.running IS 'Jobs that run.';

COMMENT ON COLUMN analytics.queues_now.agents IS 'Connected agents of the queue.';

COMMENT ON COLUMN analytics.queues_now.agents_busy IS 'Those of them that run a job.';

COMMENT ON COLUMN analytics.queues_now.agents_idle IS 'Those of them that run none, also paused ones.';

COMMENT ON COLUMN analytics.queues_now.dispatch_paused IS 'Whether the queue gives no jobs to agents; null if no list shows the queue.';

COMMENT ON COLUMN analytics.queues_now.as_of IS 'Until when the mirror has heard of the organization: its watermark, or the last delivery.';

CREATE VIEW analytics.rebuilds AS
 SELECT build.organization_id,
    build.pipeline_id,
    pipeline.slug AS pipeline,
    original.id AS original_build_id,
    original.number AS original_build_number,
    analytics.build_result(original.state, original.blocked) AS original_result,
    build.id AS rebuild_id,
    build.number AS rebuild_number,
    analytics.build_result(build.state, build.blocked) AS rebuild_result,
    (original.commit = build.commit) AS same_commit,
    ((analytics.build_result(original.state, original.blocked) = 'failed'::text) AND (analytics.build_result(build.state, build.blocked) = 'passed'::text)) AS passed_on_rebuild,
    lower(build.creator_email) AS rebuilt_by_email,
    build.created_at,
    organization.slug AS organization
   FROM (((buildkite.builds build
     LEFT JOIN buildkite.builds original ON ((original.id = build.rebuilt_from_id)))
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = build.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = build.organization_id)))
  WHERE (build.rebuilt_from_id IS NOT NULL);

COMMENT ON VIEW analytics.rebuilds IS 'Builds that Rebuild created, beside the build that they repeat.';

COMMENT ON COLUMN analytics.rebuilds.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.rebuilds.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.rebuilds.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.rebuilds.original_build_id IS 'builds.id of the repeated build.';

COMMENT ON COLUMN analytics.rebuilds.original_build_number IS 'Its number.';

COMMENT ON COLUMN analytics.rebuilds.original_result IS 'Its result.';

COMMENT ON COLUMN analytics.rebuilds.rebuild_id IS 'builds.id of the new build.';

COMMENT ON COLUMN analytics.rebuilds.rebuild_number IS 'Its number.';

COMMENT ON COLUMN analytics.rebuilds.rebuild_result IS 'Its result.';

COMMENT ON COLUMN analytics.rebuilds.same_commit IS 'Whether both have the same commit.';

COMMENT ON COLUMN analytics.rebuilds.passed_on_rebuild IS 'Failed, then passed as a rebuild.';

COMMENT ON COLUMN analytics.rebuilds.rebuilt_by_email IS 'E-mail address of the person who rebuilt.';

COMMENT ON COLUMN analytics.rebuilds.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.rebuilds.organization IS 'Slug of the organization, at present.';

CREATE TABLE sync.reference_syncs (
    organization_id uuid NOT NULL,
    name text NOT NULL,
    status text NOT NULL,
    rows integer,
    read_at timestamp(3) with time zone,
    error text,
    updated_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE sync.reference_syncs IS 'When and how each list of reference data of an organization was last read.';

COMMENT ON COLUMN sync.reference_syncs.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.reference_syncs.name IS 'Name of the list: its table.';

COMMENT ON COLUMN sync.reference_syncs.status IS 'read, missing_scope (the token lacks the scope), refused (Buildkite refused it) or off.';

COMMENT ON COLUMN sync.reference_syncs.rows IS 'Rows in the list.';

COMMENT ON COLUMN sync.reference_syncs.read_at IS 'When it was last read completely.';

COMMENT ON COLUMN sync.reference_syncs.error IS 'Why it could not be read; null if it was read.';

COMMENT ON COLUMN sync.reference_syncs.updated_at IS 'When the row was written.';

CREATE VIEW analytics.reference_syncs AS
 SELECT organization.slug AS organization,
    listed.organization_id,
    listed.name,
    listed.status,
    listed.rows,
    listed.read_at,
    listed.error
   FROM (sync.reference_syncs listed
     LEFT JOIN buildkite.organizations organization ON ((organization.id = listed.organization_id)));

COMMENT ON VIEW analytics.reference_syncs IS 'When each list of reference data (clusters, teams, members, ...) was last read, and why one was not: for example, the token lacks a scope.';

COMMENT ON COLUMN analytics.reference_syncs.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.reference_syncs.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.reference_syncs.name IS 'The list: clusters, cluster_queues, teams, ...';

COMMENT ON COLUMN analytics.reference_syncs.status IS 'read, missing_scope, refused or off.';

COMMENT ON COLUMN analytics.reference_syncs.rows IS 'Rows in the list.';

COMMENT ON COLUMN analytics.reference_syncs.read_at IS 'When it was last read completely.';

COMMENT ON COLUMN analytics.reference_syncs.error IS 'Why the list could not be read; null if it was read.';

CREATE TABLE sync.stale_history (
    id bigint NOT NULL,
    pipeline_id uuid,
    since date,
    scanned_to timestamp with time zone,
    changed_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    only_deployments boolean DEFAULT false NOT NULL
);

COMMENT ON TABLE sync.stale_history IS 'Changes that make days of history stale, for one pipeline or for all. The rollup worker finds the days and adds them to sync.stale_days.';

COMMENT ON COLUMN sync.stale_history.id IS 'Order of the changes.';

COMMENT ON COLUMN sync.stale_history.pipeline_id IS 'pipelines.id: the days on which its builds ended. Null: the days of all pipelines.';

COMMENT ON COLUMN sync.stale_history.since IS 'Without pipeline_id: the first day that may be stale.';

COMMENT ON COLUMN sync.stale_history.scanned_to IS 'Builds created at or after this time are processed; null: none yet.';

COMMENT ON COLUMN sync.stale_history.changed_at IS 'When the change was made, on the database''s clock.';

COMMENT ON COLUMN sync.stale_history.only_deployments IS 'Whether the change affects only analytics.deployments, such as a changed rule. Ignored with pipeline_id.';

CREATE VIEW analytics.rollup_days AS
 SELECT known.day,
    ((marked.since IS NOT NULL) OR (changed.since IS NOT NULL)) AS is_stale,
    LEAST(marked.since, changed.since) AS stale_since
   FROM ((( SELECT jobs_daily.day
           FROM analytics.jobs_daily
        UNION
         SELECT build_results_daily.day
           FROM analytics.build_results_daily
        UNION
         SELECT stale_days.day
           FROM sync.stale_days) known
     LEFT JOIN ( SELECT stale_days.day,
            min(stale_days.marked_at) AS since
           FROM sync.stale_days
          GROUP BY stale_days.day) marked ON ((marked.day = known.day)))
     LEFT JOIN LATERAL ( SELECT min(history.changed_at) AS since
           FROM sync.stale_history history
          WHERE (COALESCE(history.since, '-infinity'::date) <= known.day)) changed ON (true));

COMMENT ON VIEW analytics.rollup_days IS 'The days that the rollup tables have, and whether a change of the mirror, a rule or a default branch is not in them yet. Join it by day.';

COMMENT ON COLUMN analytics.rollup_days.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.rollup_days.is_stale IS 'Whether rows of the day may still change: the rollup worker has not refreshed them since the mirror or a setting changed.';

COMMENT ON COLUMN analytics.rollup_days.stale_since IS 'When the first of these changes was made; null if the day is not stale.';

CREATE VIEW analytics.stage_durations_daily AS
 SELECT ((build_stages.created_at AT TIME ZONE 'UTC'::text))::date AS day,
    build_stages.organization_id,
    build_stages.pipeline_id,
    build_stages.level,
    build_stages.name,
    build_stages.group_key,
    build_stages.is_stage,
    count(*) AS builds,
    avg(build_stages.run_seconds) AS mean_seconds,
    (percentile_disc((0.5)::double precision) WITHIN GROUP (ORDER BY (analytics.whole_seconds(build_stages.run_seconds))))::double precision AS p50_seconds,
    (percentile_disc((0.9)::double precision) WITHIN GROUP (ORDER BY (analytics.whole_seconds(build_stages.run_seconds))))::double precision AS p90_seconds,
    (percentile_disc((0.95)::double precision) WITHIN GROUP (ORDER BY (analytics.whole_seconds(build_stages.run_seconds))))::double precision AS p95_seconds,
    max(build_stages.run_seconds) AS max_seconds,
    sum(build_stages.job_seconds) AS job_seconds
   FROM analytics.build_stages
  GROUP BY (((build_stages.created_at AT TIME ZONE 'UTC'::text))::date), build_stages.organization_id, build_stages.pipeline_id, build_stages.level, build_stages.name, build_stages.group_key, build_stages.is_stage;

COMMENT ON VIEW analytics.stage_durations_daily IS 'How long groups and steps run in a build, by the day (UTC) the build was created: build_stages by day.';

COMMENT ON COLUMN analytics.stage_durations_daily.day IS 'Day in UTC.';

COMMENT ON COLUMN analytics.stage_durations_daily.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.stage_durations_daily.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.stage_durations_daily.level IS 'group or step.';

COMMENT ON COLUMN analytics.stage_durations_daily.name IS 'Key of the group; key of the step, otherwise its name.';

COMMENT ON COLUMN analytics.stage_durations_daily.group_key IS 'Key of the group; of a step, of the group that it belongs to.';

COMMENT ON COLUMN analytics.stage_durations_daily.is_stage IS 'Whether it is a group, or a step outside groups.';

COMMENT ON COLUMN analytics.stage_durations_daily.builds IS 'Builds in which it ran.';

COMMENT ON COLUMN analytics.stage_durations_daily.mean_seconds IS 'Mean of the seconds that it ran in a build.';

COMMENT ON COLUMN analytics.stage_durations_daily.p50_seconds IS 'Median, in whole seconds.';

COMMENT ON COLUMN analytics.stage_durations_daily.p90_seconds IS '90th percentile, in whole seconds.';

COMMENT ON COLUMN analytics.stage_durations_daily.p95_seconds IS '95th percentile, in whole seconds.';

COMMENT ON COLUMN analytics.stage_durations_daily.max_seconds IS 'The longest.';

COMMENT ON COLUMN analytics.stage_durations_daily.job_seconds IS 'Seconds that its jobs ran, in total.';

CREATE VIEW analytics.teams AS
 SELECT team.id,
    team.organization_id,
    organization.slug AS organization,
    team.slug AS team,
    team.name,
    team.description,
    team.privacy,
    team."default" AS is_default,
    lower(team.created_by_email) AS created_by_email,
    team.created_at,
    team.changed_at,
    team.deleted_at
   FROM (buildkite.teams team
     LEFT JOIN buildkite.organizations organization ON ((organization.id = team.organization_id)));

COMMENT ON VIEW analytics.teams IS 'Teams, also deleted ones. pipelines.teams and users.teams have their slugs.';

COMMENT ON COLUMN analytics.teams.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN analytics.teams.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.teams.organization IS 'Slug of the organization, at present.';

COMMENT ON COLUMN analytics.teams.team IS 'Slug, at present.';

COMMENT ON COLUMN analytics.teams.name IS 'Name.';

COMMENT ON COLUMN analytics.teams.description IS 'Free text.';

COMMENT ON COLUMN analytics.teams.privacy IS 'visible or secret.';

COMMENT ON COLUMN analytics.teams.is_default IS 'Whether new users join it.';

COMMENT ON COLUMN analytics.teams.created_by_email IS 'E-mail address of who created it, in lower case.';

COMMENT ON COLUMN analytics.teams.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.teams.changed_at IS 'When the row last changed in the mirror, for incremental loads.';

COMMENT ON COLUMN analytics.teams.deleted_at IS 'When the mirror noticed that Buildkite no longer lists it; null: Buildkite lists it.';

CREATE VIEW analytics.trigger_edges AS
 SELECT parent.id AS parent_build_id,
    parent.pipeline_id AS parent_pipeline_id,
    job.id AS trigger_job_id,
    job.async,
    job.triggered_build_id AS child_build_id,
    child.pipeline_id AS child_pipeline_id,
    analytics.build_result(parent.state, parent.blocked) AS parent_result,
    analytics.build_result(child.state, child.blocked) AS child_result,
    job.created_at
   FROM ((buildkite.jobs job
     LEFT JOIN buildkite.builds parent ON ((parent.id = job.build_id)))
     LEFT JOIN buildkite.builds child ON ((child.id = job.triggered_build_id)))
  WHERE (job.triggered_build_id IS NOT NULL)
UNION ALL
 SELECT child.triggered_from_build_id AS parent_build_id,
    parent.pipeline_id AS parent_pipeline_id,
    NULL::uuid AS trigger_job_id,
    NULL::boolean AS async,
    child.id AS child_build_id,
    child.pipeline_id AS child_pipeline_id,
    analytics.build_result(parent.state, parent.blocked) AS parent_result,
    analytics.build_result(child.state, child.blocked) AS child_result,
    child.created_at
   FROM (buildkite.builds child
     LEFT JOIN buildkite.builds parent ON ((parent.id = child.triggered_from_build_id)))
  WHERE ((child.triggered_from_build_id IS NOT NULL) AND (NOT (EXISTS ( SELECT
           FROM buildkite.jobs job
          WHERE (job.triggered_build_id = child.id)))));

COMMENT ON VIEW analytics.trigger_edges IS 'Which build triggered which, as shown by the trigger job or by the triggered build.';

COMMENT ON COLUMN analytics.trigger_edges.parent_build_id IS 'builds.id of the triggering build.';

COMMENT ON COLUMN analytics.trigger_edges.parent_pipeline_id IS 'Its pipeline.';

COMMENT ON COLUMN analytics.trigger_edges.trigger_job_id IS 'jobs.id of the trigger step; null if only the triggered build shows the trigger.';

COMMENT ON COLUMN analytics.trigger_edges.async IS 'Whether the parent continues without waiting; null if only the triggered build shows the trigger.';

COMMENT ON COLUMN analytics.trigger_edges.child_build_id IS 'builds.id of the triggered build.';

COMMENT ON COLUMN analytics.trigger_edges.child_pipeline_id IS 'Its pipeline.';

COMMENT ON COLUMN analytics.trigger_edges.parent_result IS 'Its result.';

COMMENT ON COLUMN analytics.trigger_edges.child_result IS 'Its result.';

COMMENT ON COLUMN analytics.trigger_edges.created_at IS 'When it was created.';

CREATE VIEW analytics.trigger_trees AS
 SELECT root.id AS root_build_id,
    root.organization_id,
    root.pipeline_id,
    root.created_at,
    tree.builds,
    tree.depth,
    analytics.seconds(root.created_at, tree.finished_at) AS total_seconds,
    tree.failed
   FROM (buildkite.builds root
     CROSS JOIN LATERAL ( WITH RECURSIVE tree AS (
                 SELECT root.id,
                    0 AS depth
                UNION
                 SELECT edge.child_build_id,
                    (tree_2.depth + 1)
                   FROM (tree tree_2
                     CROSS JOIN LATERAL ( SELECT job.triggered_build_id AS child_build_id
                           FROM buildkite.jobs job
                          WHERE ((job.build_id = tree_2.id) AND (job.triggered_build_id IS NOT NULL))
                        UNION
                         SELECT child.id
                           FROM buildkite.builds child
                          WHERE (child.triggered_from_build_id = tree_2.id)) edge)
                  WHERE (tree_2.depth < 100)
                )
         SELECT count(DISTINCT tree_1.id) AS builds,
            max(tree_1.depth) AS depth,
                CASE
                    WHEN bool_and(((member.id IS NULL) OR (ended.result IS NOT NULL))) THEN max(member.finished_at)
                    ELSE NULL::timestamp with time zone
                END AS finished_at,
            count(DISTINCT tree_1.id) FILTER (WHERE (ended.result = 'failed'::text)) AS failed
           FROM ((tree tree_1
             LEFT JOIN buildkite.builds member ON ((member.id = tree_1.id)))
             CROSS JOIN LATERAL ( SELECT analytics.build_result(member.state, member.blocked) AS result) ended)) tree)
  WHERE ((root.triggered_from_build_id IS NULL) AND (tree.builds > 1) AND (NOT (EXISTS ( SELECT
           FROM buildkite.jobs job
          WHERE (job.triggered_build_id = root.id)))));

COMMENT ON VIEW analytics.trigger_trees IS 'Builds that triggered others, with everything below them: how many, how deep, how long until the last one finished. One row for each build at the top of a tree.';

COMMENT ON COLUMN analytics.trigger_trees.root_build_id IS 'builds.id of the build at the top.';

COMMENT ON COLUMN analytics.trigger_trees.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.trigger_trees.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.trigger_trees.created_at IS 'When it was created.';

COMMENT ON COLUMN analytics.trigger_trees.builds IS 'Builds in the tree, the top one too.';

COMMENT ON COLUMN analytics.trigger_trees.depth IS 'Levels below the top.';

COMMENT ON COLUMN analytics.trigger_trees.total_seconds IS 'Seconds from the top build''s creation to the last finish in the tree. Null while any of it is open or waits at a gate.';

COMMENT ON COLUMN analytics.trigger_trees.failed IS 'How many of its builds failed.';

CREATE VIEW analytics.trunk_recoveries AS
 SELECT red.organization_id,
    red.pipeline_id,
    pipeline.slug AS pipeline,
    red.branch,
    red.id AS broken_by_build_id,
    red.number AS broken_by_build_number,
    red.commit AS broken_by_commit,
    lower(COALESCE(NULLIF(red.author_email, ''::text), NULLIF(red.creator_email, ''::text))) AS broken_by_email,
    red.finished_at AS broken_at,
    green.id AS recovered_by_build_id,
    green.number AS recovered_by_build_number,
    green.finished_at AS recovered_at,
    analytics.seconds(red.finished_at, green.finished_at) AS seconds_to_green,
    organization.slug AS organization
   FROM ((((buildkite.builds red
     JOIN buildkite.pipelines pipeline ON (((pipeline.id = red.pipeline_id) AND (pipeline.default_branch = red.branch))))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = red.organization_id)))
     LEFT JOIN LATERAL ( SELECT before_1.state
           FROM buildkite.builds before_1
          WHERE ((before_1.pipeline_id = red.pipeline_id) AND (before_1.branch = red.branch) AND (before_1.number < red.number) AND (before_1.state = ANY (ARRAY['passed'::text, 'failed'::text])) AND (NOT COALESCE(before_1.blocked, false)))
          ORDER BY before_1.number DESC
         LIMIT 1) before ON (true))
     LEFT JOIN LATERAL ( SELECT after.id,
            after.number,
            after.finished_at
           FROM buildkite.builds after
          WHERE ((after.pipeline_id = red.pipeline_id) AND (after.branch = red.branch) AND (after.number > red.number) AND (after.state = 'passed'::text) AND (NOT COALESCE(after.blocked, false)))
          ORDER BY after.number
         LIMIT 1) green ON (true))
  WHERE ((red.state = 'failed'::text) AND (NOT COALESCE(red.blocked, false)) AND (before.state IS DISTINCT FROM 'failed'::text));

COMMENT ON VIEW analytics.trunk_recoveries IS 'Red periods of default branches: the build that broke it, and the next build (by number) that passed. By final results: a build that a retry turned green breaks nothing. A build that waits at a gate neither breaks nor recovers; if every good build waits at one, see trunk_health_daily.blocked. By the present default branch: what ran on a former one is not included. Some count from the push of the first red commit, which Buildkite does not know.';

COMMENT ON COLUMN analytics.trunk_recoveries.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.trunk_recoveries.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN analytics.trunk_recoveries.pipeline IS 'Slug of the pipeline, at present.';

COMMENT ON COLUMN analytics.trunk_recoveries.branch IS 'Branch.';

COMMENT ON COLUMN analytics.trunk_recoveries.broken_by_build_id IS 'builds.id of the build that broke it.';

COMMENT ON COLUMN analytics.trunk_recoveries.broken_by_build_number IS 'Its number.';

COMMENT ON COLUMN analytics.trunk_recoveries.broken_by_commit IS 'Its commit.';

COMMENT ON COLUMN analytics.trunk_recoveries.broken_by_email IS 'E-mail address of the commit''s author, otherwise of the build''s creator.';

COMMENT ON COLUMN analytics.trunk_recoveries.broken_at IS 'When it broke: the end of the first red build or try.';

COMMENT ON COLUMN analytics.trunk_recoveries.recovered_by_build_id IS 'builds.id of that build.';

COMMENT ON COLUMN analytics.trunk_recoveries.recovered_by_build_number IS 'Its number.';

COMMENT ON COLUMN analytics.trunk_recoveries.recovered_at IS 'When the next passing build ended; null: still red.';

COMMENT ON COLUMN analytics.trunk_recoveries.seconds_to_green IS 'Seconds from broken to recovered.';

COMMENT ON COLUMN analytics.trunk_recoveries.organization IS 'Slug of the organization, at present.';

CREATE TABLE buildkite.team_members (
    team_id uuid NOT NULL,
    user_id uuid NOT NULL,
    user_name text,
    role text,
    created_at timestamp(3) with time zone,
    organization_id uuid NOT NULL,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone
);

COMMENT ON TABLE buildkite.team_members IS 'Who is in which team. Read hourly when a token has view_teams.';

COMMENT ON COLUMN buildkite.team_members.team_id IS 'teams.id.';

COMMENT ON COLUMN buildkite.team_members.user_id IS 'Id of the user.';

COMMENT ON COLUMN buildkite.team_members.user_name IS 'Name of the user.';

COMMENT ON COLUMN buildkite.team_members.role IS 'member or maintainer; of an organization: member or admin.';

COMMENT ON COLUMN buildkite.team_members.created_at IS 'When it was created.';

COMMENT ON COLUMN buildkite.team_members.organization_id IS 'organizations.id.';

COMMENT ON COLUMN buildkite.team_members.extra IS 'Fields that Buildkite sent and no column contains, under their own names.';

COMMENT ON COLUMN buildkite.team_members.first_seen_at IS 'When a list first contained it, on the mirror''s clock.';

COMMENT ON COLUMN buildkite.team_members.changed_at IS 'When a column last changed, on the clock of Postgres; for incremental loads.';

COMMENT ON COLUMN buildkite.team_members.deleted_at IS 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';

CREATE TABLE buildkite.users (
    key text NOT NULL,
    id uuid,
    name text,
    email text,
    emails text[] NOT NULL,
    usernames text[] NOT NULL,
    is_member boolean NOT NULL,
    last_seen_at timestamp(3) with time zone,
    changed_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE buildkite.users IS 'People, combined by sync.refresh_users() from all places where they appear: by id, otherwise by an e-mail address that belongs to an id, otherwise by the address, otherwise by the user name.';

COMMENT ON COLUMN buildkite.users.key IS 'What identifies the person: the id, an e-mail address, or username: and a name. If longer than 500 characters, md5: and its hash.';

COMMENT ON COLUMN buildkite.users.id IS 'Buildkite''s UUID of the user; null for an author without an account in Buildkite.';

COMMENT ON COLUMN buildkite.users.name IS 'Name.';

COMMENT ON COLUMN buildkite.users.email IS 'The e-mail address seen last, in lower case.';

COMMENT ON COLUMN buildkite.users.emails IS 'All e-mail addresses under which the person was seen, in lower case.';

COMMENT ON COLUMN buildkite.users.usernames IS 'User names under which the person was seen as an author, in lower case.';

COMMENT ON COLUMN buildkite.users.is_member IS 'Whether a list of members holds the person at present.';

COMMENT ON COLUMN buildkite.users.last_seen_at IS 'When the person last created, wrote or unblocked something.';

COMMENT ON COLUMN buildkite.users.changed_at IS 'When a column last changed, on the clock of Postgres; for incremental loads.';

CREATE VIEW analytics.users AS
 SELECT person.id,
    person.name,
    person.email,
    person.emails,
    person.usernames,
    person.is_member,
    ARRAY( SELECT DISTINCT team.slug
           FROM (buildkite.team_members member
             JOIN buildkite.teams team ON ((team.id = member.team_id)))
          WHERE ((member.user_id = person.id) AND (member.deleted_at IS NULL) AND (team.deleted_at IS NULL))
          ORDER BY team.slug) AS teams,
    person.last_seen_at,
    person.changed_at,
    person.key
   FROM buildkite.users person;

COMMENT ON VIEW analytics.users IS 'People, combined from creators, authors, unblockers and members by id and e-mail address.';

COMMENT ON COLUMN analytics.users.id IS 'Buildkite''s UUID of the user; null for an author without an account in Buildkite.';

COMMENT ON COLUMN analytics.users.name IS 'Name.';

COMMENT ON COLUMN analytics.users.email IS 'E-mail address.';

COMMENT ON COLUMN analytics.users.emails IS 'All e-mail addresses under which the person was seen.';

COMMENT ON COLUMN analytics.users.usernames IS 'User names under which the person was seen as an author.';

COMMENT ON COLUMN analytics.users.is_member IS 'Whether a list of members holds the person at present.';

COMMENT ON COLUMN analytics.users.teams IS 'Slugs of the teams that the person is in.';

COMMENT ON COLUMN analytics.users.last_seen_at IS 'When the person last created, wrote or unblocked something.';

COMMENT ON COLUMN analytics.users.changed_at IS 'When the row last changed in the mirror; indexed below, for incremental loads.';

COMMENT ON COLUMN analytics.users.key IS 'The key of a person, because id is null for some. Two people who turn out to be one get one key, so load users completely.';

CREATE VIEW analytics.webhook_loss AS
 SELECT COALESCE(built.hour, ran.hour) AS hour,
    COALESCE(built.organization_id, ran.organization_id) AS organization_id,
    COALESCE(built.builds, (0)::bigint) AS builds,
    COALESCE(built.builds_lost, (0)::bigint) AS builds_lost,
    COALESCE(ran.jobs, (0)::bigint) AS jobs,
    COALESCE(ran.jobs_lost, (0)::bigint) AS jobs_lost
   FROM (( SELECT found.hour,
            found.organization_id,
            found.builds,
            found.builds_lost
           FROM sync.builds_found found
          WHERE (found.hour >= ( SELECT date_trunc('hour'::text, min(deliveries.received_at), 'UTC'::text) AS date_trunc
                   FROM sync.deliveries))) built
     FULL JOIN ( SELECT found.hour,
            found.organization_id,
            found.jobs,
            found.jobs_lost
           FROM sync.jobs_found found
          WHERE (found.hour >= ( SELECT date_trunc('hour'::text, min(deliveries.received_at), 'UTC'::text) AS date_trunc
                   FROM sync.deliveries))) ran ON (((ran.hour = built.hour) AND (ran.organization_id = built.organization_id))));

COMMENT ON VIEW analytics.webhook_loss IS 'Builds and jobs, by hour (UTC) of creation or start, that REST showed first although webhooks were on: no webhook had come after 10 s. Counts since the oldest webhook that is still stored. Hours that a backfill read look like loss too, if webhooks of another organization came then.';

COMMENT ON COLUMN analytics.webhook_loss.hour IS 'Start of the hour.';

COMMENT ON COLUMN analytics.webhook_loss.organization_id IS 'organizations.id.';

COMMENT ON COLUMN analytics.webhook_loss.builds IS 'Builds created in the hour.';

COMMENT ON COLUMN analytics.webhook_loss.builds_lost IS 'Builds that REST showed first, more than 10 s after they were created.';

COMMENT ON COLUMN analytics.webhook_loss.jobs IS 'Command jobs that started in the hour.';

COMMENT ON COLUMN analytics.webhook_loss.jobs_lost IS 'Those that REST showed first, more than 10 s after they started.';

CREATE TABLE buildkite.artifacts (
    id uuid NOT NULL,
    build_id uuid NOT NULL,
    job_id uuid,
    state text,
    path text,
    dirname text,
    filename text,
    mime_type text,
    file_size text,
    sha1sum text,
    organization_id uuid NOT NULL,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone
);

COMMENT ON TABLE buildkite.artifacts IS 'Artifacts of builds, without their content. Empty unless STORE_ARTIFACTS is on.';

COMMENT ON COLUMN buildkite.artifacts.id IS 'Buildkite''s UUID.';

COMMENT ON COLUMN buildkite.artifacts.build_id IS 'builds.id.';

COMMENT ON COLUMN buildkite.artifacts.job_id IS 'jobs.id of the job that uploaded it.';

COMMENT ON COLUMN buildkite.artifacts.state IS 'new, finished, error, deleted, ...';

COMMENT ON COLUMN buildkite.artifacts.path IS 'Path, as uploaded.';

COMMENT ON COLUMN buildkite.artifacts.dirname IS 'Folder part of the path.';

COMMENT ON COLUMN buildkite.artifacts.filename IS 'Last part of the path.';

COMMENT ON COLUMN buildkite.artifacts.mime_type IS 'Media type.';

COMMENT ON COLUMN buildkite.artifacts.file_size IS 'Size in bytes.';

COMMENT ON COLUMN buildkite.artifacts.sha1sum IS 'SHA-1 of its content.';

COMMENT ON COLUMN buildkite.artifacts.organization_id IS 'organizations.id.';

COMMENT ON COLUMN buildkite.artifacts.extra IS 'Fields that Buildkite sent and no column contains, under their own names.';

COMMENT ON COLUMN buildkite.artifacts.first_seen_at IS 'When a list first contained it, on the mirror''s clock.';

COMMENT ON COLUMN buildkite.artifacts.changed_at IS 'When a column last changed, on the clock of Postgres; for incremental loads.';

COMMENT ON COLUMN buildkite.artifacts.deleted_at IS 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';

CREATE TABLE buildkite.members (
    id uuid NOT NULL,
    name text,
    email text,
    role text,
    sso_mode text,
    organization_id uuid NOT NULL,
    extra jsonb DEFAULT '{}'::jsonb NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    changed_at timestamp(3) with time zone NOT NULL,
    deleted_at timestamp(3) with time zone
);

COMMENT ON TABLE buildkite.members IS 'Members of organizations, by the id of the user. Read hourly when the token''s user may view teams.';

COMMENT ON COLUMN buildkite.members.id IS 'Id of the user.';

COMMENT ON COLUMN buildkite.members.name IS 'Name.';

COMMENT ON COLUMN buildkite.members.email IS 'E-mail address.';

COMMENT ON COLUMN buildkite.members.role IS 'member or maintainer; of an organization: member or admin.';

COMMENT ON COLUMN buildkite.members.sso_mode IS 'required or optional; shown to administrators only.';

COMMENT ON COLUMN buildkite.members.organization_id IS 'organizations.id.';

COMMENT ON COLUMN buildkite.members.extra IS 'Fields that Buildkite sent and no column contains, under their own names.';

COMMENT ON COLUMN buildkite.members.first_seen_at IS 'When a list first contained it, on the mirror''s clock.';

COMMENT ON COLUMN buildkite.members.changed_at IS 'When a column last changed, on the clock of Postgres; for incremental loads.';

COMMENT ON COLUMN buildkite.members.deleted_at IS 'When the mirror noticed that the list no longer contains it; null: the list contains it. The row stays as history.';

CREATE TABLE buildkite.organization_slugs (
    organization_id uuid NOT NULL,
    slug text NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    last_seen_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE buildkite.organization_slugs IS 'Every slug that an organization was seen under. One row for each organization and slug.';

COMMENT ON COLUMN buildkite.organization_slugs.organization_id IS 'organizations.id.';

COMMENT ON COLUMN buildkite.organization_slugs.slug IS 'A present or former slug.';

COMMENT ON COLUMN buildkite.organization_slugs.first_seen_at IS 'When it was first seen under this slug, on Buildkite''s clock.';

COMMENT ON COLUMN buildkite.organization_slugs.last_seen_at IS 'When it was last seen under this slug. The present slug is the one with the latest time.';

CREATE TABLE buildkite.pipeline_slugs (
    pipeline_id uuid NOT NULL,
    organization_slug text NOT NULL,
    slug text NOT NULL,
    first_seen_at timestamp(3) with time zone NOT NULL,
    last_seen_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE buildkite.pipeline_slugs IS 'Every slug that a pipeline was seen under, with its organization''s slug of the time. Resolves old addresses.';

COMMENT ON COLUMN buildkite.pipeline_slugs.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN buildkite.pipeline_slugs.organization_slug IS 'Slug of the organization in the same address.';

COMMENT ON COLUMN buildkite.pipeline_slugs.slug IS 'A present or former slug. Another pipeline may use it later: the one seen last has it.';

COMMENT ON COLUMN buildkite.pipeline_slugs.first_seen_at IS 'When it was first seen under this slug, on Buildkite''s clock.';

COMMENT ON COLUMN buildkite.pipeline_slugs.last_seen_at IS 'When it was last seen under this slug.';

CREATE TABLE drizzle.__drizzle_migrations (
    id integer NOT NULL,
    hash text NOT NULL,
    created_at bigint
);

CREATE SEQUENCE drizzle.__drizzle_migrations_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE drizzle.__drizzle_migrations_id_seq OWNED BY drizzle.__drizzle_migrations.id;

CREATE TABLE settings.deployment_rules (
    id integer NOT NULL,
    pipeline text NOT NULL,
    branch text DEFAULT '*'::text NOT NULL,
    step text,
    environment text DEFAULT 'production'::text NOT NULL,
    service text,
    enabled boolean DEFAULT true NOT NULL,
    organization text DEFAULT '*'::text NOT NULL
);

COMMENT ON TABLE settings.deployment_rules IS 'What counts as a deployment. Fill it yourself: insert into settings.deployment_rules (pipeline, branch, step) values (''shop'', ''main'', ''deploy'').';

COMMENT ON COLUMN settings.deployment_rules.id IS 'Number of the rule.';

COMMENT ON COLUMN settings.deployment_rules.pipeline IS 'Slug of the pipelines, as a pattern: * matches any characters.';

COMMENT ON COLUMN settings.deployment_rules.branch IS 'Branch, as a pattern: * matches any characters.';

COMMENT ON COLUMN settings.deployment_rules.step IS 'Key or name of the step, as a pattern. Null: the whole build is the deployment.';

COMMENT ON COLUMN settings.deployment_rules.environment IS 'Environment that is deployed to.';

COMMENT ON COLUMN settings.deployment_rules.service IS 'Service that is deployed; null: the pipeline''s slug.';

COMMENT ON COLUMN settings.deployment_rules.enabled IS 'Whether the rule is used.';

COMMENT ON COLUMN settings.deployment_rules.organization IS 'Slug of the organizations, as a pattern: * matches any characters.';

CREATE SEQUENCE settings.deployment_rules_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE settings.deployment_rules_id_seq OWNED BY settings.deployment_rules.id;

CREATE TABLE sync.audit_log (
    id bigint NOT NULL,
    at timestamp(3) with time zone NOT NULL,
    who text NOT NULL,
    via text NOT NULL,
    session text,
    address text NOT NULL,
    request text NOT NULL,
    target text,
    result text NOT NULL,
    times integer NOT NULL
);

COMMENT ON TABLE sync.audit_log IS 'Requests to the private listener that act, sign in or out, or carry a wrong token. Repeated refusals are counted, one row a minute.';

COMMENT ON COLUMN sync.audit_log.id IS 'Number of the row.';

COMMENT ON COLUMN sync.audit_log.at IS 'When the request was answered; for counted refusals, the end of their minute.';

COMMENT ON COLUMN sync.audit_log.who IS 'admin (ADMIN_TOKEN), reader (READER_TOKEN), local (no token is set), or unknown (no right token).';

COMMENT ON COLUMN sync.audit_log.via IS 'How the token came: session (cookie), bearer (header), form (sign-in), or none.';

COMMENT ON COLUMN sync.audit_log.session IS 'The first eight characters of sync.sessions.key. Connects what one session did.';

COMMENT ON COLUMN sync.audit_log.address IS 'Address of the client. Behind a proxy in TRUST_PROXY, the address that it forwards.';

COMMENT ON COLUMN sync.audit_log.request IS 'Method and route, such as POST /actions/replay; * for paths that do not exist.';

COMMENT ON COLUMN sync.audit_log.target IS 'What the action was applied to, such as organization=… or failed=all.';

COMMENT ON COLUMN sync.audit_log.result IS 'done, refused (not allowed), or failed.';

COMMENT ON COLUMN sync.audit_log.times IS 'How many requests the row stands for.';

CREATE SEQUENCE sync.audit_log_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE sync.audit_log_id_seq OWNED BY sync.audit_log.id;

CREATE TABLE sync.budgets (
    scope text NOT NULL,
    state jsonb NOT NULL,
    updated_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE sync.budgets IS 'Remaining requests of Buildkite''s rate limits, shared by all processes.';

COMMENT ON COLUMN sync.budgets.scope IS 'Which limit: that of a user (by a fingerprint of the token) or of an organization.';

COMMENT ON COLUMN sync.budgets.state IS 'Recently granted requests by class, waiting organizations, and the rate limit that Buildkite last reported. For internal use.';

COMMENT ON COLUMN sync.budgets.updated_at IS 'When it was last written.';

CREATE TABLE sync.buildkite_clock (
    single_row boolean DEFAULT true NOT NULL,
    ahead_ms bigint NOT NULL,
    measured_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE sync.buildkite_clock IS 'One row: Buildkite''s clock as the reconciler measured it. Processes that send no requests to Buildkite use it to date unsigned webhooks.';

COMMENT ON COLUMN sync.buildkite_clock.single_row IS 'Always true, so that the table has at most one row.';

COMMENT ON COLUMN sync.buildkite_clock.ahead_ms IS 'How far Buildkite''s clock is ahead of the database''s clock, in milliseconds.';

COMMENT ON COLUMN sync.buildkite_clock.measured_at IS 'When it was measured, on the database''s clock.';

CREATE TABLE sync.compatibility (
    single_row boolean DEFAULT true NOT NULL,
    migrations_needed integer NOT NULL
);

COMMENT ON TABLE sync.compatibility IS 'One row: how old a program may be that works on this database, so that versions can be upgraded and rolled back one process at a time.';

COMMENT ON COLUMN sync.compatibility.single_row IS 'Always true, so that the table has at most one row.';

COMMENT ON COLUMN sync.compatibility.migrations_needed IS 'A program that knows fewer migrations refuses to work here. A migration that older programs cannot work with raises it.';

CREATE TABLE sync.counted_jobs (
    job_id uuid NOT NULL,
    measure text NOT NULL,
    counted_at timestamp with time zone NOT NULL
);

COMMENT ON TABLE sync.counted_jobs IS 'The tries that sync.job_counts contains, so that each counts once. Rows are deleted after two hours, for older tries are not counted.';

COMMENT ON COLUMN sync.counted_jobs.job_id IS 'jobs.id.';

COMMENT ON COLUMN sync.counted_jobs.measure IS 'wait or run.';

COMMENT ON COLUMN sync.counted_jobs.counted_at IS 'When it was counted.';

CREATE SEQUENCE sync.cycles_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE sync.cycles_id_seq OWNED BY sync.cycles.id;

CREATE TABLE sync.definitions (
    name text NOT NULL,
    checksum text NOT NULL,
    applied_at timestamp(3) with time zone DEFAULT now() NOT NULL
);

COMMENT ON TABLE sync.definitions IS 'The views, functions, triggers and grants of buildkite-mirror as they were last applied. See drizzle/ in its source.';

COMMENT ON COLUMN sync.definitions.name IS 'File in drizzle/.';

COMMENT ON COLUMN sync.definitions.checksum IS 'SHA-256 of the file.';

COMMENT ON COLUMN sync.definitions.applied_at IS 'When it was applied.';

CREATE SEQUENCE sync.deliveries_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE sync.deliveries_id_seq OWNED BY sync.deliveries.id;

CREATE TABLE sync.deployment (
    single_row boolean DEFAULT true NOT NULL,
    id uuid DEFAULT gen_random_uuid() NOT NULL,
    used_shared_queue boolean NOT NULL,
    addresses text[] DEFAULT '{}'::text[] NOT NULL
);

COMMENT ON TABLE sync.deployment IS 'One row: which deployment this is. All its processes use the same queue in Redis, and no other deployment does.';

COMMENT ON COLUMN sync.deployment.single_row IS 'Always true, so that the table has at most one row.';

COMMENT ON COLUMN sync.deployment.id IS 'Its keys in Redis begin with {bk:<id>}. Change it, and empty addresses, in a copy of the database before a second service runs on the copy.';

COMMENT ON COLUMN sync.deployment.used_shared_queue IS 'Whether a version before 0.2 ran on this database. If so, jobs under the prefix {bk} in Redis, which those versions share, are also processed.';

COMMENT ON COLUMN sync.deployment.addresses IS 'Hashes of user, host, port, database, parameters and first webhook secret of every process that ran here. While Postgres is unavailable, a new process stores jobs under {bk@<hash>}.';

CREATE SEQUENCE sync.drift_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE sync.drift_id_seq OWNED BY sync.drift.id;

CREATE TABLE sync.erased_people (
    id bigint NOT NULL,
    hash text NOT NULL,
    salt uuid NOT NULL,
    pseudonym uuid NOT NULL,
    erased_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE sync.erased_people IS 'The identities of people that erase-person has erased, as hashes: one row for each id, e-mail address, user name and name. Webhooks and the REST API may bring these people again; their pseudonyms are stored then. Not readable by buildkite_reader, because a hash can be compared with a guess.';

COMMENT ON COLUMN sync.erased_people.id IS 'Number of the row. Processes read the table again when a higher one appears.';

COMMENT ON COLUMN sync.erased_people.hash IS 'SHA-256 of the salt, the kind of identity and the identity in lower case.';

COMMENT ON COLUMN sync.erased_people.salt IS 'Random, and the same in every row: the hashes cannot be compared with those of another database.';

COMMENT ON COLUMN sync.erased_people.pseudonym IS 'Stored in place of the person''s id.';

COMMENT ON COLUMN sync.erased_people.erased_at IS 'When the identity was erased.';

CREATE SEQUENCE sync.erased_people_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE sync.erased_people_id_seq OWNED BY sync.erased_people.id;

CREATE VIEW sync.failed_deliveries AS
 SELECT deliveries.id,
    deliveries.event,
    deliveries.received_at,
    deliveries.failed_at,
    deliveries.error,
    (deliveries.payload IS NOT NULL) AS replayable
   FROM sync.deliveries
  WHERE (deliveries.status = 'failed'::text);

COMMENT ON VIEW sync.failed_deliveries IS 'Webhooks that could not be applied, for readers who may not read payloads.';

COMMENT ON COLUMN sync.failed_deliveries.id IS 'deliveries.id.';

COMMENT ON COLUMN sync.failed_deliveries.event IS 'The event, such as build.finished.';

COMMENT ON COLUMN sync.failed_deliveries.received_at IS 'When it was received.';

COMMENT ON COLUMN sync.failed_deliveries.failed_at IS 'When it failed last.';

COMMENT ON COLUMN sync.failed_deliveries.error IS 'Why it failed.';

COMMENT ON COLUMN sync.failed_deliveries.replayable IS 'Whether it can be applied again: its payload has not been deleted yet.';

CREATE SEQUENCE sync.failures_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE sync.failures_id_seq OWNED BY sync.failures.id;

CREATE TABLE sync.findings (
    name text NOT NULL,
    subject text NOT NULL,
    result text NOT NULL,
    detail text NOT NULL,
    remedy text,
    checked_at timestamp(3) with time zone NOT NULL,
    since timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE sync.findings IS 'The results of the service''s last hourly check, one row for each check and subject.';

COMMENT ON COLUMN sync.findings.name IS 'Name of the check, such as webhook_disabled, as in buildkite-mirror check --json.';

COMMENT ON COLUMN sync.findings.subject IS 'What the result is about: the slug of an organization, the label of a token, or the store. Empty if there is only one.';

COMMENT ON COLUMN sync.findings.result IS 'ok, warning or failed.';

COMMENT ON COLUMN sync.findings.detail IS 'What was found, in a sentence without secrets.';

COMMENT ON COLUMN sync.findings.remedy IS 'What to do about it; null if there is nothing to do.';

COMMENT ON COLUMN sync.findings.checked_at IS 'When it was last checked, on the mirror''s clock.';

COMMENT ON COLUMN sync.findings.since IS 'Since when the check has had this result.';

CREATE TABLE sync.job_counts (
    queue_id integer NOT NULL,
    measure text NOT NULL,
    bucket double precision NOT NULL,
    jobs bigint NOT NULL,
    seconds double precision NOT NULL
);

COMMENT ON TABLE sync.job_counts IS 'The histograms of waits and runs that Prometheus reads. sync.count_jobs adds to them; nothing else changes them.';

COMMENT ON COLUMN sync.job_counts.queue_id IS 'metric_queues.id.';

COMMENT ON COLUMN sync.job_counts.measure IS 'wait or run.';

COMMENT ON COLUMN sync.job_counts.bucket IS 'Upper bound of the bucket, in seconds; Infinity for the last.';

COMMENT ON COLUMN sync.job_counts.jobs IS 'Tries in this bucket alone.';

COMMENT ON COLUMN sync.job_counts.seconds IS 'Their seconds, in total.';

CREATE TABLE sync.metric_queues (
    id integer NOT NULL,
    organization_id uuid,
    cluster_id uuid,
    queue text,
    since timestamp with time zone NOT NULL
);

COMMENT ON TABLE sync.metric_queues IS 'The queues that have series of their own in the metrics of Prometheus, at most 50. Row 0 stands for all others. A row stays, so that no counter goes down.';

COMMENT ON COLUMN sync.metric_queues.id IS 'Number of the queue; 0 for all that have no row.';

COMMENT ON COLUMN sync.metric_queues.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.metric_queues.cluster_id IS 'clusters.id; null outside clusters.';

COMMENT ON COLUMN sync.metric_queues.queue IS 'Queue; null in row 0.';

COMMENT ON COLUMN sync.metric_queues.since IS 'When the row was added. Of row 0: jobs that started or finished before are not counted.';

CREATE VIEW sync.job_histograms AS
 SELECT
        CASE
            WHEN (named.id = 0) THEN 'other'::text
            ELSE COALESCE(organization.slug, ''::text)
        END AS organization,
        CASE
            WHEN (named.id = 0) THEN 'other'::text
            ELSE COALESCE(cluster.name, (named.cluster_id)::text, ''::text)
        END AS cluster,
        CASE
            WHEN (named.id = 0) THEN 'other'::text
            ELSE named.queue
        END AS queue,
    measures.measure,
    counts.bucket,
    (COALESCE(sum(counts.jobs), (0)::numeric))::bigint AS jobs,
    COALESCE(sum(counts.seconds), (0)::double precision) AS seconds
   FROM ((((sync.metric_queues named
     CROSS JOIN ( VALUES ('wait'::text), ('run'::text)) measures(measure))
     LEFT JOIN sync.job_counts counts ON (((counts.queue_id = named.id) AND (counts.measure = measures.measure))))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = named.organization_id)))
     LEFT JOIN buildkite.clusters cluster ON ((cluster.id = named.cluster_id)))
  GROUP BY
        CASE
            WHEN (named.id = 0) THEN 'other'::text
            ELSE COALESCE(organization.slug, ''::text)
        END,
        CASE
            WHEN (named.id = 0) THEN 'other'::text
            ELSE COALESCE(cluster.name, (named.cluster_id)::text, ''::text)
        END,
        CASE
            WHEN (named.id = 0) THEN 'other'::text
            ELSE named.queue
        END, measures.measure, counts.bucket;

COMMENT ON VIEW sync.job_histograms IS 'sync.job_counts with the names of the queues, as Prometheus reads it. A queue without counts has a row without bucket.';

COMMENT ON COLUMN sync.job_histograms.organization IS 'Slug of the organization.';

COMMENT ON COLUMN sync.job_histograms.cluster IS 'Name of the cluster, otherwise its id; empty outside clusters.';

COMMENT ON COLUMN sync.job_histograms.queue IS 'Queue.';

COMMENT ON COLUMN sync.job_histograms.measure IS 'wait or run.';

COMMENT ON COLUMN sync.job_histograms.bucket IS 'Upper bound of the bucket, in seconds; Infinity for the last.';

COMMENT ON COLUMN sync.job_histograms.jobs IS 'Tries in this bucket alone.';

COMMENT ON COLUMN sync.job_histograms.seconds IS 'Their seconds, in total.';

CREATE TABLE sync.leases (
    name text NOT NULL,
    holder text NOT NULL,
    fence bigint NOT NULL,
    acquired_at timestamp(3) with time zone NOT NULL,
    expires_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE sync.leases IS 'Which process does which work. A holder that does not renew its lease loses it, and cannot commit afterwards.';

COMMENT ON COLUMN sync.leases.name IS 'The work: hot, warm, backfill, audit or reference data of an organization.';

COMMENT ON COLUMN sync.leases.holder IS 'Host, process id and a random part.';

COMMENT ON COLUMN sync.leases.fence IS 'Grows with each new holder; every commit of the work checks it.';

COMMENT ON COLUMN sync.leases.acquired_at IS 'When the holder acquired it, on the database''s clock.';

COMMENT ON COLUMN sync.leases.expires_at IS 'When it expires unless renewed, on the database''s clock.';

CREATE TABLE sync.open_work (
    organization_id uuid NOT NULL,
    counted_to timestamp with time zone NOT NULL
);

COMMENT ON TABLE sync.open_work IS 'Until when the rollups count open jobs and connected agents, by organization. sync.invalidate_days_of_open_work moves it forward.';

COMMENT ON COLUMN sync.open_work.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.open_work.counted_to IS 'sync.last_heard at the last mark.';

CREATE TABLE sync.pauses (
    organization_id uuid NOT NULL,
    task text NOT NULL,
    paused_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE sync.pauses IS 'Work that a person paused for an organization until they resume it. No row: it runs.';

COMMENT ON COLUMN sync.pauses.organization_id IS 'organizations.id.';

COMMENT ON COLUMN sync.pauses.task IS 'What is paused: backfill.';

COMMENT ON COLUMN sync.pauses.paused_at IS 'Since when, on the mirror''s clock.';

CREATE TABLE sync.pipeline_changes (
    pipeline_id uuid NOT NULL,
    slug text,
    deleted_reason text,
    started_at timestamp(3) with time zone NOT NULL,
    after_number bigint
);

COMMENT ON TABLE sync.pipeline_changes IS 'Pipelines that were renamed, deleted, hidden or shown again, and how far their builds were updated to match.';

COMMENT ON COLUMN sync.pipeline_changes.pipeline_id IS 'pipelines.id.';

COMMENT ON COLUMN sync.pipeline_changes.slug IS 'The slug that the addresses of its builds and jobs get.';

COMMENT ON COLUMN sync.pipeline_changes.deleted_reason IS 'pipelines.deleted_reason that its builds are marked for; null if the pipeline is listed.';

COMMENT ON COLUMN sync.pipeline_changes.started_at IS 'When the update began, on Buildkite''s clock. An update that began within two minutes after the change is repeated, because lists may lag.';

COMMENT ON COLUMN sync.pipeline_changes.after_number IS 'Builds up to this number are updated; null once all are.';

CREATE VIEW sync.queue_gauges AS
 SELECT
        CASE
            WHEN (named.id IS NULL) THEN 'other'::text
            ELSE COALESCE(organization.slug, ''::text)
        END AS organization,
        CASE
            WHEN (named.id IS NULL) THEN 'other'::text
            ELSE COALESCE(cluster.name, (now_at.cluster_id)::text, ''::text)
        END AS cluster,
        CASE
            WHEN (named.id IS NULL) THEN 'other'::text
            ELSE now_at.queue
        END AS queue,
    (sum(now_at.waiting))::integer AS waiting,
    COALESCE(max(now_at.oldest_wait_seconds), (0)::double precision) AS oldest_wait_seconds,
    (sum(now_at.running))::integer AS running,
    (sum(now_at.agents_busy))::integer AS agents_busy,
    (sum(now_at.agents_idle))::integer AS agents_idle
   FROM (((( SELECT queues_now.organization_id,
            queues_now.cluster_id,
            queues_now.queue,
            queues_now.waiting,
            queues_now.oldest_wait_seconds,
            queues_now.running,
            queues_now.agents_busy,
            queues_now.agents_idle
           FROM analytics.queues_now
        UNION ALL
         SELECT metric_queues.organization_id,
            metric_queues.cluster_id,
            metric_queues.queue,
            0,
            NULL::double precision,
            0,
            0,
            0
           FROM sync.metric_queues
          WHERE (metric_queues.id > 0)) now_at
     LEFT JOIN sync.metric_queues named ON ((NOT (((named.organization_id IS DISTINCT FROM now_at.organization_id) OR (named.cluster_id IS DISTINCT FROM now_at.cluster_id)) OR (named.queue IS DISTINCT FROM now_at.queue)))))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = now_at.organization_id)))
     LEFT JOIN buildkite.clusters cluster ON ((cluster.id = now_at.cluster_id)))
  GROUP BY
        CASE
            WHEN (named.id IS NULL) THEN 'other'::text
            ELSE COALESCE(organization.slug, ''::text)
        END,
        CASE
            WHEN (named.id IS NULL) THEN 'other'::text
            ELSE COALESCE(cluster.name, (now_at.cluster_id)::text, ''::text)
        END,
        CASE
            WHEN (named.id IS NULL) THEN 'other'::text
            ELSE now_at.queue
        END;

COMMENT ON VIEW sync.queue_gauges IS 'analytics.queues_now as Prometheus reads it: the queues of sync.metric_queues, and all others together as other.';

COMMENT ON COLUMN sync.queue_gauges.organization IS 'Slug of the organization.';

COMMENT ON COLUMN sync.queue_gauges.cluster IS 'Name of the cluster, otherwise its id; empty outside clusters.';

COMMENT ON COLUMN sync.queue_gauges.queue IS 'Queue.';

COMMENT ON COLUMN sync.queue_gauges.waiting IS 'Jobs that wait for an agent.';

COMMENT ON COLUMN sync.queue_gauges.oldest_wait_seconds IS 'How long the one of them that waits longest has waited, in seconds; 0 if none waits.';

COMMENT ON COLUMN sync.queue_gauges.running IS 'Jobs that run.';

COMMENT ON COLUMN sync.queue_gauges.agents_busy IS 'Connected agents that run a job.';

COMMENT ON COLUMN sync.queue_gauges.agents_idle IS 'Connected agents that run none.';

CREATE TABLE sync.reference_item_syncs (
    name text NOT NULL,
    subject_id uuid NOT NULL,
    read_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE sync.reference_item_syncs IS 'When the list of one object was last read: of a pipeline its schedules, of a cluster its queues, of a build its annotations.';

COMMENT ON COLUMN sync.reference_item_syncs.name IS 'The table of the schema buildkite that the list fills.';

COMMENT ON COLUMN sync.reference_item_syncs.subject_id IS 'Buildkite''s id of the object that the list belongs to.';

COMMENT ON COLUMN sync.reference_item_syncs.read_at IS 'When the list was last read, on Buildkite''s clock.';

CREATE TABLE sync.sessions (
    key text NOT NULL,
    ends_at timestamp(3) with time zone NOT NULL
);

COMMENT ON TABLE sync.sessions IS 'Sessions on the private listener. A row ends with a sign-out, and expires after eight hours.';

COMMENT ON COLUMN sync.sessions.key IS 'HMAC-SHA-256 over the token, with the random id in the cookie as key. Without the cookie it reveals nothing about the token.';

COMMENT ON COLUMN sync.sessions.ends_at IS 'When the session expires.';

CREATE SEQUENCE sync.stale_history_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE sync.stale_history_id_seq OWNED BY sync.stale_history.id;

CREATE TABLE sync.user_identities (
    id uuid,
    email text,
    username text,
    name text,
    last_seen_at timestamp(3) with time zone
);

COMMENT ON TABLE sync.user_identities IS 'Every combination of id, e-mail address and user name under which a person was seen. buildkite.users is built from it.';

COMMENT ON COLUMN sync.user_identities.id IS 'Id of the user, if known.';

COMMENT ON COLUMN sync.user_identities.email IS 'E-mail address.';

COMMENT ON COLUMN sync.user_identities.username IS 'User name, in lower case.';

COMMENT ON COLUMN sync.user_identities.name IS 'Name, as last seen.';

COMMENT ON COLUMN sync.user_identities.last_seen_at IS 'When the person last created, wrote or unblocked something.';

CREATE SEQUENCE sync.windows_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;

ALTER SEQUENCE sync.windows_id_seq OWNED BY sync.windows.id;

ALTER TABLE ONLY drizzle.__drizzle_migrations ALTER COLUMN id SET DEFAULT nextval('drizzle.__drizzle_migrations_id_seq'::regclass);

ALTER TABLE ONLY settings.deployment_rules ALTER COLUMN id SET DEFAULT nextval('settings.deployment_rules_id_seq'::regclass);

ALTER TABLE ONLY sync.audit_log ALTER COLUMN id SET DEFAULT nextval('sync.audit_log_id_seq'::regclass);

ALTER TABLE ONLY sync.cycles ALTER COLUMN id SET DEFAULT nextval('sync.cycles_id_seq'::regclass);

ALTER TABLE ONLY sync.deliveries ALTER COLUMN id SET DEFAULT nextval('sync.deliveries_id_seq'::regclass);

ALTER TABLE ONLY sync.drift ALTER COLUMN id SET DEFAULT nextval('sync.drift_id_seq'::regclass);

ALTER TABLE ONLY sync.erased_people ALTER COLUMN id SET DEFAULT nextval('sync.erased_people_id_seq'::regclass);

ALTER TABLE ONLY sync.failures ALTER COLUMN id SET DEFAULT nextval('sync.failures_id_seq'::regclass);

ALTER TABLE ONLY sync.stale_history ALTER COLUMN id SET DEFAULT nextval('sync.stale_history_id_seq'::regclass);

ALTER TABLE ONLY sync.windows ALTER COLUMN id SET DEFAULT nextval('sync.windows_id_seq'::regclass);

ALTER TABLE ONLY analytics.deployments
    ADD CONSTRAINT deployments_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.agent_connections
    ADD CONSTRAINT agent_connections_agent_id_connected_at_pk PRIMARY KEY (agent_id, connected_at);

ALTER TABLE ONLY buildkite.agents
    ADD CONSTRAINT agents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.annotations
    ADD CONSTRAINT annotations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.artifacts
    ADD CONSTRAINT artifacts_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.build_attempts
    ADD CONSTRAINT build_attempts_build_id_finished_at_pk PRIMARY KEY (build_id, finished_at);

ALTER TABLE ONLY buildkite.builds
    ADD CONSTRAINT builds_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.cluster_queues
    ADD CONSTRAINT cluster_queues_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.clusters
    ADD CONSTRAINT clusters_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.jobs
    ADD CONSTRAINT jobs_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.members
    ADD CONSTRAINT members_organization_id_id_pk PRIMARY KEY (organization_id, id);

ALTER TABLE ONLY buildkite.organization_slugs
    ADD CONSTRAINT organization_slugs_organization_id_slug_pk PRIMARY KEY (organization_id, slug);

ALTER TABLE ONLY buildkite.organizations
    ADD CONSTRAINT organizations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.pipeline_schedules
    ADD CONSTRAINT pipeline_schedules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.pipeline_slugs
    ADD CONSTRAINT pipeline_slugs_pipeline_id_organization_slug_slug_pk PRIMARY KEY (pipeline_id, organization_slug, slug);

ALTER TABLE ONLY buildkite.pipelines
    ADD CONSTRAINT pipelines_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.team_members
    ADD CONSTRAINT team_members_team_id_user_id_pk PRIMARY KEY (team_id, user_id);

ALTER TABLE ONLY buildkite.team_pipelines
    ADD CONSTRAINT team_pipelines_team_id_pipeline_id_pk PRIMARY KEY (team_id, pipeline_id);

ALTER TABLE ONLY buildkite.teams
    ADD CONSTRAINT teams_pkey PRIMARY KEY (id);

ALTER TABLE ONLY buildkite.users
    ADD CONSTRAINT users_pkey PRIMARY KEY (key);

ALTER TABLE ONLY drizzle.__drizzle_migrations
    ADD CONSTRAINT __drizzle_migrations_pkey PRIMARY KEY (id);

ALTER TABLE ONLY settings.deployment_rules
    ADD CONSTRAINT deployment_rules_pkey PRIMARY KEY (id);

ALTER TABLE ONLY settings.incidents
    ADD CONSTRAINT incidents_pkey PRIMARY KEY (id);

ALTER TABLE ONLY settings.queue_rates
    ADD CONSTRAINT queue_rates_queue_cluster_pk PRIMARY KEY (queue, cluster);

ALTER TABLE ONLY sync.audit_log
    ADD CONSTRAINT audit_log_pkey PRIMARY KEY (id);

ALTER TABLE ONLY sync.budgets
    ADD CONSTRAINT budgets_pkey PRIMARY KEY (scope);

ALTER TABLE ONLY sync.buildkite_clock
    ADD CONSTRAINT buildkite_clock_pkey PRIMARY KEY (single_row);

ALTER TABLE ONLY sync.compatibility
    ADD CONSTRAINT compatibility_pkey PRIMARY KEY (single_row);

ALTER TABLE ONLY sync.counted_jobs
    ADD CONSTRAINT counted_jobs_pkey PRIMARY KEY (job_id, measure);

ALTER TABLE ONLY sync.cycles
    ADD CONSTRAINT cycles_pkey PRIMARY KEY (id);

ALTER TABLE ONLY sync.definitions
    ADD CONSTRAINT definitions_pkey PRIMARY KEY (name);

ALTER TABLE ONLY sync.deliveries
    ADD CONSTRAINT deliveries_pkey PRIMARY KEY (id);

ALTER TABLE ONLY sync.deployment
    ADD CONSTRAINT deployment_pkey PRIMARY KEY (single_row);

ALTER TABLE ONLY sync.drift
    ADD CONSTRAINT drift_pkey PRIMARY KEY (id);

ALTER TABLE ONLY sync.erased_people
    ADD CONSTRAINT erased_people_hash_unique UNIQUE (hash);

ALTER TABLE ONLY sync.erased_people
    ADD CONSTRAINT erased_people_pkey PRIMARY KEY (id);

ALTER TABLE ONLY sync.failures
    ADD CONSTRAINT failures_pkey PRIMARY KEY (id);

ALTER TABLE ONLY sync.findings
    ADD CONSTRAINT findings_name_subject_pk PRIMARY KEY (name, subject);

ALTER TABLE ONLY sync.job_counts
    ADD CONSTRAINT job_counts_pkey PRIMARY KEY (queue_id, measure, bucket);

ALTER TABLE ONLY sync.job_reads
    ADD CONSTRAINT job_reads_pkey PRIMARY KEY (build_id);

ALTER TABLE ONLY sync.leases
    ADD CONSTRAINT leases_pkey PRIMARY KEY (name);

ALTER TABLE ONLY sync.metric_queues
    ADD CONSTRAINT metric_queues_pkey PRIMARY KEY (id);

ALTER TABLE ONLY sync.open_work
    ADD CONSTRAINT open_work_pkey PRIMARY KEY (organization_id);

ALTER TABLE ONLY sync.pauses
    ADD CONSTRAINT pauses_organization_id_task_pk PRIMARY KEY (organization_id, task);

ALTER TABLE ONLY sync.pipeline_changes
    ADD CONSTRAINT pipeline_changes_pkey PRIMARY KEY (pipeline_id);

ALTER TABLE ONLY sync.pipeline_coverage
    ADD CONSTRAINT pipeline_coverage_pkey PRIMARY KEY (pipeline_id);

ALTER TABLE ONLY sync.reference_item_syncs
    ADD CONSTRAINT reference_item_syncs_name_subject_id_pk PRIMARY KEY (name, subject_id);

ALTER TABLE ONLY sync.reference_syncs
    ADD CONSTRAINT reference_syncs_organization_id_name_pk PRIMARY KEY (organization_id, name);

ALTER TABLE ONLY sync.rollups
    ADD CONSTRAINT rollups_pkey PRIMARY KEY (name);

ALTER TABLE ONLY sync.sessions
    ADD CONSTRAINT sessions_pkey PRIMARY KEY (key);

ALTER TABLE ONLY sync.stale_history
    ADD CONSTRAINT stale_history_pkey PRIMARY KEY (id);

ALTER TABLE ONLY sync.unlisted_builds
    ADD CONSTRAINT unlisted_builds_pkey PRIMARY KEY (build_id);

ALTER TABLE ONLY sync.watermarks
    ADD CONSTRAINT watermarks_pkey PRIMARY KEY (organization_id);

ALTER TABLE ONLY sync.windows
    ADD CONSTRAINT windows_pkey PRIMARY KEY (id);

CREATE INDEX agents_daily_day ON analytics.agents_daily USING btree (day);

CREATE INDEX agents_hourly_hour ON analytics.agents_hourly USING btree (hour);

CREATE INDEX branch_durations_daily_day ON analytics.branch_durations_daily USING btree (day);

CREATE INDEX branch_durations_daily_pipeline ON analytics.branch_durations_daily USING btree (pipeline_id, day);

CREATE INDEX build_minutes_hourly_build ON analytics.build_minutes_hourly USING btree (build_id);

CREATE INDEX build_minutes_hourly_hour ON analytics.build_minutes_hourly USING btree (hour);

CREATE INDEX build_results_daily_day ON analytics.build_results_daily USING btree (day);

CREATE INDEX build_results_daily_pipeline ON analytics.build_results_daily USING btree (pipeline_id, day);

CREATE INDEX builds_hourly_hour ON analytics.builds_hourly USING btree (hour);

CREATE INDEX builds_hourly_pipeline ON analytics.builds_hourly USING btree (pipeline_id, hour);

CREATE INDEX deployments_commit ON analytics.deployments USING btree (commit_sha);

CREATE INDEX deployments_deployed_at ON analytics.deployments USING btree (deployed_at);

CREATE INDEX deployments_latest ON analytics.deployments USING btree (organization_id, service, environment, deployed_at DESC, id DESC) INCLUDE (success, commit_sha);

CREATE INDEX deployments_restored ON analytics.deployments USING btree (organization_id, service, environment, deployed_at) WHERE success;

CREATE INDEX deployments_service ON analytics.deployments USING btree (organization_id, service, environment, deployed_at);

CREATE INDEX deployments_week ON analytics.deployments USING btree (((date_trunc('week'::text, (deployed_at AT TIME ZONE 'UTC'::text)))::date));

CREATE INDEX job_minutes_hourly_day ON analytics.job_minutes_hourly USING btree ((((hour AT TIME ZONE 'UTC'::text))::date));

CREATE INDEX job_minutes_hourly_hour ON analytics.job_minutes_hourly USING btree (hour);

CREATE INDEX job_minutes_hourly_pipeline ON analytics.job_minutes_hourly USING btree (pipeline_id, (((hour AT TIME ZONE 'UTC'::text))::date));

CREATE INDEX jobs_daily_day ON analytics.jobs_daily USING btree (day);

CREATE INDEX jobs_daily_pipeline ON analytics.jobs_daily USING btree (pipeline_id, day);

CREATE INDEX jobs_hourly_hour ON analytics.jobs_hourly USING btree (hour);

CREATE INDEX jobs_hourly_pipeline ON analytics.jobs_hourly USING btree (pipeline_id, hour);

CREATE INDEX minutes_daily_day ON analytics.minutes_daily USING btree (day);

CREATE INDEX minutes_daily_pipeline ON analytics.minutes_daily USING btree (pipeline_id, day);

CREATE INDEX pipeline_durations_daily_day ON analytics.pipeline_durations_daily USING btree (day);

CREATE INDEX pipeline_durations_daily_pipeline ON analytics.pipeline_durations_daily USING btree (pipeline_id, day);

CREATE INDEX queue_depths_at ON analytics.queue_depths USING btree (at);

CREATE INDEX queue_waits_daily_day ON analytics.queue_waits_daily USING btree (day);

CREATE INDEX queue_waits_hourly_hour ON analytics.queue_waits_hourly USING btree (hour);

CREATE INDEX trunk_health_daily_day ON analytics.trunk_health_daily USING btree (day);

CREATE INDEX trunk_health_daily_pipeline ON analytics.trunk_health_daily USING btree (pipeline_id, day);

CREATE INDEX agent_connections_changed_at ON buildkite.agent_connections USING btree (changed_at);

CREATE INDEX agent_connections_ended_at ON buildkite.agent_connections USING btree (ended_at) WHERE (ended_at IS NOT NULL);

CREATE INDEX agent_connections_long ON buildkite.agent_connections USING gist (tstzrange(connected_at, GREATEST(connected_at, COALESCE(ended_at, 'infinity'::timestamp with time zone)))) WHERE ((ended_at IS NULL) OR ((ended_at - connected_at) > '01:00:00'::interval));

CREATE INDEX agents_changed_at ON buildkite.agents USING btree (changed_at);

CREATE INDEX agents_connected ON buildkite.agents USING btree (organization_id) WHERE ((connection_state = ANY (ARRAY['connected'::text, 'stopping'::text])) AND (deleted_at IS NULL));

CREATE INDEX agents_organization_name ON buildkite.agents USING btree (organization_id, name);

CREATE INDEX annotations_build_id ON buildkite.annotations USING btree (build_id);

CREATE INDEX artifacts_build_id ON buildkite.artifacts USING btree (build_id);

CREATE INDEX artifacts_job_id ON buildkite.artifacts USING btree (job_id);

CREATE INDEX build_attempts_changed_at ON buildkite.build_attempts USING btree (changed_at);

CREATE INDEX build_attempts_finished_at ON buildkite.build_attempts USING btree (finished_at);

CREATE INDEX builds_branch ON buildkite.builds USING btree (branch, created_at);

CREATE INDEX builds_changed_at ON buildkite.builds USING btree (changed_at);

CREATE INDEX builds_commit ON buildkite.builds USING btree (commit);

CREATE INDEX builds_created_at ON buildkite.builds USING btree (created_at);

CREATE INDEX builds_created_day ON buildkite.builds USING btree ((((created_at AT TIME ZONE 'UTC'::text))::date));

CREATE INDEX builds_ended_day ON buildkite.builds USING btree ((((COALESCE(finished_at, created_at) AT TIME ZONE 'UTC'::text))::date));

CREATE INDEX builds_finished_at ON buildkite.builds USING btree (finished_at);

CREATE INDEX builds_open ON buildkite.builds USING btree (organization_id, created_at) WHERE ((state = ANY (ARRAY['creating'::text, 'scheduled'::text, 'running'::text, 'failing'::text, 'canceling'::text])) AND (deleted_at IS NULL));

CREATE INDEX builds_organization_created_at ON buildkite.builds USING btree (organization_id, created_at);

CREATE INDEX builds_organization_finished_at ON buildkite.builds USING btree (organization_id, finished_at);

CREATE INDEX builds_pipeline_branch_number ON buildkite.builds USING btree (pipeline_id, branch, number);

CREATE INDEX builds_pipeline_created_at ON buildkite.builds USING btree (pipeline_id, created_at);

CREATE INDEX builds_pipeline_number ON buildkite.builds USING btree (pipeline_id, number);

CREATE INDEX builds_provisional ON buildkite.builds USING btree (organization_id, created_at) WHERE (((verified_at IS NULL) OR (observed_at > verified_at)) AND (deleted_at IS NULL));

CREATE INDEX builds_pull_request ON buildkite.builds USING btree (((pull_request_id)::integer)) WHERE (pull_request_id ~ '^[0-9]{1,9}$'::text);

CREATE INDEX builds_rebuilt_from_id ON buildkite.builds USING btree (rebuilt_from_id) WHERE (rebuilt_from_id IS NOT NULL);

CREATE INDEX builds_triggered_from_build_id ON buildkite.builds USING btree (triggered_from_build_id) WHERE (triggered_from_build_id IS NOT NULL);

CREATE INDEX builds_without_organization ON buildkite.builds USING btree (id) WHERE (organization_id IS NULL);

CREATE INDEX builds_without_pipeline ON buildkite.builds USING btree (id) WHERE (pipeline_id IS NULL);

CREATE INDEX cluster_queues_cluster_id ON buildkite.cluster_queues USING btree (cluster_id);

CREATE INDEX jobs_agent_id ON buildkite.jobs USING btree (agent_id) WHERE (agent_id IS NOT NULL);

CREATE INDEX jobs_build_id ON buildkite.jobs USING btree (build_id);

CREATE INDEX jobs_changed_at ON buildkite.jobs USING btree (changed_at);

CREATE INDEX jobs_created_at ON buildkite.jobs USING btree (created_at);

CREATE INDEX jobs_expired_at ON buildkite.jobs USING btree (expired_at) WHERE (expired_at IS NOT NULL);

CREATE INDEX jobs_failed ON buildkite.jobs USING btree (finished_at) WHERE (state = ANY (ARRAY['failed'::text, 'timed_out'::text, 'expired'::text]));

CREATE INDEX jobs_finished_at ON buildkite.jobs USING btree (finished_at);

CREATE INDEX jobs_long ON buildkite.jobs USING gist (tstzrange(LEAST(runnable_at, started_at), GREATEST(runnable_at, started_at, COALESCE(finished_at, expired_at)))) WHERE ((type = 'script'::text) AND ((COALESCE(finished_at, expired_at) - LEAST(runnable_at, started_at)) > '01:00:00'::interval));

CREATE INDEX jobs_manual ON buildkite.jobs USING btree (created_at) WHERE (type = 'manual'::text);

CREATE INDEX jobs_open ON buildkite.jobs USING btree (runnable_at) WHERE ((type = 'script'::text) AND (state <> ALL (ARRAY['passed'::text, 'failed'::text, 'canceled'::text, 'timed_out'::text, 'expired'::text, 'skipped'::text, 'broken'::text, 'finished'::text, 'waiting_failed'::text, 'blocked_failed'::text, 'unblocked'::text, 'unblocked_failed'::text])));

CREATE INDEX jobs_parallel ON buildkite.jobs USING btree (build_id) WHERE (parallel_group_total > 1);

CREATE INDEX jobs_retried_in_job_id ON buildkite.jobs USING btree (retried_in_job_id) WHERE (retried_in_job_id IS NOT NULL);

CREATE INDEX jobs_started_at ON buildkite.jobs USING btree (started_at);

CREATE INDEX jobs_triggered_build_id ON buildkite.jobs USING btree (triggered_build_id) WHERE (triggered_build_id IS NOT NULL);

CREATE INDEX organization_slugs_slug ON buildkite.organization_slugs USING btree (slug);

CREATE INDEX organizations_changed_at ON buildkite.organizations USING btree (changed_at);

CREATE INDEX organizations_slug ON buildkite.organizations USING btree (slug);

CREATE INDEX pipeline_schedules_pipeline_id ON buildkite.pipeline_schedules USING btree (pipeline_id);

CREATE INDEX pipeline_slugs_slug ON buildkite.pipeline_slugs USING btree (organization_slug, slug, last_seen_at);

CREATE INDEX pipelines_changed_at ON buildkite.pipelines USING btree (changed_at);

CREATE INDEX pipelines_organization_slug ON buildkite.pipelines USING btree (organization_id, slug);

CREATE INDEX team_members_user_id ON buildkite.team_members USING btree (user_id);

CREATE INDEX team_pipelines_pipeline_id ON buildkite.team_pipelines USING btree (pipeline_id);

CREATE UNIQUE INDEX users_id ON buildkite.users USING btree (id) WHERE (id IS NOT NULL);

CREATE INDEX agent_days_day ON sync.agent_days USING btree (day);

CREATE INDEX agent_days_started_hour ON sync.agent_days USING btree (started_hour);

CREATE INDEX audit_log_at ON sync.audit_log USING btree (at);

CREATE INDEX builds_found_hour ON sync.builds_found USING btree (hour);

CREATE INDEX counted_jobs_counted_at ON sync.counted_jobs USING btree (counted_at);

CREATE INDEX cycles_organization_started_at ON sync.cycles USING btree (organization_id, started_at);

CREATE INDEX deliveries_failed ON sync.deliveries USING btree (id) WHERE (status = 'failed'::text);

CREATE UNIQUE INDEX deliveries_key ON sync.deliveries USING btree (key);

CREATE INDEX deliveries_payload_kept ON sync.deliveries USING btree (received_at) WHERE ((payload IS NOT NULL) AND (status = ANY (ARRAY['applied'::text, 'ignored'::text])));

CREATE INDEX deliveries_pending ON sync.deliveries USING btree (id) WHERE (status = 'pending'::text);

CREATE INDEX deliveries_received_at ON sync.deliveries USING btree (received_at);

CREATE INDEX drift_build_id ON sync.drift USING btree (build_id);

CREATE INDEX drift_organization_found_at ON sync.drift USING btree (organization_id, found_at);

CREATE INDEX drift_unhealed ON sync.drift USING btree (organization_id) WHERE (healed_at IS NULL);

CREATE UNIQUE INDEX failures_subject ON sync.failures USING btree (kind, COALESCE(organization_id, '00000000-0000-0000-0000-000000000000'::uuid), subject);

CREATE INDEX job_reads_next ON sync.job_reads USING btree (organization_id, next_read_at);

CREATE INDEX jobs_found_hour ON sync.jobs_found USING btree (hour);

CREATE INDEX minutes_hours_hour ON sync.minutes_hours USING btree (hour);

CREATE INDEX pipeline_coverage_organization ON sync.pipeline_coverage USING btree (organization_id);

CREATE INDEX queue_hours_hour ON sync.queue_hours USING btree (hour);

CREATE INDEX queue_hours_started_hour ON sync.queue_hours USING btree (started_hour);

CREATE INDEX stale_days_day ON sync.stale_days USING btree (day);

CREATE INDEX unlisted_builds_next_read_at ON sync.unlisted_builds USING btree (organization_id, next_read_at);

CREATE UNIQUE INDEX user_identities_person ON sync.user_identities USING btree (COALESCE((id)::text, ''::text), md5(COALESCE(email, ''::text)), md5(COALESCE(username, ''::text)));

CREATE UNIQUE INDEX windows_range ON sync.windows USING btree (organization_id, COALESCE(pipeline_id, '00000000-0000-0000-0000-000000000000'::uuid), created_from, created_to);

CREATE OR REPLACE VIEW analytics.job_repeats AS
 SELECT first.organization_id,
    max(organization.slug) AS organization,
    first.pipeline_id,
    max(pipeline.slug) AS pipeline,
    first.commit,
    built.job,
    built.step_key,
    first.created_at,
    count(*) AS builds,
    count(*) FILTER (WHERE (NOT built.failed)) AS passed,
    count(*) FILTER (WHERE built.failed) AS failed,
    (bool_or(built.failed) AND (NOT bool_and(built.failed))) AS flaky
   FROM ((((buildkite.builds first
     LEFT JOIN buildkite.pipelines pipeline ON ((pipeline.id = first.pipeline_id)))
     LEFT JOIN buildkite.organizations organization ON ((organization.id = first.organization_id)))
     CROSS JOIN LATERAL ( SELECT ((NOT (EXISTS ( SELECT
                   FROM buildkite.builds earlier
                  WHERE ((earlier.commit = first.commit) AND (earlier.pipeline_id = first.pipeline_id) AND (earlier.number < first.number))))) AND (EXISTS ( SELECT
                   FROM buildkite.builds later
                  WHERE ((later.commit = first.commit) AND (later.pipeline_id = first.pipeline_id) AND (later.number > first.number))))) AS is_first_of_several
         OFFSET 0) place)
     CROSS JOIN LATERAL ( SELECT job.build_id,
            analytics.job_name(job.name, job.label, job.step_key, job.command) AS job,
            NULLIF(job.step_key, ''::text) AS step_key,
            job.matrix,
            job.parallel_group_index,
            bool_or((said.result <> 'passed'::text)) AS failed
           FROM ((buildkite.builds again
             JOIN buildkite.jobs job ON ((job.build_id = again.id)))
             CROSS JOIN LATERAL ( SELECT analytics.job_result(job.state, job.soft_failed, job.exit_status, job.signal_reason) AS result) said)
          WHERE (place.is_first_of_several AND (again.commit = first.commit) AND (again.pipeline_id = first.pipeline_id) AND (job.type = 'script'::text) AND (said.result = ANY (ARRAY['passed'::text, 'failed'::text, 'timed_out'::text])) AND (NOT (EXISTS ( SELECT
                   FROM buildkite.jobs earlier
                  WHERE (earlier.retried_in_job_id = job.id)))))
          GROUP BY job.build_id, (analytics.job_name(job.name, job.label, job.step_key, job.command)), NULLIF(job.step_key, ''::text), job.matrix, job.parallel_group_index) built)
  WHERE (first.commit <> 'HEAD'::text)
  GROUP BY first.id, built.job, built.step_key, built.matrix, built.parallel_group_index
 HAVING (count(*) > 1);

CREATE TRIGGER invalidate_days_of_changed_agents AFTER UPDATE ON buildkite.agents REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_changed_agents();

CREATE TRIGGER invalidate_days_of_changed_attempts AFTER UPDATE ON buildkite.build_attempts REFERENCING NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_attempts();

CREATE TRIGGER invalidate_days_of_changed_builds AFTER UPDATE ON buildkite.builds REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_changed_builds();

CREATE TRIGGER invalidate_days_of_changed_connections AFTER UPDATE ON buildkite.agent_connections REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_changed_connections();

CREATE TRIGGER invalidate_days_of_changed_jobs AFTER UPDATE ON buildkite.jobs REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_changed_jobs();

CREATE TRIGGER invalidate_days_of_changed_organizations AFTER UPDATE ON buildkite.organizations REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_changed_organizations();

CREATE TRIGGER invalidate_days_of_changed_pipelines AFTER UPDATE ON buildkite.pipelines REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_changed_pipelines();

CREATE TRIGGER invalidate_days_of_changed_queues AFTER UPDATE ON buildkite.cluster_queues REFERENCING OLD TABLE AS before_rows NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_changed_queues();

CREATE TRIGGER invalidate_days_of_new_attempts AFTER INSERT ON buildkite.build_attempts REFERENCING NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_attempts();

CREATE TRIGGER invalidate_days_of_new_builds AFTER INSERT ON buildkite.builds REFERENCING NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_new_builds();

CREATE TRIGGER invalidate_days_of_new_connections AFTER INSERT ON buildkite.agent_connections REFERENCING NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_new_connections();

CREATE TRIGGER invalidate_days_of_new_jobs AFTER INSERT ON buildkite.jobs REFERENCING NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_new_jobs();

CREATE TRIGGER invalidate_days_of_new_pipelines AFTER INSERT ON buildkite.pipelines REFERENCING NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_new_pipelines();

CREATE TRIGGER invalidate_days_of_new_queues AFTER INSERT ON buildkite.cluster_queues REFERENCING NEW TABLE AS after_rows FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_days_of_new_queues();

CREATE TRIGGER invalidate_all_days AFTER INSERT OR DELETE OR UPDATE ON settings.deployment_rules FOR EACH STATEMENT EXECUTE FUNCTION sync.invalidate_all_days_at_change();

GRANT USAGE ON SCHEMA analytics TO buildkite_reader;
GRANT USAGE ON SCHEMA analytics TO buildkite_reconciler;
GRANT USAGE ON SCHEMA analytics TO buildkite_web;
GRANT USAGE ON SCHEMA analytics TO buildkite_worker;

GRANT USAGE ON SCHEMA buildkite TO buildkite_reader;
GRANT USAGE ON SCHEMA buildkite TO buildkite_reconciler;
GRANT USAGE ON SCHEMA buildkite TO buildkite_web;
GRANT USAGE ON SCHEMA buildkite TO buildkite_worker;

GRANT USAGE ON SCHEMA drizzle TO buildkite_reader;
GRANT USAGE ON SCHEMA drizzle TO buildkite_reconciler;
GRANT USAGE ON SCHEMA drizzle TO buildkite_web;
GRANT USAGE ON SCHEMA drizzle TO buildkite_worker;

GRANT USAGE ON SCHEMA settings TO buildkite_reader;
GRANT USAGE ON SCHEMA settings TO buildkite_reconciler;
GRANT USAGE ON SCHEMA settings TO buildkite_worker;

GRANT USAGE ON SCHEMA sync TO buildkite_reader;
GRANT USAGE ON SCHEMA sync TO buildkite_reconciler;
GRANT USAGE ON SCHEMA sync TO buildkite_web;
GRANT USAGE ON SCHEMA sync TO buildkite_worker;

GRANT SELECT ON TABLE analytics.agents_daily TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.agents_daily TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.agents_daily TO buildkite_worker;

GRANT SELECT ON TABLE sync.agent_days TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.agent_days TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.agent_days TO buildkite_worker;

GRANT SELECT ON TABLE analytics.branch_durations_daily TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.branch_durations_daily TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.branch_durations_daily TO buildkite_worker;

GRANT SELECT ON TABLE analytics.build_minutes_hourly TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.build_minutes_hourly TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.build_minutes_hourly TO buildkite_worker;

GRANT SELECT ON TABLE analytics.build_results_daily TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.build_results_daily TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.build_results_daily TO buildkite_worker;

GRANT SELECT ON TABLE sync.builds_found TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.builds_found TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.builds_found TO buildkite_worker;

GRANT SELECT ON TABLE analytics.builds_hourly TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.builds_hourly TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.builds_hourly TO buildkite_worker;

GRANT SELECT ON TABLE analytics.deployments TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.deployments TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.deployments TO buildkite_worker;

GRANT SELECT ON TABLE sync.stale_days TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.stale_days TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.stale_days TO buildkite_web;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.stale_days TO buildkite_worker;

GRANT SELECT ON TABLE analytics.job_minutes_hourly TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.job_minutes_hourly TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.job_minutes_hourly TO buildkite_worker;

GRANT SELECT ON TABLE sync.jobs_found TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.jobs_found TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.jobs_found TO buildkite_worker;

GRANT SELECT ON TABLE analytics.jobs_daily TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.jobs_daily TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.jobs_daily TO buildkite_worker;

GRANT SELECT ON TABLE analytics.jobs_hourly TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.jobs_hourly TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.jobs_hourly TO buildkite_worker;

GRANT SELECT ON TABLE analytics.minutes_daily TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.minutes_daily TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.minutes_daily TO buildkite_worker;

GRANT SELECT ON TABLE sync.minutes_hours TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.minutes_hours TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.minutes_hours TO buildkite_worker;

GRANT SELECT ON TABLE analytics.pipeline_durations_daily TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.pipeline_durations_daily TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.pipeline_durations_daily TO buildkite_worker;

GRANT SELECT ON TABLE sync.queue_hours TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.queue_hours TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.queue_hours TO buildkite_worker;

GRANT SELECT ON TABLE analytics.trunk_health_daily TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.trunk_health_daily TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.trunk_health_daily TO buildkite_worker;

GRANT SELECT ON TABLE analytics.queue_waits_daily TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.queue_waits_daily TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.queue_waits_daily TO buildkite_worker;

GRANT SELECT ON TABLE analytics.queue_waits_hourly TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.queue_waits_hourly TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.queue_waits_hourly TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.agents TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.agents TO buildkite_reconciler;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.agents TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.organizations TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.organizations TO buildkite_reconciler;
GRANT SELECT ON TABLE buildkite.organizations TO buildkite_web;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.organizations TO buildkite_worker;

GRANT SELECT ON TABLE analytics.agents TO buildkite_reader;
GRANT SELECT ON TABLE analytics.agents TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.agents TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.agent_connections TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.agent_connections TO buildkite_reconciler;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.agent_connections TO buildkite_worker;

GRANT SELECT ON TABLE analytics.agent_connections TO buildkite_reader;

GRANT SELECT ON TABLE analytics.agents_hourly TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.agents_hourly TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.agents_hourly TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.annotations TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.annotations TO buildkite_reconciler;

GRANT SELECT ON TABLE buildkite.builds TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.builds TO buildkite_reconciler;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.builds TO buildkite_worker;

GRANT SELECT(id) ON TABLE buildkite.builds TO buildkite_web;

GRANT SELECT(organization_id) ON TABLE buildkite.builds TO buildkite_web;

GRANT SELECT(web_url) ON TABLE buildkite.builds TO buildkite_web;

GRANT SELECT(number) ON TABLE buildkite.builds TO buildkite_web;

GRANT SELECT(state) ON TABLE buildkite.builds TO buildkite_web;

GRANT SELECT(created_at) ON TABLE buildkite.builds TO buildkite_web;

GRANT SELECT(observed_at) ON TABLE buildkite.builds TO buildkite_web;

GRANT SELECT(verified_at) ON TABLE buildkite.builds TO buildkite_web;

GRANT SELECT(first_seen_via) ON TABLE buildkite.builds TO buildkite_web;

GRANT SELECT(deleted_at) ON TABLE buildkite.builds TO buildkite_web;

GRANT SELECT ON TABLE analytics.annotations TO buildkite_reader;

GRANT SELECT ON TABLE buildkite.build_attempts TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE buildkite.build_attempts TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE buildkite.build_attempts TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.jobs TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.jobs TO buildkite_reconciler;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.jobs TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.pipelines TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.pipelines TO buildkite_reconciler;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.pipelines TO buildkite_worker;

GRANT SELECT(id) ON TABLE buildkite.pipelines TO buildkite_web;

GRANT SELECT(organization_id) ON TABLE buildkite.pipelines TO buildkite_web;

GRANT SELECT(slug) ON TABLE buildkite.pipelines TO buildkite_web;

GRANT SELECT(deleted_at) ON TABLE buildkite.pipelines TO buildkite_web;

GRANT SELECT ON TABLE analytics.approvals TO buildkite_reader;
GRANT SELECT ON TABLE analytics.approvals TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.approvals TO buildkite_worker;

GRANT SELECT ON TABLE sync.hidden_stops TO buildkite_reader;

GRANT SELECT ON TABLE analytics.attempt_runs TO buildkite_reader;
GRANT SELECT ON TABLE analytics.attempt_runs TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.attempt_runs TO buildkite_worker;

GRANT SELECT ON TABLE analytics.build_attempts TO buildkite_reader;
GRANT SELECT ON TABLE analytics.build_attempts TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.build_attempts TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.clusters TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.clusters TO buildkite_reconciler;

GRANT SELECT ON TABLE settings.queue_rates TO buildkite_reader;

GRANT SELECT ON TABLE sync.cluster_rates TO buildkite_reader;

GRANT SELECT ON TABLE analytics.build_costs TO buildkite_reader;
GRANT SELECT ON TABLE analytics.build_costs TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.build_costs TO buildkite_worker;

GRANT SELECT ON TABLE analytics.build_sources_daily TO buildkite_reader;

GRANT SELECT ON TABLE analytics.build_stages TO buildkite_reader;

GRANT SELECT ON TABLE buildkite.cluster_queues TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.cluster_queues TO buildkite_reconciler;
GRANT SELECT ON TABLE buildkite.cluster_queues TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.team_pipelines TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.team_pipelines TO buildkite_reconciler;

GRANT SELECT ON TABLE buildkite.teams TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.teams TO buildkite_reconciler;

GRANT SELECT ON TABLE analytics.builds TO buildkite_reader;
GRANT SELECT ON TABLE analytics.builds TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.builds TO buildkite_worker;

GRANT SELECT ON TABLE analytics.busy_periods TO buildkite_reader;

GRANT SELECT ON TABLE analytics.cancellations_daily TO buildkite_reader;

GRANT SELECT ON TABLE analytics.clusters TO buildkite_reader;
GRANT SELECT ON TABLE analytics.clusters TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.clusters TO buildkite_worker;

GRANT SELECT ON TABLE analytics.costs_daily TO buildkite_reader;
GRANT SELECT ON TABLE analytics.costs_daily TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.costs_daily TO buildkite_worker;

GRANT SELECT ON TABLE analytics.critical_paths TO buildkite_reader;
GRANT SELECT ON TABLE analytics.critical_paths TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.critical_paths TO buildkite_worker;

GRANT SELECT ON TABLE sync.failures TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.failures TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.failures TO buildkite_web;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.failures TO buildkite_worker;

GRANT SELECT ON TABLE sync.job_reads TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.job_reads TO buildkite_reconciler;

GRANT SELECT ON TABLE sync.pipeline_coverage TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE sync.pipeline_coverage TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.pipeline_coverage TO buildkite_web;
GRANT SELECT ON TABLE sync.pipeline_coverage TO buildkite_worker;

GRANT SELECT ON TABLE sync.unlisted_builds TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.unlisted_builds TO buildkite_reconciler;

GRANT SELECT ON TABLE sync.watermarks TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE sync.watermarks TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.watermarks TO buildkite_web;
GRANT SELECT ON TABLE sync.watermarks TO buildkite_worker;

GRANT SELECT ON TABLE sync.windows TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.windows TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.windows TO buildkite_web;
GRANT SELECT ON TABLE sync.windows TO buildkite_worker;

GRANT SELECT ON TABLE analytics.data_coverage TO buildkite_reader;
GRANT SELECT ON TABLE analytics.data_coverage TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.data_coverage TO buildkite_web;
GRANT SELECT ON TABLE analytics.data_coverage TO buildkite_worker;

GRANT SELECT ON TABLE sync.cycles TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE sync.cycles TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.cycles TO buildkite_web;
GRANT SELECT,DELETE,UPDATE ON TABLE sync.cycles TO buildkite_worker;

GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.deliveries TO buildkite_worker;

GRANT SELECT(id) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(id) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(id) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(key) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(key) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(key),INSERT(key) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(event) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(event) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(event),INSERT(event) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(request_id) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(request_id) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(request_id),INSERT(request_id) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(received_at) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(received_at) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(received_at),INSERT(received_at) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(observed_at) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(observed_at) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(observed_at),INSERT(observed_at) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(status) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(status),UPDATE(status) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(status),UPDATE(status) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(attempts) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(attempts) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(attempts) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(error) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(error) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(error),INSERT(error) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(enqueued_at) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(enqueued_at),UPDATE(enqueued_at) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(enqueued_at),INSERT(enqueued_at),UPDATE(enqueued_at) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(applied_at) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(applied_at) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(applied_at) ON TABLE sync.deliveries TO buildkite_web;

GRANT INSERT(payload) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(failed_at) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(failed_at) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(failed_at) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT(next_try_at) ON TABLE sync.deliveries TO buildkite_reader;
GRANT SELECT(next_try_at) ON TABLE sync.deliveries TO buildkite_reconciler;
GRANT SELECT(next_try_at) ON TABLE sync.deliveries TO buildkite_web;

GRANT SELECT ON TABLE sync.rollups TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.rollups TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.rollups TO buildkite_worker;

GRANT SELECT ON TABLE analytics.data_freshness TO buildkite_reader;

GRANT SELECT ON TABLE analytics.deployed_commits TO buildkite_reader;

GRANT SELECT ON TABLE settings.incidents TO buildkite_reader;

GRANT SELECT ON TABLE analytics.deployment_outcomes TO buildkite_reader;

GRANT SELECT ON TABLE analytics.deployment_services TO buildkite_reader;

GRANT SELECT ON TABLE analytics.dora_weekly TO buildkite_reader;

GRANT SELECT ON TABLE sync.drift TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE sync.drift TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.drift TO buildkite_web;
GRANT SELECT,DELETE,UPDATE ON TABLE sync.drift TO buildkite_worker;

GRANT SELECT ON TABLE analytics.drift TO buildkite_reader;

GRANT SELECT ON TABLE analytics.first_failures TO buildkite_reader;

GRANT SELECT ON TABLE analytics.first_failures_daily TO buildkite_reader;

GRANT SELECT ON TABLE sync.first_results TO buildkite_reader;

GRANT SELECT ON TABLE analytics.first_trunk_recoveries TO buildkite_reader;

GRANT SELECT ON TABLE analytics.job_repeats TO buildkite_reader;

GRANT SELECT ON TABLE analytics.flaky_commits_daily TO buildkite_reader;

GRANT SELECT ON TABLE analytics.flaky_jobs_daily TO buildkite_reader;
GRANT SELECT ON TABLE analytics.flaky_jobs_daily TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.flaky_jobs_daily TO buildkite_worker;

GRANT SELECT ON TABLE analytics.job_breaks TO buildkite_reader;

GRANT SELECT ON TABLE analytics.job_costs_daily TO buildkite_reader;

GRANT SELECT ON TABLE analytics.job_failures_daily TO buildkite_reader;
GRANT SELECT ON TABLE analytics.job_failures_daily TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.job_failures_daily TO buildkite_worker;

GRANT SELECT ON TABLE analytics.jobs_by_period TO buildkite_reader;

GRANT SELECT ON TABLE analytics.job_regressions TO buildkite_reader;

GRANT SELECT ON TABLE analytics.job_retries TO buildkite_reader;

GRANT SELECT ON TABLE analytics.jobs TO buildkite_reader;
GRANT SELECT ON TABLE analytics.jobs TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.jobs TO buildkite_worker;

GRANT SELECT ON TABLE analytics.organizations TO buildkite_reader;
GRANT SELECT ON TABLE analytics.organizations TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.organizations TO buildkite_worker;

GRANT SELECT ON TABLE analytics.parallel_steps TO buildkite_reader;

GRANT SELECT ON TABLE analytics.pipeline_durations_by_period TO buildkite_reader;

GRANT SELECT ON TABLE analytics.period_changes TO buildkite_reader;

GRANT SELECT ON TABLE analytics.pipeline_jobs TO buildkite_reader;

GRANT SELECT ON TABLE analytics.pipeline_runs TO buildkite_reader;

GRANT SELECT ON TABLE buildkite.pipeline_schedules TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.pipeline_schedules TO buildkite_reconciler;

GRANT SELECT ON TABLE analytics.pipeline_schedules TO buildkite_reader;

GRANT SELECT ON TABLE analytics.pipeline_sources TO buildkite_reader;

GRANT SELECT ON TABLE analytics.pipeline_stage_names TO buildkite_reader;

GRANT SELECT ON TABLE analytics.pipeline_variables TO buildkite_reader;

GRANT SELECT ON TABLE analytics.pipelines TO buildkite_reader;
GRANT SELECT ON TABLE analytics.pipelines TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.pipelines TO buildkite_worker;

GRANT SELECT ON TABLE analytics.pull_requests TO buildkite_reader;

GRANT SELECT ON TABLE analytics.queue_costs_daily TO buildkite_reader;
GRANT SELECT ON TABLE analytics.queue_costs_daily TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.queue_costs_daily TO buildkite_worker;

GRANT SELECT ON TABLE analytics.queue_depths TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.queue_depths TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE analytics.queue_depths TO buildkite_worker;

GRANT SELECT ON TABLE analytics.queues TO buildkite_reader;

GRANT SELECT ON TABLE sync.last_heard TO buildkite_reader;
GRANT SELECT ON TABLE sync.last_heard TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.last_heard TO buildkite_worker;

GRANT SELECT ON TABLE analytics.queues_now TO buildkite_reader;
GRANT SELECT ON TABLE analytics.queues_now TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.queues_now TO buildkite_worker;

GRANT SELECT ON TABLE analytics.rebuilds TO buildkite_reader;
GRANT SELECT ON TABLE analytics.rebuilds TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.rebuilds TO buildkite_worker;

GRANT SELECT ON TABLE sync.reference_syncs TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE sync.reference_syncs TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.reference_syncs TO buildkite_web;
GRANT SELECT ON TABLE sync.reference_syncs TO buildkite_worker;

GRANT SELECT ON TABLE analytics.reference_syncs TO buildkite_reader;

GRANT SELECT ON TABLE sync.stale_history TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.stale_history TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.stale_history TO buildkite_worker;

GRANT SELECT ON TABLE analytics.rollup_days TO buildkite_reader;
GRANT SELECT ON TABLE analytics.rollup_days TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.rollup_days TO buildkite_worker;

GRANT SELECT ON TABLE analytics.stage_durations_daily TO buildkite_reader;

GRANT SELECT ON TABLE analytics.teams TO buildkite_reader;

GRANT SELECT ON TABLE analytics.trigger_edges TO buildkite_reader;
GRANT SELECT ON TABLE analytics.trigger_edges TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.trigger_edges TO buildkite_worker;

GRANT SELECT ON TABLE analytics.trigger_trees TO buildkite_reader;

GRANT SELECT ON TABLE analytics.trunk_recoveries TO buildkite_reader;
GRANT SELECT ON TABLE analytics.trunk_recoveries TO buildkite_reconciler;
GRANT SELECT ON TABLE analytics.trunk_recoveries TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.team_members TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.team_members TO buildkite_reconciler;

GRANT SELECT ON TABLE buildkite.users TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE buildkite.users TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE buildkite.users TO buildkite_worker;

GRANT SELECT ON TABLE analytics.users TO buildkite_reader;

GRANT SELECT ON TABLE analytics.webhook_loss TO buildkite_reader;

GRANT SELECT ON TABLE buildkite.artifacts TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.artifacts TO buildkite_reconciler;

GRANT SELECT ON TABLE buildkite.members TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.members TO buildkite_reconciler;
GRANT SELECT ON TABLE buildkite.members TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.organization_slugs TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.organization_slugs TO buildkite_reconciler;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.organization_slugs TO buildkite_worker;

GRANT SELECT ON TABLE buildkite.pipeline_slugs TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.pipeline_slugs TO buildkite_reconciler;
GRANT SELECT,INSERT,UPDATE ON TABLE buildkite.pipeline_slugs TO buildkite_worker;

GRANT SELECT ON TABLE drizzle.__drizzle_migrations TO buildkite_reader;
GRANT SELECT ON TABLE drizzle.__drizzle_migrations TO buildkite_reconciler;
GRANT SELECT ON TABLE drizzle.__drizzle_migrations TO buildkite_web;
GRANT SELECT ON TABLE drizzle.__drizzle_migrations TO buildkite_worker;

GRANT SELECT ON TABLE settings.deployment_rules TO buildkite_reader;
GRANT SELECT ON TABLE settings.deployment_rules TO buildkite_reconciler;
GRANT SELECT ON TABLE settings.deployment_rules TO buildkite_worker;

GRANT INSERT ON TABLE sync.audit_log TO buildkite_reconciler;
GRANT INSERT ON TABLE sync.audit_log TO buildkite_web;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.audit_log TO buildkite_worker;

GRANT USAGE ON SEQUENCE sync.audit_log_id_seq TO buildkite_reconciler;
GRANT USAGE ON SEQUENCE sync.audit_log_id_seq TO buildkite_web;
GRANT USAGE ON SEQUENCE sync.audit_log_id_seq TO buildkite_worker;

GRANT SELECT ON TABLE sync.budgets TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE sync.budgets TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.budgets TO buildkite_web;
GRANT SELECT,DELETE,UPDATE ON TABLE sync.budgets TO buildkite_worker;

GRANT SELECT ON TABLE sync.buildkite_clock TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE sync.buildkite_clock TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.buildkite_clock TO buildkite_web;

GRANT SELECT ON TABLE sync.compatibility TO buildkite_reader;
GRANT SELECT ON TABLE sync.compatibility TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.compatibility TO buildkite_web;
GRANT SELECT ON TABLE sync.compatibility TO buildkite_worker;

GRANT SELECT ON TABLE sync.counted_jobs TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.counted_jobs TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.counted_jobs TO buildkite_worker;

GRANT USAGE ON SEQUENCE sync.cycles_id_seq TO buildkite_reconciler;

GRANT SELECT ON TABLE sync.definitions TO buildkite_reader;
GRANT SELECT ON TABLE sync.definitions TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.definitions TO buildkite_web;
GRANT SELECT ON TABLE sync.definitions TO buildkite_worker;

GRANT USAGE ON SEQUENCE sync.deliveries_id_seq TO buildkite_web;
GRANT USAGE ON SEQUENCE sync.deliveries_id_seq TO buildkite_worker;

GRANT SELECT ON TABLE sync.deployment TO buildkite_reader;
GRANT SELECT ON TABLE sync.deployment TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.deployment TO buildkite_web;
GRANT SELECT ON TABLE sync.deployment TO buildkite_worker;

GRANT UPDATE(addresses) ON TABLE sync.deployment TO buildkite_reconciler;
GRANT UPDATE(addresses) ON TABLE sync.deployment TO buildkite_web;
GRANT UPDATE(addresses) ON TABLE sync.deployment TO buildkite_worker;

GRANT USAGE ON SEQUENCE sync.drift_id_seq TO buildkite_reconciler;

GRANT SELECT ON TABLE sync.erased_people TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.erased_people TO buildkite_web;
GRANT SELECT ON TABLE sync.erased_people TO buildkite_worker;

GRANT SELECT ON TABLE sync.failed_deliveries TO buildkite_reader;
GRANT SELECT ON TABLE sync.failed_deliveries TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.failed_deliveries TO buildkite_web;
GRANT SELECT ON TABLE sync.failed_deliveries TO buildkite_worker;

GRANT USAGE ON SEQUENCE sync.failures_id_seq TO buildkite_reconciler;
GRANT USAGE ON SEQUENCE sync.failures_id_seq TO buildkite_worker;

GRANT SELECT ON TABLE sync.findings TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.findings TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.findings TO buildkite_web;
GRANT SELECT ON TABLE sync.findings TO buildkite_worker;

GRANT SELECT ON TABLE sync.job_counts TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.job_counts TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.job_counts TO buildkite_worker;

GRANT SELECT ON TABLE sync.metric_queues TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.metric_queues TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.metric_queues TO buildkite_worker;

GRANT SELECT ON TABLE sync.job_histograms TO buildkite_reader;
GRANT SELECT ON TABLE sync.job_histograms TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.job_histograms TO buildkite_web;
GRANT SELECT ON TABLE sync.job_histograms TO buildkite_worker;

GRANT SELECT ON TABLE sync.leases TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE sync.leases TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.leases TO buildkite_web;
GRANT SELECT ON TABLE sync.leases TO buildkite_worker;

GRANT SELECT ON TABLE sync.open_work TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.open_work TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.open_work TO buildkite_worker;

GRANT SELECT ON TABLE sync.pauses TO buildkite_reader;
GRANT SELECT,INSERT,DELETE ON TABLE sync.pauses TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE ON TABLE sync.pauses TO buildkite_web;
GRANT SELECT,INSERT,DELETE ON TABLE sync.pauses TO buildkite_worker;

GRANT SELECT ON TABLE sync.pipeline_changes TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE sync.pipeline_changes TO buildkite_reconciler;

GRANT SELECT ON TABLE sync.queue_gauges TO buildkite_reader;
GRANT SELECT ON TABLE sync.queue_gauges TO buildkite_reconciler;
GRANT SELECT ON TABLE sync.queue_gauges TO buildkite_web;
GRANT SELECT ON TABLE sync.queue_gauges TO buildkite_worker;

GRANT SELECT ON TABLE sync.reference_item_syncs TO buildkite_reader;
GRANT SELECT,INSERT,UPDATE ON TABLE sync.reference_item_syncs TO buildkite_reconciler;
GRANT SELECT,DELETE,UPDATE ON TABLE sync.reference_item_syncs TO buildkite_worker;

GRANT SELECT,INSERT,DELETE ON TABLE sync.sessions TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE ON TABLE sync.sessions TO buildkite_web;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.sessions TO buildkite_worker;

GRANT USAGE ON SEQUENCE sync.stale_history_id_seq TO buildkite_reconciler;
GRANT USAGE ON SEQUENCE sync.stale_history_id_seq TO buildkite_worker;

GRANT SELECT ON TABLE sync.user_identities TO buildkite_reader;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.user_identities TO buildkite_reconciler;
GRANT SELECT,INSERT,DELETE,UPDATE ON TABLE sync.user_identities TO buildkite_worker;

GRANT USAGE ON SEQUENCE sync.windows_id_seq TO buildkite_reconciler;

ALTER DEFAULT PRIVILEGES FOR ROLE buildkite_owner IN SCHEMA analytics GRANT SELECT ON TABLES  TO buildkite_reader;

ALTER DEFAULT PRIVILEGES FOR ROLE buildkite_owner IN SCHEMA buildkite GRANT SELECT ON TABLES  TO buildkite_reader;

ALTER DEFAULT PRIVILEGES FOR ROLE buildkite_owner IN SCHEMA settings GRANT SELECT ON TABLES  TO buildkite_reader;
