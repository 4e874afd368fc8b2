import { and, eq } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { findings as table } from '../../database/schema.ts'
import type { Log } from '../../log.ts'
import { inOneTransaction } from '../../mirror/apply.ts'
import type { Examination } from './examine.ts'
import type { Finding } from './finding.ts'

/**
 * Keeps what was found in sync.findings in place of what was found before; what could not be looked at this time stays. Logs a warning
 * when something becomes a fault, and a line when it is well again. What is still as it was is not written anew before it is `restMs` old.
 * @throws StoreError
 */
export async function keepFindings(
  db: Db,
  { findings, unseen }: Examination,
  now: Date,
  log: Log,
  restMs = 0,
): Promise<void> {
  const unique = new Map(findings.map((finding) => [keyOf(finding), finding]))
  const before = await inOneTransaction(db, 'keep what was found', async (tx) => {
    const held = new Map((await tx.select().from(table)).map((row) => [keyOf(row), row]))
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
  for (const [key, finding] of unique) tell(finding, before.get(key)?.result, log)
}

/** What is well tells of moments that pass; of a fault every word counts. */
function isSame(last: { result: string; detail: string }, { result, detail }: Finding): boolean {
  return last.result === result && (result === 'ok' || last.detail === detail)
}

/** Once when it comes, and once when it goes. */
function tell(finding: Finding, before: string | undefined, log: Log): void {
  const { name, subject, result, detail, remedy } = finding
  const was = before !== undefined && before !== 'ok'
  const about = subject ? `${name} (${subject})` : name
  if (result !== 'ok' && !was)
    log.warn({ finding: name, subject, result }, `${about}: ${detail} ${remedy ?? ''}`.trim())
  if (result === 'ok' && was) log.info({ finding: name, subject }, `${about}: all is well again. ${detail}`)
}

const keyOf = ({ name, subject }: { name: string; subject: string }) => `${name} ${subject}`
