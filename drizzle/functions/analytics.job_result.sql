create or replace function analytics.job_result(state text, soft_failed boolean, exit_status bigint, signal_reason text) returns text
language sql immutable parallel safe
return case
  when state in ('passed', 'unblocked') then 'passed'
  when state in ('timed_out', 'expired', 'canceled', 'skipped') then state
  when state in ('broken', 'waiting_failed', 'blocked_failed', 'unblocked_failed') then 'broken'
  when state = 'finished' and exit_status = 0 then 'passed'
  when state in ('failed', 'finished') then case
    when nullif(signal_reason, '') <> 'cancel' or (exit_status = -1 and nullif(signal_reason, '') is null) then 'infra_lost'
    when soft_failed then 'soft_failed'
    else 'failed'
  end
end;

comment on function analytics.job_result is 'How a job ended. passed (also a gate that was unblocked); soft_failed: it failed and was allowed to; failed: its command failed; infra_lost: its agent or machine was lost (signal_reason other than cancel: agent_stop, agent_refused, process_run_error, ...; or exit status -1 without a reason); timed_out: ran too long; expired: no agent took it; canceled; broken: its conditions prevented it from running, or what it waited for failed; skipped. Null while it is open. A lost agent comes before soft_failed: a job that was allowed to fail and lost its agent is infra_lost.';
