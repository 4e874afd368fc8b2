import { and, eq } from 'drizzle-orm'
import type { Db } from '../database/connection.ts'
import { findings as table } from '../database/schema.ts'
import { inOneTransaction } from '../mirror/apply.ts'
import type { Log } from '../runtime/log.ts'
import type { CheckResult } from './finding.ts'
import type { Examination } from './run.ts'

/**
 * Replaces the results in sync.findings. A check that could not run this time keeps its last result. Logs a warning when a fault
 * appears and a line when it is gone. An unchanged result is written again only after `restMs`.
 * @throws StoreError
 */
export async function saveCheckResults(
  db: Db,
  { findings, unseen }: Examination,
  now: Date,
  log: Log,
  restMs = 0,
): Promise<void> {
  const unique = new Map(findings.map((finding) => [checkKey(finding), finding]))
  const before = await inOneTransaction(db, 'save the check results', async (tx) => {
    const held = new Map((await tx.select().from(table)).map((row) => [checkKey(row), row]))
    for (const [key, row] of held) {
      if (unique.has(key) || unseen.some((name) => name === row.name)) continue
      await tx.delete(table).where(and(eq(table.name, row.name), eq(table.subject, row.subject)))
    }
    for (const [key, finding] of unique) {
      const { name, subject, result, detail, remedy } = finding
      const last = held.get(key)
      if (last && isSame(last, finding) && now.getTime() - last.checked_at.getTime() < restMs) continue
      const since = last?.result === result ? last.since : now
      const row = { name, subject, result, detail, remedy: remedy ?? null, checked_at: now, since }
      await tx
        .insert(table)
        .values(row)
        .onConflictDoUpdate({ target: [table.name, table.subject], set: row })
    }
    return held
  })
  for (const [key, finding] of unique) logChange(finding, before.get(key)?.result, log)
}

/** The detail of a good result changes all the time, for example an age; the detail of a fault matters. */
function isSame(last: { result: string; detail: string }, { result, detail }: CheckResult): boolean {
  return last.result === result && (result === 'ok' || last.detail === detail)
}

/** Logs a fault once when it appears and once when it is gone. */
function logChange(finding: CheckResult, before: string | undefined, log: Log): void {
  const { name, subject, result, detail, remedy } = finding
  const was = before !== undefined && before !== 'ok'
  const about = subject ? `${name} (${subject})` : name
  if (result !== 'ok' && !was)
    log.warn({ finding: name, subject, result }, `${about}: ${detail} ${remedy ?? ''}`.trim())
  if (result === 'ok' && was) log.info({ finding: name, subject }, `${about}: resolved. ${detail}`)
}

const checkKey = ({ name, subject }: { name: string; subject: string }) => `${name} ${subject}`
