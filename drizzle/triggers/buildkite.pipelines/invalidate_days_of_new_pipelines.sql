create or replace trigger invalidate_days_of_new_pipelines after insert on buildkite.pipelines
  referencing new table as after_rows for each statement execute function sync.invalidate_days_of_new_pipelines();
