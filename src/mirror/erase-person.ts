import { randomUUID } from 'node:crypto'
import { type SQL, sql } from 'drizzle-orm'
import { asStoreError, type Db, type Transaction, withStoreError } from '../database/connection.ts'
import { type JsonRow, rewriteRows } from '../database/rewrite-rows.ts'
import { erased_people } from '../database/schema.ts'
import { ConfigError } from '../runtime/errors.ts'
import { pause } from '../runtime/time.ts'
import { ErasedPeople, type IdentityKind, identityHash } from './erased-people.ts'
import { escapeLike } from './places.ts'

export interface PersonToErase {
  readonly emails: readonly string[]
  readonly userIds: readonly string[]
}

export interface EraseOptions {
  /** Counts the rows and changes nothing. */
  readonly dryRun: boolean
  readonly onTable?: (table: string) => void
  readonly signal?: AbortSignal
}

export interface EraseReport {
  /** How many identities the mirror knows of the person, by kind. */
  readonly identities: Readonly<Record<IdentityKind, number>>
  /** Rows that name the person, by table. */
  readonly rows: Readonly<Record<string, number>>
  /** Rows that still contain the person's name or another identity in text, such as a commit message, by table. */
  readonly mentions: Readonly<Record<string, number>>
}

type Identity = readonly [kind: IdentityKind, value: string]

/** Rebuilt from the others. */
const PEOPLE_TABLES = ['buildkite.users', 'sync.erased_people']

/**
 * Replaces a person in every table by a pseudonym, and records hashes of the identities, so that webhooks and the API bring the person
 * back only as that pseudonym. Can run beside the service, and again after it was interrupted.
 * @throws ConfigError if an e-mail address belongs to several users, StoreError.
 */
export async function erasePerson(db: Db, person: PersonToErase, options: EraseOptions): Promise<EraseReport> {
  const identities = identitiesOf(person, await withStoreError('find a person', () => sightingsOf(db, person)))
  const people = await recordErased(db, identities, options.dryRun)
  const mentions = new Map<string, number>()
  const change = (table: string, row: JsonRow): JsonRow => {
    const after = table === 'sync.deliveries' ? eraseDelivery(row, people) : people.erase(row)
    const text = JSON.stringify(after).toLowerCase()
    if (identities.some(([kind, value]) => kind !== 'username' && text.includes(value))) {
      mentions.set(table, (mentions.get(table) ?? 0) + 1)
    }
    return after
  }
  const matches = (rowText: SQL) => sql`lower(${rowText}) like any(${sql.param(patternsOf(identities))})`
  const rows = await rewriteRows(db, { ...options, matches, change, except: PEOPLE_TABLES })
  const refreshed = await withStoreError('rebuild buildkite.users', () => rebuildUsers(db, identities, options.dryRun))
  for (const [table, count] of Object.entries(refreshed)) if (count > 0) rows.set(table, count)
  const count = (kind: IdentityKind) => identities.filter(([one]) => one === kind).length
  return {
    identities: { id: count('id'), email: count('email'), username: count('username'), name: count('name') },
    rows: Object.fromEntries([...rows].sort()),
    mentions: Object.fromEntries([...mentions].sort()),
  }
}

interface Sighting extends Record<string, unknown> {
  readonly id: string | null
  readonly email: string | null
  readonly username: string | null
  readonly name: string | null
}

/** The user with these ids or addresses, the user's other addresses that no other user has, and the commits with one of them. */
async function sightingsOf(db: Db, { emails, userIds }: PersonToErase): Promise<Sighting[]> {
  await db.execute(sql`select sync.refresh_users()`)
  const ids = sql.param(userIds.map((id) => id.toLowerCase()))
  const given = sql.param(emails.map((email) => email.toLowerCase()))
  const { rows } = await db.execute<Sighting>(sql`
    with people as (select id::text as id, email, username, name from sync.user_identities),
    users as (
      select id from people where id = any(${ids}) or (email = any(${given}) and id is not null)
    ),
    addresses as (
      select email from people where id in (select id from users) and email is not null
      except select email from people where id not in (select id from users)
    )
    select id, email, username, name from people
    where id in (select id from users) or email = any(${given})
      or (id is null and email in (select email from addresses))`)
  return rows
}

