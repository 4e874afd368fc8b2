create or replace function analytics.stable_id(key text) returns bigint
language sql immutable parallel safe
return ('x' || substr(md5(key), 1, 16))::bit(64)::bigint & 9223372036854775807;

comment on function analytics.stable_id is 'A positive number that is always the same for the same text: the first 63 bits of its MD5, without the sign.';
