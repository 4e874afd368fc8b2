grant usage on schema analytics, buildkite, drizzle, settings, sync to buildkite_worker;
