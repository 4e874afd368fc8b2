create or replace trigger invalidate_days_of_new_connections after insert on buildkite.agent_connections
  referencing new table as after_rows for each statement execute function sync.invalidate_days_of_new_connections();
