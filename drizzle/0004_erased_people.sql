create table sync.erased_people (
  id bigserial primary key,
  hash text not null,
  salt uuid not null,
  pseudonym uuid not null,
  erased_at timestamp(3) with time zone not null,
  constraint erased_people_hash_unique unique (hash)
);--> statement-breakpoint
comment on table sync.erased_people is 'The identities of people that erase-person has erased, as hashes: one row for each id, e-mail address, user name and name. Webhooks and the REST API may bring these people again; their pseudonyms are stored then. Not readable by buildkite_reader, because a hash can be compared with a guess.';--> statement-breakpoint
comment on column sync.erased_people.id is 'Number of the row. Processes read the table again when a higher one appears.';--> statement-breakpoint
comment on column sync.erased_people.hash is 'SHA-256 of the salt, the kind of identity and the identity in lower case.';--> statement-breakpoint
comment on column sync.erased_people.salt is 'Random, and the same in every row: the hashes cannot be compared with those of another database.';--> statement-breakpoint
comment on column sync.erased_people.pseudonym is 'Stored in place of the person''s id.';--> statement-breakpoint
comment on column sync.erased_people.erased_at is 'When the identity was erased.';--> statement-breakpoint
comment on column buildkite.pipelines.badge_url is 'Always null: the address gives access to the badge of a private pipeline, so it is not stored.';--> statement-breakpoint
update buildkite.pipelines set badge_url = null, changed_at = statement_timestamp() where badge_url is not null;
