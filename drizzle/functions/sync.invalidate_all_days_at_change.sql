create or replace function sync.invalidate_all_days_at_change() returns trigger language plpgsql as $$
begin
  insert into sync.stale_history (since) values ('-infinity');
  return null;
end $$;
