CREATE TABLE "sync"."audit_log" (
	"id" bigserial PRIMARY KEY NOT NULL,
	"at" timestamp (3) with time zone NOT NULL,
	"who" text NOT NULL,
	"via" text NOT NULL,
	"session" text,
	"address" text NOT NULL,
	"request" text NOT NULL,
	"target" text,
	"result" text NOT NULL,
	"times" integer NOT NULL
);
--> statement-breakpoint
CREATE TABLE "sync"."sessions" (
	"key" text PRIMARY KEY NOT NULL,
	"ends_at" timestamp (3) with time zone NOT NULL
);
--> statement-breakpoint
CREATE INDEX "audit_log_at" ON "sync"."audit_log" USING btree ("at");--> statement-breakpoint
comment on table sync.sessions is 'Sessions on the private listener. A row ends with a sign-out, and expires after eight hours.';--> statement-breakpoint
comment on column sync.sessions.key is 'HMAC-SHA-256 over the token, with the random id in the cookie as key. Without the cookie it reveals nothing about the token.';--> statement-breakpoint
comment on column sync.sessions.ends_at is 'When the session expires.';--> statement-breakpoint
comment on table sync.audit_log is 'Requests to the private listener that act, sign in or out, or carry a wrong token. Repeated refusals are counted, one row a minute.';--> statement-breakpoint
comment on column sync.audit_log.id is 'Number of the row.';--> statement-breakpoint
comment on column sync.audit_log.at is 'When the request was answered; for counted refusals, the end of their minute.';--> statement-breakpoint
comment on column sync.audit_log.who is 'admin (ADMIN_TOKEN), reader (READER_TOKEN), local (no token is set), or unknown (no right token).';--> statement-breakpoint
comment on column sync.audit_log.via is 'How the token came: session (cookie), bearer (header), form (sign-in), or none.';--> statement-breakpoint
comment on column sync.audit_log.session is 'The first eight characters of sync.sessions.key. Connects what one session did.';--> statement-breakpoint
comment on column sync.audit_log.address is 'Address of the client. Behind a proxy in TRUST_PROXY, the address that it forwards.';--> statement-breakpoint
comment on column sync.audit_log.request is 'Method and route, such as POST /actions/replay; * for paths that do not exist.';--> statement-breakpoint
comment on column sync.audit_log.target is 'What the action was applied to, such as organization=… or failed=all.';--> statement-breakpoint
comment on column sync.audit_log.result is 'done, refused (not allowed), or failed.';--> statement-breakpoint
comment on column sync.audit_log.times is 'How many requests the row stands for.';