/** Everything under which the mirror knows the person, in lower case. */
function identitiesOf({ emails, userIds }: PersonToErase, sightings: readonly Sighting[]): Identity[] {
  const ids = [...new Set([...userIds.map((id) => id.toLowerCase()), ...sightings.flatMap(({ id }) => id ?? [])])]
  if (userIds.length === 0 && ids.length > 1) {
    const choice = `Choose the person with --user-id: ${ids.join(', ')}.`
    throw new ConfigError(`--email ${emails.join(',')} belongs to ${ids.length} users in Buildkite. ${choice}`)
  }
  const found = new Map<string, Identity>()
  const add = (kind: IdentityKind, value: string | null) => {
    if (value) found.set(`${kind} ${value.toLowerCase()}`, [kind, value.toLowerCase()])
  }
  for (const id of ids) add('id', id)
  for (const email of emails) add('email', email)
  for (const { email, username, name } of sightings) {
    add('email', email)
    add('username', username)
    add('name', name)
  }
  return [...found.values()]
}

/** Records the identities. Waits for the transactions that have read the list before; later ones erase the person themselves. */
async function recordErased(db: Db, identities: readonly Identity[], dryRun: boolean): Promise<ErasedPeople> {
  for (;;) {
    try {
      return await db.transaction(async (tx) => {
        if (!dryRun) {
          // Merges and the inbox queue behind a lock that waits, so it waits briefly and comes back.
          await tx.execute(sql`set local lock_timeout = '300ms'`)
          await tx.execute(sql`lock table ${erased_people} in access exclusive mode`)
        }
        return addErased(tx, identities, dryRun)
      })
    } catch (error) {
      const failure = asStoreError(error, 'record an erased person')
      if (failure.code !== LOCK_NOT_AVAILABLE) throw failure
      await pause(500)
    }
  }
}

const LOCK_NOT_AVAILABLE = '55P03'

async function addErased(tx: Transaction, identities: readonly Identity[], dryRun: boolean): Promise<ErasedPeople> {
  const stored = await tx.select().from(erased_people)
  const salt = stored[0]?.salt ?? randomUUID()
  const hashes = identities.map(([kind, value]) => identityHash(salt, kind, value))
  // Two people may share a name, so a name does not show that this one was erased before.
  const certain = new Set(hashes.filter((_, index) => identities[index]?.[0] !== 'name'))
  const pseudonym = stored.find(({ hash }) => certain.has(hash))?.pseudonym ?? randomUUID()
  const fresh = hashes.map((hash) => ({ hash, salt, pseudonym, erased_at: new Date() }))
  if (!dryRun) await tx.insert(erased_people).values(fresh).onConflictDoNothing()
  const [first, ...rest] = dryRun ? fresh.map((one) => ({ ...one, id: 0 })) : await tx.select().from(erased_people)
  if (!first) throw new RangeError('A person to erase needs an identity.')
  return new ErasedPeople([first, ...rest])
}

/** The payload of a delivery is JSON in a text column. */
function eraseDelivery(row: JsonRow, people: ErasedPeople): JsonRow {
  if (typeof row.payload !== 'string') return people.erase(row)
  const payload: unknown = JSON.parse(row.payload)
  const erased = people.erase(payload)
  return erased === payload ? people.erase(row) : { ...people.erase(row), payload: JSON.stringify(erased) }
}

/** Patterns for rows that may contain an identity. Quotes and backslashes are doubled in the text of a row, so only the part before them counts. */
function patternsOf(identities: readonly Identity[]): string[] {
  const graphqlIds = identities.flatMap(([kind, value]) =>
    kind === 'id' ? [Buffer.from(`User---${value}`).toString('base64').toLowerCase()] : [],
  )
  const values = [...identities.map(([, value]) => value), ...graphqlIds]
  return values.map((value) => `%${escapeLike(value.split(/["\\]/)[0] || value)}%`)
}

/** Removes the identities and rebuilds `buildkite.users`. The lock of `sync.refresh_users` keeps a run with older rows from adding them again. */
async function rebuildUsers(db: Db, identities: readonly Identity[], dryRun: boolean): Promise<Record<string, number>> {
  const of = (kind: IdentityKind) => sql.param(identities.flatMap(([one, value]) => (one === kind ? [value] : [])))
  const isPerson = sql`(id::text = any(${of('id')}) or email = any(${of('email')}) or username = any(${of('username')}))`
  return db.transaction(async (tx) => {
    await tx.execute(sql`select pg_advisory_xact_lock(hashtextextended('buildkite-mirror users', 0))`)
    const count = async (table: SQL, where: SQL) =>
      Number((await tx.execute<{ n: string }>(sql`select count(*) as n from ${table} where ${where}`)).rows[0]?.n)
    const counts = {
      'buildkite.users': await count(
        sql`buildkite.users`,
        sql`id::text = any(${of('id')}) or emails && ${of('email')}::text[] or usernames && ${of('username')}::text[]`,
      ),
      'sync.user_identities': await count(sql`sync.user_identities`, isPerson),
    }
    if (!dryRun) {
      await tx.execute(sql`delete from sync.user_identities where ${isPerson}`)
      await tx.execute(sql`select sync.refresh_users()`)
    }
    return counts
  })
}
