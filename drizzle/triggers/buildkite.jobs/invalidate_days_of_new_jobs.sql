create or replace trigger invalidate_days_of_new_jobs after insert on buildkite.jobs
  referencing new table as after_rows for each statement execute function sync.invalidate_days_of_new_jobs();
