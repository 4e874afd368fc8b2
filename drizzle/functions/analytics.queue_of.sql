create or replace function analytics.queue_of(rules text[]) returns text
language sql stable parallel safe -- stable, as array_to_string is, so that Postgres can inline it
return substring(array_to_string(rules, E'\n') from '(?:^|\n)queue=([^\n]*)');

comment on function analytics.queue_of is 'The queue in a job''s agent query rules (or an agent''s meta-data): deploy for {queue=deploy,os=linux}. Null if they name none.';
