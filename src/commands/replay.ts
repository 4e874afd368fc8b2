import { withMirror } from '../database/find-postgres.ts'
import { readConfig } from '../runtime/config.ts'
import { ConfigError } from '../runtime/errors.ts'
import { createLog } from '../runtime/log.ts'
import { mirrorFilter } from '../runtime/scope.ts'
import { stopOnSignal } from '../runtime/signals.ts'
import { parseDuration } from '../runtime/time.ts'
import { type ReplayReport, replay as replayDeliveries, type Selection } from '../webhooks/apply/replay.ts'
import { type Command, type Io, parseMoment, type Values } from './shell/command.ts'
import { count, ProgressBar } from './shell/terminal.ts'

export const replay: Command = {
  name: 'replay',
  summary: 'apply stored webhook deliveries again',
  about:
    'Applies deliveries of sync.deliveries again, as the service does: failed ones after their cause is fixed, or any others.\n' +
    'Applying one twice changes nothing. Conditions narrow each other; at least one must be given. Deliveries whose payload was\n' +
    'deleted after PAYLOAD_RETENTION_DAYS cannot be applied again; the reconciler reads their data from the REST API.\n' +
    'Exit code 0 only if none failed. Can run beside the service.',
  options: {
    id: { value: '<n,…>', about: 'deliveries by id' },
    failed: { about: 'deliveries that failed' },
    since: { value: '<when>', about: 'received since a day, a time, or a duration such as 2h' },
    json: { about: 'print JSON' },
  },
  async run(values, io) {
    const selection = selectionOf(values)
    const config = readConfig(io.env)
    const log = createLog(config.logLevel === 'info' ? 'error' : config.logLevel)
    const signal = stopOnSignal()
    const bar = new ProgressBar(values.json ? io.stderr : io.stdout, 'replay', io.env)
    const report = await withMirror(config, log, 'replay', ({ db }) =>
      replayDeliveries(
        { db, filter: mirrorFilter(config), storeEnv: config.storeEnv, log },
        selection,
        (done, expected) => bar.show({ done, expected, unit: 'deliveries' }),
        signal,
      ),
    )
    bar.end(lastWord(report))
    if (values.json) io.stdout.write(`${JSON.stringify(report, null, 2)}\n`)
    else printFaults(report, io)
    return report.failed === 0 && report.unknown.length === 0 && !signal.aborted ? 0 : 1
  },
}

function selectionOf(values: Values): Selection {
  const { id, failed, since } = values
  if (id === undefined && failed === undefined && since === undefined) {
    throw new ConfigError(
      'Choose deliveries: --failed, --since <when> or --id <n,…>. See buildkite-mirror replay --help.',
    )
  }
  return {
    ids: typeof id === 'string' ? id.split(',').map(readId) : undefined,
    failed: failed === true,
    since: typeof since === 'string' ? readSince(since) : undefined,
  }
}

function readId(text: string): number {
  const id = Number(text.trim())
  if (Number.isSafeInteger(id) && id > 0) return id
  throw new ConfigError(`--id has "${text}", which is not the id of a delivery. Write it like 17 or 17,23.`)
}

function readSince(text: string): Date {
  const ago = parseDuration(text)
  return ago === undefined ? parseMoment('since', text) : new Date(Date.now() - ago)
}

function lastWord({ applied, ignored, failed, pending, without_payload }: ReplayReport): string {
  const parts = [`${count(applied)} applied`, `${count(ignored)} ignored`, `${count(failed)} failed`]
  if (pending > 0) parts.push(`${count(pending)} left to the running service`)
  if (without_payload > 0) parts.push(`${count(without_payload)} without a payload`)
  return `replay: ${parts.join(', ')}.`
}

function printFaults({ errors, unknown, without_payload }: ReplayReport, io: Io): void {
  for (const [error, times] of Object.entries(errors)) io.stderr.write(`${count(times)} × ${error}\n`)
  if (unknown.length > 0) io.stderr.write(`There is no delivery with the id ${unknown.join(', ')}.\n`)
  if (without_payload > 0) {
    io.stderr.write(
      'Payloads are deleted after PAYLOAD_RETENTION_DAYS; buildkite-mirror verify --heal reads the data from the REST API.\n',
    )
  }
}
