create or replace trigger invalidate_all_days after insert or update or delete on settings.deployment_rules
  for each statement execute function sync.invalidate_all_days_at_change();
