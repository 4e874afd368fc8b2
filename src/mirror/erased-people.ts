import { createHash } from 'node:crypto'
import { desc, sql } from 'drizzle-orm'
import { isObject, isUuid, type Json } from '../buildkite/payload-reader.ts'
import type { Db, Transaction } from '../database/connection.ts'
import { erased_people } from '../database/schema.ts'
import type { Observations } from './observation.ts'

/** What identifies a person. */
export type IdentityKind = 'id' | 'email' | 'username' | 'name'

export type ErasedIdentity = Pick<typeof erased_people.$inferSelect, 'id' | 'hash' | 'salt' | 'pseudonym'>

/** The hash under which `sync.erased_people` holds an identity. */
export function identityHash(salt: string, kind: IdentityKind, value: string): string {
  return createHash('sha256').update(`${salt}\n${kind}\n${value.toLowerCase()}`).digest('base64url')
}

/** A key such as `creator_email`, `email` or `BUILDKITE_UNBLOCKER_ID`: whose field it is, and which. */
const PERSON_KEY = /^(.*?)(email|username|login|graphql_id|uuid|id|name|avatar_url|created_at)$/i
const kinds: Readonly<Record<string, IdentityKind>> = {
  email: 'email',
  username: 'username',
  login: 'username',
  graphql_id: 'id',
  uuid: 'id',
  id: 'id',
}

/** Replaces erased people by their pseudonyms. The same input gives the same result, so mirror and API still compare as equal. */
export class ErasedPeople {
  readonly newest: number
  readonly #salt: string
  readonly #pseudonyms: ReadonlyMap<string, string>

  constructor(identities: readonly [ErasedIdentity, ...ErasedIdentity[]]) {
    this.#salt = identities[0].salt
    this.newest = Math.max(...identities.map(({ id }) => id))
    this.#pseudonyms = new Map(identities.map(({ hash, pseudonym }) => [hash, pseudonym]))
  }

  /** A copy of JSON, a row or a payload without erased people. Parts without them are shared with `value`, which stays as it was. */
  erase<T>(value: T): T {
    return this.#erase(value) as T // a string stays a string, an object an object
  }

  #erase(value: unknown): unknown {
    if (typeof value === 'string') return value.includes('@') ? this.#eraseAddresses(value) : value
    if (Array.isArray(value)) {
      const copy = value.map((item) => this.#erase(item))
      return copy.some((item, index) => item !== value[index]) ? copy : value
    }
    return isObject(value) && !(value instanceof Date) ? this.#eraseObject(value) : value
  }

  /** `owner` is the pseudonym of the erased person that the object describes, if its own fields do not show that. */
  #eraseObject(object: Json, owner?: string): Json {
    const keys = Object.keys(object)
    const people = this.#peopleIn(object, keys)
    if (owner) people.set('', owner)
    let changed = false
    const entries = keys.map((key): [string, unknown] => {
      const name = key.includes('@') ? this.#eraseAddresses(key) : key
      const value = this.#eraseField(object, key, people)
      if (value !== object[key] || name !== key) changed = true
      return [name, value]
    })
    return changed ? Object.fromEntries(entries) : object
  }

  #eraseField(object: Json, key: string, people: ReadonlyMap<string, string>): unknown {
    const value = object[key]
    const replaced = people.size > 0 ? replacement(object, key, people) : undefined
    if (replaced) return replaced.value
    // The columns of a row name the person, and `extra` has the other fields.
    if (key !== 'extra' || people.size === 0 || !isObject(value)) return this.#erase(value)
    const entries = Object.entries(value).map(([name, inner]): [string, unknown] => {
      const owner = people.get(`${name}_`)
      return [name, owner && isObject(inner) ? this.#eraseObject(inner, owner) : inner]
    })
    const extra = entries.some(([name, inner]) => inner !== value[name]) ? Object.fromEntries(entries) : value
    return this.#erase(extra)
  }

  /** The pseudonyms of the erased people in one object, by the prefix of their keys. */
  #peopleIn(object: Json, keys: readonly string[]): Map<string, string> {
    const people = new Map<string, string>()
    const identified = new Set<string>()
    const names: [prefix: string, name: string][] = []
    for (const key of keys) {
      const value = object[key]
      if (typeof value !== 'string' || value === '') continue
      const [, prefix = '', field = ''] = PERSON_KEY.exec(key) ?? []
      const kind = kinds[field.toLowerCase()]
      if (kind) {
        identified.add(prefix)
        const known = kind === 'id' ? personId(object, prefix, value) : value
        const pseudonym = known === undefined ? undefined : this.#find(kind, known)
        if (pseudonym) people.set(prefix, pseudonym)
      } else if (field.toLowerCase() === 'name') names.push([prefix, value])
      else if (key === 'author') names.push(['author', value])
    }
    // A name alone identifies a person only if nothing else does.
    for (const [prefix, name] of names) {
      const pseudonym = identified.has(prefix) ? undefined : this.#find('name', name)
      if (pseudonym) people.set(prefix, pseudonym)
    }
    return people
  }

  /** Replaces `address` and `Name <address>` in text. Looks at up to 64 characters before and 255 after each @. */
  #eraseAddresses(text: string): string {
    let result = ''
    let done = 0
    for (let at = text.indexOf('@'); at >= 0; at = text.indexOf('@', at + 1)) {
      const local = LOCAL_PART.exec(text.slice(Math.max(done, at - 64), at))?.[0] ?? ''
      const domain = DOMAIN.exec(text.slice(at + 1, at + 256))?.[0] ?? ''
      const pseudonym = local && domain ? this.#find('email', `${local}@${domain}`) : undefined
      if (!pseudonym) continue
      const before = text.slice(done, at - local.length)
      const named = before.endsWith('<') ? before.replace(NAME_BEFORE_ADDRESS, `${ERASED_NAME} <`) : before
      result += named + addressOf(pseudonym)
      done = at + 1 + domain.length
    }
    return result + text.slice(done)
  }

  #find(kind: IdentityKind, value: string): string | undefined {
    return this.#pseudonyms.get(identityHash(this.#salt, kind, value))
  }
}

