create or replace function analytics.whole_seconds(seconds double precision) returns integer
language sql immutable parallel safe
return least((round(seconds * 1000)::bigint + 500) / 1000, 2147483647)::integer;

comment on function analytics.whole_seconds is 'The nearest whole second; a half is rounded up. Times have milliseconds.';
