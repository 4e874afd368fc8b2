create or replace function analytics.build_result(state text, blocked boolean) returns text
language sql immutable parallel safe
return case when state = 'canceled' or (not coalesce(blocked, false) and state in ('passed', 'failed', 'skipped', 'not_run')) then state end;

comment on function analytics.build_result is 'How a build ended: passed, failed, canceled, skipped, not_run. Null while it is open, and while it is blocked: a blocked build is neither finished nor a success. A build canceled while it was blocked is canceled.';
