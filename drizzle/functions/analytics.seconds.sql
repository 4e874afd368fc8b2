create or replace function analytics.seconds(earlier timestamptz, later timestamptz) returns double precision
language sql immutable parallel safe
return case
  when later <= earlier then 0
  when later - earlier < interval '24855 days' then extract(epoch from later - earlier)::double precision -- the seconds that an integer can hold
end;

comment on function analytics.seconds is 'Seconds from one time to a later one; 0 if they are in reverse order, which happens in Buildkite''s data. Null if either is null, or if 68 years or more are between them: then one is an uninitialised clock and would distort every mean.';
