import { isUuid } from '../../buildkite/payload-reader.ts'
import { withMirror } from '../../database/find-postgres.ts'
import { type EraseReport, erasePerson, type PersonToErase } from '../../mirror/erase-person.ts'
import { readConfig } from '../../runtime/config.ts'
import { ConfigError } from '../../runtime/errors.ts'
import { createLog } from '../../runtime/log.ts'
import { stopOnSignal } from '../../runtime/signals.ts'
import type { Command, Io, Values } from '../shell/command.ts'
import { count, table } from '../shell/terminal.ts'

export const erasePersonCommand: Command = {
  name: 'erase-person',
  summary: 'replace a person in every table by a pseudonym',
  about:
    'Replaces the ids, e-mail addresses, user names and names of a person in every table by a pseudonym, and keeps it so: what webhooks\n' +
    'and the REST API bring later is changed before it is stored. Only hashes of the identities are recorded. Other addresses and names\n' +
    "of the same Buildkite user are found in buildkite.users. The person's name in free text, such as a commit message, stays: the\n" +
    'command counts such rows. There is no way back. Can run beside the service, and again after it was interrupted.',
  options: {
    email: { value: '<address,…>', about: "the person's e-mail addresses" },
    'user-id': { value: '<uuid,…>', about: "the person's user ids in Buildkite" },
    'dry-run': { about: 'count the rows by table and change nothing' },
    json: { about: 'print JSON' },
  },
  async run(values, io) {
    const person = personOf(values)
    const config = readConfig(io.env)
    const log = createLog(config.logLevel === 'info' ? 'error' : config.logLevel)
    const dryRun = values['dry-run'] === true
    const options = { dryRun, signal: stopOnSignal() }
    const report = await withMirror(config, log, 'erase-person', ({ db }) => erasePerson(db, person, options))
    if (values.json) io.stdout.write(`${JSON.stringify({ dry_run: dryRun, ...report }, null, 2)}\n`)
    else describe(report, dryRun, io)
    return 0
  },
}

function personOf(values: Values): PersonToErase {
  const list = (value: Values[string]) => (typeof value === 'string' ? value.split(',').map((one) => one.trim()) : [])
  const person = { emails: list(values.email), userIds: list(values['user-id']) }
  if (person.emails.length + person.userIds.length === 0) {
    throw new ConfigError(
      'Choose the person: --email <address> or --user-id <uuid>. See buildkite-mirror erase-person --help.',
    )
  }
  for (const email of person.emails) {
    if (!/^[^\s@]+@[^\s@]+$/.test(email))
      throw new ConfigError(`--email has "${email}", which is not an e-mail address.`)
  }
  for (const id of person.userIds) {
    if (!isUuid(id)) throw new ConfigError(`--user-id has "${id}", which is not a UUID. buildkite.users has the ids.`)
  }
  return person
}

function describe({ identities, rows, mentions }: EraseReport, dryRun: boolean, { stdout }: Io): void {
  const { id, email, username, name } = identities
  stdout.write(
    `Identities: ${count(id)} user ids, ${count(email)} e-mail addresses, ${count(username)} user names, ${count(name)} names.\n`,
  )
  const lines = Object.entries(rows).map(([name, number]) => [name, count(number)])
  if (lines.length === 0) stdout.write('No row names this person.\n')
  else stdout.write(`${table([['table', dryRun ? 'rows to change' : 'rows changed'], ...lines])}\n`)
  const left = Object.entries(mentions).map(([name, number]) => `${name} (${count(number)})`)
  if (left.length > 0) stdout.write(`Rows with the name in free text, which stays: ${left.join(', ')}.\n`)
  if (dryRun) stdout.write('Nothing was changed.\n')
}
