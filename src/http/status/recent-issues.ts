import { asc, desc, eq, sql } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { builds, drift, failed_deliveries, findings, pipelines } from '../../database/schema.ts'

/** How many rows of each kind are shown; the tables hold all of them. */
const SHOWN = 10

/** The newest deliveries that could not be applied. @throws the driver's error. */
export async function failedDeliveries(db: Db) {
  return db.select().from(failed_deliveries).orderBy(desc(failed_deliveries.id)).limit(SHOWN)
}

/** The differences between mirror and API that were found last, with the names of their builds. @throws the driver's error. */
export async function recentDrift(db: Db) {
  return db
    .select({
      id: drift.id,
      kind: drift.kind,
      pipeline: pipelines.slug,
      number: builds.number,
      web_url: builds.web_url,
      is_job: sql<boolean>`${drift.job_id} is not null`,
      columns: drift.columns,
      found_at: drift.found_at,
      found_by: drift.found_by,
      healed_at: drift.healed_at,
    })
    .from(drift)
    .leftJoin(builds, eq(builds.id, drift.build_id))
    .leftJoin(pipelines, eq(pipelines.id, drift.pipeline_id))
    .orderBy(desc(drift.id))
    .limit(SHOWN)
}

/** A result of the service's last hourly check. */
export type CheckFinding = typeof findings.$inferSelect

/** The results of the service's last hourly check, worst first. @throws the driver's error. */
export async function checkFindings(db: Db): Promise<CheckFinding[]> {
  const rank = sql`array_position(array['failed', 'warning', 'ok'], ${findings.result})`
  return db.select().from(findings).orderBy(rank, asc(findings.name), asc(findings.subject)).limit(200)
}
