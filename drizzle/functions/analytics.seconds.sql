create or replace function analytics.seconds(earlier timestamptz, later timestamptz) returns double precision
language sql immutable parallel safe
return case
  -- the seconds that an integer can hold
  when later - earlier >= interval '24855 days' or earlier - later >= interval '24855 days' then null
  when later <= earlier then 0
  else extract(epoch from later - earlier)::double precision
end;

comment on function analytics.seconds is 'Seconds from one time to a later one; 0 if they are in reverse order, which happens in Buildkite''s data. Null if either is null, or if 68 years or more are between them, in either order: then one is an uninitialised clock and would distort every mean.';
