create or replace function analytics.whole_seconds(seconds double precision) returns integer
language sql immutable parallel safe
return case
  when seconds < 2147483647 then ((round(seconds * 1000)::bigint + 500) / 1000)::integer
  when seconds is not null then 2147483647
end;

comment on function analytics.whole_seconds is 'The nearest whole second; a half is rounded up. Times have milliseconds.';
