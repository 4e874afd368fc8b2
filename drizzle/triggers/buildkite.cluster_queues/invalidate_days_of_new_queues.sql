create or replace trigger invalidate_days_of_new_queues after insert on buildkite.cluster_queues
  referencing new table as after_rows for each statement execute function sync.invalidate_days_of_new_queues();
