create or replace trigger invalidate_days_of_new_attempts after insert on buildkite.build_attempts
  referencing new table as after_rows for each statement execute function sync.invalidate_days_of_attempts();
