create or replace function analytics.job_name(name text, label text, step_key text, command text) returns text
language sql immutable parallel safe
return coalesce(nullif(name, ''), nullif(label, ''), nullif(step_key, ''), nullif(left(command, 80), ''), 'unnamed');

comment on function analytics.job_name is 'What people call a job: its name, otherwise its label, its step''s key, or the start of its command, with its line breaks; unnamed if it has none of these, as waiters.';
