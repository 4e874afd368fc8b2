-- What every view and column of analytics means, and the tables of the migrations before. A column that means the same everywhere is said once.

comment on schema analytics is 'What analysts ask: views over the mirror, and sums that are kept up to date. Names, results and times mean the same in every one. Days and hours are UTC.';
comment on schema settings is 'What you tell the mirror, by SQL: which builds are deployments, what agents cost.';

comment on view analytics.pipeline_sources is 'Where pipeline runs come from, in the shape of DX''s table of that name: one row, Buildkite.';
comment on view analytics.pipeline_runs is 'Builds in the shape of DX''s table of that name, so that a query written for it runs unchanged. One row a build. Our own grain, with first and final result: analytics.builds.';
comment on view analytics.pipeline_jobs is 'Command and trigger jobs in the shape of DX''s table of that name, every try a row. Our own grain: analytics.jobs.';
comment on table analytics.deployments is 'Deployments in the shape of DX''s table of that name, found by the rules in settings.deployment_rules: builds, or the last tries of a step''s jobs, that ended in success or failure. Canceled, blocked and open ones are none. Without rules it is empty. A kept table, made anew within about 15 s of a change of a build, and for every day when a rule changes.';
comment on view analytics.pipelines is 'Pipelines with their tags and the teams that own them. Every other view has pipeline_id: join here to slice it by team or tag (where ''payments'' = any (teams)).';
comment on view analytics.attempt_runs is 'How long each attempt of a build ran, pauses at block steps and between attempts left out. Made for the other views.';
comment on view analytics.builds is 'Builds, one row each, with first and final result side by side. Sum up run_seconds for what people wait while it runs, total_seconds for what they wait in all.';
comment on view analytics.build_attempts is 'Each finish of a build: a retry or an unblock begins the next attempt. A stop at a block step is an attempt of state blocked, without result. An attempt that is still running has no row yet.';
comment on view analytics.jobs is 'Jobs, every try a row: command jobs (type script), gates (manual), triggers, waiters. result tells apart why a job did not pass.';
comment on view analytics.job_retries is 'Jobs that were tried again, a row for each chain of tries within one build: first try, last try, and whether that makes it flaky. All tries have the same commit.';
comment on view analytics.trigger_edges is 'Which build triggered which, as told by the trigger job or by the triggered build itself.';
comment on view analytics.trigger_trees is 'Builds that triggered others, with everything below them: how many, how deep, how long until the last one finished. A row for each build at the top of a tree.';
comment on view analytics.approvals is 'Block and input steps: since when each held its build, who let it go and when.';
comment on view analytics.agents is 'Agents, those that are gone too, as last seen.';
comment on view analytics.users is 'People, put together from creators, authors, unblockers and members by id and e-mail address.';
comment on view analytics.pipeline_schedules is 'Schedules of pipelines (a build of source schedule is made by one of them; Buildkite does not say by which).';
comment on view analytics.rebuilds is 'Builds that were made by Rebuild, beside the build that they repeat.';
comment on view analytics.pull_requests is 'What each pull request cost in CI. Merge times are not Buildkite''s to know. Ask for one (where pr_number = ...); for all of a span of time group analytics.builds.';
comment on view analytics.parallel_steps is 'How evenly the parts of a parallel step share the work, by the last try of each part. imbalance 1 is perfect; at 2 the step takes twice as long as it had to.';
comment on view analytics.critical_paths is 'The chain of jobs that decided how long a build took, first to last: from the job that finished last, back to the job whose end let it begin. Buildkite''s API has no dependencies; a job counts as waiting for the one that finished last before it became runnable (within 1 s). Ask for one build (where build_id = ...).';
comment on view analytics.first_failures is 'When a build first told that it would fail: the earliest of failing_at, the first hard failure of a job, and a promised exit status. Also of builds that a retry turned green.';
comment on view analytics.trunk_recoveries is 'Red spells of default branches: the build that broke it, and the next build (by number) that passed. By final results: a build that a retry turned green breaks nothing. Some count from the first red commit''s push instead; that is not Buildkite''s to know.';
comment on view analytics.job_breaks is 'Which build broke a job on the default branch: its last try failed or timed out, and passed in the build before that had it. Lost agents break nothing.';
comment on table analytics.pipeline_durations_daily is 'How long builds ran, by pipeline and the day (UTC) they finished, attempts added up and pauses left out. Practice disagrees on whether failures count: percentiles are over passed and failed builds; passed_ over passed ones alone; first_ over first attempts alone. A kept table.';
comment on table analytics.branch_durations_daily is 'As pipeline_durations_daily, by branch. A kept table.';
comment on table analytics.build_results_daily is 'How builds ended, by pipeline and the day (UTC) they finished. Practice disagrees on retries: failure_rate is by the final result, first_failure_rate by the first. Canceled and skipped builds are in neither; those that never finished count on the day they were created. A kept table.';
comment on view analytics.job_failures_daily is 'Failure rates of command jobs, every try counted, by pipeline and the day (UTC) they finished: hard (failed, timed out), soft, and infrastructure (agent lost, expired). Canceled tries are left out of the rates. Practice disagrees on soft failures: add the rate to the hard one or do not.';
comment on view analytics.flaky_jobs_daily is 'Jobs whose first try failed by themselves and that were tried again in the same build, so on the same commit; flaky are those whose last try passed. A lost agent makes no job flaky.';
comment on table analytics.trunk_health_daily is 'The default branch day by day (UTC): builds and commits that ended red. A kept table.';
comment on view analytics.first_failures_daily is 'Time from a build''s creation to its first sign of failure, by pipeline and the day (UTC) the build was created.';
comment on view analytics.cancellations_daily is 'Builds canceled or skipped, and the minutes their command jobs had run, by reason and the day (UTC) they were created.';
comment on view analytics.build_sources_daily is 'What makes builds, by day (UTC) of creation: webhook, api, ui, trigger_job or schedule, and for whom.';
comment on view analytics.costs_daily is 'Agent minutes times the rates in settings.queue_rates. cost is null for a queue without a rate.';
comment on view analytics.busy_periods is 'Stretches of hours in which a tenth of a queue''s jobs waited more than a minute for an agent. For another limit take queue_waits_hourly.';
comment on view analytics.dora_weekly is 'Deployment frequency, change failure rate, time to restore and lead time by service, environment and week (Monday, UTC), from analytics.deployments. A failed deployment counts as a failed change; practice also counts incidents, which Buildkite does not know.';
comment on view analytics.data_coverage is 'Which spans of created_at are complete for each organization: every build created in them was read from the API. No row with complete_from: nothing yet.';
comment on view analytics.data_freshness is 'How far behind the mirror is, by organization. Webhook figures are of all organizations together.';
comment on view analytics.webhook_loss is 'Builds and jobs, by hour (UTC) of creation or start, that REST told of although webhooks were on: nothing had come 10 s later. Counts since the first webhook ever received. Hours that a backfill read look like loss too, if webhooks of another organization came then.';
comment on view analytics.drift is 'Differences found between mirror and API by audit or verify, without the values (those are in sync.drift).';
comment on view analytics.dimensions is 'When each small list (clusters, teams, members, ...) was last read, and why not if it was not: a token without its scope.';
comment on table analytics.jobs_daily is 'Command jobs by pipeline, job name and the day (UTC) they finished: every try counted, except skipped and broken ones. A kept table, made anew within about 15 s of a change. Percentiles are over all tries; passed_ over those that passed.';
comment on table analytics.queue_waits_daily is 'Waits for an agent by queue and the day (UTC) the job started, from runnable_at to started_at: waiting for other steps or for a concurrency group is not in it. Only command jobs that started. A kept table.';
comment on table analytics.queue_waits_hourly is 'As queue_waits_daily, by hour (UTC), with the time that the queue''s jobs ran in that hour. A job of more than a day is counted in the hours of its first and last day. A kept table.';
comment on table analytics.minutes_daily is 'Agent minutes of command jobs by pipeline, branch, queue and the day (UTC) they finished, and the part wasted, each minute under the first reason that applies: agent lost, canceled (the job or its build), retried, rebuilt. A kept table.';
comment on table analytics.agents_daily is 'What each agent did on a day (UTC): jobs finished, time busy, jobs lost. A job of more than a day is counted on its first and last day. A kept table.';
comment on table buildkite.clusters is 'Clusters. Read hourly when a token has read_clusters.';
comment on table buildkite.cluster_queues is 'Queues of clusters. Read hourly when a token has read_clusters.';
comment on table buildkite.teams is 'Teams. Read hourly when a token has view_teams.';
comment on table buildkite.team_members is 'Who is in which team. Read hourly when a token has view_teams.';
comment on table buildkite.team_pipelines is 'Which team owns which pipeline. Read hourly when a token has view_teams.';
comment on table buildkite.members is 'Members of organizations, by the id of the user. Read hourly when the token''s user may view teams.';
comment on table buildkite.pipeline_schedules is 'Schedules that make builds. Read hourly.';
comment on table buildkite.annotations is 'Annotations of builds. Empty unless STORE_ANNOTATIONS is on.';
comment on table buildkite.artifacts is 'Artifacts of builds, without their content. Empty unless STORE_ARTIFACTS is on.';
comment on table buildkite.users is 'People, put together by sync.refresh_users() from everywhere they appear: the same id, else an e-mail address that some id is known by, else the address, else the user name.';
comment on table sync.sightings is 'Every way in which a person was seen; buildkite.users is put together from them.';
comment on table sync.dimensions is 'How each small list of an organization was last read.';
comment on table sync.stale_days is 'Days whose kept sums in analytics are to be made anew. Filled by triggers on builds and jobs, emptied by sync.refresh_rollups().';
comment on table sync.rollups is 'When sums (days) and people (users) were last brought up to date.';
comment on table sync.jobs_found is 'Command jobs by hour of start, and how many of them REST told of first; analytics.webhook_loss reads it. A kept table.';
comment on table sync.builds_found is 'Builds by hour of creation, and how many of them REST told of first; analytics.webhook_loss reads it. A kept table.';
comment on table settings.deployment_rules is 'What counts as a deployment. Yours to fill: insert into settings.deployment_rules (pipeline, branch, step) values (''shop'', ''main'', ''deploy'').';
comment on table settings.queue_rates is 'What a minute of a queue''s agents costs. Yours to fill.';

