create or replace function analytics.build_state(state text, blocked boolean) returns text
language sql immutable parallel safe
return case when blocked and state is distinct from 'canceled' then 'blocked' else state end;

comment on function analytics.build_state is 'The effective state of a build. A build that waits at a block step keeps its last state, such as passed, and has blocked: true. It is blocked, whatever its state shows. A canceled build never runs again, so it stays canceled.';
