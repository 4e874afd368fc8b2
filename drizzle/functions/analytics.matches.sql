create or replace function analytics.matches(value text, glob text) returns boolean
language sql immutable parallel safe
return value like analytics.pattern_of(glob);

comment on function analytics.matches is 'Whether a text matches a pattern in which * matches any characters.';