do $$
declare
  said record;
begin
  for said in
    select format('comment on column %I.%I.%I is %L', nspname, relname, attname, coalesce(special.comment, general.comment)) as statement
    from pg_attribute join pg_class on pg_class.oid = attrelid join pg_namespace on pg_namespace.oid = relnamespace
    left join (values
      ('agent_id', 'agents.id.'),
      ('agent_name', 'Name of the agent.'),
      ('agent_wait_seconds', 'Seconds from runnable to started: the wait for an agent.'),
      ('api', 'Whether the customer pushes the data: no.'),
      ('arch', 'Processor architecture.'),
      ('archived_at', 'When it was archived.'),
      ('async', 'Whether the parent goes on without waiting; null when only the child tells of the edge.'),
      ('attempt', '1 for the first.'),
      ('attempts', 'How often it has finished, stops at block steps not counted.'),
      ('attributed_at', 'As deployed_at.'),
      ('author_email', 'E-mail address of the commit''s author, in lower case.'),
      ('author_name', 'Name of the commit''s author.'),
      ('base', 'Branch that it is to be merged into.'),
      ('began_at', 'Beginning of the first busy hour.'),
      ('blocked_at', 'Since when the build has waited here: its last stop before the unblock; when other steps went on meanwhile, the step''s creation.'),
      ('branch', 'Branch.'),
      ('broken_at', 'When it broke: the end of the first red build or try.'),
      ('broken_by_build_id', 'builds.id of the build that broke it.'),
      ('broken_by_commit', 'Its commit.'),
      ('broken_by_email', 'E-mail address of the commit''s author, else of the build''s creator.'),
      ('broken_by_number', 'Its number.'),
      ('build_id', 'builds.id.'),
      ('build_number', 'Number of the build.'),
      ('builds', 'How many builds.'),
      ('builds_lost', 'Builds that REST told of, 10 s or more after they were created.'),
      ('busy_seconds', 'Seconds that jobs ran, added up.'),
      ('cancel_reason', 'Why it was canceled or skipped, as Buildkite says.'),
      ('canceled', 'How many were canceled.'),
      ('change_failure_rate', 'Failed deployments by all, 0 to 1.'),
      ('changed_at', 'When the row last changed in the mirror; indexed below, for incremental loads.'),
      ('child_build_id', 'builds.id of the triggered build.'),
      ('child_pipeline_id', 'Its pipeline.'),
      ('child_result', 'Its result.'),
      ('cluster', 'Name of the cluster; null when the token lacks read_clusters.'),
      ('cluster_id', 'clusters.id; null outside clusters.'),
      ('columns', 'Columns that differed.'),
      ('commit', 'Commit; may be HEAD or a branch''s name until the build starts.'),
      ('commit_sha', 'Commit.'),
      ('commits', 'How many commits.'),
      ('complete_from', 'Beginning of the span.'),
      ('complete_to', 'End of the span, not in it.'),
      ('concurrency_seconds', 'Seconds that these jobs waited for concurrency groups before, added up.'),
      ('concurrency_wait_seconds', 'Seconds of waiting for a concurrency group. Null: it was in none, or only a webhook has told of it so far.'),
      ('connected_at', 'When it connected.'),
      ('connection_state', 'never_connected, connected, disconnected, stopping, stopped or lost.'),
      ('cost', 'Minutes times the queue''s rate.'),
      ('cost_wasted', 'Minutes wasted times the queue''s rate.'),
      ('created_at', 'When it was created.'),
      ('created_by_email', 'E-mail address of the person who made it.'),
      ('creator_email', 'E-mail address of the person who made the build, in lower case.'),
      ('creator_id', 'Id of the person who made the build (users.id).'),
      ('creator_name', 'Name of the person who made the build.'),
      ('cronline', 'When it makes builds, as cron or a word such as @daily.'),
      ('currency', 'Currency of the rate.'),
      ('day', 'Day in UTC.'),
      ('default_branch', 'Default branch.'),
      ('deleted_at', 'When the mirror noticed that Buildkite no longer shows it; null: it does.'),
      ('dependency_wait_seconds', 'Seconds from created to runnable, less the wait for a concurrency group: steps and gates before it.'),
      ('deployed_at', 'When the deployment ended.'),
      ('deployment_inference_rule_id', 'settings.deployment_rules.id.'),
      ('deployment_service_id', 'DX''s own id; always null here.'),
      ('deployments', 'How many.'),
      ('depth', 'Levels below the top.'),
      ('disconnected_at', 'When it disconnected.'),
      ('duration', 'Seconds from started_at to finished_at; null until then.'),
      ('dx_user_id', 'DX''s own id; always null here.'),
      ('email', 'E-mail address.'),
      ('emails', 'All e-mail addresses by which the person was seen.'),
      ('enabled', 'Whether it is on.'),
      ('ended_at', 'End of the last busy hour.'),
      ('environment', 'Environment, of the rule.'),
      ('error', 'Why the list could not be read; null: it could.'),
      ('exit_status', 'Exit status; -1: the agent was lost, or the job timed out.'),
      ('expired', 'How many no agent took.'),
      ('failed', 'How many failed.'),
      ('failed_at', 'When its last failed try to make a build was; null: the last one succeeded.'),
      ('failed_builds', 'How many of its builds failed.'),
      ('failed_message', 'Why that failed.'),
      ('failed_webhooks', 'Deliveries set aside because they could not be applied (see replay).'),
      ('failing_at', 'When the build first was certain to fail; stays though a retry passes.'),
      ('failure_rate', 'Failed by passed and failed, 0 to 1.'),
      ('final_finished_at', 'When the last try ended.'),
      ('final_job_id', 'jobs.id of the last try.'),
      ('final_result', 'How the last try ended.'),
      ('finished', 'How many passed or failed.'),
      ('finished_at', 'When it finished.'),
      ('first_build_at', 'When its first build was created.'),
      ('first_failed', 'How many failed at the first attempt.'),
      ('first_failure_at', 'The earlier of failing_at and job_failed_at.'),
      ('first_failure_rate', 'Failed at the first attempt by passed and failed, 0 to 1.'),
      ('first_finished_at', 'When the first attempt or try ended.'),
      ('first_job_id', 'jobs.id of the first try.'),
      ('first_p50_seconds', 'Median of first attempts, in seconds.'),
      ('first_p90_seconds', '90th percentile of first attempts, in seconds.'),
      ('first_result', 'How the first attempt or try ended.'),
      ('first_run_seconds', 'Seconds of running until the first result.'),
      ('flaky', 'Failed, then passed on the same commit.'),
      ('found_at', 'When it was found.'),
      ('found_by', 'audit or verify.'),
      ('github_repository_id', 'DX''s own id; always null here.'),
      ('github_username', 'User name of the commit''s author, where the pipeline''s repository is on GitHub.'),
      ('gitlab_project_id', 'DX''s own id; always null here.'),
      ('green_rate', 'Passed by passed and failed, 0 to 1.'),
      ('group_key', 'Key of the group step that it belongs to.'),
      ('hard_failed', 'Tries that failed or timed out.'),
      ('hard_failure_rate', 'hard_failed by tries that were not canceled, 0 to 1.'),
      ('head_branch', 'Branch.'),
      ('healed_at', 'When the mirror was mended; null: not yet.'),
      ('hostname', 'Name of its machine.'),
      ('hour', 'Beginning of the hour.'),
      ('hours', 'How many hours.'),
      ('id', 'Buildkite''s UUID.'),
      ('imbalance', 'Longest by mean.'),
      ('infra_failed', 'Tries whose agent was lost, or that no agent took.'),
      ('infra_failure_rate', 'infra_failed by tries that were not canceled, 0 to 1.'),
      ('infra_lost', 'How many failed for want of their machine.'),
      ('integration_branch', 'Default branch of the pipeline.'),
      ('is_busy', 'Whether it runs a job.'),
      ('is_connected', 'Whether it is connected or stopping.'),
      ('is_current', 'Whether the span reaches to the watermark of the last cycle.'),
      ('is_default_branch', 'Whether the branch is the pipeline''s default branch, as it is at present.'),
      ('is_first', 'Whether it belongs to the run up to the first result.'),
      ('is_member', 'Whether a list of members holds the person at present.'),
      ('is_provisional', 'Whether a webhook has changed it since REST last showed it.'),
      ('job', 'Name of the job, as people read it.'),
      ('job_failed_at', 'When the first job failed hard, or promised to.'),
      ('job_id', 'jobs.id.'),
      ('jobs', 'Command jobs that started in the hour.'),
      ('jobs_lost', 'Of them, those that REST told of first, 10 s or more after they started.'),
      ('kind', 'missing, different or surplus: see sync.drift.'),
      ('label', 'Label.'),
      ('last_cycle_at', 'When the last hot cycle ended well.'),
      ('last_finished_at', 'When its last build finished.'),
      ('last_good_number', 'Number of the build before, in which the job passed.'),
      ('last_job_finished_at', 'When its last job finished.'),
      ('last_result', 'Result of the day''s last build, by number.'),
      ('last_seen_at', 'When the person last made, wrote or unblocked something.'),
      ('last_webhook_at', 'When the last applied webhook was received.'),
      ('last_webhook_lag_seconds', 'Seconds from its receipt to its rows.'),
      ('longest_seconds', 'Seconds of the longest part.'),
      ('lost_at', 'When it was found lost.'),
      ('lost_seconds', 'Seconds that the failed first tries took.'),
      ('matrix', 'Values of the matrix.'),
      ('max_seconds', 'Longest, in seconds.'),
      ('mean_running_jobs', 'Jobs that ran at the same time, on average.'),
      ('mean_seconds', 'Mean, in seconds.'),
      ('merge_commit_shas', 'The deployed commit, alone: which commits it brings is for the repository to say.'),
      ('message', 'Commit message, or what the build was given.'),
      ('meta_data', 'Meta-data, as key=value.'),
      ('minutes', 'Agent minutes.'),
      ('minutes_canceled', 'Minutes of jobs that were canceled or whose build was.'),
      ('minutes_infra_lost', 'Minutes of jobs whose agent was lost.'),
      ('minutes_rebuilt', 'Minutes of builds that somebody rebuilt.'),
      ('minutes_retried', 'Minutes of tries that another try replaced.'),
      ('minutes_wasted', 'Of them, lost to lost agents, cancels, retries and rebuilds.'),
      ('name', 'Name.'),
      ('next_build_at', 'When it makes the next build.'),
      ('number', 'Number within the pipeline.'),
      ('open_builds', 'Builds that are not finished.'),
      ('organization', 'Slug of the organization, at present.'),
      ('organization_id', 'organizations.id.'),
      ('original_build_id', 'builds.id of the repeated build.'),
      ('original_number', 'Its number.'),
      ('original_result', 'Its result.'),
      ('os_id', 'Operating system.'),
      ('p50_lead_seconds', 'Median of the seconds from the commit''s author date to its successful deployment; null where Buildkite was told no date.'),
      ('p50_seconds', 'Median, in seconds.'),
      ('p50_seconds_to_restore', 'Median of the seconds from the first failed deployment of a spell to the next that succeeded.'),
      ('p75_seconds', '75th percentile, in seconds.'),
      ('p90_seconds', '90th percentile, in seconds.'),
      ('p95_seconds', '95th percentile, in seconds.'),
      ('parallel_group_index', 'Which part of a parallel step, from 0.'),
      ('parallel_group_total', 'Parts of the parallel step.'),
      ('parent_build_id', 'builds.id of the triggering build.'),
      ('parent_pipeline_id', 'Its pipeline.'),
      ('parent_result', 'Its result.'),
      ('parts', 'Parts that ran.'),
      ('passed', 'How many passed.'),
      ('passed_on_rebuild', 'Failed, then passed as a rebuild.'),
      ('passed_on_retry', 'How many failed at the first attempt and passed in the end.'),
      ('passed_p50_seconds', 'Median of those that passed, in seconds.'),
      ('passed_p90_seconds', '90th percentile of those that passed, in seconds.'),
      ('paused', 'Whether it is paused.'),
      ('pending_webhooks', 'Deliveries received and not yet applied.'),
      ('person_email', 'E-mail address of the creator, else of the commit''s author.'),
      ('pipeline', 'Slug of the pipeline, at present.'),
      ('pipeline_id', 'pipelines.id.'),
      ('pipeline_run_id', 'pipeline_runs.id.'),
      ('pipeline_source_id', 'pipeline_sources.id.'),
      ('position', '1 for the first job.'),
      ('pr_base', 'Branch that the pull request is to be merged into.'),
      ('pr_labels', 'Labels of the pull request.'),
      ('pr_number', 'Number of the pull request.'),
      ('provisional_builds', 'Builds that a webhook has changed since REST last showed them.'),
      ('pull_id', 'DX''s own id; always null here.'),
      ('pushes', 'Distinct commits built.'),
      ('queue', 'Queue: of the agent query rules, else of the cluster, else default.'),
      ('queues', 'Queues of its command jobs.'),
      ('read_at', 'When it was last read whole.'),
      ('rebuild_id', 'builds.id of the new build.'),
      ('rebuild_number', 'Its number.'),
      ('rebuild_result', 'Its result.'),
      ('rebuilt_by_email', 'E-mail address of the person who rebuilt.'),
      ('rebuilt_from_id', 'builds.id of the build that it repeats.'),
      ('recovered_at', 'When the next passing build ended; null: still red.'),
      ('recovered_by_build_id', 'builds.id of that build.'),
      ('recovered_by_number', 'Its number.'),
      ('red_builds', 'Builds that failed.'),
      ('red_commits', 'Commits with a failed build.'),
      ('reference_id', 'Buildkite''s UUID, as text.'),
      ('repository', 'owner/name of the repository.'),
      ('repository_url', 'Address of the repository, as configured.'),
      ('result', 'How it ended; null: it has not.'),
      ('retried', 'How many were tried again afterwards.'),
      ('retried_by', 'Name of the person who retried it; null for automatic ones.'),
      ('retried_in_job_id', 'jobs.id of the next try.'),
      ('retry_type', 'automatic or manual; null: not retried.'),
      ('right_until', 'Until when the mirror can have been right.'),
      ('rollup_days_stale', 'Days whose kept sums are still to be made anew.'),
      ('rollups_refreshed_at', 'When kept sums were last looked after.'),
      ('root_build_id', 'builds.id of the build at the top.'),
      ('rows', 'Rows it held.'),
      ('run_seconds', 'Seconds of running.'),
      ('runnable_at', 'When it was ready for an agent: steps before it, gates and concurrency limits were done with.'),
      ('same_commit', 'Whether both have the same commit.'),
      ('scheduled_at', 'When it was scheduled.'),
      ('seconds', 'Seconds it ran; null when it never started.'),
      ('seconds_since_last_cycle', 'Seconds since then.'),
      ('seconds_to_first_failure', 'Seconds from the build''s creation to its first sign of failure.'),
      ('seconds_to_green', 'Seconds from broken to recovered.'),
      ('seconds_to_heal', 'Seconds from found to mended.'),
      ('service', 'Service: of the rule, else the pipeline''s slug.'),
      ('service_id', 'DX''s own id; always null here.'),
      ('shortest_seconds', 'Seconds of the shortest part.'),
      ('signal', 'Signal that ended it.'),
      ('signal_reason', 'Why, as Buildkite says: agent_stop, cancel, ...'),
      ('skipped', 'How many were skipped or not run.'),
      ('slug', 'Slug, at present.'),
      ('soft_failed', 'How many failed and were allowed to.'),
      ('soft_failure_rate', 'soft_failed by tries that were not canceled, 0 to 1.'),
      ('source', 'What made the build: webhook, api, ui, trigger_job, schedule.'),
      ('source_id', 'Buildkite''s UUID, as text.'),
      ('source_name', 'Name of the pipeline.'),
      ('source_url', 'Address in the browser.'),
      ('started', 'How many jobs started.'),
      ('started_at', 'When it started.'),
      ('state', 'State, as Buildkite says it.'),
      ('status', 'read, missing_scope, refused or off.'),
      ('step', 'The step: its key or label.'),
      ('step_key', 'Key of the step.'),
      ('stopped_at', 'When it stopped.'),
      ('success', 'Whether it succeeded.'),
      ('tag', 'Tag.'),
      ('tags', 'Tags of the pipeline, at present.'),
      ('teams', 'Slugs of the teams that own the pipeline, at present; empty when the token lacks view_teams.'),
      ('timed_out', 'How many ran too long.'),
      ('total', 'Parts that the step has.'),
      ('total_seconds', 'Seconds from created to finished, pauses and waits and all; null while it is not finished.'),
      ('tries', 'How many tries of jobs.'),
      ('trigger_job_id', 'jobs.id of the trigger step; null when only the child tells.'),
      ('triggered_from_build_id', 'builds.id of the build that triggered it.'),
      ('type', 'script, manual, trigger or waiter.'),
      ('unblocked_at', 'When it was unblocked; null: not yet.'),
      ('unblocked_by_email', 'E-mail address of the person who unblocked it.'),
      ('unblocked_by_id', 'Id of the person who unblocked it.'),
      ('unblocked_by_name', 'Name of the person who unblocked it.'),
      ('updated_at', 'When Buildkite was last seen to differ from the row.'),
      ('usernames', 'User names by which the person was seen as an author.'),
      ('verified_at', 'When the part of it that was verified longest ago was last read. Null for a span that cycles alone have read.'),
      ('version', 'Version of the agent.'),
      ('visibility', 'public or private.'),
      ('wait_p50_seconds', 'Median of the wait from created to first started, in seconds.'),
      ('wait_seconds', 'Seconds of waiting.'),
      ('watermark', 'Everything created or finished before it is verified.'),
      ('web_url', 'Address in the browser.'),
      ('week', 'Monday, 00:00 UTC.'),
      ('worst_p90_seconds', 'The worst hour''s 90th percentile of waits, in seconds.')
    ) as general (name, comment) on general.name = attname
    left join (values
      ('agents.queue', 'Queue that it serves.'),
      ('agents_daily.tries', 'Jobs that finished.'),
      ('approvals.state', 'blocked, unblocked, canceled, ...'),
      ('approvals.wait_seconds', 'Seconds from blocked to unblocked; null: not yet.'),
      ('build_attempts.result', 'passed, failed or canceled; null for a stop at a block step.'),
      ('build_attempts.run_seconds', 'Seconds it ran.'),
      ('build_attempts.state', 'How it ended, or blocked where it stopped at a block step.'),
      ('builds.finished_at', 'When it finished; null while it is open or blocked.'),
      ('builds.result', 'How it ended, finally: passed, failed, canceled, skipped, not_run. Null while it is open or blocked.'),
      ('builds.run_seconds', 'Seconds of running, all finished attempts added up; pauses at block steps and between attempts left out.'),
      ('builds.started_at', 'The earliest start of any attempt.'),
      ('builds.state', 'The effective state: blocked while it waits at a block step, else as Buildkite says.'),
      ('builds.wait_seconds', 'Seconds from created to first started.'),
      ('cancellations_daily.minutes', 'Minutes that their command jobs had run.'),
      ('cancellations_daily.result', 'canceled or skipped.'),
      ('critical_paths.run_seconds', 'Seconds it ran.'),
      ('deployments.id', 'Rule and build, or rule and job.'),
      ('deployments.reference_id', 'builds.id or jobs.id, as text.'),
      ('dimensions.name', 'The list: clusters, cluster_queues, teams, ...'),
      ('dora_weekly.failed', 'How many failed.'),
      ('drift.id', 'Order of finding.'),
      ('first_failures.job', 'Name of the job that failed first.'),
      ('first_failures.job_id', 'jobs.id of the job that failed first.'),
      ('first_failures_daily.builds', 'Builds with a sign of failure.'),
      ('flaky_jobs_daily.flaky', 'Of them, those whose last try passed.'),
      ('flaky_jobs_daily.retried', 'Jobs whose first try failed and that were tried again.'),
      ('job_retries.tries', 'How many tries, the first one too.'),
      ('jobs.name', 'What people call it: its name, else label, step key, or the start of its command.'),
      ('jobs.queue', 'Queue: of the agent query rules, else of the cluster, else default; null for jobs that need no agent.'),
      ('jobs.result', 'passed, soft_failed, failed, infra_lost, timed_out, expired, canceled, broken or skipped; null while it is open. See analytics.job_result.'),
      ('jobs.retried', 'Whether another try replaced it. Leave such jobs out for final results.'),
      ('jobs.run_seconds', 'Seconds from started to finished.'),
      ('jobs.soft_failed', 'Whether its failure was allowed.'),
      ('jobs_daily.run_seconds', 'Seconds of running, added up.'),
      ('pipeline_jobs.name', 'Name of the job.'),
      ('pipeline_jobs.status', 'success; failure (also soft failures, lost agents, timed out, expired); not_finished: open, or ended without having run to a result (canceled, skipped, broken).'),
      ('pipeline_runs.duration', 'Seconds from started_at to finished_at, as DX counts: pauses at block steps and between attempts are in it. Without them: builds.run_seconds.'),
      ('pipeline_runs.email', 'E-mail address of the creator, else of the commit''s author, in lower case.'),
      ('pipeline_runs.finished_at', 'When it finished; null while it is open or blocked.'),
      ('pipeline_runs.name', 'Name of the pipeline.'),
      ('pipeline_runs.started_at', 'The earliest start of any attempt, as DX takes it.'),
      ('pipeline_runs.status', 'success, failure, cancelled (also skipped and not run), running (also blocked: a build that waits for an unblock is never a success) or unknown. Of the final attempt: a failed build that a retry turned green is a success; its first result is in analytics.builds.'),
      ('pipeline_sources.id', 'Always 1.'),
      ('pipeline_sources.name', 'Buildkite.'),
      ('pull_requests.builds', 'How many builds.'),
      ('pull_requests.run_seconds', 'Seconds that its builds ran, added up.'),
      ('queue_waits_hourly.started', 'How many jobs started in the hour.'),
      ('trigger_trees.builds', 'Builds in the tree, the top one too.'),
      ('trigger_trees.failed', 'How many of its builds failed.'),
      ('trigger_trees.total_seconds', 'Seconds from the top build''s creation to the last finish in the tree.'),
      ('users.id', 'Buildkite''s UUID of the user; null for an author whom Buildkite does not know by id.'),
      ('users.teams', 'Slugs of the teams that the person is in.'),
      ('webhook_loss.builds', 'Builds created in the hour.')
    ) as special (name, comment) on special.name = relname || '.' || attname
    where (nspname = 'analytics' or nspname = 'sync' and relname like '%\_now') and relkind in ('r', 'v') and attnum > 0 and not attisdropped and coalesce(special.comment, general.comment) is not null
  loop
    execute said.statement;
  end loop;
