create or replace trigger invalidate_days_of_changed_connections after update on buildkite.agent_connections
  referencing old table as before_rows new table as after_rows for each statement execute function sync.invalidate_days_of_changed_connections();
