create or replace function analytics.repository_url(url text) returns text
language sql immutable parallel safe
return regexp_replace(regexp_replace(url, '^(https?://)[^/]*@', '\1', 'i'), '^([A-Za-z][A-Za-z0-9+.-]*://[^/:@]*):[^/]*@', '\1@');

comment on function analytics.repository_url is 'A repository''s address without the passwords and tokens in it.';
