import { boolean, numeric, pgSchema, primaryKey, serial, text, timestamp } from 'drizzle-orm/pg-core'

/** Settings that users write with SQL: the rules and rates that the views of `analytics` read. */
export const settings = pgSchema('settings')

/** What counts as a deployment: matching builds, or matching jobs of a step. Patterns are globs. */
export const deployment_rules = settings.table('deployment_rules', {
  id: serial().primaryKey(),
  pipeline: text().notNull(),
  branch: text().notNull().default('*'),
  step: text(),
  environment: text().notNull().default('production'),
  service: text(),
  enabled: boolean().notNull().default(true),
  organization: text().notNull().default('*'),
})

/** The cost of an agent minute of a queue, in one cluster, or with `*` in all clusters that have no rate of their own. */
export const queue_rates = settings.table(
  'queue_rates',
  {
    queue: text().notNull(),
    per_minute: numeric().notNull(),
    currency: text().notNull().default('USD'),
    cluster: text().notNull().default('*'),
  },
  (t) => [primaryKey({ columns: [t.queue, t.cluster] })],
)

/** Incidents that a user loads: they decide which deployments failed, and when the service had recovered. */
export const incidents = settings.table('incidents', {
  id: text().primaryKey(),
  organization: text().notNull().default('*'),
  service: text().notNull(),
  environment: text().notNull().default('production'),
  started_at: timestamp({ withTimezone: true, precision: 3 }).notNull(),
  resolved_at: timestamp({ withTimezone: true, precision: 3 }),
  deployment_id: text(),
  url: text(),
})
