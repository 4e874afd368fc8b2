create or replace function analytics.pattern_of(glob text) returns text
language sql immutable parallel safe
return replace(replace(replace(replace(glob, '\', '\\'), '%', '\%'), '_', '\_'), '*', '%');

comment on function analytics.pattern_of is 'The pattern for "like" of a pattern in which * matches any characters.';
