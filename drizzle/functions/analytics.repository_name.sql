create or replace function analytics.repository_name(url text) returns text
language sql immutable parallel safe
return nullif(regexp_replace(
  regexp_replace(url, '^([A-Za-z][A-Za-z0-9+.-]*://[^/]*/+|[^/]*@[^/:@]*[/:]+|[^/:@]+:/*|[^/:@]*\.[^/:@]*/+(?=[^/]+/+[^/])|/+)', ''),
  '(\.git)?/*$', ''), '');

comment on function analytics.repository_name is 'owner/name in a repository''s address, for example of https://github.com/acme/app.git or git@github.com:acme/app.git. Everything up to the host is removed, with user names, passwords and tokens.';
