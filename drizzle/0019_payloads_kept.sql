-- Locks the deliveries alone, and nothing after them: there is no order to keep.
CREATE INDEX "deliveries_payload_kept" ON "sync"."deliveries" USING btree ("received_at") WHERE "sync"."deliveries"."payload" is not null and "sync"."deliveries"."status" in ('applied', 'ignored');
