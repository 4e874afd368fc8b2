import { followBackfill, refreshRollups } from '../analytics/rollups.ts'
import type { LimitsSeen } from '../buildkite/http/limits.ts'
import { type BackfillProgress, backfillSpan } from '../reconcile/backfill/backfill.ts'
import { hasUnconfirmed } from '../reconcile/pipelines/coverage.ts'
import { refreshPipelines } from '../reconcile/pipelines/pipelines.ts'
import { type Claim, claimedHistory } from '../reconcile/progress/claim.ts'
import { windowsIn } from '../reconcile/progress/windows.ts'
import { stopOnSignal } from '../runtime/signals.ts'
import { type Command, givenSpan } from './shell/command.ts'
import { count, ProgressBar } from './shell/terminal.ts'
import { forEachSource, printJson, wholeSpan, withFreshPipelines, withSources } from './sources.ts'

export const backfill: Command = {
  name: 'backfill',
  summary: 'read a span of history now',
  about:
    'Reads every build created in the span that no earlier run has read, newest first. Ctrl-C or a kill loses nothing: run it\n' +
    'again to continue. The service reads the last BACKFILL_DAYS by itself; use this to read more, or to read it now.\n' +
    'Exit code 0 only if all organizations were read completely and Postgres accepted every build.',
  options: {
    from: { value: '<date>', about: 'first day or time (default: BACKFILL_DAYS ago)' },
    to: { value: '<date>', about: 'end, not included (default: now)' },
    organization: { value: '<slug>', about: 'only this organization' },
    json: { about: 'print JSON at the end' },
  },
  async run(values, io) {
    const given = givenSpan(values)
    return withSources(values, io, 'backfill', async (context) => {
      const { from, to } = wholeSpan(given, context)
      const { db } = context.deps
      const signal = stopOnSignal()
      let allStored = true
      const outcomes = await forEachSource<BackfillProgress>(
        context,
        io,
        async (source, fail) => {
          const bar = new ProgressBar(values.json ? io.stderr : io.stdout, source.slug, io.env)
          // The read of the last organization refreshes the totals of all.
          const sums = source === context.sources.at(-1) ? followBackfill(db) : undefined
          const show = (progress: BackfillProgress) => {
            sums?.reached(progress.coveredFrom)
            bar.show({
              done: progress.buildsDone,
              expected: progress.buildsExpected,
              requests: progress.requests,
              rateLeft: rateLeft(source.client.limits),
            })
          }
          const result = await withFreshPipelines(context.deps, source, fail, () =>
            backfillSpan(context.deps, source, from, to, show, signal),
          ).finally(() => sums?.stop())
          // This list confirms reads that ended at least two minutes ago; see docs/how-it-works/05-completeness.md.
          if (result?.done) await refreshPipelines(context.deps, source).catch(fail)
          const isConfirmed = !(await hasUnconfirmed(db, source.id))
          bar.end(lastWord(source.slug, result, await claimedHistory(db, source.id), isConfirmed))
          for (const { error } of await windowsIn(db, source.id, { from, to })) {
            if (error === null) continue
            io.stderr.write(`${source.slug}: ${error}\n`)
            allStored = false
          }
          return result
        },
        signal,
      )
      if (values.json) printJson(io, outcomes, nothing)
      await refreshRollups(db, signal)
      const allRead = outcomes.every(({ error, result }) => error === null && result?.done === true)
      return allRead && allStored ? 0 : 1
    })
  },
}

const unconfirmed =
  ' Builds read in the last two minutes are complete once a later list of pipelines confirms them; the service reads one every five minutes.' +
  ' Without the service, run the command again in 2 to 10 minutes; it does not read the builds again.'

const nothing: Record<Exclude<keyof BackfillProgress, 'organization'>, null> = {
  from: null,
  to: null,
  coveredFrom: null,
  buildsDone: null,
  buildsExpected: null,
  requests: null,
  done: null,
}

/** Requests left in Buildkite's current minute, by the stricter of the two limits. */
function rateLeft({ user, organization }: LimitsSeen): number | undefined {
  const left = [user?.remaining, organization?.remaining].filter((remaining) => remaining !== undefined)
  return left.length > 0 ? Math.min(...left) : undefined
}

function lastWord(slug: string, result: BackfillProgress | undefined, claim: Claim, isConfirmed: boolean): string {
  if (!result) return `${slug}: another process is filling this organization; this run did nothing.`
  const { buildsDone, requests, from, to, coveredFrom, done } = result
  const read = `${count(buildsDone)} builds in ${count(requests)} requests`
  const day = (time: Date) => time.toISOString()
  const complete = `${count(claim.pipelines_complete)} of ${count(claim.pipelines)} pipelines complete`
  return done
    ? `${slug}: read from ${day(from)} to ${day(to)}: ${read}; ${complete} over the wanted history.${isConfirmed ? '' : unconfirmed}`
    : `${slug}: stopped at ${day(coveredFrom)}: ${read}. Run it again to continue.`
}