/** The id of a person, also from a GraphQL id; undefined for ids that are no person's, because most ids of a job are not. */
function personId(object: Json, prefix: string, value: string): string | undefined {
  if (value.startsWith(GRAPHQL_USER)) return Buffer.from(value, 'base64').toString().slice('User---'.length)
  if (!isUuid(value)) return undefined
  const isPerson = [`${prefix}name`, `${prefix}email`].some((key) => Object.hasOwn(object, key))
  return isPerson || PERSON_PREFIX.test(prefix) ? value : undefined
}

/** How the base64 of `User---<id>` begins. */
const GRAPHQL_USER = 'VXNlci0tL'
const PERSON_PREFIX = /(user|creator|author|created_by|blocked_by|blocker|retried_by|paused_by|sender)_$/i
const LOCAL_PART = /[^\s<>()[\],;:"'\\@=/]{1,64}$/
const DOMAIN = /^[\p{L}\p{N}-]+(\.[\p{L}\p{N}-]+)*/u
const NAME_BEFORE_ADDRESS = /[^\s:,;<>"][^\n\r:,;<>"]{0,99}<$/

export const ERASED_NAME = 'Erased person'

export function addressOf(pseudonym: string): string {
  return `${pseudonym}@erased.invalid`
}

/** The new value of a field of an erased person; undefined for another field. */
function replacement(object: Json, key: string, people: ReadonlyMap<string, string>): { value: unknown } | undefined {
  const [, prefix = key, field = ''] = PERSON_KEY.exec(key) ?? []
  const pseudonym = people.get(prefix) ?? people.get(`${key}_`)
  if (!pseudonym || typeof object[key] !== 'string') {
    // Text columns read back as dates.
    return pseudonym && object[key] instanceof Date && field !== '' ? { value: null } : undefined
  }
  if (field === '') return { value: ERASED_NAME }
  switch (field.toLowerCase()) {
    case 'id':
    case 'uuid':
      return { value: pseudonym }
    case 'email':
      return { value: addressOf(pseudonym) }
    case 'username':
    case 'login':
      return { value: `erased-${pseudonym.slice(0, 8)}` }
    case 'name':
      return { value: ERASED_NAME }
    default:
      return { value: null }
  }
}

/** Parsed tables by salt: each database has its own. */
const known = new Map<string, ErasedPeople>()

/**
 * The erased people; undefined if there are none. Inside a transaction: `erasePerson` waits for the transactions that have read the
 * table, so that none of them stores a person after it.
 */
export async function readErasedPeople(db: Db | Transaction): Promise<ErasedPeople | undefined> {
  const { id, salt } = erased_people
  const [newest] = await db.select({ id, salt }).from(erased_people).orderBy(desc(id)).limit(1)
  if (!newest) return undefined
  const parsed = known.get(newest.salt)
  if (parsed?.newest === newest.id) return parsed
  const [first, ...rest] = await db.select().from(erased_people)
  if (!first) return undefined
  const people = new ErasedPeople([first, ...rest])
  known.set(newest.salt, people)
  return people
}

/** Replaces the erased people in observations; one query, and nothing more if nobody was erased. */
export async function eraseObserved(tx: Transaction, observed: Observations): Promise<void> {
  const people = await readErasedPeople(tx)
  if (!people) return
  const { organizations, pipelines, builds, jobs, agents } = observed
  for (const list of [organizations, pipelines, builds, jobs, agents]) {
    for (const observation of list) observation.fields = people.erase(observation.fields)
  }
}

/** The same for rows of reference data. */
export async function eraseRows<Row>(tx: Transaction, rows: readonly Row[]): Promise<readonly Row[]> {
  const people = await readErasedPeople(tx)
  return people ? people.erase(rows) : rows
}

/** The table's state as {@link ErasedPeople.newest} has it, for a statement that must not miss a newer one. */
export const newestErased = sql<string | null>`(select max(id) from ${erased_people})`
