import type { LimitsSeen } from '../buildkite/limits.ts'
import { followBackfill, refreshRollups } from '../mirror/rollups.ts'
import { type BackfillProgress, backfillSpan } from '../reconcile/backfill.ts'
import { refreshPipelines } from '../reconcile/pipelines.ts'
import { windowsIn } from '../reconcile/windows.ts'
import { DAY } from '../time.ts'
import { type Command, givenSpan } from './command.ts'
import { type Sources, withSources } from './sources.ts'
import { count, ProgressBar } from './terminal.ts'

export const backfill: Command = {
  name: 'backfill',
  summary: 'read a span of history now',
  about:
    'Reads every build created in the span that no earlier run has read, newest first. Ctrl-C or a kill loses nothing: run it\n' +
    'again and it goes on. The service back-fills BACKFILL_DAYS by itself; this is for more, or for now.\n' +
    'Exit code 0 only when all organizations were read to the end, and Postgres took every build.',
  options: {
    from: { value: '<date>', about: 'first day or moment (default: BACKFILL_DAYS ago)' },
    to: { value: '<date>', about: 'end, not included (default: now)' },
    organization: { value: '<slug>', about: 'only this organization' },
    json: { about: 'print JSON at the end' },
  },
  async run(values, io) {
    const given = givenSpan(values)
    return withSources(values, io, 'backfill', async (context) => {
      const { from, to } = wholeSpan(given, context)
      const stop = new AbortController()
      const onSignal = () => (stop.signal.aborted ? process.exit(130) : stop.abort())
      process.on('SIGINT', onSignal).on('SIGTERM', onSignal)
      const results: BackfillProgress[] = []
      let allStored = true
      for (const source of context.sources) {
        if (stop.signal.aborted) break
        const bar = new ProgressBar(values.json ? io.stderr : io.stdout, source.slug, io.env)
        await refreshPipelines(context.deps, source)
        // The last one's walk passes the days of all.
        const sums = source === context.sources.at(-1) ? followBackfill(context.deps.db) : undefined
        const show = (progress: BackfillProgress) => {
          sums?.reached(progress.coveredFrom)
          bar.show({
            done: progress.buildsDone,
            expected: progress.buildsExpected,
            requests: progress.requests,
            rateLeft: rateLeft(source.client.limits),
          })
        }
        const result = await backfillSpan(context.deps, source, from, to, show, stop.signal).finally(() => sums?.stop())
        if (result) results.push(result)
        bar.end(lastWord(source.slug, result))
        for (const { error } of await windowsIn(context.deps.db, source.id, { from, to })) {
          if (error === null) continue
          io.stderr.write(`${source.slug}: ${error}\n`)
          allStored = false
        }
      }
      await refreshRollups(context.deps.db, stop.signal)
      if (values.json) io.stdout.write(`${JSON.stringify(results, null, 2)}\n`)
      const allRead = results.length === context.sources.length && results.every(({ done }) => done)
      return allRead && allStored ? 0 : 1
    })
  },
}

/** Requests left in Buildkite's current minute, by the tighter of the two limits. */
function rateLeft({ user, organization }: LimitsSeen): number | undefined {
  const left = [user?.remaining, organization?.remaining].filter((remaining) => remaining !== undefined)
  return left.length > 0 ? Math.min(...left) : undefined
}

function wholeSpan({ from, to }: ReturnType<typeof givenSpan>, { config }: Sources): { from: Date; to: Date } {
  const end = to ?? new Date()
  return { from: from ?? new Date(end.getTime() - config.backfillDays * DAY), to: end }
}

function lastWord(slug: string, result: BackfillProgress | undefined): string {
  if (!result) return `${slug}: another process is filling this organization; this run did nothing.`
  const { buildsDone, requests, from, to, coveredFrom, done } = result
  const read = `${count(buildsDone)} builds in ${count(requests)} requests`
  const day = (time: Date) => time.toISOString()
  return done
    ? `${slug}: complete from ${day(from)} to ${day(to)}: ${read}.`
    : `${slug}: stopped at ${day(coveredFrom)}: ${read}. Run it again to go on.`
}