end
$$;

do $$
declare
  said record;
begin
  for said in
    select format('comment on column %I.%I.%I is %L', nspname, relname, attname, coalesce(special.comment, general.comment)) as statement
    from pg_attribute join pg_class on pg_class.oid = attrelid join pg_namespace on pg_namespace.oid = relnamespace
    left join (values
      ('access_level', 'read_only, build_and_read or manage_build_and_read.'),
      ('body_html', 'Its text, as HTML.'),
      ('branch', 'Branch of its builds.'),
      ('build_id', 'builds.id.'),
      ('builds', 'Builds created in the hour.'),
      ('builds_lost', 'Of them, those that REST told of first, 10 s or more after they were created.'),
      ('changed_at', 'When a column last changed, on the mirror''s clock; for incremental loads.'),
      ('cluster_id', 'clusters.id.'),
      ('color', 'Colour, as a hex code.'),
      ('commit', 'Commit of its builds.'),
      ('context', 'What tells it from the build''s other annotations.'),
      ('created_at', 'When it was created.'),
      ('created_by_email', 'E-mail address of the person who made it.'),
      ('created_by_id', 'Id of the person who made it.'),
      ('created_by_name', 'Name of the person who made it.'),
      ('cronline', 'When it makes builds, as cron or a word such as @daily.'),
      ('currency', 'Currency.'),
      ('day', 'Day in UTC.'),
      ('default', 'Whether new users join it.'),
      ('default_queue_id', 'cluster_queues.id of the queue of agents that name none.'),
      ('deleted_at', 'When the mirror noticed that the list no longer holds it; null: it does. The row stays as history.'),
      ('description', 'Free text, or null.'),
      ('dirname', 'Folder part of the path.'),
      ('dispatch_paused', 'Whether it hands out no jobs.'),
      ('dispatch_paused_at', 'Since when.'),
      ('dispatch_paused_note', 'Why, as the person who paused it wrote.'),
      ('email', 'E-mail address.'),
      ('emails', 'All e-mail addresses by which the person was seen, in lower case.'),
      ('emoji', 'Emoji.'),
      ('enabled', 'Whether it is on.'),
      ('environment', 'Environment that is deployed to.'),
      ('error', 'Why it could not be read; null: it could.'),
      ('extra', 'Fields that Buildkite sent and no column holds, under their own names.'),
      ('failed_at', 'When its last failed try to make a build was; null: the last one succeeded.'),
      ('failed_message', 'Why that failed.'),
      ('file_size', 'Size in bytes.'),
      ('filename', 'Last part of the path.'),
      ('first_seen_at', 'When a list first held it, on the mirror''s clock.'),
      ('graphql_id', 'The same object''s id in the GraphQL API.'),
      ('hour', 'Beginning of the hour.'),
      ('id', 'Buildkite''s UUID.'),
      ('is_member', 'Whether a list of members holds the person at present.'),
      ('job_id', 'jobs.id of the job that made it.'),
      ('jobs', 'Command jobs that started in the hour.'),
      ('jobs_lost', 'Of them, those that REST told of first, 10 s or more after they started.'),
      ('key', 'Key: what agent query rules name.'),
      ('label', 'Label.'),
      ('last_seen_at', 'When the person last made, wrote or unblocked something.'),
      ('marked_at', 'When it was marked.'),
      ('message', 'Message of its builds.'),
      ('mime_type', 'Media type.'),
      ('name', 'Name.'),
      ('next_build_at', 'When it makes the next build.'),
      ('organization_id', 'organizations.id.'),
      ('path', 'Path, as uploaded.'),
      ('per_minute', 'What a minute of an agent costs.'),
      ('pipeline', 'Slug of the pipelines, as a pattern: * stands for any characters.'),
      ('pipeline_id', 'pipelines.id.'),
      ('privacy', 'visible or secret.'),
      ('queue', 'Queue.'),
      ('read_at', 'When it was last read whole.'),
      ('refreshed_at', 'When the last turn began.'),
      ('role', 'member or maintainer; of an organization: member or admin.'),
      ('rows', 'Rows that the list held.'),
      ('seen_to', 'Up to which changed_at people were taken in.'),
      ('service', 'Service that is deployed; null: the pipeline''s slug.'),
      ('sha1sum', 'SHA-1 of its content.'),
      ('slug', 'Name in URLs.'),
      ('sso_mode', 'required or optional; only told to administrators.'),
      ('state', 'new, finished, error, deleted, ...'),
      ('status', 'read, missing_scope (the token may not), refused (Buildkite said no) or off.'),
      ('step', 'Key or name of the step, as a pattern. Null: the whole build is the deployment.'),
      ('style', 'success, info, warning or error.'),
      ('team_id', 'teams.id.'),
      ('took_ms', 'How long the last turn took, in milliseconds.'),
      ('updated_at', 'When it was last changed.'),
      ('url', 'REST address.'),
      ('user_id', 'Id of the user.'),
      ('user_name', 'Name of the user.'),
      ('username', 'User name, in lower case.'),
      ('usernames', 'User names by which the person was seen as an author, in lower case.'),
      ('web_url', 'Address in the browser.')
    ) as general (name, comment) on general.name = attname
    left join (values
      ('buildkite.members.id', 'Id of the user.'),
      ('buildkite.users.email', 'The e-mail address seen last, in lower case.'),
      ('buildkite.users.id', 'Buildkite''s UUID of the user; null for an author whom Buildkite does not know by id.'),
      ('buildkite.users.key', 'What made it one person: the id, an e-mail address, or username: and a name.'),
      ('settings.deployment_rules.branch', 'Branch, as a pattern: * stands for any characters.'),
      ('settings.deployment_rules.enabled', 'Whether the rule counts.'),
      ('settings.deployment_rules.id', 'Number of the rule.'),
      ('sync.dimensions.name', 'Name of the list, as of its table.'),
      ('sync.dimensions.updated_at', 'When the row was written.'),
      ('sync.rollups.name', 'days or users.'),
      ('sync.sightings.id', 'Id of the user, where it was told.'),
      ('sync.sightings.name', 'Name, as last seen.')
    ) as special (name, comment) on special.name = nspname || '.' || relname || '.' || attname
    where nspname || '.' || relname in ('buildkite.clusters', 'buildkite.cluster_queues', 'buildkite.teams', 'buildkite.team_members', 'buildkite.team_pipelines', 'buildkite.members', 'buildkite.pipeline_schedules', 'buildkite.annotations', 'buildkite.artifacts', 'buildkite.users', 'sync.sightings', 'sync.dimensions', 'sync.stale_days', 'sync.rollups', 'sync.jobs_found', 'sync.builds_found', 'settings.deployment_rules', 'settings.queue_rates') and relkind in ('r', 'v') and attnum > 0 and not attisdropped and coalesce(special.comment, general.comment) is not null
  loop
    execute said.statement;
  end loop;
end
$$;
