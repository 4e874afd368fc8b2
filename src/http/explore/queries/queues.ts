import { sql } from 'drizzle-orm'
import { z } from 'zod'
import { inBothPeriods, inPeriod, isPresent, type Scope } from '../filters.ts'
import { all, dayText, maybeNumber, maybeText, maybeTime, type Query, whole } from '../query.ts'

const ofOrganization = ({ organizationId }: Scope) => sql`organization_id = ${organizationId}::uuid`

const waitRow = z.object({ day: dayText, started: whole, p50_seconds: maybeNumber, p90_seconds: maybeNumber })

/** How long jobs waited for an agent, by day. */
export function waitsByDay(scope: Scope): Query<z.output<typeof waitRow>> {
  const statement = sql`
select day, started, analytics.percentile(wait, 0.5) as p50_seconds, analytics.percentile(wait, 0.9) as p90_seconds
from (
  select day, sum(started) as started, analytics.merge_histograms(wait_histogram) as wait
  from analytics.queue_waits_daily
  where ${all(ofOrganization(scope), inPeriod(scope))}
  group by day
) as merged order by day`
  return { statement, row: waitRow }
}

const spanWaitRow = z.object({ is_present: z.boolean(), p50_seconds: maybeNumber, p90_seconds: maybeNumber })

/** The same of all queues, of the period and the one before. */
export function waitsOfPeriods(scope: Scope): Query<z.output<typeof spanWaitRow>> {
  const statement = sql`
select is_present, analytics.percentile(wait, 0.5) as p50_seconds, analytics.percentile(wait, 0.9) as p90_seconds
from (
  select ${isPresent(scope)} as is_present, analytics.merge_histograms(wait_histogram) as wait
  from analytics.queue_waits_daily
  where ${all(ofOrganization(scope), inBothPeriods(scope))}
  group by 1
) as merged`
  return { statement, row: spanWaitRow }
}

const queueRow = z.object({
  cluster: maybeText,
  queue: z.string(),
  started: whole,
  p50_seconds: maybeNumber,
  p90_seconds: maybeNumber,
  waiting: maybeNumber,
  oldest_wait_seconds: maybeNumber,
  running: maybeNumber,
  agents_busy: maybeNumber,
  agents_idle: maybeNumber,
  as_of: maybeTime,
})
export type QueueLine = z.output<typeof queueRow>

/** Each queue: the waits of the period, and the present. */
export function queuesOf(scope: Scope): Query<QueueLine> {
  const statement = sql`
with waits as (
  select cluster_id, queue, sum(started) as started, analytics.merge_histograms(wait_histogram) as wait
  from analytics.queue_waits_daily
  where ${all(ofOrganization(scope), inPeriod(scope))}
  group by cluster_id, queue
), present as (
  select cluster_id, queue, waiting, oldest_wait_seconds, running, agents_busy, agents_idle, as_of
  from analytics.queues_now where ${ofOrganization(scope)}
)
select cluster.cluster, queue.queue, coalesce(queue.started, 0) as started,
  analytics.percentile(queue.wait, 0.5) as p50_seconds, analytics.percentile(queue.wait, 0.9) as p90_seconds,
  queue.waiting, queue.oldest_wait_seconds, queue.running, queue.agents_busy, queue.agents_idle, queue.as_of
from (
  select coalesce(present.cluster_id, waits.cluster_id) as cluster_id, coalesce(present.queue, waits.queue) as queue,
    waits.started, waits.wait, present.waiting, present.oldest_wait_seconds, present.running, present.agents_busy, present.agents_idle, present.as_of
  from waits full join present on present.queue = waits.queue
    and coalesce(present.cluster_id::text, '') = coalesce(waits.cluster_id::text, '')
) as queue
left join analytics.clusters as cluster on cluster.id = queue.cluster_id
order by queue.waiting desc nulls last, queue.started desc nulls last, queue.queue limit 30`
  return { statement, row: queueRow }
}
