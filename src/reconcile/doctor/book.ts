import { and, eq } from 'drizzle-orm'
import type { Db } from '../../database/connection.ts'
import { findings as table } from '../../database/schema.ts'
import type { Log } from '../../log.ts'
import { inOneTransaction } from '../../mirror/apply.ts'
import type { Examination } from './examine.ts'
import type { Finding } from './finding.ts'

/**
 * Keeps what was found in sync.findings in place of what was found before; what could not be looked at this time stays. Logs a warning
 * when something becomes a fault, and a line when it is well again. @throws StoreError
 */
export async function keepFindings(db: Db, { findings, unseen }: Examination, now: Date, log: Log): Promise<void> {
  const unique = new Map(findings.map((finding) => [keyOf(finding), finding]))
  const before = await inOneTransaction(db, 'keep what was found', async (tx) => {
    const held = new Map((await tx.select().from(table)).map((row) => [keyOf(row), row]))
    for (const [key, row] of held) {
      if (unique.has(key) || unseen.some((name) => name === row.name)) continue
      await tx.delete(table).where(and(eq(table.name, row.name), eq(table.subject, row.subject)))
    }
    for (const [key, { name, subject, result, detail, remedy }] of unique) {
      const last = held.get(key)
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
