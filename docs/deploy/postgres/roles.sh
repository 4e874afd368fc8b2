#!/bin/sh
# Creates the database roles and users of docs/operations/deployment.md. The image of Postgres runs it once, on an empty volume. To change
# passwords, or for a volume from before 0.2, run it again: docker compose exec postgres sh /docker-entrypoint-initdb.d/roles.sh
#
# Only POSTGRES_USER is a superuser, and nothing outside this container logs in as it. Users without a password are not created. What each
# group role may do is decided by `buildkite-mirror migrate --roles`.
set -eu
export POSTGRES_WEB_PASSWORD="${POSTGRES_WEB_PASSWORD:-}"
export POSTGRES_WORKER_PASSWORD="${POSTGRES_WORKER_PASSWORD:-}"
export POSTGRES_RECONCILER_PASSWORD="${POSTGRES_RECONCILER_PASSWORD:-}"
# A statement that fails would be logged with the password in it.
export PGOPTIONS='-c client_min_messages=warning -c log_statement=none -c log_min_error_statement=panic -c log_min_duration_statement=-1'

psql --no-psqlrc --quiet --set ON_ERROR_STOP=1 --single-transaction --output /dev/null \
  --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
\getenv owner POSTGRES_OWNER_PASSWORD
\getenv service POSTGRES_SERVICE_PASSWORD
\getenv web POSTGRES_WEB_PASSWORD
\getenv worker POSTGRES_WORKER_PASSWORD
\getenv reconciler POSTGRES_RECONCILER_PASSWORD
\getenv reader POSTGRES_READER_PASSWORD
create temporary table users (name, password, groups) on commit drop as values
  ('mirror_owner', :'owner', 'buildkite_owner'),
  ('mirror_service', :'service', 'buildkite_web, buildkite_worker, buildkite_reconciler'),
  ('mirror_web', :'web', 'buildkite_web'),
  ('mirror_worker', :'worker', 'buildkite_worker'),
  ('mirror_reconciler', :'reconciler', 'buildkite_reconciler'),
  ('mirror_reader', :'reader', 'buildkite_reader');

select format('create role %I nologin', name)
  from (select distinct unnest(string_to_array(groups, ', ')) as name from users) as needed
  where not exists (select from pg_roles where rolname = name) \gexec
select format('create role %I', name) from users
  where password <> '' and not exists (select from pg_roles where rolname = name) \gexec
select format('alter role %I login nosuperuser nocreatedb nocreaterole noreplication nobypassrls password %L', name, password)
  from users where password <> '' \gexec
select format('grant %s to %I', groups, name) from users where password <> '' \gexec

-- Only these users may connect.
select format('alter database %I owner to buildkite_owner', current_database()) \gexec
select format('revoke all on database %I from public', current_database()) \gexec
select format('grant connect on database %I to buildkite_web, buildkite_worker, buildkite_reconciler, buildkite_reader',
              current_database()) \gexec
SQL
