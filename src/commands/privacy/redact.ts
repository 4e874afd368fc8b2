import { type SQL, sql } from 'drizzle-orm'
import { redact as redactPayload, redactRow } from '../../buildkite/redact.ts'
import { withMirror } from '../../database/find-postgres.ts'
import { type JsonRow, rewriteRows } from '../../database/rewrite-rows.ts'
import { readConfig } from '../../runtime/config.ts'
import { createLog } from '../../runtime/log.ts'
import { stopOnSignal } from '../../runtime/signals.ts'
import type { Command } from '../shell/command.ts'
import { count, table } from '../shell/terminal.ts'

/** Every secret that redaction finds is beside one of these. */
const SIGNS = '@|token|secret|passw|passphrase|credential|authorization|cookie|jwt|sig|auth|pwd|key|badge_url'

export const redact: Command = {
  name: 'redact',
  summary: 'remove secrets that earlier versions stored',
  about:
    'Removes from stored rows what this version does not store: credentials in URLs, and fields named like credentials. Run it once after\n' +
    'an upgrade from a version before 0.2. docs/operations/stored-data.md lists what is removed. Can run beside the service.',
  options: {
    'dry-run': { about: 'count the rows by table and change nothing' },
    json: { about: 'print JSON' },
  },
  async run(values, io) {
    const config = readConfig(io.env)
    const log = createLog(config.logLevel === 'info' ? 'error' : config.logLevel)
    const dryRun = values['dry-run'] === true
    const rows = await withMirror(config, log, 'redact', ({ db }) =>
      rewriteRows(db, {
        dryRun,
        signal: stopOnSignal(),
        matches: (rowText: SQL) => sql`${rowText} ~* ${SIGNS}`,
        change: (name, row) => redactStored(name, row, config.storeEnv),
      }),
    )
    const counts = Object.fromEntries([...rows].sort())
    if (values.json) io.stdout.write(`${JSON.stringify({ dry_run: dryRun, rows: counts }, null, 2)}\n`)
    else if (rows.size === 0) io.stdout.write('No row has a secret.\n')
    else {
      const lines = Object.entries(counts).map(([name, number]) => [name, count(number)])
      io.stdout.write(`${table([['table', dryRun ? 'rows to change' : 'rows changed'], ...lines])}\n`)
    }
    return 0
  },
}

/** Only Buildkite's data: other tables have keys of their own, such as the settings. */
function redactStored(table: string, row: JsonRow, storeEnv: boolean): JsonRow {
  if (table === 'sync.deliveries') {
    if (typeof row.payload !== 'string') return row
    const payload = JSON.stringify(redactPayload(JSON.parse(row.payload), { storeEnv }))
    return payload === row.payload ? row : { ...row, payload }
  }
  return table.startsWith('buildkite.') || table === 'sync.drift' ? redactRow(row) : row
}
