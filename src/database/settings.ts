import { boolean, numeric, pgSchema, primaryKey, serial, text } from 'drizzle-orm/pg-core'

/** What you tell the mirror, by SQL: the rules and rates that the views of `analytics` read. */
export const settings = pgSchema('settings')

/** What counts as a deployment: the builds, or the jobs of a step, that match; patterns are globs. */
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

/** What a minute of a queue's agents costs, in one cluster or (`*`) wherever no other rate names the cluster. */
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
