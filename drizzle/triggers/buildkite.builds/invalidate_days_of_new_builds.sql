create or replace trigger invalidate_days_of_new_builds after insert on buildkite.builds
  referencing new table as after_rows for each statement execute function sync.invalidate_days_of_new_builds();
