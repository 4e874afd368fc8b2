import { eq } from 'drizzle-orm'
import { type BackfillCoverage, coverage, lostWebhooks, type OrganizationCoverage } from '../coverage/coverage.ts'
import { type FailingWork, failingWork, kindNames } from '../coverage/failing-work.ts'
import { withMirror } from '../database/find-postgres.ts'
import { deliveries } from '../database/schema.ts'
import { readConfig } from '../runtime/config.ts'
import { createLog } from '../runtime/log.ts'
import { mirrorFilter } from '../runtime/scope.ts'
import { formatDuration } from '../runtime/time.ts'
import { claimLine } from './claim-line.ts'
import type { Command, Io } from './shell/command.ts'
import { count, paintFor, table } from './shell/terminal.ts'

/** How many units of failing work are listed. */
const NAMED = 10

export const status: Command = {
  name: 'status',
  summary: 'how far each organization is mirrored',
  about: 'Prints how complete the mirror is. Reads only its database. Can run beside the service.',
  options: { json: { about: 'print JSON' } },
  async run(values, io) {
    const config = readConfig(io.env)
    const log = createLog(config.logLevel)
    return withMirror(config, log, 'status', async ({ db }) => {
      const found = await coverage(db, new Date(), { filter: mirrorFilter(config), backfillDays: config.backfillDays })
      if (values.json) io.stdout.write(`${JSON.stringify(found, null, 2)}\n`)
      else {
        const now = Date.now()
        printCoverage(found, io, now)
        printFailing(await failingWork(db, mirrorFilter(config), new Date(now)), io, now)
        printFailed(await db.$count(deliveries, eq(deliveries.status, 'failed')), io)
      }
      return 0
    })
  },
}

function printCoverage(found: readonly OrganizationCoverage[], io: Io, now: number): void {
  if (found.length === 0) {
    io.stdout.write('No organization is known yet: none was reconciled, and no webhook has named one.\n')
    return
  }
  const paint = paintFor(io.stdout, io.env)
  const alarm = (n: number) => (n > 0 ? paint.yellow(count(n)) : count(n))
  const rows = found.map((one) => [
    one.slug ?? one.id,
    one.claim.as_of ? `${formatDuration(Math.max(0, now - one.claim.as_of.getTime()))} ago` : 'never',
    one.covered_from ? one.covered_from.toISOString().slice(0, 10) : '-',
    backfillWord(one.backfill),
    `${one.builds_estimated ? 'about ' : ''}${count(one.builds)}`,
    count(one.open_builds),
    count(one.provisional_builds),
    one.receives_webhooks || lostWebhooks(one.last_day).total > 0 ? alarm(lostWebhooks(one.last_day).total) : '-',
    alarm(one.drift.unhealed),
    one.last_error ? paint.red(`failed: ${one.last_error.message}`) : one.last_cycle ? paint.green('ok') : '-',
  ])
  const header = [
    'organization',
    'as of',
    'complete from',
    'backfill',
    'builds',
    'open',
    'provisional',
    'lost in 24h',
    'drift',
    'last cycle',
  ]
  io.stdout.write(`${table([header, ...rows], paint)}\n`)
  const claims = found.filter(({ mirrored }) => mirrored).map((one) => `${one.slug ?? one.id}: ${claimLine(one)}`)
  if (claims.length > 0) io.stdout.write(`\n${claims.join('\n')}\n`)
  const notes = [...found.flatMap(lostOf), ...found.flatMap(notesOf)]
  if (notes.length > 0) io.stdout.write(`\n${notes.join('\n')}\n`)
}

function backfillWord({ done, progress, paused_at, off }: BackfillCoverage): string {
  if (done) return 'done'
  return `${Math.floor(progress * 100)}%${off ? ', off' : paused_at ? ', paused' : ''}`
}

function lostOf({ slug, id, last_day }: OrganizationCoverage): string[] {
  const { builds, jobs, total } = lostWebhooks(last_day)
  if (total === 0) return []
  const rows = `builds: ${count(builds)}, jobs: ${count(jobs)}`
  return [
    `note: ${slug ?? id}: webhooks were lost in the last 24 hours (${rows}). A cycle corrected them. See docs/operations/runbook.md#webhooks-lost.`,
  ]
}

/** Lists that the token may not read are not an error: one line for each reason. */
function notesOf({ slug, id, mirrored, lists }: OrganizationCoverage): string[] {
  if (!mirrored) return [`note: ${slug ?? id}: no longer mirrored, because no token sees it or it is not selected.`]
  const unread = lists.filter(({ status }) => status === 'missing_scope' || status === 'refused')
  const reasons = [...new Set(unread.map(({ error }) => error ?? ''))]
  return reasons.map((reason) => {
    const names = unread.filter(({ error }) => (error ?? '') === reason).map(({ name }) => name)
    return `note: ${slug ?? id}: not mirrored: ${names.join(', ')}. ${reason}`
  })
}

function printFailing({ all, shown }: FailingWork, io: Io, now: number): void {
  if (all === 0) return
  const lines = shown.slice(0, NAMED).map(({ kind, subject, organization, tries, first_failed_at, error }) => {
    const of = organization === null ? '' : ` of ${organization}`
    const since = formatDuration(Math.max(0, now - first_failed_at.getTime()))
    return `  ${kindNames[kind]} ${subject}${of}: ${tries} ${tries === 1 ? 'try' : 'tries'} since ${since} ago: ${error}`
  })
  if (all > lines.length) lines.push(`  and ${count(all - lines.length)} more; sync.failures has them all`)
  const what = all === 1 ? '1 unit of work failed and is retried' : `${count(all)} units of work failed and are retried`
  io.stdout.write(`\n${what}:\n${lines.join('\n')}\n`)
}

function printFailed(failed: number, io: Io): void {
  if (failed === 0) return
  const what = failed === 1 ? '1 webhook delivery' : `${count(failed)} webhook deliveries`
  io.stdout.write(
    `\n${what} could not be applied; sync.deliveries says why. Fix the cause, then run: buildkite-mirror replay --failed\n`,
  )
}
