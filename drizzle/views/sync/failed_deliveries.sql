create or replace view sync.failed_deliveries as
select id, event, received_at, failed_at, error, payload is not null as replayable
from sync.deliveries where status = 'failed';

comment on view sync.failed_deliveries is 'Webhooks that could not be applied, for readers who may not read payloads.';
comment on column sync.failed_deliveries.id is 'deliveries.id.';
comment on column sync.failed_deliveries.event is 'The event, such as build.finished.';
comment on column sync.failed_deliveries.received_at is 'When it was received.';
comment on column sync.failed_deliveries.failed_at is 'When it failed last.';
comment on column sync.failed_deliveries.error is 'Why it failed.';
comment on column sync.failed_deliveries.replayable is 'Whether it can be applied again: its payload has not been deleted yet.';
